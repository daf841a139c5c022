//! From rows to text.

use super::label::Label;
use super::lanes::Lanes;
use super::row::{Mark, Row};
use crate::text::{ascii, clip, seconds};

/// A marker, the time and a space.
pub(super) const MARGIN: usize = 11;
/// So often the names of the lanes are repeated.
const PAGE: usize = 60;

pub(super) struct Canvas<'a> {
    lanes: &'a Lanes,
    width: usize,
    step: usize,
    up: Vec<bool>,
    marked: Option<usize>,
}

impl<'a> Canvas<'a> {
    /// `marked`: the row to point at.
    pub(super) fn new(lanes: &'a Lanes, width: usize, marked: Option<usize>) -> Self {
        let step = (width - MARGIN) / lanes.titles.len().max(1);
        Self { lanes, width, step, up: vec![true; lanes.titles.len()], marked }
    }

    pub(super) fn paint(&mut self, rows: &[Row<'_>]) -> Vec<String> {
        let mut lines = vec![self.header()];
        for (index, row) in rows.iter().enumerate() {
            if matches!(&row.mark, Mark::Remark { text } if text.is_empty()) {
                self.turn(row);
                continue;
            }
            lines.push(self.row(row, self.marked == Some(index)));
            self.turn(row);
            if lines.len() % PAGE == 0 && index + 1 < rows.len() {
                lines.push(self.header());
            }
        }
        lines
    }

    fn turn(&mut self, row: &Row<'_>) {
        if let Some((lane, up)) = row.turns {
            self.up[lane] = up;
        }
    }

    fn column(&self, lane: usize) -> usize {
        MARGIN + self.step / 2 + lane * self.step
    }

    fn header(&self) -> String {
        let mut line = vec![' '; self.width];
        put(&mut line, 3, "seconds");
        for (lane, title) in self.lanes.titles.iter().enumerate() {
            self.centre(&mut line, self.column(lane), &clip(&ascii(title), self.step - 1));
        }
        finish(&line)
    }

    fn row(&self, row: &Row<'_>, marked: bool) -> String {
        let mut line = vec![' '; self.width];
        let aside = matches!(row.mark, Mark::Idle { .. } | Mark::Remark { .. });
        if !aside {
            for (lane, up) in self.up.iter().enumerate() {
                line[self.column(lane)] = if *up { '|' } else { ':' };
            }
            put(&mut line, 1, &format!("{:>9}", seconds(row.t_us)));
        }
        if marked {
            line[0] = '>';
        }
        match &row.mark {
            Mark::Arrow { from, to, label, lost } => {
                self.arrow(&mut line, (*from, *to), &counted(label, row), *lost);
            }
            Mark::Note { lane, text } => {
                let text = clip(text, (self.step * 2).saturating_sub(2));
                self.centre(&mut line, self.column(*lane), &text);
            }
            Mark::Band { text, fill } => self.band(&mut line, text, *fill),
            Mark::Idle { us } => put(&mut line, 7, &format!("... {} s idle", tenths(*us))),
            Mark::Remark { text } => {
                put(&mut line, 7, &clip(&format!("... {text}"), self.width - 7));
            }
        }
        finish(&line)
    }

    fn arrow(&self, line: &mut [char], ends: (usize, usize), label: &Label, lost: bool) {
        let (a, b) = (self.column(ends.0), self.column(ends.1));
        let (left, right) = (a.min(b) + 1, a.max(b));
        line[left..right].fill('-');
        let rightward = a < b;
        // A lost one stops short of its lane.
        let short = if lost { (right - left) / 5 } else { 0 };
        let (head, tip) = if rightward { (right - 1 - short, '>') } else { (left + short, '<') };
        line[head] = if lost { 'x' } else { tip };
        if lost && rightward {
            line[head + 1..right].fill(' ');
        } else if lost {
            line[left..head].fill(' ');
        }
        self.under(line, ends, (left, right));
        let (first, last) = if rightward { (left, head) } else { (head + 1, right) };
        let room = (last - first).saturating_sub(2);
        let text = [&label.long, &label.short].into_iter().find(|text| text.len() + 2 <= room);
        let text = text.map_or_else(|| clip(&label.short, room), |text| format!(" {text} "));
        let length = text.len();
        put(line, first + (last - first).saturating_sub(length) / 2, &text);
    }

    /// Lanes that an arrow that stops short does not reach still stand.
    fn under(&self, line: &mut [char], ends: (usize, usize), (left, right): (usize, usize)) {
        for (lane, up) in self.up.iter().enumerate() {
            let column = self.column(lane);
            let crossed = (left..right).contains(&column) && lane != ends.0 && lane != ends.1;
            if crossed && line[column] == ' ' {
                line[column] = if *up { '|' } else { ':' };
            }
        }
    }

    fn band(&self, line: &mut [char], text: &str, fill: char) {
        line[MARGIN..].fill(fill);
        let text = clip(text, self.width - MARGIN - 6);
        let start = if fill == ' ' { MARGIN } else { MARGIN + 3 };
        put(line, start, &format!("{}{text} ", if fill == ' ' { "" } else { " " }));
    }

    /// Writes `text` around `column`, moved where it would leave the page.
    fn centre(&self, line: &mut [char], column: usize, text: &str) {
        let text = clip(text, self.width - MARGIN);
        let start = (column + 1).saturating_sub(text.len().div_ceil(2)).max(MARGIN);
        put(line, start.min(self.width - text.len()), &text);
    }
}

fn counted(label: &Label, row: &Row<'_>) -> Label {
    if row.times == 1 {
        return label.clone();
    }
    let (times, last) = (row.times, seconds(row.last_us));
    let long = format!("{} x{times} until {last}", label.long);
    Label { long, short: format!("{} x{times}", label.short) }
}

fn tenths(us: u64) -> String {
    format!("{}.{}", us / 1_000_000, us / 100_000 % 10)
}

fn put(line: &mut [char], start: usize, text: &str) {
    for (place, c) in line.iter_mut().skip(start).zip(text.chars()) {
        *place = c;
    }
}

fn finish(line: &[char]) -> String {
    line.iter().collect::<String>().trim_end().to_owned()
}
