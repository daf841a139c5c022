//! One session, two nodes: whichever of them a request or an app comes to, the right one sees to it.

use reveille_gateway_core::io::Input;
use serde_json::json;

use super::pair::{CALLER, Pair, udp};

const BOB: &str = "sip:bob@example.com";

#[test]
fn a_call_parked_here_is_delivered_by_the_node_that_the_app_comes_to() {
    delivered(|_| BOB.to_owned());
    // As a caller that keeps to the rules has it: the Contact of the answer.
    delivered(|contact| format!("sip:{contact}@192.0.2.11:5060"));
}

/// With ACK and BYE to this URI, by way of the node that the INVITE came to.
fn delivered(uri: impl Fn(&str) -> String) {
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.request(0, "INVITE", BOB, "one", "");
    assert_eq!(pair.pushes(), [1, 0]);
    pair.resume(1, 5, "bob", &session);
    let answer = pair.last_text(1, 5);
    assert_eq!(answer["header"]["action"], "start", "{answer}");
    assert_eq!(answer["control"]["session_id"], session.as_str());
    let starts = pair.starts(1);
    assert_eq!(starts.len(), 1);
    assert_eq!(pair.pushes(), [1, 0], "whoever is here is not pushed to");
    pair.answer(1, 5, &starts[0], 3);
    let finals = |pair: &Pair| {
        let all = pair.statuses("one", "INVITE");
        all.into_iter().filter(|(_, status)| *status >= 200).collect::<Vec<_>>()
    };
    assert_eq!(finals(&pair), [(1, 200)]);
    let tag = pair.tag_of("one", 200);
    let uri = uri(&pair.record(&session).contact);
    // The caller's ACK and BYE go where its INVITE went, to a node that has not heard yet.
    pair.request(0, "ACK", &uri, "one", &tag);
    pair.wait_ms(8_000);
    assert_eq!(finals(&pair), [(1, 200)], "the ACK stopped it");
    assert_eq!(pair.last_text(1, 5)["header"]["action"], "complete");
    pair.request(0, "BYE", &uri, "one", &tag);
    assert_eq!(pair.statuses("one", "BYE"), [], "its commit is refused");
    pair.request(0, "BYE", &uri, "one", &tag);
    assert_eq!(pair.statuses("one", "BYE"), [(0, 200)]);
    assert_eq!(pair.last_text(1, 5)["header"]["action"], "shutdown");
}

#[test]
fn a_call_for_a_session_of_the_other_node_is_handed_on_and_its_answers_back() {
    for by_contact in [true, false] {
        let mut pair = Pair::new();
        let session = pair.asleep();
        let contact = format!("sip:{}@192.0.2.11:5060", pair.record(&session).contact);
        let uri = if by_contact { contact.as_str() } else { BOB };
        pair.request(1, "INVITE", uri, "one", "");
        assert_eq!(pair.statuses("one", "INVITE"), [(1, 100), (1, 183)]);
        assert_eq!(pair.pushes(), [1, 0]);
        let (_, last) = pair.heard.last().expect("a response").clone();
        assert_eq!(last.vias().expect("sound").len(), 1, "our Via is off again");
        // A repetition comes by the other way: it is the same transaction.
        pair.request(0, "INVITE", uri, "one", "");
        assert_eq!(pair.pushes(), [1, 0]);
        pair.request(1, "CANCEL", uri, "one", "");
        assert_eq!(pair.statuses("one", "CANCEL"), [(1, 200)]);
        let last = pair.statuses("one", "INVITE").last().map(|(_, status)| *status);
        assert_eq!(last, Some(487));
        let heard = pair.heard.len();
        pair.request(1, "ACK", uri, "one", "");
        pair.wait_ms(40_000);
        assert_eq!(pair.heard.len(), heard, "the ACK found the transaction");
    }
}

#[test]
fn a_cancel_at_the_other_node_finds_the_call() {
    let mut pair = Pair::new();
    pair.asleep();
    pair.request(0, "INVITE", BOB, "one", "");
    pair.request(1, "CANCEL", BOB, "one", "");
    assert_eq!(pair.statuses("one", "CANCEL"), [(1, 200)]);
    let invite = pair.statuses("one", "INVITE");
    assert_eq!(invite.last(), Some(&(0, 487)));
    pair.request(1, "CANCEL", BOB, "none", "");
    assert_eq!(pair.statuses("none", "CANCEL"), [(1, 481)]);
}

#[test]
fn a_dead_nodes_calls_go_on_at_the_survivor_with_a_push_and_the_same_tag() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.request(0, "INVITE", BOB, "one", "");
    let tag = pair.tag_of("one", 183);
    pair.kill(0);
    pair.duty(1);
    assert_eq!(pair.pushes(), [0, 1]);
    pair.resume(1, 5, "bob", &session);
    let start = pair.starts(1)[0].clone();
    pair.answer(1, 5, &start, 3);
    let all = pair.statuses("one", "INVITE");
    assert_eq!(all.last(), Some(&(1, 200)));
    assert_eq!(all.iter().filter(|(_, status)| *status >= 200).count(), 1);
    assert_eq!(pair.tag_of("one", 200), tag, "RFC 3261 section 12.1");
}

