//! The life of a sleep, the loss of a connection, and what a woken app is given.

use reveille_gateway_core::config::Registrar;
use reveille_gateway_core::io::{Change, Input, PushOutcome, SocketId};
use serde_json::{Value, json};

use super::rig::{Rig, config, udp};

fn closed(rig: &mut Rig, socket: u64, code: Option<u16>) {
    rig.feed(Input::SocketClosed { socket: SocketId(socket), code });
}

fn hibernate(rig: &mut Rig, session: &str, header: &Value) -> Value {
    let mut frame = json!({"control": {"type": "request", "sequence": 2, "session_id": session},
        "header": {"action": "hibernate"}});
    for (name, value) in header.as_object().expect("an object") {
        frame["header"][name] = value.clone();
    }
    rig.say(1, &frame);
    rig.last_text(1)
}

#[test]
fn the_sleep_asked_for_is_brought_within_bounds() {
    for (asked, granted) in [
        (json!({}), 86_400),
        (json!({"ttl": 1}), 60),
        (json!({"ttl": 3_600}), 3_600),
        (json!({"ttl": 9_000_000}), 604_800),
    ] {
        let mut rig = Rig::new(config());
        let session = rig.connect(1, "bob", "tok");
        assert_eq!(hibernate(&mut rig, &session, &asked)["header"]["ttl"], granted);
    }
}

#[test]
fn the_end_of_sleep_drops_the_session_its_binding_and_its_id() {
    let mut config = config();
    config.registrar =
        Some(Registrar { uri: "sip:example.com".to_owned(), flow: udp(), expires_s: 86_400 });
    let mut rig = Rig::new(config);
    rig.open(1, "bob");
    rig.say(
        1,
        &json!({"control": {"type": "request", "sequence": 1}, "header": {"action": "connect"},
            "payload": {"deviceToken": "tok"}}),
    );
    let grant = |rig: &mut Rig| {
        let register = rig.sip.iter().rev().find(|m| m.is_request()).expect("a REGISTER").clone();
        let response = register.reply(200, "OK", Some("r")).with("Expires", "86400");
        rig.feed(Input::Sip { flow: udp(), message: Box::new(response) });
        register
    };
    grant(&mut rig);
    let session = rig.last_text(1)["control"]["session_id"].as_str().expect("an id").to_owned();
    hibernate(&mut rig, &session, &json!({"ttl": 3_600}));
    closed(&mut rig, 1, Some(4001));
    rig.wait_ms(3_599_999);
    rig.hold_commits = true;
    rig.wait_ms(1);
    let is_drop = |change: &Change| *change == Change::DropSession;
    assert!(rig.commits.iter().any(|commit| commit.changes.iter().any(is_drop)));
    rig.hold_commits = false;
    rig.commit_all();
    let last = grant(&mut rig);
    let said = format!("{:?} {:?}", last.header("Expires"), last.header("Contact"));
    assert!(said.contains("\"0\"") || said.contains("expires=0"), "{said}");
    rig.request("INVITE", "one", "");
    assert_eq!((rig.statuses("one"), rig.pushes.len()), (vec![480], 0));
    rig.resume(2, "bob", &session, &json!({}));
    grant(&mut rig);
    assert_ne!(rig.last_text(2)["control"]["session_id"], session.as_str());
    assert!(rig.starts(2).is_empty());
}

#[test]
fn the_end_of_sleep_waits_for_the_wake_under_way() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.wait_ms(3_590_000);
    rig.request("INVITE", "one", "");
    rig.wait_ms(20_000);
    assert_eq!(rig.statuses("one"), [100, 183], "the sleep is over, and the call is not");
    rig.resume(2, "bob", &session, &json!({}));
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 3);
    assert_eq!(rig.statuses("one"), [100, 183, 200]);
}

#[test]
fn a_lost_connection_has_its_grace_and_then_sleeps() {
    for code in [None, Some(1001), Some(4000)] {
        let mut rig = Rig::new(config());
        let session = rig.connect(1, "bob", "tok");
        closed(&mut rig, 1, code);
        rig.wait_ms(59_000);
        rig.request("INVITE", "one", "");
        assert_eq!(rig.pushes.len(), 1, "pushed for in the grace as well");
        rig.request("CANCEL", "one", "");
        rig.wait_ms(10_000);
        rig.request("INVITE", "two", "");
        assert_eq!(rig.pushes.len(), 2, "now it sleeps");
        rig.resume(2, "bob", &session, &json!({"cslr": 1}));
        assert_eq!(rig.starts(2).len(), 1);
    }
    for (waited_ms, lives) in [(59_999, true), (60_000, false)] {
        let mut rig = Rig::new(config());
        let session = rig.connect(1, "bob", "");
        // Counted from the loss, and not from the last word before it.
        rig.wait_ms(20_000);
        closed(&mut rig, 1, None);
        rig.wait_ms(waited_ms);
        rig.resume(2, "bob", &session, &json!({"cslr": 1}));
        let same = rig.last_text(2)["control"]["session_id"] == session.as_str();
        assert_eq!(same, lives, "without a token it ends after {waited_ms} ms");
    }
}

