//! The grace of a connection that was lost without a goodbye: who is pushed for in it (D-27).

use super::Node;
use super::entry::Entry;
use crate::config::PushOnLoss;
use crate::record::SessionId;

impl Node {
    /// True if the app may be woken now. In the grace of a lost connection that is the operator's
    /// to say: a page that is open comes back by itself, and a native app may have been killed.
    pub(super) fn is_pushed_for(&self, entry: &Entry) -> bool {
        let is_lost = !entry.session.is_asleep() && entry.session.socket().is_none();
        let is_web = entry.session.record.device.as_ref().is_some_and(|device| device.is_web());
        match self.config.push_on_loss {
            PushOnLoss::All => true,
            PushOnLoss::Native => !is_lost || !is_web,
            PushOnLoss::Nobody => !is_lost,
        }
    }

    /// The grace is over and the session sleeps: what came meanwhile and was not pushed for is
    /// pushed for now. A call that did not last so long has had its 480.
    pub(super) fn push_after_grace(&mut self, session: &SessionId) {
        self.renew_wakes(session);
        let now_us = self.now.mono_us;
        if self.entries.get(session).is_some_and(|entry| entry.wants_wake(now_us)) {
            self.arm_wake(session);
        }
    }
}
