//! `reveille replay`: one case again, by its token.

use std::borrow::Cow;

use clap::Args;
use reveille_reports::format::ladder;
use reveille_reports::format::terminal::{self, Look};
use reveille_sim::suite::{Played, play};
use reveille_trace::{Case, RUN_SCHEMA, Run};

use crate::exit::Stop;
use crate::screen::{Screen, print};
use crate::token;

pub(crate) const EXAMPLES: &str = "Examples:
  reveille replay wake/plain@1a2b3c4d-7           the case of this token, again
  reveille replay wake/plain@1a2b3c4d-7 --ladder  with a picture of what happened

A token stands in every report of a case, in the line `reproduce with`.";

#[derive(Args)]
pub(crate) struct Replay {
    /// The case, as a report names it: case@digest-seed
    #[arg(value_name = "TOKEN")]
    token: String,
    /// Show the ladder
    #[arg(long)]
    ladder: bool,
    /// Play it although what it is made of has changed since
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(replay: &Replay) -> Result<u8, Stop> {
    let (job, changed) = token::resolve(&replay.token, replay.force)?;
    if let Some(what) = changed {
        print(&format!("Played as it is now; {what}.\n\n"))?;
    }
    let Played { case, trace } = play(&job);
    let screen = Screen::new();
    if let Some(trace) = trace.as_ref().filter(|_| replay.ladder) {
        print(&format!("{}\n", ladder::draw(trace, screen.width)))?;
    }
    let record = Run {
        schema: RUN_SCHEMA,
        reveille: env!("CARGO_PKG_VERSION").to_owned(),
        world: job.world.name().to_owned(),
        seed: job.seed,
        selection: Vec::new(),
        started: String::new(),
        cases: vec![case],
    };
    let of = |_: &Case| trace.as_ref().map(Cow::Borrowed);
    print(&terminal::full(&record, &Look::of_a_screen(screen.width, screen.colour, &of)))?;
    Ok(record.summary().exit_code())
}
