//! A scenario without some of its steps: what needs them goes with them, and what waited for them is
//! due when it was.

use std::collections::BTreeSet;

use reveille_scenarios::{Head, Scenario};

use super::names;
use super::take::Take;

/// The scenario that was played, without these steps, and which of its steps stay.
pub(super) fn without(take: &Take, dropped: &BTreeSet<usize>) -> (Scenario, Vec<usize>) {
    let mut scenario = take.candidate.scenario.clone();
    let steps = &take.candidate.scenario.steps;
    let gone: BTreeSet<_> =
        dropped.iter().filter_map(|at| names::placed(&steps.get(*at)?.verb)).cloned().collect();
    let named = |names: &BTreeSet<String>| !names.is_disjoint(&gone);
    let stays =
        |at: &usize| !dropped.contains(at) && !named(&names::of(&steps[*at].verb, names::in_verb));
    let kept: Vec<_> = (0..steps.len()).filter(stays).collect();
    let mut earlier = None;
    let heads = kept.iter().map(|at| {
        let begin = earlier.map_or(0, |step: usize| step + 1);
        let chain = steps[begin..=*at].iter().map(|step| &step.head);
        let usable = |head: &Head| match head {
            Head::When(sight) => !named(&names::of(sight, names::in_sight)),
            Head::Now | Head::At(_) | Head::Wait(_) => true,
        };
        let head = inherited(chain, usable).unwrap_or_else(|| take.by_the_clock(earlier, *at));
        earlier = Some(*at);
        head
    });
    let heads: Vec<_> = heads.collect();
    scenario.steps = kept.iter().map(|at| steps[*at].clone()).collect();
    for (step, head) in scenario.steps.iter_mut().zip(heads) {
        step.head = head;
    }
    scenario.expects.retain(|expect| !named(&names::of(expect, names::in_expect)));
    (scenario, kept)
}

/// The head of the last of these steps when the others are not there; nothing if only a clock can say.
fn inherited<'h>(
    chain: impl Iterator<Item = &'h Head>,
    usable: impl Fn(&Head) -> bool,
) -> Option<Head> {
    let mut all = Some(Head::Now);
    for head in chain {
        all = match (all, head) {
            (_, Head::When(_)) if !usable(head) => None,
            (_, Head::When(_) | Head::At(_)) => Some(head.clone()),
            (all, Head::Now) => all,
            (Some(Head::Now), Head::Wait(_)) => Some(head.clone()),
            (Some(Head::Wait(time)), Head::Wait(more)) => Some(Head::Wait(time + *more)),
            (Some(Head::At(time)), Head::Wait(more)) => Some(Head::At(time + *more)),
            (Some(Head::When(_)) | None, Head::Wait(_)) => None,
        };
    }
    all
}
