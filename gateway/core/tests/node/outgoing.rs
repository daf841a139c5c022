//! Calls that the app places, and what either side asks for within a call.

use reveille_gateway_core::config::Registrar;
use reveille_gateway_core::io::{Flow, Input, SocketId, Transport};
use reveille_wire::sip::Message;
use serde_json::{Value, json};

use super::rig::{Rig, config, udp};

const OFFER: &str = "v=0\r\ns=offer\r\n";

/// Bob's app, attached, at a gateway with a way out; the registrar has taken it.
struct Caller {
    rig: Rig,
    session: String,
    sequence: u64,
}

impl Caller {
    fn new() -> Self {
        let mut config = config();
        config.registrar =
            Some(Registrar { uri: "sip:example.com".to_owned(), flow: udp(), expires_s: 3_600 });
        let mut rig = Rig::new(config);
        rig.open(1, "bob");
        rig.say(
            1,
            &json!({"control": {"type": "request", "sequence": 1}, "header": {"action": "connect"},
                "payload": {"deviceToken": "tok"}}),
        );
        let register = rig.sip.last().expect("a REGISTER").clone();
        let mut caller = Self { rig, session: String::new(), sequence: 1 };
        let route = ("Service-Route", "<sip:edge.example.com;lr>");
        caller.respond(&register, 200, "", &[("Expires", "3600"), route], "");
        let answer = caller.rig.last_text(1);
        caller.session = answer["control"]["session_id"].as_str().expect("an id").to_owned();
        caller
    }

    fn say(&mut self, kind: &str, action: &str, correlation: &str, rest: &Value) {
        self.sequence += 1;
        let mut frame = json!({"control": {"type": kind, "package_type": "call",
            "sequence": self.sequence, "session_id": self.session, "subsession_id": "sub",
            "correlation_id": correlation}, "header": {"action": action}});
        for (part, members) in rest.as_object().expect("an object") {
            for (name, value) in members.as_object().expect("an object") {
                frame[part][name] = value.clone();
            }
        }
        self.rig.say(1, &frame);
    }

    fn start(&mut self, correlation: &str, target: &str) {
        let rest = json!({"header": {"target": target}, "payload": {"sdp": OFFER}});
        self.say("request", "start", correlation, &rest);
    }

    /// The latest request of this method that the gateway sent.
    fn sent(&self, method: &str) -> Option<Message> {
        let is_it = |m: &&Message| m.method().is_some_and(|m| m.as_str() == method);
        self.rig.sip.iter().rev().find(is_it).cloned()
    }

    fn count(&self, method: &str) -> usize {
        let is_it = |m: &&Message| m.method().is_some_and(|m| m.as_str() == method);
        self.rig.sip.iter().filter(is_it).count()
    }

    fn respond(
        &mut self,
        request: &Message,
        status: u16,
        tag: &str,
        fields: &[(&str, &str)],
        sdp: &str,
    ) {
        let tag = Some(tag).filter(|tag| !tag.is_empty());
        let mut response = request.reply(status, Message::reason_phrase(status), tag);
        for (name, value) in fields {
            response.push(name, value);
        }
        if !sdp.is_empty() {
            response.set_body("application/sdp", sdp.as_bytes());
        }
        self.rig.feed(Input::Sip { flow: udp(), message: Box::new(response) });
    }

