//! REFER and requests within a call: an app that is away is woken for them, and each is answered while
//! its sender still listens.

use reveille_gateway_core::io::{Input, PushOutcome, SocketId};
use reveille_wire::sip::Message;
use serde_json::{Value, json};

use super::caller::{Caller, come_back, line};
use super::rig::{Rig, config, udp};

const TO: &str = "Refer-To: <sip:carol@example.com>\r\nReferred-By: <sip:alice@example.com>\r\n";

fn refer(rig: &mut Rig, call: &str, fields: &str) {
    rig.request_with("REFER", call, "", "sip:bob@example.com", fields);
}

/// What the app was given of package `refer`.
fn referred(rig: &Rig, socket: u64) -> Vec<Value> {
    let is_it =
        |(at, frame): &&(u64, Value)| *at == socket && frame["control"]["package_type"] == "refer";
    rig.texts.iter().filter(is_it).map(|(_, frame)| frame.clone()).collect()
}

fn answer(rig: &mut Rig, socket: u64, asked: &Value, sequence: u64, code: u16) {
    let (kind, name) =
        if code < 300 { ("response", "response_code") } else { ("error", "error_code") };
    let state = if code < 200 { "subsequent" } else { "final" };
    let mut frame = json!({"control": {"type": kind, "package_type": "refer",
        "sequence": sequence, "message_state": state,
        "subsession_id": asked["control"]["subsession_id"],
        "correlation_id": asked["control"]["correlation_id"]}, "header": {"action": "start"}});
    frame["header"][name] = code.into();
    rig.say(socket, &frame);
}

fn notifies(rig: &Rig) -> Vec<Message> {
    let is_it = |m: &&Message| m.method().is_some_and(|m| m.as_str() == "NOTIFY");
    rig.sip.iter().filter(is_it).cloned().collect()
}

fn ping(rig: &mut Rig, seconds: u64) {
    for _ in 0..seconds {
        rig.wait_ms(1_000);
        rig.feed(Input::SocketText { socket: SocketId(1), text: "ping".to_owned() });
    }
}

#[test]
fn a_refer_wakes_its_app_which_is_asked_once_and_says_what_comes_of_it() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    refer(&mut rig, "r", TO);
    assert_eq!(rig.pushes.len(), 1);
    let payload = rig.pushes[0].payload.clone();
    assert_eq!((payload.event.as_str(), payload.call_id.as_deref()), ("message", Some("r")));
    assert_eq!(payload.initiator.as_deref(), Some("alice@example.com"));
    refer(&mut rig, "r", TO);
    assert!(rig.statuses("r").is_empty(), "a repetition adds nothing");
    rig.resume(1, "bob", &session, &json!({}));
    let asked = referred(&rig, 1);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["control"]["subsession_id"], payload.subsession_id.as_deref().expect("id"));
    assert_eq!(asked[0]["header"]["refer_to"], "sip:carol@example.com");
    assert_eq!(asked[0]["header"]["referred_by"], "<sip:alice@example.com>");
    assert_eq!(asked[0]["header"]["initiator"], "alice@example.com");
    answer(&mut rig, 1, &asked[0], 3, 180);
    assert!(rig.statuses("r").is_empty(), "a provisional of the app is for nobody");
    answer(&mut rig, 1, &asked[0], 4, 200);
    assert_eq!(rig.statuses("r"), [202]);
    let notify = notifies(&rig).pop().expect("the one that is due at least");
    assert_eq!(notify.uri(), Some("sip:alice@192.0.2.1"));
    assert_eq!(notify.header("Event"), Some("refer"));
    assert_eq!(notify.header("Subscription-State"), Some("terminated;reason=noresource"));
    assert_eq!(notify.body, b"SIP/2.0 100 Trying\r\n");
    assert_eq!(notify.from().expect("ours").tag(), Some(rig.tag_of("r", 202).as_str()));
    notify.validate().expect("a valid NOTIFY");
    ping(&mut rig, 40);
    assert_eq!(rig.statuses("r"), [202], "once");
}

