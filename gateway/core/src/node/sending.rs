//! An app's `send`: a SIP MESSAGE to the network, its final response back to the app.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reveille_wire::jsonrtc::{Frame, MessageState};
use reveille_wire::sip::{Message, Method};

use super::Node;
use super::entry::Dirty;
use super::errand::{Cause, Errand, failure_for_app};
use super::target;
use crate::io::Flow;
use crate::record::{Sending, SessionId};

/// RFC 3428 section 8: a MESSAGE on a path without congestion control is no longer than 1300 bytes.
/// Via and credentials come on top of what is measured.
const MOST_BYTES: usize = 1_300 - 400;

impl Node {
    pub(crate) fn on_send(&mut self, session: &SessionId, frame: &Frame) {
        let request = match self.build_message(session, frame) {
            Ok(request) => request,
            Err((code, what)) => return self.refuse_frame(session, frame, code, &what),
        };
        let (subsession, correlation) =
            (frame.control.subsession_id.clone(), frame.control.correlation_id.clone());
        let Some(entry) = self.entries.get_mut(session) else { return };
        let sending = Sending { subsession: subsession.clone(), correlation: correlation.clone() };
        entry.session.record.sending.push(sending);
        self.touch(session, Dirty::Urgent);
        self.begin_errand(session, Errand::new(request, Cause::Send { subsession, correlation }));
    }

    fn build_message(
        &mut self,
        session: &SessionId,
        frame: &Frame,
    ) -> Result<Message, (u16, String)> {
        let wrong = |what: &str| (400, what.to_owned());
        if self.config.registrar.is_none() {
            return Err((480, "this gateway has no [registrar] to send messages by".to_owned()));
        }
        if self.draining || self.is_busy(session) {
            return Err((480, "too many requests under way: try again later".to_owned()));
        }
        let target = target::read(frame.header.target.as_deref(), &self.config.domains)
            .map_err(|what| (400, what))?
            .to_string();
        let kind = frame.header.extra.get("content_type").map(|kind| kind.as_str());
        let kind = kind.unwrap_or(Some("text/plain;charset=UTF-8")).filter(|kind| is_media(kind));
        let kind = kind.ok_or_else(|| {
            wrong("header.content_type is no media type; write one like \"text/plain\"")
        })?;
        let body = content_of(frame).map_err(wrong)?;
        let most_bytes = self.config.most_message_bytes;
        if body.len() > most_bytes {
            return Err((413, format!("payload.content is longer than {most_bytes} bytes")));
        }
        let (call_id, from_tag) = (self.dice.hex(16), self.dice.hex(8));
        let ids = (call_id.as_str(), from_tag.as_str(), 1);
        let mut request = self
            .request_for(session, Method::MESSAGE, &target, ids)
            .ok_or_else(|| wrong("no such session"))?;
        request.set_body(kind, body);
        if !fits(&self.upstream.target(self.now.mono_us), &request) {
            let what =
                "too long for a datagram of 1300 bytes; give [registrar] transport = \"tcp\"";
            return Err((413, what.to_owned()));
        }
        Ok(request)
    }

    /// The network's final response to a MESSAGE of the app.
    pub(super) fn on_sent(
        &mut self,
        session: &SessionId,
        subsession: Option<String>,
        correlation: Option<String>,
        status: u16,
    ) {
        let Some(entry) = self.entries.get_mut(session).filter(|entry| !entry.over) else { return };
        let sending = &mut entry.session.record.sending;
        let same = |it: &Sending| it.subsession == subsession && it.correlation == correlation;
        if let Some(at) = sending.iter().position(same) {
            sending.remove(at);
        }
        let mut answer = if status < 300 {
            let mut answer = Frame::response("messaging", "send", MessageState::Final);
            answer.header.response_code = Some(status);
            answer
        } else {
            let (code, reason) = failure_for_app(status);
            Frame::error("messaging", "send", code, &reason)
        };
        answer.control.subsession_id = subsession;
        answer.control.correlation_id = correlation;
        self.send(session, answer);
    }

    /// Messages that were on their way when the process ended: whether they arrived is not known,
    /// and they are not sent twice.
    pub(super) fn recover_sending(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        for sending in std::mem::take(&mut entry.session.record.sending) {
            let reason = "the gateway was restarted: whether this was delivered is not known";
            let mut error = Frame::error("messaging", "send", 480, reason);
            error.control.subsession_id = sending.subsession;
            error.control.correlation_id = sending.correlation;
            self.send(session, error);
        }
    }
}

/// RFC 3428 section 8: true if a MESSAGE may go by this flow. Other requests may go by any, since
/// what is too large for UDP leaves it.
pub(super) fn fits(flow: &Flow, request: &Message) -> bool {
    let is_message = request.method() == Some(&Method::MESSAGE);
    flow.transport.is_reliable() || !is_message || request.to_bytes().len() <= MOST_BYTES
}

/// `type/subtype` with parameters, and nothing that would end a header line.
fn is_media(kind: &str) -> bool {
    let named = kind.split(';').next().unwrap_or_default().trim();
    let is_token = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-.+_!".contains(c))
    };
    let is_named = named.split_once('/').is_some_and(|(a, b)| is_token(a) && is_token(b));
    is_named && kind.len() <= 255 && kind.chars().all(|c| c.is_ascii_graphic() || c == ' ')
}

/// The body of a `send`: text, or bytes in base64 where the header says so.
fn content_of(frame: &Frame) -> Result<Vec<u8>, &'static str> {
    let Some(content) = frame.payload.get("content").and_then(|content| content.as_str()) else {
        return Err("payload.content is missing; write the text of the message");
    };
    let coding = frame.header.extra.get("content_transfer_encoding");
    match coding.map(|coding| coding.as_str()) {
        None => Ok(content.as_bytes().to_vec()),
        Some(Some("base64")) => STANDARD
            .decode(content)
            .map_err(|_| "payload.content is no base64, which its header says it is"),
        Some(_) => Err("header.content_transfer_encoding; write \"base64\", or leave it out"),
    }
}
