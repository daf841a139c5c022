//! URIs that reach one session from anywhere (RFC 5627): where they are used, and whom they find.

use reveille_gateway_core::config::{Config, HeaderRule, Registrar};
use reveille_gateway_core::io::{Input, SocketId};
use reveille_wire::sip::Message;
use serde_json::json;

use super::caller::OFFER;
use super::rig::{Rig, config, udp};

const PUBLIC: &str = "sip:bob@example.com;gr=urn:uuid:7";
const TEMPORARY: &str = "sip:tgruu.7hs@example.com;gr";

fn registering() -> Config {
    let mut config = config();
    config.registrar =
        Some(Registrar { uri: "sip:example.com".to_owned(), flow: udp(), expires_s: 300 });
    config
}

fn sent(rig: &Rig, method: &str) -> Message {
    let is_it = |m: &&Message| m.method().is_some_and(|m| m.as_str() == method);
    rig.sip.iter().rev().find(is_it).expect("a request").clone()
}

/// The registrar takes the latest REGISTER; `params` follow our binding, after one of somebody else.
fn take(rig: &mut Rig, params: &str) {
    let register = sent(rig, "REGISTER");
    assert!(register.values("Supported").contains(&"gruu"));
    assert!(register.values("Supported").contains(&"path"));
    let contact = register.header("Contact").expect("a Contact").to_owned();
    let mut response = register.reply(200, "OK", Some("r")).with("Expires", "300");
    let others = "<sip:x@192.0.2.77>;pub-gruu=\"sip:bob@example.com;gr=urn:uuid:other\"";
    response.push("Contact", others);
    response.push("Contact", format!("{contact}{params}"));
    rig.feed(Input::Sip { flow: udp(), message: Box::new(response) });
}

fn both() -> String {
    format!(";pub-gruu=\"{PUBLIC}\";temp-gruu=\"{TEMPORARY}\"")
}

fn join(rig: &mut Rig, socket: u64, params: &str) -> String {
    rig.open(socket, "bob");
    rig.say(
        socket,
        &json!({"control": {"type": "request", "sequence": 1}, "header": {"action": "connect"},
            "payload": {"deviceToken": format!("tok{socket}")}}),
    );
    take(rig, params);
    rig.last_text(socket)["control"]["session_id"].as_str().expect("an id").to_owned()
}

fn contact_of(message: &Message) -> String {
    let contact = message.header("Contact").expect("a Contact");
    contact.trim_start_matches('<').split('>').next().expect("a URI").to_owned()
}

fn start(sequence: u64, header: &serde_json::Value) -> serde_json::Value {
    let mut frame = json!({"control": {"type": "request", "package_type": "call",
        "sequence": sequence, "subsession_id": format!("s{sequence}"), "correlation_id": "c"},
        "header": {"action": "start", "target": "alice@example.com"}, "payload": {"sdp": OFFER}});
    for (name, value) in header.as_object().expect("an object") {
        frame["header"][name] = value.clone();
    }
    frame
}

fn response(rig: &Rig, call: &str, status: u16) -> Message {
    let is_it = |m: &&Message| m.call_id() == Ok(call) && m.status() == Some(status);
    rig.sip.iter().find(is_it).expect("the response").clone()
}

#[test]
fn the_public_one_is_the_contact_of_dialogs_and_the_binding_keeps_its_own() {
    let mut rig = Rig::new(registering());
    join(&mut rig, 1, &both());
    assert_ne!(contact_of(&sent(&rig, "REGISTER")), PUBLIC);
    rig.request("INVITE", "in", "");
    let begun = rig.starts(1).remove(0);
    rig.answer(1, &begun, 2);
    let answer = response(&rig, "in", 200);
    assert_eq!(contact_of(&answer), PUBLIC);
    assert!(answer.values("Supported").contains(&"gruu"));
    rig.say(1, &start(3, &json!({})));
    let invite = sent(&rig, "INVITE");
    assert_eq!(contact_of(&invite), PUBLIC);
    assert!(invite.values("Supported").contains(&"gruu"));
    let subscribe = json!({"control": {"type": "request", "package_type": "message_notification",
        "sequence": 4, "subsession_id": "u", "correlation_id": "c4"},
        "header": {"action": "start", "target": "alice@example.com"}, "payload": {}});
    rig.say(1, &subscribe);
    assert_eq!(contact_of(&sent(&rig, "SUBSCRIBE")), PUBLIC);
}

