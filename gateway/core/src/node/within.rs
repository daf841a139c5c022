//! Requests of ours within a dialog, and what their answers mean to the app.

use reveille_wire::jsonrtc::{Frame, MessageState};
use reveille_wire::sip::{Message, Method};
use serde_json::Value;

use super::Node;
use super::entry::{Asked, Dirty, Promise, Within};
use crate::call::Call;
use crate::io::{Change, Flow};
use crate::record::{Raw, SessionId};

impl Node {
    /// A request within the call's dialog, for an answer that somebody waits for.
    pub(super) fn ask_within(
        &mut self,
        session: &SessionId,
        subsession: &str,
        flow: Flow,
        request: Message,
        asked: Asked,
    ) {
        let promise = self.asking(session, subsession, flow, request, asked);
        self.promise(session, promise);
    }

    fn asking(
        &self,
        session: &SessionId,
        subsession: &str,
        flow: Flow,
        request: Message,
        asked: Asked,
    ) -> Promise {
        let user = self.entries.get(session).map(|entry| entry.session.record.user.clone());
        let within = Within {
            place: (session.clone(), subsession.to_owned()),
            user: user.unwrap_or_default(),
            request,
            asked,
            shown: 0,
        };
        Promise::Ask { flow, within: Box::new(within) }
    }

    /// The answer to a request of ours within a dialog.
    pub(super) fn on_within(&mut self, flow: &Flow, within: Within, response: &Message) {
        let status = response.status().unwrap_or(408);
        let (session, subsession) = within.place.clone();
        if matches!(status, 401 | 407) {
            let (user, shown) = (&within.user, within.shown);
            let again = self.authorised(user, flow, &within.request, response, shown);
            if let Some(request) = again {
                let number = request.cseq().map_or(0, |cseq| cseq.number);
                let entry = self.entries.get_mut(&session);
                if let Some(call) = entry.and_then(|entry| entry.calls.get_mut(&subsession)) {
                    call.spend(number);
                }
                let within = Within { request, shown: shown + 1, ..within };
                self.promise(
                    &session,
                    Promise::Ask { flow: flow.clone(), within: Box::new(within) },
                );
                return;
            }
        }
        self.on_within_final(&session, &subsession, within.asked, Ok(response));
    }

    /// What a request of ours within a dialog led to; `Err` is the code of no answer.
    pub(super) fn on_within_final(
        &mut self,
        session: &SessionId,
        subsession: &str,
        asked: Asked,
        answer: Result<&Message, u16>,
    ) {
        let (action, correlation) = match asked {
            Asked::Bye => {
                self.forget_bye(session, subsession);
                return;
            }
            Asked::Info | Asked::Prack { correlation: None } => return,
            Asked::Refresh => {
                self.on_refreshed(session, subsession, answer);
                return;
            }
            Asked::Prack { correlation } => ("prack", correlation),
            Asked::Update { correlation } => ("start", correlation),
        };
        let Some(entry) = self.entries.get_mut(session) else { return };
        let aor = entry.session.record.aor.clone();
        let Some(call) = entry.calls.get_mut(subsession) else { return };
        let status = answer.map_or_else(|code| code, |message| message.status().unwrap_or(408));
        let frame = match answer {
            Ok(response) if status < 300 => {
                if let Some(dialog) = call.confirmed() {
                    dialog.learn(response);
                }
                final_answer(call, &aor, action, correlation, response)
            }
            _ => {
                let reason = Message::reason_phrase(status);
                error_answer(call, &aor, (action, correlation), status, reason)
            }
        };
        if let (Ok(response), "start", true) = (answer, action, status < 300) {
            self.agree(session, subsession, response, false);
        }
        self.put_call(session, subsession, Dirty::Urgent);
        self.give(session, frame);
        if action == "start" {
            self.end_if_gone(session, subsession, status);
        }
    }

