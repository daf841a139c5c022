//! `reveille list`: what can be played, and what is decided.

use clap::{Args, ValueEnum};
use reveille_conformance::checks::CHECKS;
use reveille_conformance::requirement::{self, Level};

use crate::exit::Stop;
use crate::library;
use crate::screen::{Screen, print};

/// What is listed.
#[derive(Clone, Copy, Default, ValueEnum)]
enum What {
    /// Every scenario, with what it shows
    #[default]
    Scenarios,
    /// Every requirement that a check decides
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
    Ok(format!(
        "{}\n{} scenarios. `reveille run <name>` plays one, `reveille explain <name>` tells more.\n",
        table(&rows),
        rows.len()
    ))
}

fn requirements() -> String {
    let all = requirement::all();
    let rows: Vec<_> = all
        .iter()
        .map(|row| {
            let level = level(row.level);
            let sim = CHECKS.iter().any(|check| check.sim && check.requirement == row.id);
            let sim = if sim { "  (needs the simulator)" } else { "" };
            (row.id.clone(), format!("{level:6} {}{sim}", row.text))
        })
        .collect();
    let count = rows.len();
    format!("{}\n{count} requirements, each with its check.\n", table(&rows))
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
