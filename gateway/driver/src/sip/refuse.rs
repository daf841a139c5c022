//! The answer to a request that is malformed, yet says enough to be answered.

use reveille_wire::sip::{Malformed, Message};

/// The fields that a response repeats (RFC 3261 section 8.2.6.2), and their compact names.
const REPEATED: &[(&str, &str)] =
    &[("Via", "v"), ("From", "f"), ("To", "t"), ("Call-ID", "i"), ("CSeq", "cseq")];
/// Longest head that is searched for them.
const MOST_HEAD: usize = 16 * 1024;
/// The tag of a To that has none: the same for every repetition, since nothing is remembered.
const TAG: &str = "malformed";

/// The header lines of the head, folded lines joined, without the start line. Lines may end in LF
/// alone: that is a fault of its own, and worth an answer.
fn lines(raw: &[u8]) -> Option<(String, Vec<(String, String)>)> {
    let head = &raw[..raw.len().min(MOST_HEAD)];
    let text = std::str::from_utf8(head)
        .unwrap_or_else(|bad| std::str::from_utf8(&head[..bad.valid_up_to()]).unwrap_or_default());
    let text = text.trim_start_matches(['\r', '\n']);
    let all = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let mut all = all.take_while(|line| !line.is_empty());
    let start = all.next()?.to_owned();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in all.take(256) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    Some((start, fields))
}

/// The Call-ID, found without judging the rest.
pub(super) fn call_id(raw: &[u8]) -> Option<String> {
    let (_, fields) = lines(raw)?;
    fields.into_iter().find(|(name, _)| is(name, "Call-ID", "i")).map(|(_, value)| value)
}

fn is(name: &str, long: &str, compact: &str) -> bool {
    name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(compact)
}

/// True for the start line of what may be answered: a request, and no ACK.
fn is_answerable(start: &str) -> bool {
    let method = start.split([' ', '\t']).next().unwrap_or_default();
    let is_token = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_graphic());
    let is_response = start.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("SIP/"));
    let is_sip = start.to_ascii_uppercase().contains(" SIP/");
    is_token && !is_response && is_sip && method != "ACK"
}

/// The response to a malformed request: 400, or 505 for another version, its reason naming rule
/// and offset. `None` if it is a response, an ACK, or lacks a field that a response must repeat.
pub(super) fn answer(raw: &[u8], fault: &Malformed) -> Option<Vec<u8>> {
    let (start, fields) = lines(raw)?;
    if !is_answerable(&start) {
        return None;
    }
    let mut copied = String::new();
    for (long, compact) in REPEATED {
        let mut values = fields.iter().filter(|(name, _)| is(name, long, compact));
        let (_, first) = values.next().filter(|(_, value)| !value.is_empty())?;
        let tag =
            if *long == "To" && !has_tag(first) { format!(";tag={TAG}") } else { String::new() };
        copied.push_str(&format!("{long}: {first}{tag}\r\n"));
        // Of the others a second one may be the very fault; a response has each of them once.
        for (_, value) in values.filter(|_| *long == "Via") {
            copied.push_str(&format!("{long}: {value}\r\n"));
        }
    }
    if copied.chars().any(|c| c.is_control() && !matches!(c, '\r' | '\n' | '\t'))
        || copied.replace("\r\n", "").contains(['\r', '\n'])
    {
        return None;
    }
    let (status, reason) = (fault.status(), reason(fault));
    let answer = format!("SIP/2.0 {status} {reason}\r\n{copied}Content-Length: 0\r\n\r\n");
    Some(answer.into_bytes())
}

/// The phrase of the status, then what the sender has to know, as one line of ASCII.
fn reason(fault: &Malformed) -> String {
    let phrase = Message::reason_phrase(fault.status());
    let plain = |c: char| if c.is_control() || !c.is_ascii() { '?' } else { c };
    let what: String = fault.what.chars().map(plain).take(160).collect();
    format!("{phrase} ({}, offset {}: {what})", fault.rule, fault.offset)
}

