//! Whom and what a scenario names. Actors and marks have no name in common, so a name alone says which.

use std::collections::BTreeSet;

use reveille_scenarios::{Expect, Message, Scenario, Sight, Verb, Wanted};

/// Shows each name in a verb.
pub(super) fn in_verb(verb: &mut Verb, see: &mut dyn FnMut(&mut String)) {
    match verb {
        Verb::Sleep { phone, by_close: _ }
        | Verb::Resume { phone }
        | Verb::SetPushes { phone, ignored: _ }
        | Verb::KillApp { phone }
        | Verb::DropWebSocket { phone }
        | Verb::Device { phone, act: _ } => see(phone),
        Verb::SetOnCall { who, on_call: _ }
        | Verb::SetEarly { who, early: _ }
        | Verb::SetNode { who, node: _ } => see(who),
        Verb::Call { mark, from, to, .. } | Verb::Message(Message { mark, from, to, .. }) => {
            [mark, from, to].into_iter().for_each(see);
        }
        Verb::Cancel { mark, by }
        | Verb::HangUp { who: mark, by }
        | Verb::Renegotiate { mark, by, update: _, stale: _ }
        | Verb::Info { mark, by } => [mark].into_iter().chain(by).for_each(see),
        Verb::Subscribe { phone, to } => [phone, to].into_iter().for_each(see),
        Verb::Notify { phone, by, messages: _, ends: _ } => [phone, by].into_iter().for_each(see),
        Verb::Retransmit { mark } => see(mark),
        Verb::Crash { host, down: _ }
        | Verb::PowerLoss { host, down: _ }
        | Verb::Restart { host, down: _ } => see(host),
        Verb::Partition { a, b, lasts: _ }
        | Verb::Cut { from: a, to: b, lasts: _ }
        | Verb::Storm { a, b, weather: _, lasts: _ } => [a, b].into_iter().for_each(see),
        Verb::Outage { host, lasts: _ }
        | Verb::Clock { host, by_ms: _ }
        | Verb::Move { who: host }
        | Verb::Rebind { who: host } => see(host),
        Verb::Push { .. } | Verb::Note { .. } => {}
    }
}

/// Shows each name in a sight.
pub(super) fn in_sight(sight: &mut Sight, see: &mut dyn FnMut(&mut String)) {
    let Sight { actor, what: _, about, numbers: _, text: _ } = sight;
    actor.iter_mut().chain(about).for_each(see);
}

/// Shows each name in an expectation.
pub(super) fn in_expect(expect: &mut Expect, see: &mut dyn FnMut(&mut String)) {
    match &mut expect.wanted {
        Wanted::Seen(sight)
        | Wanted::Never(sight)
        | Wanted::Count(sight, ..)
        | Wanted::FirstIn(sight, _) => in_sight(sight, see),
    }
    if let Some(sight) = &mut expect.after {
        in_sight(sight, see);
    }
}

/// All names that a part of a scenario has.
pub(super) fn of<T: Clone>(
    part: &T,
    shown: impl Fn(&mut T, &mut dyn FnMut(&mut String)),
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    shown(&mut part.clone(), &mut |name| {
        names.insert(name.clone());
    });
    names
}

/// The mark under which a step places a call or sends a message.
pub(super) fn placed(verb: &Verb) -> Option<&String> {
    match verb {
        Verb::Call { mark, .. } | Verb::Message(Message { mark, .. }) => Some(mark),
        _ => None,
    }
}

/// Shows each name in the steps and expectations.
pub(super) fn in_script(scenario: &mut Scenario, see: &mut dyn FnMut(&mut String)) {
    for step in &mut scenario.steps {
        if let reveille_scenarios::Head::When(sight) = &mut step.head {
            in_sight(sight, see);
        }
        in_verb(&mut step.verb, see);
    }
    for expect in &mut scenario.expects {
        in_expect(expect, see);
    }
}

/// Whether a verb breaks something, rather than that somebody does something.
pub(super) const fn is_fault(verb: &Verb) -> bool {
    match verb {
        Verb::KillApp { .. }
        | Verb::DropWebSocket { .. }
        | Verb::Push { .. }
        | Verb::Crash { .. }
        | Verb::PowerLoss { .. }
        | Verb::Restart { .. }
        | Verb::Partition { .. }
        | Verb::Cut { .. }
        | Verb::Storm { .. }
        | Verb::Outage { .. }
        | Verb::Move { .. }
        | Verb::Rebind { .. }
        | Verb::Clock { .. }
        | Verb::Device { .. } => true,
        Verb::Sleep { .. }
        | Verb::Resume { .. }
        | Verb::Call { .. }
        | Verb::Cancel { .. }
        | Verb::HangUp { .. }
        | Verb::Renegotiate { .. }
        | Verb::Info { .. }
        | Verb::Message(_)
        | Verb::Subscribe { .. }
        | Verb::Notify { .. }
        | Verb::Retransmit { .. }
        | Verb::SetPushes { .. }
        | Verb::SetOnCall { .. }
        | Verb::SetEarly { .. }
        | Verb::SetNode { .. }
        | Verb::Note { .. } => false,
    }
}