#[test]
fn a_refer_is_refused_by_the_app_or_in_time_without_it_and_never_by_408() {
    for (said, heard) in [(603, 603), (486, 486), (408, 480), (401, 480), (404, 404)] {
        let mut rig = Rig::new(config());
        rig.connect(1, "bob", "tok");
        refer(&mut rig, "r", TO);
        assert!(rig.pushes.is_empty(), "it is here");
        let asked = referred(&rig, 1).remove(0);
        answer(&mut rig, 1, &asked, 2, said);
        assert_eq!(rig.statuses("r"), [heard]);
        assert!(notifies(&rig).is_empty());
    }
    let mut rig = Rig::new(config());
    rig.connect(1, "bob", "tok");
    refer(&mut rig, "r", TO);
    ping(&mut rig, 23);
    assert_eq!(rig.statuses("r"), [100], "RFC 4320: no 1xx but a late 100");
    ping(&mut rig, 1);
    assert_eq!(rig.statuses("r"), [100, 480], "8 s before its sender gives up");
    let told = referred(&rig, 1).pop().expect("the app is told");
    assert_eq!(told["header"]["action"], "shutdown");
    let asked = referred(&rig, 1).remove(0);
    answer(&mut rig, 1, &asked, 2, 200);
    assert_eq!(rig.statuses("r"), [100, 480], "too late");

    let mut rig = Rig::new(config());
    let session = rig.asleep();
    refer(&mut rig, "r", TO);
    rig.wait_ms(24_000);
    assert_eq!(rig.statuses("r"), [100, 480], "it never came");
    rig.resume(1, "bob", &session, &json!({}));
    assert!(referred(&rig, 1).is_empty(), "what is over is not given");
}

#[test]
fn a_refer_that_nobody_can_be_woken_for_is_refused_at_once() {
    let mut rig = Rig::new(config());
    rig.asleep();
    refer(&mut rig, "r", TO);
    let push = rig.pushes[0].id;
    rig.feed(Input::Pushed { push, outcome: PushOutcome::refused("410".to_owned()) });
    assert_eq!(rig.statuses("r"), [480]);
    refer(&mut rig, "again", TO);
    assert_eq!(rig.statuses("again"), [480], "no device any more");
    assert_eq!(rig.pushes.len(), 1);
    rig.request_with("REFER", "eve", "", "sip:eve@example.com", TO);
    rig.request_with("REFER", "nobody", "", "sip:nobody@example.com", TO);
    rig.request_with("REFER", "gone", "x", "sip:bob@example.com", TO);
    assert_eq!([rig.statuses("eve"), rig.statuses("nobody")], [[480], [404]]);
    assert_eq!(rig.statuses("gone"), [481]);
}

#[test]
fn what_is_no_sound_refer_is_refused_and_wakes_nobody() {
    let mut rig = Rig::new(config());
    rig.asleep();
    let long = format!("Refer-To: <sip:{}@example.com>\r\n", "x".repeat(1_024));
    let table = [
        ("none", "", 400),
        ("two", "Refer-To: <sip:c@d>\r\nRefer-To: <sip:e@f>\r\n", 400),
        ("bad", "Refer-To: <sip:[>\r\n", 400),
        ("long", long.as_str(), 400),
        ("http", "Refer-To: <http://example.com/>\r\n", 416),
        ("ext", "Require: multiple-refer\r\nRefer-To: <sip:c@d>\r\n", 420),
    ];
    for (call, fields, status) in table {
        refer(&mut rig, call, fields);
        assert_eq!(rig.statuses(call), [status], "{call}");
    }
    assert!(rig.pushes.is_empty());
    let mut off = config();
    off.refer = false;
    let mut rig = Rig::new(off);
    rig.asleep();
    refer(&mut rig, "r", TO);
    assert_eq!(rig.statuses("r"), [405]);
    let allow = rig.sip.last().expect("the 405").values("Allow").join(" ");
    assert!(!allow.contains("REFER"), "{allow}");
    assert!(rig.pushes.is_empty());
}

