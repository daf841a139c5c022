//! Sights and predicates by themselves, without the names of a file.

use super::predicate::{Compare, Form, RawSight, predicate, sight};
use super::seen::{Argument, SEEN, Seer};
use crate::expect::Wanted;
use crate::sight::{Sight, What};

/// What this sight stands for, wherever its names are known.
pub(crate) fn sight_alone(text: &str) -> Option<Sight> {
    resolved(&sight(text).ok()?)
}

/// What this predicate wants, wherever its names are known.
pub(crate) fn predicate_alone(text: &str) -> Option<Wanted> {
    let (raw, form) = predicate(text).ok()?;
    let sight = resolved(&raw)?;
    Some(match form {
        Form::Seen => Wanted::Seen(sight),
        Form::Never => Wanted::Never(sight),
        Form::Count(compare, number) => {
            let number = number.name.parse().ok()?;
            match compare {
                Compare::Equal => Wanted::Count(sight, number, number),
                Compare::AtMost => Wanted::Count(sight, 0, number),
                Compare::AtLeast => Wanted::Count(sight, number, usize::MAX),
            }
        }
        Form::FirstIn(statuses) => {
            let statuses = statuses.iter().map(|used| used.name.parse().ok());
            Wanted::FirstIn(sight, statuses.collect::<Option<_>>()?)
        }
    })
}

fn resolved(raw: &RawSight<'_>) -> Option<Sight> {
    let by = |seer| match raw.actor.name {
        "push" => seer == Seer::Push,
        "registrar" => seer == Seer::Registrar,
        _ => matches!(seer, Seer::Caller | Seer::Phone),
    };
    // A word that callers and phones both have takes the same of both, but for whom it names.
    let seen = SEEN.iter().find(|seen| seen.word == raw.word.name && by(seen.by))?;
    let mut sight = Sight {
        actor: Some(raw.actor.name.to_owned()),
        what: seen.what,
        about: None,
        numbers: (seen.word == "final").then_some((200, 699)),
        text: None,
    };
    for (used, argument) in raw.arguments.iter().zip(seen.arguments) {
        let number = || used.name.parse().ok();
        match argument {
            Argument::Call | Argument::Phone | Argument::Agent => {
                sight.about = Some(used.name.to_owned());
            }
            Argument::Waiting | Argument::Status(_) => sight.numbers = Some((number()?, number()?)),
            Argument::State => sight.text = Some(used.name.to_owned()),
        }
    }
    if seen.what == What::PushArrived {
        sight.actor.clone_from(&sight.about);
    }
    (raw.arguments.len() <= seen.arguments.len()).then_some(sight)
}
