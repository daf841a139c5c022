use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::run::Run;

macro_rules! phases {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $head:literal,)+) => {
        /// Where the calls of a phone stand when a fault strikes, as a stranger to the gateway sees it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Phase { $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+ }

        impl Phase {
            /// Every phase, in the order of a wake.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in `run.json`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The head of its column.
            #[must_use]
            pub const fn head(self) -> &'static str {
                match self { $(Self::$variant => $head,)+ }
            }

            /// What it is, in a few words.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim(),)+ }
            }
        }
    };
}

phases! {
    /// the app is awake, and no call has reached it yet
    Awake = "awake", "awake",
    /// the app sleeps, and nothing waits for it
    Asleep = "asleep", "asleep",
    /// a call waits for the app, and no push service has been asked yet
    Held = "held", "held",
    /// a push service was asked, and nothing has arrived at the phone
    Push = "push", "push",
    /// the push has arrived, or the app has dialled, and it is not connected yet
    Returning = "returning", "back",
    /// the app has the call, and the caller does not know
    Started = "started", "start",
    /// the caller hears that it rings
    Ringing = "ringing", "ring",
    /// the app has answered, and its caller has not acknowledged
    Answered = "answered", "answer",
    /// the answer is acknowledged
    Talking = "talking", "call",
    /// the app is awake, and its calls are over
    After = "after", "after",
}

/// The kinds of faults that a run may know, as coverage names them: those of the world, those of a
/// push service (`push ...`), of a part of a phone (`app ...`, `websocket ...`, `radio ...`, `os ...`), and
/// of callers.
pub const FAULTS: &[&str] = &[
    "crash",
    "crash-at",
    "power-loss",
    "power-loss-at",
    "restart",
    "partition",
    "cut",
    "storm",
    "move",
    "rebind",
    "clock-step",
    "outage",
    "nat",
    "push refuse",
    "push drop-request",
    "push drop-delivery",
    "push duplicate",
    "push delay",
    "push reorder",
    "push goaway",
    "push refuse-stream",
    "push page",
    "push endless",
    "app crash",
    "websocket drop",
    "app force-stop",
    "app fails-to-start",
    "app connects-late",
    "app crashes",
    "app reports-nothing",
    "radio airplane",
    "os doze",
    "os low-power",
    "lose-answer",
];

/// How often a kind of fault met a phase in one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Met {
    /// The kind, one of [`FAULTS`] or of a later Reveille.
    pub fault: String,
    /// The phase.
    pub phase: Phase,
    /// How often.
    pub times: u64,
}

/// Which kinds of faults met which phases in a whole run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage(BTreeMap<String, BTreeMap<Phase, u64>>);

impl Coverage {
    /// What the cases of a run come to.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let mut coverage = Self::default();
        for met in run.cases.iter().flat_map(|case| &case.met) {
            let row = coverage.0.entry(met.fault.clone()).or_default();
            let times = row.entry(met.phase).or_default();
            *times = times.saturating_add(met.times);
        }
        coverage
    }

    /// Kinds in the order of a table: those that are known, then others by name.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        let known: BTreeSet<_> = FAULTS.iter().copied().collect();
        let others = self.0.keys().map(String::as_str).filter(|kind| !known.contains(kind));
        FAULTS.iter().copied().chain(others).collect()
    }

    /// How often `kind` met `phase`.
    #[must_use]
    pub fn times(&self, kind: &str, phase: Phase) -> u64 {
        self.0.get(kind).and_then(|row| row.get(&phase)).copied().unwrap_or(0)
    }

    /// Kinds that never struck.
    #[must_use]
    pub fn unstruck(&self) -> Vec<&str> {
        let none = |kind: &&str| Phase::ALL.iter().all(|phase| self.times(kind, *phase) == 0);
        self.kinds().into_iter().filter(none).collect()
    }

    /// Phases that no fault of any kind met.
    #[must_use]
    pub fn unmet(&self) -> Vec<Phase> {
        let none = |phase: &Phase| self.kinds().iter().all(|kind| self.times(kind, *phase) == 0);
        Phase::ALL.iter().copied().filter(none).collect()
    }
}
