//! The directory of a run, read again.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use reveille_trace::{Case, Run, Trace};

use crate::format::json;
use crate::store::{LATEST, STARTED};

/// No file of a run is longer: what is, is none.
const LONGEST: u64 = 1 << 30;

/// A directory that [`crate::store::write`] wrote.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    /// Its record.
    pub run: Run,
}

impl Folder {
    /// Opens the directory of a run, or the newest one in a directory of runs.
    ///
    /// # Errors
    /// What is not there or not as it was written, in a sentence.
    pub fn open(dir: &Path) -> Result<Self, String> {
        let dir = match newest(dir) {
            Some(name) if !dir.join("run.json").exists() => dir.join(name),
            _ => dir.to_owned(),
        };
        let mut run = json::read(&text(&dir.join("run.json"))?)
            .map_err(|error| format!("{}: {error}", dir.display()))?;
        if let Ok(started) = text(&dir.join(STARTED)) {
            started.trim_end().clone_into(&mut run.started);
        }
        Ok(Self { dir, run })
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The trace of `case`, if it was kept.
    ///
    /// # Errors
    /// If it is not there, cannot be read, or is not the one that was judged.
    pub fn trace(&self, case: &Case) -> Result<Option<Trace>, String> {
        let Some(events) = &case.events else { return Ok(None) };
        let name = events.strip_prefix("events/").filter(|name| is_plain(name));
        let name = name.ok_or_else(|| {
            format!(
                "{}: run.json names the trace {events}, which no run writes",
                self.dir.display()
            )
        })?;
        let trace = trace(&self.dir.join("events").join(name))?;
        if trace.digest() != case.verdict.trace_digest {
            let dir = self.dir.display();
            return Err(format!(
                "{dir}: {events} is not the trace that was judged: its digest differs"
            ));
        }
        Ok(Some(trace))
    }
}

/// The name of the newest run in a directory of runs.
fn newest(dir: &Path) -> Option<String> {
    let name = text(&dir.join(LATEST)).ok()?.trim_end().to_owned();
    is_plain(&name).then_some(name)
}

/// A name within one directory.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

fn text(path: &Path) -> Result<String, String> {
    bounded(path)?;
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Reads a trace's file.
///
/// # Errors
/// Says which line is wrong.
pub fn trace(path: &Path) -> Result<Trace, String> {
    bounded(path)?;
    let file =
        File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Trace::read(BufReader::new(file)).map_err(|error| format!("{}: {error}", path.display()))
}

fn bounded(path: &Path) -> Result<(), String> {
    let told =
        fs::metadata(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if told.is_file() && told.len() <= LONGEST {
        return Ok(());
    }
    Err(format!("{} is no file of a run: at most {LONGEST} bytes", path.display()))
}
