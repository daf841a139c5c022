//! What either side asks for within a call.

use reveille_gateway_core::io::{Input, SocketId};
use reveille_wire::sip::Message;
use serde_json::json;

use super::caller::{Caller, OFFER, come_back, line};
use super::rig::udp;

#[test]
fn a_reinvite_of_the_peer_goes_to_the_app_and_back() {
    let mut caller = Caller::new();
    caller.up();
    caller.alice_asks("INVITE", 5, "v=0\r\ns=hold\r\n");
    let start = caller.rig.last_text(1);
    assert_eq!(
        (&start["header"]["action"], &start["payload"]["sdp"]),
        (&json!("start"), &json!("v=0\r\ns=hold\r\n"))
    );
    assert_eq!(start["control"]["subsession_id"], "sub");
    let correlation =
        start["control"]["correlation_id"].as_str().expect("a correlation").to_owned();
    assert_eq!(caller.answers("INVITE", 5), [100]);
    caller.alice_asks("INVITE", 6, "v=0\r\n");
    assert_eq!(caller.answers("INVITE", 6), [500], "one at a time");
    let answer =
        json!({"control": {"message_state": "final"}, "payload": {"sdp": "v=0\r\ns=held\r\n"}});
    caller.say("response", "start", &correlation, &answer);
    assert_eq!(caller.answers("INVITE", 5), [100, 200]);
    caller.rig.wait_ms(500);
    assert_eq!(caller.answers("INVITE", 5), [100, 200, 200], "repeated until the ACK");
    let before = caller.rig.texts.len();
    caller.alice_asks("ACK", 5, "");
    assert_eq!(caller.told(before), [line("message", "complete", 0)]);
    caller.rig.wait_ms(8_000);
    assert_eq!(caller.answers("INVITE", 5).len(), 3);
    caller.alice_asks("INFO", 4, "");
    assert_eq!(caller.answers("INFO", 4), [500], "a number that is past");
}

#[test]
fn an_error_of_the_app_ends_the_reinvite_and_not_the_call() {
    let mut caller = Caller::new();
    caller.up();
    for (number, code, status) in [(5, 488, 488), (6, 403, 488)] {
        caller.alice_asks("INVITE", number, "");
        let correlation =
            caller.rig.last_text(1)["control"]["correlation_id"].as_str().expect("one").to_owned();
        caller.say("error", "start", &correlation, &json!({"header": {"error_code": code}}));
        assert_eq!(caller.answers("INVITE", number), [100, status]);
    }
    caller.say("message", "shutdown", "c9", &json!({}));
    assert_eq!(caller.count("BYE"), 1);
}

#[test]
fn a_reinvite_that_the_peer_takes_back_leaves_the_call() {
    let mut caller = Caller::new();
    caller.up();
    caller.alice_asks("INVITE", 5, "v=0\r\n");
    let before = caller.rig.texts.len();
    caller.alice_asks("CANCEL", 5, "");
    assert_eq!(caller.answers("INVITE", 5), [100, 487]);
    assert_eq!(caller.answers("CANCEL", 5), [200]);
    assert_eq!(caller.told(before), [line("message", "shutdown", 0)]);
    assert_eq!(caller.rig.last_text(1)["header"]["initiator"], "##re-invite_cancel@server##");
    caller.say("message", "shutdown", "c9", &json!({}));
    assert_eq!(caller.count("BYE"), 1);
}

#[test]
fn an_app_that_does_not_answer_a_reinvite_costs_the_transaction_and_not_the_call() {
    let mut caller = Caller::new();
    caller.up();
    caller.alice_asks("INVITE", 5, "v=0\r\n");
    caller.rig.wait_ms(30_001);
    assert_eq!(caller.answers("INVITE", 5)[..2], [100, 504]);
    assert_eq!(caller.count("BYE"), 0);
}

#[test]
fn a_bye_answers_the_reinvite_that_waits() {
    let mut caller = Caller::new();
    caller.up();
    caller.alice_asks("INVITE", 5, "v=0\r\n");
    caller.alice_asks("BYE", 6, "");
    assert_eq!(caller.answers("INVITE", 5), [100, 487]);
    assert_eq!(caller.answers("BYE", 6), [200]);
}

