use serde_json::{Value, json};

use crate::rig::{Rig, udp, with_registrar};
use reveille_gateway_core::config::Config;
use reveille_gateway_core::io::{Input, PushOutcome};
use reveille_wire::sip::Message;

fn frame(kind: &str, action: &str, sequence: u64, header: &Value) -> Value {
    let mut frame = json!({
        "control": {"type": kind, "package_type": "message_notification", "sequence": sequence,
            "subsession_id": "u1", "correlation_id": "c1"},
        "header": {"action": action}, "payload": {},
    });
    for (name, value) in header.as_object().expect("an object") {
        frame["header"][name] = value.clone();
    }
    frame
}

/// A subscription that stands, on socket 1.
fn subscribed() -> (Rig, String) {
    subscribed_at(with_registrar())
}

fn subscribed_at(config: Config) -> (Rig, String) {
    let mut rig = Rig::new(config);
    let session = rig.connect(1);
    rig.say(1, &frame("request", "start", 2, &json!({})));
    let contact = ("Contact", "<sip:mwi@192.0.2.77:5080>");
    let routes = [("Record-Route", "<sip:p2;lr>"), ("Record-Route", "<sip:p1;lr>")];
    rig.network("SUBSCRIBE", 200, &[("Expires", "1800"), contact, routes[0], routes[1]]);
    (rig, session)
}

fn sleep(rig: &mut Rig, session: &str) {
    let sent = rig.texts.iter().filter_map(|(_, text)| text["control"]["sequence"].as_u64());
    let hibernate = json!({"control": {"type": "request", "sequence": 3, "session_id": session,
        "ack_sequence": sent.max()}, "header": {"action": "hibernate", "ttl": 86_400}});
    rig.say(1, &hibernate);
    rig.close(1, Some(4001));
}

/// A NOTIFY in the dialog of the latest SUBSCRIBE.
fn notify(rig: &mut Rig, cseq: u32, state: &str, body: &str) -> u16 {
    notify_with(
        rig,
        cseq,
        &format!("Event: message-summary\r\nSubscription-State: {state}\r\n"),
        body,
    )
}

fn notify_with(rig: &mut Rig, cseq: u32, fields: &str, body: &str) -> u16 {
    let asked = rig.asked("SUBSCRIBE").pop().expect("a SUBSCRIBE");
    let (call_id, from) = (asked.call_id().expect("a Call-ID"), asked.from().expect("a From"));
    let text = format!(
        "NOTIFY sip:x@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bK{cseq}{}\r\n\
         From: <sip:bob@example.com>;tag=n\r\nTo: <sip:bob@example.com>;tag={}\r\n\
         Call-ID: {call_id}\r\nCSeq: {cseq} NOTIFY\r\nContact: <sip:mwi@192.0.2.77:5080>\r\n\
         Max-Forwards: 70\r\n{fields}Content-Type: application/simple-message-summary\r\n\
         Content-Length: {}\r\n\r\n{body}",
        rig.sip.len(),
        from.tag().expect("a tag"),
        body.len()
    );
    let before = rig.sip.len();
    let message = Box::new(Message::parse(text.as_bytes()).expect("well-formed"));
    rig.feed(Input::Sip { flow: udp(), message });
    rig.sip[before..].iter().find_map(Message::status).unwrap_or(0)
}

#[test]
fn a_start_is_a_subscribe_and_a_notify_reaches_the_app() {
    let (mut rig, _) = subscribed();
    let asked = rig.asked("SUBSCRIBE").remove(0);
    assert_eq!(asked.uri(), Some("sip:bob@example.com"), "one's own mailbox");
    assert_eq!(asked.header("Event"), Some("message-summary"));
    assert_eq!(asked.header("Expires"), Some("3600"));
    let answer = rig.frames(1, "start").remove(0);
    assert_eq!(answer["control"]["type"], "response");
    assert_eq!(answer["control"]["subsession_id"], "u1");
    assert_eq!(answer["control"]["correlation_id"], "c1");
    assert_eq!(answer["header"]["expiry"], 1_800);
    rig.hold_commits = true;
    assert_eq!(notify(&mut rig, 1, "active", "Messages-Waiting: yes\r\nVoice-Message: 2/8\r\n"), 0);
    rig.hold_commits = false;
    rig.commit_all();
    assert_eq!(rig.sip.last().and_then(Message::status), Some(200), "after the store");
    let notified = rig.frames(1, "notify").remove(0);
    let wanted = json!({"messages_waiting": "yes", "voice_message": "2/8(0/0)"});
    assert_eq!(notified["payload"], wanted);
    assert_eq!(notified["control"]["type"], "message");
}