#[test]
fn what_was_taken_before_sleep_is_not_taken_again() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    let granted = hibernate(&mut rig, &session, &json!({}));
    assert_eq!(granted["control"]["ack_sequence"], 2);
    closed(&mut rig, 1, Some(4001));
    rig.resume(2, "bob", &session, &json!({}));
    assert_eq!(rig.last_text(2)["header"]["sslr"], 2);
    let again = json!({"control": {"type": "request", "sequence": 2, "session_id": session},
        "header": {"action": "hibernate"}});
    rig.say(2, &again);
    assert_eq!(rig.last_text(2)["control"]["type"], "acknowledgement");
    rig.request("INVITE", "one", "");
    assert_eq!(rig.starts(2).len(), 1, "it is awake: the resent hibernate was dropped");
}

#[test]
fn the_second_answer_to_an_app_that_asked_twice_and_left_on_the_first_comes_again() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    let first = hibernate(&mut rig, &session, &json!({}))["control"]["sequence"].clone();
    let again = json!({"control": {"type": "request", "sequence": 3, "session_id": session},
        "header": {"action": "hibernate"}});
    rig.say(1, &again);
    let second = rig.last_text(1);
    closed(&mut rig, 1, Some(4001));
    rig.resume(2, "bob", &session, &json!({"cslr": first}));
    assert_eq!(rig.last_text(2), second, "no number is left out");
}

#[test]
fn a_call_cancelled_while_its_app_is_away_leaves_no_hole() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    for call in ["one", "two", "three"] {
        rig.request("INVITE", call, "");
    }
    rig.request("CANCEL", "one", "");
    rig.request("CANCEL", "two", "");
    rig.resume(2, "bob", &session, &json!({}));
    let starts = rig.starts(2);
    assert_eq!(starts.len(), 1);
    assert_eq!(starts[0]["control"]["sequence"], 3);
    assert_eq!(starts[0]["control"]["correlation_id"], "s3");
}

#[test]
fn a_cancel_of_a_call_that_the_app_was_given_is_a_shutdown() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    let start = rig.starts(2)[0].clone();
    rig.request("CANCEL", "one", "");
    let told = rig.last_text(2);
    assert_eq!(
        (&told["control"]["type"], &told["header"]["action"]),
        (&json!("message"), &json!("shutdown"))
    );
    assert_eq!(told["control"]["subsession_id"], start["control"]["subsession_id"]);
    assert_eq!(rig.statuses("one")[..2], [100, 183]);
    let mut rest = rig.statuses("one")[2..].to_vec();
    rest.sort_unstable();
    assert_eq!(rest, [200, 487]);
}

#[test]
fn a_call_without_an_offer_is_given_as_it_came() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    let start = rig.starts(2)[0].clone();
    assert_eq!(start["payload"], json!({}), "no SDP was made up");
    let refused = json!({"control": {"type": "error", "package_type": "call", "sequence": 3,
        "session_id": session, "subsession_id": start["control"]["subsession_id"],
        "correlation_id": start["control"]["correlation_id"]},
        "header": {"action": "start", "error_code": 403, "reason": "no SDP"}});
    rig.say(2, &refused);
    assert_eq!(rig.statuses("one"), [100, 183, 488]);
}

fn ring(rig: &mut Rig, socket: u64, start: &Value, sequence: u64, state: &str) {
    rig.say(
        socket,
        &json!({"control": {"type": "response", "package_type": "call", "sequence": sequence,
            "subsession_id": start["control"]["subsession_id"],
            "correlation_id": start["control"]["correlation_id"], "message_state": state},
            "header": {"action": "start"}}),
    );
}

#[test]
fn a_second_ringing_goes_nowhere_and_a_shutdown_leaves_the_session() {
    let mut rig = Rig::new(config());
    rig.connect(1, "bob", "tok");
    rig.request("INVITE", "one", "");
    let start = rig.starts(1)[0].clone();
    ring(&mut rig, 1, &start, 2, "initial");
    ring(&mut rig, 1, &start, 3, "subsequent");
    assert_eq!(rig.statuses("one"), [100, 180], "once");
    rig.answer(1, &start, 4);
    assert_eq!(rig.statuses("one"), [100, 180, 200]);
    let tag = rig.tag_of("one", 200);
    rig.request("ACK", "one", &tag);
    rig.request("BYE", "one", &tag);
    assert_eq!(rig.last_text(1)["header"]["action"], "shutdown");
    assert!(rig.closes.is_empty());
    rig.request("INVITE", "two", "");
    assert_eq!(rig.starts(1).len(), 2, "the session lives, on its socket");
}

