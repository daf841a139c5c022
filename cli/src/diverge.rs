//! Whether a play is the one that was recorded, and where the two part.

use std::fs;
use std::path::{Path, PathBuf};

use reveille_reports::folder::{self, Folder};
use reveille_sim::suite::Job;
use reveille_trace::{Event, Trace};

use crate::exit::Stop;

/// So many of the newest folders are searched for a case.
const FOLDERS: usize = 200;
/// An event is shown no longer than this.
const LONGEST: usize = 600;

/// What was recorded of a case.
pub(crate) struct Recorded {
    /// Where.
    from: String,
    digest: String,
    /// Absent where only its digest was kept.
    trace: Option<Trace>,
}

impl Recorded {
    /// A trace's file.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Stop> {
        let trace = folder::trace(path).map_err(Stop::bad_file)?;
        let from = path.display().to_string();
        Ok(Self { from, digest: trace.digest(), trace: Some(trace) })
    }

    /// What the newest run in `out` says that has the case of `job`, if one has.
    pub(crate) fn newest(out: &Path, job: &Job) -> Option<Self> {
        let name = job.name();
        newest_first(out).into_iter().take(FOLDERS).find_map(|dir| {
            let folder = Folder::open(&dir).ok()?;
            let is_it = |verdict: &reveille_trace::Verdict| {
                verdict.case == name && verdict.seed == job.seed
            };
            let same_world = folder.run.world == job.world.name();
            let case = folder.run.cases.iter().find(|case| same_world && is_it(&case.verdict))?;
            // A trace that cannot be read is as one that was not kept: the digest is there.
            let trace = folder.trace(case).ok().flatten();
            let from = folder.dir().display().to_string();
            Some(Self { from, digest: case.verdict.trace_digest.clone(), trace })
        })
    }
}

/// Folders of runs: the one that `latest` names, then the others, the newest first by their names.
fn newest_first(out: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(out).into_iter().flatten().flatten();
    let mut dirs: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    dirs.sort_unstable_by(|a, b| b.cmp(a));
    dirs.insert(0, out.to_owned());
    dirs
}

/// How a play stands to what was recorded: a sentence, and whether they part.
pub(crate) fn compared(trace: &Trace, recorded: &Recorded) -> (String, bool) {
    let Recorded { from, digest, trace: other } = recorded;
    if trace.digest() == *digest {
        return (format!("It went as it did in {from}: each event is the same.\n"), false);
    }
    let mut text = format!("DIVERGED from {from}: the digest of the trace is another.\n");
    match other {
        None => text.push_str(
            "Where is not known: that run kept no trace of this case. Give a trace with `--against`, or \
             look at `--ladder`\n",
        ),
        Some(other) => {
            text.push_str(&made_of(trace, other));
            text.push_str(&first(&trace.events, &other.events));
        }
    }
    (text, true)
}

/// What the manifests say of why.
fn made_of(now: &Trace, then: &Trace) -> String {
    let (now, then) = (&now.manifest, &then.manifest);
    let rows = [
        ("case", &now.scenario, &then.scenario),
        ("version of Reveille", &now.reveille, &then.reveille),
        ("text of the scenario", &now.scenario_sha256, &then.scenario_sha256),
        ("world", &now.world, &then.world),
    ];
    let differ = rows.iter().filter(|(_, now, then)| now != then);
    let mut text: String =
        differ.map(|(what, now, then)| format!("  the {what} was {then} and is {now}\n")).collect();
    if now.seed != then.seed {
        text.push_str("  the seed was another\n");
    }
    if now.settings != then.settings {
        text.push_str("  the cell was another\n");
    }
    text
}

/// The first event that differs, on both sides.
fn first(now: &[Event], then: &[Event]) -> String {
    let at = now.iter().zip(then).position(|(now, then)| now != then);
    let at = at.unwrap_or_else(|| now.len().min(then.len()));
    let side = |events: &[Event]| events.get(at).map_or_else(|| "nothing more".to_owned(), shown);
    let number = now.get(at).or(then.get(at)).map_or(0, |event| event.seq);
    format!(
        "The first difference is event {number}:\n  recorded  {}\n  now       {}\n",
        side(then),
        side(now)
    )
}

/// An event as it lies on disk, in printable ASCII and not too long.
fn shown(event: &Event) -> String {
    let line = serde_json::to_string(event).expect("an event is plain data with text keys");
    let mut text: String =
        line.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    if text.len() > LONGEST {
        text.truncate(LONGEST);
        text.push_str("..");
    }
    text
}
