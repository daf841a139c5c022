//! Calls as the product's library has them: those that come, those that are placed, and changes.

use serde_json::{Value, json};

use super::{AppEvent, End, Plain, Socket};

pub(super) struct Held {
    /// Of the start that began it.
    correlation: String,
    initiator: Value,
    target: Value,
    is_placed: bool,
    answered: bool,
    /// A start of ours that wants it changed, and whether it is an UPDATE.
    ours: Option<(String, bool)>,
    /// A start of the other side that does.
    theirs: Option<String>,
}

impl Held {
    const fn new(correlation: String, initiator: Value, target: Value, is_placed: bool) -> Self {
        let (answered, ours, theirs) = (false, None, None);
        Self { correlation, initiator, target, is_placed, answered, ours, theirs }
    }
}

impl Plain {
    fn next_correlation(&self) -> String {
        format!("c{}", self.now.last_out + 1)
    }

    /// A frame of a call, under the start's correlation id; `None` if the call is not there.
    fn about(&self, call: &str, kind: &str, action: &str) -> Option<Value> {
        let held = self.calls.get(call)?;
        Some(json!({
            "control": {"type": kind, "package_type": "call", "session_id": self.now.session_id,
                "subsession_id": call, "ack_sequence": self.now.last_in,
                "correlation_id": held.correlation, "version": "1.0"},
            "header": {"action": action, "initiator": held.initiator, "target": held.target},
            "payload": {}
        }))
    }

    pub(super) async fn place(
        &mut self,
        socket: &mut Socket,
        call: String,
        to: &str,
        sdp: &str,
    ) -> Option<End> {
        let me = json!(self.settings.address);
        let held = Held::new(self.next_correlation(), me, json!(to), true);
        self.calls.insert(call.clone(), held);
        let mut start = self.about(&call, "request", "start")?;
        start["payload"]["sdp"] = json!(sdp);
        self.number(socket, start).await
    }

    pub(super) async fn change(
        &mut self,
        socket: &mut Socket,
        call: &str,
        sdp: &str,
        update: bool,
    ) -> Option<End> {
        let correlation = self.next_correlation();
        let mut start = self.about(call, "request", "start")?;
        start["control"]["correlation_id"] = json!(correlation);
        start["payload"]["sdp"] = json!(sdp);
        if update {
            start["header"]["sip_method"] = json!("UPDATE");
        }
        self.calls.get_mut(call)?.ours = Some((correlation, update));
        self.number(socket, start).await
    }

    pub(super) async fn answer(
        &mut self,
        socket: &mut Socket,
        call: &str,
        sdp: &str,
    ) -> Option<End> {
        let mut frame = self.about(call, "response", "start")?;
        frame["control"]["message_state"] = json!("final");
        frame["payload"]["sdp"] = json!(sdp);
        let held = self.calls.get_mut(call)?;
        held.answered = true;
        if let Some(theirs) = held.theirs.take() {
            frame["control"]["correlation_id"] = json!(theirs);
        }
        self.number(socket, frame).await
    }

    pub(super) async fn decline(
        &mut self,
        socket: &mut Socket,
        call: &str,
        code: u16,
        reason: &str,
    ) -> Option<End> {
        let mut frame = self.about(call, "error", "start")?;
        frame["header"]["error_code"] = json!(code);
        frame["header"]["reason"] = json!(reason);
        match self.calls.get_mut(call)?.theirs.take() {
            Some(theirs) => frame["control"]["correlation_id"] = json!(theirs),
            None => drop(self.calls.remove(call)),
        }
        self.number(socket, frame).await
    }

    pub(super) async fn hang_up(&mut self, socket: &mut Socket, call: &str) -> Option<End> {
        let mut frame = self.about(call, "message", "shutdown")?;
        if self.calls.remove(call)?.answered {
            frame["control"]["correlation_id"] = json!(self.next_correlation());
        }
        self.number(socket, frame).await
    }

    pub(super) async fn about_call(&mut self, socket: &mut Socket, frame: &Value) -> Option<End> {
        let call = frame["control"]["subsession_id"].as_str()?.to_owned();
        let kind = frame["control"]["type"].as_str()?;
        match (kind, frame["header"]["action"].as_str()?) {
            ("request", "start") => self.started(socket, call, frame).await,
            ("response", "start") => self.heard_of(socket, &call, frame).await,
            ("error", "prack") => None,
            ("error", _) => self.failed(call, frame).await,
            (_, "shutdown") => {
                let cancelled = frame["header"]["initiator"] == "##re-invite_cancel@server##";
                if cancelled {
                    self.calls.get_mut(&call)?.theirs = None;
                    self.tell(AppEvent::ChangeCancelled(call)).await;
                } else {
                    self.gone(call, frame).await;
                }
                None
            }
            _ => None,
        }
    }

    async fn started(&mut self, socket: &mut Socket, call: String, frame: &Value) -> Option<End> {
        let correlation = frame["control"]["correlation_id"].as_str()?.to_owned();
        if let Some(held) = self.calls.get_mut(&call).filter(|h| h.correlation != correlation) {
            let is_glare = held.ours.is_some();
            held.theirs = Some(correlation);
            if is_glare {
                return self.decline(socket, &call, 491, "Glare").await;
            }
            self.tell(AppEvent::ChangeAsked(call)).await;
            return None;
        }
        let (initiator, target) = (&frame["header"]["initiator"], &frame["header"]["target"]);
        let held = Held::new(correlation, initiator.clone(), target.clone(), false);
        self.calls.insert(call.clone(), held);
        let mut ringing = self.about(&call, "response", "start")?;
        ringing["control"]["message_state"] = json!("subsequent");
        let end = self.number(socket, ringing).await;
        let initiator = initiator.as_str().unwrap_or_default().to_owned();
        let sdp = frame["payload"]["sdp"].as_str().unwrap_or_default().to_owned();
        self.tell(AppEvent::Incoming { call, initiator, sdp }).await;
        end
    }

    /// What became of a start of ours.
    async fn heard_of(&mut self, socket: &mut Socket, call: &str, frame: &Value) -> Option<End> {
        let of = frame["control"]["correlation_id"].as_str()?;
        let held = self.calls.get_mut(call)?;
        let is_final = frame["control"]["message_state"] == "final";
        let follows = if let Some((_, update)) = held.ours.take_if(|ours| ours.0 == of) {
            (!update).then_some(("message", "complete"))?
        } else if !held.is_placed || held.answered || held.correlation != of {
            return None;
        } else if is_final {
            held.answered = true;
            self.tell(AppEvent::Answered(call.to_owned())).await;
            ("message", "complete")
        } else {
            (frame["header"]["response_code"] == 183).then_some(("request", "prack"))?
        };
        let mut next = self.about(call, follows.0, follows.1)?;
        next["control"]["correlation_id"] = json!(of);
        self.number(socket, next).await
    }

    async fn failed(&mut self, call: String, frame: &Value) -> Option<End> {
        let of = frame["control"]["correlation_id"].as_str().unwrap_or_default();
        let ours = self.calls.get_mut(&call)?.ours.take_if(|ours| ours.0 == of);
        if ours.is_none() {
            self.gone(call, frame).await;
        }
        None
    }

    async fn gone(&mut self, call: String, frame: &Value) {
        if self.calls.remove(&call).is_some() {
            let why = frame["header"]["reason"].as_str().unwrap_or("shutdown").to_owned();
            self.tell(AppEvent::Ended { call, why }).await;
        }
    }
}
