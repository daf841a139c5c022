//! Calls of the app, and what is asked within calls, through crashes.

use serde_json::json;

use super::caller::{Caller, come_back};

#[test]
fn a_bye_that_a_crash_took_goes_again_until_it_is_answered() {
    let mut caller = Caller::new();
    caller.up();
    caller.say("message", "shutdown", "c9", &json!({}));
    let bye = caller.sent("BYE").expect("a BYE");
    caller.rig.crash();
    assert_eq!(caller.count("BYE"), 2, "the peer may not have heard of it");
    let again = caller.sent("BYE").expect("a BYE");
    assert_eq!(again.to_bytes(), bye.to_bytes(), "one transaction");
    caller.respond(&again, 200, "", &[], "");
    caller.rig.wait_ms(1_500);
    caller.rig.crash();
    assert_eq!(caller.count("BYE"), 2, "the call is over and forgotten");
}

#[test]
fn a_placed_call_goes_on_after_a_crash_under_the_same_branch() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let first = caller.sent("INVITE").expect("an INVITE");
    caller.rig.crash();
    let again = caller.sent("INVITE").expect("an INVITE");
    assert_eq!(caller.count("INVITE"), 2);
    assert_eq!(again.to_bytes(), first.to_bytes(), "a retransmission, not another call");
    come_back(&mut caller);
    caller.respond(&again, 200, "a", &[("Contact", "<sip:alice@192.0.2.7>")], "v=0\r\n");
    let frame = caller.rig.last_text(1);
    assert_eq!(
        (&frame["header"]["response_code"], &frame["control"]["correlation_id"]),
        (&json!(200), &json!("c2"))
    );
    caller.rig.crash();
    come_back(&mut caller);
    assert_eq!(caller.count("ACK"), 0);
    caller.say("message", "complete", "c2", &json!({}));
    assert_eq!(caller.count("ACK"), 1, "the answer was on record");
    caller.rig.crash();
    caller.respond(&again, 200, "a", &[("Contact", "<sip:alice@192.0.2.7>")], "v=0\r\n");
    assert_eq!(caller.count("ACK"), 2, "so is the ACK");
}

#[test]
fn a_call_whose_record_the_crash_took_was_never_placed() {
    let mut caller = Caller::new();
    caller.rig.hold_commits = true;
    caller.start("c2", "alice@example.com");
    caller.rig.hold_commits = false;
    caller.rig.crash();
    assert_eq!(caller.count("INVITE"), 0);
    assert!(
        caller.rig.texts.iter().all(|(_, t)| t["control"]["ack_sequence"] != 2),
        "nor confirmed to the app"
    );
}

#[test]
fn a_cancelled_call_is_still_cancelled_after_a_crash() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    caller.respond(&invite, 180, "a", &[], "");
    caller.say("message", "shutdown", "c2", &json!({}));
    assert_eq!(caller.count("CANCEL"), 1);
    caller.rig.crash();
    caller.respond(&invite, 180, "a", &[], "");
    assert_eq!(caller.count("CANCEL"), 2);
    caller.respond(&invite, 487, "a", &[], "");
    assert_eq!(caller.count("ACK"), 1);
}

#[test]
fn a_reinvite_of_the_peer_outlives_a_crash() {
    let mut caller = Caller::new();
    caller.up();
    caller.alice_asks("INVITE", 5, "v=0\r\n");
    let correlation =
        caller.rig.last_text(1)["control"]["correlation_id"].as_str().expect("one").to_owned();
    caller.rig.crash();
    assert_eq!(caller.answers("INVITE", 5), [100, 100]);
    come_back(&mut caller);
    let answer = json!({"control": {"message_state": "final"}, "payload": {"sdp": "v=0\r\n"}});
    caller.say("response", "start", &correlation, &answer);
    assert_eq!(caller.answers("INVITE", 5), [100, 100, 200]);
    caller.rig.crash();
    assert_eq!(caller.answers("INVITE", 5), [100, 100, 200, 200]);
    caller.alice_asks("ACK", 5, "");
    caller.rig.wait_ms(9_000);
    assert_eq!(caller.answers("INVITE", 5).len(), 4);
}

#[test]
fn a_reinvite_of_the_app_outlives_a_crash() {
    let mut caller = Caller::new();
    caller.up();
    caller.start("c5", "alice@example.com");
    let invite = caller.sent("INVITE").expect("a re-INVITE");
    caller.rig.crash();
    assert_eq!(caller.sent("INVITE").expect("again").to_bytes(), invite.to_bytes());
    caller.respond(&invite, 200, "", &[("Contact", "<sip:alice@192.0.2.7>")], "v=0\r\n");
    caller.rig.crash();
    come_back(&mut caller);
    caller.say("message", "complete", "c5", &json!({}));
    assert_eq!(caller.sent("ACK").expect("an ACK").header("CSeq"), Some("2 ACK"));
}
