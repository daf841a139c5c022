//! A gateway that follows its whims keeps every promise.

use std::collections::BTreeSet;

use reveille_gateway_core::whim::{Whim, Whims};
use reveille_sim::suite::play_with;
use reveille_trace::{Kind, Trace};

use crate::scenes;

/// A caller by a stream, and a sleep that outlives its registration.
const PLAYED: [&str; 2] = ["wake/over-tcp", "register/outlived-by-sleep"];

fn followed(trace: &Trace) -> impl Iterator<Item = &str> {
    let struck = trace.events.iter().filter(|event| event.kind == Kind::FaultStruck);
    struck.filter(|event| event.text("fault") == Some("whim")).filter_map(|event| event.text("on"))
}

fn play(id: &str, whims: &Whims) -> Trace {
    let played = play_with(&scenes::job(id, 3), |settings| settings.whims = whims.clone());
    scenes::trace_of(played)
}

#[test]
fn every_whim_is_followed_and_nothing_is_lost_by_it() {
    let traces = PLAYED.map(|id| play(id, &Whims::everywhere(800)));
    let seen: BTreeSet<_> = traces.iter().flat_map(followed).collect();
    assert_eq!(seen, Whim::ALL.map(Whim::place).into(), "each whim acts");
}

#[test]
fn without_whims_none_is_followed() {
    let one = Whims::default().with(Whim::SmallBatch, 1_000);
    let trace = play("wake/over-tcp", &one);
    assert_eq!(followed(&trace).collect::<BTreeSet<_>>(), [Whim::SmallBatch.place()].into());
    assert_eq!(followed(&play("wake/over-tcp", &Whims::default())).next(), None);
}