#[test]
fn the_app_renegotiates_and_its_complete_is_the_ack() {
    let mut caller = Caller::new();
    caller.up();
    caller.start("c5", "alice@example.com");
    let invite = caller.sent("INVITE").expect("a re-INVITE");
    assert_eq!(invite.header("CSeq"), Some("2 INVITE"));
    assert_eq!(invite.uri(), Some("sip:alice@192.0.2.7"));
    caller.alice_asks("INVITE", 5, "v=0\r\n");
    assert_eq!(caller.answers("INVITE", 5), [491], "glare");
    let before = caller.rig.texts.len();
    caller.start("c6", "alice@example.com");
    assert_eq!(caller.told(before), [line("error", "start", 491)], "one at a time");
    caller.respond(&invite, 200, "", &[("Contact", "<sip:alice@192.0.2.8>")], "v=0\r\n");
    caller.say("message", "complete", "c5", &json!({}));
    let ack = caller.sent("ACK").expect("an ACK");
    assert_eq!((ack.uri(), ack.header("CSeq")), (Some("sip:alice@192.0.2.8"), Some("2 ACK")));
    caller.start("c7", "alice@example.com");
    let invite = caller.sent("INVITE").expect("a re-INVITE");
    let before = caller.rig.texts.len();
    caller.respond(&invite, 491, "", &[], "");
    assert_eq!(caller.told(before), [line("error", "start", 491)]);
    caller.start("c8", "alice@example.com");
    let invite = caller.sent("INVITE").expect("a re-INVITE");
    let before = caller.rig.texts.len();
    caller.respond(&invite, 481, "", &[], "");
    let told = [line("error", "start", 481), line("message", "shutdown", 0)];
    assert_eq!(caller.told(before), told, "481: the dialog is gone");
}

#[test]
fn an_update_goes_both_ways_without_a_complete() {
    let mut caller = Caller::new();
    caller.up();
    caller.alice_asks("UPDATE", 5, "v=0\r\ns=u\r\n");
    let start = caller.rig.last_text(1);
    assert_eq!(start["header"]["sip_method"], "UPDATE");
    let correlation = start["control"]["correlation_id"].as_str().expect("one").to_owned();
    let answer = json!({"control": {"message_state": "final"}, "payload": {"sdp": "v=0\r\n"}});
    caller.say("response", "start", &correlation, &answer);
    assert_eq!(caller.answers("UPDATE", 5), [200]);
    caller.alice_asks("UPDATE", 6, "");
    assert_eq!(caller.answers("UPDATE", 6), [200], "a refresh asks the app nothing");
    caller.alice_asks("UPDATE", 7, "v=0\r\n");
    caller.rig.wait_ms(5_000);
    caller.rig.feed(Input::SocketText { socket: SocketId(1), text: "ping".to_owned() });
    caller.rig.wait_ms(5_000);
    assert_eq!(caller.answers("UPDATE", 7), [100, 504], "well before its sender gives up");
    let rest = json!({"header": {"sip_method": "UPDATE"}, "payload": {"sdp": OFFER}});
    caller.say("request", "start", "c8", &rest);
    let update = caller.sent("UPDATE").expect("an UPDATE");
    let before = caller.rig.texts.len();
    caller.respond(&update, 200, "", &[], "v=0\r\ns=u2\r\n");
    assert_eq!(caller.told(before), [line("response", "start", 200)]);
}

#[test]
fn a_request_within_the_dialog_that_is_challenged_goes_once_more() {
    let mut caller = Caller::new();
    caller.up();
    caller.say("message", "shutdown", "c9", &json!({}));
    let bye = caller.sent("BYE").expect("a BYE");
    let challenge = [("Proxy-Authenticate", "Digest realm=\"r\", nonce=\"n\"")];
    caller.respond(&bye, 407, "", &challenge, "");
    let again = caller.sent("BYE").expect("a BYE");
    assert_eq!(again.header("CSeq"), Some("3 BYE"));
    assert!(again.header("Proxy-Authorization").is_some());
    caller.respond(&again, 407, "", &challenge, "");
    assert_eq!(caller.count("BYE"), 2);
}

