//! Calls of the app when a target of the network does not take them (RFC 3263 section 4.3).

use reveille_gateway_core::io::{Flow, Input, Transport};
use reveille_wire::sip::Message;
use serde_json::json;

use super::caller::{Caller, come_back, line};
use super::rig::udp;

/// The second place of the network, over TCP.
fn second() -> Flow {
    let (local, peer) = (String::new(), "192.0.2.2:5060".to_owned());
    Flow { transport: Transport::Tcp, local, peer, connection: None }
}

fn two() -> Caller {
    Caller::with(|config| config.registrar_others.push(second()))
}

/// How the first place fails.
#[derive(Debug, Clone, Copy)]
enum How {
    Refuses,
    Unreached,
    Silent,
    Lost,
}

impl Caller {
    fn fail(&mut self, how: How) {
        let invite = self.sent("INVITE").expect("an INVITE");
        match how {
            How::Refuses => self.respond(&invite, 503, "p", &[("Retry-After", "600")], ""),
            How::Unreached => {
                let flow = self.way_of("INVITE");
                self.rig.feed(Input::SipUnsent { flow });
            }
            How::Silent => self.idle(32),
            How::Lost => {
                let flow = self.way_of("INVITE");
                self.rig.feed(Input::FlowLost { flow });
            }
        }
    }

    /// The way of the latest request of this method.
    fn way_of(&self, method: &str) -> Flow {
        let is_it = |m: &Message| m.method().is_some_and(|m| m.as_str() == method);
        let at = self.rig.sip.iter().rposition(is_it).expect("a request");
        self.rig.ways[at].clone()
    }
}

fn branch(message: &Message) -> Option<String> {
    message.via().expect("a Via").branch
}

#[test]
fn a_call_that_the_first_target_does_not_take_is_placed_at_the_second() {
    for how in [How::Refuses, How::Unreached, How::Silent, How::Lost] {
        let mut caller = two();
        caller.start("c2", "alice@example.com");
        let (first, before) = (caller.sent("INVITE").expect("one"), caller.rig.texts.len());
        assert_eq!(caller.way_of("INVITE"), udp());
        caller.fail(how);
        let again = caller.sent("INVITE").expect("another");
        assert_eq!(caller.way_of("INVITE"), second(), "{how:?}");
        assert_ne!(branch(&again), branch(&first), "another transaction");
        assert!(again.header("Via").expect("a Via").starts_with("SIP/2.0/TCP "));
        assert!(again.header("Contact").expect("a Contact").ends_with(";transport=tcp>"));
        for name in ["Call-ID", "CSeq", "From", "To", "Route"] {
            assert_eq!(again.header(name), first.header(name), "the same request");
        }
        assert!(caller.told(before).is_empty(), "the app hears nothing of it");
        let contact = [("Contact", "<sip:alice@192.0.2.7>")];
        caller.respond(&again, 180, "a", &[], "");
        caller.respond(&again, 200, "a", &contact, "v=0\r\n");
        let told = caller.told(before);
        assert_eq!(told, [line("response", "start", 180), line("response", "start", 200)]);
        caller.say("message", "complete", "c2", &json!({}));
        assert_eq!(caller.way_of("ACK"), second());
        caller.say("message", "shutdown", "c9", &json!({}));
        assert_eq!(caller.way_of("BYE"), second());
    }
}

#[test]
fn once_every_target_failed_the_app_is_told_and_none_is_asked_twice() {
    for (how, code) in [(How::Refuses, 503), (How::Unreached, 503), (How::Silent, 408)] {
        let mut caller = two();
        caller.start("c2", "alice@example.com");
        let before = caller.rig.texts.len();
        caller.fail(how);
        caller.fail(how);
        assert_eq!(caller.told(before), [line("error", "start", code)], "{how:?}");
        let count = caller.count("INVITE");
        caller.idle(70);
        assert_eq!(caller.count("INVITE"), count);
    }
}

#[test]
fn what_is_known_of_a_target_that_cannot_be_reached_serves_the_next_call() {
    for (how, wanted) in
        [(How::Refuses, udp()), (How::Unreached, second()), (How::Silent, second())]
    {
        let mut caller = two();
        caller.start("c2", "alice@example.com");
        caller.fail(how);
        let again = caller.sent("INVITE").expect("another");
        caller.respond(&again, 486, "a", &[], "");
        caller.start("c3", "alice@example.com");
        assert_eq!(caller.way_of("INVITE"), wanted, "{how:?}: a 503 may come from further on");
    }
}

