//! Which kinds of faults met which phases of the wake, and what was never met.

use reveille_trace::{Coverage, Phase, Run};

use crate::text::{ascii, clip, wrap};

/// A kind takes no more columns than this.
const KIND: usize = 20;
/// As wide as a column of the table is.
const COLUMN: usize = 8;

/// The table, its legend, and its gaps.
#[must_use]
pub fn write(run: &Run, width: usize) -> String {
    let coverage = Coverage::of(run);
    let mut lines = vec!["Faults that struck, by where the calls stood".to_owned(), String::new()];
    let heads = Phase::ALL.iter().map(|phase| phase.head().to_owned());
    lines.push(row("", heads));
    let unstruck = coverage.unstruck();
    let kinds = coverage.kinds().into_iter().filter(|kind| !unstruck.contains(kind));
    for kind in kinds {
        let times = Phase::ALL.iter().map(|phase| match coverage.times(kind, *phase) {
            0 => ".".to_owned(),
            times => times.to_string(),
        });
        lines.push(row(kind, times));
    }
    lines.push(String::new());
    let legend = Phase::ALL.iter().map(|phase| format!("  {:<7} {}", phase.head(), phase.text()));
    lines.extend(legend);
    lines.push(String::new());
    lines.extend(gaps(&coverage, width));
    lines.join("\n") + "\n"
}

fn row(kind: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: String = cells.map(|cell| format!("{cell:>COLUMN$}")).collect();
    format!("{:<KIND$}{cells}", clip(&ascii(kind), KIND - 1))
}

/// What was never met: whole kinds, whole phases, and of each phase the kinds that struck elsewhere.
fn gaps(coverage: &Coverage, width: usize) -> Vec<String> {
    let (unstruck, unmet) = (coverage.unstruck(), coverage.unmet());
    let names = |what: &str, names: &[&str]| match names {
        [] => format!("{what}: none"),
        _ => format!("{what}: {}", names.join(", ")),
    };
    let phases: Vec<_> = unmet.iter().map(|phase| phase.head()).collect();
    let mut lines = wrap(&ascii(&names("Kinds that never struck", &unstruck)), width);
    lines.extend(wrap(&names("Phases that no fault met", &phases), width));
    let struck: Vec<_> =
        coverage.kinds().into_iter().filter(|kind| !unstruck.contains(kind)).collect();
    for phase in Phase::ALL.iter().filter(|phase| !unmet.contains(phase)) {
        let missed = struck.iter().copied().filter(|kind| coverage.times(kind, *phase) == 0);
        let missed: Vec<_> = missed.collect();
        if !missed.is_empty() {
            let what = format!("Struck, and never met `{}`", phase.head());
            lines.extend(wrap(&ascii(&names(&what, &missed)), width));
        }
    }
    lines
}
