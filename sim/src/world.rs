use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use reveille_conformance::stage::Stage;
use reveille_trace::Recorder;

use crate::disk::Platter;
use crate::express::ExpressStage;
use crate::fault::{Operation, Trap};
use crate::turmoil::{Options, TurmoilStage};

/// 2030-01-01T00:00:00Z, since 1970: when every run starts.
pub const EPOCH: Duration = Duration::from_secs(1_893_456_000);

/// The shortest and the longest time of a message on a link.
pub(crate) const LATENCY: (Duration, Duration) =
    (Duration::from_millis(1), Duration::from_millis(20));
const CALM: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(10));

/// A simulated world. The same play comes to the same verdict in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum World {
    /// Hosts on turmoil's network, which moves in ticks of 10 ms.
    #[default]
    Turmoil,
    /// Hosts on one thread and a network in memory, whose time goes from event to event.
    Express,
}

impl World {
    /// Every world.
    pub const ALL: [Self; 2] = [Self::Turmoil, Self::Express];

    /// Its name on the command line and in manifests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Turmoil => "turmoil",
            Self::Express => "express",
        }
    }

    /// The world of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|world| world.name() == name)
    }

    /// An empty stage in it. On calm links every message takes the same time.
    #[must_use]
    pub fn stage(self, seed: u64, recorder: Recorder, is_calm: bool) -> Box<dyn SimStage> {
        let latency = if is_calm { CALM } else { LATENCY };
        match self {
            Self::Turmoil => {
                let options = Options { latency, ..Options::default() };
                Box::new(TurmoilStage::new(seed, recorder, options))
            }
            Self::Express => Box::new(ExpressStage::new(seed, recorder, latency)),
        }
    }
}

impl Display for World {
    fn fmt(&self, into: &mut Formatter<'_>) -> fmt::Result {
        into.write_str(self.name())
    }
}

/// A stage whose hosts can be struck at their seams.
pub trait SimStage: Stage {
    /// Lays `trap` for `host` before the play. False if there is no such host.
    fn lay(&self, host: &str, trap: Trap) -> bool;

    /// The seam operations of `host`, in order; none if there is no such host.
    fn log(&self, host: &str) -> Vec<Operation>;

    /// The disk of `host`.
    fn disk(&self, host: &str) -> Option<Platter>;
}