#[test]
fn who_calls_in_private_is_named_by_the_temporary_one_or_by_random_bits() {
    for (params, wanted) in [(both(), Some(TEMPORARY)), (format!(";pub-gruu=\"{PUBLIC}\""), None)] {
        let mut config = registering();
        let rule = HeaderRule {
            app: None,
            member: "privacy".to_owned(),
            header: "Privacy".to_owned(),
            to_sip: true,
            to_app: false,
        };
        config.headers.push(rule);
        let mut rig = Rig::new(config);
        join(&mut rig, 1, &params);
        rig.say(1, &start(2, &json!({"privacy": "id"})));
        let contact = contact_of(&sent(&rig, "INVITE"));
        match wanted {
            Some(temporary) => assert_eq!(contact, temporary),
            None => assert!(contact.ends_with("@192.0.2.9:5060"), "{contact}"),
        }
        assert!(!contact.contains("bob"), "{contact}");
        let invite = sent(&rig, "INVITE");
        let mut answer = invite.reply(200, "OK", Some("a")).with("Contact", "<sip:a@192.0.2.7>");
        answer.set_body("application/sdp", b"v=0\r\n");
        rig.feed(Input::Sip { flow: udp(), message: Box::new(answer) });
        let about = |kind: &str, action: &str, sequence: u64| {
            json!({"control": {"type": kind, "package_type": "call", "sequence": sequence,
                "subsession_id": "s2", "correlation_id": "c"},
                "header": {"action": action}, "payload": {"sdp": OFFER}})
        };
        rig.say(1, &about("message", "complete", 3));
        rig.say(1, &about("request", "start", 4));
        let again = sent(&rig, "INVITE");
        assert!(again.to().expect("a To").tag().is_some(), "a re-INVITE");
        assert_eq!(contact_of(&again), contact, "in the whole call");
    }
}

#[test]
fn it_is_on_record_and_in_a_folded_sleeper_and_the_last_200_counts() {
    let mut rig = Rig::new(registering());
    let session = join(&mut rig, 1, &both());
    rig.sleep(1, &session);
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
    rig.request("INVITE", "one", "");
    assert_eq!(contact_of(&response(&rig, "one", 183)), PUBLIC, "folded and unfolded");
    rig.crash();
    rig.request("INVITE", "two", "");
    assert_eq!(contact_of(&response(&rig, "two", 183)), PUBLIC, "before any REGISTER");
    rig.wait_ms(10_000);
    take(&mut rig, "");
    rig.request("INVITE", "three", "");
    assert!(contact_of(&response(&rig, "three", 183)).contains("@192.0.2.9:5060"));
}

#[test]
fn a_request_for_it_finds_this_session_and_no_other_of_the_user() {
    let mut rig = Rig::new(registering());
    join(&mut rig, 1, &both());
    join(&mut rig, 2, ";pub-gruu=\"sip:bob@example.com;gr=urn:uuid:8\"");
    for (call, uri, at) in [
        ("one", "sip:bob@example.com;gr=urn:uuid:7", [1, 0]),
        ("two", "sip:bob@EXAMPLE.com;gr=urn:uuid:8", [1, 1]),
        ("both", "sip:bob@example.com", [2, 2]),
    ] {
        rig.request_to("INVITE", call, "", uri);
        assert_eq!([rig.starts(1).len(), rig.starts(2).len()], at, "{call}");
    }
    rig.request_to("INVITE", "gone", "", "sip:bob@example.com;gr=urn:uuid:9");
    assert_eq!(rig.statuses("gone"), [480], "an instance that is not here");
    let register = sent(&rig, "REGISTER");
    let contact = register.header("Contact").expect("a Contact");
    let instance = contact.split("+sip.instance=\"<").nth(1).expect("one");
    let instance = instance.split('>').next().expect("its end");
    rig.request_to("INVITE", "own", "", &format!("sip:bob@example.com;gr={instance}"));
    assert_eq!([rig.starts(1).len(), rig.starts(2).len()], [2, 3], "as RFC 5627 makes them");
}

#[test]
fn what_is_no_gruu_is_not_kept() {
    let long = format!("sip:bob@example.com;gr={}", "x".repeat(512));
    for bad in ["sip:bob@example.com", "tel:+1555;gr=1", "sip:b@[", "sip:b@h;gr=1?X=y", &long] {
        let mut rig = Rig::new(registering());
        join(&mut rig, 1, &format!(";pub-gruu=\"{bad}\""));
        rig.say(1, &start(2, &json!({})));
        assert!(contact_of(&sent(&rig, "INVITE")).contains("@192.0.2.9:5060"), "{bad}");
    }
}
