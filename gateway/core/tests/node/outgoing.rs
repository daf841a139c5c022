//! Calls that the app places.

use reveille_gateway_core::io::{Flow, Input, SocketId, Transport};
use reveille_wire::sip::Message;
use serde_json::json;

use super::caller::{Caller, OFFER, line};
use super::rig::udp;

#[test]
fn a_call_of_the_app_rings_is_answered_completed_and_hung_up() {
    let mut caller = Caller::new();
    let before = caller.rig.texts.len();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    assert_eq!(invite.uri(), Some("sip:alice@example.com"));
    assert_eq!(invite.body, OFFER.as_bytes());
    invite.validate().expect("a valid INVITE");
    caller.respond(&invite, 100, "", &[], "");
    caller.respond(&invite, 180, "a", &[], "");
    caller.respond(&invite, 180, "a", &[], "");
    caller.respond(&invite, 200, "a", &[("Contact", "<sip:alice@192.0.2.7>")], "v=0\r\ns=x\r\n");
    assert_eq!(caller.count("ACK"), 0, "the ACK waits for the app's complete");
    let told = caller.told(before);
    assert_eq!(told, [line("response", "start", 180), line("response", "start", 200)]);
    assert_eq!(caller.rig.last_text(1)["payload"]["sdp"], "v=0\r\ns=x\r\n");
    caller.say("message", "complete", "c2", &json!({}));
    let ack = caller.sent("ACK").expect("the ACK");
    assert_eq!((ack.uri(), ack.header("CSeq")), (Some("sip:alice@192.0.2.7"), Some("1 ACK")));
    // The network lost the ACK and says so.
    caller.respond(&invite, 200, "a", &[("Contact", "<sip:alice@192.0.2.7>")], "v=0\r\ns=x\r\n");
    assert_eq!(caller.count("ACK"), 2);
    caller.say("message", "shutdown", "c9", &json!({}));
    let bye = caller.sent("BYE").expect("a BYE");
    assert_eq!((bye.uri(), bye.header("CSeq")), (Some("sip:alice@192.0.2.7"), Some("2 BYE")));
    caller.respond(&bye, 200, "", &[], "");
}

#[test]
fn the_invite_leaves_only_when_the_call_is_on_record() {
    let mut caller = Caller::new();
    caller.rig.hold_commits = true;
    caller.start("c2", "alice@example.com");
    assert_eq!(caller.count("INVITE"), 0);
    caller.rig.hold_commits = false;
    caller.rig.commit_all();
    assert_eq!(caller.count("INVITE"), 1);
}

#[test]
fn a_challenge_is_answered_once_and_then_the_app_is_asked() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let challenge = [("Proxy-Authenticate", "Digest realm=\"r\", nonce=\"n\"")];
    let first = caller.sent("INVITE").expect("an INVITE");
    caller.respond(&first, 407, "p", &challenge, "");
    let second = caller.sent("INVITE").expect("an INVITE");
    assert_eq!(second.header("CSeq"), Some("2 INVITE"));
    assert!(second.header("Proxy-Authorization").expect("credentials").contains("nonce=\"n\""));
    assert_ne!(first.via().expect("a Via").branch, second.via().expect("a Via").branch);
    let before = caller.rig.texts.len();
    caller.respond(&second, 407, "p", &challenge, "");
    assert_eq!(caller.told(before), [line("error", "start", 407)]);
    assert_eq!(caller.rig.last_text(1)["header"]["authenticate"]["nonce"], "n");
    let rest = json!({"header": {"target": "alice@example.com", "authorization": {
        "username": "b", "realm": "r", "nonce": "n", "uri": "sip:alice@example.com",
        "response": "00"}}, "payload": {"sdp": OFFER}});
    caller.say("request", "start", "c3", &rest);
    let third = caller.sent("INVITE").expect("an INVITE");
    assert!(third.header("Proxy-Authorization").expect("the app's").contains("response=\"00\""));
    let before = caller.rig.texts.len();
    caller.respond(&third, 407, "p", &challenge, "");
    assert_eq!(caller.told(before), [line("error", "start", 407)], "never a loop");
}