#[test]
fn nobody_comes_to_a_dead_nodes_call_and_it_ends_in_time() {
    let mut pair = Pair::new();
    pair.asleep();
    pair.request(0, "INVITE", BOB, "one", "");
    pair.wait_ms(10_000);
    pair.kill(0);
    pair.duty(1);
    pair.wait_ms(19_999);
    assert!(pair.statuses("one", "INVITE").iter().all(|(_, status)| *status < 200));
    pair.wait_ms(1);
    assert_eq!(pair.statuses("one", "INVITE").last(), Some(&(1, 480)));
}

#[test]
fn what_comes_before_the_duty_does_is_reason_enough_to_adopt() {
    let mut pair = Pair::new();
    pair.asleep();
    pair.request(0, "INVITE", BOB, "one", "");
    pair.kill(0);
    pair.request(1, "CANCEL", BOB, "one", "");
    assert_eq!(pair.statuses("one", "CANCEL"), [(1, 200)]);
    assert_eq!(pair.statuses("one", "INVITE").last(), Some(&(1, 487)));
    assert_eq!(pair.pushes(), [0, 0], "nobody waits any more");
}

#[test]
fn an_invite_that_is_repeated_to_the_survivor_is_one_call() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.request(0, "INVITE", BOB, "one", "");
    pair.kill(0);
    pair.request(1, "INVITE", BOB, "one", "");
    pair.resume(1, 5, "bob", &session);
    assert_eq!(pair.starts(1).len(), 1);
}

#[test]
fn another_users_id_moves_nothing() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    pair.resume(1, 5, "eve", &session);
    assert_eq!(pair.last_text(1, 5)["header"]["error_code"], 403);
    assert_eq!(pair.record(&session).owner, "node-0");
    assert_eq!(pair.seats[1].closes, [(5, 4003)]);
    pair.resume(0, 6, "bob", &session);
    assert_eq!(pair.last_text(0, 6)["control"]["session_id"], session.as_str());
}

#[test]
fn an_id_that_nobody_knows_is_a_fresh_session() {
    let mut pair = Pair::new();
    let gone = "0123456789abcdef0123456789abcdef";
    pair.open(1, 5, "bob");
    let frame = json!({"control": {"type": "request", "sequence": 1, "session_id": gone},
        "header": {"action": "connect"}});
    pair.say(1, 5, &frame);
    let id = pair.last_text(1, 5)["control"]["session_id"].clone();
    assert!(id.is_string() && id != gone, "{id}");
    pair.request(1, "INVITE", &format!("sip:{gone}@192.0.2.11"), "one", "");
    assert_eq!(pair.statuses("one", "INVITE"), [(1, 404)]);
}

#[test]
fn a_request_goes_round_no_longer_than_its_hops() {
    let mut pair = Pair::new();
    pair.asleep();
    pair.feed(1, Input::Tick);
    let text = "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;rport=5060;\
        branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=f\r\nTo: <sip:bob@example.com>\r\nCall-ID: x\r\n\
        CSeq: 1 INVITE\r\nContact: <sip:a@b>\r\nMax-Forwards: 0\r\nContent-Length: 0\r\n\r\n";
    let message = Box::new(reveille_wire::sip::Message::parse(text.as_bytes()).expect("sound"));
    pair.feed(1, Input::Sip { flow: udp(CALLER), message });
    assert_eq!(pair.statuses("x", "INVITE"), [(1, 483)]);
}

#[test]
fn a_response_with_a_branch_that_is_not_ours_goes_nowhere() {
    let mut pair = Pair::new();
    let text = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.11:5060;branch=z9hG4bKnode.UDP.0011\r\n\
        Via: SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=f\r\n\
        To: <sip:bob@example.com>;tag=t\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
        Content-Length: 0\r\n\r\n";
    let message = Box::new(reveille_wire::sip::Message::parse(text.as_bytes()).expect("sound"));
    pair.feed(1, Input::Sip { flow: udp("203.0.113.8:5060"), message });
    assert!(pair.heard.is_empty());
}

#[test]
fn a_device_that_connects_afresh_takes_over_what_waits_for_it_at_another_node() {
    let mut pair = Pair::new();
    let old = pair.asleep();
    pair.request(0, "INVITE", BOB, "one", "");
    let new = pair.connect(1, 5, "bob");
    assert_ne!(new, old);
    let starts = pair.starts(1);
    assert_eq!(starts.len(), 1, "the call that was for the same device");
    assert_eq!(starts[0]["control"]["session_id"], new.as_str());
    pair.answer(1, 5, &starts[0], 2);
    assert_eq!(pair.statuses("one", "INVITE").last(), Some(&(1, 200)));
    assert!(!pair.has(&old), "the old session is gone");
    pair.connect(1, 6, "eve");
    assert!(pair.has(&new), "another user with the same token takes nothing");
}

