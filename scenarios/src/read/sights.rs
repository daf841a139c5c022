//! From the words of a sight or a predicate to what they stand for.

use std::ops::RangeInclusive;

use super::field::Field;
use super::findings::Findings;
use super::messages::WAITING_MAX;
use super::names::{Kind, Names, Used};
use super::predicate::{Compare, Form, RawSight, Stop, predicate, sight};
use super::seen::{Argument, SEEN, Seen, Seer};
use crate::codes::Code;
use crate::expect::Wanted;
use crate::problem::Problem;
use crate::sight::{Sight, What};
use crate::words::{listed, quoted, suggest};

const STATES: [&str; 6] = ["connected", "reconnecting", "hibernated", "failed", "closed", "killed"];

/// No play has so many facts of a kind.
const COUNT_MAX: usize = 1_000_000;

/// Reads sights and predicates from fields, for the step of this number.
pub(super) struct Sights<'n, 't> {
    pub(super) names: &'n Names<'t>,
    pub(super) at: usize,
}

impl Sights<'_, '_> {
    /// A field that holds a sight.
    pub(super) fn sight(&self, field: Field<'_>, f: &mut Findings<'_>) -> Option<Sight> {
        let text = field.string(&format!("{} = \"bob.alerted(c1)\"", field.key), f)?;
        match sight(text) {
            Ok(raw) => self.resolve(field, &raw, f).map(|(sight, _)| sight),
            Err(stop) => stopped(field, stop, f),
        }
    }

    /// A field that holds a predicate.
    pub(super) fn predicate(&self, field: Field<'_>, f: &mut Findings<'_>) -> Option<Wanted> {
        let text = field.string(&format!("{} = \"bob.alerted(c1)\"", field.key), f)?;
        let (raw, form) = match predicate(text) {
            Ok(read) => read,
            Err(stop) => return stopped(field, stop, f),
        };
        let resolved = self.resolve(field, &raw, f);
        match form {
            Form::Seen => Some(Wanted::Seen(resolved?.0)),
            Form::Never => Some(Wanted::Never(resolved?.0)),
            Form::Count(compare, number) => {
                let (least, most) = bounds(field, compare, &number, f)?;
                Some(Wanted::Count(resolved?.0, least, most))
            }
            Form::FirstIn(statuses) => first_in(field, &raw, resolved?, &statuses, f),
        }
    }

    fn resolve(
        &self,
        field: Field<'_>,
        raw: &RawSight<'_>,
        f: &mut Findings<'_>,
    ) -> Option<(Sight, &'static Seen)> {
        let by = self.seer(field, &raw.actor, f)?;
        let seen = known(field, raw, by, f)?;
        let actor = Some(raw.actor.name.to_owned());
        let mut sight = Sight { actor, what: seen.what, about: None, numbers: None, text: None };
        let (mut sound, mut takes) = (true, seen.arguments.iter());
        for used in &raw.arguments {
            sound &= match takes.next() {
                Some(argument) => self.argument(field, used, argument, &mut sight, f).is_some(),
                None => superfluous(field, used, seen, f),
            };
        }
        if seen.word == "final" && sight.numbers.is_none() {
            sight.numbers = Some((200, 699));
        }
        if matches!(seen.what, What::PushArrived | What::PushHeld) {
            // It is the phone that a push arrives at or that holds it, so the fact is the phone's own.
            sight.actor.clone_from(&sight.about);
        }
        sound.then_some((sight, seen))
    }