#[test]
fn header_and_credentials_are_the_apps_and_the_users() {
    let mut rig = Rig::new(with_registrar());
    rig.connect(1);
    let header = json!({"event": "dialog", "expiry": 600, "target": "alice@example.com"});
    rig.say(1, &frame("request", "start", 2, &header));
    rig.network("SUBSCRIBE", 401, &[("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\"")]);
    let asked = rig.asked("SUBSCRIBE").remove(1);
    assert!(asked.header("Authorization").is_some());
    assert_eq!(asked.uri(), Some("sip:alice@example.com"));
    assert_eq!((asked.header("Event"), asked.header("Expires")), (Some("dialog"), Some("600")));
    assert_eq!(asked.cseq().map(|cseq| cseq.number), Ok(2));
    rig.network("SUBSCRIBE", 423, &[("Min-Expires", "900")]);
    assert_eq!(rig.asked("SUBSCRIBE").remove(2).header("Expires"), Some("900"));
    rig.network("SUBSCRIBE", 489, &[]);
    let error = rig.frames(1, "start").remove(0);
    assert_eq!(error["header"]["error_code"], 489);
    let record = rig.disk.sessions.values().next().expect("a session");
    assert!(record.subscriptions.is_empty());
}

#[test]
fn it_is_refreshed_in_its_dialog_awake_and_asleep() {
    let (mut rig, session) = subscribed();
    sleep(&mut rig, &session);
    let begun_us = rig.now.mono_us;
    while rig.asked("SUBSCRIBE").len() < 2 {
        rig.wait_ms(1_000);
    }
    let after_s = (rig.now.mono_us - begun_us) / 1_000_000;
    assert!((1_500..1_700).contains(&after_s), "well before the 1,800 s are over: {after_s}");
    let asked = rig.asked("SUBSCRIBE");
    assert_eq!(asked[1].call_id(), asked[0].call_id());
    assert_eq!(asked[1].uri(), Some("sip:mwi@192.0.2.77:5080"));
    assert_eq!(asked[1].values("Route"), ["<sip:p1;lr>", "<sip:p2;lr>"]);
    assert_eq!(asked[1].to().map(|to| to.tag().map(str::to_owned)), Ok(Some("n".to_owned())));
    rig.network("SUBSCRIBE", 481, &[]);
    rig.wait_ms(1_000);
    let asked = rig.asked("SUBSCRIBE");
    assert_ne!(asked[2].call_id(), asked[0].call_id(), "lost there: a fresh one");
    assert_eq!(asked[2].to().map(|to| to.tag().is_none()), Ok(true));
    assert!(rig.pushes.is_empty());
}

#[test]
fn a_sleeper_is_told_the_last_of_a_hundred_states_once_and_is_not_woken() {
    let (mut rig, session) = subscribed();
    sleep(&mut rig, &session);
    let seen = rig.disk.sessions.values().map(|it| it.last_out).max().expect("a session");
    rig.hold_commits = true;
    assert_eq!(notify(&mut rig, 1, "active", "Messages-Waiting: no\r\n"), 0, "not stored yet");
    rig.hold_commits = false;
    rig.commit_all();
    for new in 1..=100 {
        let body = format!("Messages-Waiting: yes\r\nVoice-Message: {new}/0 (1/2)\r\n");
        assert_eq!(notify(&mut rig, new, "active;expires=1800", &body), 200);
    }
    assert!(rig.pushes.is_empty());
    rig.restart();
    rig.resume(2, &session, seen);
    let states = rig.frames(2, "notify");
    assert_eq!(states.len(), 1);
    assert_eq!(states[0]["payload"]["voice_message"], "100/0(1/2)");
    rig.close(2, None);
    rig.resume(3, &session, seen + 1);
    assert!(rig.frames(3, "notify").is_empty(), "once");
}

