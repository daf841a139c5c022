//! The torture messages of RFC 4475 and, as `ipv6-*`, those of RFC 5118, each by the name the RFC
//! gives it. They are written anew from the RFCs' descriptions, with the feature or the defect that
//! the RFC describes; names, addresses and ids are ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use reveille_wire::sip::{Frame, Framer, Message, judge_datagram};
use reveille_wire::{Answer, Judgement};

/// Accepted, with the statuses that some element would answer.
const ACCEPTED: &[(&str, &[u16])] = &[
    // RFC 4475 3.1.1
    ("wsinv", &[]),
    ("intmeth", &[501]),
    ("esc01", &[]),
    ("escnull", &[]),
    ("esc02", &[501]),
    ("lwsdisp", &[]),
    ("longreq", &[]),
    ("dblreq", &[]),
    ("semiuri", &[]),
    ("transports", &[]),
    ("mpart01", &[]),
    ("unreason", &[]),
    ("noreason", &[]),
    // 3.2
    ("badbranch", &[400]),
    // 3.3
    ("unkscm", &[416]),
    ("novelsc", &[416]),
    ("unksm2", &[400]),
    ("bext01", &[420, 420]),
    ("invut", &[415]),
    ("regaut01", &[401]),
    ("zeromf", &[483]),
    ("cparam01", &[]),
    ("cparam02", &[]),
    ("regescrt", &[]),
    ("sdp01", &[406]),
    // 3.4
    ("inv2543", &[]),
    // RFC 5118 4.1 to 4.10
    ("ipv6-good", &[]),
    ("ipv6-port-ambiguous", &[]),
    ("ipv6-port-unambiguous", &[]),
    ("ipv6-received-delimited", &[]),
    ("ipv6-received-bare", &[]),
    ("ipv6-sdp", &[]),
    ("ipv6-mixed-headers", &[]),
    ("ipv6-mixed-sdp", &[]),
    ("ipv6-mapped", &[]),
    ("ipv6-three-colons", &[]),
    ("ipv6-two-colons", &[]),
];

const BAD: Answer = Answer::Status(400);

/// Refused: the first rule, what stands at its place, and the answer.
const REFUSED: &[(&str, &str, &str, Answer)] = &[
    // RFC 4475 3.1.2
    ("badinv01", "RFC 3261 20.42", ";,;,,", BAD),
    ("clerr", "RFC 3261 18.3", "v=0", BAD),
    ("ncl", "RFC 3261 20.14", "-999", BAD),
    ("scalar02", "RFC 3261 8.1.1.5", "36893488147419103232", BAD),
    ("scalarlg", "RFC 3261 8.1.1.5", "9292394834772304023312", Answer::Discard),
    ("quotbal", "RFC 3261 25.1", "\"Mr. B.", BAD),
    ("ltgtruri", "RFC 3261 19.1.1", "<sip:bob", BAD),
    ("lwsruri", "RFC 3261 7.1", "INVITE", BAD),
    ("lwsstart", "RFC 3261 7.1", "INVITE", BAD),
    ("trws", "RFC 3261 7.1", "OPTIONS", BAD),
    ("escruri", "RFC 3261 19.1.1", "sip:bob@example.com?", BAD),
    ("baddate", "RFC 3261 20.17", "Fri, 01 Jan 2010 16:00:00 EST", BAD),
    ("regbadct", "RFC 3261 20.10", "?Route", BAD),
    ("badaspec", "RFC 3261 19.1.1", " sip:bob", BAD),
    ("baddn", "RFC 3261 25.1", ", Alice", BAD),
    ("badvers", "RFC 3261 21.5.6", "SIP/7.0", Answer::Status(505)),
    ("mismatch01", "RFC 3261 8.1.1.5", "8 INVITE", BAD),
    ("mismatch02", "RFC 3261 8.1.1.5", "8 INVITE", BAD),
    ("bigcode", "RFC 3261 7.2", "4294967301", Answer::Discard),
    // 3.3
    ("insuf", "RFC 3261 8.1.1.3", "INVITE", BAD),
    ("multi01", "RFC 3261 8.1.1.8", "<sip:alice@host25", BAD),
    ("mcl01", "RFC 3261 7.3.1", "Content-Length: 5", BAD),
    ("bcast", "RFC 4475 3.3.10", "SIP/2.0/UDP 192.0.2.198", Answer::Discard),
    // RFC 5118 4.2, and a scope id, which no grammar of SIP knows
    ("ipv6-bad", "RFC 3261 25.1", ":db8::10", BAD),
    ("ipv6-scope-id", "RFC 3261 25.1", "[fe80::1%25eth0]", BAD),
];

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture"))
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(folder().join(format!("{name}.sip"))).expect("the message is there")
}

fn judged(name: &str) -> Judgement {
    judge_datagram(&bytes(name))
}

