//! Steps: one head, one verb, and the arguments that go with it.

use super::field::{FOREVER, Field, Table};
use super::findings::Findings;
use super::names::{Calls, Kind, Names, Used, call_mark};
use super::sights::Sights;
use super::verbs::{VERBS, Verbs};
use super::{HOMES, LINES_MAX, one_line};
use crate::codes::Code;
use crate::problem::Problem;
use crate::scenario::{Head, Step};
use crate::words::{listed, nearest, quoted};
use std::collections::{BTreeMap, BTreeSet};

const HEADS: [&str; 3] = ["at", "wait", "when"];

const EXAMPLE: &str = "steps = [ { sleep = \"bob\" }, ]";

/// The steps as they stand in the file.
pub(super) fn lines<'t>(script: &Table<'t>, f: &mut Findings<'_>) -> Vec<Field<'t>> {
    let Some(field) = script.field("steps") else {
        no_steps(script.span.clone(), f);
        return Vec::new();
    };
    let Some(list) = field.list(EXAMPLE, f) else { return Vec::new() };
    if list.is_empty() {
        no_steps(field.span(), f);
    }
    f.bound(list.len(), LINES_MAX, "steps", field.span());
    list.iter().map(|value| field.entry(value)).collect()
}

pub(super) fn no_steps(span: std::ops::Range<usize>, f: &mut Findings<'_>) {
    let problem = Problem::new(Code::NoSteps, span, "nothing happens in this scenario");
    f.absent(problem.label("no steps").help(format!("write `{EXAMPLE}` under `[script]`")));
}

/// Which calls the steps place, and messages they send; each mark is placed by one step only.
pub(super) fn calls<'t>(
    lines: &[Field<'t>],
    actors: &BTreeMap<&str, Kind>,
    f: &mut Findings<'_>,
) -> Calls<'t> {
    let mut calls = Calls::new();
    for (at, line) in lines.iter().enumerate() {
        let step = line.value.get_ref().as_table();
        let value = step.and_then(|step| step.get("call").or_else(|| step.get("message")));
        let Some((name, span)) = value.and_then(|v| Some((v.get_ref().as_str()?, v.span()))) else {
            continue;
        };
        let used = Used { name, span };
        call_mark(&used, actors, f);
        if calls.contains_key(name) {
            let message = format!("another step places a call {} already", quoted(name));
            let problem = Problem::new(Code::PlacedTwice, used.span, message);
            f.push(problem.label("placed twice").help("give this call a mark of its own"));
        } else {
            calls.insert(name, at);
        }
    }
    calls
}

/// The marks of messages.
pub(super) fn messages<'t>(lines: &[Field<'t>]) -> BTreeSet<&'t str> {
    let tables = lines.iter().filter_map(|line| line.value.get_ref().as_table());
    tables.filter_map(|step| step.get("message")?.get_ref().as_str()).collect()
}