#[test]
fn what_was_numbered_after_the_grant_of_sleep_is_not_taken_for_seen() {
    let mut rig = Rig::new(with_registrar());
    let session = rig.connect(1);
    rig.say(1, &frame("request", "start", 2, &json!({})));
    let hibernate = json!({"control": {"type": "request", "sequence": 3, "session_id": session},
        "header": {"action": "hibernate", "ttl": 86_400}});
    rig.say(1, &hibernate);
    let granted = rig.frames(1, "hibernate")[0]["control"]["sequence"].as_u64().expect("a number");
    // The answer crosses the app's close.
    rig.network("SUBSCRIBE", 200, &[("Expires", "1800")]);
    rig.close(1, Some(4001));
    rig.resume(2, &session, granted);
    let started = rig.frames(2, "start");
    assert_eq!(started.len(), 1, "the app never had it: {started:?}");
    assert_eq!(started[0]["control"]["sequence"], granted + 1);
}

#[test]
fn news_wakes_a_sleeper_where_the_operator_wants_that_and_what_is_known_does_not() {
    let mut config = with_registrar();
    config.notify_wakes = true;
    let (mut rig, session) = subscribed_at(config);
    notify(&mut rig, 1, "active", "Messages-Waiting: no\r\n");
    sleep(&mut rig, &session);
    notify(&mut rig, 2, "active", "Messages-Waiting: no\r\n");
    notify(&mut rig, 3, "active", "");
    assert!(rig.pushes.is_empty(), "what the app was told awake, and nothing at all");
    rig.hold_commits = true;
    notify(&mut rig, 4, "active", "Messages-Waiting: yes\r\nVoice-Message: 1/0\r\n");
    assert!(rig.pushes.is_empty(), "not stored yet");
    rig.hold_commits = false;
    rig.commit_all();
    assert_eq!(rig.pushes.len(), 1);
    assert_eq!(rig.pushes[0].payload.event, "notify");
    rig.push_outcome(PushOutcome::Accepted);
    for new in 2..20 {
        let body = format!("Messages-Waiting: yes\r\nVoice-Message: {new}/0\r\n");
        notify(&mut rig, new + 4, "active", &body);
    }
    assert_eq!(rig.pushes.len(), 1, "a burst is one push");
    rig.wait_ms(31_000);
    let before = rig.pushes.len();
    rig.restart();
    rig.wait_ms(10_000);
    let contact = ("Contact", "<sip:mwi@192.0.2.77:5080>");
    rig.network("SUBSCRIBE", 200, &[("Expires", "1800"), contact]);
    let known = "Messages-Waiting: yes\r\nVoice-Message: 19/0\r\n";
    assert_eq!(notify(&mut rig, 1, "active", known), 200);
    assert_eq!(rig.pushes.len(), before, "a restart is no news");
    rig.request("INVITE", "call", "", "");
    assert_eq!(rig.pushes.last().expect("a push").payload.event, "call");
}

#[test]
fn a_restart_subscribes_afresh_and_the_old_dialog_is_unknown() {
    let (mut rig, _) = subscribed();
    rig.restart();
    assert_eq!(notify(&mut rig, 1, "active", "Messages-Waiting: no\r\n"), 481);
    rig.wait_ms(10_000);
    let asked = rig.asked("SUBSCRIBE");
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[1].call_id(), asked[0].call_id());
    assert_eq!(notify(&mut rig, 1, "active", "Messages-Waiting: no\r\n"), 200, "before its 200");
    rig.network("SUBSCRIBE", 200, &[("Expires", "1800")]);
    rig.wait_ms(1_000);
    let record = rig.disk.sessions.values().next().expect("a session");
    let starts = record.unacknowledged.iter().filter(|it| it.text.contains("\"start\""));
    assert_eq!(starts.count(), 1, "the app was told before");
}

#[test]
fn a_shutdown_ends_it_there_and_is_confirmed_by_the_last_notify() {
    let (mut rig, _) = subscribed();
    rig.say(1, &frame("message", "shutdown", 3, &json!({})));
    let asked = rig.asked("SUBSCRIBE").remove(1);
    assert_eq!(asked.header("Expires"), Some("0"));
    rig.network("SUBSCRIBE", 200, &[("Expires", "0")]);
    assert!(rig.frames(1, "shutdown").is_empty());
    assert_eq!(notify(&mut rig, 1, "terminated;reason=timeout", ""), 200);
    assert_eq!(rig.frames(1, "shutdown").len(), 1);
    assert_eq!(notify(&mut rig, 2, "active", ""), 481);

    let (mut rig, _) = subscribed();
    rig.say(1, &frame("message", "shutdown", 3, &json!({})));
    rig.network("SUBSCRIBE", 200, &[("Expires", "0")]);
    rig.wait_ms(29_000);
    rig.feed(Input::SocketText {
        socket: reveille_gateway_core::io::SocketId(1),
        text: "ping".to_owned(),
    });
    rig.wait_ms(3_000);
    assert_eq!(rig.frames(1, "shutdown").len(), 1, "without the NOTIFY too");
}

