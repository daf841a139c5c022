use std::time::Duration;

use reveille_scenarios::Head;
use reveille_trace::{Event, Kind};

use super::search::Candidate;
use crate::suite::Played;

/// A candidate that was played, and when each of its steps was taken.
#[derive(Debug, Clone)]
pub(super) struct Take {
    pub(super) candidate: Candidate,
    /// Since the start of the run; nothing of a step that never became due.
    pub(super) taken: Vec<Option<Duration>>,
    /// When the first step could be taken.
    pub(super) start: Duration,
}

impl Take {
    pub(super) fn of(candidate: Candidate, played: &Played) -> Self {
        let events = played.trace.as_ref().map_or(&[][..], |trace| &trace.events);
        let mut taken = vec![None; candidate.scenario.steps.len()];
        for event in events.iter().filter(|event| event.kind == Kind::Step) {
            let index = event.int("step").and_then(|step| usize::try_from(step).ok());
            if let Some(time) = index.and_then(|index| taken.get_mut(index)) {
                *time = Some(Duration::from_micros(event.t_us));
            }
        }
        let first = taken.first().copied().flatten().unwrap_or_default();
        let start = match candidate.scenario.steps.first().map(|step| &step.head) {
            Some(Head::At(time) | Head::Wait(time)) => first.saturating_sub(*time),
            Some(Head::When(_)) => connected(events).unwrap_or(first).min(first),
            Some(Head::Now) | None => first,
        };
        Self { candidate, taken, start }
    }

    /// The steps that never became due.
    pub(super) fn undue(&self) -> Vec<usize> {
        let steps = self.taken.iter().enumerate();
        steps.filter(|(_, time)| time.is_none()).map(|(at, _)| at).collect()
    }

    /// How long after one step (none: the start) another one was taken, in whole milliseconds.
    pub(super) fn between(&self, earlier: Option<usize>, later: usize) -> Option<Duration> {
        let from = match earlier {
            Some(step) => self.taken.get(step).copied().flatten()?,
            None => self.start,
        };
        let time = self.taken.get(later).copied().flatten()?.saturating_sub(from);
        Some(Duration::from_millis(u64::try_from(time.as_millis()).ok()?))
    }

    /// A head that makes a step due when it was, seen from an earlier one.
    pub(super) fn by_the_clock(&self, earlier: Option<usize>, later: usize) -> Head {
        match self.between(earlier, later) {
            Some(time) if time > Duration::ZERO => Head::Wait(time),
            _ => Head::Now,
        }
    }
}

/// When the last phone was there.
fn connected(events: &[Event]) -> Option<Duration> {
    let states = events.iter().filter(|event| event.kind == Kind::AppState);
    let first_step = events.iter().find(|event| event.kind == Kind::Step).map(|event| event.seq);
    let early = states.filter(|event| first_step.is_none_or(|step| event.seq < step));
    let mut there = early.filter(|event| event.text("state") == Some("connected"));
    there.next_back().map(|event| Duration::from_micros(event.t_us))
}