    fn seer(&self, field: Field<'_>, actor: &Used<'_>, f: &mut Findings<'_>) -> Option<Seer> {
        match actor.name {
            "push" => Some(Seer::Push),
            "registrar" => Some(Seer::Registrar),
            "gateway" | "world" | "director" => {
                let message = format!("nothing is seen of {} itself", quoted(actor.name));
                let problem =
                    Problem::new(Code::WrongSight, field.inside(&actor.span, f.text), message);
                f.push(problem.label("sees nothing").help(
                    "what a gateway does is seen by its peers: callers, phones, `push` and \
                     `registrar`",
                ));
                None
            }
            name => {
                let used = Used { name, span: field.inside(&actor.span, f.text) };
                match self.names.actor(&used, &["push", "registrar"], f) {
                    Kind::Phone => Some(Seer::Phone),
                    Kind::Caller => Some(Seer::Caller),
                    Kind::Unclear => None,
                }
            }
        }
    }

    fn argument(
        &self,
        field: Field<'_>,
        used: &Used<'_>,
        wanted: &Argument,
        sight: &mut Sight,
        f: &mut Findings<'_>,
    ) -> Option<()> {
        let placed = Used { name: used.name, span: field.inside(&used.span, f.text) };
        match wanted {
            Argument::Call if used.name.bytes().all(|b| b.is_ascii_digit()) => {
                let message = format!("a call is missing before {}", quoted(used.name));
                let problem = Problem::new(Code::NotAPredicate, placed.span, message);
                let help = format!("the call comes first, as in `(c1, {})`", used.name);
                f.push(problem.label("this is no call").help(help));
                return None;
            }
            Argument::Call => sight.about = Some(self.names.call(&placed, self.at, f)?),
            Argument::Phone => sight.about = Some(self.names.phone(&placed, f)?),
            Argument::Agent => sight.about = Some(self.names.caller(&placed, f)?),
            Argument::Waiting => {
                let number = waiting(&placed, f)?;
                sight.numbers = Some((number, number));
            }
            Argument::Status(within) => {
                let status = status(&placed, within, f)?;
                sight.numbers = Some((status, status));
            }
            Argument::State if STATES.contains(&used.name) => {
                sight.text = Some(used.name.to_owned());
            }
            Argument::State => {
                let message = format!("no app is ever {}", quoted(used.name));
                let problem = Problem::new(Code::UnknownWord, placed.span, message);
                let help = suggest(used.name, &STATES, "the states are");
                f.push(problem.label("unknown state").help(help));
                return None;
            }
        }
        Some(())
    }
}

/// What the word stands for when this one sees it.
fn known(
    field: Field<'_>,
    raw: &RawSight<'_>,
    by: Seer,
    f: &mut Findings<'_>,
) -> Option<&'static Seen> {
    let found = SEEN.iter().find(|seen| seen.by == by && seen.word == raw.word.name);
    if found.is_some() {
        return found;
    }
    let here: Vec<_> = SEEN.iter().filter(|s| s.by == by).map(|s| s.word).collect();
    let owners: Vec<_> =
        SEEN.iter().filter(|s| s.word == raw.word.name).map(|s| s.by.name()).collect();
    let (actor, word) = (quoted(raw.actor.name), quoted(raw.word.name));
    let span = field.inside(&raw.word.span, f.text);
    let there_is = format!("{} has", by.name());
    let problem = if owners.is_empty() {
        let message = format!("nothing that {actor} sees is called {word}");
        Problem::new(Code::UnknownSight, span, message).label("unknown").help(suggest(
            raw.word.name,
            &here,
            &there_is,
        ))
    } else {
        let message = format!("{actor} is {}, and cannot see {word}", by.name());
        let all = listed(here, "and");
        Problem::new(Code::WrongSight, span, message)
            .label("would never come")
            .help(format!("{there_is} {all}; {word} is seen by {}", owners.join(" and ")))
    };
    f.push(problem);
    None
}

/// An argument too many.
fn superfluous(field: Field<'_>, used: &Used<'_>, seen: &Seen, f: &mut Findings<'_>) -> bool {
    let takes: Vec<_> = seen.arguments.iter().map(Argument::name).collect();
    let takes = takes.join(" and ");
    let message = format!("`{}` takes {takes}, and nothing more", seen.word);
    let problem = Problem::new(Code::NotAPredicate, field.inside(&used.span, f.text), message);
    f.push(problem.label("superfluous").help(format!("leave {} out", quoted(used.name))));
    false
}

