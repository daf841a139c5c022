use std::collections::{BTreeMap, BTreeSet};

use reveille_scenarios::{Actor, Head, Scenario, Verb, write};
use reveille_trace::{Event, Observed, Verdict};

use super::take::Take;
use super::without::without;
use super::{Bounds, Check, Progress, axes, cell, names, numbers, piece, simpler, valid};
use crate::fault::Trap;
use crate::suite::{Job, Played};

/// Passes over a scenario that is not smaller afterwards end the search; these many end it anyway.
const ROUNDS_MAX: usize = 12;

/// What is played.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) scenario: Scenario,
    pub(super) seed: u64,
    /// Where the scenario's sweep strikes.
    pub(super) trap: Option<Trap>,
}

pub(super) struct Search<'a> {
    job: &'a Job,
    pub(super) check: Check,
    play: &'a dyn Fn(&Job) -> Played,
    bounds: Bounds<'a>,
    tell: &'a mut dyn FnMut(Progress),
    pub(super) tries: usize,
    pub(super) best: Take,
    doing: &'static str,
    /// What was played, by its text, seed and trap.
    known: BTreeSet<String>,
}

/// What came of a play.
struct Outcome {
    take: Take,
    fails: bool,
    /// Something planned did not happen: the play is not what the scenario tells.
    is_void: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        job: &'a Job,
        check: Check,
        play: &'a dyn Fn(&Job) -> Played,
        bounds: Bounds<'a>,
        tell: &'a mut dyn FnMut(Progress),
        best: Take,
    ) -> Self {
        let known = BTreeSet::new();
        Self { job, check, play, bounds, tell, tries: 1, best, doing: "", known }
    }

    /// Searches until nothing more is found; false if a bound came first.
    pub(super) fn run(&mut self, events: &[Event]) -> bool {
        self.purpose();
        self.cell(events);
        for _ in 0..ROUNDS_MAX {
            let before = write(&self.best.candidate.scenario);
            self.faults();
            self.marks();
            self.steps();
            self.expects();
            self.people();
            self.axes();
            self.arguments();
            self.heads();
            self.times();
            if self.is_over() {
                return false;
            }
            if write(&self.best.candidate.scenario) == before {
                break;
            }
        }
        self.marks_anew();
        true
    }

    fn is_over(&self) -> bool {
        self.tries >= self.bounds.tries || (self.bounds.over)()
    }

    fn scenario(&self) -> &Scenario {
        &self.best.candidate.scenario
    }

    /// Plays `scenario`, and takes it for the best if the same check fails. `kept` are its steps by
    /// their numbers in the best one.
    fn offer(&mut self, scenario: Scenario, kept: &[usize]) -> bool {
        let Candidate { seed, trap, .. } = self.best.candidate;
        let Some(outcome) = self.played(Candidate { scenario, seed, trap }) else { return false };
        if self.accepts(&outcome) {
            self.best = outcome.take;
            return true;
        }
        self.mended(&outcome, kept)
    }

    /// As [`offer`](Self::offer), for a scenario with the same steps.
    fn offer_same(&mut self, scenario: Scenario) -> bool {
        let kept: Vec<_> = (0..scenario.steps.len()).collect();
        self.offer(scenario, &kept)
    }

    const fn accepts(&self, outcome: &Outcome) -> bool {
        outcome.fails && !outcome.is_void
    }

    /// What did not happen need not be told; and what waited in vain is due by the clock.
    fn mended(&mut self, outcome: &Outcome, kept: &[usize]) -> bool {
        let undue = outcome.take.undue();
        let Candidate { scenario, seed, trap } = &outcome.take.candidate;
        let (seed, trap) = (*seed, *trap);
        let mut mends = Vec::new();
        if outcome.fails && !undue.is_empty() {
            mends.push(without(&outcome.take, &undue.iter().copied().collect()).0);
        }
        if outcome.fails && outcome.is_void {
            mends.push(once(scenario.clone()));
        }
        if !undue.is_empty() {
            let mut timed = scenario.clone();
            for at in undue {
                let earlier = at.checked_sub(1).and_then(|earlier| kept.get(earlier)).copied();
                if let Some(was) = kept.get(at) {
                    timed.steps[at].head = self.best.by_the_clock(earlier, *was);
                }
            }
            mends.push(timed);
        }
        for scenario in mends {
            let outcome = self.played(Candidate { scenario, seed, trap });
            if let Some(outcome) = outcome.filter(|outcome| self.accepts(outcome)) {
                self.best = outcome.take;
                return true;
            }
        }
        false
    }

    /// Plays a candidate that is valid and was not played before.
    fn played(&mut self, candidate: Candidate) -> Option<Outcome> {
        if self.is_over() {
            return None;
        }
        let Candidate { scenario, seed, trap } = candidate;
        let scenario = valid(&scenario).ok()?;
        if !self.known.insert(format!("{seed} {trap:?} {}", write(&scenario))) {
            return None;
        }
        let job = Job { seed, trap, ..self.job.clone() };
        let job = job.with_piece(piece(scenario.clone()));
        let played = (self.play)(&job);
        self.tries += 1;
        let verdict = &played.case.verdict;
        let (fails, is_void) = (self.check.fails(verdict), is_void(verdict));
        let take = Take::of(Candidate { scenario, seed, trap }, &played);
        let steps = self.scenario().steps.len();
        (self.tell)(Progress { doing: self.doing, tries: self.tries, steps });
        Some(Outcome { take, fails, is_void })
    }

    /// Leaves out as many of `count` parts as can be, in chunks that grow smaller.
    fn reduce(
        &mut self,
        count: impl Fn(&Take) -> usize,
        less: impl Fn(&Take, std::ops::Range<usize>) -> Option<(Scenario, Vec<usize>)>,
    ) {
        let mut size = count(&self.best);
        while size > 0 {
            let mut at = 0;
            while at < count(&self.best) && !self.is_over() {
                let end = (at + size).min(count(&self.best));
                let left = less(&self.best, at..end);
                let smaller = left.is_some_and(|(scenario, kept)| self.offer(scenario, &kept));
                if !smaller {
                    at = end;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    /// The check is what it is for; all that is expected besides may go.
    fn purpose(&mut self) {
        self.doing = "expectations";
        let mut scenario = self.scenario().clone();
        match &self.check {
            Check::Requirement(id) => {
                scenario.covers = vec![id.clone()];
                scenario.expects.clear();
            }
            Check::Expect(text) => {
                scenario.covers.clear();
                scenario.expects.retain(|expect| expect.text == *text);
            }
        }
        scenario.needs.clear();
        self.offer_same(scenario);
    }

    /// A cell of a sweep as a plain step, and the seed that everybody begins with.
    fn cell(&mut self, events: &[Event]) {
        self.doing = "the sweep";
        if self.best.candidate.trap.is_some() {
            for scenario in cell::as_step(&self.best, events) {
                let seed = self.best.candidate.seed;
                let played = self.played(Candidate { scenario, seed, trap: None });
                if let Some(outcome) = played.filter(|outcome| self.accepts(outcome)) {
                    self.best = outcome.take;
                    break;
                }
            }
        } else {
            let mut scenario = self.scenario().clone();
            scenario.sweep = None;
            self.offer_same(scenario);
        }
        let Candidate { scenario, trap, .. } = self.best.candidate.clone();
        let first = self.played(Candidate { scenario, seed: 1, trap });
        if let Some(outcome) = first.filter(|outcome| self.accepts(outcome)) {
            self.best = outcome.take;
        }
    }

    fn faults(&mut self) {
        self.doing = "faults";
        let faults = |take: &Take| {
            let steps = take.candidate.scenario.steps.iter().enumerate();
            let faults = steps.filter(|(_, step)| names::is_fault(&step.verb));
            faults.map(|(at, _)| at).collect::<Vec<_>>()
        };
        self.reduce(
            |take| faults(take).len(),
            |take, of| Some(without(take, &faults(take)[of].iter().copied().collect())),
        );
    }

    /// Calls and messages, each with all that names it.
    fn marks(&mut self) {
        self.doing = "calls";
        let marks = |take: &Take| {
            let steps = take.candidate.scenario.steps.iter().enumerate();
            let placed = steps.filter(|(_, step)| names::placed(&step.verb).is_some());
            placed.map(|(at, _)| at).collect::<Vec<_>>()
        };
        self.reduce(
            |take| marks(take).len(),
            |take, of| Some(without(take, &marks(take)[of].iter().copied().collect())),
        );
    }

    fn steps(&mut self) {
        self.doing = "steps";
        self.reduce(
            |take| take.candidate.scenario.steps.len(),
            |take, of| Some(without(take, &of.collect())),
        );
    }

    fn expects(&mut self) {
        self.doing = "expectations";
        self.reduce(
            |take| take.candidate.scenario.expects.len(),
            |take, of| {
                let mut scenario = take.candidate.scenario.clone();
                scenario.expects.drain(of);
                Some((scenario, (0..take.taken.len()).collect()))
            },
        );
    }

    /// Actors whom nobody names, then those whose part another one can play.
    fn people(&mut self) {
        self.doing = "actors";
        let mut needed = BTreeSet::new();
        names::in_script(&mut self.scenario().clone(), &mut |name| {
            needed.insert(name.clone());
        });
        let idle = |name: &&String| !needed.contains(*name);
        let idle: Vec<_> = self.scenario().actors.keys().filter(idle).cloned().collect();
        let mut scenario = self.scenario().clone();
        scenario.actors.retain(|name, _| needed.contains(name));
        if !self.offer_same(scenario) {
            for name in idle {
                let mut scenario = self.scenario().clone();
                scenario.actors.remove(&name);
                self.offer_same(scenario);
            }
        }
        let all: Vec<_> = self.scenario().actors.keys().cloned().collect();
        for (at, stays) in all.iter().enumerate() {
            for goes in &all[at + 1..] {
                if let Some(scenario) = merged(self.scenario(), stays, goes) {
                    self.offer_same(scenario);
                }
            }
        }
    }

    fn axes(&mut self) {
        self.doing = "axes";
        for at in 0.. {
            let mut plainer = axes::plainer(self.scenario());
            if at >= plainer.len() || self.is_over() {
                break;
            }
            self.offer_same(plainer.swap_remove(at));
        }
    }

    fn arguments(&mut self) {
        self.doing = "arguments";
        for at in 0..self.scenario().steps.len() {
            for verb in simpler::simpler(&self.scenario().steps[at].verb) {
                let mut scenario = self.scenario().clone();
                scenario.steps[at].verb = verb;
                self.offer_same(scenario);
            }
        }
    }

    /// Calls and messages that stayed are counted from one again.
    fn marks_anew(&mut self) {
        self.doing = "marks";
        let placed = self.scenario().steps.iter().filter_map(|step| {
            let mark = names::placed(&step.verb)?.clone();
            Some((mark, if matches!(step.verb, Verb::Call { .. }) { "c" } else { "m" }))
        });
        let mut counts = BTreeMap::new();
        let fresh: BTreeMap<_, _> = placed
            .map(|(mark, letter)| {
                let count = counts.entry(letter).or_insert(0);
                *count += 1;
                (mark, format!("{letter}{count}"))
            })
            .collect();
        let mut scenario = self.scenario().clone();
        names::in_script(&mut scenario, &mut |name| {
            if let Some(fresh) = fresh.get(name) {
                name.clone_from(fresh);
            }
        });
        self.offer_same(scenario);
    }

    /// Steps that are due with the one before them.
    fn heads(&mut self) {
        self.doing = "triggers";
        for at in 0..self.scenario().steps.len() {
            let mut scenario = self.scenario().clone();
            if scenario.steps.get(at).is_some_and(|step| step.head != Head::Now) {
                scenario.steps[at].head = Head::Now;
                self.offer_same(scenario);
            }
        }
    }

    fn times(&mut self) {
        self.doing = "times";
        for at in 0..numbers::times(&mut self.scenario().clone()).len() {
            let Some(time) = self.time(at) else { continue };
            let (shorter, mut from) = (numbers::shorter(time), 0);
            let mut to = shorter.len();
            // The shortest one that will do lies between these.
            while from < to {
                let middle = from.midpoint(to);
                if self.offer_time(at, shorter[middle]) {
                    to = middle;
                } else {
                    from = middle + 1;
                }
            }
            for rounder in self.time(at).map(numbers::rounder).unwrap_or_default() {
                if self.offer_time(at, rounder) {
                    break;
                }
            }
        }
    }

    fn time(&self, at: usize) -> Option<std::time::Duration> {
        numbers::times(&mut self.scenario().clone()).get(at).map(|time| **time)
    }

    fn offer_time(&mut self, at: usize, time: std::time::Duration) -> bool {
        let mut scenario = self.scenario().clone();
        if let Some(place) = numbers::times(&mut scenario).get_mut(at) {
            **place = time;
        }
        self.offer_same(scenario)
    }
}

/// Each fault of a push service strikes once, and each call loses one answer at most.
fn once(mut scenario: Scenario) -> Scenario {
    for step in &mut scenario.steps {
        match &mut step.verb {
            Verb::Push { times, .. } => *times = 1,
            Verb::Call { lost_answers, .. } => *lost_answers = (*lost_answers).min(1),
            _ => {}
        }
    }
    scenario
}

/// One actor plays the part of another of its kind too.
fn merged(scenario: &Scenario, stays: &str, goes: &str) -> Option<Scenario> {
    let is_phone = |name: &str| Some(matches!(scenario.actors.get(name)?, Actor::Phone { .. }));
    if is_phone(stays)? != is_phone(goes)? {
        return None;
    }
    let mut merged = scenario.clone();
    merged.actors.remove(goes);
    names::in_script(&mut merged, &mut |name| {
        if name == goes {
            stays.clone_into(name);
        }
    });
    Some(merged)
}

fn is_void(verdict: &Verdict) -> bool {
    let planned = ["script", "faults"];
    verdict.findings.iter().any(|finding| {
        finding.observed == Observed::Inconclusive
            && planned.contains(&finding.requirement.as_str())
    })
}
