//! The times of a scenario, and shorter or rounder ones.

use std::time::Duration;

use super::{ANSWER_AFTER, DOWN};
use reveille_scenarios::{Actor, Head, OnCall, PushFate, Scenario, Verb};

/// Times that read well, in milliseconds.
const NICE: [u64; 17] = [
    0, 10, 100, 200, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000,
    600_000, 1_800_000, 3_600_000,
];

/// Those that are shorter than this one, the shortest first.
pub(super) fn shorter(time: Duration) -> Vec<Duration> {
    nice().filter(|nice| *nice < time).collect()
}

/// One that is no shorter and rounder, and one that is near.
pub(super) fn rounder(time: Duration) -> Vec<Duration> {
    if nice().any(|nice| nice == time) {
        return Vec::new();
    }
    let tenths = time.as_millis() / 100;
    let near = u64::try_from(tenths).ok().map(|tenths| Duration::from_millis(tenths * 100));
    let above = nice().find(|nice| *nice > time);
    let all = above.into_iter().chain(near);
    all.filter(|other| *other != time && !other.is_zero()).collect()
}

fn nice() -> impl Iterator<Item = Duration> {
    NICE.into_iter().map(Duration::from_millis)
}

/// Every time that the scenario sets; what is at its default it does not set.
pub(super) fn times(scenario: &mut Scenario) -> Vec<&mut Duration> {
    let mut all: Vec<&mut Duration> = Vec::new();
    for actor in scenario.actors.values_mut() {
        match actor {
            Actor::Phone { on_call: OnCall::Answer(time), .. }
            | Actor::SipUa { on_call: OnCall::Answer(time), .. } => {
                all.extend((*time != ANSWER_AFTER).then_some(time));
            }
            Actor::Phone { .. } | Actor::SipUa { .. } => {}
        }
    }
    for step in &mut scenario.steps {
        match &mut step.head {
            Head::At(time) | Head::Wait(time) => all.push(time),
            Head::Now | Head::When(_) => {}
        }
        match &mut step.verb {
            Verb::Call { hang_up_after: Some(time), .. }
            | Verb::SetOnCall { on_call: OnCall::Answer(time), .. }
            | Verb::Push { fate: PushFate::Delayed(time), .. }
            | Verb::Partition { lasts: time, .. }
            | Verb::Cut { lasts: time, .. }
            | Verb::Storm { lasts: time, .. }
            | Verb::Outage { lasts: time, .. } => all.push(time),
            Verb::Crash { down, .. }
            | Verb::PowerLoss { down, .. }
            | Verb::Restart { down, .. } => {
                all.extend((*down != DOWN).then_some(down));
            }
            Verb::Message(message) => all.extend(&mut message.expires),
            _ => {}
        }
    }
    all
}
