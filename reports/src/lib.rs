//! What a run came to, for people and for machines: text for a screen, a ladder per trace, JUnit for
//! CI, `run.json` for everything else, and the directory that holds them all.
//!
//! **Invariant:** a report is a function of the run and its traces alone. It reads no clock, and two
//! reports of one run are the same bytes.
#![warn(missing_docs)]

pub mod folder;
pub mod format;
pub mod merge;
mod names;
pub mod store;
mod text;

use std::borrow::Cow;

use reveille_trace::{Case, Trace};

/// Where the trace of a case is had, if it was kept.
pub type Traces<'a> = dyn Fn(&Case) -> Option<Cow<'a, Trace>> + 'a;

/// For a run without traces.
#[must_use]
pub fn no_traces<'a>(_case: &Case) -> Option<Cow<'a, Trace>> {
    None
}
