use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::coverage::Met;
use crate::shard::Shards;
use crate::verdict::{Observed, Verdict};

/// Version of `run.json` that this crate writes, and the only one it reads.
pub const RUN_SCHEMA: u32 = 1;

/// One run of the suite: every case that was played, and what became of it. On disk: `run.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Version of the format.
    pub schema: u32,
    /// Version of Reveille.
    pub reveille: String,
    /// `turmoil`, `express` or `socket`.
    pub world: String,
    /// The first seed.
    pub seed: u64,
    /// What was selected, as it was written; empty for everything.
    pub selection: Vec<String>,
    /// When it began, UTC, RFC 3339. It stands in the file `started` and not in `run.json`, so that two
    /// runs of one seed are equal in all else.
    #[serde(skip)]
    pub started: String,
    /// Which shards of the selection these are; absent: all there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<Shards>,
    /// Every case, in the order of their names.
    pub cases: Vec<Case>,
}

/// One performance of one scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The scenario's id: its path under `scenarios/` without `.toml`.
    pub scenario: String,
    /// What happens, in one sentence.
    pub title: String,
    /// The cell: values of the scenario's axes by name, empty for a scenario without axes. The case's
    /// name in `verdict.case` is the id with these as `axis=value` components.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cell: BTreeMap<String, String>,
    /// What was found.
    pub verdict: Verdict,
    /// The planned faults, and how often each struck.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<PlannedFault>,
    /// What the faults met that struck, by kind and phase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub met: Vec<Met>,
    /// The command that plays this case again.
    pub replay: String,
    /// The trace's file, relative to `run.json`; absent where it was not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<String>,
    /// Of a swarm: the seeds that this case stands for, in none of which anything failed. Then `seed`
    /// is the least of them, `length_us` their sum, and `trace_digest` the sum of their digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Seeds>,
}

/// How many seeds of a swarm one case stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    /// All of them.
    pub played: u64,
    /// Those that were void: they showed nothing, because a planned fault did not bite. The case is
    /// inconclusive if more than one in twenty was.
    pub void: u64,
}

/// A fault of the script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedFault {
    /// Which: `crash`, `partition`, `push-refuse`, ...
    pub fault: String,
    /// On whom.
    pub on: String,
    /// How often it took effect. 0 makes the case void.
    pub struck: usize,
}

/// What a run comes to: counts, and the one exit code that text, files and process agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Scenarios with at least one case.
    pub scenarios: usize,
    /// Cases in which every MUST that could be decided was met.
    pub passed: usize,
    /// Cases with a MUST that was not met.
    pub failed: usize,
    /// Cases that showed nothing either way.
    pub inconclusive: usize,
    /// Seeds of swarms that were void, and few enough.
    pub void: usize,
    /// Cases in which the harness broke.
    pub errors: usize,
    /// Findings of level SHOULD or MAY that were not met: advice, never red.
    pub advisories: usize,
    /// Cases of the selection that other shards have.
    pub elsewhere: usize,
}

impl Run {
    /// Counts.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let all = self.shards.as_ref().map_or(0, |shards| shards.cases);
        let elsewhere = all.saturating_sub(self.cases.len());
        let mut summary = Summary { elsewhere, ..Summary::default() };
        let mut last = None;
        for case in &self.cases {
            if last != Some(&case.scenario) {
                summary.scenarios += 1;
                last = Some(&case.scenario);
            }
            let seeds = case.seeds.unwrap_or(Seeds { played: 1, void: 0 });
            let borne = if case.verdict.observed == Observed::Pass { seeds.void } else { 0 };
            summary.void += usize::try_from(borne).unwrap_or(usize::MAX);
            *match case.verdict.observed {
                Observed::Pass => &mut summary.passed,
                Observed::Inconclusive => &mut summary.inconclusive,
                Observed::Fail => &mut summary.failed,
                Observed::Error => &mut summary.errors,
            } += usize::try_from(seeds.played.saturating_sub(borne)).unwrap_or(usize::MAX);
            let advice =
                case.verdict.findings.iter().filter(|finding| {
                    finding.level != "MUST" && finding.observed == Observed::Fail
                });
            summary.advisories += advice.count();
        }
        summary
    }
}

