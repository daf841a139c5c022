//! Files of `kind = "swarm"`: the bounds within which seeds draw scenarios.

use std::time::Duration;

use super::actors::{APPS, SERVICES, TRANSPORTS};
use super::field::{Field, Table};
use super::findings::Findings;
use super::settings;
use crate::codes::Code;
use crate::swarm::{Between, Feature, Swarm};

const TOP: [&str; 7] = ["schema", "kind", "id", "title", "covers", "run", "draw"];

const DRAW: [&str; 11] = [
    "phones",
    "callers",
    "calls",
    "faults",
    "span",
    "wake-budget",
    "ring-deadline",
    "apps",
    "push",
    "transports",
    "features",
];

/// Where a key belongs that stands in the wrong table.
const HOMES: [(&str, &str); 12] = [
    ("phones", "under `[draw]`"),
    ("callers", "under `[draw]`"),
    ("calls", "under `[draw]`"),
    ("faults", "under `[draw]`"),
    ("span", "under `[draw]`"),
    ("wake-budget", "under `[draw]`"),
    ("ring-deadline", "under `[draw]`"),
    ("apps", "under `[draw]`"),
    ("push", "under `[draw]`"),
    ("transports", "under `[draw]`"),
    ("features", "under `[draw]`"),
    ("seeds", "under `[run]`"),
];

const KINDS: [(&str, ()); 1] = [("swarm", ())];

/// True if the file says that it is a swarm.
pub(super) fn is_said(top: &Table<'_>) -> bool {
    top.field("kind").is_some_and(|kind| kind.value.get_ref().as_str() == Some("swarm"))
}

pub(super) fn swarm(id: &str, top: &Table<'_>, f: &mut Findings<'_>) -> Option<Swarm> {
    top.only(&TOP, &HOMES, f);
    super::schema(top, f);
    let kind = top.needed("kind", "kind = \"swarm\"", f).and_then(|kind| kind.word(&KINDS, f));
    super::same_id(id, top, f);
    let title = super::title(top, f);
    let covers = super::covers(top, f);
    let seeds = settings::seeds(top, f);
    let section = top.needed("draw", "[draw]", f);
    let table = section.and_then(|s| s.table("`[draw]`".into(), "phones = [1, 2]", f))?;
    table.only(&DRAW, &HOMES, f);
    let mut count = |key, bounds, usual| numbers(&table, key, bounds, usual, f);
    let phones = count("phones", (1, 4), (1, 2));
    let callers = count("callers", (1, 4), (1, 2));
    let calls = count("calls", (3, 40), (3, 8));
    let faults = count("faults", (1, 12), (1, 4));
    let mut time = |key, bounds, usual| times(&table, key, bounds, usual, f);
    let span = time("span", ("10s", "10m"), (60, 180));
    let wake_budget = time("wake-budget", ("5s", "150s"), (8, 15));
    let ring_deadline = time("ring-deadline", ("5s", "150s"), (10, 20));
    let apps = words(&table, "apps", &APPS, f);
    let push = words(&table, "push", &SERVICES, f);
    let transports = words(&table, "transports", &TRANSPORTS, f);
    let known: Vec<_> = Feature::ALL.iter().map(|feature| (feature.word(), *feature)).collect();
    let features = words(&table, "features", &known, f);
    bites(&table, &features, f);
    kind?;
    Some(Swarm {
        id: id.to_owned(),
        title: title?,
        covers,
        phones: phones?,
        callers: callers?,
        calls: calls?,
        faults: faults?,
        span: span?,
        wake_budget: wake_budget?,
        ring_deadline: ring_deadline?,
        apps,
        push,
        transports,
        features,
        seeds,
    })
}

/// Each play plans a fault, so one must be among the features.
fn bites(table: &Table<'_>, features: &[Feature], f: &mut Findings<'_>) {
    let Some(field) = table.field("features") else { return };
    if features.is_empty() || features.iter().any(|feature| feature.is_fault()) {
        return;
    }
    let problem = field.problem(Code::OutOfRange, "`features` names no fault");
    f.push(problem.label("traffic alone").help("add a fault, as in `features = [\"crash\"]`"));
}

/// A list of words, each with its meaning; absent: all of them.
fn words<T: Copy>(
    table: &Table<'_>,
    key: &str,
    known: &[(&str, T)],
    f: &mut Findings<'_>,
) -> Vec<T> {
    let Some(field) = table.field(key) else {
        return known.iter().map(|(_, meaning)| *meaning).collect();
    };
    let first = known.first().map_or("", |(word, _)| word);
    let example = format!("{key} = [\"{first}\"]");
    let entries = field.strings(&example, f);
    if field.value.get_ref().as_array().is_some_and(|list| list.is_empty()) {
        let problem = field.problem(Code::OutOfRange, format!("`{key}` names nothing"));
        f.push(problem.label("empty").help(format!("write `{example}`, or leave it out for all")));
    }
    entries.into_iter().filter_map(|entry| entry.word(known, f)).collect()
}

/// The two entries of a list.
fn pair<'t>(field: Field<'t>, example: &str, f: &mut Findings<'_>) -> Option<[Field<'t>; 2]> {
    let list = field.list(example, f)?;
    let entries: Vec<_> = list.iter().map(|value| field.entry(value)).collect();
    let pair = <[Field<'t>; 2]>::try_from(entries);
    if pair.is_err() {
        let message = format!("`{}` is not a lower and an upper bound", field.key);
        let problem = field.problem(Code::OutOfRange, message).label("two bounds are needed");
        f.push(problem.help(format!("write `{example}`")));
    }
    pair.ok()
}

/// Two bounds in their order.
fn ordered<T: PartialOrd>(
    field: Field<'_>,
    least: Option<T>,
    most: Option<T>,
    f: &mut Findings<'_>,
) -> Option<Between<T>> {
    let (least, most) = (least?, most?);
    if least > most {
        let message = format!("the lower bound of `{}` is above the upper one", field.key);
        let problem = field.problem(Code::OutOfRange, message).label("nothing lies between");
        f.push(problem.help("write the lower bound first"));
        return None;
    }
    Some(Between { least, most })
}

fn numbers(
    table: &Table<'_>,
    key: &str,
    (low, high): (u32, u32),
    (least, most): (u32, u32),
    f: &mut Findings<'_>,
) -> Option<Between<u32>> {
    let Some(field) = table.field(key) else { return Some(Between { least, most }) };
    let [first, second] = pair(field, &format!("{key} = [{least}, {most}]"), f)?;
    let (first, second) = (first.number(low..=high, f), second.number(low..=high, f));
    ordered(field, first, second, f)
}

fn times(
    table: &Table<'_>,
    key: &str,
    bounds: (&str, &str),
    (least, most): (u64, u64),
    f: &mut Findings<'_>,
) -> Option<Between<Duration>> {
    let usual = [least, most].map(Duration::from_secs);
    let Some(field) = table.field(key) else {
        return Some(Between { least: usual[0], most: usual[1] });
    };
    let [first, second] = pair(field, &format!("{key} = [\"{least}s\", \"{most}s\"]"), f)?;
    let (first, second) = (first.duration(bounds, f), second.duration(bounds, f));
    ordered(field, first, second, f)
}
