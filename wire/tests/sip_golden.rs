//! The messages in `golden/sip`, written from the standard: what each must mean, and what rule each
//! bad one breaks and where.

use std::fs;
use std::path::PathBuf;

use reveille_wire::sip::{Frame, Framer, Message, Method, Uri, judge_datagram};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/sip"))
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(folder().join(format!("{name}.sip"))).expect("the golden message is there")
}

fn golden(name: &str) -> Message {
    Message::parse(&bytes(name)).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

fn names(prefix: &str) -> Vec<String> {
    let all = fs::read_dir(folder()).expect("the folder of goldens");
    let mut names: Vec<_> = all
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".sip").map(ToOwned::to_owned))
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

#[test]
fn every_good_message_is_valid_and_comes_back_byte_for_byte() {
    for name in names("ok-") {
        let message = golden(&name);
        assert_eq!(message.validate(), Ok(()), "{name}");
        assert_eq!(message.to_bytes(), bytes(&name), "{name}");
    }
}

#[test]
fn every_bad_message_names_its_rule_and_the_place() {
    let table = fs::read_to_string(folder().join("expected.txt")).expect("the table");
    let rows: Vec<_> = table.lines().filter(|line| !line.starts_with('#')).collect();
    let mut known = Vec::new();
    for row in rows {
        let (name, rest) = row.split_once("RFC").expect("a rule");
        let (rule, place) = rest.split_at(15);
        let (name, rule, place) = (name.trim(), format!("RFC{}", rule.trim_end()), place.trim());
        let message = bytes(name);
        let judgement = judge_datagram(&message);
        let fault = judgement.refusals.first().unwrap_or_else(|| panic!("{name} passed"));
        assert_eq!(fault.rule, rule, "{name}: {fault}");
        if place != "-" {
            let at = String::from_utf8_lossy(&message[fault.offset..]).into_owned();
            assert!(at.starts_with(place), "{name}: offset {} is at {at:.30}", fault.offset);
        }
        known.push(name.to_owned());
    }
    known.sort();
    assert_eq!(known, names("bad-"), "each bad message has its row");
}

#[test]
fn compact_names_and_long_names_are_one() {
    let message = golden("ok-compact-names");
    assert_eq!(message.call_id(), Ok("g2"));
    assert_eq!(message.header("v"), message.header("Via"));
    assert_eq!(message.via().expect("a Via").transport, "TCP");
    assert_eq!(message.to().expect("a To").uri.aor(), "bob@example.com");
    assert_eq!(message.body, b"v=0\r\n");
}

#[test]
fn folded_lines_read_as_one() {
    let message = golden("ok-folded-lines");
    assert_eq!(message.header("subject"), Some("first line, second line"));
    assert_eq!(message.cseq().expect("a CSeq").method, Method::OPTIONS);
    assert_eq!(message.from().expect("a From").tag(), Some("a1"));
    assert_eq!(message.via().expect("a Via").branch.as_deref(), Some("z9hG4bKg3"));
}

#[test]
fn ipv6_stands_in_vias_and_uris() {
    let message = golden("ok-ipv6");
    let via = message.via().expect("a Via");
    assert_eq!((via.host.as_str(), via.port), ("[2001:db8::1]", Some(5060)));
    let uri = Uri::parse(message.uri().expect("a URI")).expect("a SIP URI");
    assert_eq!((uri.host.as_str(), uri.port), ("[2001:db8::2]", Some(5070)));
    assert_eq!(uri.param("transport"), Some("udp"));
}

#[test]
fn header_parameters_and_uri_parameters_are_kept_apart() {
    let contacts = golden("ok-instance-contact").contacts().expect("contacts");
    let contact = contacts[0].addr().expect("an address");
    assert!(contact.uri.params.has("ob") && !contact.uri.params.has("expires"));
    assert_eq!(contact.param("expires"), Some("300"));
    let instance = "<urn:uuid:00000000-0000-4000-8000-000000000001>";
    assert_eq!(contact.param("+sip.instance"), Some(instance));
}

