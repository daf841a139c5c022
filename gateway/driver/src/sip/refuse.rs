//! The answer to a request that is malformed, yet says enough to be answered.

use reveille_wire::sip::{Malformed, Message};

/// The fields that a response repeats (RFC 3261 section 8.2.6.2), and their compact names.
const REPEATED: &[(&str, &str)] =
    &[("via", "v"), ("from", "f"), ("to", "t"), ("call-id", "i"), ("cseq", "cseq")];
/// Longest head that is searched for them.
const MOST_HEAD: usize = 16 * 1024;

/// The header lines of the head, folded lines joined, without the start line.
fn lines(raw: &[u8]) -> Option<(String, Vec<(String, String)>)> {
    let head = &raw[..raw.len().min(MOST_HEAD)];
    let text = std::str::from_utf8(head)
        .unwrap_or_else(|bad| std::str::from_utf8(&head[..bad.valid_up_to()]).unwrap_or_default());
    let text = text.trim_start_matches(['\r', '\n']);
    let mut all = text.split("\r\n").take_while(|line| !line.is_empty());
    let start = all.next()?.to_owned();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in all.take(256) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    Some((start, fields))
}

/// The Call-ID, found without judging the rest.
pub(super) fn call_id(raw: &[u8]) -> Option<String> {
    let (_, fields) = lines(raw)?;
    fields.into_iter().find(|(name, _)| name == "call-id" || name == "i").map(|(_, value)| value)
}

/// The response to a malformed request: 400, or 505 for another version, its reason naming the
/// rule. `None` if it is a response, an ACK, or lacks a field that a response must repeat.
pub(super) fn answer(raw: &[u8], fault: &Malformed) -> Option<Vec<u8>> {
    let (start, fields) = lines(raw)?;
    if start.starts_with("SIP/") || start.starts_with("ACK ") || !start.contains(" SIP/") {
        return None;
    }
    let mut copied = String::new();
    for (long, compact) in REPEATED {
        let mut any = false;
        for (_, value) in fields.iter().filter(|(name, _)| name == long || name == compact) {
            let name = match *long {
                "call-id" => "Call-ID",
                "cseq" => "CSeq",
                "via" => "Via",
                "from" => "From",
                _ => "To",
            };
            copied.push_str(&format!("{name}: {value}\r\n"));
            any = true;
        }
        if !any {
            return None;
        }
    }
    let status = fault.status();
    let what: String = fault
        .what
        .chars()
        .map(|c| if c.is_control() || !c.is_ascii() { '?' } else { c })
        .take(120)
        .collect();
    let phrase = Message::reason_phrase(status);
    Some(
        format!(
            "SIP/2.0 {status} {phrase} ({}: {what})\r\n{copied}Content-Length: 0\r\n\r\n",
            fault.rule
        )
        .into_bytes(),
    )
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
        assert!(text.starts_with("SIP/2.0 400 Bad Request (RFC 3261 8.1.1.5: "), "{text}");
        let response = Message::parse(text.as_bytes()).expect("the answer is SIP");
        assert_eq!(response.call_id().expect("copied"), "x1");
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
        assert_eq!(answer(b"SIP/2.0 200 OK\r\n\r\n", &fault), None);
        assert_eq!(answer(b"\xff\xfe\x00", &fault), None);
    }
}
