//! Every scenario that is shipped is played, and the gateway passes.

use std::collections::BTreeMap;

use reveille_scenarios::{read, shipped};
use reveille_sim::suite::{Piece, jobs, play_all};
use reveille_trace::{Finding, Observed};

fn missed(findings: &[Finding]) -> Vec<String> {
    let missed = findings.iter().filter(|finding| finding.observed != Observed::Pass);
    missed.map(|f| format!("{} {}: {}", f.requirement, f.expected, f.actual)).collect()
}

#[test]
fn the_gateway_passes_every_shipped_scenario() {
    let mut all = Vec::new();
    for (id, text) in shipped() {
        let scenario = read(id, text).unwrap_or_else(|report| panic!("{report}"));
        all.extend(jobs(&Piece::new(scenario, text), 1));
    }
    let played = play_all(&all, 2, |_| {});
    let mut points = BTreeMap::<&str, usize>::new();
    for played in &played {
        if !played.case.cell.is_empty() {
            *points.entry(played.case.scenario.as_str()).or_default() += 1;
        }
    }
    println!("{} cases, of which in sweeps: {points:?}", played.len());
    let plain = points["crash/sweep-of-the-plain-wake"];
    assert!(plain > 2 * 20, "only {plain} crashes: the seam is not swept");
    let wrong: Vec<_> = played
        .iter()
        .filter(|played| played.case.verdict.observed != Observed::Pass)
        .map(|played| (&played.case.replay, missed(&played.case.verdict.findings)))
        .collect();
    assert!(wrong.is_empty(), "{} cases did not pass: {wrong:#?}", wrong.len());
}