impl Summary {
    /// How many cases there were.
    #[must_use]
    pub const fn cases(&self) -> usize {
        self.passed + self.failed + self.inconclusive + self.void + self.errors
    }

    /// The exit code: 0 all is well, 1 a failure, 3 something inconclusive and no failure, 4 nothing
    /// was selected, 70 the harness broke. The worst one decides, 70 first, then 1, then 3. A shard
    /// without cases of its own is well.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        if self.errors > 0 {
            70
        } else if self.failed > 0 {
            1
        } else if self.inconclusive > 0 {
            3
        } else if self.passed + self.elsewhere == 0 {
            4
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Finding;

    fn case(scenario: &str, level: &str, observed: Observed) -> Case {
        let finding = Finding {
            requirement: "expect".to_owned(),
            level: level.to_owned(),
            observed,
            expected: "it".to_owned(),
            actual: String::new(),
            evidence: None,
        };
        let sure =
            Finding { level: "MUST".to_owned(), observed: Observed::Pass, ..finding.clone() };
        Case {
            scenario: scenario.to_owned(),
            title: "What happens".to_owned(),
            cell: BTreeMap::new(),
            verdict: Verdict::of(scenario, 1, vec![sure, finding], "d".to_owned(), 5),
            faults: Vec::new(),
            met: Vec::new(),
            replay: "reveille run".to_owned(),
            events: None,
            seeds: None,
        }
    }

    fn code(cases: &[(&str, Observed)]) -> u8 {
        let cases = cases.iter().map(|(level, observed)| case("a", level, *observed)).collect();
        run(cases).summary().exit_code()
    }

    fn run(cases: Vec<Case>) -> Run {
        let text = String::new;
        let (world, seed, selection) = ("turmoil".to_owned(), 1, Vec::new());
        let (schema, reveille, started) = (RUN_SCHEMA, text(), text());
        Run { schema, reveille, world, seed, selection, started, shards: None, cases }
    }

    #[test]
    fn the_worst_case_decides_the_exit_code() {
        let (pass, fail) = (("MUST", Observed::Pass), ("MUST", Observed::Fail));
        let (unknown, error) = (("MUST", Observed::Inconclusive), ("MUST", Observed::Error));
        assert_eq!(code(&[]), 4);
        assert_eq!(code(&[pass, pass]), 0);
        assert_eq!(code(&[pass, ("SHOULD", Observed::Fail)]), 0);
        assert_eq!(code(&[unknown, pass]), 3);
        assert_eq!(code(&[fail, unknown, pass]), 1);
        assert_eq!(code(&[error, fail, unknown]), 70);
        assert_eq!(code(&[("SHOULD", Observed::Error)]), 70);
    }

    #[test]
    fn counts_are_of_cases_scenarios_and_advice() {
        let advice = case("b", "SHOULD", Observed::Fail);
        let (a, fails) = (case("a", "MUST", Observed::Pass), case("b", "MUST", Observed::Fail));
        let summary = run(vec![a.clone(), a, fails, advice]).summary();
        let expected =
            Summary { scenarios: 2, passed: 3, failed: 1, advisories: 1, ..Summary::default() };
        assert_eq!(summary, expected);
        assert_eq!(summary.cases(), 4);
    }

    #[test]
    fn a_shard_without_cases_is_well() {
        let (numbers, selected) = ([2].into(), String::new());
        let shards = Shards { of: 2, numbers, cases: 3, selected, places: Vec::new() };
        let shard = Run { shards: Some(shards), ..run(Vec::new()) };
        assert_eq!((shard.summary().elsewhere, shard.summary().exit_code()), (3, 0));
    }
}