pub(super) fn steps(lines: &[Field<'_>], names: &Names<'_>, f: &mut Findings<'_>) -> Vec<Step> {
    let numbered = lines.iter().take(LINES_MAX).enumerate();
    numbered.filter_map(|(at, line)| step(*line, &Sights { names, at }, f)).collect()
}

fn step(line: Field<'_>, sights: &Sights<'_, '_>, f: &mut Findings<'_>) -> Option<Step> {
    let table = line.table("this step".into(), EXAMPLE, f)?;
    one_line(&table, f);
    let head = head(&table, sights, f);
    let verb = verb(&table, f).and_then(|field| {
        let verbs = Verbs { names: sights.names, at: sights.at, step: &table };
        verbs.read(field, f)
    });
    Some(Step { head: head?, verb: verb?, line: f.line(table.span.start) })
}

fn head(table: &Table<'_>, sights: &Sights<'_, '_>, f: &mut Findings<'_>) -> Option<Head> {
    let mut heads: Vec<_> = HEADS.iter().filter_map(|key| table.field(key)).collect();
    heads.sort_by_key(|field| field.span().start);
    if let [first, second, ..] = heads[..] {
        let message = format!("this step has both `{}` and `{}`", first.key, second.key);
        let problem = second.problem(Code::OneHead, message).label("the second of them");
        f.push(problem.help("keep the one that says when the step is due"));
    }
    let mut read = heads.iter().map(|field| match field.key {
        "at" => field.duration(("0s", FOREVER), f).map(Head::At),
        "wait" => field.duration(("0s", FOREVER), f).map(Head::Wait),
        _ => sights.sight(*field, f).map(Head::When),
    });
    let first = read.next().unwrap_or(Some(Head::Now));
    // The others are read too, for what is wrong with them.
    if read.count() > 0 { None } else { first }
}

/// The one verb of a step.
fn verb<'t>(table: &Table<'t>, f: &mut Findings<'_>) -> Option<Field<'t>> {
    // `delay` is a verb, and what a storm does.
    let belongs =
        |key: &str| VERBS.iter().any(|(verb, of)| of.contains(&key) && table.field(verb).is_some());
    let mut verbs: Vec<_> = VERBS.iter().filter_map(|(verb, _)| table.field(verb)).collect();
    verbs.retain(|field| !belongs(field.key));
    verbs.sort_by_key(|field| field.span().start);
    match verbs[..] {
        [one] => {
            let arguments = VERBS.iter().find(|(verb, _)| *verb == one.key).map(|(_, a)| *a)?;
            only(table, one.key, arguments, f);
            Some(one)
        }
        [] => {
            no_verb(table, f);
            None
        }
        [first, second, ..] => {
            let message = format!("this step does both `{}` and `{}`", first.key, second.key);
            let problem = second.problem(Code::OneVerb, message).label("the second verb");
            f.push(problem.help("make it a step of its own, on the next line"));
            None
        }
    }
}

/// Finds keys that do not go with the verb.
fn only(table: &Table<'_>, verb: &str, arguments: &[&str], f: &mut Findings<'_>) {
    let known: Vec<_> = [verb].iter().chain(arguments).chain(&HEADS).copied().collect();
    let owners: Vec<_> = table
        .entries
        .keys()
        .filter_map(|key| {
            let owners = VERBS.iter().filter(|(_, a)| a.contains(&&**key.get_ref()));
            let owners: Vec<_> = owners.map(|(verb, _)| *verb).collect();
            let home = (!owners.is_empty()).then(|| format!("to {}", listed(owners, "and")))?;
            Some((&**key.get_ref(), home))
        })
        .collect();
    let homes: Vec<_> = owners.iter().map(|(key, home)| (*key, home.as_str())).collect();
    let homes: Vec<_> = homes.into_iter().chain(HOMES).collect();
    let name = format!("a step that does `{verb}`");
    let table = Table { entries: table.entries, span: table.span.clone(), name };
    table.only(&known, &homes, f);
}

/// A step without a verb: one of its keys may be a verb with a slip in it.
fn no_verb(table: &Table<'_>, f: &mut Findings<'_>) {
    let arguments = |key: &str| VERBS.iter().any(|(_, a)| a.contains(&key));
    let strange = table.entries.keys().find(|key| {
        let key: &str = key.get_ref();
        !HEADS.contains(&key) && !arguments(key)
    });
    let verbs = || VERBS.iter().map(|(verb, _)| *verb);
    let all = format!("the verbs are {}", listed(verbs(), "and"));
    let (message, span, help) = match strange {
        Some(key) => {
            let word: &str = key.get_ref();
            let likely = nearest(word, verbs());
            let help = likely.map_or(all.clone(), |l| format!("did you mean `{l}`? {all}"));
            (format!("this step has no verb, and {} is none", quoted(word)), key.span(), help)
        }
        None => ("this step has no verb".to_owned(), table.span.clone(), all),
    };
    f.absent(Problem::new(Code::OneVerb, span, message).label("no verb").help(help));
}