#[test]
fn one_refer_by_two_ways_is_one_and_after_a_crash_the_app_knows_it_again() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    refer(&mut rig, "r", TO);
    let other = format!(
        "REFER sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKother\r\n\
         From: <sip:alice@example.com>;tag=f\r\nTo: <sip:bob@example.com>\r\nCall-ID: r\r\n\
         CSeq: 2 REFER\r\nContact: <sip:alice@192.0.2.1>\r\nMax-Forwards: 70\r\n{TO}\
         Content-Length: 0\r\n\r\n"
    );
    let other = Box::new(Message::parse(other.as_bytes()).expect("well-formed"));
    rig.feed(Input::Sip { flow: udp(), message: other });
    assert_eq!(rig.statuses("r"), [482]);
    let first = referred(&rig, 1).remove(0);
    rig.crash();
    refer(&mut rig, "r", TO);
    rig.resume(2, "bob", &session, &json!({"cslr": 2}));
    let again = referred(&rig, 2).remove(0);
    assert_eq!(again["control"]["subsession_id"], first["control"]["subsession_id"]);
    answer(&mut rig, 2, &again, 2, 202);
    assert_eq!(rig.statuses("r"), [482, 202]);
}

#[test]
fn no_more_than_sixteen_wait_and_each_is_answered() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    for number in 0..17 {
        refer(&mut rig, &format!("r{number}"), TO);
    }
    assert_eq!(rig.pushes.len(), 1, "one wake for all");
    assert_eq!(rig.statuses("r16"), [480]);
    rig.resume(1, "bob", &session, &json!({}));
    assert_eq!(referred(&rig, 1).len(), 16);
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(1000) });
    for number in 0..16 {
        assert_eq!(rig.statuses(&format!("r{number}")), [480], "the session ended");
    }
}

#[test]
fn who_wants_no_notify_gets_none() {
    let mut rig = Rig::new(config());
    rig.connect(1, "bob", "tok");
    refer(&mut rig, "r", &format!("{TO}Refer-Sub: false\r\n"));
    let asked = referred(&rig, 1).remove(0);
    answer(&mut rig, 1, &asked, 2, 202);
    let accepted = rig.sip.last().expect("the 202");
    assert_eq!((accepted.status(), accepted.header("Refer-Sub")), (Some(202), Some("false")));
}

/// A call that stands, whose app was lost.
fn lost() -> Caller {
    let mut caller = Caller::new();
    caller.up();
    caller.rig.feed(Input::SocketClosed { socket: SocketId(1), code: None });
    assert!(caller.rig.pushes.is_empty());
    caller
}

const CANDIDATES: &str = "Info-Package: trickle-ice\r\n\
    Content-Type: application/trickle-ice-sdpfrag\r\n";

