//! Connects and resumes: what the app is answered, what the network hears, how numbers go.

use reveille_gateway_core::config::{Config, Registrar};
use reveille_gateway_core::io::{Change, Input, SocketId};
use reveille_wire::sip::Message;
use serde_json::{Value, json};

use super::rig::{Rig, config, udp};

fn registering() -> Config {
    let mut config = config();
    config.registrar =
        Some(Registrar { uri: "sip:example.com".to_owned(), flow: udp(), expires_s: 300 });
    config
}

fn registers(rig: &Rig) -> Vec<Message> {
    let is_one = |m: &&Message| m.method().is_some_and(|method| method.as_str() == "REGISTER");
    rig.sip.iter().filter(is_one).cloned().collect()
}

/// The registrar answers the latest REGISTER.
fn answer(rig: &mut Rig, status: u16) {
    let register = registers(rig).pop().expect("a REGISTER");
    let contact = register.header("Contact").expect("a Contact").to_owned();
    let response = register
        .reply(status, Message::reason_phrase(status), Some("r"))
        .with("Contact", contact)
        .with("Expires", "300");
    rig.feed(Input::Sip { flow: udp(), message: Box::new(response) });
}

fn connect(socket_frame: &Value) -> Value {
    let mut frame = json!({"control": {"type": "request", "sequence": 1},
        "header": {"action": "connect"}, "payload": {"deviceToken": "tok"}});
    for (name, value) in socket_frame.as_object().expect("an object") {
        frame["control"][name] = value.clone();
    }
    frame
}

fn ping(rig: &mut Rig, socket: u64) {
    rig.feed(Input::SocketText { socket: SocketId(socket), text: "ping".to_owned() });
}

/// A frame that is refused and takes its number.
fn odd(session: &str, sequence: u64) -> Value {
    json!({"control": {"type": "request", "sequence": sequence, "session_id": session},
        "header": {"action": "fly"}})
}

#[test]
fn the_answer_to_a_connect_names_session_user_and_correlation() {
    for (given, told) in [(json!({"correlation_id": "c1"}), json!("c1")), (json!({}), Value::Null)]
    {
        let mut rig = Rig::new(registering());
        rig.open(1, "bob");
        rig.say(1, &connect(&given));
        answer(&mut rig, 200);
        let said = rig.last_text(1);
        assert_eq!(said["header"]["initiator"], "bob@example.com");
        assert_eq!(said["control"]["session_id"].as_str().map(str::len), Some(32));
        assert_eq!(said["control"]["correlation_id"], told);
        assert_eq!(registers(&rig).len(), 1, "registered once");
    }
}

#[test]
fn a_registrar_that_refuses_ends_the_session() {
    let mut config = registering();
    config.most_sessions = 1;
    let mut rig = Rig::new(config);
    rig.open(1, "bob");
    rig.say(1, &connect(&json!({})));
    answer(&mut rig, 403);
    let error = rig.last_text(1);
    assert_eq!(error["control"]["type"], "error");
    assert_eq!(error["header"]["error_code"], 403);
    rig.request("INVITE", "one", "");
    assert_eq!(rig.statuses("one"), [480], "nobody is there");
    rig.say(1, &connect(&json!({"sequence": 2})));
    answer(&mut rig, 200);
    assert_eq!(rig.last_text(1)["header"]["response_code"], 200, "there is room for another");
}

#[test]
fn a_connect_that_came_to_nothing_is_unknown_to_the_next_process() {
    for refused in [Some(403), Some(503), None] {
        let mut rig = Rig::new(registering());
        rig.open(1, "bob");
        rig.say(1, &connect(&json!({})));
        if let Some(status) = refused {
            answer(&mut rig, status);
        }
        rig.sip.clear();
        rig.crash();
        rig.wait_ms(90_000);
        assert_eq!(registers(&rig), [], "{refused:?}");
    }
}

#[test]
fn a_resume_registers_nothing_and_is_answered_with_what_arrived() {
    let mut rig = Rig::new(registering());
    rig.open(1, "bob");
    rig.say(1, &connect(&json!({})));
    answer(&mut rig, 200);
    let session = rig.last_text(1)["control"]["session_id"].as_str().expect("an id").to_owned();
    rig.sleep(1, &session);
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
    rig.resume(2, "bob", &session, &json!({}));
    let said = rig.last_text(2);
    assert_eq!(said["control"]["session_id"], session.as_str());
    assert_eq!(said["header"]["sslr"], 2);
    assert_eq!(said["control"]["sequence"], Value::Null);
    assert_eq!(registers(&rig).len(), 1, "the registration was kept");
}

