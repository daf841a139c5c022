//! Between the phone and its operating system, if it has one: what happens is told to it, and what
//! it does is done.

use std::time::Duration;

use reveille_trace::{Draft, Kind};

use super::os::{self, Input, Output, Parcel};
use super::{Phone, Process};
use crate::cast::push::read_labelled;

impl Phone {
    /// Tells the operating system, and does what it does.
    pub(super) fn system(&mut self, input: Input) {
        let now = self.host.clock.now().mono;
        let busy = !self.calls.is_empty();
        let entropy = &self.host.entropy;
        let mut luck = |range: &std::ops::RangeInclusive<u64>| {
            let mut bytes = [0; 8];
            entropy.fill(&mut bytes);
            let width = (range.end() - range.start()).saturating_add(1).max(1);
            range.start() + u64::from_be_bytes(bytes) % width
        };
        let Some(os) = &mut self.os else { return };
        for output in os.handle(now, busy, input, &mut luck) {
            self.carry_out(output);
        }
    }

    /// When the operating system wants to hear of time.
    pub(super) fn system_due(&self) -> Option<Duration> {
        self.os.as_ref().and_then(os::Os::due)
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Arrived(payload) => self.arrived(&payload),
            Output::Held { payload, why, fate } => {
                let draft = Draft::new(Kind::PushHeld).raw(payload.as_bytes());
                let draft = draft.with("token", self.settings.token.as_str());
                self.note(draft.with("why", why).with("fate", fate.name()));
            }
            Output::Launch => {
                if matches!(self.process, Process::None) {
                    self.launch();
                }
            }
            Output::End => {
                self.end_process();
                // What the process held is as lost as that of a process that was killed.
                self.note(Draft::new(Kind::AppState).with("state", "killed"));
            }
            Output::Changed(what, state) => {
                let draft = Draft::new(Kind::OsState).with("what", what);
                self.note(draft.with("state", state));
            }
            Output::Struck(fault, part) => {
                let on = format!("{}.{part}", self.scribe.actor());
                self.note(Draft::new(Kind::FaultStruck).with("fault", fault).with("on", on));
            }
        }
    }

    /// A push reaches the app, or what its user sees.
    fn arrived(&self, payload: &str) {
        let draft = Draft::new(Kind::PushArrived).raw(payload.as_bytes());
        self.note(draft.with("token", self.settings.token.as_str()));
    }

    /// A line of the push channel.
    pub(super) fn pushed(&mut self, line: &str) {
        match self.os.as_ref().and_then(|_| read_labelled(line)) {
            Some((payload, ..)) if self.ignores => self.arrived(&payload),
            Some((payload, manner, left_ms)) => {
                let now = self.host.clock.now().mono;
                let until = left_ms.map(|left| now + Duration::from_millis(left));
                self.system(Input::Push(Parcel { payload, manner, until }));
            }
            None => {
                self.arrived(line);
                if !self.ignores && matches!(self.process, Process::None) {
                    self.launch();
                }
            }
        }
    }
}