#[test]
fn a_failure_reaches_the_app_and_500_is_softened() {
    for (status, told) in [(486, 486), (603, 603), (302, 302), (500, 480)] {
        let mut caller = Caller::new();
        caller.start("c2", "alice@example.com");
        let invite = caller.sent("INVITE").expect("an INVITE");
        let before = caller.rig.texts.len();
        caller.respond(&invite, status, "a", &[], "");
        assert_eq!(caller.count("ACK"), 1);
        assert_eq!(caller.told(before), [line("error", "start", told)]);
    }
}

#[test]
fn a_network_that_says_nothing_is_a_408_after_64_t1() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let before = caller.rig.texts.len();
    // The app must be heard meanwhile, or its socket counts as dead.
    for _ in 0..4 {
        caller.rig.wait_ms(7_900);
        caller.rig.feed(Input::SocketText { socket: SocketId(1), text: "ping".to_owned() });
    }
    assert!(caller.told(before).is_empty());
    caller.rig.wait_ms(500);
    assert_eq!(caller.told(before), [line("error", "start", 408)]);
    assert_eq!(caller.count("INVITE"), 7, "A doubles from T1: 0, .5, 1.5, 3.5, 7.5, 15.5, 31.5 s");
}

#[test]
fn a_hang_up_before_the_answer_is_a_cancel_that_waits_for_a_provisional() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    caller.say("message", "shutdown", "c2", &json!({}));
    assert_eq!(caller.count("CANCEL"), 0, "RFC 3261 9.1: not before a provisional");
    caller.respond(&invite, 180, "a", &[], "");
    let cancel = caller.sent("CANCEL").expect("a CANCEL");
    assert_eq!(cancel.via().expect("a Via").branch, invite.via().expect("a Via").branch);
    let before = caller.rig.texts.len();
    caller.respond(&cancel, 200, "", &[], "");
    caller.respond(&invite, 487, "a", &[], "");
    assert_eq!(caller.told(before), [line("error", "start", 487)]);
    assert_eq!(caller.count("ACK"), 1);
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    caller.respond(&invite, 180, "a", &[], "");
    caller.say("message", "shutdown", "c2", &json!({}));
    caller.respond(&invite, 200, "a", &[("Contact", "<sip:alice@192.0.2.7>")], "v=0\r\n");
    assert_eq!((caller.count("ACK"), caller.count("BYE")), (1, 1));
}

#[test]
fn a_second_answer_of_a_forked_call_is_acknowledged_and_hung_up() {
    let mut caller = Caller::new();
    caller.up();
    let invite = caller.sent("INVITE").expect("an INVITE");
    let before = caller.rig.texts.len();
    caller.respond(&invite, 200, "other", &[("Contact", "<sip:alice@192.0.2.8>")], "v=0\r\n");
    assert_eq!(caller.sent("BYE").expect("a BYE").uri(), Some("sip:alice@192.0.2.8"));
    assert_eq!(caller.count("ACK"), 2);
    assert!(caller.told(before).is_empty(), "the app keeps its call and hears nothing");
}

#[test]
fn a_call_that_nobody_answers_is_cancelled_after_timer_c() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    caller.respond(&invite, 183, "a", &[], "");
    caller.rig.wait_ms(184_000);
    assert_eq!(caller.count("CANCEL"), 0);
    caller.rig.wait_ms(1_001);
    assert!(caller.count("CANCEL") >= 1);
}