/// What caller and app saw of one call: statuses without the holding provisional, and frames
/// without what numbers and names them.
fn course(rig: &mut Rig, socket: u64, sequence: u64) -> (Vec<u16>, Vec<Value>) {
    let start = rig.starts(socket)[0].clone();
    ring(rig, socket, &start, sequence, "subsequent");
    rig.answer(socket, &start, sequence + 1);
    let tag = rig.tag_of("one", 200);
    rig.request("ACK", "one", &tag);
    rig.request("BYE", "one", &tag);
    let statuses = rig.statuses("one").into_iter().filter(|status| *status != 183).collect();
    let calls =
        |(at, text): &&(u64, Value)| *at == socket && text["control"]["package_type"] == "call";
    let bare = |(_, text): &(u64, Value)| {
        let mut text = text.clone();
        for name in ["session_id", "subsession_id", "sequence", "ack_sequence", "correlation_id"] {
            let is_there = !text["control"][name].is_null();
            text["control"][name] = json!(is_there);
        }
        text
    };
    (statuses, rig.texts.iter().filter(calls).map(bare).collect())
}

#[test]
fn a_woken_call_goes_on_as_an_awake_one() {
    let mut awake = Rig::new(config());
    awake.connect(1, "bob", "tok");
    awake.request("INVITE", "one", "");
    assert!(awake.pushes.is_empty(), "it is here");
    let mut woken = Rig::new(config());
    let session = woken.asleep();
    woken.request("INVITE", "one", "");
    woken.resume(2, "bob", &session, &json!({}));
    let (statuses, frames) = course(&mut awake, 1, 2);
    assert_eq!(statuses, [100, 180, 200, 200]);
    assert_eq!(frames.len(), 3, "start, complete, shutdown");
    assert_eq!(frames[0]["header"]["initiator"], "alice@example.com");
    assert_eq!(frames[0]["header"]["target"], "bob@example.com");
    assert_eq!(course(&mut woken, 2, 3), (statuses, frames));
}

#[test]
fn sleep_without_a_token_is_granted_if_the_operator_says_so() {
    let mut config = config();
    config.sleep_without_token = true;
    let mut rig = Rig::new(config);
    let session = rig.connect(1, "bob", "");
    assert_eq!(hibernate(&mut rig, &session, &json!({}))["header"]["response_code"], 200);
}

#[test]
fn an_unanswered_wake_leaves_the_app_asleep() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    let push = rig.pushes[0].id;
    rig.feed(Input::Pushed { push, outcome: PushOutcome::Accepted });
    rig.wait_ms(30_000);
    assert_eq!(rig.statuses("one"), [100, 183, 480]);
    rig.wait_ms(600_000);
    rig.request("INVITE", "two", "");
    assert_eq!(rig.pushes.len(), 2, "it still sleeps, and is woken for the next one");
    rig.resume(2, "bob", &session, &json!({}));
    assert_eq!(rig.last_text(2)["control"]["session_id"], session.as_str());
    assert_eq!(rig.starts(2).len(), 1);
}

/// What counts for the rate of wakes is a push that left, and not one that was withdrawn.
#[test]
fn callers_that_give_up_delay_no_wake() {
    let mut rig = Rig::new(config());
    rig.asleep();
    for call in 0..20 {
        rig.request("INVITE", &format!("w{call}"), "");
        rig.request("CANCEL", &format!("w{call}"), "");
    }
    assert_eq!(rig.pushes.len(), 1);
    rig.request("INVITE", "last", "");
    rig.wait_ms(1_999);
    assert_eq!(rig.pushes.len(), 1, "a session is not woken anew more often than every 2 s");
    rig.wait_ms(1);
    assert_eq!(rig.pushes.len(), 2);
    assert_eq!(rig.pushes[1].payload.call_id.as_deref(), Some("last"));
}

/// The gateway closed by itself: nothing says that the app has what was sent on that socket.
#[test]
fn what_was_sent_before_the_gateway_closed_a_sleepers_socket_is_sent_again() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    rig.request("INVITE", "one", "");
    rig.request("CANCEL", "one", "");
    let sent = |rig: &Rig, socket: u64| -> Vec<Value> {
        let numbered = |it: &&(u64, Value)| it.0 == socket && it.1["control"]["sequence"].is_u64();
        rig.texts.iter().filter(numbered).map(|it| it.1.clone()).collect()
    };
    hibernate(&mut rig, &session, &json!({}));
    rig.wait_ms(5_000);
    assert_eq!(rig.closes, [(1, 4002)]);
    rig.resume(2, "bob", &session, &json!({"cslr": 1}));
    let first = sent(&rig, 1);
    assert_eq!(first.len(), 4, "the answers to connect and hibernate, start and shutdown");
    assert_eq!(sent(&rig, 2), first[1..]);
}
