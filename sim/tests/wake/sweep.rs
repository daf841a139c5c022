//! The crash sweep: the gateway dies at every operation of its seam, before and after it takes
//! effect, by a kill and by a power loss, and comes back a second later.

use std::time::Duration;

use reveille_conformance::checks::judge;
use reveille_gateway_core::mutant::Defect;
use reveille_sim::fault::Trap;
use reveille_sim::target;
use reveille_trace::Observed;

use crate::play::{Plan, loss, play};

fn trap(at: u64, after: bool, silent: bool) -> Trap {
    Trap { at, after, silent, down: Duration::from_secs(1) }
}

/// How the plain wake fares when the gateway dies at this point.
fn fate(defect: Option<Defect>, trap: Trap) -> Option<String> {
    let mut settings = target::settings(&["bob"]);
    settings.core.defect = defect;
    let played = play(&Plan { trap: Some(trap), settings, ..Plan::plain(7) });
    let judged = || {
        let mut findings = judge(&played.trace, &[]).into_iter();
        // A planted defect must show in what the caller loses.
        let broken = findings.find(|f| defect.is_none() && f.observed != Observed::Pass)?;
        Some(format!("{}: {}", broken.requirement, broken.actual))
    };
    loss(&played).or_else(judged).map(|lost| {
        let what = played.operations.get(usize::try_from(trap.at).unwrap_or(0).saturating_sub(1));
        format!("{trap:?} at {}: {lost}", what.unwrap_or(&"nothing"))
    })
}

fn points() -> u64 {
    let played = play(&Plan::plain(7));
    assert_eq!(loss(&played), None, "without a fault");
    played.operations.len() as u64
}

#[test]
fn no_call_is_lost_wherever_the_gateway_dies() {
    let points = points();
    let mut lost = Vec::new();
    for at in 1..=points {
        for (after, silent) in [(false, false), (true, false), (true, true)] {
            lost.extend(fate(None, trap(at, after, silent)));
        }
    }
    println!("crash sweep of the plain wake: {points} operations, {} crashes", points * 3);
    assert!(points > 20, "only {points} operations: the seam is not swept");
    assert_eq!(lost, [] as [String; 0]);
}

/// The sweep of the unmutated gateway, above, passes at the same points.
fn is_caught(defect: Defect) {
    let found = (1..=points()).find_map(|at| {
        [(true, false), (true, true)]
            .into_iter()
            .filter_map(|(after, silent)| fate(Some(defect), trap(at, after, silent)))
            // A harness that breaks shows nothing about the gateway.
            .find(|lost| !lost.contains("the harness broke"))
    });
    assert!(found.is_some(), "the sweep does not see {defect:?}");
}

#[test]
fn the_sweep_catches_send_before_store() {
    is_caught(Defect::DeliversBeforeStored);
}

#[test]
fn the_sweep_catches_a_to_tag_that_is_not_stored() {
    is_caught(Defect::ForgetsToTag);
}
