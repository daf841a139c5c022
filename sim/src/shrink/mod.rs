//! From a long scenario that fails to a short one that fails in the same check.
//!
//! What shrinks is the scenario, never the stream of chance: whole parts of it are left out, and what
//! stays is made plainer, as long as the same check fails. The search is delta debugging over lists of
//! edits. A shrinker of values, as proptest has them, knows nothing of what belongs together: here a
//! call goes with all that names it, and a trigger that would never come becomes a time.
//!
//! **Invariant:** every candidate is judged by the reader of scenario files before it is played, and
//! what comes out is the scenario that was played last with that check failing.

mod axes;
mod cell;
mod check;
mod names;
mod numbers;
mod search;
mod simpler;
mod take;
mod without;

use std::sync::Arc;
use std::time::Duration;

use reveille_scenarios::{Scenario, read, write};

pub use self::check::Check;
use self::search::{Candidate, Search};
use self::take::Take;
use crate::suite::{Job, Piece, Played, Seeds, jobs};

/// When an actor answers and how long a host stays down, where a scenario says nothing of it.
const ANSWER_AFTER: Duration = Duration::from_millis(500);
const DOWN: Duration = Duration::from_secs(1);

/// How long is searched.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// At most so many plays.
    pub tries: usize,
    /// And not once this says so.
    pub over: &'a dyn Fn() -> bool,
}

/// How far a search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is tried.
    pub doing: &'static str,
    /// Plays so far.
    pub tries: usize,
    /// Steps of the smallest scenario so far.
    pub steps: usize,
}

/// The smallest scenario that was found.
#[derive(Debug)]
pub struct Shrunk {
    /// It, with its seed and its world, and where it is still a sweep that it strikes.
    pub job: Job,
    /// The check that fails in it.
    pub check: Check,
    /// How many plays it took.
    pub tries: usize,
    /// How many steps there were.
    pub steps_before: usize,
    /// Whether nothing more was found; else a bound ended the search.
    pub is_smallest: bool,
}

/// Why there is nothing to shrink.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unshrinkable {
    /// All is well with the case, or it shows nothing.
    #[error("the case does not fail: {0}")]
    NoFailure(String),
    /// It does not fail in the check that was asked for.
    #[error("the case does not fail in {wanted}; it fails in {failed}")]
    OtherCheck {
        /// What was asked for.
        wanted: String,
        /// What fails.
        failed: String,
    },
    /// The scenario cannot stand in a file.
    #[error("the scenario is not valid as a file: {0}")]
    NoFile(String),
}

/// Makes the scenario of `job` as small as it can be found within `bounds`, so that it fails in the same
/// check: the one of this name, else the first requirement that fails, else the first expectation.
/// `play` performs; `tell` hears of each play.
///
/// # Errors
/// The case does not fail, or not in that check.
pub fn shrink(
    job: &Job,
    check: Option<&str>,
    play: &dyn Fn(&Job) -> Played,
    bounds: Bounds<'_>,
    tell: &mut dyn FnMut(Progress),
) -> Result<Shrunk, Unshrinkable> {
    // What a seed drew is as good as what somebody wrote.
    let job = &job.drawn();
    let played = play(job);
    let check = Check::of(&played.case.verdict, check)?;
    let own = &job.piece.scenario;
    // The reader is the judge of what is a scenario, of the first one too.
    let scenario = valid(own).map_err(Unshrinkable::NoFile)?;
    let begun = Candidate { scenario, seed: job.seed, trap: job.trap };
    let best = Take::of(begun, &played);
    let mut search = Search::new(job, check, play, bounds, tell, best);
    let events = played.trace.as_ref().map_or(&[][..], |trace| &trace.events);
    let is_smallest = search.run(events);
    let Search { tries, check, best, .. } = search;
    let found = found(job, best.candidate, title(own, &check));
    Ok(Shrunk { job: found, check, tries, steps_before: own.steps.len(), is_smallest })
}

/// The case that was found; the cell of a sweep is named as the sweep names it now.
fn found(job: &Job, Candidate { mut scenario, seed, trap }: Candidate, title: String) -> Job {
    scenario.title = title;
    let plain = Job::plain(piece(scenario), seed, job.world);
    let Some(trap) = trap else { return plain };
    let seeds = Seeds { first: seed, count: Some(1), world: job.world };
    let cells = jobs(&plain.piece, seeds);
    cells.into_iter().find(|job| job.trap == Some(trap)).unwrap_or(plain)
}

/// What the reader makes of a scenario's text, or what is wrong with it.
fn valid(scenario: &Scenario) -> Result<Scenario, String> {
    read(&scenario.id, &write(scenario)).map_err(|report| report.to_string())
}

fn piece(scenario: Scenario) -> Arc<Piece> {
    let text = write(&scenario);
    Piece::new(scenario, &text)
}

fn title(of: &Scenario, check: &Check) -> String {
    let title = format!("What is left of {}, in which {check} fails", of.id);
    title.chars().take(200).collect()
}