#[test]
fn requests_within_a_call_wake_its_app_and_are_given_to_it() {
    for (method, fields) in [("UPDATE", ""), ("INFO", CANDIDATES), ("REFER", TO)] {
        let mut caller = lost();
        caller.alice_asks_with(method, 5, fields, "v=0\r\ns=u\r\n");
        assert_eq!(caller.rig.pushes.len(), 1, "{method}");
        let payload = caller.rig.pushes[0].payload.clone();
        let (event, of) = (payload.event.as_str(), payload.subsession_id.as_deref());
        assert!(event == "call" && of == Some("sub"), "{method}: {payload:?}");
        assert!(caller.answers(method, 5).is_empty(), "{method}");
        let before = caller.rig.texts.len();
        come_back(&mut caller);
        let asked = caller.rig.last_text(1);
        let action = if method == "INFO" { "trickle" } else { "start" };
        assert_eq!(asked["header"]["action"], action, "{method}");
        let correlation =
            asked["control"]["correlation_id"].as_str().unwrap_or_default().to_owned();
        match method {
            "UPDATE" => {
                let rest =
                    json!({"control": {"message_state": "final"}, "payload": {"sdp": "v=0\r\n"}});
                caller.say("response", "start", &correlation, &rest);
                assert_eq!(caller.answers("UPDATE", 5), [200]);
            }
            "INFO" => {
                assert_eq!(asked["payload"]["candidates"], "v=0\r\ns=u\r\n");
                assert_eq!(caller.answers("INFO", 5), [200]);
            }
            _ => {
                assert_eq!(asked["header"]["call"], "sub");
                let rest = json!({"control": {"message_state": "final", "package_type": "refer",
                    "subsession_id": asked["control"]["subsession_id"]},
                    "header": {"response_code": 202}});
                caller.say("response", "start", &correlation, &rest);
                assert_eq!(caller.answers("REFER", 5), [202]);
                let notify = caller.sent("NOTIFY").expect("a NOTIFY");
                assert_eq!(notify.header("Event"), Some("refer;id=5"));
                assert_eq!(notify.header("CSeq"), Some("2 NOTIFY"), "within the dialog");
                caller.say("message", "shutdown", "c9", &json!({}));
                assert_eq!(caller.sent("BYE").expect("a BYE").header("CSeq"), Some("3 BYE"));
            }
        }
        let told = caller.told(before);
        assert_eq!(told.iter().filter(|(_, did, _)| did == action).count(), 1, "{method}: once");
    }
}

#[test]
fn requests_within_a_call_cost_their_transaction_only_if_the_app_does_not_come() {
    for (method, fields) in [("UPDATE", ""), ("INFO", CANDIDATES), ("REFER", TO)] {
        let mut caller = lost();
        caller.alice_asks_with(method, 5, fields, "v=0\r\n");
        caller.alice_asks_with(method, 4, fields, "v=0\r\n");
        assert_eq!(caller.answers(method, 4), [500], "{method}: out of order");
        caller.rig.wait_ms(24_000);
        assert_eq!(caller.answers(method, 5), [100, 504], "{method}");
        assert_eq!(caller.count("BYE"), 0, "the call stands");

        let mut caller = lost();
        caller.alice_asks_with(method, 5, fields, "v=0\r\n");
        let push = caller.rig.pushes[0].id;
        let refused = PushOutcome::refused("410".to_owned());
        caller.rig.feed(Input::Pushed { push, outcome: refused });
        assert_eq!(caller.answers(method, 5), [504], "{method}: nobody can be woken");

        let mut caller = lost();
        caller.alice_asks_with(method, 5, fields, "v=0\r\n");
        caller.alice_asks("BYE", 6, "");
        assert_eq!(caller.answers(method, 5), [487], "{method}: RFC 3261 15.1.2");
        assert_eq!(caller.answers("BYE", 6), [200]);
    }
}

#[test]
fn an_update_that_waited_leaves_the_app_no_more_time_than_its_sender_has() {
    let mut caller = lost();
    caller.alice_asks("UPDATE", 5, "v=0\r\n");
    caller.alice_asks("UPDATE", 6, "v=0\r\n");
    assert_eq!(caller.answers("UPDATE", 6), [500], "one offer at a time");
    caller.alice_asks("INFO", 7, "");
    assert_eq!(caller.answers("INFO", 7), [200], "it asks the app nothing");
    caller.rig.wait_ms(20_000);
    come_back(&mut caller);
    caller.alice_asks("INFO", 6, "");
    assert_eq!(caller.answers("INFO", 6), [500], "7 has been seen, whatever waited");
    caller.idle(3);
    assert_eq!(caller.answers("UPDATE", 5), [100]);
    caller.idle(1);
    assert_eq!(caller.answers("UPDATE", 5), [100, 504]);
}

