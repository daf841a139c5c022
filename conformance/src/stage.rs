//! The seam between a play and the world it is performed in.
//!
//! A [`Stage`] gives every actor a [`Host`] of its own and carries out faults. Simulated worlds
//! implement it in `sim`.

use std::sync::Arc;
use std::time::Duration;

use reveille_host::{BoxFuture, Host};
use reveille_scenarios::Weather;
use reveille_trace::Recorder;

/// The software of one host: called once at the start, and again after each restart.
pub type Part = Arc<dyn Fn(Host) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What can be done to a host or to the link between two hosts. `a` and `b` name hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The process dies and its peers notice (FIN, RST): what `kill` does.
    Crash { host: String, down: Duration },
    /// The machine dies in silence, unsynced writes are gone.
    PowerLoss { host: String, down: Duration },
    /// Orderly stop and start again, with goodbyes.
    Restart { host: String, down: Duration },
    /// Packets between the two are held (streams) or lost (datagrams) until healed.
    Partition { a: String, b: String, lasts: Duration },
    /// The host's software ends at its `at`-th seam operation, `after` it took effect or before;
    /// it starts again after `down`.
    CrashAt { host: String, at: u64, after: bool, down: Duration },
    /// As a partition, in one direction only: what the other way needs (a handshake, an
    /// acknowledgement) suffers from it all the same.
    Cut { from: String, to: String, lasts: Duration },
    /// The link between the two is as bad as `weather` says, both ways.
    Storm { a: String, b: String, weather: Weather, lasts: Duration },
    /// No link of the host carries anything: an elevator, a tunnel. As a partition from each other host.
    Outage { host: String, lasts: Duration },
    /// The host gets another address: its connections end, and their peers hear nothing of it.
    Move { host: String },
    /// What translates the host's addresses forgets its bindings: its connections are dead both ways
    /// until it speaks, and then meet a reset.
    Rebind { host: String },
    /// The host's wall clock is set ahead, or back, by so many milliseconds.
    ClockStep { host: String, by_ms: i64 },
}

/// Where a host stands, said before the play. The default is a machine on an open network whose clock
/// is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Site {
    /// How far its wall clock is ahead, in milliseconds; behind, if negative.
    pub ahead_ms: i64,
    /// It stands behind an address translation that forgets a binding after this silence.
    pub nat: Option<Duration>,
}

impl Fault {
    /// The field `fault` of `fault.planned` and `fault.struck`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::PowerLoss { .. } => "power-loss",
            Self::Restart { .. } => "restart",
            Self::Partition { .. } => "partition",
            Self::CrashAt { .. } => "crash-at",
            Self::Cut { .. } => "cut",
            Self::Storm { .. } => "storm",
            Self::Outage { .. } => "outage",
            Self::Move { .. } => "move",
            Self::Rebind { .. } => "rebind",
            Self::ClockStep { .. } => "clock-step",
        }
    }

    /// The field `on` of both: a host, or the two ends of a link with `--` between.
    #[must_use]
    pub fn on(&self) -> String {
        match self {
            Self::Crash { host, .. }
            | Self::PowerLoss { host, .. }
            | Self::Restart { host, .. }
            | Self::CrashAt { host, .. }
            | Self::Outage { host, .. }
            | Self::Move { host }
            | Self::Rebind { host }
            | Self::ClockStep { host, .. } => host.clone(),
            Self::Partition { a, b, .. } | Self::Storm { a, b, .. } => format!("{a}--{b}"),
            Self::Cut { from, to, .. } => format!("{from}->{to}"),
        }
    }
}

/// Where the actors of one play live. Built once for each run.
pub trait Stage {
    /// Puts `part` on a host of its own under `name`; its software starts when the play starts.
    /// Every host can dial every other by its name (`"gateway:5060"`).
    fn enter(&mut self, name: &str, part: Part);

    /// Says where the host of this name stands, before it enters or after; absent: [`Site::default`].
    fn place(&mut self, name: &str, site: Site);

    /// Where events go.
    fn recorder(&self) -> Recorder;

    /// A handle by which running parts order faults. It may be called from inside a part.
    fn faults(&self) -> Arc<dyn Faults>;

    /// Performs the play until `director` returns or `limit` of (simulated) time is over. The
    /// director runs on a host of its own that cannot fail.
    ///
    /// # Errors
    /// What broke in the harness: a panic in a part, a time limit. Never a failure of the target.
    fn perform(&mut self, director: Part, limit: Duration) -> Result<(), String>;
}

/// Orders faults while the play runs. They take effect at the next step of the world, and record
/// `fault.struck` when they bite.
pub trait Faults: Send + Sync {
    /// Orders `fault`.
    fn order(&self, fault: Fault);
}
