use std::borrow::Cow;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use reveille_reports::folder::Folder;
use reveille_reports::merge::{Named, merge};
use reveille_reports::store::write;
use reveille_trace::{Case, Met, Observed, Phase, Run, Shard, Shards, Trace};

use crate::sample::{case, crash, finding, of, sure};
use crate::store::all;

/// A run with such cases: which scenario, which seed, whether it passed.
fn run(rows: &[(u8, u64, bool)]) -> Run {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows.dedup_by_key(|(which, seed, _)| (*which, *seed));
    let one = |(which, seed, well): &(u8, u64, bool)| {
        let lost = finding("accepted-call-is-answered", "MUST", Observed::Fail);
        let found = if *well { sure() } else { lost };
        let at = which.to_string();
        let mut case = case("crash/store", &[("at", at.as_str())], vec![found]);
        (case.verdict.seed, case.verdict.trace_digest) = (*seed, crash().digest());
        case.replay = format!("reveille replay {}@00000000-{seed}", case.verdict.case);
        case.met = vec![Met { fault: "crash".to_owned(), phase: Phase::Held, times: *seed }];
        case
    };
    of(rows.iter().map(one).collect())
}

fn kept(case: &Case) -> Option<Cow<'static, Trace>> {
    (case.verdict.observed == Observed::Fail).then(|| Cow::Owned(crash()))
}

/// What `--shard` leaves of a run.
fn shard(run: &Run, shard: Shard) -> Run {
    let is_here = |(_, case): &(usize, &Case)| shard.has(&case.verdict.case, case.verdict.seed);
    let here = run.cases.iter().enumerate().filter(is_here);
    let (places, cases): (Vec<_>, Vec<_>) = here.map(|(at, case)| (at, case.clone())).unzip();
    let shards = Shards {
        of: shard.of,
        numbers: [shard.number].into(),
        cases: run.cases.len(),
        selected: Shards::digest(run.cases.iter().map(|case| case.replay.as_str())),
        places,
    };
    // A later shard began later.
    let started = format!("2026-11-20T10:15:{:02}Z", shard.number - 1);
    Run { cases, shards: Some(shards), started, ..run.clone() }
}

fn split(run: &Run, n: u32) -> Vec<Named> {
    let one = |number| (format!("shard {number}"), shard(run, Shard { number, of: n }));
    (1..=n).map(one).collect()
}

fn rows() -> impl Strategy<Value = Vec<(u8, u64, bool)>> {
    prop::collection::vec((0..6_u8, 1..4_u64, any::<bool>()), 0..14)
}

