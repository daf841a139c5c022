//! Both worlds come to the same verdicts, and everybody lives through the same things in each: what a
//! disagreement would be is named by the first event that differs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use reveille_conformance::player::Facts;
use reveille_scenarios::{read, shipped};
use reveille_sim::World;
use reveille_sim::suite::{Job, Piece, Played, Seeds, jobs, play, play_all};
use reveille_trace::{Kind, Observed, Trace, Verdict};

/// With how many seeds each scenario is played.
const SEEDS: u64 = 2;
/// Two ticks and a hop.
const NEAR_MS: u64 = 30;

/// Every shipped scenario, without the cells of sweeps: those are points of one world's run.
fn plain(world: World) -> Vec<Job> {
    let of = |(id, text): &(&str, &str)| {
        let scenario = read(id, text).unwrap_or_else(|report| panic!("{report}"));
        let piece = Piece::new(scenario, text);
        let seeds = Seeds { first: 1, count: Some(SEEDS), world };
        jobs(&piece.without_sweep(), seeds)
    };
    // Where messages race each other, each world may let another one win.
    let calm = |mut job: Job| {
        job.is_calm = true;
        job
    };
    shipped().iter().flat_map(of).map(calm).collect()
}

/// What happened to an actor, in its order, and when, in milliseconds.
type Life = Vec<(String, u64)>;

/// What each actor lived through in each of its calls, in its order, with its time.
fn lives(trace: &Trace) -> BTreeMap<String, Life> {
    let mut lives: BTreeMap<String, Life> = BTreeMap::new();
    // What the gateway tells of itself is no part of it.
    for fact in Facts::of(&trace.without_actor("gateway").events) {
        let life = lives.entry(format!("{} ({})", fact.actor, fact.about)).or_default();
        life.push((fact.sight().to_string(), fact.t_us / 1_000));
    }
    lives
}

/// The first event of `one` that is not in `other`, or that is on the other side of another event
/// there: of events that lie near each other in either world the order is chance.
fn parts(one: &Life, other: &Life) -> Option<usize> {
    let mut free: BTreeMap<&str, VecDeque<usize>> = BTreeMap::new();
    for (at, (what, _)) in other.iter().enumerate() {
        free.entry(what).or_default().push_back(at);
    }
    let mut places: Vec<usize> = Vec::new();
    for (at, (what, ms)) in one.iter().enumerate() {
        let Some(place) = free.get_mut(what.as_str()).and_then(VecDeque::pop_front) else {
            return Some(at);
        };
        let swapped = places.iter().enumerate().any(|(earlier, of)| {
            let near =
                ms - one[earlier].1 <= NEAR_MS || other[*of].1.abs_diff(other[place].1) <= NEAR_MS;
            *of > place && !near
        });
        if swapped {
            return Some(at);
        }
        places.push(place);
    }
    (other.len() > one.len()).then_some(one.len())
}

/// The first event at which two performances part, if they do.
fn parting(one: &Trace, other: &Trace) -> Option<String> {
    let (one_lives, other_lives) = (lives(one), lives(other));
    let actors: BTreeSet<_> = one_lives.keys().chain(other_lives.keys()).collect();
    let part = |actor: &String| {
        let none = Vec::new();
        let (a, b) =
            (one_lives.get(actor).unwrap_or(&none), other_lives.get(actor).unwrap_or(&none));
        let at = parts(a, b)?;
        let told = |life: &Life| match life.get(at) {
            Some((what, ms)) => format!("{what} at {ms} ms"),
            None => "nothing more".to_owned(),
        };
        let (first, second) = (&one.manifest.world, &other.manifest.world);
        let (in_first, in_second) = (told(a), told(b));
        Some(format!("event {} of {actor}: {first}: {in_first}; {second}: {in_second}", at + 1))
    };
    actors.into_iter().find_map(part)
}

/// True if a storm blows, which draws for each packet of each world what becomes of it.
fn storms(trace: &Trace) -> bool {
    let mut planned = trace.events.iter().filter(|event| event.kind == Kind::FaultPlanned);
    planned.any(|event| event.text("fault") == Some("storm"))
}

/// True if one came to another verdict, or decided another way what both decided.
fn disagree(one: &Played, other: &Played) -> bool {
    let (one, other) = (&one.case.verdict, &other.case.verdict);
    let of = |verdict: &Verdict| -> BTreeMap<String, BTreeSet<Observed>> {
        let mut all: BTreeMap<String, BTreeSet<Observed>> = BTreeMap::new();
        for finding in &verdict.findings {
            all.entry(finding.requirement.clone()).or_default().insert(finding.observed);
        }
        all
    };
    let theirs = of(other);
    let differs = |(id, observed)| theirs.get(&id).is_some_and(|of| *of != observed);
    one.observed != other.observed || of(one).into_iter().any(differs)
}

fn all(world: World) -> Vec<Played> {
    let kept = Mutex::new(BTreeMap::new());
    let played = play_all(&plain(world), 2, |played| {
        let key = (played.case.verdict.case.clone(), played.case.verdict.seed);
        let trace = played.trace.clone();
        kept.lock().unwrap_or_else(PoisonError::into_inner).insert(key, trace);
    });
    let mut kept = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
    let with = |mut played: Played| {
        let key = (played.case.verdict.case.clone(), played.case.verdict.seed);
        played.trace = kept.remove(&key).flatten();
        played
    };
    played.into_iter().map(with).collect()
}

#[test]
fn both_worlds_agree_on_every_shipped_scenario() {
    let (turmoil, express) = (all(World::Turmoil), all(World::Express));
    assert_eq!(turmoil.len(), express.len());
    let mut apart = Vec::new();
    for (one, other) in turmoil.iter().zip(&express) {
        let name = format!("{} with seed {}", one.case.verdict.case, one.case.verdict.seed);
        let traces = one.trace.as_ref().zip(other.trace.as_ref()).expect("both are kept");
        let parting = parting(traces.0, traces.1);
        if disagree(one, other) {
            let at =
                parting.clone().unwrap_or_else(|| "no event that a script could see".to_owned());
            apart.push(format!("{name}: the verdicts differ; the first difference: {at}"));
        } else if let Some(at) = parting.filter(|_| !storms(traces.0)) {
            apart.push(format!("{name}: {at}"));
        }
    }
    assert!(apart.is_empty(), "{} of {} differ:\n{}", apart.len(), turmoil.len(), apart.join("\n"));
}

#[test]
fn a_disagreement_is_named_by_its_first_event() {
    let text = shipped().iter().find(|(id, _)| *id == "wake/plain").expect("it is shipped").1;
    let piece = Piece::new(read("wake/plain", text).expect("it reads"), text);
    let job = |world| jobs(&piece, Seeds { first: 1, count: None, world }).swap_remove(0);
    let trace = |world| play(&job(world)).trace.expect("a case keeps its trace");
    let (one, mut other) = (trace(World::Turmoil), trace(World::Express));
    assert_eq!(parting(&one, &other), None);
    let alert = |event: &reveille_trace::Event| event.kind == Kind::AppAlerted;
    other.events.retain(|event| !alert(event));
    let named = parting(&one, &other).expect("the alert is missing");
    assert!(named.contains("of bob (c1): turmoil: bob.alerted(c1)"), "{named}");
}
