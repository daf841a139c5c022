//! The tables that set the stage: `[world]`, `[run]` and `[sweep]`.

use std::time::Duration;

use super::field::{FOREVER, Field, Table};
use super::findings::Findings;
use crate::scenario::{Place, Point, Proxy, Sweep, SweepFault, World};

/// How long a host stays down that nobody said anything of.
pub(crate) const DOWN: Duration = Duration::from_secs(1);

/// Nodes of the gateway at most.
pub(super) const NODES_MAX: u32 = 4;

const FAULTS: [(&str, SweepFault); 2] =
    [("crash", SweepFault::Crash), ("power-loss", SweepFault::PowerLoss)];

const POINTS: [(&str, Point); 4] = [
    ("store", Point::Store),
    ("send", Point::Send),
    ("receive", Point::Receive),
    ("spawn", Point::Spawn),
];

const LATE_OFFER: [(&str, bool); 2] = [("taken", true), ("refused", false)];

/// Whom a sweep strikes: a trap is laid before anybody else is there.
const HOSTS: [(&str, &str); 1] = [("gateway", "gateway")];

pub(super) fn world(top: &Table<'_>, f: &mut Findings<'_>) -> World {
    let section = top.field("world");
    let table = section.and_then(|s| s.table("`[world]`".into(), "wake-budget = \"30s\"", f));
    let Some(table) = table else { return World::default() };
    table.only(
        &[
            "wake-budget",
            "ring-deadline",
            "registration",
            "late-offer",
            "payload",
            "proxy",
            "nodes",
            "gateway-clock",
        ],
        &super::HOMES,
        f,
    );
    let nodes = table.field("nodes").and_then(|field| field.number(1..=NODES_MAX, f));
    let mut time = |key, bounds| table.field(key).and_then(|field| field.duration(bounds, f));
    World {
        nodes,
        wake_budget: time("wake-budget", ("5s", "150s")),
        ring_deadline: time("ring-deadline", ("1s", FOREVER)),
        registration: time("registration", ("1s", FOREVER)),
        late_offer: table.field("late-offer").and_then(|field| field.word(&LATE_OFFER, f)),
        payload_carries: table
            .field("payload")
            .and_then(|field| field.word(&[("carries", true)], f))
            .unwrap_or_default(),
        proxy: table.field("proxy").map_or(Proxy::default(), |field| proxy(field, f)),
    }
}

/// Where the gateway stands, if it does not stand as usual. What else is wrong with the table, or
/// that it is none, is found by [`world`].
pub(super) fn gateway_place(top: &Table<'_>, f: &mut Findings<'_>) -> Option<(String, Place)> {
    let world = top.field("world")?.value.get_ref().as_table()?;
    let (key, value) = world.get_key_value("gateway-clock")?;
    let field = Field { key: key.get_ref(), value, entry: false };
    let place = Place { ahead_ms: field.shift(f)?, nat: None };
    Some(("gateway".to_owned(), place))
}

fn proxy(field: Field<'_>, f: &mut Findings<'_>) -> Proxy {
    let mut proxy = Proxy::default();
    for entry in field.strings("proxy = [\"challenges\"]", f) {
        match entry.word(&[("challenges", true), ("records-route", false)], f) {
            Some(true) => proxy.challenges = true,
            Some(false) => proxy.records_route = true,
            None => {}
        }
    }
    proxy
}

pub(super) fn seeds(top: &Table<'_>, f: &mut Findings<'_>) -> u64 {
    let section = top.field("run");
    let table = section.and_then(|s| s.table("`[run]`".into(), "seeds = 1", f));
    let Some(table) = table else { return 1 };
    table.only(&["seeds"], &super::HOMES, f);
    table.field("seeds").and_then(|field| field.number(1..=10_000, f)).map_or(1, u64::from)
}

pub(super) fn sweep(top: &Table<'_>, f: &mut Findings<'_>) -> Option<Sweep> {
    let field = top.field("sweep")?;
    let table = field.table("`[sweep]`".into(), "fault = \"crash\"", f)?;
    table.only(&["fault", "on", "down", "points"], &super::HOMES, f);
    let fault = table.needed("fault", "fault = \"crash\"", f).and_then(|s| s.word(&FAULTS, f));
    let on = table.needed("on", "on = \"gateway\"", f).and_then(|field| field.word(&HOSTS, f));
    let down = match table.field("down") {
        Some(field) => field.duration(("0s", FOREVER), f),
        None => Some(DOWN),
    };
    let points = table.needed("points", "points = [\"store\", \"send\"]", f);
    let points = points.map(|field| points_of(field, f));
    Some(Sweep { fault: fault?, on: on?.to_owned(), down: down?, points: points? })
}

fn points_of(field: Field<'_>, f: &mut Findings<'_>) -> Vec<Point> {
    let example = "points = [\"store\", \"send\"]";
    let entries = field.strings(example, f);
    if field.value.get_ref().as_array().is_some_and(|list| list.is_empty()) {
        let problem = field.problem(crate::codes::Code::OutOfRange, "`points` names no point");
        f.push(problem.label("empty").help(format!("write `{example}`")));
    }
    entries.into_iter().filter_map(|entry| entry.word(&POINTS, f)).collect()
}
