//! Candidates that come late (RFC 8840), as INFO towards the network.

use reveille_wire::jsonrtc::Frame;
use reveille_wire::sip::{Message, Method};
use serde_json::Value;

use super::Node;
use super::entry::{Asked, Dirty, Entry, Promise};
use crate::call::Call;
use crate::dialog::TRICKLE;
use crate::record::{Dialog, SessionId};
use crate::transaction::TransactionKey;

/// The body of an INFO of this package (RFC 8840 section 9).
const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";

impl Node {
    /// The app's candidates go to a peer that takes them; another has them in the next offer.
    pub(crate) fn on_trickle(&mut self, session: &SessionId, frame: &Frame) {
        let subsession = frame.control.subsession_id.clone().unwrap_or_default();
        let candidates = frame.payload.get("candidates").and_then(Value::as_str);
        let Some(candidates) = candidates.filter(|lines| !lines.is_empty()) else {
            self.refuse_frame(session, frame, 400, "trickle needs payload.candidates");
            return;
        };
        let branch = format!("z9hG4bK{}", self.dice.hex(8));
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(&subsession));
        let Some(flow) = call.map(Call::way) else { return };
        let via = self.via(flow.transport, &branch);
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(&subsession));
        let Some(call) = call else { return };
        let call_id = call.call_id.clone();
        let Some(dialog) = call.first_dialog().filter(|dialog| dialog.allows(TRICKLE)) else {
            return;
        };
        let mut info = dialog
            .request(Method::INFO, &call_id, &via)
            .with("Info-Package", TRICKLE)
            .with("Content-Disposition", "Info-Package");
        info.set_body(SDP_FRAGMENT, candidates.as_bytes());
        self.put_call(session, &subsession, Dirty::Soon);
        self.ask_within(session, &subsession, flow, info, Asked::Info);
    }

    /// INFO within a dialog: candidates for the app; any other package is refused by name (RFC 6086
    /// section 4.2.2).
    pub(super) fn on_info(&mut self, key: &TransactionKey, request: &Message) {
        let place = match self.in_order(request) {
            Ok(place) => place,
            Err(status) => return self.reply(key, request, status, &[]),
        };
        self.note_peer(&place, request);
        match request.header("Info-Package").map(|package| package.trim().to_ascii_lowercase()) {
            Some(package) if package == TRICKLE => {
                let (session, subsession) = &place;
                let is_away = |entry: &Entry| entry.session.attached().is_none();
                if self.entries.get(session).is_some_and(is_away) {
                    self.knock(session, Some(subsession), key, request);
                } else {
                    self.give_candidates(key, &place, request);
                }
            }
            Some(_) => self.reply(key, request, 469, &[("Recv-Info", TRICKLE.to_owned())]),
            None if request.body.is_empty() => self.reply(key, request, 200, &[]),
            None => self.reply(key, request, 415, &[("Accept", SDP_FRAGMENT.to_owned())]),
        }
    }

    pub(super) fn give_candidates(
        &mut self,
        key: &TransactionKey,
        (session, subsession): &(SessionId, String),
        request: &Message,
    ) {
        let Some(entry) = self.entries.get(session) else { return };
        let Some(call) = entry.calls.get(subsession) else { return };
        let mut frame = call.message("trickle", &entry.session.record.aor);
        let lines = String::from_utf8_lossy(&request.body).into_owned();
        frame.payload.insert("candidates".to_owned(), lines.into());
        self.give(session, frame);
        let bytes = request.reply(200, "OK", None).to_bytes();
        self.promise(session, Promise::Reply { key: key.clone(), bytes });
    }
}

impl Call {
    /// The dialog, or the first that an unanswered call of ours has.
    fn first_dialog(&mut self) -> Option<&mut Dialog> {
        if self.dialog().is_some() {
            return self.stands();
        }
        self.early.first_mut().map(|early| &mut early.dialog)
    }
}