#[test]
fn candidates_trickle_both_ways_to_a_peer_that_takes_them() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    assert_eq!(invite.header("Recv-Info"), Some("trickle-ice"));
    let fields = [("Contact", "<sip:alice@192.0.2.7>"), ("Recv-Info", "trickle-ice")];
    caller.respond(&invite, 183, "a", &fields, "v=0\r\n");
    let lines = "a=mid:1\r\na=end-of-candidates\r\n";
    caller.say("message", "trickle", "c2", &json!({"payload": {"candidates": lines}}));
    let info = caller.sent("INFO").expect("an INFO");
    assert_eq!(
        (info.header("Info-Package"), &info.body[..]),
        (Some("trickle-ice"), lines.as_bytes())
    );
    caller.respond(&invite, 200, "a", &fields, "v=0\r\n");
    caller.say("message", "complete", "c2", &json!({}));
    caller.alice_asks("INFO", 5, "");
    assert_eq!(caller.answers("INFO", 5), [200]);
    let text = format!(
        "INFO sip:bob@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKin\r\n\
         From: <sip:alice@example.com>;tag=a\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 6 INFO\r\n\
         Max-Forwards: 70\r\nInfo-Package: trickle-ice\r\nContent-Length: {}\r\n\r\n{lines}",
        invite.header("From").expect("a From"),
        invite.header("Call-ID").expect("a Call-ID"),
        lines.len()
    );
    for (package, status) in [("trickle-ice", 200), ("foo", 469)] {
        let text = text.replace("Package: trickle-ice", &format!("Package: {package}"));
        let text = text.replace("CSeq: 6", &format!("CSeq: {status}"));
        let text = text.replace("bKin", &format!("bKin{package}"));
        let message = Box::new(Message::parse(text.as_bytes()).expect("well-formed SIP"));
        caller.rig.feed(Input::Sip { flow: udp(), message });
        assert_eq!(caller.answers("INFO", status), [u16::try_from(status).expect("a status")]);
    }
    let frame = caller.rig.last_text(1);
    assert_eq!(
        (&frame["header"]["action"], &frame["payload"]["candidates"]),
        (&json!("trickle"), &json!(lines))
    );
}

#[test]
fn a_session_that_the_peer_does_not_refresh_is_ended_before_its_time() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    assert_eq!(invite.header("Session-Expires"), Some("3600;refresher=uas"));
    caller.respond(&invite, 422, "a", &[("Min-SE", "7200")], "");
    let slower = caller.sent("INVITE").expect("an INVITE");
    assert_eq!(slower.header("Session-Expires"), Some("7200;refresher=uas"));
    let fields = [
        ("Contact", "<sip:alice@192.0.2.7>"),
        ("Session-Expires", "120;refresher=uas"),
        ("Allow", "INVITE, UPDATE"),
    ];
    caller.respond(&slower, 200, "a", &fields, "v=0\r\n");
    caller.say("message", "complete", "c2", &json!({}));
    caller.idle(60);
    caller.alice_asks("UPDATE", 5, "");
    assert_eq!(caller.answers("UPDATE", 5), [200]);
    let refreshed = caller.rig.sip.iter().rev().find(|m| m.status() == Some(200));
    let refreshed = refreshed.expect("the answer").header("Session-Expires").map(ToOwned::to_owned);
    assert_eq!(refreshed.as_deref(), None, "Alice's UPDATE asked for no timer and allows none");
    caller.idle(200);
    assert_eq!(caller.count("BYE"), 0);
}

#[test]
fn a_session_is_refreshed_by_us_where_that_was_agreed_and_dies_with_its_peer() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    let fields = [
        ("Contact", "<sip:alice@192.0.2.7>"),
        ("Session-Expires", "120;refresher=uac"),
        ("Allow", "INVITE, UPDATE"),
    ];
    caller.respond(&invite, 200, "a", &fields, "v=0\r\n");
    caller.say("message", "complete", "c2", &json!({}));
    caller.idle(59);
    assert_eq!(caller.count("UPDATE"), 0);
    caller.idle(1);
    let update = caller.sent("UPDATE").expect("a refresh");
    assert_eq!(update.header("Session-Expires"), Some("120;refresher=uac"));
    caller.respond(&update, 200, "", &[("Session-Expires", "120;refresher=uac")], "");
    caller.idle(60);
    assert_eq!(caller.count("BYE"), 0);
    caller.idle(33);
    assert!(caller.count("BYE") > 0, "no answer to the second refresh");
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    let fields = [("Contact", "<sip:alice@192.0.2.7>"), ("Session-Expires", "120;refresher=uas")];
    caller.respond(&invite, 200, "a", &fields, "v=0\r\n");
    caller.say("message", "complete", "c2", &json!({}));
    caller.idle(87);
    assert_eq!(caller.count("BYE"), 0);
    caller.idle(2);
    assert!(caller.count("BYE") > 0, "120 s less the margin of 32 s without a refresh");
}

#[test]
fn an_app_that_comes_back_renegotiates_its_call() {
    let mut caller = Caller::new();
    caller.up();
    caller.rig.feed(Input::SocketClosed { socket: SocketId(1), code: None });
    come_back(&mut caller);
    caller.start("c9", "alice@example.com");
    let invite = caller.sent("INVITE").expect("a re-INVITE");
    assert_eq!(invite.header("CSeq"), Some("2 INVITE"));
    assert!(invite.to().expect("a To").tag().is_some(), "within the dialog");
}