    /// The peer knows that the call is over, or cannot be told: its record goes.
    fn forget_bye(&mut self, session: &SessionId, subsession: &str) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        // The app may have named another call so meanwhile.
        if !entry.over && !entry.calls.contains_key(subsession) {
            entry.changes.push(Change::DropCall { subsession: subsession.to_owned() });
            self.touch(session, Dirty::Lazy);
        }
    }

    /// A call that ended before a restart: its BYE goes again, under the same branch.
    pub(super) fn recover_bye(
        &mut self,
        session: &SessionId,
        subsession: &str,
        flow: Flow,
        bye: &Raw,
    ) {
        let Ok(request) = Message::parse(&bye.0) else { return };
        let promise = self.asking(session, subsession, flow, request, Asked::Bye);
        self.repeat(session, promise);
    }

    /// Sends the PRACK that is owed (RFC 3262 section 4). False if none is.
    pub(super) fn prack(
        &mut self,
        session: &SessionId,
        subsession: &str,
        correlation: Option<String>,
        sdp: Option<&str>,
    ) -> bool {
        let branch = format!("z9hG4bK{}", self.dice.hex(8));
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(flow) = call.as_ref().map(|call| call.way()) else { return false };
        let via = self.via(flow.transport, &branch);
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return false };
        let number = call.invite.cseq().map_or(1, |cseq| cseq.number);
        let call_id = call.call_id.clone();
        let Some(early) = call.early.iter_mut().rev().find(|early| early.owed) else {
            return false;
        };
        early.owed = false;
        let rack = format!("{} {number} INVITE", early.rseq);
        let mut request = early.dialog.request(Method::PRACK, &call_id, &via).with("RAck", rack);
        if let Some(sdp) = sdp {
            request.set_body("application/sdp", sdp.as_bytes());
        }
        self.ask_within(session, subsession, flow, request, Asked::Prack { correlation });
        true
    }

    /// The app's `prack`: a PRACK where the network asked for one, else answered here (D-08).
    pub(crate) fn on_prack(&mut self, session: &SessionId, frame: &Frame) {
        let subsession = frame.control.subsession_id.clone().unwrap_or_default();
        let correlation = frame.control.correlation_id.clone();
        let sdp = frame.sdp().map(ToOwned::to_owned);
        if self.prack(session, &subsession, correlation.clone(), sdp.as_deref()) {
            return;
        }
        let Some(entry) = self.entries.get(session) else { return };
        let Some(call) = entry.calls.get(&subsession) else {
            self.refuse_frame(session, frame, 404, "no such call");
            return;
        };
        let mut answer = Frame::response("call", "prack", MessageState::Final);
        answer = call.named(answer, &entry.session.record.aor);
        answer.control.correlation_id = correlation;
        answer.header.response_code = Some(200);
        self.give(session, answer);
    }

    /// Keeps what a request of the peer tells about it.
    pub(super) fn note_peer(
        &mut self,
        (session, subsession): &(SessionId, String),
        request: &Message,
    ) {
        let number = request.cseq().map_or(0, |cseq| cseq.number);
        let refreshes =
            matches!(request.method(), Some(m) if [Method::UPDATE, Method::INVITE].contains(m));
        let Some(entry) = self.entries.get_mut(session) else { return };
        let Some(call) = entry.calls.get_mut(subsession) else { return };
        if let Some(dialog) = call.confirmed() {
            dialog.remote_cseq = dialog.remote_cseq.max(number);
            if refreshes {
                dialog.learn(request);
            }
            self.put_call(session, subsession, Dirty::Lazy);
        }
    }
}

/// The body of a SIP message as `payload.sdp`.
pub(super) fn put_sdp(frame: &mut Frame, message: &Message) {
    if !message.body.is_empty() {
        let sdp = String::from_utf8_lossy(&message.body).into_owned();
        frame.payload.insert("sdp".to_owned(), Value::String(sdp));
    }
}

/// A SIP status as the app hears it. 500 would end the app's whole session (D-13).
pub(super) const fn told_code(status: u16) -> u16 {
    if status == 500 { 480 } else { status }
}

pub(super) fn final_answer(
    call: &Call,
    aor: &str,
    action: &str,
    correlation: Option<String>,
    response: &Message,
) -> Frame {
    let mut frame = call.named(Frame::response("call", action, MessageState::Final), aor);
    frame.control.correlation_id = correlation;
    frame.header.response_code = Some(200);
    put_sdp(&mut frame, response);
    frame
}

pub(super) fn error_answer(
    call: &Call,
    aor: &str,
    (action, correlation): (&str, Option<String>),
    status: u16,
    reason: &str,
) -> Frame {
    let frame = Frame::error("call", action, told_code(status), reason);
    let mut frame = call.named(frame, aor);
    frame.control.correlation_id = correlation;
    frame
}

/// The SDP of the app's answer, or the code that it means. An app that cannot take an offerless
/// request says 403: that is 488 to SIP (O-15).
pub(super) fn answer_code(frame: &Frame) -> Result<&str, u16> {
    if let Some(code) = frame.header.error_code {
        let known = (300..700).contains(&code) && ![401, 403, 407].contains(&code);
        return Err(if known { code } else { 488 });
    }
    frame.sdp().filter(|sdp| !sdp.is_empty()).ok_or(488)
}
