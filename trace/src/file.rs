use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::event::Event;

/// Version of the file format that this crate writes, and the only one it reads.
pub const SCHEMA: u32 = 1;

/// What a run was: enough to play it again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the trace format.
    pub schema: u32,
    /// Version of Reveille.
    pub reveille: String,
    /// The scenario's id, or a name for a run without one.
    pub scenario: String,
    /// SHA-256 of the scenario's text, in hex.
    pub scenario_sha256: String,
    /// `turmoil`, `express`, `socket` or `bare`.
    pub world: String,
    /// The seed of every random draw; absent over real sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The command that plays this run again.
    pub replay: String,
    /// Anything else that shaped the run, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

/// The ordered events of one run, under its manifest.
///
/// On disk: NDJSON. The first line is the manifest, each further line one event, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// What the run was.
    pub manifest: Manifest,
    /// What happened, in order; `events[i].seq == i`.
    pub events: Vec<Event>,
}

/// Why a trace file could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// The file could not be read at all.
    Io(io::Error),
    /// A line is not what the format says. Lines count from 1.
    Line {
        /// Which line.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read the trace: {error}"),
            Self::Line { line, what } => write!(f, "trace line {line}: {what}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl Trace {
    /// Writes the trace as NDJSON.
    ///
    /// # Errors
    /// Whatever the writer reports.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, &self.manifest)?;
        out.write_all(b"\n")?;
        for event in &self.events {
            serde_json::to_writer(&mut *out, event)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Reads NDJSON.
    ///
    /// # Errors
    /// [`ReadError::Line`] names the first line that is no manifest or event, has another schema
    /// version, or is out of order.
    pub fn read(input: impl BufRead) -> Result<Self, ReadError> {
        let mut trace = Self::default();
        for (index, line) in input.lines().enumerate() {
            let wrong = |what: String| ReadError::Line { line: index + 1, what };
            let line = line.map_err(ReadError::Io)?;
            if index == 0 {
                trace.manifest = serde_json::from_str(&line).map_err(|e| wrong(e.to_string()))?;
                if trace.manifest.schema != SCHEMA {
                    let found = trace.manifest.schema;
                    return Err(wrong(format!("schema {found}: this Reveille reads {SCHEMA}")));
                }
                continue;
            }
            let event: Event = serde_json::from_str(&line).map_err(|e| wrong(e.to_string()))?;
            if event.seq != trace.events.len() as u64 {
                let want = trace.events.len();
                return Err(wrong(format!("event {} stands where {want} is due", event.seq)));
            }
            trace.events.push(event);
        }
        if trace.manifest.schema != SCHEMA {
            return Err(ReadError::Line { line: 1, what: "the file is empty".to_owned() });
        }
        Ok(trace)
    }

    /// SHA-256 over the events' lines, in hex. The manifest is not part of it.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for event in &self.events {
            let line = serde_json::to_vec(event).expect("an event is plain data with text keys");
            hash.update(&line);
            hash.update(b"\n");
        }
        hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a String takes every write");
            hex
        })
    }

    /// The same trace without the events of `actor`: what a stranger to it could see.
    ///
    /// Events keep their numbers, so that evidence still points into the full trace.
    #[must_use]
    pub fn without_actor(&self, actor: &str) -> Self {
        let events = self.events.iter().filter(|e| e.actor != actor).cloned().collect();
        Self { manifest: self.manifest.clone(), events }
    }
}
