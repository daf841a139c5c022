//! Calls for a session: held, offered, decided, cancelled, refused.

use reveille_gateway_core::config::Config;
use reveille_gateway_core::io::{Change, Input, PushOutcome, SocketId};
use serde_json::{Value, json};

use super::rig::{Rig, config};

#[test]
fn two_calls_for_one_sleeper_are_one_push_and_two_starts_in_order() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.request("INVITE", "two", "");
    assert_eq!(rig.pushes.len(), 1, "one push for both");
    assert_eq!(rig.pushes[0].payload.call_id.as_deref(), Some("one"));
    rig.resume(2, "bob", &session, &json!({}));
    let answer = rig.texts.iter().find(|(at, _)| *at == 2).expect("the resume is answered");
    assert_eq!(answer.1["header"]["pending"], 2);
    assert_eq!(answer.1["control"]["sequence"], Value::Null, "a resume's answer has no number");
    let numbers: Vec<_> =
        rig.starts(2).iter().map(|start| start["control"]["sequence"].as_u64()).collect();
    assert_eq!(numbers, [Some(3), Some(4)]);
    let starts = rig.starts(2);
    rig.answer(2, &starts[0], 3);
    assert_eq!(rig.statuses("one"), [100, 183, 200]);
    assert_eq!(rig.statuses("two"), [100, 183]);
}

#[cfg(feature = "mutants")]
#[test]
fn forgetting_the_second_pending_call_is_seen() {
    let mut config = config();
    config.defect = Some(reveille_gateway_core::mutant::Defect::ForgetsSecondPending);
    let mut rig = Rig::new(config);
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.request("INVITE", "two", "");
    rig.resume(2, "bob", &session, &json!({}));
    assert_eq!(rig.starts(2).len(), 1);
}

#[test]
fn nothing_leaves_before_its_record_is_stored() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.hold_commits = true;
    rig.request("INVITE", "one", "");
    assert_eq!((rig.statuses("one"), rig.pushes.len()), (vec![], 0));
    let put = |change: &Change| matches!(change, Change::PutCall(_));
    assert!(rig.commits.iter().any(|commit| commit.changes.iter().any(put)));
    rig.request("INVITE", "one", "");
    assert_eq!(rig.statuses("one"), [] as [u16; 0], "a resent INVITE is absorbed in silence");
    rig.commit_all();
    assert_eq!((rig.statuses("one"), rig.pushes.len()), (vec![100, 183], 1));
}

#[test]
fn a_retransmitted_invite_repeats_the_last_provisional_and_nothing_else() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("INVITE", "one", "");
    rig.request("INVITE", "one", "");
    rig.request("INVITE", "one", "");
    assert_eq!(rig.statuses("one"), [100, 183, 183, 183]);
    assert_eq!(rig.pushes.len(), 1);
}

#[test]
fn a_call_that_crosses_the_close_for_sleep_is_held_as_any_other() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    rig.request("INVITE", "one", "");
    assert_eq!(rig.statuses("one"), [100], "the app is there and was given it");
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
    assert_eq!(rig.statuses("one"), [100, 183], "now it is being woken");
    assert_eq!(rig.pushes.len(), 1);
    rig.wait_ms(2_000);
    assert_eq!(rig.statuses("one"), [100, 183], "once");
    rig.resume(2, "bob", &session, &json!({"subsessions": []}));
    assert_eq!(rig.starts(2).len(), 1);
}

#[test]
fn an_app_that_never_comes_ends_the_hold_with_one_480() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("INVITE", "one", "");
    let push = rig.pushes[0].id;
    rig.feed(Input::Pushed { push, outcome: PushOutcome::Accepted });
    rig.wait_ms(29_999);
    assert_eq!(rig.statuses("one"), [100, 183]);
    rig.wait_ms(1);
    assert_eq!(rig.statuses("one"), [100, 183, 480]);
    rig.request("ACK", "one", "");
    rig.wait_ms(60_000);
    assert_eq!(rig.statuses("one"), [100, 183, 480], "acknowledged, so not repeated");
    assert_eq!(rig.pushes.len(), 1, "an accepted push is not repeated");
}

