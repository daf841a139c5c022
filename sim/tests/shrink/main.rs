//! Long scenarios with one planted defect shrink to the few steps that show it.

use std::sync::Arc;

use reveille_gateway_core::mutant::Defect;
use reveille_scenarios::{Verb, read, shipped, write};
use reveille_sim::World;
use reveille_sim::shrink::{Bounds, Check, Shrunk, Unshrinkable, shrink};
use reveille_sim::suite::{Job, Piece, Played, Seeds, jobs, play, play_with};
use reveille_trace::Observed;

const SCENES: [(&str, &str); 4] = [
    ("shrink/day", include_str!("day.toml")),
    ("shrink/crashes", include_str!("crashes.toml")),
    ("shrink/talk", include_str!("talk.toml")),
    ("shrink/office", include_str!("office.toml")),
];

/// The defect, the check that it must go on to fail in, and the scenario that begins.
const TABLE: [(Defect, &str, &str); 11] = [
    (Defect::DeliversBeforeStored, "sip.hold.invite-durable-before-100-and-push", "shrink/day"),
    (Defect::ForgetsSecondPending, "sip.hold.concurrent-callers-all-kept", "shrink/day"),
    (Defect::DeliversTwiceAfterResume, "sip.wake.exactly-once-across-reconnects", "shrink/day"),
    (Defect::NoTrying, "sip.hold.trying-within-200ms", "shrink/day"),
    (Defect::RingsAfterCancel, "sip.end.late-wake-after-cancel-no-ring", "shrink/day"),
    (Defect::ClearsRecordAt200, "sip.wake.answer-retransmitted-until-ack", "shrink/crashes"),
    (Defect::ForgetsToTag, "sip.hold.provisional-every-60s", "shrink/crashes"),
    (Defect::RepeatsSequence, "jsonrtc.session.sequence-survives-sleep", "shrink/day"),
    (Defect::SleepsInOwnCall, "sip.network.sleep-after-own-invite", "shrink/talk"),
    (Defect::NeverAcknowledges, "jsonrtc.call.complete-becomes-ack", "shrink/office"),
    (Defect::EndsDialogForSleeper, "jsonrtc.call.change-leaves-call", "shrink/talk"),
];

const SEED: u64 = 5;

/// So many plays are enough for each of them.
const TRIES: usize = 400;

const WORLD: World = World::Express;

fn piece(id: &str) -> Arc<Piece> {
    let mut all = shipped().iter().chain(&SCENES);
    let (id, text) = all.find(|(known, _)| *known == id).unwrap_or_else(|| panic!("no {id}"));
    let scenario = read(id, text).unwrap_or_else(|report| panic!("{report}"));
    Piece::new(scenario, text)
}

fn plain(id: &str) -> Job {
    Job::plain(piece(id), SEED, WORLD)
}

fn with(defect: Defect) -> impl Fn(&Job) -> Played {
    move |job| play_with(job, |settings| settings.core.defect = Some(defect))
}

fn bounds(tries: usize) -> Bounds<'static> {
    Bounds { tries, over: &|| false }
}

/// What was found as its file says it.
fn from_its_file(shrunk: &Shrunk) -> Job {
    let scenario = &shrunk.job.piece.scenario;
    let text = write(scenario);
    let back = read(&scenario.id, &text).unwrap_or_else(|report| panic!("{report}\n{text}"));
    Job::plain(Piece::new(back, &text), shrunk.job.seed, shrunk.job.world)
}

#[test]
fn the_long_scenarios_are_well() {
    for (id, _) in SCENES {
        let verdict = play(&plain(id)).case.verdict;
        let wrong = verdict.findings.iter().filter(|f| f.observed != Observed::Pass);
        assert_eq!(verdict.observed, Observed::Pass, "{id}: {:#?}", wrong.collect::<Vec<_>>());
    }
}

#[test]
fn each_planted_defect_shrinks_to_the_few_steps_that_show_it() {
    for (defect, requirement, scene) in TABLE {
        let broken = with(defect);
        let shrunk = shrink(&plain(scene), Some(requirement), &broken, bounds(TRIES), &mut |_| {});
        let shrunk = shrunk.unwrap_or_else(|why| panic!("{defect:?}: {why}"));
        let job = from_its_file(&shrunk);
        let scenario = &job.piece.scenario;
        let text = write(scenario);
        println!(
            "{defect:?}: {} -> {} steps in {} plays\n{text}",
            shrunk.steps_before,
            scenario.steps.len(),
            shrunk.tries
        );
        assert!(scenario.steps.len() <= 6, "{defect:?}: {text}");
        assert_eq!(shrunk.check, Check::Requirement(requirement.to_owned()));
        assert!(shrunk.is_smallest && shrunk.tries <= TRIES, "{defect:?}: {shrunk:?}");
        let verdict = broken(&job).case.verdict;
        assert!(shrunk.check.fails(&verdict), "{defect:?}: {verdict:#?}\n{text}");
        let healthy = play(&job).case.verdict;
        assert_eq!(healthy.observed, Observed::Pass, "{defect:?}: {healthy:#?}\n{text}");
    }
}

