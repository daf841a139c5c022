//! The orders in which commits, claims, losses and crashes may come.

use reveille_gateway_core::io::{Claimed, Flow, Input, PushOutcome, Records, Transport};
use reveille_gateway_core::record::{SessionId, SessionRecord};
use serde_json::json;

use super::pair::{CALLER, Pair, udp};

const BOB: &str = "sip:bob@example.com";

#[test]
fn a_session_that_was_taken_is_neither_pushed_for_nor_answered_for() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.request(0, "INVITE", BOB, "one", "");
    let push = pair.seats[0].pushes[0].id;
    let later = PushOutcome::Transient { why: "503".to_owned(), retry_after_ms: None };
    pair.feed(0, Input::Pushed { push, outcome: later });
    pair.resume(1, 5, "bob", &session);
    // Node 0 has not heard of it. Its next attempt is due, rests on a commit, and never leaves.
    pair.wait_ms(1_500);
    assert_eq!(pair.pushes(), [1, 0]);
    assert_eq!(pair.fenced, [(0, 1)]);
    let heard = pair.heard.len();
    pair.wait_ms(200_000);
    let from_0 = pair.heard[heard..].iter().filter(|(node, _)| *node == 0).count();
    assert_eq!(from_0, 0, "not a word of a session that is another's");
}

#[test]
fn a_commit_under_way_while_the_session_is_taken_promises_nothing() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.seats[0].held = true;
    pair.request(0, "INVITE", BOB, "one", "");
    pair.resume(1, 5, "bob", &session);
    assert_eq!(pair.starts(1).len(), 0, "nothing was on record");
    pair.seats[0].held = false;
    pair.work(0);
    assert_eq!(pair.fenced, [(0, 1)]);
    assert_eq!(pair.pushes(), [0, 0]);
    // Its caller has heard nothing; the INVITE goes to the new owner at once.
    assert_eq!(pair.starts(1).len(), 1);
    let start = pair.starts(1)[0].clone();
    pair.answer(1, 5, &start, 3);
    let finals = pair.statuses("one", "INVITE").into_iter().filter(|(_, status)| *status >= 200);
    assert_eq!(finals.collect::<Vec<_>>(), [(0, 200)], "by way of the node that it came to");
}

#[test]
fn a_cancel_whose_commit_is_refused_is_seen_to_by_the_new_owner() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.request(0, "INVITE", BOB, "one", "");
    pair.seats[0].held = true;
    pair.request(0, "CANCEL", BOB, "one", "");
    pair.resume(1, 5, "bob", &session);
    pair.seats[0].held = false;
    pair.work(0);
    assert_eq!(pair.statuses("one", "CANCEL"), [], "it was promised nothing");
    pair.request(0, "CANCEL", BOB, "one", "");
    assert_eq!(pair.statuses("one", "CANCEL"), [(0, 200)]);
    assert_eq!(pair.statuses("one", "INVITE").last(), Some(&(1, 487)));
    assert_eq!(pair.last_text(1, 5)["header"]["action"], "shutdown");
}

#[test]
fn a_session_taken_back_outlives_what_is_said_of_its_loss() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.resume(1, 5, "bob", &session);
    // Back to node 0, which has not heard yet that it was gone: its answer is refused.
    pair.resume(0, 6, "bob", &session);
    assert_eq!(pair.seats[0].closes, [(6, 1012)]);
    assert!(pair.seats[0].texts.iter().all(|(socket, _)| *socket != 6), "a stale answer");
    pair.resume(0, 7, "bob", &session);
    assert_eq!(pair.last_text(0, 7)["control"]["session_id"], session.as_str());
    assert_eq!(pair.record(&session).epoch, 3);
    // The old loss is told late.
    pair.feed(0, Input::Fenced { session: SessionId::from(session.clone()), epoch: 1 });
    pair.duty(0);
    pair.duty(1);
    pair.request(1, "INVITE", BOB, "one", "");
    assert_eq!(pair.starts(0).len(), 1);
    assert_eq!(pair.seats[1].closes, [(5, 1012)]);
}

#[test]
fn an_answer_of_the_fabric_that_comes_too_late_still_counts() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.request(0, "INVITE", BOB, "one", "");
    pair.kill(0);
    pair.seats[1].held = true;
    pair.request(1, "INVITE", BOB, "two", "");
    pair.resume(1, 5, "bob", &session);
    // What is repeated meanwhile waits with what came first.
    pair.request(1, "INVITE", BOB, "two", "");
    pair.say(
        1,
        5,
        &json!({"control": {"type": "request", "session_id": session},
        "header": {"action": "connect"}}),
    );
    pair.wait_ms(3_000);
    assert_eq!(pair.statuses("two", "INVITE"), [(1, 503)]);
    assert_eq!(pair.last_text(1, 5)["header"]["error_code"], 503);
    pair.seats[1].held = false;
    pair.work(1);
    assert_eq!(pair.record(&session).owner, "node-1");
    assert_eq!(pair.pushes(), [0, 1], "the session is here, and its call with it");
    pair.resume(1, 6, "bob", &session);
    assert_eq!(pair.starts(1).len(), 1);
}

