//! What happened. One vocabulary of events for the gateway, the cast and the worlds; the ordered
//! [`Trace`] they form, its NDJSON file form, its digest, and the [`Verdict`]s that checks reach on
//! it. Reports, checks and replays read nothing else.
//!
//! **Invariant:** a trace written, read back and written again is the same bytes, and its digest
//! depends on the events alone: not on who recorded them, on paths, or on the machine.
#![warn(missing_docs)]

mod coverage;
mod event;
mod file;
mod record;
mod run;
mod shard;
mod time;
mod verdict;

pub use coverage::{Coverage, FAULTS, Met, Phase};
pub use event::{Event, Kind, Raw, Value};
pub use file::{Manifest, ReadError, SCHEMA, Trace};
pub use record::{Draft, Recorder, Scribe};
pub use run::{Case, PlannedFault, RUN_SCHEMA, Run, Seeds, Summary};
pub use shard::{Shard, Shards};
pub use time::Timestamp;
pub use verdict::{Finding, Observed, Span, Verdict};