#[test]
fn an_app_that_says_408_to_an_update_is_not_believed() {
    let mut caller = Caller::new();
    caller.up();
    caller.alice_asks("UPDATE", 5, "v=0\r\n");
    let asked = caller.rig.last_text(1);
    let correlation = asked["control"]["correlation_id"].as_str().expect("one").to_owned();
    caller.say("error", "start", &correlation, &json!({"header": {"error_code": 408}}));
    assert_eq!(caller.answers("UPDATE", 5), [504]);
}

#[test]
fn what_is_not_carried_is_refused_within_a_call_too_and_wakes_nobody() {
    let mut caller = lost();
    for (number, (method, status)) in
        [("PRACK", 481), ("SUBSCRIBE", 405), ("PUBLISH", 405), ("FOO", 501)].into_iter().enumerate()
    {
        let number = u32::try_from(number).expect("few") + 5;
        caller.alice_asks(method, number, "");
        assert_eq!(caller.answers(method, number), [status], "{method}");
    }
    caller.alice_asks_with("INFO", 20, "Info-Package: other\r\n", "x");
    caller.alice_asks("INFO", 21, "dtmf");
    assert_eq!([caller.answers("INFO", 20), caller.answers("INFO", 21)], [[469], [415]]);
    caller.alice_asks("OPTIONS", 22, "");
    assert!(caller.rig.pushes.is_empty());
    let before = caller.rig.texts.len();
    come_back(&mut caller);
    caller.alice_asks("BYE", 23, "");
    assert_eq!(
        caller.told(before),
        [line("message", "shutdown", 0)],
        "the call stood all the time"
    );
}

#[test]
fn requests_in_an_early_dialog_of_an_app_that_is_lost_are_answered_at_once() {
    let mut rig = Rig::new(config());
    rig.connect(1, "bob", "tok");
    rig.request("INVITE", "c", "");
    let start = rig.starts(1).remove(0);
    let control = &start["control"];
    rig.say(
        1,
        &json!({"control": {"type": "response", "package_type": "call", "sequence": 2,
            "subsession_id": control["subsession_id"], "message_state": "subsequent",
            "correlation_id": control["correlation_id"]}, "header": {"action": "start"}}),
    );
    let tag = rig.tag_of("c", 180);
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: None });
    let before = rig.pushes.len();
    let table = [("PRACK", 481), ("UPDATE", 500), ("INFO", 200), ("REFER", 500), ("FOO", 501)];
    for (at, (method, status)) in table.into_iter().enumerate() {
        let sdp = if method == "UPDATE" { "v=0\r\n" } else { "" };
        let text = format!(
            "{method} sip:bob@example.com SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{method}\r\n\
             From: <sip:alice@example.com>;tag=f\r\nTo: <sip:bob@example.com>;tag={tag}\r\n\
             Call-ID: c\r\nCSeq: {} {method}\r\nContact: <sip:alice@192.0.2.1>\r\n\
             Max-Forwards: 70\r\n{TO}Content-Length: {}\r\n\r\n{sdp}",
            at + 2,
            sdp.len()
        );
        let message = Box::new(Message::parse(text.as_bytes()).expect("well-formed"));
        rig.feed(Input::Sip { flow: udp(), message });
        assert_eq!(rig.statuses("c").last(), Some(&status), "{method}");
    }
    assert_eq!(rig.pushes.len(), before, "they wake nobody; the call itself may");
}

#[test]
fn a_bye_for_an_app_that_is_away_is_answered_without_it_and_told_at_its_return() {
    let mut caller = lost();
    caller.alice_asks("BYE", 5, "");
    assert_eq!(caller.answers("BYE", 5), [200]);
    caller.rig.request("BYE", "stranger", "x");
    assert_eq!(caller.rig.statuses("stranger"), [481]);
    assert!(caller.rig.pushes.is_empty());
    let before = caller.rig.texts.len();
    come_back(&mut caller);
    assert_eq!(caller.told(before), [line("message", "shutdown", 0)]);
}