#[test]
fn a_refused_push_ends_the_hold_at_once_and_the_token_is_not_used_again() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("INVITE", "one", "");
    let push = rig.pushes[0].id;
    rig.feed(Input::Pushed { push, outcome: PushOutcome::refused("410 gone".to_owned()) });
    assert_eq!(rig.statuses("one"), [100, 183, 480]);
    rig.request("INVITE", "two", "");
    assert_eq!((rig.statuses("two"), rig.pushes.len()), (vec![480], 1));
}

#[test]
fn a_token_that_was_given_after_it_died_lives() {
    for (dead_for_us, lives) in [(0, false), (3_600_000_000, true)] {
        let mut rig = Rig::new(config());
        rig.asleep();
        rig.request("INVITE", "one", "");
        let (push, why) = (rig.pushes[0].id, "410 Unregistered".to_owned());
        let dead_since_us = Some(rig.now.wall_us - dead_for_us);
        rig.feed(Input::Pushed { push, outcome: PushOutcome::Refused { why, dead_since_us } });
        assert_eq!(rig.statuses("one"), [100, 183, 480], "it is never sent again");
        rig.wait_ms(2_000);
        rig.request("INVITE", "two", "");
        let wanted = if lives { (vec![100, 183], 2) } else { (vec![480], 1) };
        assert_eq!((rig.statuses("two"), rig.pushes.len()), wanted, "dead for {dead_for_us} us");
    }
}

#[test]
fn a_push_that_cannot_be_sent_ends_the_hold_at_once_and_the_token_stays() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("INVITE", "one", "");
    let push = rig.pushes[0].id;
    let ends_us = rig.now.mono_us + rig.pushes[0].ttl_ms * 1_000;
    assert_eq!(rig.pushes[0].deadline_us, ends_us);
    let why = "403 InvalidProviderToken".to_owned();
    rig.feed(Input::Pushed { push, outcome: PushOutcome::Failed { why } });
    assert_eq!(rig.statuses("one"), [100, 183, 480]);
    rig.wait_ms(2_000);
    rig.request("INVITE", "two", "");
    assert_eq!((rig.statuses("two"), rig.pushes.len()), (vec![100, 183], 2));
}

#[test]
fn a_cancelled_call_is_never_delivered() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.request("CANCEL", "one", "");
    let statuses = rig.statuses("one");
    assert_eq!(statuses[..2], [100, 183]);
    assert!(statuses.contains(&487) && statuses.contains(&200), "{statuses:?}");
    rig.resume(2, "bob", &session, &json!({}));
    assert_eq!(rig.starts(2).len(), 0);
    assert_eq!(rig.last_text(2)["header"]["pending"], 0, "a definite nothing");
    assert_eq!(rig.texts.iter().filter(|(at, _)| *at == 2).count(), 1);
}

#[test]
fn a_cancel_that_matches_nothing_is_answered_481() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("CANCEL", "none", "");
    assert_eq!(rig.statuses("none"), [481]);
}

#[test]
fn a_call_that_is_answered_acknowledged_and_hung_up_leaves_no_record() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 3);
    let tag = rig.tag_of("one", 200);
    assert_eq!(tag, rig.tag_of("one", 183), "one To tag");
    rig.wait_ms(600);
    assert_eq!(rig.statuses("one"), [100, 183, 200, 200], "repeated until the ACK");
    rig.request("ACK", "one", &tag);
    assert_eq!(rig.last_text(2)["header"]["action"], "complete");
    rig.wait_ms(8_000);
    assert_eq!(rig.statuses("one"), [100, 183, 200, 200]);
    rig.hold_commits = true;
    rig.request("BYE", "one", &tag);
    let drops = |change: &Change| matches!(change, Change::DropCall { .. });
    assert!(rig.commits.iter().any(|commit| commit.changes.iter().any(drops)));
    rig.commit_all();
    assert_eq!(rig.statuses("one"), [100, 183, 200, 200, 200]);
    assert_eq!(rig.last_text(2)["header"]["action"], "shutdown");
}

#[test]
fn a_caller_that_never_acknowledges_is_hung_up_after_64_t1() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 3);
    for _ in 0..11 {
        rig.say(2, &json!("ping"));
        rig.feed(Input::SocketText { socket: SocketId(2), text: "ping".to_owned() });
        rig.wait_ms(3_000);
    }
    let bye = rig.sip.iter().find(|message| message.is_request()).expect("a BYE");
    assert_eq!(bye.method().map(|method| method.as_str()), Some("BYE"));
    assert_eq!(bye.uri(), Some("sip:alice@192.0.2.1"));
    assert_eq!(bye.from().expect("a From").tag(), Some(rig.tag_of("one", 200).as_str()));
}

