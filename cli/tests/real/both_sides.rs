//! Calls that SIPp places and that either side changes and ends, for an app that stays awake and for
//! one that a push wakes: what SIPp counted is what is asserted, and what the app saw of it.

use std::collections::BTreeMap;

use crate::app::{App, Moment, Part};
use crate::bench::Bench;
use crate::sipp::{Count, storm_of};

const OVER: [&str; 2] = ["u1", "t1"];

/// What the app does, what SIPp then does, and what a call is to the app.
const CASES: [(Part, &[&str], &[Moment]); 3] = [
    (Part::HangsUp, &["is-ended"], &[]),
    (Part::ChangesAndHangsUp, &["is-changed", "is-ended"], &[Moment::Changed]),
    (Part::Changes, &["is-changed", "changes", "ends"], &[Moment::Changed, Moment::ChangedByPeer]),
];

/// That many calls came to the app, each with all of this, and nothing else was.
fn saw(seen: &[Moment], calls: usize, of_each: &[Moment]) {
    let mut counted = BTreeMap::new();
    for moment in seen {
        *counted.entry(*moment).or_insert(0) += 1;
    }
    let each = [Moment::Called, Moment::Over].iter().chain(of_each);
    let expected: BTreeMap<_, _> = each.map(|moment| (*moment, calls)).collect();
    assert_eq!(counted, expected);
}

#[test]
fn calls_of_an_app_that_is_awake_are_changed_and_ended_by_either_side() {
    const CALLS: u32 = 20;
    for (part, steps, of_each) in CASES {
        let bench = Bench::new();
        let others = bench.start_for_apps();
        let app = App::start(&bench, part);
        app.wait_for(Moment::Connected, 1);
        for transport in OVER {
            let count = storm_of(&bench, transport, steps, CALLS, 200);
            let all = Count { successful: u64::from(CALLS), failed: 0 };
            assert_eq!(count, all, "{transport}, {part:?}");
            let calls = usize::try_from(CALLS).expect("a few");
            saw(&app.wait_for(Moment::Over, calls), calls, of_each);
        }
        drop((app, others));
    }
}

#[test]
fn calls_of_an_app_that_a_push_wakes_are_changed_and_ended_by_either_side() {
    let cases = CASES.iter().flat_map(|case| OVER.map(|transport| (transport, case)));
    for (transport, (part, steps, of_each)) in cases {
        // A bench for each: a device is not pushed to again at once.
        let bench = Bench::new();
        let others = bench.start_for_apps();
        let app = App::start(&bench, *part);
        app.wait_for(Moment::Connected, 1);
        app.sleep();
        let count = storm_of(&bench, transport, steps, 1, 100);
        assert_eq!(count, Count { successful: 1, failed: 0 }, "{transport}, {part:?}");
        let mut seen = app.wait_for(Moment::Over, 1);
        let woken: Vec<_> = seen.drain(..2).collect();
        assert_eq!(woken, [Moment::Pushed, Moment::Connected], "{transport}, {part:?}");
        saw(&seen, 1, of_each);
        drop((app, others));
    }
}
