//! `reveille run`: cases are chosen, played in a simulated world, judged, reported.

use std::io::IsTerminal as _;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use reveille_reports::format::junit;
use reveille_reports::{Traces, store};
use reveille_sim::World;
use reveille_sim::suite::{Job, Played, Seeds, play_all};
use reveille_trace::{Case, RUN_SCHEMA, Run as Record, Shard, Shards};
use sha2::{Digest as _, Sha256};

use crate::exit::{BROKE, DEFECT, Stop};
use crate::library;
use crate::record::{Kept, Show, key, show};

pub(crate) const EXAMPLES: &str = "Examples:
  reveille run                            everything that is shipped
  reveille run wake                       a family
  reveille run 'crash/*' --seed 7         a glob, and another seed
  reveille run push.common.refused-push-ends-hold
                                          whatever covers this requirement
  reveille run mine.toml --ladder         a file of your own, with a picture of what happened
  reveille run --shard 3/8                an eighth of all; `reveille merge` joins the eighths

The exit code is 0 if all is well, 1 for a failure; `reveille explain exit` has the table.";

#[derive(Args)]
pub(crate) struct Run {
    /// Scenarios, cases, families, requirements, globs of these, or files; none: everything
    #[arg(value_name = "SEL")]
    selectors: Vec<String>,
    /// Every chance of the run depends on this number
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// With how many seeds each scenario is played, from --seed on; if not said, as many as it says
    #[arg(long, value_name = "N")]
    seeds: Option<NonZeroU64>,
    /// The simulated world to play in
    #[arg(long, value_name = "WORLD", default_value_t, value_parser = world())]
    world: World,
    /// Where the folder with the results is made
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// Show the ladder of every case whose trace is kept, not only of what failed
    #[arg(long)]
    ladder: bool,
    /// Show which faults met which phases of the wake, and what was never met
    #[arg(long)]
    coverage: bool,
    /// Play only this part of the cases, as 3/8; `reveille merge` joins the parts
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Write a JUnit report to this file too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How many cases are played at a time; if not said, as many as processors
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

fn world() -> impl TypedValueParser<Value = World> {
    let named = |name: String| World::named(&name).expect("one of the possible values");
    PossibleValuesParser::new(World::ALL.map(World::name)).map(named)
}

impl Run {
    fn seeds(&self) -> Seeds {
        let count = self.seeds.map(NonZeroU64::get);
        Seeds { first: self.seed, count, world: self.world }
    }
}

pub(crate) fn run(run: &Run) -> Result<u8, Stop> {
    let began = reveille_host::real::host().clock.now().wall;
    let (jobs, shards) = share(run, library::select(&run.selectors, run.seeds())?);
    prepare(run)?;
    let (record, traces) = sorted(run, began, play(run, &jobs));
    let of = |case: &Case| traces.of(case);
    let record = store::with_paths(&Record { shards, ..record }, &of);
    let folder = keep(run, began, &record, &of)?;
    let what = Show { ladder: run.ladder, coverage: run.coverage };
    show(&record, &traces, &format!("{}/", folder.display()), &what)?;
    Ok(record.summary().exit_code())
}

/// The cases of the shard that was asked for, and what its record says of the others. Each shard
/// counts the points of a sweep anew, which costs one play where the sweep has a hundred; whoever
/// counted for all would have to tell the others.
fn share(run: &Run, jobs: Vec<Job>) -> (Vec<Job>, Option<Shards>) {
    let Some(shard) = run.shard else { return (jobs, None) };
    let replays: Vec<_> = jobs.iter().map(Job::replay).collect();
    let (cases, selected) = (jobs.len(), Shards::digest(replays.iter().map(String::as_str)));
    let here = jobs.into_iter().enumerate().filter(|(_, job)| shard.has(&job.name(), job.seed));
    let (places, jobs) = here.unzip();
    let numbers = [shard.number].into();
    (jobs, Some(Shards { of: shard.of, numbers, cases, selected, places }))
}

fn play(run: &Run, jobs: &[Job]) -> Vec<Played> {
    let at_a_time = run.jobs.or_else(|| std::thread::available_parallelism().ok());
    let bar = bar(jobs.len());
    let done = |played: &Played| {
        bar.set_message(played.case.scenario.clone());
        bar.inc(1);
    };
    let played = play_all(jobs, at_a_time.map_or(1, NonZeroUsize::get), done);
    bar.finish_and_clear();
    played
}

/// A bar on a terminal, and nothing elsewhere.
fn bar(cases: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} cases  {wide_msg}");
    let bar = ProgressBar::new(cases as u64);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn sorted(run: &Run, began: Duration, played: Vec<Played>) -> (Record, Kept) {
    let (mut cases, mut traces) = (Vec::new(), Kept::default());
    for Played { case, trace } in played {
        if let Some(trace) = trace {
            traces.0.insert(key(&case), trace);
        }
        cases.push(case);
    }
    let record = Record {
        schema: RUN_SCHEMA,
        reveille: env!("CARGO_PKG_VERSION").to_owned(),
        world: run.world.name().to_owned(),
        seed: run.seed,
        selection: run.selectors.clone(),
        started: humantime::format_rfc3339_seconds(UNIX_EPOCH + began).to_string(),
        shards: None,
        cases,
    };
    (record, traces)
}

/// Whether results can be written is told before anything is played.
fn prepare(run: &Run) -> Result<(), Stop> {
    std::fs::create_dir_all(&run.out).map_err(|error| unwritten(&run.out, &error))?;
    tempfile::tempdir_in(&run.out).map_err(|error| unwritten(&run.out, &error))?;
    let Some(file) = &run.junit else { return Ok(()) };
    let open = std::fs::OpenOptions::new().create(true).append(true).open(file);
    open.map(drop).map_err(|error| unwritten(file, &error))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Stop {
    Stop::new(BROKE, format!("cannot write {}: {error}", path.display()))
}

/// Writes the folder of results, and the JUnit file that was asked for besides.
fn keep(run: &Run, began: Duration, record: &Record, traces: &Traces<'_>) -> Result<PathBuf, Stop> {
    let stamp = humantime::format_rfc3339_seconds(UNIX_EPOCH + began).to_string();
    let stamp: String = stamp.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let name = format!("{stamp}-{}", &fingerprint(record)[..8]);
    let again = (2..1_000).map(|number| run.out.join(format!("{name}-{number}")));
    let mut free = std::iter::once(run.out.join(&name)).chain(again).filter(|at| !at.exists());
    // So many runs in one second: the last one is told by the writer that the folder is there.
    let folder = free.next().unwrap_or_else(|| run.out.join(&name));
    store::write(&folder, record, traces).map_err(|error| unwritten(&folder, &error))?;
    if let Some(file) = &run.junit {
        let xml = junit::write(record, traces).map_err(|what| Stop::new(DEFECT, what))?;
        std::fs::write(file, xml).map_err(|error| unwritten(file, &error))?;
    }
    Ok(folder)
}

/// Tells runs apart that came out differently: a digest of their traces' digests.
fn fingerprint(record: &Record) -> String {
    let mut hash = Sha256::new();
    for case in &record.cases {
        hash.update(&case.verdict.trace_digest);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
