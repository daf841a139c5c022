//! One call for a session, from accepted to over: the SIP messages of our side of it, built from
//! its record and the caller's INVITE. After the ACK it is the dialog (RFC 3261 section 12).

use std::borrow::Cow;

use reveille_wire::jsonrtc::Frame;
use reveille_wire::sip::{Message, Method};
use serde_json::Value;

use crate::io::{Flow, Transport};
use crate::record::{CallRecord, Phase, Raw};
use crate::transaction::TransactionKey;

/// Methods that this gateway takes, as Allow says them.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS";

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) record: CallRecord,
    pub(crate) invite: Message,
    pub(crate) key: TransactionKey,
    pub(crate) call_id: String,
    pub(crate) from_tag: String,
    /// Current interval of the repeated 2xx, in milliseconds.
    pub(crate) repeat_ms: u64,
}

impl Call {
    /// Reads the INVITE of a record. `None`: the bytes are no INVITE of ours, which only a foreign
    /// hand in the fabric can cause.
    pub(crate) fn new(record: CallRecord) -> Option<Self> {
        let invite = Message::parse(&record.invite.0).ok()?;
        let key = TransactionKey::of(&invite)?;
        let call_id = invite.call_id().ok()?.to_owned();
        let from_tag = invite.from().ok()?.tag().unwrap_or_default().to_owned();
        Some(Self { record, invite, key, call_id, from_tag, repeat_ms: 0 })
    }

    pub(crate) const fn is_undecided(&self) -> bool {
        matches!(self.record.phase, Phase::Held | Phase::Offered { .. })
    }

    /// True between the app's 180 and its decision.
    pub(crate) const fn is_rung(&self) -> bool {
        matches!(self.record.phase, Phase::Offered { rung_wall_us: Some(_), .. })
    }

    /// The correlation id of the `start` that the app has, if it was given one.
    pub(crate) fn correlation(&self) -> Option<&str> {
        match &self.record.phase {
            Phase::Offered { correlation, .. } => Some(correlation),
            Phase::Decided { correlation, .. } => correlation.as_deref(),
            Phase::Held | Phase::Confirmed { .. } => None,
        }
    }

    /// The status of a final response that was decided.
    pub(crate) const fn decided(&self) -> Option<u16> {
        match self.record.phase {
            Phase::Decided { status, .. } => Some(status),
            Phase::Confirmed { .. } => Some(200),
            Phase::Held | Phase::Offered { .. } => None,
        }
    }

    /// A response to the INVITE (RFC 3261 section 8.2.6); all but 100 carry our To tag, and those
    /// that make a dialog our Contact.
    pub(crate) fn response(&self, status: u16, reason: &str, contact: &str) -> Message {
        let tag = (status > 100).then_some(self.record.to_tag.as_str());
        let mut response = self.invite.reply(status, reason, tag);
        if status > 100 && status < 300 {
            response.push("Contact", format!("<{}>", self.contact(contact)));
            response.push("Allow", ALLOW);
        }
        response
    }

    /// The answer of the app as a 200.
    pub(crate) fn answer(&self, sdp: &str, contact: &str) -> Message {
        let mut response = self.response(200, "OK", contact);
        response.set_body("application/sdp", sdp.as_bytes());
        response
    }

    /// The `start` that gives the app this call.
    pub(crate) fn start(&self, target: &str) -> Frame {
        let mut frame = Frame::request("call", "start");
        frame.control.subsession_id = Some(self.record.subsession.clone());
        frame.control.correlation_id = self.correlation().map(ToOwned::to_owned);
        frame.header.initiator = Some(self.initiator());
        frame.header.target = Some(target.to_owned());
        if let Some(sdp) = self.offer() {
            frame.payload.insert("sdp".to_owned(), Value::String(sdp));
        }
        frame
    }

