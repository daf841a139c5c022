//! One SIP MESSAGE for a session, from accepted to forgotten: what its record means towards the app
//! and towards its sender (RFC 3428).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reveille_wire::jsonrtc::Frame;
use reveille_wire::sip::Message;

use crate::io::Flow;
use crate::record::{Answer, Delivery, MessageRecord, Raw};
use crate::transaction::TransactionKey;

/// What a MESSAGE may carry, as Accept says it.
pub(crate) const ACCEPT: &str = "text/*, application/*, message/*";
/// What is no reason to wake anybody: that somebody is typing (RFC 3994), or has read (RFC 5438).
const QUIET: [&str; 2] = ["application/im-iscomposing+xml", "message/imdn+xml"];

/// Longest life of a stored message, in seconds; the end of the sleep may come before (O-11), or the
/// time that its sender gave it.
const LIFE_S: u64 = 604_800;

#[derive(Debug, Clone)]
pub(crate) struct InstantMessage {
    pub(crate) record: MessageRecord,
    pub(crate) request: Message,
    pub(crate) key: TransactionKey,
    /// Until then the app is woken for it, in monotonic microseconds.
    pub(crate) wake_until_us: u64,
}

impl InstantMessage {
    /// Reads the MESSAGE of a record. `None`: the bytes are no request of ours, which only a
    /// foreign hand in the fabric can cause.
    pub(crate) fn new(record: MessageRecord, wake_until_us: u64) -> Option<Self> {
        let request = Message::parse(&record.request.0).ok()?;
        let key = TransactionKey::of(&request)?;
        Some(Self { record, request, key, wake_until_us })
    }

    /// The way back to the sender when the way it came is gone.
    pub(crate) fn return_flow(&self) -> Flow {
        self.record.flow.return_of(&self.request)
    }

    /// Wall time after which nobody is given it any more (RFC 3428 section 4: Expires).
    pub(crate) fn ends_wall_us(&self) -> u64 {
        let asked_s = self.request.expires().ok().flatten().map_or(LIFE_S, u64::from);
        self.record.accepted_wall_us + asked_s.min(LIFE_S) * 1_000_000
    }

    /// True while the app has not confirmed it.
    pub(crate) const fn is_undelivered(&self) -> bool {
        !matches!(self.record.delivery, Delivery::Done { .. })
    }

    /// True if nobody is woken for it: it waits until the app comes for another reason.
    pub(crate) fn is_quiet(&self) -> bool {
        let priority = self.request.header("Priority").unwrap_or_default().trim();
        let kind = self.request.header("Content-Type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        priority.eq_ignore_ascii_case("non-urgent")
            || QUIET.iter().any(|quiet| kind.eq_ignore_ascii_case(quiet))
    }

    /// True if nothing is left to do for it but to know it when it comes again.
    pub(crate) const fn is_settled(&self) -> bool {
        !self.is_undelivered() && self.record.answer.is_some()
    }

    /// The correlation id of the `send` that the app was given.
    pub(crate) fn correlation(&self) -> Option<&str> {
        match &self.record.delivery {
            Delivery::Held => None,
            Delivery::Offered { correlation, .. } | Delivery::Done { correlation } => {
                Some(correlation)
            }
        }
    }

    /// The app confirmed it.
    pub(crate) fn confirm(&mut self) {
        let correlation = self.correlation().unwrap_or_default().to_owned();
        self.record.delivery = Delivery::Done { correlation };
    }

    pub(crate) fn initiator(&self) -> String {
        self.request.from().map(|from| from.uri.aor()).unwrap_or_default()
    }

    /// The `send` that gives the app this message. A body that is no UTF-8 goes as base64.
    pub(crate) fn send(&self, target: &str) -> Frame {
        let mut frame = Frame::request("messaging", "send");
        frame.control.subsession_id = Some(self.record.subsession.clone());
        frame.header.initiator = Some(self.initiator());
        frame.header.target = Some(target.to_owned());
        if let Some(kind) = self.request.header("Content-Type") {
            frame.header.extra.insert("content_type".to_owned(), kind.trim().into());
        }
        let content = match std::str::from_utf8(&self.request.body) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                let coding = "content_transfer_encoding".to_owned();
                frame.header.extra.insert(coding, "base64".into());
                STANDARD.encode(&self.request.body)
            }
        };
        frame.payload.insert("content".to_owned(), content.into());
        frame
    }

    /// The final response, from here on the only one.
    pub(crate) fn answer(&mut self, status: u16) -> Vec<u8> {
        let bytes = answer_to(&self.request, status, &self.record.to_tag);
        self.record.answer = Some(Answer { status, response: Raw(bytes.clone()) });
        bytes
    }
}

/// A final response to a MESSAGE: it makes no dialog, so it has no Contact (RFC 3428 section 7).
pub(crate) fn answer_to(request: &Message, status: u16, to_tag: &str) -> Vec<u8> {
    let mut response = request.reply(status, Message::reason_phrase(status), Some(to_tag));
    response.remove("Record-Route");
    response.to_bytes()
}

/// Call-ID, CSeq number and From tag: the same request, whatever way it comes.
pub(crate) fn identity(request: &Message) -> String {
    let from_tag = request.from().map(|from| from.tag().unwrap_or_default().to_owned());
    let cseq = request.cseq().map(|cseq| cseq.number).unwrap_or_default();
    let call_id = request.call_id().unwrap_or_default();
    format!("{call_id} {cseq} {}", from_tag.unwrap_or_default())
}

/// Why a MESSAGE is not taken, whoever it is for: status and a header that says what would be.
pub(crate) fn refusal(request: &Message, most_bytes: usize) -> Option<(u16, Vec<(&str, String)>)> {
    let coding = request.header("Content-Encoding").map(str::trim).unwrap_or_default();
    if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
        return Some((415, vec![("Accept-Encoding", "identity".to_owned())]));
    }
    if request.body.len() > most_bytes {
        return Some((413, Vec::new()));
    }
    let kind = request.header("Content-Type").unwrap_or_default().trim().to_ascii_lowercase();
    let is_bare = kind.is_empty() && request.body.is_empty();
    let is_taken =
        ["text/", "application/", "message/"].iter().any(|taken| kind.starts_with(taken));
    (!is_bare && !is_taken).then(|| (415, vec![("Accept", ACCEPT.to_owned())]))
}

/// The code that the app's answer gives the sender: 200 unless it says more. 401, 407 and 408 mean
/// something else to the sender than to the app, and 408 is never said to a non-INVITE request.
pub(crate) fn code_of(frame: &Frame) -> u16 {
    let (header, is_error) = (&frame.header, frame.header.error_code.is_some());
    let code = header.error_code.or(header.response_code).unwrap_or(200);
    match code {
        401 | 407 | 408 => 480,
        200..=299 if !is_error => code,
        300..=699 => code,
        _ => 480,
    }
}
