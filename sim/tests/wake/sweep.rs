//! A gateway that breaks a promise only when it dies is caught by the sweeps, which the unmutated
//! gateway passes (`shipped`).

use reveille_gateway_core::mutant::Defect;
use reveille_sim::suite::{Job, Seeds, jobs, play_with};
use reveille_trace::{Finding, Observed};

use crate::{blindfold, scenes};

/// The crashes of both sweeps, the likeliest first: just when something has left.
fn crashes() -> Vec<Job> {
    let sweeps = ["crash/sweep-of-the-plain-wake", "crash/power-sweep-of-the-plain-wake"];
    let all = sweeps.iter().flat_map(|id| jobs(&scenes::piece(id), Seeds::from(7)));
    let mut crashes: Vec<_> = all.filter(|job| !job.cell.is_empty()).collect();
    let has_left = |job: &Job| job.cell["op"] == "udp.send" && job.cell["side"] == "after";
    crashes.sort_by_key(|job| !has_left(job));
    crashes
}

/// What a stranger lost. A harness that breaks shows nothing about the gateway, and a check from
/// inside would see the defect without any crash.
fn is_loss(finding: &Finding) -> bool {
    finding.observed == Observed::Fail && !blindfold::is_inside(&finding.requirement)
}

/// The first crash in which the defect shows, and what is lost there.
fn caught(defect: Defect) -> Option<String> {
    crashes().iter().find_map(|job| {
        let case = play_with(job, |settings| settings.core.defect = Some(defect)).case;
        let loss = case.verdict.findings.into_iter().find(is_loss)?;
        Some(format!("{}: {}: {}", case.replay, loss.requirement, loss.actual))
    })
}

#[test]
fn the_sweep_catches_send_before_store() {
    println!("{}", caught(Defect::DeliversBeforeStored).expect("the sweeps see it"));
}

#[test]
fn the_sweep_catches_a_to_tag_that_is_not_stored() {
    println!("{}", caught(Defect::ForgetsToTag).expect("the sweeps see it"));
}