#[test]
fn who_rang_was_reached_and_another_failure_is_an_answer() {
    let mut caller = two();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    caller.respond(&invite, 180, "a", &[], "");
    let before = caller.rig.texts.len();
    caller.respond(&invite, 503, "a", &[], "");
    assert_eq!(caller.told(before), [line("error", "start", 503)]);
    for status in [404, 480, 500, 504, 603] {
        let mut caller = two();
        caller.start("c2", "alice@example.com");
        let invite = caller.sent("INVITE").expect("an INVITE");
        caller.respond(&invite, status, "a", &[], "");
        assert_eq!(caller.count("INVITE"), 1, "{status}");
    }
}

#[test]
fn a_lost_connection_ends_no_call_that_was_heard_of_or_has_nowhere_else_to_go() {
    for (is_heard, mut caller) in [(true, two()), (false, Caller::new())] {
        caller.start("c2", "alice@example.com");
        let invite = caller.sent("INVITE").expect("an INVITE");
        if is_heard {
            caller.respond(&invite, 100, "", &[], "");
        }
        let before = caller.rig.texts.len();
        caller.fail(How::Lost);
        assert_eq!(caller.count("INVITE"), 1);
        caller.respond(&invite, 180, "a", &[], "");
        assert_eq!(caller.told(before), [line("response", "start", 180)], "over a new one");
    }
}

#[test]
fn a_call_that_was_hung_up_goes_nowhere_else() {
    for (how, code) in [(How::Refuses, 503), (How::Unreached, 503), (How::Silent, 408)] {
        let mut caller = two();
        caller.start("c2", "alice@example.com");
        caller.say("message", "shutdown", "c2", &json!({}));
        let before = caller.rig.texts.len();
        caller.fail(how);
        assert_eq!(caller.way_of("INVITE"), udp());
        assert_eq!(caller.told(before), [line("error", "start", code)], "{how:?}");
    }
}

#[test]
fn the_second_invite_waits_for_its_record_and_is_what_a_restart_repeats() {
    let mut caller = two();
    caller.start("c2", "alice@example.com");
    caller.rig.hold_commits = true;
    caller.fail(How::Refuses);
    assert_eq!(caller.count("INVITE"), 1, "not on record yet");
    caller.rig.hold_commits = false;
    caller.rig.commit_all();
    let again = caller.sent("INVITE").expect("another");
    caller.rig.crash();
    let repeated = caller.sent("INVITE").expect("it goes on");
    assert_eq!((branch(&repeated), caller.way_of("INVITE")), (branch(&again), second()));
    come_back(&mut caller);
    let before = caller.rig.texts.len();
    caller.respond(&repeated, 180, "a", &[], "");
    assert_eq!(caller.told(before), [line("response", "start", 180)]);
}

#[test]
fn a_failure_that_comes_again_late_ends_nothing() {
    let mut caller = two();
    caller.start("c2", "alice@example.com");
    let first = caller.sent("INVITE").expect("one");
    caller.fail(How::Refuses);
    let before = caller.rig.texts.len();
    caller.respond(&first, 503, "p", &[], "");
    assert_eq!(caller.count("ACK"), 2, "acknowledged again");
    caller.rig.feed(Input::SipUnsent { flow: udp() });
    assert!(caller.told(before).is_empty(), "the ACK did not leave; the call goes on");
    let again = caller.sent("INVITE").expect("another");
    caller.respond(&again, 180, "a", &[], "");
    assert_eq!(caller.told(before), [line("response", "start", 180)]);
}

#[test]
fn another_target_is_shown_no_answer_to_the_challenge_of_the_first_but_the_apps_own() {
    let mut caller = two();
    caller.start("c2", "alice@example.com");
    let challenge = [("Proxy-Authenticate", "Digest realm=\"r\", nonce=\"n\"")];
    let first = caller.sent("INVITE").expect("one");
    caller.respond(&first, 407, "p", &challenge, "");
    assert!(caller.sent("INVITE").expect("two").header("Proxy-Authorization").is_some());
    caller.fail(How::Refuses);
    let third = caller.sent("INVITE").expect("three");
    assert!(third.header("Proxy-Authorization").is_none());
    caller.respond(&third, 407, "p", &challenge, "");
    let fourth = caller.sent("INVITE").expect("four");
    assert_eq!(fourth.header("CSeq"), Some("3 INVITE"));
    assert!(fourth.header("Proxy-Authorization").is_some(), "it answers its own");

    let mut caller = two();
    let rest = json!({"header": {"target": "alice@example.com", "authorization": {
        "username": "b", "realm": "r", "nonce": "n", "uri": "sip:alice@example.com",
        "response": "00"}}, "payload": {"sdp": "v=0\r\n"}});
    caller.say("request", "start", "c2", &rest);
    caller.fail(How::Refuses);
    let again = caller.sent("INVITE").expect("another");
    assert!(again.header("Proxy-Authorization").expect("the app's").contains("response=\"00\""));
}