#[test]
fn a_refer_for_a_session_of_the_other_node_wakes_its_app_there() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    let refer = |pair: &mut Pair| {
        let to = "Refer-To: <sip:carol@example.com>\r\n";
        pair.request_by(&udp(CALLER), 1, ("REFER", BOB), ("r", ""), to);
    };
    refer(&mut pair);
    assert_eq!(pair.statuses("r", "REFER"), []);
    assert_eq!(pair.pushes(), [1, 0]);
    refer(&mut pair);
    pair.resume(0, 5, "bob", &session);
    let asked = pair.last_text(0, 5);
    assert_eq!(asked["header"]["refer_to"], "sip:carol@example.com", "{asked}");
    let answer = json!({"control": {"type": "response", "package_type": "refer", "sequence": 3,
        "session_id": session, "subsession_id": asked["control"]["subsession_id"],
        "correlation_id": asked["control"]["correlation_id"], "message_state": "final"},
        "header": {"action": "start", "response_code": 200}});
    pair.say(0, 5, &answer);
    assert_eq!(pair.statuses("r", "REFER"), [(1, 202)]);
    assert_eq!(pair.asked("NOTIFY"), [(0, "sip:alice@192.0.2.1:5060".to_owned())]);
}

#[test]
fn a_node_that_drains_hands_on_what_follows_a_call_that_its_app_took_along() {
    let mut pair = Pair::new();
    let session = pair.asleep();
    for call in ["one", "two"] {
        pair.request(0, "INVITE", BOB, call, "");
    }
    pair.feed(0, Input::Drain);
    pair.resume(1, 5, "bob", &session);
    pair.duty(0);
    let starts = pair.starts(1);
    assert_eq!(starts.len(), 2);
    pair.answer(1, 5, &starts[0], 3);
    // The callers know the address that their INVITE went to.
    pair.request(0, "CANCEL", BOB, "two", "");
    assert_eq!(pair.statuses("two", "CANCEL"), [(0, 200)]);
    assert_eq!(pair.statuses("two", "INVITE").last(), Some(&(1, 487)));
    let (tag, before) = (pair.tag_of("one", 200), pair.statuses("one", "INVITE").len());
    pair.request(0, "ACK", BOB, "one", &tag);
    pair.wait_ms(8_000);
    assert_eq!(pair.statuses("one", "INVITE").len(), before, "the ACK stopped it");
    pair.request(0, "BYE", BOB, "one", &tag);
    assert_eq!(pair.statuses("one", "BYE"), [(0, 200)]);
    // What begins something is refused here, and adopts nothing.
    pair.kill(1);
    pair.request(0, "INVITE", BOB, "three", "");
    assert_eq!(pair.statuses("three", "INVITE"), [(0, 503)]);
    let to = "Refer-To: <sip:carol@example.com>\r\n";
    let contact = format!("sip:{}@192.0.2.10", pair.record(&session).contact);
    for (call, uri) in [("four", BOB), ("five", &contact)] {
        pair.request_by(&udp(CALLER), 0, ("REFER", uri), (call, ""), to);
        assert_eq!(pair.statuses(call, "REFER"), [(0, 503)]);
    }
    assert_eq!(pair.record(&session).owner, "node-1");
}

#[test]
fn requests_within_a_call_that_was_handed_on_go_to_the_caller() {
    for is_restarted in [false, true] {
        let mut pair = Pair::new();
        let session = pair.connect(0, 5, "bob");
        pair.request(1, "INVITE", BOB, "one", "");
        let start = pair.starts(0)[0].clone();
        pair.answer(0, 5, &start, 2);
        assert_eq!(pair.statuses("one", "INVITE").last(), Some(&(1, 200)));
        let tag = pair.tag_of("one", 200);
        let contact = format!("sip:{}@192.0.2.10:5060", pair.record(&session).contact);
        pair.request(0, "ACK", &contact, "one", &tag);
        let (mut to, mut sequence) = (0, 3);
        if is_restarted {
            pair.kill(0);
            pair.duty(1);
            pair.resume(1, 5, "bob", &session);
            (to, sequence) = (1, 3);
        }
        for action in ["start", "shutdown"] {
            let frame = json!({"control": {"type": "request", "package_type": "call",
                "sequence": sequence, "session_id": session, "correlation_id": "c",
                "subsession_id": start["control"]["subsession_id"]},
                "header": {"action": action}, "payload": {"sdp": "v=0\r\n"}});
            pair.say(to, 5, &frame);
            sequence += 1;
        }
        for method in ["INVITE", "BYE"] {
            assert_eq!(
                pair.asked(method),
                [(to, "sip:alice@192.0.2.1:5060".to_owned())],
                "{method}"
            );
        }
    }
}