#[test]
fn unknown_users_absent_users_and_required_extensions_are_refused_without_a_push() {
    let mut rig = Rig::new(config());
    rig.request_to("INVITE", "a", "", "sip:nobody@example.com");
    rig.request_to("INVITE", "b", "", "sip:eve@example.com");
    rig.request_to("OPTIONS", "c", "", "sip:eve@example.com");
    rig.request_to("PUBLISH", "d", "", "sip:eve@example.com");
    rig.request_to("NOSUCH", "e", "", "sip:eve@example.com");
    let all: Vec<_> = ["a", "b", "c", "d", "e"].iter().map(|call| rig.statuses(call)).collect();
    assert_eq!(all, [[404], [480], [480], [405], [501]]);
}

#[test]
fn who_floods_begins_no_more_transactions_and_calls_on_record_go_on() {
    let mut rig = Rig::new(Config { most_transactions: 3, ..config() });
    rig.asleep();
    rig.request("INVITE", "one", "");
    rig.request_to("OPTIONS", "a", "", "sip:eve@example.com");
    rig.request_to("OPTIONS", "b", "", "sip:eve@example.com");
    rig.request_to("OPTIONS", "c", "", "sip:eve@example.com");
    rig.request("INVITE", "two", "");
    assert_eq!([rig.statuses("c"), rig.statuses("two")], [[503], [503]]);
    let refused = rig.sip.iter().find(|message| message.call_id() == Ok("two"));
    assert_eq!(refused.and_then(|message| message.header("Retry-After")), Some("5"));
    assert_eq!((rig.pushes.len(), rig.statuses("one")), (1, vec![100, 183]));
    rig.request_to("OPTIONS", "a", "", "sip:eve@example.com");
    assert_eq!(rig.statuses("a"), [480, 480], "a repetition begins nothing");
    rig.request("CANCEL", "one", "");
    assert_eq!(rig.statuses("one"), [100, 183, 487, 200]);
    rig.request("ACK", "one", "");
    rig.wait_ms(40_000);
    rig.request_to("OPTIONS", "d", "", "sip:eve@example.com");
    assert_eq!(rig.statuses("d"), [480], "the flood is over");
}

#[test]
fn what_is_required_is_named_as_unsupported_and_a_refused_method_meets_those_allowed() {
    let mut rig = Rig::new(config());
    rig.asleep();
    let bob = "sip:bob@example.com";
    let fields = "Require: 100rel, replaces\r\nRequire: x-y\r\n";
    rig.request_with("INVITE", "a", "", bob, fields);
    rig.request_with("OPTIONS", "b", "", bob, fields);
    rig.request_with("BYE", "c", "", bob, fields);
    for call in ["a", "b", "c"] {
        assert_eq!(rig.statuses(call), [420], "{call}");
        let answer = rig.sip.iter().find(|message| message.call_id() == Ok(call));
        let tags = answer.expect("an answer").values("Unsupported");
        assert_eq!(tags, ["100rel", "replaces", "x-y"], "{call}");
    }
    rig.request_with("PUBLISH", "d", "", bob, fields);
    rig.request_with("NOSUCH", "e", "", bob, "");
    for (call, status) in [("d", 405), ("e", 501)] {
        assert_eq!(rig.statuses(call), [status]);
        let answer = rig.sip.iter().find(|message| message.call_id() == Ok(call));
        let allowed = answer.expect("an answer").values("Allow");
        assert_eq!(
            allowed,
            [
                "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "INFO", "MESSAGE", "NOTIFY",
                "REFER"
            ],
            "{call}"
        );
    }
    assert!(rig.pushes.is_empty());

    rig.request_with("INVITE", "f", "", bob, "Require:\r\n");
    rig.request_with("CANCEL", "f", "", bob, fields);
    assert_eq!(
        rig.statuses("f"),
        [100, 183, 487, 200],
        "nothing is required, and a CANCEL is a CANCEL"
    );
}