#[test]
fn a_cell_of_a_sweep_becomes_a_step() {
    let seeds = Seeds { first: SEED, count: Some(1), world: WORLD };
    let broken = with(Defect::ForgetsToTag);
    let requirement = "sip.hold.provisional-every-60s";
    let check = Check::Requirement(requirement.to_owned());
    let cells = jobs(&piece("crash/sweep-of-the-plain-wake"), seeds);
    let cell = cells.iter().filter(|job| !job.cell.is_empty());
    let cell = cell.into_iter().find(|job| check.fails(&broken(job).case.verdict));
    let cell = cell.expect("one of the points shows it");
    let shrunk = shrink(cell, Some(requirement), &broken, bounds(TRIES), &mut |_| {});
    let shrunk = shrunk.expect("it fails");
    let scenario = &shrunk.job.piece.scenario;
    assert!(scenario.sweep.is_none() && shrunk.job.cell.is_empty(), "{}", write(scenario));
    assert!(scenario.steps.iter().any(|step| matches!(step.verb, Verb::Crash { .. })));
    assert!(check.fails(&broken(&from_its_file(&shrunk)).case.verdict));
}

/// The plain wake with one more expectation, which nobody meets.
fn unmet() -> Job {
    let whole = piece("wake/plain");
    let text = write(&whole.scenario).replacen(
        "expect = [\n",
        "expect = [\n  { must = \"never push.sent(bob)\", within = \"50s\" },\n",
        1,
    );
    let scenario = read("wake/plain", &text).unwrap_or_else(|report| panic!("{report}"));
    Job::plain(Piece::new(scenario, &text), SEED, WORLD)
}

#[test]
fn an_expectation_stays_the_same_one() {
    let shrunk = shrink(&unmet(), None, &play, bounds(TRIES), &mut |_| {}).expect("it fails");
    assert_eq!(shrunk.check, Check::Expect("never push.sent(bob) within 50s".to_owned()));
    let expects = &shrunk.job.piece.scenario.expects;
    assert_eq!(
        expects.iter().map(|e| e.text.as_str()).collect::<Vec<_>>(),
        ["never push.sent(bob) within 50s"]
    );
    assert!(shrunk.check.fails(&play(&from_its_file(&shrunk)).case.verdict));
}

#[test]
fn the_same_case_shrinks_to_the_same_one_within_its_bounds() {
    let shrunk = |tries| {
        let mut told = Vec::new();
        let shrunk = shrink(&unmet(), None, &play, bounds(tries), &mut |at| told.push(at));
        let shrunk = shrunk.expect("it fails");
        (write(&shrunk.job.piece.scenario), shrunk.tries, shrunk.is_smallest, told)
    };
    let whole = shrunk(TRIES);
    assert_eq!(whole, shrunk(TRIES));
    assert!(whole.2 && whole.3.len() + 1 == whole.1, "each play is told");
    let (_, tries, is_smallest, _) = shrunk(3);
    assert_eq!((tries, is_smallest), (3, false));
    let over = Bounds { tries: TRIES, over: &|| true };
    let nothing = shrink(&unmet(), None, &play, over, &mut |_| {}).expect("it fails");
    assert_eq!((nothing.tries, nothing.is_smallest), (1, false));
}

#[test]
fn what_does_not_fail_cannot_shrink() {
    let wake = Job::plain(piece("wake/plain"), SEED, WORLD);
    let none = shrink(&wake, None, &play, bounds(TRIES), &mut |_| {});
    assert!(matches!(none, Err(Unshrinkable::NoFailure(_))), "{none:?}");
    let other =
        shrink(&unmet(), Some("sip.hold.trying-within-200ms"), &play, bounds(TRIES), &mut |_| {});
    assert!(matches!(other, Err(Unshrinkable::OtherCheck { .. })), "{other:?}");
    // What fails is the harness, and that is no check.
    let broken = |job: &Job| {
        let mut played = play(job);
        played.case.verdict.observed = Observed::Error;
        played
    };
    let error = shrink(&unmet(), None, &broken, bounds(TRIES), &mut |_| {});
    assert!(matches!(error, Err(Unshrinkable::NoFailure(_))), "{error:?}");
}