#[test]
fn a_reliable_early_media_is_pracked_by_the_app_and_another_reliable_one_for_it() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    let reliable =
        |rseq| [("Require", "100rel"), ("RSeq", rseq), ("Contact", "<sip:alice@192.0.2.7>")];
    caller.respond(&invite, 180, "a", &reliable("7"), "");
    let prack = caller.sent("PRACK").expect("the gateway's own PRACK");
    assert_eq!(prack.header("RAck"), Some("7 1 INVITE"));
    caller.respond(&prack, 200, "", &[], "");
    caller.respond(&invite, 183, "a", &reliable("8"), "v=0\r\ns=early\r\n");
    let frame = caller.rig.last_text(1);
    assert_eq!(
        (&frame["header"]["reliable"], &frame["header"]["response_code"]),
        (&json!(true), &json!(183))
    );
    assert_eq!(caller.count("PRACK"), 1);
    caller.respond(&invite, 183, "a", &reliable("8"), "v=0\r\ns=early\r\n");
    let before = caller.rig.texts.len();
    caller.say("request", "prack", "c2", &json!({}));
    let prack = caller.sent("PRACK").expect("a PRACK");
    assert_eq!(prack.header("RAck"), Some("8 1 INVITE"));
    assert_eq!(prack.header("CSeq"), Some("3 PRACK"));
    caller.respond(&prack, 200, "", &[], "");
    assert_eq!(caller.told(before), [line("response", "prack", 200)]);
    // A provisional out of order is none (RFC 3262 section 4).
    caller.respond(&invite, 183, "a", &reliable("11"), "v=0\r\ns=later\r\n");
    assert_eq!(caller.count("PRACK"), 2);
    caller.respond(&invite, 200, "a", &[("Contact", "<sip:alice@192.0.2.7>")], "");
    caller.say("message", "complete", "c2", &json!({}));
    caller.say("message", "shutdown", "c9", &json!({}));
    assert_eq!(caller.sent("BYE").expect("a BYE").header("CSeq"), Some("4 BYE"));
}

#[test]
fn the_prack_of_an_unreliable_183_is_answered_here() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    caller.respond(&invite, 183, "a", &[], "");
    let before = caller.rig.texts.len();
    caller.say("request", "prack", "c2", &json!({}));
    assert_eq!(caller.told(before), [line("response", "prack", 200)]);
    assert_eq!(caller.count("PRACK"), 0);
}

#[test]
fn an_app_that_never_completes_is_hung_up_with_an_ack_before() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    caller.respond(&invite, 200, "a", &[("Contact", "<sip:alice@192.0.2.7>")], "v=0\r\n");
    for _ in 0..4 {
        caller.rig.wait_ms(5_000);
        caller.rig.feed(Input::SocketText { socket: SocketId(1), text: "ping".to_owned() });
    }
    assert_eq!((caller.count("ACK"), caller.count("BYE")), (1, 1));
    assert_eq!(
        caller.rig.texts.iter().filter(|(_, t)| t["header"]["action"] == "shutdown").count(),
        1
    );
}

#[test]
fn an_answer_for_an_app_that_is_away_wakes_it() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    caller.rig.feed(Input::SocketClosed { socket: SocketId(1), code: None });
    caller.respond(&invite, 200, "a", &[("Contact", "<sip:alice@192.0.2.7>")], "v=0\r\n");
    assert_eq!(caller.rig.pushes.len(), 1, "the app is woken for the answer to its call");
    let session = caller.session.clone();
    caller.rig.resume(2, "bob", &session, &json!({"cslr": 1}));
    let told = caller.rig.last_text(2);
    assert_eq!(
        (&told["header"]["action"], &told["header"]["response_code"]),
        (&json!("start"), &json!(200))
    );
}

#[test]
fn sleep_is_refused_while_a_call_of_the_app_is_under_way() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let before = caller.rig.texts.len();
    caller.sequence += 1;
    let frame = json!({"control": {"type": "request", "sequence": caller.sequence,
        "session_id": caller.session}, "header": {"action": "hibernate"}});
    caller.rig.say(1, &frame);
    assert_eq!(caller.told(before), [line("error", "hibernate", 491)]);
}

