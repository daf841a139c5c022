//! The plain wake, by both apps and over both transports.

use reveille_conformance::cast::scan::scan;
use reveille_trace::{Event, Kind};

use crate::scenes::healthy;

const WAKES: [&str; 4] =
    ["wake/plain", "wake/over-tcp", "wake/plain-app", "wake/plain-app-over-tcp"];

/// The status of a response to alice's INVITE.
fn heard(event: &Event) -> Option<u16> {
    let hers = event.actor == "alice" && event.kind == Kind::SipReceived;
    let message = scan(event.bytes()).filter(|_| hers)?;
    message.status().filter(|_| message.cseq_method() == Some("INVITE"))
}

#[test]
fn a_caller_hears_each_step_of_the_wake() {
    for scene in WAKES {
        let statuses: Vec<_> = healthy(scene).events.iter().filter_map(heard).collect();
        assert_eq!(statuses, [100, 183, 180, 200], "{scene}");
    }
}

#[test]
fn the_ten_hops_come_in_order() {
    let trace = healthy("wake/plain");
    let hops = trace.events.iter().filter(|event| event.kind == Kind::Hop);
    let hops: Vec<_> = hops.filter_map(|event| event.int("hop")).collect();
    assert_eq!(hops, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn every_service_carries_the_call_where_that_is_wished_and_none_its_sdp() {
    let sent = |scene: &'static str| -> Vec<String> {
        let trace = healthy(scene);
        let events = trace.events.iter().filter(|event| event.kind == Kind::PushSent);
        events.map(|event| String::from_utf8_lossy(event.bytes()).into_owned()).collect()
    };
    let carried = sent("push/payload-carries-the-call");
    assert_eq!(carried.len(), 4, "one for each phone");
    for body in &carried {
        assert!(body.contains("\"incoming\":") && body.contains("@example.com"), "{body}");
        assert!(!body.contains("sdp") && !body.contains("v=0"), "{body}");
    }
    assert!(!sent("push/three-services").concat().contains("incoming"), "by default it is not");
}
