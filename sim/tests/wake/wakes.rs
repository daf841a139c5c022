//! The plain wake, by both apps and over both transports.

use reveille_conformance::cast::phone::AppKind;
use reveille_conformance::cast::sip::Transport;
use reveille_trace::Kind;

use crate::play::{Plan, loss, play, responses};

#[test]
fn a_call_wakes_a_sleeping_phone_and_is_answered() {
    for app in [AppKind::Sdk, AppKind::Plain] {
        for transport in [Transport::Udp, Transport::Tcp] {
            let played = play(&Plan::with(app, transport, 1));
            assert_eq!(loss(&played), None, "{app:?} over {transport:?}");
            let statuses: Vec<_> =
                responses(&played.trace).iter().map(|(status, _)| *status).collect();
            assert_eq!(statuses, [100, 183, 180, 200], "{app:?} over {transport:?}");
            let pushes = played.trace.events.iter().filter(|e| e.kind == Kind::PushArrived);
            assert_eq!(pushes.count(), 1);
        }
    }
}

#[test]
fn the_ten_hops_come_in_order() {
    let played = play(&Plan::plain(1));
    let hops: Vec<_> = played
        .trace
        .events
        .iter()
        .filter(|event| event.kind == Kind::Hop)
        .filter_map(|event| event.int("hop"))
        .collect();
    assert_eq!(hops, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
}
