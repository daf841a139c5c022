//! Sessions: registered, asleep, lost, resumed, taken over.

use reveille_gateway_core::config::Registrar;
use reveille_gateway_core::io::{Flow, Input, SocketId};
use serde_json::{Value, json};

use super::rig::{Rig, config, udp};

#[test]
fn a_socket_is_dead_after_three_pings_of_its_app_which_slow_down_when_the_call_is_over() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 3);
    let tag = rig.tag_of("one", 200);
    rig.request("ACK", "one", &tag);
    rig.request("BYE", "one", &tag);
    rig.wait_ms(29_000);
    assert_eq!(rig.closes, [], "idle again: 30 s from the last word");
    rig.wait_ms(1_000);
    assert_eq!(rig.closes.len(), 1);
}

#[test]
fn sleep_needs_a_token_and_no_call() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "");
    rig.sleep(1, &session);
    assert_eq!(rig.last_text(1)["header"]["error_code"], 400);
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    rig.request("INVITE", "one", "");
    assert_eq!(rig.starts(1).len(), 1, "an awake app gets the call at once");
    rig.sleep(1, &session);
    assert_eq!(rig.last_text(1)["header"]["error_code"], 491);
}

#[test]
fn sleep_is_granted_only_when_it_is_on_record() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    rig.hold_commits = true;
    rig.sleep(1, &session);
    assert_eq!(rig.last_text(1)["header"]["action"], "connect");
    rig.commit_all();
    assert_eq!(rig.last_text(1)["header"]["action"], "hibernate");
    assert_eq!(rig.last_text(1)["header"]["ttl"], 3_600);
    rig.hold_commits = false;
    rig.request("INVITE", "one", "");
    assert_eq!(rig.starts(1).len(), 0, "nothing goes to a socket that is about to close");
    assert_eq!(rig.pushes.len(), 1);
    rig.wait_ms(5_000);
    assert_eq!(rig.closes, [(1, 4002)], "an app that does not close is closed");
}

#[test]
fn a_session_of_another_user_is_not_resumed_and_nothing_is_told() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "eve", &session, &json!({}));
    assert_eq!(rig.last_text(2)["header"]["error_code"], 403);
    assert_eq!(rig.last_text(2)["control"]["session_id"], Value::Null);
    assert_eq!(rig.closes, [(2, 4003)]);
    assert_eq!(rig.starts(2).len(), 0);
}

#[test]
fn a_second_socket_takes_the_session_and_the_first_is_closed() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.resume(2, "bob", &session, &json!({}));
    rig.resume(3, "bob", &session, &json!({}));
    assert_eq!(rig.closes, [(2, 1001)]);
    rig.request("INVITE", "one", "");
    assert_eq!((rig.starts(2).len(), rig.starts(3).len()), (0, 1));
}

#[test]
fn an_app_killed_after_it_acknowledged_a_start_is_given_it_again_with_a_fresh_number() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    rig.feed(Input::SocketClosed { socket: SocketId(2), code: None });
    rig.resume(3, "bob", &session, &json!({"cslr": 3, "subsessions": []}));
    let (first, second) = (rig.starts(2)[0].clone(), rig.starts(3)[0].clone());
    assert_eq!(first["control"]["subsession_id"], second["control"]["subsession_id"]);
    assert_eq!(first["control"]["correlation_id"], second["control"]["correlation_id"]);
    assert_eq!(second["control"]["sequence"], 4);
}

#[test]
fn an_app_that_still_holds_the_call_is_not_given_it_again() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    let id = rig.starts(2)[0]["control"]["subsession_id"].clone();
    rig.feed(Input::SocketClosed { socket: SocketId(2), code: None });
    rig.resume(3, "bob", &session, &json!({"cslr": 2, "subsessions": []}));
    assert_eq!(rig.starts(3), rig.starts(2), "unacknowledged: the identical frame");
    rig.feed(Input::SocketClosed { socket: SocketId(3), code: None });
    rig.resume(4, "bob", &session, &json!({"cslr": 3, "subsessions": [id]}));
    assert_eq!(rig.starts(4).len(), 0);
}

#[test]
fn a_fresh_connect_of_the_same_device_takes_the_pending_calls_over() {
    let mut rig = Rig::new(config());
    let old = rig.asleep();
    rig.request("INVITE", "one", "");
    let new = rig.connect(2, "bob", "tok");
    assert_ne!(old, new);
    assert_eq!(rig.starts(2).len(), 1);
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 2);
    assert_eq!(rig.statuses("one"), [100, 183, 200]);
}

