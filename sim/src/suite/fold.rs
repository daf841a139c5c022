use std::collections::BTreeMap;
use std::mem::take;

use reveille_trace::{Case, Met, Observed, Seeds};

use super::{Job, Played};

/// One void play in so many is borne; more, and nothing was shown.
const VOID_IN: u64 = 20;

/// Seeds of swarms in which nothing went wrong, one case for all of a swarm: they are counted, and
/// neither their traces nor their findings are kept.
#[derive(Default)]
pub(super) struct Fold(BTreeMap<String, Case>);

impl Fold {
    /// Takes in what need not be told seed for seed; gives back what must.
    pub(super) fn take_in(&mut self, job: &Job, mut played: Played) -> Option<Played> {
        let observed = played.case.verdict.observed;
        let is_well = matches!(observed, Observed::Pass | Observed::Inconclusive);
        if job.piece.swarm.is_none() || !is_well {
            return Some(played);
        }
        let case = &mut played.case;
        let is_void = u64::from(observed == Observed::Inconclusive);
        case.seeds = Some(Seeds { played: 1, void: is_void });
        // A single one is told whole: somebody wants to know of it.
        case.faults = Vec::new();
        case.verdict.findings.retain(|finding| finding.observed != Observed::Pass);
        match self.0.get_mut(&case.scenario) {
            Some(all) => add(all, case),
            None => {
                self.0.insert(case.scenario.clone(), played.case);
            }
        }
        None
    }

    /// The case of each swarm.
    pub(super) fn cases(self) -> impl Iterator<Item = Case> {
        self.0.into_values().map(|mut case| {
            let seeds = case.seeds.unwrap_or_default();
            let is_void = seeds.void.saturating_mul(VOID_IN) > seeds.played;
            let verdict = &mut case.verdict;
            verdict.observed = if is_void { Observed::Inconclusive } else { Observed::Pass };
            case
        })
    }
}

/// Adds one case to all before it. It comes to the same in whatever order they are added.
fn add(all: &mut Case, one: &mut Case) {
    let (sum, more) = (all.seeds.unwrap_or_default(), one.seeds.unwrap_or_default());
    all.seeds = Some(Seeds { played: sum.played + more.played, void: sum.void + more.void });
    let (of, with) = (&mut all.verdict, &mut one.verdict);
    of.length_us = of.length_us.saturating_add(with.length_us);
    of.trace_digest = sum_of(&of.trace_digest, &with.trace_digest);
    if with.seed < of.seed {
        of.seed = with.seed;
        all.replay = take(&mut one.replay);
    }
    for met in take(&mut one.met) {
        let same = |known: &&mut Met| (&known.fault, known.phase) == (&met.fault, met.phase);
        match all.met.iter_mut().find(same) {
            Some(known) => known.times += met.times,
            None => all.met.push(met),
        }
    }
    all.met.sort_by(|a, b| (&a.fault, a.phase).cmp(&(&b.fault, b.phase)));
    let (of, with) = (&mut all.verdict, &mut one.verdict);
    for finding in take(&mut with.findings) {
        // Of each requirement the first seen by its words: one says enough.
        let same = of.findings.iter_mut().find(|known| known.requirement == finding.requirement);
        match same {
            Some(known) if finding.actual < known.actual => *known = finding,
            Some(_) => {}
            None => of.findings.push(finding),
        }
    }
    of.findings.sort_by(|a, b| a.requirement.cmp(&b.requirement));
}

/// The sum of two digests, each sixteenth of it for itself: no order of addition matters.
fn sum_of(one: &str, other: &str) -> String {
    let (one, other) = (digits(one), digits(other));
    let sums = one.iter().zip(other).map(|(a, b)| a.wrapping_add(b));
    sums.map(|sum| format!("{sum:04x}")).collect()
}

fn digits(digest: &str) -> [u16; 16] {
    let part = |at: usize| digest.get(at * 4..at * 4 + 4);
    std::array::from_fn(|at| part(at).and_then(|p| u16::from_str_radix(p, 16).ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_digests_knows_no_order() {
        let (a, b) = ("ffff".repeat(16), format!("{:0>64}", "2"));
        assert_eq!(sum_of(&a, &b), sum_of(&b, &a));
        assert_eq!(sum_of(&a, &b), format!("{}0001", "ffff".repeat(15)));
        assert_ne!(sum_of(&a, &a), sum_of(&a, &b));
    }
}
