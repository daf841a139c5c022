//! SIPp with scenarios of its own kind, over UDP and TCP: what it counted is what is asserted.

use reveille_trace::Kind;

use crate::bench::Bench;
use crate::sipp::{Count, cancel, storm};

const OVER: [&str; 2] = ["u1", "t1"];

#[test]
fn a_storm_of_options_is_answered_and_wakes_nobody() {
    let bench = Bench::new();
    let _registrar = bench.start("registrar");
    let push = bench.start("push");
    let _gateway = bench.start("gateway");
    let phone = bench.start("phone");
    phone.wait_for_state("hibernated");
    for transport in OVER {
        let count = storm(&bench, transport, "options", 500, 250);
        assert_eq!(count, Count { successful: 500, failed: 0 }, "{transport}");
    }
    assert!(!push.so_far().iter().any(|event| event.kind == Kind::PushReceived));
}

#[test]
fn messages_for_a_sleeper_are_stored_and_answered_202() {
    let bench = Bench::new();
    bench.add_to_gateway("[message]\nwait = \"0s\"\nmost-stored = 200\n");
    let _registrar = bench.start("registrar");
    let _gateway = bench.start("gateway");
    let phone = bench.start("phone");
    phone.wait_for_state("hibernated");
    for transport in OVER {
        let count = storm(&bench, transport, "message", 50, 100);
        assert_eq!(count, Count { successful: 50, failed: 0 }, "{transport}");
    }
}

#[test]
fn calls_taken_back_at_any_moment_end_with_487() {
    for transport in OVER {
        let bench = Bench::new();
        bench.set_phone(5_000);
        let _registrar = bench.start("registrar");
        let _push = bench.start("push");
        let _gateway = bench.start("gateway");
        let phone = bench.start("phone");
        let (held, rings) = ("<recv response=\"183\" />", "<recv response=\"180\" />");
        let later = "<pause distribution=\"uniform\" min=\"0\" max=\"900\" />";
        let taken_back = |until: &[&str]| {
            let count = cancel(&bench, transport, until);
            assert_eq!(count, Count { successful: 1, failed: 0 }, "{transport}, {until:?}");
        };
        for _ in 0..4 {
            phone.wait_for_state("hibernated");
            taken_back(&[held, rings]);
            phone.wait_for_state("hibernated");
            taken_back(&[held, rings, later]);
        }
        // Before the phone is here; whether it still comes is a matter of microseconds.
        phone.wait_for_state("hibernated");
        taken_back(&[held]);
    }
}

#[test]
fn calls_of_a_sleeping_phone_are_changed_and_hung_up() {
    for transport in OVER {
        let bench = Bench::new();
        let _registrar = bench.start("registrar");
        let _push = bench.start("push");
        let _gateway = bench.start("gateway");
        let phone = bench.start("phone");
        for number in 1..=5 {
            phone.wait_for_state("hibernated");
            let count = storm(&bench, transport, "reinvite", 1, 1);
            assert_eq!(count, Count { successful: 1, failed: 0 }, "{transport}, call {number}");
        }
    }
}
