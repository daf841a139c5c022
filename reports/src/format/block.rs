//! The block of a case that did not pass: the same text on a screen, in `summary.txt` and in JUnit.

use reveille_trace::{Case, Finding, Observed, Trace};

use super::ladder;
use crate::store::ladder_of;
use crate::text::{ascii, clip, count, seconds, wrap};

/// So many findings are told in full; the rest are named.
const FULL: usize = 3;
/// So many rows of the ladder are drawn around the evidence.
const ROWS: usize = 9;
/// Where the text of a line begins.
const INDENT: usize = 12;
/// A sentence longer than this is cut: it came from a peer.
const LONGEST: usize = 1_200;

/// The block, without its first line's verdict word: lines of at most `width` characters.
pub(super) fn lines(case: &Case, trace: Option<&Trace>, width: usize, dir: &str) -> Vec<String> {
    let mut block = Block { lines: Vec::new(), width };
    let deciding = deciding(case);
    for (index, finding) in deciding.iter().take(FULL).enumerate() {
        if index > 0 {
            block.lines.push(String::new());
        }
        block.finding(finding, trace);
    }
    if deciding.is_empty() {
        block.line("actual", "no check had anything to judge");
    }
    if deciding.len() > FULL {
        let names: Vec<_> = deciding[FULL..].iter().map(|f| f.requirement.as_str()).collect();
        block.line("also", &names.join(", "));
    }
    for fault in case.faults.iter().filter(|fault| fault.struck == 0) {
        block.line("fault", &format!("{} on {} never struck", fault.fault, fault.on));
    }
    if let Some(trace) = trace {
        let around = deciding.iter().find_map(|finding| finding.evidence).map(|span| span.first);
        let rows = ladder::compact(trace, around, ROWS, width.saturating_sub(2));
        let fits = rows.lines().all(|row| row.len() + 2 <= width);
        if fits && !trace.events.is_empty() {
            block.lines.extend(rows.lines().map(|row| format!("  {row}")));
        }
    }
    if let Some(events) = &case.events {
        block.line("ladder", &format!("{dir}{}", ladder_of(events)));
    }
    block.reproduce(&case.replay);
    block.lines
}

/// The findings that made a verdict what it is, if it is no pass; in their order.
pub(super) fn deciding(case: &Case) -> Vec<&Finding> {
    let observed = case.verdict.observed;
    let counts = |f: &&Finding| f.level == "MUST" || f.observed == Observed::Error;
    let findings = case.verdict.findings.iter().filter(counts);
    findings.filter(|f| f.observed == observed).collect()
}

/// The whole verdict in one line of at most `most` characters.
pub(super) fn sentence(case: &Case, most: usize) -> String {
    let deciding = deciding(case);
    let Some(first) = deciding.first() else {
        return clip("no check had anything to judge", most);
    };
    let more = match deciding.len() - 1 {
        0 => String::new(),
        more => format!(" (and {})", count(more, "more finding")),
    };
    let Finding { requirement, level, expected, actual, .. } = *first;
    let actual = if actual.is_empty() { "nothing was said" } else { actual };
    let text = format!("{requirement} {level}: expected {expected}; actual: {actual}");
    let text = ascii(&clip(&text, LONGEST));
    clip(&text, most - more.len()) + &more
}

/// The case as a reader knows it: its name, and the seed.
pub(super) fn title(case: &Case) -> String {
    ascii(&format!("{}  seed {}", case.verdict.case, case.verdict.seed))
}

struct Block {
    lines: Vec<String>,
    width: usize,
}

impl Block {
    fn line(&mut self, name: &str, text: &str) {
        let text = ascii(&clip(text, LONGEST));
        let mut name = name;
        for part in wrap(&text, self.width.saturating_sub(INDENT)) {
            self.lines.push(format!("  {name:<width$}{part}", width = INDENT - 2));
            name = "";
        }
    }

    fn finding(&mut self, finding: &Finding, trace: Option<&Trace>) {
        self.line("rule", &format!("{} {}", finding.requirement, finding.level));
        self.line("expected", &finding.expected);
        let actual = if finding.actual.is_empty() { "nothing was said" } else { &finding.actual };
        self.line("actual", actual);
        let Some(span) = finding.evidence else { return };
        let event = trace.and_then(|trace| trace.events.iter().find(|e| e.seq == span.first));
        let time = event.map(|event| format!("at {} s ", seconds(event.t_us))).unwrap_or_default();
        let events = if span.first == span.last {
            format!("event {}", span.first)
        } else {
            format!("events {} to {}", span.first, span.last)
        };
        let text = if time.is_empty() { events } else { format!("{time}({events})") };
        self.line("evidence", &text);
    }

    /// A command that can be copied from the screen: where it is broken, the shell joins it again. A
    /// word too long for a line goes on in the first column, since a shell would split it elsewhere.
    fn reproduce(&mut self, command: &str) {
        self.lines.push("  reproduce with:".to_owned());
        let room = self.width.saturating_sub(6).max(1);
        let command = ascii(&clip(command, LONGEST));
        let mut line = String::new();
        for word in command.split(' ').filter(|word| !word.is_empty()) {
            if line.is_empty() {
                line.push_str("    ");
            } else if line.len() + 1 + word.len() > room + 4 {
                self.lines.push(std::mem::take(&mut line) + " \\");
                line.push_str("    ");
            } else {
                line.push(' ');
            }
            line.push_str(word);
            while line.len() > room + 4 {
                let rest = line.split_off(room + 4);
                self.lines.push(std::mem::replace(&mut line, rest) + "\\");
            }
        }
        self.lines.push(line);
    }
}
