//! The formats of a whole run, one file each, and the ladder of one trace.

mod block;
pub mod coverage;
pub mod json;
pub mod junit;
pub mod ladder;
pub mod terminal;

use reveille_trace::Run;

use crate::Traces;

/// A format of a whole run.
pub struct Format {
    /// The name to ask for it by.
    pub name: &'static str,
    /// Its file in a result directory.
    pub file: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Writes a run in it.
    pub write: fn(&Run, &Traces<'_>) -> Result<String, String>,
}

/// Every format. A new one is a file beside this one and a row here.
pub const FORMATS: &[Format] = &[
    Format {
        name: "json",
        file: "run.json",
        media_type: "application/json",
        write: |run, _| json::write(run),
    },
    Format { name: "junit", file: "junit.xml", media_type: "application/xml", write: junit::write },
    Format {
        name: "coverage",
        file: "coverage.txt",
        media_type: "text/plain",
        write: |run, _| Ok(coverage::write(run, 100)),
    },
    Format {
        name: "terminal",
        file: "summary.txt",
        media_type: "text/plain",
        write: |run, traces| Ok(terminal::full(run, &terminal::Look::of_a_file(traces))),
    },
];

/// The format called `name`.
#[must_use]
pub fn named(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}