#[test]
fn what_is_merely_strange_is_accepted_and_named() {
    for (name, statuses) in ACCEPTED {
        let judgement = judged(name);
        assert!(!judgement.is_refused(), "{name}: {judgement}");
        let named: Vec<_> = judgement.remarks.iter().filter_map(|remark| remark.status).collect();
        assert_eq!(named, *statuses, "{name}: {judgement}");
    }
}

#[test]
fn what_every_element_refuses_is_refused_with_rule_and_place() {
    for (name, rule, place, answer) in REFUSED {
        let (judgement, message) = (judged(name), bytes(name));
        let refusal = judgement.refusals.first().unwrap_or_else(|| panic!("{name} passed"));
        assert_eq!((refusal.rule, refusal.answer), (*rule, *answer), "{name}: {judgement}");
        let at = String::from_utf8_lossy(&message[refusal.offset..]).into_owned();
        assert!(at.starts_with(place), "{name}: offset {} is at {at:.30}", refusal.offset);
        let line = 1 + message[..refusal.offset].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(refusal.line, line, "{name}");
    }
}

#[test]
fn every_message_has_its_row() {
    let all = fs::read_dir(folder()).expect("the folder of messages");
    let there: BTreeSet<_> = all
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".sip").map(ToOwned::to_owned))
        .collect();
    let accepted = ACCEPTED.iter().map(|(name, _)| (*name).to_owned());
    let rows: Vec<_> = accepted.chain(REFUSED.iter().map(|row| row.0.to_owned())).collect();
    assert_eq!(rows.len(), 62);
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), there);
}

#[test]
fn all_that_is_wrong_is_told_and_not_only_the_first() {
    let rules = |name: &str| -> Vec<_> {
        judged(name).refusals.iter().map(|refusal| refusal.rule).collect()
    };
    let missing = ["RFC 3261 8.1.1.3", "RFC 3261 8.1.1.2", "RFC 3261 8.1.1.4", "RFC 3261 8.1.1.8"];
    assert_eq!(rules("insuf"), missing);
    assert_eq!(rules("multi01").iter().filter(|rule| **rule == "RFC 3261 7.3.1").count(), 5);
    assert_eq!(rules("badinv01"), ["RFC 3261 20.42", "RFC 3261 20.10"]);
    assert_eq!(rules("scalarlg"), ["RFC 3261 8.1.1.5", "RFC 3261 20.43"]);
}

#[test]
fn the_summary_says_what_was_read() {
    let summary = judged("invut").summary;
    assert_eq!(
        summary,
        "INVITE sip:bob@example.com, 9 headers, body 37 bytes application/unknownformat"
    );
    assert_eq!(judged("noreason").summary, "100 to INVITE, 7 headers, no body");
    let broken = judged("trws").summary;
    assert!(broken.starts_with("262 bytes that do not read as SIP: OPTIONS sip:bob"), "{broken}");
}

#[test]
fn a_second_message_in_the_datagram_is_ignored_and_named() {
    let judgement = judged("dblreq");
    let remark = judgement.remarks.first().expect("a remark");
    assert_eq!((remark.rule, remark.line), ("RFC 3261 18.3", 9));
    assert_eq!(judgement.summary, "REGISTER sip:example.com, 8 headers, no body");
}

#[test]
fn a_place_behind_folds_and_leading_line_breaks_is_found() {
    let text = "OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\
        From: <sip:a@example.com>\r\n ;tag=1\r\n   ;=2\r\nTo: <sip:bob@example.com>\r\n\
        Call-ID: f\r\nCSeq: 1 OPTIONS\r\n\r\n";
    for (lead, line) in [("", 5), ("\r\n\r\n", 7)] {
        let message = format!("{lead}{text}");
        let judgement = judge_datagram(message.as_bytes());
        let [refusal] = &judgement.refusals[..] else { panic!("{judgement}") };
        assert_eq!((&message[refusal.offset..][..2], refusal.line), ("=2", line), "{judgement}");
    }
}

#[test]
fn control_characters_pass_only_behind_a_backslash() {
    let with = |value: &str| {
        let mut message = Message::parse(&bytes("zeromf")).expect("well-formed");
        message.push("Subject", value);
        judge_datagram(&message.to_bytes()).refusals.first().map(|refusal| refusal.rule)
    };
    assert_eq!(with("a \"b\\\u{7}\" c\td"), None);
    assert_eq!(with("a \u{7} c"), Some("RFC 3261 25.1"));
}