#[test]
fn an_app_that_left_while_its_session_was_claimed_is_woken() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.request(0, "INVITE", BOB, "one", "");
    pair.seats[1].held = true;
    pair.resume(1, 5, "bob", &session);
    let socket = reveille_gateway_core::io::SocketId(5);
    pair.feed(1, Input::SocketClosed { socket, code: None });
    pair.seats[1].held = false;
    pair.work(1);
    assert_eq!(pair.pushes(), [1, 1]);
    pair.resume(1, 6, "bob", &session);
    assert_eq!(pair.starts(1).len(), 1);
}

#[test]
fn a_crash_between_claim_and_answer_leaves_the_session_to_be_recovered() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.request(0, "INVITE", BOB, "one", "");
    pair.seats[1].held = true;
    pair.resume(1, 5, "bob", &session);
    pair.work_once(1);
    assert_eq!(pair.record(&session).owner, "node-1");
    // Node 1 dies before it has said a word; node 0 takes the session back.
    pair.kill(1);
    pair.duty(0);
    assert_eq!(pair.record(&session).owner, "node-0");
    pair.resume(0, 6, "bob", &session);
    let start = pair.starts(0)[0].clone();
    pair.answer(0, 6, &start, 3);
    let all = pair.statuses("one", "INVITE");
    let finals: Vec<_> = all.into_iter().filter(|(_, status)| *status >= 200).collect();
    assert_eq!(finals, [(0, 200)]);
}

#[test]
fn records_that_are_older_than_what_is_here_change_nothing() {
    let mut pair = Pair::new();
    let session = pair.connect(1, 5, "bob");
    let stale = Records { sessions: vec![pair.record(&session).clone()], ..Records::default() };
    pair.feed(1, Input::Adopted(stale.clone()));
    pair.feed(1, Input::Claimed { claim: 77, outcome: Claimed::Adopted(stale) });
    pair.request(1, "INVITE", BOB, "one", "");
    assert_eq!(pair.starts(1).len(), 1, "it is still on its socket");
}

#[test]
fn more_claims_than_may_wait_are_told_to_come_again() {
    let mut pair = Pair::new();
    pair.seats[1].held = true;
    for number in 0..=256 {
        let uri = format!("sip:{number:032x}@192.0.2.11");
        pair.request(1, "INVITE", &uri, &format!("c{number}"), "");
    }
    assert_eq!(pair.heard.len(), 1);
    assert_eq!(pair.statuses("c256", "INVITE"), [(1, 503)]);
}

#[test]
fn what_an_app_says_behind_its_connect_waits_with_it() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.seats[1].held = true;
    pair.resume(1, 5, "bob", &session);
    let hibernate = json!({"control": {"type": "request", "sequence": 3, "session_id": session},
        "header": {"action": "hibernate", "ttl": 3600}});
    pair.say(1, 5, &hibernate);
    assert_eq!(pair.seats[1].texts, []);
    pair.seats[1].held = false;
    pair.work(1);
    let answers: Vec<_> =
        pair.seats[1].texts.iter().map(|(_, it)| &it["header"]["action"]).collect();
    assert_eq!(answers, ["connect", "hibernate"]);
}

#[test]
fn what_is_adopted_wakes_nobody_else_again() {
    let mut pair = Pair::new();
    pair.connect(0, 1, "eve");
    let session = pair.connect(1, 5, "bob");
    let hibernate = json!({"control": {"type": "request", "sequence": 2, "session_id": session},
        "header": {"action": "hibernate", "ttl": 3600}});
    pair.say(1, 5, &hibernate);
    let socket = reveille_gateway_core::io::SocketId(5);
    pair.feed(1, Input::SocketClosed { socket, code: Some(4001) });
    pair.request(1, "INVITE", BOB, "one", "");
    let push = pair.seats[1].pushes[0].id;
    pair.feed(1, Input::Pushed { push, outcome: PushOutcome::Accepted });
    pair.wait_ms(6_000);
    pair.kill(0);
    pair.duty(1);
    assert_eq!(pair.pushes(), [0, 1], "its push was accepted, and nothing has happened to it");
}

/// By a stream, which nobody repeats.
fn stream() -> Flow {
    Flow { transport: Transport::Tcp, connection: Some(7), ..udp(CALLER) }
}

#[test]
fn a_refer_that_waits_for_an_app_goes_with_its_session() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    let to = "Refer-To: <sip:carol@example.com>\r\n";
    pair.request_by(&stream(), 0, ("REFER", BOB), ("r", ""), to);
    assert_eq!(pair.pushes(), [1, 0]);
    pair.resume(1, 5, "bob", &session);
    pair.duty(0);
    let asked = pair.last_text(1, 5);
    assert_eq!(asked["header"]["refer_to"], "sip:carol@example.com", "{asked}");
    // And back, before the node has heard that it lost it.
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.request_by(&stream(), 0, ("REFER", BOB), ("r", ""), to);
    pair.resume(1, 5, "bob", &session);
    let taken = pair.record(&session).clone();
    let back = SessionRecord { owner: "node-0".to_owned(), epoch: taken.epoch + 1, ..taken };
    pair.feed(0, Input::Adopted(Records { sessions: vec![back], ..Records::default() }));
    pair.resume(0, 7, "bob", &session);
    let asked = pair.last_text(0, 7);
    assert_eq!(asked["header"]["refer_to"], "sip:carol@example.com", "{asked}");
}