#[test]
fn a_resume_without_a_window_is_given_everything() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    rig.request("INVITE", "one", "");
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: None });
    rig.open(2, "bob");
    rig.say(
        2,
        &json!({"control": {"type": "request", "session_id": session},
        "header": {"action": "connect"}}),
    );
    let numbers: Vec<_> = rig.texts.iter().filter(|(at, _)| *at == 2).collect();
    let numbers: Vec<_> = numbers.iter().map(|(_, t)| t["control"]["sequence"].as_u64()).collect();
    assert_eq!(numbers, [None, Some(1), Some(2)]);
    assert_eq!(rig.starts(2), rig.starts(1));
}

#[test]
fn a_normal_close_unregisters_and_the_id_names_no_session_again() {
    let mut rig = Rig::new(registering());
    rig.open(1, "bob");
    rig.say(1, &connect(&json!({})));
    answer(&mut rig, 200);
    let old = rig.last_text(1)["control"]["session_id"].as_str().expect("an id").to_owned();
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(1000) });
    let last = registers(&rig).pop().expect("a REGISTER");
    let expires = last.header("Expires").map(ToOwned::to_owned);
    let contact = last.header("Contact").expect("a Contact");
    assert!(expires.as_deref() == Some("0") || contact.contains("expires=0"), "{contact}");
    answer(&mut rig, 200);
    rig.resume(2, "bob", &old, &json!({}));
    answer(&mut rig, 200);
    let said = rig.last_text(2);
    assert_eq!(said["header"]["response_code"], 200);
    let new = said["control"]["session_id"].as_str().expect("an id").to_owned();
    assert_ne!(new, old);
    rig.say(2, &odd(&new, 2));
    assert_eq!(rig.last_text(2)["header"]["error_code"], 404, "2 follows the resume: no gap");
}

#[test]
fn the_app_goes_on_with_the_number_after_its_connect() {
    for (first, next) in [(1, 2), (3, 4)] {
        let mut rig = Rig::new(config());
        rig.open(1, "bob");
        rig.say(1, &connect(&json!({"sequence": first})));
        assert_eq!(rig.last_text(1)["control"]["sequence"], 1);
        let session = rig.last_text(1)["control"]["session_id"].as_str().expect("one").to_owned();
        rig.say(1, &odd(&session, next + 1));
        assert_eq!(rig.last_text(1)["header"]["reason"], "sequence gap");
        rig.say(1, &odd(&session, next));
        assert_eq!(rig.last_text(1)["header"]["error_code"], 404);
    }
}

#[test]
fn every_frame_of_a_session_acknowledges_what_was_taken() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 3);
    rig.say(2, &odd(&session, 4));
    let tag = rig.tag_of("one", 200);
    rig.request("ACK", "one", &tag);
    rig.request("BYE", "one", &tag);
    let acks: Vec<_> =
        rig.texts.iter().map(|(_, t)| t["control"]["ack_sequence"].as_u64()).collect();
    assert_eq!(acks, [1, 2, 2, 2, 4, 4, 4].map(Some));
}

#[test]
fn an_acknowledgement_follows_eight_frames_or_a_second_and_has_no_number() {
    let ringing = |rig: &mut Rig, session: &str, sequence: u64| {
        let frame = json!({"control": {"type": "message", "package_type": "call",
            "sequence": sequence, "session_id": session, "subsession_id": "none"},
            "header": {"action": "complete"}});
        rig.say(1, &frame);
    };
    let acks = |rig: &Rig| -> Vec<Value> {
        let of = |(_, t): &&(u64, Value)| t["control"]["type"] == "acknowledgement";
        rig.texts.iter().filter(of).map(|(_, t)| t["control"].clone()).collect()
    };
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    (2..9).for_each(|sequence| ringing(&mut rig, &session, sequence));
    assert!(acks(&rig).is_empty(), "seven");
    ringing(&mut rig, &session, 9);
    let first = acks(&rig)[0].clone();
    assert_eq!((&first["ack_sequence"], &first["sequence"]), (&json!(9), &Value::Null));
    ringing(&mut rig, &session, 10);
    rig.wait_ms(999);
    assert_eq!(acks(&rig).len(), 1);
    rig.wait_ms(1);
    assert_eq!(acks(&rig)[1]["ack_sequence"], 10);
    // One of the app that has only its number speaks of that number.
    rig.request("INVITE", "one", "");
    let acknowledged = json!({"control": {"type": "acknowledgement", "sequence": 2}});
    rig.say(1, &acknowledged);
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: None });
    rig.resume(2, "bob", &session, &json!({"cslr": 0}));
    assert!(rig.starts(2).is_empty(), "it was acknowledged");
}

