//! What these tests play: shipped scenarios by their id, and some beside the tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use reveille_gateway_core::mutant::Defect;
use reveille_scenarios::{read, shipped};
use reveille_sim::suite::{Job, Piece, Played, Seeds, jobs, play, play_with};
use reveille_trace::{Observed, Trace};

use crate::blindfold;

/// Situations that show one check at work and are no lesson of their own.
const BESIDE: [(&str, &str); 9] = [
    ("scenes/answer-after-its-202", include_str!("scenes/answer-after-its-202.toml")),
    ("scenes/cancelled-between-attempts", include_str!("scenes/cancelled-between-attempts.toml")),
    ("scenes/cancelled-too-late", include_str!("scenes/cancelled-too-late.toml")),
    ("scenes/given-and-asleep-again", include_str!("scenes/given-and-asleep-again.toml")),
    ("scenes/killed-and-nobody-comes", include_str!("scenes/killed-and-nobody-comes.toml")),
    ("scenes/long-talk", include_str!("scenes/long-talk.toml")),
    ("scenes/one-call-too-many", include_str!("scenes/one-call-too-many.toml")),
    ("scenes/opened-early", include_str!("scenes/opened-early.toml")),
    ("scenes/sleepy-ringing", include_str!("scenes/sleepy-ringing.toml")),
];

const SEED: u64 = 5;

static PLAYED: Mutex<BTreeMap<&str, Arc<Trace>>> = Mutex::new(BTreeMap::new());

pub(crate) fn piece(id: &str) -> Arc<Piece> {
    let mut all = shipped().iter().chain(&BESIDE);
    let (id, text) = all.find(|(known, _)| *known == id).unwrap_or_else(|| panic!("no {id}"));
    let scenario = read(id, text).unwrap_or_else(|report| panic!("{report}"));
    Piece::new(scenario, text)
}

/// The case of a scenario that is no sweep, with this seed.
pub(crate) fn job(id: &str, seed: u64) -> Job {
    jobs(&piece(id), Seeds::from(seed)).swap_remove(0)
}

/// What happened, which must be well: all that was decided of it passes, blindfolded or not.
pub(crate) fn trace_of(played: Played) -> Trace {
    let name = &played.case.replay;
    for finding in &played.case.verdict.findings {
        assert_eq!(finding.observed, Observed::Pass, "{name}: {finding:?}");
    }
    let trace = played.trace.expect("a case keeps its trace");
    assert_eq!(blindfold::difference(&trace), None, "{name}");
    trace
}

/// A healthy performance. Each scenario is played once for all tests.
pub(crate) fn healthy(id: &'static str) -> Arc<Trace> {
    let mut played = PLAYED.lock().unwrap_or_else(PoisonError::into_inner);
    let trace = played.entry(id).or_insert_with(|| Arc::new(trace_of(play(&job(id, SEED)))));
    Arc::clone(trace)
}

/// The same scenario and seed with a defect planted.
pub(crate) fn broken(id: &str, defect: Defect) -> Trace {
    let played = play_with(&job(id, SEED), |settings| settings.core.defect = Some(defect));
    let verdict = &played.case.verdict;
    assert_ne!(verdict.observed, Observed::Error, "{id} with {defect:?}: {verdict:?}");
    played.trace.expect("a case keeps its trace")
}
