//! One call for several devices of a user.

use reveille_gateway_core::io::{Input, PushOutcome, SocketId};
use serde_json::{Value, json};

use super::rig::{Rig, config};

/// Bob's tablet is connected (socket 2), his phone sleeps (session returned).
fn awake_and_asleep() -> (Rig, String) {
    let mut rig = Rig::new(config());
    let phone = rig.asleep();
    rig.connect(2, "bob", "tablet");
    (rig, phone)
}

fn shutdowns(rig: &Rig, socket: u64) -> Vec<Value> {
    let of = |(at, text): &&(u64, Value)| *at == socket && text["header"]["action"] == "shutdown";
    rig.texts.iter().filter(of).map(|(_, text)| text["header"]["reason"].clone()).collect()
}

fn refuse(rig: &mut Rig, socket: u64, start: &Value, sequence: u64, code: u16) {
    let control = &start["control"];
    rig.say(
        socket,
        &json!({"control": {"type": "error", "package_type": "call", "sequence": sequence,
            "session_id": control["session_id"], "subsession_id": control["subsession_id"],
            "correlation_id": control["correlation_id"]},
            "header": {"action": "start", "error_code": code}}),
    );
}

#[test]
fn every_device_is_called_and_the_first_that_answers_has_the_call() {
    let (mut rig, phone) = awake_and_asleep();
    rig.request("INVITE", "one", "");
    assert_eq!(rig.pushes.len(), 1, "the phone is woken while the tablet rings");
    rig.resume(3, "bob", &phone, &json!({}));
    let (on_tablet, on_phone) = (rig.starts(2), rig.starts(3));
    assert_eq!((on_tablet.len(), on_phone.len()), (1, 1));
    assert_eq!(rig.statuses("one").iter().filter(|status| **status == 100).count(), 1);
    rig.answer(3, &on_phone[0], 3);
    assert_eq!(rig.statuses("one").last(), Some(&200));
    assert_eq!(shutdowns(&rig, 2), ["answered elsewhere"]);
    let tag = rig.tag_of("one", 200);
    rig.request("ACK", "one", &tag);
    rig.request("BYE", "one", &tag);
    assert_eq!(shutdowns(&rig, 3).len(), 1);
    rig.answer(2, &on_tablet[0], 2);
    let finals = rig.statuses("one").iter().filter(|status| **status >= 200).count();
    assert_eq!(finals, 2, "200 to the INVITE and to the BYE; the late answer changes nothing");
}

#[test]
fn a_sleeper_that_is_not_reached_in_time_does_not_mask_a_busy_tablet() {
    let (mut rig, _) = awake_and_asleep();
    rig.request("INVITE", "one", "");
    let start = rig.starts(2)[0].clone();
    refuse(&mut rig, 2, &start, 2, 486);
    assert!(rig.statuses("one").iter().all(|status| *status < 200), "the phone may still come");
    rig.wait_ms(30_001);
    assert_eq!(rig.statuses("one").iter().find(|status| **status >= 200), Some(&486));
}

#[test]
fn a_push_that_is_refused_costs_one_leg() {
    let (mut rig, _) = awake_and_asleep();
    rig.request("INVITE", "one", "");
    let push = rig.pushes[0].id;
    rig.feed(Input::Pushed { push, outcome: PushOutcome::refused("410".to_owned()) });
    assert!(rig.statuses("one").iter().all(|status| *status < 200));
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 2);
    assert_eq!(rig.statuses("one").last(), Some(&200));
}

#[test]
fn a_decline_of_one_device_is_for_all() {
    let (mut rig, phone) = awake_and_asleep();
    rig.request("INVITE", "one", "");
    rig.resume(3, "bob", &phone, &json!({}));
    let start = rig.starts(2)[0].clone();
    refuse(&mut rig, 2, &start, 2, 603);
    assert_eq!(rig.statuses("one").last(), Some(&603));
    assert_eq!(shutdowns(&rig, 3), ["declined elsewhere"]);
}

#[test]
fn a_cancel_ends_every_leg_with_one_487() {
    let (mut rig, phone) = awake_and_asleep();
    rig.request("INVITE", "one", "");
    rig.request("CANCEL", "one", "");
    assert_eq!(rig.statuses("one").iter().filter(|status| **status == 487).count(), 1);
    assert_eq!(shutdowns(&rig, 2).len(), 1);
    rig.resume(3, "bob", &phone, &json!({}));
    assert!(rig.starts(3).is_empty(), "a cancelled call does not ring a sleeper");
}

#[test]
fn a_crash_between_the_winner_and_the_others_leaves_one_call() {
    let (mut rig, phone) = awake_and_asleep();
    rig.request("INVITE", "one", "");
    rig.hold_commits = true;
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 2);
    // Of the two commits only the winner's reached the disk.
    let winner = start["control"]["session_id"].as_str().expect("an id").to_owned();
    rig.commits.retain(|commit| commit.session.as_str() == winner);
    rig.hold_commits = false;
    rig.commit_all();
    rig.crash();
    rig.resume(3, "bob", &phone, &json!({}));
    assert!(rig.starts(3).is_empty(), "the phone does not ring for a call that is answered");
    assert!(rig.statuses("one").iter().all(|status| *status < 300));
    let finals = rig.statuses("one").iter().filter(|status| **status == 200).count();
    assert_eq!(finals, 2, "once before the crash and once after");
}

#[test]
fn a_crash_while_both_ring_keeps_both_legs() {
    let (mut rig, phone) = awake_and_asleep();
    rig.request("INVITE", "one", "");
    rig.crash();
    rig.resume(3, "bob", &phone, &json!({}));
    let start = rig.starts(3)[0].clone();
    rig.answer(3, &start, 3);
    assert_eq!(rig.statuses("one").last(), Some(&200));
}

#[test]
fn a_cancel_that_says_answered_elsewhere_is_told_so() {
    let mut rig = Rig::new(config());
    rig.connect(1, "bob", "tok");
    rig.request("INVITE", "one", "");
    let reason = "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n";
    rig.request_with("CANCEL", "one", "", "sip:bob@example.com", reason);
    assert_eq!(shutdowns(&rig, 1), ["answered elsewhere"]);
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: None });
}
