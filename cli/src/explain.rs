//! `reveille explain`: what a name in a report, a list or an error means.

use clap::Args;
use reveille_conformance::requirement;
use reveille_scenarios::{CODES, shipped, swarms};

use crate::exit::{NOTHING, Stop, TABLE};
use crate::screen::{Screen, print};
use crate::{library, list};

#[derive(Args)]
pub(crate) struct Explain {
    /// A requirement, decision (D-24), scenario, error code, verdict, exit code, or `exit`
    #[arg(value_name = "ID")]
    id: String,
}

/// A line of an explanation with its head, within the width of the screen.
fn under(head: &str, what: &str) -> String {
    let options = textwrap::Options::new(Screen::new().width);
    let head = format!("  {head:10}");
    let options = options.initial_indent(&head).subsequent_indent("            ");
    textwrap::fill(what, options) + "\n"
}

const VERDICTS: &[(&str, &str)] = &[
    (
        "pass",
        "Every MUST that the play could decide was met. A SHOULD may still be missed: advice.",
    ),
    ("fail", "A MUST was not met, and the harness was healthy."),
    (
        "inconclusive",
        "Nothing was shown either way: what a requirement speaks of never happened, or a planned \
         fault never took effect. Exit code 3.",
    ),
    ("error", "The harness itself broke: a defect in Reveille, never a failure of the gateway."),
];

pub(crate) fn run(explain: &Explain) -> Result<u8, Stop> {
    let id = explain.id.as_str();
    let ways = [of_requirement, of_decision, of_scenario, of_code, of_verdict, of_exit];
    match ways.iter().find_map(|way| way(id)) {
        Some(text) => print(&text),
        None => Err(Stop::new(
            NOTHING,
            format!(
                "`{id}` is no requirement, decision, scenario, error code, verdict or exit code.{} \
                 `reveille list` has the scenarios, `reveille list requirements` the requirements, \
                 `reveille explain exit` the exit codes",
                library::did_you_mean(id, names())
            ),
        )),
    }
}

/// All that can be explained, but for numbers.
fn names() -> impl Iterator<Item = &'static str> {
    let ruled = requirement::all().iter().map(|row| row.id.as_str());
    let decided = requirement::decisions().iter().map(|row| row.id.as_str());
    let told = shipped().iter().chain(swarms()).chain(CODES).chain(VERDICTS).map(|(name, _)| *name);
    ruled.chain(decided).chain(told)
}

fn of_requirement(id: &str) -> Option<String> {
    let row = requirement::find(id)?;
    let (level, severity) = (list::level(row.level), &row.severity);
    let mut text = format!("{id}  {level}, {severity}\n");
    text.push_str(&under("rule", &row.text));
    text.push_str(&under("source", &row.source));
    for number in &row.decision {
        let decided = requirement::decisions().iter().find(|it| it.id == *number)?;
        let what = format!("{number} (JsonRTC {}): {}", decided.section, decided.text);
        text.push_str(&under("decided", &what));
    }
    if let Some(check) = row.check() {
        let sim = "its check, only with the gateway's own events, in simulation";
        let seen = if check.sim { sim } else { "its check, by a stranger" };
        text.push_str(&under("seen", seen));
    }
    text.push_str(&listed("checks of", row.checks.iter()));
    let pieces = library::all().ok()?;
    let ids = pieces.iter().filter(|piece| piece.scenario.covers.iter().any(|of| of == id));
    let covering: Vec<_> = ids.map(|piece| piece.scenario.id.clone()).collect();
    text.push_str(&listed("shown by", covering.iter().chain(&row.scenarios)));
    text.push_str(&listed("tests", row.tests.iter()));
    if let Some(why) = &row.open {
        text.push_str(&under("OPEN", why));
    }
    Some(text)
}

/// Lines of which the first has the head.
fn listed<'a>(head: &str, all: impl Iterator<Item = &'a String>) -> String {
    let row = |(index, what): (usize, &String)| under(if index == 0 { head } else { "" }, what);
    all.enumerate().map(row).collect()
}

fn of_decision(id: &str) -> Option<String> {
    let decided = requirement::decisions().iter().find(|it| it.id.eq_ignore_ascii_case(id))?;
    let mut text =
        format!("{}  a decision of this project, JsonRTC {}\n", decided.id, decided.section);
    text.push_str(&under("rule", &decided.text));
    let rows = requirement::all().iter().filter(|row| row.decision.contains(&decided.id));
    let rows: Vec<_> = rows.map(|row| format!("{} ({})", row.id, list::held(row))).collect();
    Some(text + &listed("stated by", rows.iter()))
}

fn of_scenario(id: &str) -> Option<String> {
    let (_, text) = shipped().iter().chain(swarms()).find(|(name, _)| *name == id)?;
    Some(format!("{text}\n# Play it: reveille run {id}\n"))
}

fn of_code(id: &str) -> Option<String> {
    let of = CODES.iter().find(|(code, _)| *code == id);
    of.map(|(code, what)| format!("{code}\n{}", under("", what)))
}

fn of_verdict(id: &str) -> Option<String> {
    let of = VERDICTS.iter().find(|(word, _)| *word == id)?;
    Some(format!("{}\n{}", of.0, under("", of.1)))
}

fn of_exit(id: &str) -> Option<String> {
    let row = |(code, what): &(u8, &str)| format!("{code:>4}  {what}\n");
    if id == "exit" {
        return Some(TABLE.iter().map(row).collect());
    }
    let code: u8 = id.parse().ok()?;
    TABLE.iter().find(|(of, _)| *of == code).map(row)
}
