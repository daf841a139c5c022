//! An app asks for ICE servers (D-10).

use reveille_wire::jsonrtc::{Frame, MessageState};
use serde_json::Value;

use super::Node;
use crate::record::SessionId;

impl Node {
    /// The servers that are for this app, each with credentials made now. `ttl` says when the app
    /// has to ask again.
    pub(crate) fn on_ice_enquiry(&mut self, session: &SessionId, frame: &Frame) {
        let Some(entry) = self.entries.get(session) else { return };
        let record = &entry.session.record;
        let servers = self.config.ice.iter().filter(|server| server.is_for(&record.app));
        let ttl_s = servers.clone().filter_map(crate::ice::IceServer::ttl_s).min();
        let told: Vec<Value> =
            servers.map(|server| server.told(&record.user, self.now.wall_us)).collect();
        if told.is_empty() {
            let what = "no ICE servers are configured for this application";
            self.refuse_frame(session, frame, 404, what);
            return;
        }
        let mut answer = Frame::response("register", "iceEnquiry", MessageState::Final);
        answer.control.correlation_id.clone_from(&frame.control.correlation_id);
        answer.header.response_code = Some(200);
        answer.header.ttl = ttl_s;
        answer.payload.insert("iceServers".to_owned(), Value::Array(told));
        self.send(session, answer);
    }
}
