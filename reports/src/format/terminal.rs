//! A run as text for a screen.

use std::borrow::Cow;
use std::collections::BTreeMap;

use reveille_trace::{Case, Finding, Observed, Run, Summary};

use super::block;
use crate::text::{ascii, clip, count, wrap};
use crate::{Traces, no_traces};

/// A screen is taken for no narrower than this.
const NARROWEST: usize = 40;
/// A screen shows no more blocks than this.
const BLOCKS: usize = 10;
/// A file shows no more blocks than this.
const BLOCKS_OF_A_FILE: usize = 1_000;
/// So many advisories are told; the rest are counted.
const ADVISORIES: usize = 10;
/// The id of a scenario takes no more columns than this.
const ID: usize = 44;
/// Where a title has no more room than this, it is left out.
const TITLE: usize = 24;

/// How the text is to look, and what it can draw on.
pub struct Look<'a, 't> {
    /// No line is wider.
    pub width: usize,
    /// Whether verdicts are coloured.
    pub colour: bool,
    /// At most so many blocks.
    pub blocks: usize,
    /// The result directory with its slash, or nothing: put before the paths of ladders.
    pub dir: &'a str,
    /// The traces, for times and ladders.
    pub traces: &'a Traces<'t>,
}

impl<'a, 't> Look<'a, 't> {
    /// A screen of this width, with the traces that are at hand.
    #[must_use]
    pub fn of_a_screen(width: usize, colour: bool, traces: &'a Traces<'t>) -> Self {
        Self { width, colour, blocks: BLOCKS, dir: "", traces }
    }

    /// A file: as wide as a ladder likes it, and with every block.
    #[must_use]
    pub fn of_a_file(traces: &'a Traces<'t>) -> Self {
        Self { width: 104, colour: false, blocks: BLOCKS_OF_A_FILE, dir: "", traces }
    }
}

/// The summary of a run whose traces are not at hand.
#[must_use]
pub fn summary(run: &Run, width: usize, colour: bool) -> String {
    full(run, &Look::of_a_screen(width, colour, &no_traces))
}

/// The summary of a run: a line per scenario, a block per case that did not pass, advice, and one
/// sentence that says what it comes to.
#[must_use]
pub fn full(run: &Run, look: &Look<'_, '_>) -> String {
    let width = look.width.max(NARROWEST);
    let mut lines = scenarios(run, width, look.colour);
    lines.extend(blocks(run, look, width));
    lines.extend(advice(run, width));
    lines.push(String::new());
    lines.extend(wrap(&verdict(&run.summary()), width));
    lines.join("\n") + "\n"
}

const fn word(observed: Observed) -> &'static str {
    match observed {
        Observed::Pass => "PASS",
        Observed::Fail => "FAIL",
        Observed::Inconclusive => "INCONCLUSIVE",
        Observed::Error => "ERROR",
    }
}

fn painted(observed: Observed, text: &str, colour: bool) -> String {
    let code = match observed {
        Observed::Pass => "32",
        Observed::Fail => "1;31",
        Observed::Inconclusive => "33",
        Observed::Error => "1;35",
    };
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Cases that follow each other with one scenario: what [`Run::summary`] counts as one.
fn groups(run: &Run) -> Vec<&[Case]> {
    run.cases.chunk_by(|a, b| a.scenario == b.scenario).collect()
}

fn worst(cases: &[Case]) -> Observed {
    cases.iter().map(|case| case.verdict.observed).max().unwrap_or(Observed::Inconclusive)
}

fn scenarios(run: &Run, width: usize, colour: bool) -> Vec<String> {
    let groups = groups(run);
    let words = groups.iter().map(|cases| word(worst(cases)).len()).max().unwrap_or(0);
    let ids = groups.iter().map(|cases| ascii(&cases[0].scenario).len()).max().unwrap_or(0);
    let ids = ids.min(ID).min(width - words - 2);
    let counts: Vec<_> = groups.iter().map(|cases| cells(cases)).collect();
    let longest = counts.iter().map(String::len).max().unwrap_or(0);
    let line = |(cases, number): (&&[Case], &String)| {
        let observed = worst(cases);
        let id = clip(&ascii(&cases[0].scenario), ids);
        let word = format!("{:<words$}", word(observed));
        let mut rest = format!(" {id:<ids$}");
        if longest > 0 {
            rest.push_str(&format!("  {number:<longest$}"));
        }
        if width > words + rest.len() + TITLE {
            rest.push_str(&format!("  {}", ascii(&cases[0].title)));
        }
        let rest = clip(rest.trim_end(), width - words);
        format!("{}{rest}", painted(observed, &word, colour))
    };
    groups.iter().zip(&counts).map(line).collect()
}

/// How many cases a line stands for, and which of them did not pass.
fn cells(cases: &[Case]) -> String {
    let seeds = cases.iter().map(|case| case.seeds.map_or(1, |seeds| seeds.played));
    let number = usize::try_from(seeds.sum::<u64>()).unwrap_or(usize::MAX);
    if number == 1 {
        return String::new();
    }
    let mut text = count(number, if cases[0].cell.is_empty() { "case" } else { "cell" });
    for observed in [Observed::Error, Observed::Fail, Observed::Inconclusive] {
        let number = cases.iter().filter(|case| case.verdict.observed == observed).count();
        if number > 0 {
            text.push_str(&format!(", {number} {}", said(observed)));
        }
    }
    let void: u64 = cases.iter().filter_map(|case| case.seeds).map(|seeds| seeds.void).sum();
    if void > 0 {
        text.push_str(&format!(", {void} void"));
    }
    text
}

const fn said(observed: Observed) -> &'static str {
    match observed {
        Observed::Pass => "passed",
        Observed::Fail => "failed",
        Observed::Inconclusive => "inconclusive",
        Observed::Error => "broken",
    }
}

