//! `reveille list`: what can be played, and what is decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use reveille_conformance::requirement::{self, Level, Requirement};
use reveille_scenarios::Scenario;
use reveille_sim::suite::Piece;

use crate::exit::Stop;
use crate::library;
use crate::screen::{Screen, print};

/// What is listed.
#[derive(Clone, Copy, Default, ValueEnum)]
enum What {
    /// Every scenario, with what it shows
    #[default]
    Scenarios,
    /// Every requirement, and what holds it
    Requirements,
}

#[derive(Args)]
pub(crate) struct List {
    /// What to list
    #[arg(default_value = "scenarios")]
    what: What,
}

pub(crate) fn run(list: &List) -> Result<u8, Stop> {
    let text = match list.what {
        What::Scenarios => scenarios()?,
        What::Requirements => requirements(),
    };
    print(&text)
}

fn scenarios() -> Result<String, Stop> {
    let pieces = library::all()?;
    let rows = pieces.iter().map(|piece| {
        let scenario = &piece.scenario;
        let many = match (&scenario.sweep, scenario.seeds) {
            (Some(_), _) => "  (a case for each point of its sweep)".to_owned(),
            (None, 1) => String::new(),
            (None, seeds) => format!("  ({seeds} seeds)"),
        };
        (scenario.id.clone(), format!("{}{many}", scenario.title))
    });
    let rows: Vec<_> = rows.collect();
    let swarms = library::all_swarms()?;
    let row = |piece: &Arc<Piece>| {
        let Scenario { id, title, seeds, .. } = &piece.scenario;
        (id.clone(), format!("{title}  (a swarm: {seeds} seeds, or `--seeds N`)"))
    };
    let drawn: Vec<_> = swarms.iter().map(row).collect();
    Ok(format!(
        "{}\n{}\n{} scenarios. `reveille run <name>` plays one, `reveille explain <name>` tells more.\n",
        table(&rows),
        table(&drawn),
        rows.len()
    ))
}

fn requirements() -> String {
    let mut areas: BTreeMap<&str, Vec<&Requirement>> = BTreeMap::new();
    requirement::all().iter().for_each(|row| areas.entry(row.area()).or_default().push(row));
    let mut text = String::new();
    for (area, rows) in areas {
        text.push_str(&format!("# {area} ({})\n", rows.len()));
        rows.into_iter().for_each(|row| text.push_str(&entry(row)));
        text.push('\n');
    }
    text + &totals()
}

/// A requirement: its id, its level and what holds it on one line, its text below.
fn entry(row: &Requirement) -> String {
    let options = textwrap::Options::new(Screen::new().width.min(100));
    let options = options.initial_indent("    ").subsequent_indent("    ");
    let what = match &row.open {
        Some(why) => format!("{} OPEN: {why}", row.text),
        None => row.text.clone(),
    };
    let head = format!("{:55} {:6} {}", row.id, level(row.level), held(row));
    format!("{}\n{}\n", head.trim_end(), textwrap::fill(&what, options))
}

/// How a requirement is held, in few words.
pub(crate) fn held(row: &Requirement) -> String {
    let many = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    };
    let check = row.check().map(|check| if check.sim { "check (sim)" } else { "check" });
    let others = many(row.checks.len(), "check");
    let scenarios = many(row.scenarios.len(), "scenario");
    let open = row.open.as_ref().map(|_| "open".to_owned());
    let all =
        [check.map(ToOwned::to_owned), others, scenarios, many(row.tests.len(), "test"), open];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A way to hold a requirement, and how to tell it.
type Way = (&'static str, fn(&Requirement) -> bool);

/// Each requirement counts once, by the strongest that holds it.
fn totals() -> String {
    let all = requirement::all();
    let ways: [Way; 5] = [
        ("decided by a check of their own in every run", |row| row.check().is_some()),
        ("decided by checks of other requirements", |row| !row.checks.is_empty()),
        ("held by what scenarios expect", |row| !row.scenarios.is_empty()),
        ("held by tests", |row| !row.tests.is_empty()),
        ("open", |row| row.open.is_some()),
    ];
    let mut text = format!("{} requirements\n", all.len());
    for (index, (what, _)) in ways.iter().enumerate() {
        let is_it = |row: &&Requirement| ways.iter().position(|(_, way)| way(row)) == Some(index);
        text.push_str(&format!("{:5}  {what}\n", all.iter().filter(is_it).count()));
    }
    text + "`reveille explain ID` tells more; so does a decision, D-01 to D-48.\n"
}

pub(crate) const fn level(level: Level) -> &'static str {
    match level {
        Level::Must => "MUST",
        Level::Should => "SHOULD",
        Level::May => "MAY",
    }
}

/// Names on the left, what they are on the right, within the width of the screen.
fn table(rows: &[(String, String)]) -> String {
    let wide = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let left = " ".repeat(wide + 2);
    let room = Screen::new().width.saturating_sub(wide + 2).max(30);
    let row = |(name, text): &(String, String)| {
        let lines = textwrap::wrap(text, room).join(&format!("\n{left}"));
        format!("{name:wide$}  {lines}\n")
    };
    rows.iter().map(row).collect()
}
