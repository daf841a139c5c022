//! Which planted defects the swarm finds, by the check named for each beforehand: the first seed whose
//! play fails in that check and does not break, and how few steps it takes to show it. `cargo bench -p reveille-sim --bench defects` prints the
//! table; `-- 500` looks at so many seeds of each (2,000 if not said).

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use reveille_gateway_core::mutant::Defect;
use reveille_scenarios::{read_swarm, swarms};
use reveille_sim::World;
use reveille_sim::shrink::{Bounds, shrink};
use reveille_sim::suite::{Job, Piece, Seeds, jobs, play_with};
use reveille_trace::{Observed, Verdict};

#[path = "../tests/wake/mutants/table.rs"]
mod table;

/// Many small pieces are taken and given back; the command itself has the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Plays that shrinking may take.
const TRIES: usize = 400;

fn swarm(count: u64) -> Vec<Job> {
    let (id, text) = swarms()[0];
    let swarm = read_swarm(id, text, None).unwrap_or_else(|report| panic!("{report}"));
    let piece = Piece::of_swarm(swarm, text, id.to_owned());
    jobs(&piece, Seeds { first: 1, count: Some(count), world: World::Express })
}

fn shows(verdict: &Verdict, requirement: &str) -> bool {
    let failed =
        |f: &reveille_trace::Finding| f.requirement == requirement && f.observed == Observed::Fail;
    verdict.observed != Observed::Error && verdict.findings.iter().any(failed)
}

/// The first of these plays that shows the defect, by its place.
fn first(jobs: &[Job], defect: Defect, requirement: &str) -> Option<usize> {
    let (next, found) = (AtomicUsize::new(0), AtomicU64::new(u64::MAX));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let at = next.fetch_add(1, Ordering::Relaxed)
                    && (at as u64) < found.load(Ordering::Relaxed)
                    && let Some(job) = jobs.get(at)
                {
                    let played = play_with(job, |settings| settings.core.defect = Some(defect));
                    if shows(&played.case.verdict, requirement) {
                        found.fetch_min(at as u64, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    usize::try_from(found.into_inner()).ok().filter(|at| *at < jobs.len())
}

/// How many steps the play has, and how many when it is shrunk.
fn smallest(job: &Job, defect: Defect, requirement: &str) -> String {
    let broken = |job: &Job| play_with(job, |settings| settings.core.defect = Some(defect));
    let bounds = Bounds { tries: TRIES, over: &|| false };
    match shrink(job, Some(requirement), &broken, bounds, &mut |_| {}) {
        Ok(shrunk) => {
            format!("{} -> {}", shrunk.steps_before, shrunk.job.piece.scenario.steps.len())
        }
        Err(why) => why.to_string(),
    }
}

fn main() {
    let count = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(2_000);
    let jobs = swarm(count);
    let mut missed = 0;
    println!(
        "{:<32} {:>6} {:>12}  found by, within {count} seeds",
        "planted defect", "seed", "steps"
    );
    for (defect, requirement, _) in table::TABLE {
        let name = format!("{defect:?}");
        match first(&jobs, defect, requirement) {
            Some(at) => {
                let steps = smallest(&jobs[at], defect, requirement);
                println!("{name:<32} {:>6} {steps:>12}  {requirement}", jobs[at].seed);
            }
            None => {
                missed += 1;
                println!("{name:<32} {:>6} {:>12}  not by {requirement}", "-", "-");
            }
        }
    }
    println!("{} of {} were found", table::TABLE.len() - missed, table::TABLE.len());
}
