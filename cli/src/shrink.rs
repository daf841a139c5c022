//! `reveille shrink`: from a case that fails to a small scenario file that fails in the same check.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use reveille_scenarios::write;
use reveille_sim::World;
use reveille_sim::shrink::{Bounds, Progress, Shrunk, Unshrinkable, shrink};
use reveille_sim::suite::{Job, Piece, Token, play};

use crate::exit::{BROKE, DEFECT, NOTHING, Stop};
use crate::library;
use crate::screen::print;
use crate::token;

pub(crate) const EXAMPLES: &str = "Examples:
  reveille shrink crash/over-tcp@1a2b3c4d-7       the case of this token, as small as it can be found
  reveille shrink mine.toml@1a2b3c4d-7 --write small.toml --budget 5m

The file is never written over another one. Where several checks fail the first one stays, or the one
of --check.";

#[derive(Args)]
pub(crate) struct Shrink {
    /// The case, as a report names it: case@digest-seed
    #[arg(value_name = "TOKEN")]
    token: String,
    /// How long is searched
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    budget: Duration,
    /// How many plays are made at most
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    tries: usize,
    /// The check that must go on to fail: a requirement, or the text of an expectation
    #[arg(long, value_name = "CHECK")]
    check: Option<String>,
    /// The file to write; if not said, scenarios/regressions/<case>.toml
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Play it although what it is made of has changed since
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(wanted: &Shrink) -> Result<u8, Stop> {
    let (job, changed) = token::resolve(&wanted.token, wanted.force)?;
    if let Some(what) = changed {
        print(&format!("Played as it is now; {what}.\n\n"))?;
    }
    let file = wanted.write.clone().unwrap_or_else(|| place(&job));
    if file.exists() {
        let what = format!("{} is there already, and is not written over", file.display());
        return Err(Stop::bad_file(format!("{what}: say another one with `--write FILE`")));
    }
    let shrunk = search(wanted, &job)?;
    let text = text(&job, &shrunk, &file);
    keep(&file, &text)?;
    let again = again(&shrunk, &file, &text)?;
    print(&told(&job, &shrunk, &file, &text, &again))
}

/// Where the small scenario of a case stands.
fn place(job: &Job) -> PathBuf {
    let name = job.name();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = name.trim_start_matches(['/', '.']).chars().map(plain).collect();
    Path::new("scenarios/regressions").join(format!("{name}.toml"))
}

fn search(wanted: &Shrink, job: &Job) -> Result<Shrunk, Stop> {
    let clock = reveille_host::real::host().clock;
    let began = clock.now().mono;
    let over = || clock.now().mono.saturating_sub(began) >= wanted.budget;
    let bounds = Bounds { tries: wanted.tries, over: &over };
    let bar = bar();
    let mut tell = |at: Progress| {
        bar.set_message(format!("{} plays, {} steps left: {}", at.tries, at.steps, at.doing));
        bar.tick();
    };
    let shrunk = shrink(job, wanted.check.as_deref(), &play, bounds, &mut tell);
    bar.finish_and_clear();
    shrunk.map_err(|why| match why {
        Unshrinkable::NoFailure(_) => Stop::new(NOTHING, format!("nothing to shrink: {why}")),
        Unshrinkable::OtherCheck { .. } => {
            Stop::bad_file(format!("{why}: name one of these, or leave `--check` out"))
        }
        Unshrinkable::NoFile(_) => Stop::new(DEFECT, why.to_string()),
    })
}

/// A line on a terminal, and nothing elsewhere.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
    ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// The file: where it comes from, and the scenario.
fn text(job: &Job, shrunk: &Shrunk, file: &Path) -> String {
    let small = &shrunk.job;
    let world = match small.world == World::default() {
        true => String::new(),
        false => format!(" --world {}", small.world),
    };
    let cell = small.name().split_off(small.piece.scenario.id.len());
    let path = file.display().to_string().replace('\'', "'\\''");
    let lines = [
        format!("What is left of {}: {} fails.", Token::of(job), shrunk.check),
        format!("{}, found in {} plays.", steps(shrunk), shrunk.tries),
        format!("It is played by: reveille run '{path}{cell}' --seed {}{world}", small.seed),
    ];
    // Whatever stands in a name, a comment ends with its line.
    let comment = |line: String| format!("# {}\n", line.replace(char::is_control, " "));
    lines.map(comment).concat() + &write(&small.piece.scenario)
}

fn steps(shrunk: &Shrunk) -> String {
    let after = shrunk.job.piece.scenario.steps.len();
    let step = if after == 1 { "step" } else { "steps" };
    format!("{after} {step} of {}", shrunk.steps_before)
}

fn keep(file: &Path, text: &str) -> Result<(), Stop> {
    let unwritten = |error: std::io::Error| {
        Stop::new(BROKE, format!("cannot write {}: {error}", file.display()))
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(unwritten)?;
    }
    let mut open = OpenOptions::new().write(true).create_new(true).open(file).map_err(unwritten)?;
    open.write_all(text.as_bytes()).and_then(|()| open.sync_all()).map_err(unwritten)
}

/// The command that plays the file, which was played once to be sure of it.
fn again(shrunk: &Shrunk, file: &Path, text: &str) -> Result<String, Stop> {
    let path = file.display().to_string();
    let defect = |what: String| Stop::new(DEFECT, format!("{path} was written, and {what}"));
    let scenario = library::read_text(&path, text)
        .map_err(|report| defect(format!("cannot be read\n{}", library::rendered(&report))))?;
    let job = shrunk.job.clone().with_piece(Piece::of_file(scenario, text, path.clone()));
    let verdict = play(&job).case.verdict;
    if !shrunk.check.fails(&verdict) {
        return Err(defect(format!("does not fail in {}", shrunk.check)));
    }
    Ok(job.replay())
}

fn told(job: &Job, shrunk: &Shrunk, file: &Path, text: &str, again: &str) -> String {
    let end = match shrunk.is_smallest {
        true => "nothing smaller was found",
        false => "the search was ended by its budget, and more of it may find a smaller one",
    };
    format!(
        "{text}\n{} with seed {} fails in {}.\n{} are enough, found in {} plays; {end}.\n\
         Written: {}\nreproduce with: {again}\n",
        job.name(),
        job.seed,
        shrunk.check,
        steps(shrunk),
        shrunk.tries,
        file.display(),
    )
}