/// Writes each run into a folder, and reads it back with its traces.
fn through_folders(out: &Path, runs: Vec<Named>) -> (Vec<Named>, Vec<Folder>) {
    let folder = |(name, run): Named| {
        let dir = write(&out.join(&name), &run, &kept).expect("a new folder");
        (name, Folder::open(&dir).expect("it was written just now"))
    };
    let folders: Vec<_> = runs.into_iter().map(folder).collect();
    let named = folders.iter().map(|(name, folder)| (name.clone(), folder.run.clone()));
    (named.collect(), folders.into_iter().map(|(_, folder)| folder).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shards_in_any_order_merge_to_the_bytes_of_the_whole(
        rows in rows(),
        n in 1..=8_u32,
        order in Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let out = tempfile::tempdir().unwrap();
        let whole = run(&rows);
        let mut shards = split(&whole, n);
        shards.sort_by_key(|(_, shard)| {
            let first = shard.shards.iter().flat_map(|shards| &shards.numbers).next();
            first.and_then(|number| order.iter().position(|at| at + 1 == *number as usize))
        });
        let (shards, folders) = through_folders(out.path(), shards);
        let merged = merge(shards, false).expect("all shards are there");
        let traces = |case: &Case| {
            let same = |other: &&Case| {
                (&other.verdict.case, other.verdict.seed) == (&case.verdict.case, case.verdict.seed)
            };
            let found = folders.iter().find_map(|folder| Some((folder, folder.run.cases.iter().find(same)?)));
            found.and_then(|(folder, case)| folder.trace(case).unwrap()).map(Cow::Owned)
        };
        let a = write(&out.path().join("merged"), &merged, &traces).unwrap();
        let b = write(&out.path().join("whole"), &whole, &kept).unwrap();
        prop_assert_eq!(all(&a), all(&b));
    }

    #[test]
    fn merges_of_merges_are_the_merge_of_all(rows in rows(), n in 2..=8_u32, cut in 1..8_usize) {
        let whole = run(&rows);
        let (mut first, cut) = (split(&whole, n), cut.min(n as usize - 1));
        let second = first.split_off(cut);
        let one = merge(first, true).expect("a part");
        let other = merge(second, true).expect("the other part");
        prop_assert!(one.shards.is_some() && other.shards.is_some());
        let named = |run| ("part".to_owned(), run);
        prop_assert_eq!(merge(vec![named(other), named(one)], false).expect("both"), whole);
    }
}

/// What is said of these shards.
fn told(shards: Vec<Named>) -> String {
    merge(shards, false).expect_err("they do not belong together").to_string()
}

fn three() -> Vec<Named> {
    split(&run(&[(0, 1, true), (1, 1, true), (2, 1, false), (3, 1, true)]), 3)
}

#[test]
fn a_lost_shard_is_named_and_allowed_only_on_purpose() {
    let mut lacking = three();
    lacking.remove(1);
    let text = told(lacking.clone());
    assert!(text.contains("shard 2/3 of 4 selected cases is missing"), "{text}");
    assert!(text.contains("--shard 2/3") && text.contains("`--partial`"), "{text}");
    let partial = merge(lacking, true).expect("gaps are allowed");
    assert_eq!(partial.shards.expect("it is no whole run").missing(), [2]);
    assert!(told(Vec::new()).contains("nothing to merge"));
}

#[test]
fn a_shard_that_is_there_twice_is_refused() {
    let mut twice = three();
    twice.push(("again".to_owned(), twice[0].1.clone()));
    let text = told(twice);
    assert!(text.contains("shard 1/3 is in shard 1 and in again: give it once"), "{text}");
}

#[test]
fn shards_of_different_runs_are_refused_with_what_differs() {
    let with = |change: fn(&mut Run)| {
        let mut shards = three();
        change(&mut shards[2].1);
        told(shards)
    };
    assert!(with(|run| run.reveille = "9.9.9".to_owned()).contains("the version of Reveille is"));
    assert!(with(|run| run.world = "express".to_owned()).contains("the world is turmoil in one"));
    assert!(with(|run| run.seed = 2).contains("the first seed is 1 in one and 2"));
    assert!(
        with(|run| run.selection = vec!["wake".to_owned()])
            .contains("is everything in one and `wake`")
    );
    assert!(with(|run| run.shards.as_mut().unwrap().selected.clear()).contains("the digest of"));
}

#[test]
fn a_record_that_was_tampered_with_is_refused() {
    let with = |change: fn(&mut Run)| {
        let mut shards = three();
        let at = shards.iter().position(|(_, run)| run.cases.len() > 1).expect("a shard with two");
        change(&mut shards[at].1);
        told(shards)
    };
    assert!(with(|run| run.shards = None).contains("holds no shard, but a whole run"));
    let misfit = "its places do not fit its cases";
    assert!(with(|run| run.cases.truncate(1)).contains(misfit));
    let abroad = with(|run| {
        let number = *run.shards.as_ref().unwrap().numbers.first().unwrap();
        let (verdict, home) = (&mut run.cases[0].verdict, Shard { number, of: 3 });
        verdict.seed = (2..99).find(|seed| !home.has(&verdict.case, *seed)).unwrap();
    });
    assert!(abroad.contains(misfit), "{abroad}");
    assert!(with(|run| run.shards.as_mut().unwrap().places.reverse()).contains(misfit));
    assert!(with(|run| run.shards.as_mut().unwrap().of = 0).contains(misfit));
    assert!(with(|run| run.cases[0].replay.push('x')).contains("are not those that were selected"));
}

#[test]
fn a_trace_that_is_not_the_one_that_was_judged_is_told() {
    let out = tempfile::tempdir().unwrap();
    let whole = run(&[(0, 1, false)]);
    let dir = write(&out.path().join("run"), &whole, &kept).unwrap();
    let folder = Folder::open(out.path()).expect("the newest run of a folder of runs");
    let case = folder.run.cases[0].clone();
    assert_eq!(folder.trace(&case), Ok(Some(crash())));
    let events = dir.join(case.events.as_deref().unwrap());
    let text = fs::read_to_string(&events).unwrap();
    fs::write(&events, text.replace("c1@example.com", "c2@example.com")).unwrap();
    assert!(folder.trace(&case).unwrap_err().contains("its digest differs"));
    for path in ["../run.json", "events/../run.json", "events/.", "/etc/passwd"] {
        let climbs = Case { events: Some(path.to_owned()), ..case.clone() };
        assert!(folder.trace(&climbs).unwrap_err().contains("which no run writes"), "{path}");
    }
}