#[test]
fn ids_may_be_numbers_and_what_is_unknown_is_ignored() {
    let mut rig = Rig::new(config());
    rig.open(1, "bob");
    rig.say(1, &connect(&json!({"correlation_id": 7, "wsc_id": "w", "colour": {"of": ["sky"]}})));
    let said = rig.last_text(1);
    assert_eq!(said["control"]["correlation_id"], "7", "written as text");
    assert_eq!(said["control"]["wsc_id"], Value::Null);
    assert_eq!(said["header"]["response_code"], 200);
}

#[test]
fn a_token_comes_under_either_name_and_a_resume_replaces_it() {
    for (part, name) in
        [("payload", "deviceToken"), ("payload", "device_token"), ("header", "device_token")]
    {
        let mut rig = Rig::new(config());
        rig.open(1, "bob");
        let mut frame = connect(&json!({}));
        frame["payload"] = json!({});
        frame[part][name] = json!("tok");
        rig.say(1, &frame);
        let session = rig.last_text(1)["control"]["session_id"].as_str().expect("one").to_owned();
        rig.sleep(1, &session);
        rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
        rig.open(2, "bob");
        let mut frame = json!({"control": {"type": "request", "session_id": session},
            "header": {"action": "connect", "cslr": 2}, "payload": {}});
        frame[part][name] = json!("another");
        rig.say(2, &frame);
        rig.feed(Input::SocketClosed { socket: SocketId(2), code: Some(4001) });
        rig.request("INVITE", "one", "");
        assert_eq!(rig.pushes[0].token, "another", "{part}.{name}");
    }
}

#[test]
fn the_token_is_on_record_before_the_connect_is_answered() {
    let mut rig = Rig::new(config());
    rig.hold_commits = true;
    rig.open(1, "bob");
    rig.say(1, &connect(&json!({})));
    assert!(rig.texts.is_empty());
    let token = |change: &Change| match change {
        Change::PutSession(record) => record.device.as_ref().map(|device| device.token.clone()),
        _ => None,
    };
    let stored = rig.commits.iter().flat_map(|commit| &commit.changes).find_map(token);
    assert_eq!(stored.as_deref(), Some("tok"));
    rig.commit_all();
    assert_eq!(rig.last_text(1)["header"]["response_code"], 200);
}

#[test]
fn a_ping_before_the_connect_is_answered() {
    let mut rig = Rig::new(config());
    rig.open(1, "bob");
    ping(&mut rig, 1);
    assert_eq!(rig.texts, [(1, json!("pong"))]);
}

#[test]
fn two_apps_share_one_way_to_the_registrar() {
    let mut rig = Rig::new(registering());
    for (socket, user) in [(1, "bob"), (2, "eve")] {
        rig.open(socket, user);
        rig.say(socket, &connect(&json!({})));
        answer(&mut rig, 200);
    }
    let asked = registers(&rig);
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[0].call_id(), asked[1].call_id());
    let uri = |register: &Message| {
        let contact = register.header("Contact").expect("a Contact");
        let (_, rest) = contact.split_once('<').expect("an address");
        rest.split('>').next().expect("its end").to_owned()
    };
    assert_ne!(uri(&asked[0]), uri(&asked[1]));
    for (call, register, socket) in [("one", &asked[0], 1), ("two", &asked[1], 2)] {
        rig.request_to("INVITE", call, "", &uri(register));
        assert_eq!(rig.starts(socket).len(), 1, "{call} reaches the app of its association");
    }
}

#[test]
fn any_provider_is_pushed_to_by_its_name() {
    let mut rig = Rig::new(config());
    rig.open(1, "bob");
    let mut frame = connect(&json!({}));
    frame["payload"]["capability"] = json!({"push_provider": "pigeon", "app_id": "loft"});
    rig.say(1, &frame);
    let session = rig.last_text(1)["control"]["session_id"].as_str().expect("one").to_owned();
    rig.sleep(1, &session);
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
    rig.request("INVITE", "one", "");
    let push = &rig.pushes[0];
    assert_eq!((push.provider.as_str(), push.application.as_str()), ("pigeon", "loft"));
    assert_eq!(push.token, "tok");
}

#[test]
fn a_push_names_the_platform_that_the_app_gave() {
    for (capability, wanted) in [
        (json!({"platform": "ios"}), Some("ios")),
        (json!({"platform": "of a client's choice"}), None),
        (json!({"platform": 7}), None),
        (json!({}), None),
    ] {
        let mut rig = Rig::new(config());
        rig.open(1, "bob");
        let mut frame = connect(&json!({}));
        frame["payload"]["capability"] = capability;
        rig.say(1, &frame);
        let session = rig.last_text(1)["control"]["session_id"].as_str().expect("one").to_owned();
        rig.sleep(1, &session);
        rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
        rig.request("INVITE", "one", "");
        assert_eq!(rig.pushes[0].platform.as_deref(), wanted);
    }
}
