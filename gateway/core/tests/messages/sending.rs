use serde_json::{Value, json};

use crate::rig::{Rig, config, with_registrar};

const CHALLENGE: &str = "Digest realm=\"example.com\", nonce=\"n1\", qop=\"auth\"";

fn send(sequence: u64, header: &Value, payload: &Value) -> Value {
    let mut frame = json!({
        "control": {"type": "request", "package_type": "messaging", "sequence": sequence,
            "subsession_id": format!("u{sequence}"), "correlation_id": format!("c{sequence}")},
        "header": {"action": "send", "target": "alice@example.com"}, "payload": payload,
    });
    for (name, value) in header.as_object().expect("an object") {
        frame["header"][name] = value.clone();
    }
    frame
}

fn hello(sequence: u64) -> Value {
    send(sequence, &json!({}), &json!({"content": "hello"}))
}

/// What the app heard for its `send`: type, code, subsession, correlation.
fn heard(rig: &Rig) -> Vec<(String, Value, Value, Value)> {
    let told = |frame: &Value| {
        let code = ["response_code", "error_code"].map(|name| frame["header"][name].clone());
        let control = &frame["control"];
        let code = code.into_iter().find(|code| !code.is_null()).unwrap_or_default();
        let kind = control["type"].as_str().unwrap_or_default().to_owned();
        (kind, code, control["subsession_id"].clone(), control["correlation_id"].clone())
    };
    rig.frames(1, "send").iter().map(told).collect()
}

fn one(kind: &str, code: u16, sequence: u64) -> Vec<(String, Value, Value, Value)> {
    let (subsession, correlation) = (format!("u{sequence}"), format!("c{sequence}"));
    vec![(kind.to_owned(), code.into(), subsession.into(), correlation.into())]
}

#[test]
fn a_message_of_the_app_goes_out_and_its_final_code_comes_back() {
    for (status, kind, code) in [
        (200, "response", 200),
        (202, "response", 202),
        (404, "error", 404),
        (486, "error", 486),
        (603, "error", 603),
        (408, "error", 408),
        (500, "error", 480),
        (401, "error", 403),
    ] {
        let mut rig = Rig::new(with_registrar());
        rig.connect(1);
        rig.say(1, &hello(2));
        let asked = rig.asked("MESSAGE").remove(0);
        assert_eq!(asked.uri(), Some("sip:alice@example.com"));
        assert_eq!(asked.body, b"hello");
        assert_eq!(asked.header("Content-Type"), Some("text/plain;charset=UTF-8"));
        let from = asked.from().expect("a From");
        assert_eq!(from.uri.to_string(), "sip:bob@example.com");
        assert!(from.tag().is_some() && asked.header("Contact").is_none());
        assert!(heard(&rig).is_empty());
        rig.network("MESSAGE", status, &[]);
        assert_eq!(heard(&rig), one(kind, code, 2), "{status}");
        let record = rig.disk.sessions.values().next().expect("a session");
        assert!(record.sending.is_empty());
    }
}

#[test]
fn a_challenge_is_answered_once_and_a_stale_nonce_again() {
    let mut rig = Rig::new(with_registrar());
    rig.connect(1);
    rig.say(1, &hello(2));
    rig.network("MESSAGE", 407, &[("Proxy-Authenticate", CHALLENGE)]);
    let again = rig.asked("MESSAGE").remove(1);
    let first = rig.asked("MESSAGE").remove(0);
    assert_eq!(again.call_id(), first.call_id());
    assert_eq!(again.cseq().map(|cseq| cseq.number), Ok(2));
    assert_ne!(again.via().map(|via| via.branch), first.via().map(|via| via.branch));
    let shown = again.header("Proxy-Authorization").expect("credentials");
    assert!(shown.contains("uri=\"sip:alice@example.com\"") && shown.contains("nc=00000001"));
    let stale = format!("{CHALLENGE}, stale=true");
    rig.network("MESSAGE", 407, &[("Proxy-Authenticate", &stale)]);
    assert_eq!(rig.asked("MESSAGE").len(), 3);
    rig.network("MESSAGE", 407, &[("Proxy-Authenticate", CHALLENGE)]);
    assert_eq!(rig.asked("MESSAGE").len(), 3, "refused credentials are not shown again");
    assert_eq!(heard(&rig), one("error", 403, 2));
}