#[test]
fn what_the_notifier_ends_is_taken_up_again_only_if_it_wants_that() {
    let (mut rig, _) = subscribed();
    notify(&mut rig, 1, "terminated;reason=deactivated", "");
    assert_eq!(rig.asked("SUBSCRIBE").len(), 2);
    assert!(rig.frames(1, "shutdown").is_empty());
    rig.network("SUBSCRIBE", 200, &[("Expires", "1800")]);
    notify(&mut rig, 1, "terminated;reason=noresource", "");
    assert_eq!(rig.asked("SUBSCRIBE").len(), 2);
    assert_eq!(rig.frames(1, "shutdown").len(), 1);
}

#[test]
fn a_notify_that_fits_nothing_is_refused() {
    let (mut rig, _) = subscribed();
    assert_eq!(notify_with(&mut rig, 1, "Subscription-State: active\r\n", ""), 489);
    assert!(rig.sip.last().is_some_and(|it| it.header("Allow-Events").is_some()));
    let other = "Event: dialog\r\nSubscription-State: active\r\n";
    assert_eq!(notify_with(&mut rig, 1, other, ""), 481);
    assert_eq!(notify(&mut rig, 5, "active", ""), 200);
    assert_eq!(notify(&mut rig, 4, "active", ""), 500, "out of order");
    assert_eq!(notify(&mut rig, 6, "active", &"x".repeat(8_193)), 413);
    rig.request("NOTIFY", "stray", "Event: message-summary\r\n", "");
    assert_eq!(rig.statuses("stray"), [481]);
}

#[test]
fn what_has_no_meaning_outside_a_dialog_is_answered_without_a_push() {
    let mut rig = Rig::new(with_registrar());
    rig.asleep();
    for (method, status) in [
        ("INFO", 481),
        ("UPDATE", 481),
        ("PRACK", 481),
        ("SUBSCRIBE", 405),
        ("PUBLISH", 405),
        ("FOO", 501),
    ] {
        rig.request(method, method, "", "");
        assert_eq!(rig.statuses(method), [status], "{method}");
    }
    assert!(rig.pushes.is_empty());
}

#[test]
fn the_end_of_the_session_ends_its_subscriptions() {
    let (mut rig, _) = subscribed();
    rig.close(1, Some(1000));
    let asked = rig.asked("SUBSCRIBE");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].header("Expires"), Some("0"));
    assert_eq!(asked[1].call_id(), asked[0].call_id());
}

#[test]
fn a_notify_before_the_200_begins_the_dialog_and_later_ones_say_where_it_goes() {
    let mut rig = Rig::new(with_registrar());
    rig.connect(1);
    rig.say(1, &frame("request", "start", 2, &json!({})));
    let state = "Event: message-summary\r\nSubscription-State: active\r\n";
    // A strict router, then a loose one (RFC 3261 section 12.2.1.1).
    let routes =
        format!("Record-Route: <sip:old.example.com>\r\nRecord-Route: <sip:p1;lr>\r\n{state}");
    assert_eq!(notify_with(&mut rig, 7, &routes, "Messages-Waiting: yes\r\n"), 200);
    rig.network("SUBSCRIBE", 200, &[("Expires", "1800"), ("Contact", "<sip:early@192.0.2.78>")]);
    assert_eq!(notify(&mut rig, 6, "active", "Messages-Waiting: no\r\n"), 500, "it counts");
    assert_eq!(notify(&mut rig, 8, "active", "Messages-Waiting: no\r\n"), 200);
    rig.say(1, &frame("message", "shutdown", 3, &json!({})));
    let last = rig.asked("SUBSCRIBE").pop().expect("the end");
    assert_eq!(last.header("Expires"), Some("0"));
    assert_eq!(last.to().expect("a To").tag(), Some("n"), "within the dialog");
    assert_eq!(last.header("CSeq"), Some("2 SUBSCRIBE"));
    assert_eq!(last.uri(), Some("sip:old.example.com"), "a strict router");
    assert_eq!(last.values("Route"), ["<sip:p1;lr>", "<sip:mwi@192.0.2.77:5080>"]);
}
