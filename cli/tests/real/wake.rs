//! Calls for a phone that sleeps and holds no socket to the gateway.

use reveille_trace::Kind;

use crate::bench::Bench;
use crate::sipp;

#[test]
fn fifty_calls_by_sipp_wake_a_sleeping_phone_and_none_is_lost() {
    let bench = Bench::new();
    let _registrar = bench.start("registrar");
    let _push = bench.start("push");
    let _gateway = bench.start("gateway");
    let phone = bench.start("phone");
    for number in 1..=50 {
        phone.wait_for_state("hibernated");
        assert_eq!(bench.app_sockets(), 0, "call {number}: asleep, and yet a socket is open");
        let seen = sipp::call(&bench, "u1");
        assert!(seen.succeeded, "call {number}: {:?}\n{}", seen.statuses, seen.screen);
        assert_eq!(seen.statuses, [100, 183, 180, 200], "call {number}");
        let events = phone.wait_for_state("connected");
        let pushed = events.iter().any(|event| event.kind == Kind::PushArrived);
        assert!(pushed, "call {number}: the phone came back without a push");
    }
}