    /// Seconds pass, and the app pings.
    fn idle(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.rig.wait_ms(1_000);
            self.rig.feed(Input::SocketText { socket: SocketId(1), text: "ping".to_owned() });
        }
    }

    /// Alice's answer to the INVITE, and the app's `complete`.
    fn up(&mut self) {
        self.start("c2", "alice@example.com");
        let invite = self.sent("INVITE").expect("an INVITE");
        let contact = [("Contact", "<sip:alice@192.0.2.7>"), ("Allow", "INVITE, UPDATE")];
        self.respond(&invite, 200, "a", &contact, "v=0\r\ns=answer\r\n");
        self.say("message", "complete", "c2", &json!({}));
        assert_eq!(self.count("ACK"), 1);
    }

    /// A request of Alice's within the dialog.
    fn alice_asks(&mut self, method: &str, number: u32, sdp: &str) {
        let invite = self.sent("INVITE").expect("an INVITE");
        let header = |name| invite.header(name).expect("it is there").to_owned();
        let text = format!(
            "{method} sip:bob@192.0.2.9 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{}{number}\r\n\
             From: <sip:alice@example.com>;tag=a\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {number} {method}\r\nContact: <sip:alice@192.0.2.7>\r\nMax-Forwards: 70\r\n\
             Content-Length: {}\r\n\r\n{sdp}",
            if method == "CANCEL" { "INVITE" } else { method },
            header("From"),
            header("Call-ID"),
            sdp.len()
        );
        let message = Box::new(Message::parse(text.as_bytes()).expect("well-formed SIP"));
        self.rig.feed(Input::Sip { flow: udp(), message });
    }

    /// Statuses of the gateway's responses to a request of Alice's.
    fn answers(&self, method: &str, number: u32) -> Vec<u16> {
        let cseq = format!("{number} {method}");
        let of = |m: &&Message| m.header("CSeq") == Some(cseq.as_str());
        self.rig.sip.iter().filter(of).filter_map(Message::status).collect()
    }

    /// What the app was told since `from` texts: type, action and code.
    fn told(&self, from: usize) -> Vec<(String, String, Option<u64>)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let code = |frame: &Value| {
            frame["header"]["response_code"].as_u64().or(frame["header"]["error_code"].as_u64())
        };
        let frames = self.rig.texts[from..].iter().map(|(_, frame)| frame);
        let numbered = frames.filter(|frame| !frame["control"]["sequence"].is_null());
        numbered
            .map(|f| (text(&f["control"]["type"]), text(&f["header"]["action"]), code(f)))
            .collect()
    }
}

fn line(kind: &str, action: &str, code: u64) -> (String, String, Option<u64>) {
    (kind.to_owned(), action.to_owned(), (code > 0).then_some(code))
}

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

/// The app comes back after a crash of the gateway, having taken everything.
fn come_back(caller: &mut Caller) {
    let numbers = caller.rig.texts.iter().filter_map(|(_, t)| t["control"]["sequence"].as_u64());
    let last = numbers.max().unwrap_or(1);
    let session = caller.session.clone();
    caller.rig.resume(1, "bob", &session, &json!({"cslr": last, "subsessions": ["sub"]}));
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

#[test]
fn a_call_takes_the_service_route_and_a_large_one_leaves_udp_if_it_can() {
    let mut caller = Caller::new();
    caller.start("c2", "alice@example.com");
    let invite = caller.sent("INVITE").expect("an INVITE");
    assert_eq!(invite.values("Route"), ["<sip:edge.example.com;lr>"], "RFC 3608 section 6.1");
    assert_eq!(invite.via().expect("a Via").transport, "UDP");
    let mut caller = Caller::new();
    let sdp = format!("v=0\r\n{}", "a=candidate:1 1 UDP 1 192.0.2.1 9 typ host\r\n".repeat(30));
    let rest = json!({"header": {"target": "alice@example.com"}, "payload": {"sdp": sdp}});
    caller.say("request", "start", "c2", &rest);
    let large = caller.sent("INVITE").expect("an INVITE");
    assert_eq!(large.via().expect("a Via").transport, "TCP", "RFC 3261 section 18.1.1");
    let (transport, local, peer) = (Transport::Tcp, String::new(), udp().peer);
    let before = caller.rig.texts.len();
    caller.rig.feed(Input::SipUnsent { flow: Flow { transport, local, peer, connection: None } });
    let again = caller.sent("INVITE").expect("an INVITE");
    let vias = [&large, &again].map(|invite| invite.via().expect("a Via"));
    assert_eq!((vias[1].transport.as_str(), &vias[1].branch), ("UDP", &vias[0].branch));
    assert!(caller.told(before).is_empty(), "the app hears nothing of the detour");
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
