use super::Act;
use crate::config::SipTimers;
use crate::timer::Name;

/// Where an INVITE server transaction stands (RFC 3261 figure 7, RFC 6026 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The final response is still to come.
    Proceeding,
    /// A 2xx was sent; its repetition is the dialog's work.
    Accepted,
    /// A failure was sent and is repeated until the ACK.
    Completed,
    /// The ACK of a failure came.
    Confirmed,
}

/// An INVITE server transaction. It says nothing by itself: 100 too is its user's decision, since
/// 100 is a promise here.
#[derive(Debug, Clone)]
pub(crate) struct InviteServer {
    stage: Stage,
    reliable: bool,
    last: Option<Vec<u8>>,
    interval_ms: u64,
    timers: SipTimers,
}

impl InviteServer {
    pub(crate) const fn new(reliable: bool, timers: SipTimers) -> Self {
        let interval_ms = timers.t1_ms;
        Self { stage: Stage::Proceeding, reliable, last: None, interval_ms, timers }
    }

    pub(crate) const fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) fn last(&self) -> Option<&[u8]> {
        self.last.as_deref()
    }

    /// The INVITE came again: the last response goes again, if there is one (17.2.1).
    pub(crate) fn again(&self) -> Option<Act> {
        match self.stage {
            Stage::Proceeding | Stage::Completed => self.last.clone().map(Act::Send),
            // RFC 6026 7.1: absorbed; the 2xx is repeated by its own clock.
            Stage::Accepted | Stage::Confirmed => None,
        }
    }

    /// Sends a response. A provisional after a final is dropped.
    pub(crate) fn respond(&mut self, status: u16, bytes: &[u8], acts: &mut Vec<Act>) {
        if self.stage != Stage::Proceeding {
            return;
        }
        self.last = Some(bytes.to_vec());
        acts.push(Act::Send(bytes.to_vec()));
        if status < 200 {
            return;
        }
        let give_up = 64 * self.timers.t1_ms;
        if status < 300 {
            self.stage = Stage::Accepted;
            acts.push(Act::Arm(Name::L, give_up));
        } else {
            self.stage = Stage::Completed;
            if !self.reliable {
                acts.push(Act::Arm(Name::G, self.interval_ms));
            }
            acts.push(Act::Arm(Name::H, give_up));
        }
    }

    /// An ACK within this transaction, that is, one of a failure (17.1.1.3).
    pub(crate) fn ack(&mut self, acts: &mut Vec<Act>) {
        if self.stage == Stage::Completed {
            self.stage = Stage::Confirmed;
            acts.push(Act::Disarm(Name::G));
            acts.push(Act::Disarm(Name::H));
            acts.push(Act::Arm(Name::I, if self.reliable { 0 } else { self.timers.t4_ms }));
        }
    }

    pub(crate) fn timer(&mut self, name: Name, acts: &mut Vec<Act>) {
        if name == Name::G && self.stage == Stage::Completed {
            acts.extend(self.last.clone().map(Act::Send));
            self.interval_ms = (self.interval_ms * 2).min(self.timers.t2_ms);
            acts.push(Act::Arm(Name::G, self.interval_ms));
        } else if matches!(name, Name::H | Name::I | Name::L) {
            acts.push(Act::Disarm(Name::G));
            acts.push(Act::Over);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        machine: &mut InviteServer,
        act: impl FnOnce(&mut InviteServer, &mut Vec<Act>),
    ) -> Vec<Act> {
        let mut acts = Vec::new();
        act(machine, &mut acts);
        acts
    }

    #[test]
    fn a_failure_is_repeated_at_t1_doubling_to_t2_until_the_ack() {
        let mut machine = InviteServer::new(false, SipTimers::default());
        let mut acts = run(&mut machine, |m, a| m.respond(480, b"480", a));
        let mut gaps = Vec::new();
        for _ in 0..5 {
            let gap = acts.iter().find_map(|a| match a {
                Act::Arm(Name::G, ms) => Some(*ms),
                _ => None,
            });
            gaps.push(gap.unwrap());
            acts = run(&mut machine, |m, a| m.timer(Name::G, a));
            assert_eq!(acts[0], Act::Send(b"480".to_vec()));
        }
        assert_eq!(gaps, [500, 1_000, 2_000, 4_000, 4_000]);
        let acts = run(&mut machine, InviteServer::ack);
        assert!(acts.contains(&Act::Arm(Name::I, 5_000)), "{acts:?}");
        assert_eq!(run(&mut machine, |m, a| m.timer(Name::I, a)).last(), Some(&Act::Over));
    }

    #[test]
    fn a_reliable_transport_is_not_repeated_but_still_given_up() {
        let mut machine = InviteServer::new(true, SipTimers::default());
        let acts = run(&mut machine, |m, a| m.respond(486, b"486", a));
        assert_eq!(acts, [Act::Send(b"486".to_vec()), Act::Arm(Name::H, 32_000)]);
        assert!(run(&mut machine, InviteServer::ack).contains(&Act::Arm(Name::I, 0)));
    }

    #[test]
    fn before_the_first_response_a_retransmission_is_absorbed() {
        let mut machine = InviteServer::new(false, SipTimers::default());
        assert_eq!(machine.again(), None);
        run(&mut machine, |m, a| m.respond(100, b"100", a));
        assert_eq!(machine.again(), Some(Act::Send(b"100".to_vec())));
        run(&mut machine, |m, a| m.respond(200, b"200", a));
        assert_eq!(machine.again(), None);
        assert!(run(&mut machine, |m, a| m.respond(180, b"180", a)).is_empty());
    }
}
