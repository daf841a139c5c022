use super::Act;
use crate::config::SipTimers;
use crate::timer::Name;

/// What a client transaction tells its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientEvent {
    /// The final response, to be read by the user.
    Final,
    /// Timer F came, or the transport failed: no response will be taken any more.
    NoAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Trying,
    Proceeding,
    Completed,
}

/// A non-INVITE client transaction (RFC 3261 section 17.1.2).
#[derive(Debug, Clone)]
pub(crate) struct Client {
    stage: Stage,
    reliable: bool,
    request: Vec<u8>,
    interval_ms: u64,
    timers: SipTimers,
}

impl Client {
    /// Sends the request for the first time.
    pub(crate) fn start(
        request: Vec<u8>,
        reliable: bool,
        timers: SipTimers,
        acts: &mut Vec<Act>,
    ) -> Self {
        acts.push(Act::Send(request.clone()));
        if !reliable {
            acts.push(Act::Arm(Name::E, timers.t1_ms));
        }
        acts.push(Act::Arm(Name::F, 64 * timers.t1_ms));
        Self { stage: Stage::Trying, reliable, request, interval_ms: timers.t1_ms, timers }
    }

    /// A response that matches this transaction came.
    pub(crate) fn response(&mut self, status: u16, acts: &mut Vec<Act>) -> Option<ClientEvent> {
        if self.stage == Stage::Completed {
            return None;
        }
        if status < 200 {
            self.stage = Stage::Proceeding;
            return None;
        }
        self.stage = Stage::Completed;
        // What is only waited out needs no bytes.
        self.request = Vec::new();
        acts.push(Act::Disarm(Name::E));
        acts.push(Act::Disarm(Name::F));
        acts.push(Act::Arm(Name::K, if self.reliable { 0 } else { self.timers.t4_ms }));
        Some(ClientEvent::Final)
    }

    /// True until any response came.
    pub(crate) fn is_unheard(&self) -> bool {
        self.stage == Stage::Trying
    }

    /// The request could not be sent.
    pub(crate) fn unsent(&mut self, acts: &mut Vec<Act>) -> Option<ClientEvent> {
        if self.stage == Stage::Completed {
            return None;
        }
        self.stage = Stage::Completed;
        acts.push(Act::Over);
        Some(ClientEvent::NoAnswer)
    }

    pub(crate) fn timer(&mut self, name: Name, acts: &mut Vec<Act>) -> Option<ClientEvent> {
        match (name, self.stage) {
            (Name::E, Stage::Trying | Stage::Proceeding) => {
                acts.push(Act::Send(self.request.clone()));
                self.interval_ms = if self.stage == Stage::Proceeding {
                    self.timers.t2_ms
                } else {
                    (self.interval_ms * 2).min(self.timers.t2_ms)
                };
                acts.push(Act::Arm(Name::E, self.interval_ms));
                None
            }
            (Name::F, Stage::Trying | Stage::Proceeding) => {
                self.stage = Stage::Completed;
                acts.push(Act::Disarm(Name::E));
                acts.push(Act::Over);
                Some(ClientEvent::NoAnswer)
            }
            (Name::K, Stage::Completed) => {
                acts.push(Act::Over);
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_gets_eleven_requests_in_thirty_two_seconds() {
        // T1 500 ms doubling to T2 4 s: 0, .5, 1.5, 3.5, 7.5, then every 4 s to 31.5 s.
        let mut acts = Vec::new();
        let mut client = Client::start(b"r".to_vec(), false, SipTimers::default(), &mut acts);
        let (mut at, mut sent) = (0, 1);
        loop {
            let gap = acts.iter().find_map(|act| match act {
                Act::Arm(Name::E, ms) => Some(*ms),
                _ => None,
            });
            at += gap.unwrap();
            if at >= 32_000 {
                break;
            }
            acts.clear();
            assert_eq!(client.timer(Name::E, &mut acts), None);
            sent += 1;
        }
        assert_eq!(sent, 11);
        assert_eq!(client.timer(Name::F, &mut acts), Some(ClientEvent::NoAnswer));
    }

    #[test]
    fn a_second_final_response_is_absorbed() {
        let mut acts = Vec::new();
        let mut client = Client::start(b"r".to_vec(), false, SipTimers::default(), &mut acts);
        assert_eq!(client.response(100, &mut acts), None);
        assert_eq!(client.response(200, &mut acts), Some(ClientEvent::Final));
        assert_eq!(client.response(200, &mut acts), None);
    }
}
