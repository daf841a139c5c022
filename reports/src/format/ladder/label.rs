//! What is written on an arrow.

use reveille_trace::{Event, Kind};

use crate::text::{ascii, clip};

/// No name from the wire is longer than this on an arrow.
const LONGEST: usize = 40;
/// A head of a SIP message is read no further than this.
const HEAD: usize = 8_192;
/// A JsonRTC text longer than this is not parsed for its label.
const TEXT: usize = 1_048_576;

/// A label, and a shorter one for where the lanes stand close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) long: String,
    pub(super) short: String,
}

impl Label {
    pub(super) fn new(long: &str, short: &str) -> Self {
        Self { long: clip(&ascii(long), LONGEST), short: clip(&ascii(short), LONGEST) }
    }

    pub(super) fn plain(text: &str) -> Self {
        Self::new(text, text)
    }

    /// The same with more said at its end.
    pub(super) fn and(&self, more: &str) -> Self {
        Self { long: format!("{} {more}", self.long), short: format!("{} {more}", self.short) }
    }
}

/// The label of a message by its bytes.
pub(super) fn of(event: &Event) -> Label {
    match event.kind {
        Kind::SipSent | Kind::SipReceived => sip(event.bytes()),
        Kind::RtcSent | Kind::RtcReceived => rtc(event.bytes()),
        _ => Label::plain("push"),
    }
}

fn sip(bytes: &[u8]) -> Label {
    let head = head(bytes);
    let first = head.lines().next().unwrap_or_default();
    let mut words = first.split(' ');
    let (start, next) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if start != "SIP/2.0" {
        let again = start == "INVITE" && header(&head, "to", "t").contains(";tag=");
        return Label::new(if again { "re-INVITE" } else { start }, start);
    }
    let method = header(&head, "cseq", "cseq").split_whitespace().nth(1).unwrap_or_default();
    if next.starts_with('1') && method == "INVITE" {
        return Label::plain(next);
    }
    Label::new(&format!("{next} ({method})"), next)
}

fn rtc(bytes: &[u8]) -> Label {
    let unread = || Label::plain(&format!("{} bytes", bytes.len()));
    if is_keep_alive(bytes) {
        return Label::plain(&String::from_utf8_lossy(bytes));
    }
    if bytes.len() > TEXT {
        return unread();
    }
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(bytes) else { return unread() };
    let (control, header) = (&json["control"], &json["header"]);
    let kind = || control["type"].as_str().or(control["package_type"].as_str());
    let Some(action) = header["action"].as_str().or_else(kind) else { return unread() };
    if control["type"].as_str() != Some("response") {
        return Label::plain(action);
    }
    let state = control["message_state"].as_str().unwrap_or("response");
    let result = header["response_code"].as_u64().map_or(state.to_owned(), |c| c.to_string());
    Label::new(&format!("{result} ({action})"), &result)
}

/// True for the texts that only say that somebody is there.
pub(super) fn is_keep_alive(bytes: &[u8]) -> bool {
    matches!(bytes, b"ping" | b"pong")
}

/// True for the messages of a registration.
pub(super) fn is_register(event: &Event) -> bool {
    if !matches!(event.kind, Kind::SipSent | Kind::SipReceived) {
        return false;
    }
    let head = head(event.bytes());
    header(&head, "cseq", "cseq").split_whitespace().nth(1) == Some("REGISTER")
}

/// The status of a SIP response.
pub(super) fn status(event: &Event) -> Option<u16> {
    head(event.bytes()).strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// Which call a message is of, as its caller names it: the user of From, or of the initiator.
pub(super) fn caller(event: &Event) -> Option<String> {
    let bytes = event.bytes();
    if matches!(event.kind, Kind::SipSent | Kind::SipReceived) {
        let head = head(bytes);
        let (_, user) = header(&head, "from", "f").split_once("sip:")?;
        return Some(clip(&ascii(user.split('@').next()?), 16));
    }
    if bytes.len() > TEXT {
        return None;
    }
    let json = serde_json::from_slice::<serde_json::Value>(bytes).ok()?;
    if json["control"]["package_type"].as_str() != Some("call") {
        return None;
    }
    let user = json["header"]["initiator"].as_str()?.split('@').next()?;
    Some(clip(&ascii(user), 16))
}

/// True for a request that begins a call.
pub(super) fn is_first_invite(event: &Event) -> bool {
    matches!(event.kind, Kind::SipSent | Kind::SipReceived) && of(event).long == "INVITE"
}

fn head(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    let bytes = &bytes[..bytes.len().min(HEAD)];
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end])
}

fn header<'a>(head: &'a str, name: &str, compact: &str) -> &'a str {
    let of_line = |line: &'a str| {
        let (key, value) = line.split_once(':')?;
        let key = key.trim();
        let is = key.eq_ignore_ascii_case(name) || key.eq_ignore_ascii_case(compact);
        is.then_some(value.trim())
    };
    head.lines().skip(1).find_map(of_line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sip_is_labelled_by_method_or_status() {
        let long = |text: &str| sip(text.replace('\n', "\r\n").as_bytes()).long;
        assert_eq!(long("INVITE sip:b SIP/2.0\nt: <sip:b>\n\nTo: x;tag=1"), "INVITE");
        assert_eq!(long("INVITE sip:b SIP/2.0\nTo: <sip:b>;tag=1\n\n"), "re-INVITE");
        assert_eq!(long("SIP/2.0 183 Session Progress\nCSeq: 1 INVITE\n\n"), "183");
        assert_eq!(long("SIP/2.0 200 OK\nCSEQ : 1  BYE\n\n"), "200 (BYE)");
        assert_eq!(long("\u{1b}[2J x"), r"\u{1b}[2J");
        assert_eq!(long(""), "");
    }

    #[test]
    fn frames_are_labelled_by_action_and_result() {
        let long = |text: &str| rtc(text.as_bytes()).long;
        assert_eq!(long(r#"{"control":{"type":"request"},"header":{"action":"start"}}"#), "start");
        let response = r#"{"control":{"type":"response","message_state":"final"},"header":
            {"action":"start"}}"#;
        assert_eq!(long(response), "final (start)");
        let coded = response.replace(r#""start"}"#, r#""start","response_code":486}"#);
        assert_eq!(long(&coded), "486 (start)");
        assert_eq!(long("hello"), "5 bytes");
        assert_eq!(long("ping"), "ping");
        assert_eq!(long(r#"{"control":{"package_type":"acknowledge"}}"#), "acknowledge");
    }
}