#[test]
fn registering_answers_the_challenge_and_the_app_hears_nothing_before() {
    let mut config = config();
    let flow = Flow { peer: "192.0.2.2:5060".to_owned(), ..udp() };
    let uri = "sip:example.com".to_owned();
    config.registrar = Some(Registrar { uri, flow, expires_s: 300 });
    let mut rig = Rig::new(config);
    rig.open(1, "bob");
    rig.say(
        1,
        &json!({"control": {"type": "request", "sequence": 1},
        "header": {"action": "connect"}, "payload": {"deviceToken": "tok"}}),
    );
    assert_eq!(rig.sip.len(), 1);
    assert!(rig.texts.is_empty());
    let challenge = "Digest realm=\"example.com\", nonce=\"n1\", qop=\"auth\"";
    let refused = rig.sip[0].reply(401, "Unauthorized", Some("r"));
    let refused = refused.with("WWW-Authenticate", challenge);
    rig.feed(Input::Sip { flow: udp(), message: Box::new(refused) });
    let again = rig.sip.last().expect("a second REGISTER").clone();
    let credentials = again.header("Authorization").expect("credentials").to_owned();
    assert!(credentials.contains("username=\"bob\"") && credentials.contains("nc=00000001"));
    assert!(!credentials.contains("secret of bob"));
    assert!(again.cseq().expect("a CSeq").number > rig.sip[0].cseq().expect("a CSeq").number);
    let contact = again.header("Contact").expect("a Contact").to_owned();
    let granted = again.reply(200, "OK", Some("r")).with("Contact", contact);
    rig.feed(Input::Sip { flow: udp(), message: Box::new(granted) });
    assert_eq!(rig.last_text(1)["header"]["response_code"], 200);
    let session = rig.last_text(1)["control"]["session_id"].as_str().expect("an id").to_owned();
    rig.sleep(1, &session);
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
    let before = rig.sip.len();
    rig.wait_ms(181_000);
    assert!(rig.sip.len() > before, "the binding is refreshed while the app sleeps");
    assert!(rig.pushes.is_empty(), "and nobody is woken for it");
}

#[test]
fn an_idle_app_is_asked_to_sleep_and_closed_when_it_grants_it() {
    let mut config = config();
    config.ask_sleep_after_ms = 20_000;
    let mut rig = Rig::new(config);
    let session = rig.connect(1, "bob", "tok");
    rig.wait_ms(19_000);
    rig.feed(Input::SocketText { socket: SocketId(1), text: "ping".to_owned() });
    rig.wait_ms(1_000);
    let asked = rig.last_text(1);
    assert_eq!(
        (&asked["header"]["action"], &asked["control"]["type"]),
        (&json!("hibernate"), &json!("request"))
    );
    let correlation = asked["control"]["correlation_id"].clone();
    let answer = |kind: &str, header: &Value, sequence: u64| {
        json!({"control": {"type": kind, "package_type": "register", "sequence": sequence,
            "session_id": session, "correlation_id": correlation}, "header": header})
    };
    rig.say(1, &answer("response", &json!({"action": "hibernate", "ttl": 600}), 2));
    let complete = rig.last_text(1);
    assert_eq!(
        (&complete["header"]["action"], &complete["header"]["response_code"]),
        (&json!("complete"), &json!(200))
    );
    assert_eq!(complete["header"]["ttl"], 600);
    assert_eq!(rig.closes, [(1, 4001)]);
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
    rig.request("INVITE", "one", "");
    assert_eq!(rig.pushes.len(), 1);
}

#[test]
fn an_app_that_refuses_or_has_a_call_is_not_put_to_sleep() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    let ask = || Input::AskSleep {
        session: reveille_gateway_core::record::SessionId::from(session.clone()),
    };
    rig.feed(ask());
    let correlation = rig.last_text(1)["control"]["correlation_id"].clone();
    rig.request("INVITE", "one", "");
    let frame = |kind: &str, header: &Value, sequence: u64| {
        json!({"control": {"type": kind, "package_type": "register", "sequence": sequence,
            "session_id": session, "correlation_id": correlation}, "header": header})
    };
    rig.say(1, &frame("response", &json!({"action": "hibernate", "ttl": 600}), 2));
    assert_eq!(rig.last_text(1)["header"]["response_code"], 491, "a call came meanwhile");
    assert!(rig.closes.is_empty());
    rig.feed(ask());
    assert_eq!(rig.last_text(1)["header"]["action"], "complete", "not asked during a call");
    rig.request("CANCEL", "one", "");
    rig.feed(ask());
    let asked = rig.last_text(1);
    assert_eq!(asked["header"]["action"], "hibernate");
    let mut refusal = frame("error", &json!({"action": "hibernate", "error_code": 403}), 3);
    refusal["control"]["correlation_id"] = asked["control"]["correlation_id"].clone();
    rig.say(1, &refusal);
    assert!(rig.closes.is_empty());
    assert_eq!(
        rig.last_text(1)["header"]["action"],
        "hibernate",
        "a refusal is answered by nothing"
    );
}

#[test]
fn an_app_without_the_registrars_credentials_is_closed_after_three_rounds() {
    let mut config = config();
    config.registrar =
        Some(Registrar { uri: "sip:example.com".to_owned(), flow: udp(), expires_s: 3_600 });
    let mut rig = Rig::new(config);
    rig.open(1, "bob");
    for round in 1..=3_u64 {
        rig.say(
            1,
            &json!({"control": {"type": "request", "sequence": round}, "header": {"action": "connect",
                "authorization": {"username": "b", "realm": "r", "nonce": "n", "uri": "sip:e",
                    "response": format!("0{round}")}}}),
        );
        for _ in 0..2 {
            let register = rig.sip.last().expect("a REGISTER").clone();
            let refused = register
                .reply(401, "Unauthorized", Some("t"))
                .with("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n2\"");
            rig.feed(Input::Sip { flow: udp(), message: Box::new(refused) });
        }
        let registers = rig.sip.iter().filter(|m| {
            m.header("Authorization").is_some_and(|v| v.contains(&format!("response=\"0{round}\"")))
        });
        assert_eq!(registers.count(), 1, "the app's own answer goes first, once");
        let error = rig.last_text(1);
        assert_eq!(error["header"]["error_code"], 401);
        assert_eq!(error["header"]["authenticate"]["nonce"], "n2");
        let closed = if round < 3 { Vec::new() } else { vec![(1, 1008)] };
        assert_eq!(rig.closes, closed);
    }
}