    /// A message of package `call` about this call.
    pub(crate) fn message(&self, action: &str, target: &str) -> Frame {
        let mut frame = Frame::message("call", action);
        frame.control.subsession_id = Some(self.record.subsession.clone());
        frame.control.correlation_id = self.correlation().map(ToOwned::to_owned);
        frame.header.initiator = Some(self.initiator());
        frame.header.target = Some(target.to_owned());
        frame
    }

    /// The Contact as the request wants it: who calls by sips: is answered by sips:, which asks for
    /// TLS by itself (RFC 3261 section 12.1.1, RFC 5630 section 3.1.3).
    fn contact<'a>(&self, contact: &'a str) -> Cow<'a, str> {
        let by_sips =
            self.invite.uri().is_some_and(|uri| uri.to_ascii_lowercase().starts_with("sips:"));
        match contact.strip_prefix("sip:") {
            Some(rest) if by_sips => {
                Cow::Owned(format!("sips:{}", rest.trim_end_matches(Transport::Tls.uri_param())))
            }
            _ => Cow::Borrowed(contact),
        }
    }

    /// The caller, `user@host` where the From is a SIP URI.
    pub(crate) fn initiator(&self) -> String {
        self.invite.from().map(|from| from.uri.aor()).unwrap_or_default()
    }

    fn offer(&self) -> Option<String> {
        let body = String::from_utf8_lossy(&self.invite.body);
        (!body.is_empty()).then(|| body.into_owned())
    }

    /// True if `request` belongs to the dialog (early or confirmed) of this call, by Call-ID and
    /// tags alone: some callers keep sending to the URI that they first called.
    pub(crate) fn owns(&self, request: &Message) -> bool {
        let tag = |side: Option<&str>| side.unwrap_or_default().to_owned();
        let to = request.to().map(|to| tag(to.tag())).unwrap_or_default();
        let from = request.from().map(|from| tag(from.tag())).unwrap_or_default();
        to == self.record.to_tag && from == self.from_tag
    }

    /// A BYE from our side of the dialog (RFC 3261 sections 12.2.1.1 and 15.1.1). The caller's
    /// Record-Route is our route set, in the same order.
    pub(crate) fn bye(&self, cseq: u32, via: &str) -> Message {
        let remote = self.invite.contacts().ok().and_then(|contacts| {
            contacts.into_iter().find_map(|contact| contact.addr().map(|it| it.uri.to_string()))
        });
        let header = |name| self.invite.header(name).unwrap_or_default().to_string();
        let from = format!("{};tag={}", header("To"), self.record.to_tag);
        let target = remote.unwrap_or_else(|| format!("sip:{}", self.initiator()));
        let mut bye = Message::request(Method::BYE, target).with("Via", via);
        for route in self.invite.values("Record-Route") {
            bye.push("Route", route);
        }
        bye.with("Max-Forwards", "70")
            .with("From", from)
            .with("To", header("From"))
            .with("Call-ID", self.call_id.as_str())
            .with("CSeq", format!("{cseq} BYE"))
            .with("Content-Length", "0")
    }

    /// The way back to the caller when the way it came is gone (RFC 3261 section 18.2.2): for a
    /// stream, a new connection to where the Via says that the caller listens. Over TLS the name in
    /// the Via is dialled, since it is the one that a certificate can prove.
    pub(crate) fn return_flow(&self) -> Flow {
        let mut flow = self.record.flow.clone();
        flow.connection = None;
        if flow.transport.is_dialled()
            && let Ok(via) = self.invite.via()
        {
            let received = via.received.as_deref().filter(|_| !flow.transport.is_secure());
            let host = received.unwrap_or(&via.host);
            let port = via.port.unwrap_or(flow.transport.default_port());
            flow.peer = format!("{host}:{port}");
        }
        flow
    }

    /// Marks the final response as decided.
    pub(crate) fn decide(&mut self, status: u16, response: Vec<u8>, at_wall_us: u64) {
        let correlation = self.correlation().map(ToOwned::to_owned);
        let response = Raw(response);
        let hung_up = false;
        self.record.phase = Phase::Decided { status, response, at_wall_us, correlation, hung_up };
    }
}
