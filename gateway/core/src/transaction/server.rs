use super::Act;
use crate::config::SipTimers;
use crate::timer::Name;

/// A non-INVITE server transaction (RFC 3261 section 17.2.2): Trying until its response is given,
/// then Completed until Timer J.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    reliable: bool,
    response: Option<Vec<u8>>,
    timers: SipTimers,
}

impl Server {
    pub(crate) const fn new(reliable: bool, timers: SipTimers) -> Self {
        Self { reliable, response: None, timers }
    }

    /// The request came again: in Trying it is dropped, in Completed the response goes again.
    pub(crate) fn again(&self) -> Option<Act> {
        self.response.clone().map(Act::Send)
    }

    /// Gives the final response; a second one is dropped.
    pub(crate) fn respond(&mut self, bytes: &[u8], acts: &mut Vec<Act>) {
        if self.response.is_none() {
            self.response = Some(bytes.to_vec());
            acts.push(Act::Send(bytes.to_vec()));
            acts.push(Act::Arm(Name::J, if self.reliable { 0 } else { 64 * self.timers.t1_ms }));
        }
    }

    pub(crate) fn timer(&self, name: Name, acts: &mut Vec<Act>) {
        if name == Name::J {
            acts.push(Act::Over);
        }
    }
}