#[test]
fn lists_split_at_commas_but_not_inside_quotes_or_brackets() {
    let message = golden("ok-two-contacts-two-vias");
    assert_eq!(message.vias().expect("vias").len(), 2);
    let contacts = message.contacts().expect("contacts");
    let users: Vec<_> = contacts.iter().filter_map(|c| c.addr()?.uri.user.clone()).collect();
    assert_eq!(users, ["one", "two", "three"]);
    assert_eq!(contacts[1].addr().and_then(|c| c.display.as_deref()), Some("Two, quoted"));
    assert_eq!(contacts[2].addr().and_then(|c| c.param("q")), Some("0.5"));
}

#[test]
fn quoted_names_and_binary_bodies_survive() {
    let message = golden("ok-quoted-display");
    let from = message.from().expect("a From");
    assert_eq!(from.display.as_deref(), Some("a \"quoted\" > name, really"));
    assert_eq!(message.to().expect("a To").display.as_deref(), Some("Bob the Builder"));
    assert_eq!(message.body, b"\x00\xff\x00\r\n\x80");
}

#[test]
fn the_merely_strange_is_named_and_not_refused() {
    let judgement = judge_datagram(&bytes("ok-tel-and-extension"));
    assert_eq!(judgement.refusals, []);
    let rules: Vec<_> = judgement.remarks.iter().map(|remark| remark.rule).collect();
    assert_eq!(rules, ["RFC 3261 21.5.2", "RFC 3261 16.3"]);
    assert_eq!(judge_datagram(&bytes("ok-plain-invite")).remarks, []);
}

#[test]
fn a_challenge_is_read_with_its_quotes_resolved() {
    let challenges = golden("ok-challenge").challenges().expect("challenges");
    let challenge = &challenges[0];
    assert_eq!((challenge.scheme.as_str(), challenge.proxy), ("Digest", false));
    assert_eq!(challenge.param("realm"), Some("a, b"));
    assert_eq!(challenge.param("qop"), Some("auth,auth-int"));
    assert_eq!(challenge.param("stale"), Some("TRUE"));
}

#[test]
fn a_reply_copies_what_the_standard_says_and_adds_one_tag() {
    let reply = golden("ok-plain-invite").reply(180, "Ringing", Some("t1"));
    assert_eq!(reply.validate(), Ok(()));
    assert_eq!(reply.to().expect("a To").tag(), Some("t1"));
    let tagged = golden("ok-ipv6").reply(200, "OK", Some("other"));
    assert_eq!(tagged.to().expect("a To").tag(), Some("b1"));
}

#[test]
fn a_via_is_stamped_with_the_true_source() {
    let mut message = golden("ok-plain-invite");
    message.stamp_via("198.51.100.7:4000".parse().expect("an address")).expect("a Via");
    let via = message.via().expect("a Via");
    assert_eq!((via.received.as_deref(), via.rport), (Some("198.51.100.7"), None));
    let asked = "SIP/2.0/UDP 192.0.2.1:5070;rport;branch=z9hG4bKx";
    message.set("Via", asked);
    message.stamp_via("192.0.2.1:4000".parse().expect("an address")).expect("a Via");
    let via = message.via().expect("a Via");
    assert_eq!((via.received.as_deref(), via.rport), (Some("192.0.2.1"), Some(Some(4000))));
}

#[test]
fn a_stream_is_cut_into_the_messages_that_went_in() {
    let mut stream = b"\r\n\r\n".to_vec();
    let goldens: Vec<_> = names("ok-").iter().map(|name| bytes(name)).collect();
    for golden in &goldens {
        stream.extend_from_slice(golden);
    }
    for size in [1, 7, 64, 4096] {
        let mut framer = Framer::new(reveille_wire::sip::Bounds::default());
        let (mut raws, mut pings) = (Vec::new(), 0);
        for chunk in stream.chunks(size) {
            framer.push(chunk);
            while let Some(frame) = framer.next().expect("well-formed") {
                match frame {
                    Frame::Message { raw, .. } => raws.push(raw),
                    Frame::Ping => pings += 1,
                    Frame::Pong => panic!("nobody sent a pong"),
                }
            }
        }
        assert_eq!((raws, pings), (goldens.clone(), 1), "in chunks of {size}");
    }
}
