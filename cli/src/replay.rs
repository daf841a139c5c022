//! `reveille replay`: one case again, by its token, line by line.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::Args;
use reveille_reports::format::ladder;
use reveille_reports::format::terminal::{self, Look};
use reveille_sim::suite::{Job, Played, play};
use reveille_trace::{Case, RUN_SCHEMA, Run, Trace};

use crate::diverge::{Recorded, compared};
use crate::exit::{DIFFERS, Stop};
use crate::retold::{Until, lines};
use crate::screen::{Screen, print};
use crate::token;

pub(crate) const EXAMPLES: &str = "Examples:
  reveille replay wake/plain@1a2b3c4d-7           the case of this token, again
  reveille replay wake/plain@1a2b3c4d-7 --ladder  with a picture of what happened
  reveille replay wake/plain@1a2b3c4d-7 --until 'bob.alerted(c1)'
                                                  what happened until then

A token stands in every report of a case, in the line `reproduce with`. What is played is compared with
what the newest run recorded of it. The exit code is that of the case, or 7 if it went another way.";

#[derive(Args)]
pub(crate) struct Replay {
    /// The case, as a report names it: case@digest-seed
    #[arg(value_name = "TOKEN")]
    token: String,
    /// Show the ladder
    #[arg(long)]
    ladder: bool,
    /// Tell no further than this: a fact, as `bob.alerted(c1)`, or the number of an event
    #[arg(long, value_name = "EVENT")]
    until: Option<String>,
    /// Compare with this trace, not with the newest run that has the case
    #[arg(long, value_name = "TRACE")]
    against: Option<PathBuf>,
    /// Where runs have their folders
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// Play it although what it is made of has changed since
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(replay: &Replay) -> Result<u8, Stop> {
    let until = replay.until.as_deref().map(Until::read).transpose()?;
    let (job, changed) = token::resolve(&replay.token, replay.force)?;
    let recorded = match &replay.against {
        Some(file) => Some(Recorded::of_file(file)?),
        None => Recorded::newest(&replay.out, &job),
    };
    if let Some(what) = changed {
        print(&format!("Played as it is now; {what}.\n\n"))?;
    }
    let Played { case, trace } = play(&job);
    let trace = trace.unwrap_or_default();
    tell(&trace, until.as_ref())?;
    let screen = Screen::new();
    if replay.ladder {
        print(&format!("{}\n", ladder::draw(&trace, screen.width)))?;
    }
    let record = record(&job, case);
    let of = |_: &Case| Some(Cow::Borrowed(&trace));
    print(&terminal::full(&record, &Look::of_a_screen(screen.width, screen.colour, &of)))?;
    let diverged = match recorded.map(|recorded| compared(&trace, &recorded)) {
        None => return Ok(record.summary().exit_code()),
        Some((text, diverged)) => print(&text).map(|_| diverged)?,
    };
    Ok(match record.summary().exit_code() {
        0 | 3 if diverged => DIFFERS,
        code => code,
    })
}

/// Prints what happened, line by line.
fn tell(trace: &Trace, until: Option<&Until>) -> Result<(), Stop> {
    let lines = lines(trace);
    let end = until.map(|until| lines.iter().position(|line| until.is_come(line)));
    let shown = end.flatten().map_or(lines.len(), |at| at + 1);
    let mut text: String = lines[..shown].iter().map(|line| line.shown()).collect();
    match end {
        Some(Some(_)) if shown < lines.len() => {
            text.push_str(&format!("       and {} more lines\n", lines.len() - shown));
        }
        Some(None) => text.push_str("       what --until names did not happen\n"),
        _ => {}
    }
    print(&format!("{text}\n")).map(|_| ())
}

fn record(job: &Job, case: Case) -> Run {
    Run {
        schema: RUN_SCHEMA,
        reveille: env!("CARGO_PKG_VERSION").to_owned(),
        world: job.world.name().to_owned(),
        seed: job.seed,
        selection: Vec::new(),
        started: String::new(),
        shards: None,
        cases: vec![case],
    }
}
