//! `reveille explain`: what a name in a report, a list or an error means.

use clap::Args;
use reveille_conformance::checks::CHECKS;
use reveille_conformance::requirement;
use reveille_scenarios::{CODES, shipped};

use crate::exit::{NOTHING, Stop, TABLE};
use crate::screen::{Screen, print};
use crate::{library, list};

#[derive(Args)]
pub(crate) struct Explain {
    /// A requirement, a scenario, the code of an error, a verdict, an exit code, or `exit`
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
    let ways = [of_requirement, of_scenario, of_code, of_verdict, of_exit];
    match ways.iter().find_map(|way| way(id)) {
        Some(text) => print(&text),
        None => Err(Stop::new(
            NOTHING,
            format!(
                "`{id}` is no requirement, scenario, error code, verdict or exit code; \
                 `reveille list` and `reveille list requirements` name them"
            ),
        )),
    }
}

fn of_requirement(id: &str) -> Option<String> {
    let row = requirement::find(id)?;
    let sim = CHECKS.iter().any(|check| check.requirement == id && check.sim);
    let seen =
        if sim { "only with the gateway's own events, in simulation" } else { "by a stranger" };
    let (level, severity) = (list::level(row.level), &row.severity);
    let rows = [("rule", row.text.as_str()), ("source", &row.source), ("seen", seen)];
    let mut text = format!("{id}  {level}, {severity}\n");
    rows.iter().for_each(|(head, what)| text.push_str(&under(head, what)));
    let covering = library::all().ok()?;
    let covering = covering.iter().filter(|piece| piece.scenario.covers.iter().any(|of| of == id));
    for (index, piece) in covering.enumerate() {
        let head = if index == 0 { "shown by" } else { "" };
        text.push_str(&under(head, &piece.scenario.id));
    }
    Some(text)
}

fn of_scenario(id: &str) -> Option<String> {
    let (_, text) = shipped().iter().find(|(name, _)| *name == id)?;
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