#[test]
fn a_silent_network_is_an_error_after_32_seconds() {
    let mut rig = Rig::new(with_registrar());
    rig.connect(1);
    rig.say(1, &hello(2));
    for _ in 0..4 {
        rig.wait_ms(7_900);
        rig.feed(reveille_gateway_core::io::Input::SocketText {
            socket: reveille_gateway_core::io::SocketId(1),
            text: "ping".to_owned(),
        });
    }
    assert!(heard(&rig).is_empty());
    rig.wait_ms(500);
    assert_eq!(heard(&rig), one("error", 408, 2));
}

#[test]
fn nothing_leaves_before_the_number_is_stored_and_nothing_twice_after_a_kill() {
    let mut rig = Rig::new(with_registrar());
    let session = rig.connect(1);
    rig.hold_commits = true;
    rig.say(1, &hello(2));
    assert!(rig.asked("MESSAGE").is_empty(), "the number is not durable yet");
    rig.hold_commits = false;
    rig.commit_all();
    assert_eq!(rig.asked("MESSAGE").len(), 1);
    rig.restart();
    rig.wait_ms(1_000);
    rig.resume(1, &session, 1);
    let answer = rig.frames(1, "connect").pop().expect("an answer");
    assert_eq!(answer["header"]["sslr"], 2, "so the app does not repeat it");
    assert_eq!(rig.asked("MESSAGE").len(), 1);
    let wanted = one("error", 480, 2);
    assert_eq!(heard(&rig), wanted, "the app is not left waiting");
    rig.say(1, &hello(2));
    assert_eq!(rig.asked("MESSAGE").len(), 1, "a number is taken once");
}

#[test]
fn what_cannot_be_sent_is_refused_with_what_to_write() {
    let long = "x".repeat(8_193);
    let content = json!({"content": "hello"});
    let table = [
        (json!({"target": "alice@example.com\r\nX: y"}), content.clone(), 400, "header.target"),
        (json!({"target": "jürgen@b"}), content.clone(), 400, "header.target"),
        (json!({"target": "<sip:a@b>"}), content.clone(), 400, "header.target"),
        (json!({"target": "sip:a@b?X=y"}), content.clone(), 400, "header.target"),
        (json!({"target": "sip:"}), content.clone(), 400, "header.target"),
        (json!({"content_type": "text/plain\r\nX: y"}), content.clone(), 400, "content_type"),
        (json!({"content_type": "text"}), content, 400, "content_type"),
        (json!({}), json!({}), 400, "payload.content"),
        (json!({}), json!({"content": long}), 413, "8192"),
        (json!({}), json!({"content": "x".repeat(1_200)}), 413, "datagram"),
        (json!({"content_transfer_encoding": "base64"}), json!({"content": "%"}), 400, "no base64"),
    ];
    for (header, payload, code, named) in table {
        let mut rig = Rig::new(with_registrar());
        rig.connect(1);
        rig.say(1, &send(2, &header, &payload));
        assert!(rig.asked("MESSAGE").is_empty(), "{header}");
        let error = rig.frames(1, "send").pop().expect("an error");
        assert_eq!(error["header"]["error_code"], code, "{header}");
        let reason = error["header"]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(named), "{reason}");
    }
    let mut rig = Rig::new(config());
    rig.connect(1);
    rig.say(1, &hello(2));
    assert_eq!(heard(&rig), one("error", 480, 2), "there is no way to the network");
}

#[test]
fn bytes_go_out_as_bytes_and_a_telephone_number_is_a_target() {
    let mut rig = Rig::new(with_registrar());
    rig.connect(1);
    let header = json!({"content_transfer_encoding": "base64", "target": "tel:+15551234",
        "content_type": "application/octet-stream"});
    rig.say(1, &send(2, &header, &json!({"content": "//4="})));
    let asked = rig.asked("MESSAGE").remove(0);
    assert_eq!(asked.body, [0xff, 0xfe]);
    assert_eq!(asked.uri(), Some("sip:+15551234@example.com;user=phone"));
    assert_eq!(asked.header("Content-Type"), Some("application/octet-stream"));
}

#[test]
fn no_more_than_sixty_four_wait_for_the_network_at_once() {
    let mut rig = Rig::new(with_registrar());
    rig.connect(1);
    for sequence in 2..70 {
        rig.say(1, &hello(sequence));
    }
    assert_eq!(rig.asked("MESSAGE").len(), 64);
    assert_eq!(heard(&rig).len(), 4);
}
