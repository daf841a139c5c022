//! Scenarios as cases: each seed and each point of a sweep is one, played in a world and judged.

mod fold;
mod play;
mod pool;
mod token;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use reveille_scenarios::{Point, Scenario, Swarm, Sweep, SweepFault};
use reveille_trace::{Case, Trace};
use sha2::{Digest as _, Sha256};

pub use play::{play, play_with, rehearse};
pub use pool::play_all;
pub use token::{MadeOf, NoToken, Token};

use crate::fault::{Operation, Trap};
use crate::{World, swarm};

/// A scenario and what names its text.
#[derive(Debug)]
pub struct Piece {
    /// The scenario.
    pub scenario: Scenario,
    /// SHA-256 of its file, in hex.
    pub sha256: String,
    /// What names it on the command line: its id, or the path of a file that is not shipped.
    pub called: String,
    /// What draws a scenario for each seed; `scenario` is then its head alone.
    pub swarm: Option<Swarm>,
}

impl Piece {
    /// `scenario`, which was read from `text`, and is called by its id.
    #[must_use]
    pub fn new(scenario: Scenario, text: &str) -> Arc<Self> {
        let called = scenario.id.clone();
        Self::of_file(scenario, text, called)
    }

    /// `scenario`, which was read from `text`, and is called by the path of its file.
    #[must_use]
    pub fn of_file(scenario: Scenario, text: &str, called: String) -> Arc<Self> {
        Arc::new(Self { scenario, sha256: sha256(text), called, swarm: None })
    }

    /// A swarm, which was read from `text`, and is called by its id, or by the path of its file.
    #[must_use]
    pub fn of_swarm(swarm: Swarm, text: &str, called: String) -> Arc<Self> {
        let (scenario, sha256) = (swarm::head(&swarm), sha256(text));
        Arc::new(Self { scenario, sha256, called, swarm: Some(swarm) })
    }
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes every write");
        hex
    })
}

impl Piece {
    /// The same without the cells of its sweep.
    #[must_use]
    pub fn without_sweep(&self) -> Arc<Self> {
        let scenario = Scenario { sweep: None, ..self.scenario.clone() };
        let (sha256, called) = (self.sha256.clone(), self.called.clone());
        Arc::new(Self { scenario, sha256, called, swarm: self.swarm.clone() })
    }
}

/// One case that is to be played.
#[derive(Debug, Clone)]
pub struct Job {
    /// What is played.
    pub piece: Arc<Piece>,
    /// With which seed.
    pub seed: u64,
    /// In which world.
    pub world: World,
    /// Every message takes the same time, so that worlds can be compared.
    pub is_calm: bool,
    /// Where a sweep strikes.
    pub(crate) trap: Option<Trap>,
    /// Values of the axes by name.
    pub cell: BTreeMap<String, String>,
}

/// What was played.
#[derive(Debug)]
pub struct Played {
    /// What came of it.
    pub case: Case,
    /// What happened. [`play_all`] does not keep it of the cells of a sweep in which all went well.
    pub trace: Option<Trace>,
}

impl Job {
    /// A scenario with a seed in a world, and no sweep strikes.
    #[must_use]
    pub const fn plain(piece: Arc<Piece>, seed: u64, world: World) -> Self {
        Self { piece, seed, world, is_calm: false, trap: None, cell: BTreeMap::new() }
    }

    /// The same case of another scenario.
    #[must_use]
    pub fn with_piece(self, piece: Arc<Piece>) -> Self {
        Self { piece, ..self }
    }

    /// The case's name: the scenario's id with the cell's axes.
    #[must_use]
    pub fn name(&self) -> String {
        self.with_cell(&self.piece.scenario.id)
    }

    /// With the scenario that its seed draws, if it is of a swarm. Nothing is drawn before a job is
    /// played, so that many seeds are many numbers, and not many scenarios.
    #[must_use]
    pub fn drawn(&self) -> Self {
        let Some(swarm) = &self.piece.swarm else { return self.clone() };
        let piece = Piece {
            scenario: swarm::scenario(swarm, self.seed),
            sha256: self.piece.sha256.clone(),
            called: self.piece.called.clone(),
            swarm: None,
        };
        Self { piece: Arc::new(piece), ..self.clone() }
    }

    /// The command that plays it again.
    #[must_use]
    pub fn replay(&self) -> String {
        Token::of(self).command()
    }

    fn with_cell(&self, name: &str) -> String {
        let axes = self.cell.iter().map(|(axis, value)| format!("/{axis}={value}"));
        std::iter::once(name.to_owned()).chain(axes).collect()
    }
}

/// With which seeds scenarios are played, and in which world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeds {
    /// The first one.
    pub first: u64,
    /// How many; absent: as many as the scenario says.
    pub count: Option<u64>,
    /// The world.
    pub world: World,
}

impl Seeds {
    /// As many as each scenario says, from `first` on, in turmoil.
    #[must_use]
    pub fn from(first: u64) -> Self {
        Self { first, count: None, world: World::default() }
    }
}

/// The cases of a scenario: one for each of its seeds, and for each of these the
/// cells of its sweep. A sweep's points are counted in a performance without the fault.
#[must_use]
pub fn jobs(piece: &Arc<Piece>, seeds: Seeds) -> Vec<Job> {
    let Seeds { first, count, world } = seeds;
    let plain = |seed| Job::plain(Arc::clone(piece), seed, world);
    let seeds =
        (0..count.unwrap_or(piece.scenario.seeds)).map(|more| plain(first.wrapping_add(more)));
    let Some(sweep) = &piece.scenario.sweep else { return seeds.collect() };
    let of_seed = |job: Job| {
        let operations = play::operations(&job, &sweep.on);
        let swept = operations.iter().filter(|at| sweep.points.contains(&point(at)));
        let cells: Vec<_> = swept.flat_map(|at| sides(&job, sweep, at)).collect();
        std::iter::once(job).chain(cells)
    };
    seeds.flat_map(of_seed).collect()
}

/// Before the operation takes effect, and after.
fn sides(job: &Job, sweep: &Sweep, operation: &Operation) -> [Job; 2] {
    [false, true].map(|after| {
        let side = if after { "after" } else { "before" };
        let silent = sweep.fault == SweepFault::PowerLoss;
        let cell = [("at", operation.at.to_string()), ("op", operation.what.to_owned())];
        let cell = cell.into_iter().chain([("side", side.to_owned())]);
        Job {
            trap: Some(Trap { at: operation.at, after, silent, down: sweep.down }),
            cell: cell.map(|(axis, value)| (axis.to_owned(), value)).collect(),
            ..job.clone()
        }
    })
}

/// The kind of an operation, by its name in the table of [`crate::fault`].
fn point(operation: &Operation) -> Point {
    match operation.what {
        "disk.write" | "disk.set_len" | "disk.sync" | "tasks.blocking" => Point::Store,
        "net.accept" | "udp.recv" => Point::Receive,
        "tasks.spawn" => Point::Spawn,
        _ => Point::Send,
    }
}