fn first_in(
    field: Field<'_>,
    raw: &RawSight<'_>,
    (sight, seen): (Sight, &Seen),
    statuses: &[Used<'_>],
    f: &mut Findings<'_>,
) -> Option<Wanted> {
    let within = seen.arguments.iter().find_map(|argument| match argument {
        Argument::Status(within) => Some(within),
        _ => None,
    });
    let narrowed = raw.arguments.len() == seen.arguments.len();
    let (Some(within), false) = (within, narrowed) else {
        let why = if narrowed { "is given its status twice" } else { "has no status" };
        let message = format!("`{}` {why}", seen.word);
        let problem =
            Problem::new(Code::NotAPredicate, field.inside(&raw.word.span, f.text), message);
        f.push(problem.label("cannot be compared").help(
            "a status stands in the brackets or after `==`: `alice.received(c1, 180)` or \
             `alice.final(c1) == 200`; all else is counted: `count(bob.alerted(c1)) == 1`",
        ));
        return None;
    };
    let mut all = Vec::new();
    for used in statuses {
        let placed = Used { name: used.name, span: field.inside(&used.span, f.text) };
        all.extend(status(&placed, within, f));
    }
    (all.len() == statuses.len()).then_some(Wanted::FirstIn(sight, all))
}

fn status(used: &Used<'_>, within: &RangeInclusive<u16>, f: &mut Findings<'_>) -> Option<u16> {
    let number = used.name.parse().ok().filter(|n| within.contains(n));
    if number.is_none() {
        let (least, most) = (within.start(), within.end());
        let message = format!("{} is no status from {least} to {most}", quoted(used.name));
        let problem = Problem::new(Code::OutOfRange, used.span.clone(), message);
        f.push(problem.label("no such status").help(format!("write a number, such as `{least}`")));
    }
    number
}

fn waiting(used: &Used<'_>, f: &mut Findings<'_>) -> Option<u16> {
    let number = used.name.parse().ok().filter(|n| *n <= WAITING_MAX);
    if number.is_none() {
        let message = format!("{} is no number from 0 to {WAITING_MAX}", quoted(used.name));
        let problem = Problem::new(Code::OutOfRange, used.span.clone(), message);
        f.push(problem.label("out of range").help("write how many messages wait, such as `3`"));
    }
    number
}

/// The least and the greatest count that a comparison allows.
fn bounds(
    field: Field<'_>,
    compare: Compare,
    number: &Used<'_>,
    f: &mut Findings<'_>,
) -> Option<(usize, usize)> {
    let found = number.name.parse::<usize>().ok().filter(|n| *n <= COUNT_MAX);
    let (message, help) = match (compare, found) {
        (Compare::AtLeast, Some(0)) => {
            ("a count is always at least 0".to_owned(), "write `>= 1`, or leave the line out")
        }
        (Compare::Equal, Some(n)) => return Some((n, n)),
        (Compare::AtMost, Some(n)) => return Some((0, n)),
        (Compare::AtLeast, Some(n)) => return Some((n, usize::MAX)),
        (_, None) => (
            format!("{} is no number from 0 to {COUNT_MAX}", quoted(number.name)),
            "write a whole number, as in `count(push.sent(bob)) == 1`",
        ),
    };
    let problem = Problem::new(Code::OutOfRange, field.inside(&number.span, f.text), message);
    f.push(problem.label("out of range").help(help));
    None
}

fn stopped<T>(field: Field<'_>, stop: Stop, f: &mut Findings<'_>) -> Option<T> {
    let span = field.inside(&stop.span, f.text);
    let problem = Problem::new(Code::NotAPredicate, span, stop.message);
    f.push(problem.label("not understood from here on").help(stop.help));
    None
}