#[test]
fn a_start_that_names_nobody_or_brings_no_offer_says_what_is_missing() {
    let mut caller = Caller::new();
    for (target, sdp, what) in [
        ("", OFFER, "header.target names nobody"),
        ("al ice@example.com", OFFER, "header.target names nobody"),
        ("jürgen@example.com", OFFER, "header.target names nobody"),
        ("sip:alice@example.com?Subject=x", OFFER, "header.target names nobody"),
        ("alice@example.com", "", "start needs payload.sdp"),
    ] {
        let rest = json!({"header": {"target": target}, "payload": {"sdp": sdp}});
        caller.say("request", "start", "c2", &rest);
        let error = caller.rig.last_text(1);
        assert_eq!(error["header"]["error_code"], 400, "{error}");
        assert!(error["header"]["reason"].as_str().expect("a reason").starts_with(what), "{error}");
    }
    assert_eq!(caller.count("INVITE"), 0);
    caller.start("c7", "+1 (555) 010-0199");
    assert_eq!(caller.count("INVITE"), 0, "spaces are no telephone number");
    caller.start("c8", "tel:+1-555-010-0199");
    let invite = caller.sent("INVITE").expect("an INVITE");
    assert_eq!(invite.uri(), Some("sip:+15550100199@example.com;user=phone"));
}

#[test]
fn a_call_takes_the_service_route_and_a_large_one_leaves_udp_if_it_can() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    assert_eq!(invite.values("Route"), ["<sip:edge.example.com;lr>"], "RFC 3608 section 6.1");
    assert_eq!(invite.via().expect("a Via").transport, "UDP");
    let (mut caller, large, flow) = large();
    let before = caller.rig.texts.len();
    caller.rig.feed(Input::SipUnsent { flow });
    let again = caller.sent("INVITE").expect("an INVITE");
    let vias = [&large, &again].map(|invite| invite.via().expect("a Via"));
    assert_eq!((vias[1].transport.as_str(), &vias[1].branch), ("UDP", &vias[0].branch));
    assert!(caller.told(before).is_empty(), "the app hears nothing of the detour");
}

/// An INVITE that left UDP for its size, and the way that it went.
fn large() -> (Caller, Message, Flow) {
    let mut caller = Caller::new();
    let sdp = format!("v=0\r\n{}", "a=candidate:1 1 UDP 1 192.0.2.1 9 typ host\r\n".repeat(30));
    let rest = json!({"header": {"target": "alice@example.com"}, "payload": {"sdp": sdp}});
    caller.say("request", "start", "c2", &rest);
    let invite = caller.sent("INVITE").expect("an INVITE");
    assert_eq!(invite.via().expect("a Via").transport, "TCP", "RFC 3261 section 18.1.1");
    let (transport, local, peer) = (Transport::Tcp, String::new(), udp().peer);
    (caller, invite, Flow { transport, local, peer, connection: None })
}

#[test]
fn a_hang_up_is_remembered_when_a_large_invite_comes_back_to_udp() {
    let (mut caller, _, flow) = large();
    caller.say("message", "shutdown", "c2", &json!({}));
    caller.rig.feed(Input::SipUnsent { flow });
    let invite = caller.sent("INVITE").expect("an INVITE");
    assert_eq!(
        (caller.count("INVITE"), caller.count("CANCEL")),
        (2, 0),
        "not before a provisional"
    );
    caller.respond(&invite, 180, "a", &[], "");
    let cancel = caller.sent("CANCEL").expect("a CANCEL");
    assert_eq!(cancel.via().expect("a Via"), invite.via().expect("a Via"));
    let before = caller.rig.texts.len();
    caller.respond(&cancel, 200, "", &[], "");
    caller.respond(&invite, 487, "a", &[], "");
    assert_eq!(caller.told(before), [line("error", "start", 487)]);
}

#[test]
fn an_offer_in_the_answer_is_answered_in_the_ack() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    caller.respond(&invite, 200, "a", &[("Contact", "<sip:alice@192.0.2.7>")], "v=0\r\ns=o\r\n");
    caller.say("message", "complete", "c2", &json!({"payload": {"sdp": "v=0\r\ns=late\r\n"}}));
    let ack = caller.sent("ACK").expect("an ACK");
    assert_eq!(ack.body, b"v=0\r\ns=late\r\n");
}