fn blocks(run: &Run, look: &Look<'_, '_>, width: usize) -> Vec<String> {
    let mut bad: Vec<_> =
        run.cases.iter().filter(|case| case.verdict.observed != Observed::Pass).collect();
    // The worst first; equals keep the order of the run.
    bad.sort_by_key(|case| std::cmp::Reverse(case.verdict.observed));
    let mut lines = Vec::new();
    for case in bad.iter().take(look.blocks) {
        let observed = case.verdict.observed;
        let title = clip(&block::title(case), width - word(observed).len() - 1);
        lines.push(String::new());
        lines.push(format!("{} {title}", painted(observed, word(observed), look.colour)));
        let trace = (look.traces)(case);
        let trace = trace.as_ref().map(Cow::as_ref);
        lines.extend(block::lines(case, trace, width, look.dir));
    }
    if bad.len() > look.blocks {
        let more = bad.len() - look.blocks;
        lines.push(String::new());
        lines.extend(wrap(&ascii(&format!("and {more} more in {}summary.txt", look.dir)), width));
    }
    lines
}

/// Advice, a line per requirement: how many cases, and what was seen in the first.
fn advice(run: &Run, width: usize) -> Vec<String> {
    let mut by_rule: BTreeMap<(&str, &str), (usize, String)> = BTreeMap::new();
    for case in &run.cases {
        for finding in &case.verdict.findings {
            if finding.level == "MUST" || finding.observed != Observed::Fail {
                continue;
            }
            let Finding { expected, actual, .. } = finding;
            let first = || (0, format!("{}: {expected}: {actual}", case.verdict.case));
            let rule = (finding.requirement.as_str(), finding.level.as_str());
            by_rule.entry(rule).or_insert_with(first).0 += 1;
        }
    }
    let line = |((rule, level), (number, first)): (&(&str, &str), &(usize, String))| {
        let times = if *number == 1 { String::new() } else { format!(" ({number} times)") };
        wrap(&ascii(&format!("ADVICE {rule} {level}{times}, {first}")), width)
    };
    let mut lines: Vec<_> = by_rule.iter().take(ADVISORIES).flat_map(line).collect();
    if by_rule.len() > ADVISORIES {
        let more = count(by_rule.len() - ADVISORIES, "more requirement");
        lines.push(format!("ADVICE on {more}"));
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

/// The one sentence: counts, what they mean, and the exit code that says the same.
fn verdict(summary: &Summary) -> String {
    let numbers = [
        (summary.passed, "passed"),
        (summary.failed, "failed"),
        (summary.inconclusive, "inconclusive"),
        (summary.void, "void"),
        (summary.errors, "broken"),
    ];
    let parts: Vec<_> = numbers.iter().filter(|(number, _)| *number > 0).collect();
    let parts = parts.iter().map(|(n, what)| format!("{n} {what}")).collect::<Vec<_>>();
    let counts = if parts.is_empty() { "none played".to_owned() } else { parts.join(", ") };
    let code = summary.exit_code();
    let meaning = match code {
        0 if summary.cases() == 0 => "This shard has no case of the selection.",
        0 => "Every MUST that could be decided was met.",
        1 => "A MUST was not met.",
        3 => "Nothing failed, but an inconclusive case shows nothing either way.",
        4 => "Nothing was selected.",
        _ if summary.failed > 0 => "A MUST was not met, and the harness itself broke.",
        _ => "The harness itself broke, which says nothing about the gateway.",
    };
    let advice = match summary.advisories {
        0 => String::new(),
        number => {
            let (what, verb) = if number == 1 { ("y", "is") } else { ("ies", "are") };
            format!(" {number} advisor{what} {verb} no failure.")
        }
    };
    let cases =
        format!("{}, {}", count(summary.scenarios, "scenario"), count(summary.cases(), "case"));
    let elsewhere = match summary.elsewhere {
        0 => String::new(),
        number => format!(" Other shards have {}.", count(number, "more case")),
    };
    format!("{cases}: {counts}. {meaning}{advice}{elsewhere} Exit {code}.")
}
