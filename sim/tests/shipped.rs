//! Every scenario that is shipped is played, and the gateway passes; so it does wherever it dies.

#[path = "wake/blindfold.rs"]
mod blindfold;

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex};

use reveille_scenarios::{read, shipped};
use reveille_sim::suite::{Piece, Played, Seeds, jobs, play_all};
use reveille_trace::{Case, FAULTS, Finding, Observed};

/// All that is shipped, played once for all tests here.
struct Season {
    played: Vec<Played>,
    /// What blindfolded checks decide of each case; of the sweeps' cells at every tenth operation.
    blindfolded: Vec<(String, Option<String>)>,
}

static SEASON: LazyLock<Season> = LazyLock::new(|| {
    let mut all = Vec::new();
    for (id, text) in shipped() {
        let scenario = read(id, text).unwrap_or_else(|report| panic!("{report}"));
        all.extend(jobs(&Piece::new(scenario, text), Seeds::from(1)));
    }
    let blindfolded = Mutex::new(Vec::new());
    let played = play_all(&all, 2, |played| {
        if operation(&played.case).is_none_or(|at| at % 10 == 0) {
            let trace = played.trace.as_ref().expect("it is told with its trace");
            let seen = (played.case.replay.clone(), blindfold::difference(trace));
            blindfolded.lock().expect("no thread panics").push(seen);
        }
    });
    Season { played, blindfolded: blindfolded.into_inner().expect("no thread panicked") }
});

/// Where a sweep struck.
fn operation(case: &Case) -> Option<u64> {
    case.cell.get("at").map(|at| at.parse().expect("a number"))
}

fn missed(findings: &[Finding]) -> Vec<String> {
    let missed = findings.iter().filter(|finding| finding.observed != Observed::Pass);
    missed.map(|f| format!("{} {}: {}", f.requirement, f.expected, f.actual)).collect()
}

#[test]
fn the_gateway_passes_every_shipped_scenario() {
    let played = SEASON.played.iter().map(|played| &played.case);
    let wrong: Vec<_> = played
        .map(|case| (&case.replay, case.verdict.observed, missed(&case.verdict.findings)))
        .filter(|(_, observed, missed)| *observed != Observed::Pass || !missed.is_empty())
        .collect();
    assert!(wrong.is_empty(), "{} cases did not pass: {wrong:#?}", wrong.len());
    let names: BTreeSet<_> = SEASON.played.iter().map(|p| p.case.scenario.as_str()).collect();
    assert_eq!(names.len(), shipped().len(), "each is played");
    println!("{} cases of {} scenarios", SEASON.played.len(), names.len());
}

#[test]
fn the_readme_shows_what_a_run_prints() {
    let readme = include_str!("../../README.md");
    let names: BTreeSet<_> = SEASON.played.iter().map(|p| p.case.scenario.as_str()).collect();
    let cases = SEASON.played.len();
    let counts = format!("{} scenarios, {cases} cases: {cases} passed.", names.len());
    assert!(readme.contains(&counts), "README.md should say: {counts}");
    let shown = readme.lines().filter_map(|line| line.strip_prefix("PASS ")?.split(' ').next());
    let unknown: Vec<_> = shown.filter(|id| !names.contains(id)).collect();
    assert_eq!(unknown, [] as [&str; 0], "README.md shows scenarios that are not shipped");
}

#[test]
fn the_sweeps_strike_at_every_operation() {
    let sweeps = [
        ("crash/sweep-of-the-plain-wake", "crash sweep of the plain wake"),
        ("crash/power-sweep-of-the-plain-wake", "power sweep of the plain wake"),
        ("crash/sweep-of-a-cancelled-wake", "crash sweep of a cancelled wake"),
        ("call/sweep-of-a-placed-call", "crash sweep of a placed call"),
        ("call/sweep-of-a-cancelled-call", "crash sweep of a cancelled call"),
        ("call/sweep-of-a-renegotiation", "crash sweep of a renegotiation"),
        ("message/sweep-of-a-message", "crash sweep of a message"),
        ("message/sweep-of-a-sent-message", "crash sweep of a message that an app sends"),
        ("message/sweep-of-waiting-messages", "crash sweep of a subscription"),
        ("crash/sweep-of-an-fcm-wake", "crash sweep of a wake by FCM"),
    ];
    for (id, name) in sweeps {
        let cases = SEASON.played.iter().map(|p| &p.case).filter(|case| case.scenario == id);
        let struck: Vec<_> = cases.filter_map(operation).collect();
        let operations: BTreeSet<_> = struck.iter().copied().collect();
        println!("{name}: {} operations, {} crashes", operations.len(), struck.len());
        assert!(operations.len() > 20, "{name}: the seam is not swept");
        assert_eq!(struck.len(), 2 * operations.len(), "{name}: before and after each");
        let whole = (1..).zip(&operations).all(|(nth, at)| nth == *at);
        assert!(whole, "{name} leaves operations out: {operations:?}");
    }
}

#[test]
fn every_strike_is_in_the_table_of_what_met_what() {
    for case in SEASON.played.iter().map(|played| &played.case) {
        let struck = case.cell.contains_key("at") || case.faults.iter().any(|it| it.struck > 0);
        assert!(!struck || !case.met.is_empty(), "{}: its fault met nothing", case.replay);
        let unknown = case.met.iter().find(|met| !FAULTS.contains(&met.fault.as_str()));
        assert_eq!(unknown, None, "{}", case.replay);
    }
}

#[test]
fn checks_decide_the_same_blindfolded() {
    let different: Vec<_> = SEASON.blindfolded.iter().filter(|(_, d)| d.is_some()).collect();
    assert!(different.is_empty(), "{different:#?}");
    let faultless = SEASON.played.iter().filter(|played| played.case.cell.is_empty()).count();
    assert!(SEASON.blindfolded.len() > faultless, "no cell of a sweep was looked at");
}
