//! Limits of those who share the node, and what is said when one is reached.

use reveille_trace::{Draft, Kind};

use super::Node;
use crate::record::SessionId;

impl Node {
    /// Why this application gets no further session, if it gets none.
    pub(super) fn no_room(&mut self, app: &str) -> Option<String> {
        let holder = self.census.no_room(&self.config.tenancy, app)?;
        let reason = format!("no room: {holder} has as many sessions as its limits allow");
        self.note_limit("sessions", app);
        Some(reason)
    }

    /// Why this session may not fall asleep although it could, if it may not.
    pub(super) fn no_bed(&mut self, session: &SessionId) -> Option<String> {
        let app = self.entries.get(session)?.session.record.app.clone();
        let holder = self.census.no_bed(&self.config.tenancy, &app)?;
        let reason = format!("no room: as many sessions of {holder} sleep as its limits allow");
        self.note_limit("sleepers", &app);
        Some(reason)
    }

    /// The driver counts these.
    fn note_limit(&mut self, limit: &'static str, app: &str) {
        let draft = Draft::new(Kind::Note).with("text", "a limit is reached");
        self.trace(draft.with("limit", limit).with("app", app));
    }
}
