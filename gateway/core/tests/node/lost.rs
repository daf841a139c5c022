//! Calls and messages for a session whose connection was lost a moment ago, by kind of app and by
//! what the operator says.

use reveille_gateway_core::config::{Config, PushOnLoss};
use reveille_gateway_core::io::{Input, SocketId};
use serde_json::json;

use super::rig::{Rig, config};

/// A session of an app of this platform and push service that was lost just now.
fn lost(push_on_loss: PushOnLoss, platform: &str, provider: &str) -> (Rig, String) {
    let mut rig = Rig::new(Config { push_on_loss, ..config() });
    rig.open(1, "bob");
    rig.say(
        1,
        &json!({"control": {"type": "request", "sequence": 1}, "header": {"action": "connect"},
            "payload": {"deviceToken": "tok",
                "capability": {"platform": platform, "push_provider": provider, "app_id": "a"}}}),
    );
    let session = rig.last_text(1)["control"]["session_id"].as_str().expect("an id").to_owned();
    drop_socket(&mut rig);
    (rig, session)
}

fn drop_socket(rig: &mut Rig) {
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: None });
}

#[test]
fn in_the_grace_the_platform_and_the_operator_decide_who_is_pushed_for() {
    for (push_on_loss, platform, provider, pushed) in [
        (PushOnLoss::Native, "android", "fcm", true),
        (PushOnLoss::Native, "ios", "apns", true),
        (PushOnLoss::Native, "web", "fcm", false),
        (PushOnLoss::Native, "", "webpush", false),
        (PushOnLoss::All, "web", "webpush", true),
        (PushOnLoss::Nobody, "android", "fcm", false),
    ] {
        let (mut rig, _) = lost(push_on_loss, platform, provider);
        rig.request("INVITE", "one", "");
        let what = format!("{push_on_loss:?} {platform} {provider}");
        assert_eq!(rig.pushes.len(), usize::from(pushed), "{what}");
        assert_eq!(rig.statuses("one"), [100, 183], "held all the same: {what}");
        rig.wait_ms(29_999);
        assert_eq!(rig.statuses("one"), [100, 183], "{what}");
        rig.wait_ms(1);
        assert_eq!(rig.statuses("one"), [100, 183, 480], "in the call's own time: {what}");
    }
}

#[test]
fn a_web_app_that_comes_back_by_itself_is_given_what_was_held() {
    let (mut rig, session) = lost(PushOnLoss::Native, "web", "webpush");
    rig.request("INVITE", "one", "");
    rig.wait_ms(5_000);
    rig.resume(2, "bob", &session, &json!({"cslr": 1}));
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 2);
    assert_eq!(rig.statuses("one"), [100, 183, 200]);
    assert_eq!(rig.pushes.len(), 0);
}

#[test]
fn what_still_waits_when_the_grace_is_over_is_pushed_for_then() {
    let (mut rig, _) = lost(PushOnLoss::Native, "web", "webpush");
    rig.request("MESSAGE", "note", "");
    rig.wait_ms(50_000);
    assert_eq!(rig.statuses("note"), [100, 202], "its sender was told that it is stored");
    rig.request("INVITE", "one", "");
    rig.wait_ms(9_999);
    assert_eq!(rig.pushes.len(), 0);
    rig.wait_ms(1);
    assert_eq!(rig.pushes.len(), 1, "asleep now, and woken for both");
    assert_eq!(rig.pushes[0].payload.call_id.as_deref(), Some("one"));
    rig.wait_ms(20_000);
    assert_eq!(rig.statuses("one"), [100, 183, 480], "its budget began when it came");
}

#[test]
fn a_message_alone_is_pushed_for_when_the_grace_is_over() {
    let (mut rig, _) = lost(PushOnLoss::Native, "web", "webpush");
    rig.request("MESSAGE", "note", "");
    rig.wait_ms(59_999);
    assert_eq!(rig.pushes.len(), 0);
    rig.wait_ms(1);
    assert_eq!(rig.pushes.len(), 1);
    assert_eq!(rig.pushes[0].payload.event, "message");
}

#[test]
fn after_the_grace_and_after_a_goodbye_everybody_is_pushed_for() {
    let (mut rig, _) = lost(PushOnLoss::Nobody, "web", "webpush");
    rig.wait_ms(60_000);
    rig.request("INVITE", "one", "");
    assert_eq!(rig.pushes.len(), 1, "it sleeps");
    let mut rig = Rig::new(Config { push_on_loss: PushOnLoss::Nobody, ..config() });
    rig.asleep();
    rig.request("INVITE", "one", "");
    assert_eq!(rig.pushes.len(), 1, "it was put to sleep");
}

#[test]
fn a_gateway_that_comes_back_is_a_lost_connection_too() {
    let (mut rig, _) = lost(PushOnLoss::Native, "web", "fcm");
    rig.request("INVITE", "one", "");
    rig.crash();
    assert_eq!(rig.pushes.len(), 0, "the platform is on record");
    rig.wait_ms(30_000);
    assert_eq!(rig.statuses("one").last(), Some(&480));
}

#[test]
fn a_wake_that_began_on_a_silent_socket_ends_with_it() {
    let (mut rig, session) = lost(PushOnLoss::Native, "web", "webpush");
    rig.resume(2, "bob", &session, &json!({"cslr": 1}));
    rig.request("INVITE", "one", "");
    rig.wait_ms(3_000);
    assert_eq!(rig.pushes.len(), 1, "no word after the start");
    let push = rig.pushes[0].id;
    rig.feed(Input::SocketClosed { socket: SocketId(2), code: None });
    let why = "503".to_owned();
    let outcome = reveille_gateway_core::io::PushOutcome::Transient { why, retry_after_ms: None };
    rig.feed(Input::Pushed { push, outcome });
    rig.wait_ms(10_000);
    assert_eq!(rig.pushes.len(), 1, "no further attempt in the grace");
}

/// The app has the call, and its socket is not known to be dead: what the push service says of a
/// further wake takes nothing from it.
#[test]
fn a_failed_push_ends_no_call_of_an_app_that_is_connected_and_slow() {
    use reveille_gateway_core::io::PushOutcome;
    let why = || "no".to_owned();
    for outcome in [
        PushOutcome::Failed { why: why() },
        PushOutcome::refused(why()),
        PushOutcome::Transient { why: why(), retry_after_ms: Some(40_000) },
    ] {
        let mut rig = Rig::new(config());
        rig.connect(1, "bob", "tok");
        rig.request("INVITE", "one", "");
        let start = rig.starts(1)[0].clone();
        rig.wait_ms(3_000);
        let push = rig.pushes[0].id;
        rig.feed(Input::Pushed { push, outcome: outcome.clone() });
        assert!(!rig.statuses("one").contains(&480), "{outcome:?}");
        rig.answer(1, &start, 2);
        assert_eq!(rig.statuses("one"), [100, 183, 200], "{outcome:?}");
        let mut rig = Rig::new(config());
        rig.connect(1, "bob", "tok");
        rig.request("INVITE", "one", "");
        rig.wait_ms(3_000);
        let push = rig.pushes[0].id;
        rig.feed(Input::Pushed { push, outcome: outcome.clone() });
        for _ in 0..4 {
            rig.feed(Input::SocketText { socket: SocketId(1), text: "ping".to_owned() });
            rig.wait_ms(6_750);
        }
        assert_eq!(rig.statuses("one"), [100, 183, 480], "in the call's own time: {outcome:?}");
        assert_eq!(rig.now.mono_us, 30_000_001);
    }
}
