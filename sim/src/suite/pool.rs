use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use reveille_trace::{Case, Observed};

use super::fold::Fold;
use super::{Job, Played, play};

/// Plays `jobs`, so many at a time, and tells `done` of each, with its trace. What comes back has the
/// order of `jobs`, whatever order they ended in; seeds of a swarm in which nothing failed come back
/// as one case, behind all others.
#[must_use]
pub fn play_all(jobs: &[Job], at_a_time: usize, done: impl Fn(&Played) + Sync) -> Vec<Played> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new((Vec::new(), Fold::default()));
    std::thread::scope(|scope| {
        for _ in 0..at_a_time.clamp(1, 64) {
            scope.spawn(|| {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(job) = jobs.get(index)
                {
                    let mut played = play(job);
                    done(&played);
                    played.trace = played.trace.filter(|_| is_kept(&played.case));
                    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                    let kept = all.1.take_in(job, played);
                    all.0.extend(kept.map(|played| (index, played)));
                }
            });
        }
    });
    let (mut all, fold) = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_by_key(|(index, _)| *index);
    let folded = fold.cases().map(|case| Played { case, trace: None });
    all.into_iter().map(|(_, played)| played).chain(folded).collect()
}

/// A sweep has thousands of cells, and most of their traces nobody will read.
fn is_kept(case: &Case) -> bool {
    case.cell.is_empty() || case.verdict.observed != Observed::Pass
}
