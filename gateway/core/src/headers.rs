//! Extension headers: members of a frame's header that travel as SIP headers, as the operator says.

use reveille_wire::jsonrtc::Frame;
use reveille_wire::sip::Message;

use crate::config::HeaderRule;

/// Longest value that is carried over, in bytes.
const MOST_VALUE: usize = 1_024;

/// Members of a frame's header that are never extension headers (jsonrtc.md 1.3).
const RESERVED_MEMBERS: [&str; 16] = [
    "action",
    "initiator",
    "target",
    "cslr",
    "cslw",
    "csuw",
    "sslr",
    "error_code",
    "response_code",
    "reason",
    "authorization",
    "authenticate",
    "expiry",
    "ttl",
    "reliable",
    "sip_method",
];

/// SIP headers that the gateway itself answers for; no app may write them.
const RESERVED_HEADERS: [&str; 28] = [
    "via",
    "v",
    "from",
    "f",
    "to",
    "t",
    "call-id",
    "i",
    "cseq",
    "contact",
    "m",
    "route",
    "record-route",
    "max-forwards",
    "content-length",
    "l",
    "content-type",
    "c",
    "require",
    "proxy-require",
    "supported",
    "k",
    "allow",
    "authorization",
    "proxy-authorization",
    "session-expires",
    "path",
    "service-route",
];

/// Why a rule makes no sense, if it does not.
#[must_use]
pub fn fault(rule: &HeaderRule) -> Option<String> {
    if RESERVED_MEMBERS.contains(&rule.member.as_str()) || rule.member.is_empty() {
        return Some(format!("`{}` is a member of the protocol; choose another name", rule.member));
    }
    let is_token = |c: char| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c);
    if rule.header.is_empty() || !rule.header.chars().all(is_token) {
        return Some(format!("`{}` is no SIP header name (RFC 3261 25.1)", rule.header));
    }
    let name = rule.header.to_ascii_lowercase();
    RESERVED_HEADERS.contains(&name.as_str()).then(|| {
        format!("`{}` is the gateway's own; choose a header that routes nothing", rule.header)
    })
}

/// RFC 3323: true if the sender asked for privacy.
pub(crate) fn is_private(message: &Message) -> bool {
    message.header("Privacy").is_some_and(|value| value.trim() != "none")
}

/// Puts what the app said into a SIP message.
pub(crate) fn to_sip(rules: &[HeaderRule], app: &str, frame: &Frame, message: &mut Message) {
    for rule in rules.iter().filter(|rule| rule.is_for(app) && rule.to_sip) {
        let Some(value) = frame.header.extra.get(&rule.member) else { continue };
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let is_sound = text.len() <= MOST_VALUE && !text.chars().any(char::is_control);
        if is_sound && !text.is_empty() {
            message.push(&rule.header, text);
        }
    }
}

/// Puts what a SIP message says into a frame.
pub(crate) fn to_app(rules: &[HeaderRule], app: &str, message: &Message, frame: &mut Frame) {
    for rule in rules.iter().filter(|rule| rule.is_for(app) && rule.to_app) {
        let Some(value) = message.header(&rule.header) else { continue };
        if value.len() <= MOST_VALUE && !frame.header.extra.contains_key(&rule.member) {
            frame.header.extra.insert(rule.member.clone(), value.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reveille_wire::sip::Method;
    use serde_json::json;

    fn rule(member: &str, header: &str) -> HeaderRule {
        HeaderRule {
            app: None,
            member: member.to_owned(),
            header: header.to_owned(),
            to_sip: true,
            to_app: true,
        }
    }

    #[test]
    fn what_is_named_travels_and_nothing_else_does() {
        let rules = [rule("customer", "X-Customer"), rule("pin", "X-Pin")];
        let mut frame = Frame::request("call", "start");
        for (name, value) in
            [("customer", json!("42")), ("pin", json!("1\r\nRoute: x")), ("o", json!("o"))]
        {
            frame.header.extra.insert(name.to_owned(), value);
        }
        let mut message = Message::request(Method::INVITE, "sip:a@b");
        to_sip(&rules, "app", &frame, &mut message);
        assert_eq!(message.header("X-Customer"), Some("42"));
        assert!(message.header("X-Pin").is_none(), "a line break would be a header of its own");
        let mut back = Frame::request("call", "start");
        to_app(&rules, "app", &message, &mut back);
        assert_eq!(back.header.extra.get("customer"), Some(&json!("42")));
        let other = HeaderRule { app: Some("other".to_owned()), ..rule("customer", "X-Customer") };
        let mut message = Message::request(Method::INVITE, "sip:a@b");
        to_sip(&[other], "app", &frame, &mut message);
        assert!(message.header("X-Customer").is_none());
    }

    #[test]
    fn a_rule_may_touch_neither_the_protocol_nor_the_routing() {
        assert!(fault(&rule("action", "X-A")).is_some());
        assert!(fault(&rule("a", "Record-Route")).is_some());
        assert!(fault(&rule("a", "X A")).is_some());
        assert_eq!(fault(&rule("a", "X-A")), None);
    }
}
