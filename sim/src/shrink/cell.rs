//! A cell of a sweep as a step: what strikes at the k-th operation strikes when something is seen.

use std::collections::BTreeSet;
use std::time::Duration;

use reveille_conformance::player::{Fact, Facts};
use reveille_scenarios::{Head, Scenario, Sight, Step, SweepFault, Verb};
use reveille_trace::{Event, Kind};

use super::take::Take;

/// So many of the last things that were seen before it struck may be its trigger.
const SIGHTS: usize = 8;

/// Scenarios without the sweep that strike about when it struck, the likeliest first.
pub(super) fn as_step(take: &Take, events: &[Event]) -> Vec<Scenario> {
    let sweep = take.candidate.scenario.sweep.as_ref();
    let struck = events.iter().find(|event| {
        event.kind == Kind::FaultStruck
            && event.text("fault").is_some_and(|fault| fault.ends_with("-at"))
    });
    let (Some(sweep), Some(struck)) = (sweep, struck) else { return Vec::new() };
    let (host, down) = (sweep.on.clone(), sweep.down);
    let verb = match sweep.fault {
        SweepFault::Crash => Verb::Crash { host, down },
        SweepFault::PowerLoss => Verb::PowerLoss { host, down },
    };
    let at = Duration::from_micros(struck.t_us);
    let place = take.taken.iter().filter(|taken| taken.is_some_and(|taken| taken <= at)).count();
    let since = at.saturating_sub(take.start);
    let since = Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    let mut heads = seen_before(events, struck.seq);
    heads.push(Head::At(since));
    let with = |head: Head| {
        let mut scenario = take.candidate.scenario.clone();
        scenario.sweep = None;
        if let Some(next) = scenario.steps.get_mut(place)
            && matches!(next.head, Head::Now | Head::Wait(_))
        {
            let taken = take.taken.get(place).copied().flatten().unwrap_or(at);
            let rest = taken.saturating_sub(at).as_millis();
            next.head = Head::Wait(Duration::from_millis(u64::try_from(rest).unwrap_or(u64::MAX)));
        }
        scenario.steps.insert(place, Step { head, verb: verb.clone(), line: 0 });
        scenario
    };
    heads.into_iter().map(with).collect()
}

/// What was seen before this event, the latest first, as triggers.
fn seen_before(events: &[Event], seq: u64) -> Vec<Head> {
    let facts = Facts::of(events);
    let before = facts.iter().rev().filter(|fact| fact.seq < seq);
    let mut known = BTreeSet::new();
    let sights = before.map(sight).filter(|sight| known.insert(sight.to_string()));
    sights.take(SIGHTS).map(Head::When).collect()
}

/// What no scenario can wait for, such as a push by its token, the reader refuses.
fn sight(fact: &Fact) -> Sight {
    let word = |word: &String| (!word.is_empty()).then(|| word.clone());
    Sight {
        actor: word(&fact.actor),
        what: fact.what,
        about: word(&fact.about),
        numbers: (fact.number > 0).then_some((fact.number, fact.number)),
        text: word(&fact.text),
    }
}
