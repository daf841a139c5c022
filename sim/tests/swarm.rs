//! Swarms: fixed seeds pass, each with calls, a sleep and a fault that bit, and come to the same again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use reveille_scenarios::{read_swarm, swarms};
use reveille_sim::World;
use reveille_sim::suite::{Piece, Played, Seeds, jobs, play_all};
use reveille_trace::{Event, Kind, Observed};

/// So many seeds are played, from 1 on; `scripts/test` plays fresh ones besides.
const SEEDS: u64 = 2_000;
/// Seeds with an open finding, and the check that has it. Who mends one takes it out.
const OPEN: [(u64, &str); 1] = [
    // The app comes back while the refusal of its token is on the way: the gateway hears of it when
    // nothing waits for that push any more, and takes the token for good.
    (1_654, "push.webpush.gone-and-not-found-remove"),
];
/// So many of them twice.
const AGAIN: u64 = 100;

fn swarm() -> Arc<Piece> {
    let (id, text) = swarms()[0];
    let swarm = read_swarm(id, text, None).unwrap_or_else(|report| panic!("{report}"));
    Piece::of_swarm(swarm, text, id.to_owned())
}

fn seeds(count: u64) -> Seeds {
    Seeds { first: 1, count: Some(count), world: World::Express }
}

/// What is counted in a play: calls, sleeps, and faults that bit.
fn counted(events: &[Event]) -> [usize; 3] {
    let count = |is: &dyn Fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
    let asleep = |e: &Event| e.kind == Kind::AppState && e.text("state") == Some("hibernated");
    [
        count(&|e| e.kind == Kind::Step && e.text("verb") == Some("call")),
        count(&asleep),
        count(&|e| e.kind == Kind::FaultStruck),
    ]
}

/// True for a seed that fails as it is known to.
fn is_open(played: &Played) -> bool {
    let verdict = &played.case.verdict;
    let by = |check| {
        let mut failed = verdict.findings.iter().filter(|f| f.observed == Observed::Fail);
        failed.clone().next().is_some() && failed.all(|finding| finding.requirement == check)
    };
    OPEN.iter().any(|(seed, check)| *seed == verdict.seed && by(*check))
}

/// What did not pass, in one line for each.
fn missed(played: &Played) -> Vec<String> {
    let findings = &played.case.verdict.findings;
    let missed = findings.iter().filter(|finding| finding.observed != Observed::Pass);
    let line = |f: &reveille_trace::Finding| {
        format!("{}: {} {}", played.case.replay, f.requirement, f.actual)
    };
    missed.map(line).collect()
}

#[test]
fn fixed_seeds_pass_and_each_has_three_calls_a_sleep_and_a_fault_that_bit() {
    let idle = Mutex::new(Vec::new());
    let played = play_all(&jobs(&swarm(), seeds(SEEDS)), 2, |played| {
        let trace = played.trace.as_ref().expect("it is told with its trace");
        let [calls, sleeps, bites] = counted(&trace.events);
        let is_void = played.case.verdict.observed == Observed::Inconclusive;
        if calls < 3 || sleeps < 1 || (bites < 1 && !is_void) {
            let what = format!("{calls} calls, {sleeps} sleeps, {bites} faults");
            idle.lock().expect("no thread panics").push((played.case.replay.clone(), what));
        }
    });
    let idle = idle.into_inner().expect("no thread panicked");
    assert!(idle.is_empty(), "{idle:#?}");
    let (open, others): (Vec<_>, Vec<_>) = played.iter().partition(|played| is_open(played));
    let [all] = others.as_slice() else {
        let missed: Vec<_> = others.iter().flat_map(|played| missed(played)).collect();
        panic!("{} lines: {missed:#?}", missed.len());
    };
    assert_eq!(open.len(), OPEN.len(), "an open finding is mended: take it out");
    let counts = all.case.seeds.expect("they are one case");
    assert_eq!(counts.played, SEEDS - OPEN.len() as u64);
    assert!(counts.void * 20 < SEEDS, "{} of {SEEDS} seeds are void", counts.void);
    assert!(all.trace.is_none() && all.case.verdict.observed == Observed::Pass);
    println!("{SEEDS} seeds, {} of them void", counts.void);
}

#[test]
fn the_same_seeds_have_the_same_traces_however_many_are_played_at_a_time() {
    let digests = |at_a_time| {
        let all = Mutex::new(BTreeMap::new());
        let played = play_all(&jobs(&swarm(), seeds(AGAIN)), at_a_time, |played| {
            let verdict = &played.case.verdict;
            let digest = verdict.trace_digest.clone();
            all.lock().expect("no thread panics").insert(verdict.seed, digest);
        });
        let folded = played.into_iter().map(|played| played.case).collect::<Vec<_>>();
        (all.into_inner().expect("no thread panicked"), folded)
    };
    let (one, two) = (digests(1), digests(2));
    assert_eq!(one, two);
    let different: std::collections::BTreeSet<_> = one.0.values().collect();
    assert_eq!(different.len() as u64, AGAIN, "each seed plays something else");
}
