use serde::{Deserialize, Serialize};

/// What was observed, from the least to the most severe; merging keeps the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// Every expectation that could be decided was met.
    Pass,
    /// A precondition was not reached: nothing was shown either way.
    Inconclusive,
    /// An expectation was not met, and the harness was healthy.
    Fail,
    /// The harness itself broke.
    Error,
}

impl Observed {
    /// The word on disk and on screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
            Self::Error => "error",
        }
    }
}

/// Evidence: events of the trace by number, first and last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first event.
    pub first: u64,
    /// The last event.
    pub last: u64,
}

/// What one check found in one trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The requirement's id (words, never a position), or `expect` for a line of the scenario.
    pub requirement: String,
    /// `MUST`, `SHOULD` or `MAY`.
    pub level: String,
    /// What was observed.
    pub observed: Observed,
    /// What should have been seen, in one sentence.
    pub expected: String,
    /// What was seen, in one sentence; empty for a pass.
    pub actual: String,
    /// Where to look; absent when nothing happened at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Span>,
}

/// The outcome of one case: every finding, and the worst of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The case: the scenario's id, with axes if it has any.
    pub case: String,
    /// The seed it was played with.
    pub seed: u64,
    /// The worst MUST finding. A SHOULD that failed leaves a pass a pass, and stays in `findings`.
    pub observed: Observed,
    /// Every finding, in a fixed order.
    pub findings: Vec<Finding>,
    /// The digest of the trace that was judged.
    pub trace_digest: String,
    /// Simulated (or real) length of the run in microseconds.
    pub length_us: u64,
}

impl Verdict {
    /// Merges findings into a verdict.
    #[must_use]
    pub fn of(
        case: &str,
        seed: u64,
        findings: Vec<Finding>,
        digest: String,
        length_us: u64,
    ) -> Self {
        let observed = findings
            .iter()
            .filter(|f| f.level == "MUST" || f.observed == Observed::Error)
            .map(|f| f.observed)
            .max()
            .unwrap_or(Observed::Inconclusive);
        Self { case: case.to_owned(), seed, observed, findings, trace_digest: digest, length_us }
    }
}