fn has_tag(to: &str) -> bool {
    let mut params = to.split(';').skip(1);
    params.any(|param| {
        let name = param.split('=').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("tag")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: &str = "OPTIONS sip:bob@example.com SIP/2.0\r\nv: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\r\n\
        f: <sip:a@example.com>;tag=1\r\nt: <sip:bob@example.com>\r\ni: x1\r\nCSeq: 1 INVITE\r\n\r\n";

    fn fault(raw: &str) -> Malformed {
        let read = Message::parse(raw.as_bytes()).and_then(|message| message.validate());
        read.expect_err("the message is malformed")
    }

    #[test]
    fn a_malformed_request_is_answered_with_the_rule() {
        let answer = answer(BAD.as_bytes(), &fault(BAD)).expect("it says enough");
        let text = String::from_utf8(answer).expect("ASCII");
        assert!(
            text.starts_with("SIP/2.0 400 Bad Request (RFC 3261 8.1.1.5, offset 147: "),
            "{text}"
        );
        let response = Message::parse(text.as_bytes()).expect("the answer is SIP");
        assert_eq!(response.call_id().expect("copied"), "x1");
        let to = response.to().expect("a To");
        assert_eq!(to.tag(), Some(TAG), "RFC 3261 8.2.6.2: the To of a response has a tag");
    }

    #[test]
    fn a_field_that_stands_twice_is_repeated_once_and_every_via_is() {
        let twice = BAD
            .replace("i: x1\r\n", "i: x1\r\nCall-ID: x2\r\nVia: SIP/2.0/UDP b;branch=z9hG4bKb\r\n")
            .replace("1 INVITE", "1 OPTIONS");
        let answer = answer(twice.as_bytes(), &fault(&twice)).expect("it says enough");
        let response = Message::parse(&answer).expect("the answer is SIP");
        assert_eq!(response.validate(), Ok(()));
        assert_eq!((response.call_id(), response.vias().map(|all| all.len())), (Ok("x1"), Ok(2)));
    }

    #[test]
    fn lines_that_end_in_lf_are_told_so_and_other_controls_never_come_back() {
        let unix = BAD.replace("\r\n", "\n");
        let text = answer(unix.as_bytes(), &fault(&unix)).expect("it says enough");
        let text = String::from_utf8(text).expect("ASCII");
        assert!(text.contains("end lines with CRLF"), "{text}");
        assert_eq!(Message::parse(text.as_bytes()).expect("SIP").validate(), Ok(()));
        for control in ["\r", "\0", "\x1b"] {
            let raw = BAD.replace("i: x1", &format!("i: x{control}1"));
            assert_eq!(answer(raw.as_bytes(), &fault(BAD)), None);
        }
    }

    #[test]
    fn another_version_is_505() {
        let raw = BAD.replacen("SIP/2.0\r", "SIP/7.0\r", 1);
        let text = String::from_utf8(answer(raw.as_bytes(), &fault(&raw)).expect("enough"));
        assert!(text.expect("ASCII").starts_with("SIP/2.0 505 "));
    }

    #[test]
    fn nothing_answers_an_ack_a_response_or_too_little() {
        let fault = fault(BAD);
        let ack = BAD.replacen("OPTIONS", "ACK", 1);
        assert_eq!(answer(ack.as_bytes(), &fault), None);
        assert_eq!(answer(BAD.replace("i: x1\r\n", "").as_bytes(), &fault), None);
        for start in
            ["SIP/2.0 200 OK", "sip/2.0 200 OK SIP/2.0", "ACK\tsip:b SIP/2.0", " x SIP/2.0"]
        {
            let raw = BAD.replacen("OPTIONS sip:bob@example.com SIP/2.0", start, 1);
            assert_eq!(answer(raw.as_bytes(), &fault), None, "{start}");
        }
        assert_eq!(answer(b"\xff\xfe\x00", &fault), None);
    }
}
