//! The directory of one run: every format, the traces that were kept, and their ladders, and when it
//! began.
//!
//! It is written under another name and renamed, so that a directory with the right name is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use reveille_trace::{Run, SCHEMA, Trace};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::format::{FORMATS, ladder};
use crate::text::ascii;
use crate::{Traces, names};

/// The file that holds the name of the newest result directory.
pub(crate) const LATEST: &str = "latest";
/// The file that says when the run began. It is the only one that two runs of one seed differ in, and
/// so the table of contents does not name it.
pub const STARTED: &str = "started";
/// As wide as the ladders on file.
const WIDTH: usize = 100;

/// The table of contents: `toc.json`.
#[derive(Serialize)]
struct Contents {
    schema: u32,
    files: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    path: String,
    bytes: usize,
    sha256: String,
    media_type: &'static str,
}

/// The same run with `events` set to the paths that [`write`] gives to the traces that are kept.
#[must_use]
pub fn with_paths(run: &Run, traces: &Traces<'_>) -> Run {
    let mut run = run.clone();
    let names = names::of_cases(&run);
    for (case, name) in run.cases.iter_mut().zip(names) {
        case.events = traces(case).map(|_| format!("events/{name}.ndjson"));
    }
    run
}

/// Writes the run to the new directory `dir`, then its name to the file `latest` beside it.
///
/// # Errors
/// If `dir` exists already, or whatever the file system reports; then there is no `dir`.
pub fn write(dir: &Path, run: &Run, traces: &Traces<'_>) -> io::Result<PathBuf> {
    let name = dir.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        let text = format!("{}: a result directory needs a name in UTF-8", dir.display());
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })?;
    if name == LATEST {
        let text =
            format!("{}: `{LATEST}` is the file that names a result directory", dir.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    refuse_if_there(dir, "results are never overwritten: name another directory, or remove it")?;
    let partial = dir.with_file_name(format!(".{name}.partial"));
    refuse_if_there(&partial, "a run that was broken off left it: remove it")?;
    fs::create_dir_all(&partial).map_err(|error| at(&partial, &error))?;
    let written = fill(&partial, &with_paths(run, traces), traces)
        .and_then(|()| fs::rename(&partial, dir).map_err(|error| at(dir, &error)));
    if let Err(error) = written {
        // The first error is the one to tell.
        fs::remove_dir_all(&partial).unwrap_or_default();
        return Err(error);
    }
    point(dir, name)?;
    Ok(dir.to_owned())
}

fn refuse_if_there(path: &Path, what: &str) -> io::Result<()> {
    if !path.try_exists().map_err(|error| at(path, &error))? {
        return Ok(());
    }
    let text = format!("{} exists already: {what}", path.display());
    Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn fill(dir: &Path, run: &Run, traces: &Traces<'_>) -> io::Result<()> {
    let mut files = Vec::new();
    let mut put = |path: String, bytes: &[u8], media_type| {
        let file = dir.join(&path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(|error| at(parent, &error))?;
        }
        fs::write(&file, bytes).map_err(|error| at(&file, &error))?;
        let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        files.push(Entry { path, bytes: bytes.len(), sha256, media_type });
        io::Result::Ok(())
    };
    for format in FORMATS {
        let text = (format.write)(run, traces).map_err(io::Error::other)?;
        put(format.file.to_owned(), text.as_bytes(), format.media_type)?;
    }
    for case in &run.cases {
        let (Some(path), Some(trace)) = (&case.events, traces(case)) else { continue };
        readable(&case.verdict.case, &trace)?;
        let mut bytes = Vec::new();
        trace.write(&mut bytes)?;
        put(path.clone(), &bytes, "application/x-ndjson")?;
        let drawn = ladder::draw(&trace, WIDTH);
        put(ladder_of(path), drawn.as_bytes(), "text/plain")?;
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if !run.started.is_empty() {
        let started = dir.join(STARTED);
        fs::write(&started, format!("{}\n", ascii(&run.started)))
            .map_err(|error| at(&started, &error))?;
    }
    let text = serde_json::to_string_pretty(&Contents { schema: 1, files })? + "\n";
    let toc = dir.join("toc.json");
    fs::write(&toc, text).map_err(|error| at(&toc, &error))
}

/// A trace without a manifest could be written, and never read again.
fn readable(case: &str, trace: &Trace) -> io::Result<()> {
    let found = trace.manifest.schema;
    if found == SCHEMA {
        return Ok(());
    }
    let case = ascii(case);
    let text = format!("{case}: its trace says schema {found}; write {SCHEMA} into its manifest");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// Where the ladder of a trace file lies.
pub(crate) fn ladder_of(events: &str) -> String {
    let name = events.strip_prefix("events/").unwrap_or(events);
    format!("ladders/{}.txt", name.strip_suffix(".ndjson").unwrap_or(name))
}

/// No symbolic link: Windows gives them to few.
fn point(dir: &Path, name: &str) -> io::Result<()> {
    let (latest, new) = (dir.with_file_name(LATEST), dir.with_file_name(".latest.partial"));
    fs::write(&new, format!("{name}\n")).map_err(|error| at(&new, &error))?;
    fs::rename(&new, &latest).map_err(|error| at(&latest, &error))
}
