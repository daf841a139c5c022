//! Messages and subscriptions, written out by hand.

use serde_json::{Value, json};

use super::{AppEvent, End, Plain, Socket};

impl Plain {
    fn request(&self, package: &str, action: &str, id: &str, to: &str) -> Value {
        json!({
            "control": {"type": "request", "package_type": package,
                "session_id": self.now.session_id, "subsession_id": id,
                "ack_sequence": self.now.last_in,
                "correlation_id": format!("c{}", self.now.last_out + 1), "version": "1.0"},
            "header": {"action": action, "initiator": self.settings.address, "target": to},
            "payload": {}
        })
    }

    pub(super) async fn send_message(
        &mut self,
        socket: &mut Socket,
        id: &str,
        to: &str,
        content: &str,
    ) -> Option<End> {
        let mut frame = self.request("messaging", "send", id, to);
        frame["payload"]["content"] = json!(content);
        self.number(socket, frame).await
    }

    pub(super) async fn subscribe(
        &mut self,
        socket: &mut Socket,
        id: &str,
        to: &str,
    ) -> Option<End> {
        let frame = self.request("message_notification", "start", id, to);
        self.number(socket, frame).await
    }

    /// A `send` is kept until it is answered.
    pub(super) async fn about_message(&mut self, frame: Value) -> Option<End> {
        let id = frame["control"]["subsession_id"].as_str()?.to_owned();
        self.messages.insert(id.clone(), frame);
        self.tell(AppEvent::Message(id)).await;
        None
    }

    pub(super) async fn answer_message(
        &mut self,
        socket: &mut Socket,
        id: &str,
        code: u16,
    ) -> Option<End> {
        let asked = self.messages.remove(id)?;
        let mut frame = json!({
            "control": {"type": "response", "package_type": "messaging",
                "session_id": self.now.session_id, "subsession_id": id,
                "ack_sequence": self.now.last_in, "message_state": "final",
                "correlation_id": asked["control"]["correlation_id"], "version": "1.0"},
            "header": {"action": "send", "initiator": asked["header"]["initiator"],
                "target": asked["header"]["target"]},
            "payload": {}
        });
        if code == 200 {
            frame["header"]["response_code"] = json!(200);
        } else {
            frame["control"]["type"] = json!("error");
            frame["header"]["error_code"] = json!(code);
            frame["header"]["reason"] = json!("refused");
        }
        self.number(socket, frame).await
    }
}