#[test]
fn what_is_never_answered_is_discarded() {
    let answer = |text: &str| {
        let refusals = judge_datagram(text.as_bytes()).refusals;
        refusals.first().map(|refusal| refusal.answer)
    };
    assert_eq!(answer("ACK sip:bob@example.com SIP/2.0\r\n\r\n"), Some(Answer::Discard));
    assert_eq!(answer("ACKS sip:bob@example.com SIP/2.0\r\n\r\n"), Some(BAD));
    assert_eq!(answer("SIP/2.0 200 not SIP/2.0\r\n\r\n"), Some(Answer::Discard));
    assert_eq!(answer("GET / HTTP/1.1\r\n\r\n"), Some(Answer::Discard));
    assert_eq!(answer(""), Some(Answer::Discard));
}

#[test]
fn a_body_says_what_it_is() {
    let text = |kind: &str| {
        let text = String::from_utf8(bytes("invut")).expect("ASCII");
        text.replace("Content-Type: application/unknownformat", kind)
    };
    let judgement = judge_datagram(text("Content-Type: sound").as_bytes());
    assert_eq!(judgement.refusals.first().map(|it| it.rule), Some("RFC 3261 20.15"));
    let judgement = judge_datagram(text("Subject: none").as_bytes());
    assert!(!judgement.is_refused(), "{judgement}");
    let remarks: Vec<_> = judgement.remarks.iter().map(|it| (it.rule, it.status)).collect();
    assert_eq!(remarks, [("RFC 3261 20.15", Some(400))]);
}

#[test]
fn a_response_with_two_vias_is_no_user_agents() {
    let text = String::from_utf8(bytes("bcast")).expect("ASCII");
    let judgement = judge_datagram(text.replace("255.255.255.255", "192.0.2.9").as_bytes());
    assert!(!judgement.is_refused(), "{judgement}");
    assert_eq!(judgement.remarks.first().map(|it| it.rule), Some("RFC 3261 8.1.3.3"));
}

#[test]
fn a_sender_of_rfc_2543_is_named_by_each_sign() {
    let judgement = judged("inv2543");
    let rules: Vec<_> = judgement.remarks.iter().map(|remark| remark.rule).collect();
    assert_eq!(rules, ["RFC 3261 8.1.1.6", "RFC 3261 17.2.3", "RFC 3261 8.1.1.3"]);
}

#[test]
fn every_field_that_a_call_rests_on_is_checked() {
    for (field, rule) in [
        (&b"Subject: \xff"[..], "RFC 3261 25.1"),
        (b"Route: <sip:edge.example.com", "RFC 3261 20.10"),
        (b"Record-Route: nowhere", "RFC 3261 19.1.1"),
        (b"Expires: soon", "RFC 3261 20.19"),
        (b"Min-Expires: -1", "RFC 3261 20.23"),
        (b"WWW-Authenticate: Digest", "RFC 3261 20.44"),
        (b"Authorization: Digest realm=\"x", "RFC 3261 25.1"),
    ] {
        let whole = bytes("zeromf");
        let head = &whole[..whole.len() - 2];
        let message = [head, field, b"\r\n\r\n"].concat();
        let fault = Message::parse(&message).and_then(|message| message.validate());
        let seen = judge_datagram(&message).refusals.into_iter().map(|refusal| refusal.rule);
        let name = String::from_utf8_lossy(field);
        assert_eq!(fault.err().map(|fault| fault.rule), Some(rule), "{name}");
        assert_eq!(seen.collect::<Vec<_>>(), [rule], "{name}");
    }
}

#[test]
fn registrars_and_notifiers_are_spoken_for() {
    let with = |method: &str, name: &str, value: &str| {
        let text = String::from_utf8(bytes("zeromf")).expect("ASCII").replace("OPTIONS", method);
        let text = text.replace("Max-Forwards: 0", "Max-Forwards: 7");
        let mut message = Message::parse(text.as_bytes()).expect("well-formed");
        message.push(name, value);
        let judgement = judge_datagram(&message.to_bytes());
        assert!(!judgement.is_refused(), "{judgement}");
        judgement.remarks.iter().filter_map(|remark| remark.status).collect::<Vec<_>>()
    };
    assert_eq!(with("REGISTER", "Contact", "*"), [400]);
    assert_eq!(with("NOTIFY", "Subject", "no event"), [489]);
    assert!(with("NOTIFY", "Event", "presence").is_empty());
    assert_eq!(with("OPTIONS", "Content-Encoding", "gzip"), [415]);
    assert_eq!(with("OPTIONS", "Proxy-Authorization", "Basic x=y"), [407]);
}

#[test]
fn over_a_stream_two_requests_are_two() {
    let mut framer = Framer::new(reveille_wire::sip::Bounds::default());
    framer.push(&bytes("dblreq"));
    let mut read = Vec::new();
    while let Some(frame) = framer.next().expect("well-formed") {
        if let Frame::Message { message, .. } = frame {
            read.push(message.call_id().expect("a Call-ID").to_owned());
        }
    }
    assert_eq!(read, ["dblreq.1", "dblreq.2@192.0.2.7"]);
}
