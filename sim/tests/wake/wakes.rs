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
