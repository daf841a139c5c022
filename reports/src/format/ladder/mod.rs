//! A trace as a ladder in plain text: one lane per actor, one row per message.
//!
//! A message is one arrow from the one that sent it to the one that received it, found by its bytes.
//! Only the cast is needed for that: a gateway that writes no events is drawn from the other side.
//! Every event is in a row, in a counted fold, or in the last line, which counts what is not drawn.

mod fold;
mod label;
mod lanes;
mod paint;
mod pair;
mod read;
mod row;

use reveille_trace::{Kind, Trace};

use crate::text::{ascii, clip, wrap};
use lanes::Lanes;
use paint::{Canvas, MARGIN};
use row::{Mark, Row};

/// A picture has no more rows than this.
pub const MOST_ROWS: usize = 400;
/// Lanes stand no closer than this.
const CLOSEST: usize = 13;
/// A narrower picture is not drawn; wider ones only spread.
const WIDTHS: std::ops::RangeInclusive<usize> = 76..=240;

/// The whole ladder.
#[must_use]
pub fn draw(trace: &Trace, width: usize) -> String {
    let width = width.clamp(*WIDTHS.start(), *WIDTHS.end());
    let lanes = Lanes::of(&trace.events, (width - MARGIN) / CLOSEST);
    let reading = read::rows(&trace.events, &lanes);
    let rows = folded(reading.rows);
    let rows = fold::middle(rows, MOST_ROWS);
    let mut lines = head(trace, width);
    lines.extend(Canvas::new(&lanes, width, None).paint(&rows));
    lines.extend(legend(&rows, width));
    if !reading.undrawn.is_empty() {
        let counts = reading.undrawn.iter().map(|(kind, number)| format!("{number} {kind}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        lines.extend(wrap(&format!("Not drawn: {counts}."), width));
    }
    lines.join("\n") + "\n"
}

/// The `most` rows around event `around`, or the last ones; the row itself is marked with `>`.
#[must_use]
pub fn compact(trace: &Trace, around: Option<u64>, most: usize, width: usize) -> String {
    let width = width.clamp(*WIDTHS.start(), *WIDTHS.end());
    let lanes = Lanes::of(&trace.events, (width - MARGIN) / CLOSEST);
    let rows = fold::around(folded(read::rows(&trace.events, &lanes).rows), around, most);
    let marked = around.and_then(|seq| fold::place(&rows, seq));
    let lines = Canvas::new(&lanes, width, marked).paint(&rows);
    lines.join("\n") + "\n"
}

fn folded(rows: Vec<Row<'_>>) -> Vec<Row<'_>> {
    fold::silences(fold::keep_alives(fold::refreshes(fold::repetitions(rows))))
}

fn head(trace: &Trace, width: usize) -> Vec<String> {
    let scenario = trace.events.iter().find(|event| event.kind == Kind::Scenario);
    let field = |name| scenario.and_then(|event| event.text(name)).unwrap_or_default();
    let id = if field("id").is_empty() { &trace.manifest.scenario } else { field("id") };
    let text = [id, field("title")].map(ascii).into_iter().filter(|text| !text.is_empty());
    let text = text.collect::<Vec<_>>().join(": ");
    if text.is_empty() { Vec::new() } else { vec![clip(&text, width), String::new()] }
}

fn legend(rows: &[Row<'_>], width: usize) -> Vec<String> {
    let has = |test: fn(&Row<'_>) -> bool| rows.iter().any(test);
    let note = |row: &Row<'_>, start| matches!(&row.mark, Mark::Note { text, .. } if text.starts_with(start));
    let mut said = Vec::new();
    if rows.iter().any(|row| note(row, '(')) {
        said.push("(a step of the script)");
    }
    if rows.iter().any(|row| note(row, '[')) {
        said.push("[what the actor says of itself]");
    }
    if has(|row| matches!(row.mark, Mark::Arrow { lost: true, .. })) {
        said.push("x not seen to arrive");
    }
    if has(|row| matches!(row.turns, Some((_, false)))) {
        said.push(": down or asleep");
    }
    let lines = wrap(&said.join("; "), width);
    if said.is_empty() { Vec::new() } else { [vec![String::new()], lines].concat() }
}
