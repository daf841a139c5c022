use super::Act;
use crate::config::SipTimers;
use crate::timer::Name;

/// A non-INVITE server transaction (RFC 3261 section 17.2.2): Trying until its response is given,
/// then Completed until Timer J. Its only provisional response is a late 100 (RFC 4320 section 4).
#[derive(Debug, Clone)]
pub(crate) struct Server {
    reliable: bool,
    trying: Vec<u8>,
    /// What was said last: nothing, the 100, or the final response.
    said: Option<Vec<u8>>,
    is_over: bool,
    timers: SipTimers,
}

impl Server {
    /// A transaction that has said nothing. `trying` leaves as soon as it may, if nothing else did.
    pub(crate) fn begin(
        reliable: bool,
        timers: SipTimers,
        trying: Vec<u8>,
        acts: &mut Vec<Act>,
    ) -> Self {
        acts.push(Act::Arm(Name::Trying, trying_after_ms(timers)));
        Self { reliable, trying, said: None, is_over: false, timers }
    }

    /// The request came again: what was said last goes again; in Trying it is dropped.
    pub(crate) fn again(&self) -> Option<Act> {
        self.said.clone().map(Act::Send)
    }

    /// Gives the final response; a second one is dropped.
    pub(crate) fn respond(&mut self, bytes: &[u8], acts: &mut Vec<Act>) {
        if !self.is_over {
            self.is_over = true;
            self.said = Some(bytes.to_vec());
            acts.push(Act::Disarm(Name::Trying));
            acts.push(Act::Send(bytes.to_vec()));
            acts.push(Act::Arm(Name::J, if self.reliable { 0 } else { 64 * self.timers.t1_ms }));
        }
    }

    pub(crate) fn timer(&mut self, name: Name, acts: &mut Vec<Act>) {
        if name == Name::J {
            acts.push(Act::Over);
        } else if name == Name::Trying && !self.is_over {
            self.said = Some(self.trying.clone());
            acts.push(Act::Send(self.trying.clone()));
        }
    }
}

/// The time in which a client's Timer E is set to T2: a 100 before it would only slow down the
/// repetition that UDP needs (RFC 4320 section 4.1), one after it must come (section 4.2).
fn trying_after_ms(timers: SipTimers) -> u64 {
    let (mut after_ms, mut interval_ms) = (0, timers.t1_ms.max(1));
    while interval_ms < timers.t2_ms {
        after_ms += interval_ms;
        interval_ms *= 2;
    }
    after_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_leaves_after_three_and_a_half_seconds_and_only_if_nothing_else_did() {
        for is_answered in [false, true] {
            let mut acts = Vec::new();
            let mut server = Server::begin(false, SipTimers::default(), b"100".to_vec(), &mut acts);
            assert_eq!(acts, [Act::Arm(Name::Trying, 3_500)]);
            assert_eq!(server.again(), None);
            acts.clear();
            if is_answered {
                server.respond(b"200", &mut acts);
                assert!(acts.contains(&Act::Disarm(Name::Trying)), "{acts:?}");
                acts.clear();
            }
            server.timer(Name::Trying, &mut acts);
            let said = if is_answered { vec![] } else { vec![Act::Send(b"100".to_vec())] };
            assert_eq!(acts, said);
            let last: &[u8] = if is_answered { b"200" } else { b"100" };
            assert_eq!(server.again(), Some(Act::Send(last.to_vec())));
        }
    }
}
