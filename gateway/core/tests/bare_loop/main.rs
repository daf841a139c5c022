//! The bare loop: no runtime, no network, no clock. It enumerates, for the plain wake and for a
//! wake with CANCEL, every order in which messages and commits can meet, and a crash at every
//! point, and asks of each path: was an accepted call lost?

#![expect(clippy::print_stdout, reason = "the size of what was enumerated is part of the result")]

mod peers;
mod world;

use world::{Limits, Tally, World};

fn explore(limits: Limits) -> (Tally, Result<(), String>) {
    let mut tally = Tally::default();
    let outcome = World::new(limits).explore(&mut tally);
    (tally, outcome)
}

fn assert_no_call_lost(name: &str, limits: Limits, least_paths: u64) {
    let (tally, outcome) = explore(limits);
    println!(
        "{name}: {} paths, {} steps, {} crashes, longest path {}",
        tally.paths, tally.steps, tally.crashes, tally.longest
    );
    if let Err(lost) = outcome {
        panic!("{name}: {lost}");
    }
    assert!(
        tally.paths >= least_paths,
        "{name}: only {} paths: the loop lost its grip",
        tally.paths
    );
}

const CALM: Limits = Limits { crashes: 0, repeats: 0, cancels: 0, drops: 0, defect: None };

#[test]
fn a_plain_wake_loses_no_call_whatever_the_order() {
    assert_no_call_lost("plain wake", Limits { repeats: 1, ..CALM }, 50);
}

#[test]
fn a_plain_wake_loses_no_call_wherever_the_gateway_crashes() {
    assert_no_call_lost("plain wake, one crash", Limits { crashes: 1, repeats: 1, ..CALM }, 500);
}

#[test]
fn a_plain_wake_loses_no_call_though_it_crashes_twice() {
    assert_no_call_lost("plain wake, two crashes", Limits { crashes: 2, ..CALM }, 500);
}

#[test]
fn a_plain_wake_loses_no_call_though_the_socket_drops() {
    assert_no_call_lost("plain wake, lost socket", Limits { drops: 1, ..CALM }, 30);
}

#[test]
fn a_cancel_at_any_moment_has_one_outcome() {
    assert_no_call_lost("wake with CANCEL", Limits { cancels: 1, ..CALM }, 50);
}

#[test]
fn a_cancel_and_a_crash_at_any_moment_have_one_outcome() {
    let limits = Limits { cancels: 1, crashes: 1, ..CALM };
    assert_no_call_lost("wake with CANCEL, one crash", limits, 500);
}

/// Each defect that this loop can see makes it find a lost call, a second ring or a broken tag.
#[cfg(feature = "mutants")]
#[test]
fn the_loop_finds_planted_defects() {
    use reveille_gateway_core::mutant::Defect;
    let all = Limits { crashes: 1, cancels: 1, ..CALM };
    let no_cancel = Limits { crashes: 1, drops: 1, ..CALM };
    for (defect, limits) in [
        (Defect::DeliversBeforeStored, no_cancel),
        (Defect::DeliversTwiceAfterResume, no_cancel),
        (Defect::NoTrying, CALM),
        (Defect::RingsAfterCancel, all),
        (Defect::ClearsRecordAt200, no_cancel),
        (Defect::ForgetsToTag, no_cancel),
        (Defect::RepeatsSequence, no_cancel),
    ] {
        let (_, healthy) = explore(limits);
        assert_eq!(healthy, Ok(()), "the unmutated core fails the check meant for {defect:?}");
        let (_, outcome) = explore(Limits { defect: Some(defect), ..limits });
        let found = outcome.expect_err("a planted defect went unseen");
        println!("{defect:?}: {}", found.lines().next().unwrap_or_default());
    }
}
