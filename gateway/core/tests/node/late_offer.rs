//! INVITEs without an offer, at a gateway whose operator takes none.

use reveille_gateway_core::config::Config;
use reveille_gateway_core::io::Input;
use reveille_wire::sip::Message;

use super::caller::Caller;
use super::rig::{Rig, config, udp};

fn strict() -> Config {
    Config { late_offer: false, ..config() }
}

fn invite(rig: &mut Rig, call: &str, sdp: &str) {
    let text = format!(
        "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{call}i\r\n\
         From: <sip:alice@example.com>;tag=f\r\nTo: <sip:bob@example.com>\r\nCall-ID: {call}\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:alice@192.0.2.1>\r\nMax-Forwards: 70\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    let message = Box::new(Message::parse(text.as_bytes()).expect("well-formed SIP"));
    rig.feed(Input::Sip { flow: udp(), message });
}

#[test]
fn a_call_without_an_offer_is_refused_with_its_reason_and_wakes_nobody() {
    let mut rig = Rig::new(strict());
    rig.asleep();
    rig.hold_commits = true;
    rig.request("INVITE", "one", "");
    assert_eq!(rig.statuses("one"), [488], "it waits for no record: there is none");
    assert_eq!((rig.pushes.len(), rig.commits.len()), (0, 0));
    let warning = rig.sip.last().and_then(|m| m.header("Warning")).expect("a Warning").to_owned();
    assert!(warning.starts_with("399 192.0.2.9:5060 \"no late offer here"), "{warning}");
    rig.request("INVITE", "one", "");
    assert_eq!(rig.statuses("one"), [488, 488], "a resent INVITE hears it again");
    rig.request("ACK", "one", "");
    rig.wait_ms(60_000);
    assert_eq!(rig.statuses("one"), [488, 488], "acknowledged, and forgotten");
}

#[test]
fn a_call_with_an_offer_is_taken_and_one_for_nobody_is_404_as_ever() {
    let mut rig = Rig::new(strict());
    rig.asleep();
    invite(&mut rig, "one", "v=0\r\n");
    assert_eq!((rig.statuses("one"), rig.pushes.len()), (vec![100, 183], 1));
    rig.request_to("INVITE", "two", "", "sip:nobody@example.com");
    assert_eq!(rig.statuses("two"), [404]);
    rig.request_to("INVITE", "three", "", "sip:eve@example.com");
    assert_eq!(rig.statuses("three"), [480], "eve has no session");
}

#[test]
fn a_reinvite_without_an_offer_is_refused_and_the_call_goes_on() {
    let mut caller = Caller::at(strict());
    caller.up();
    let before = caller.rig.texts.len();
    caller.alice_asks("INVITE", 5, "");
    assert_eq!(caller.answers("INVITE", 5), [488]);
    assert_eq!(caller.rig.texts.len(), before, "the app hears nothing of it");
    caller.alice_asks("ACK", 5, "");
    caller.alice_asks("INVITE", 6, "v=0\r\n");
    assert_eq!(caller.answers("INVITE", 6), [100], "one with an offer is given to the app");
    caller.alice_asks("BYE", 7, "");
    assert_eq!(caller.answers("BYE", 7), [200]);
}
