//! Each planted defect makes the check that is named for it fail; the unmutated gateway passes the
//! same check in the same play. And a check decides the same without the gateway's own events.

use std::time::Duration;

use reveille_conformance::cast::{caller, phone, push};
use reveille_conformance::checks::{CHECKS, judge};
use reveille_conformance::player::{Step, Verb, When};
use reveille_conformance::stage::Fault;
use reveille_gateway_core::mutant::Defect;
use reveille_scenarios::What;
use reveille_trace::{Observed, Trace};

use crate::play::{Plan, alice, asleep, bob, call, heard, play, sight};

const ANSWER: phone::Conduct = phone::Conduct::Answer { after_ms: 500 };

fn crash(when: When) -> Step {
    let fault = Fault::Crash { host: "gateway".to_owned(), down: Duration::from_secs(1) };
    Step { when, verb: Verb::Fault(fault) }
}

fn two_calls() -> Plan {
    Plan::plain(3).step(alice(When::Now, caller::Command::Call(call("c2"))))
}

/// The app has the call, loses its connection, and comes back.
fn lost_connection() -> Plan {
    Plan::plain(3)
        .conduct(phone::Conduct::Answer { after_ms: 6_000 })
        .step(bob(When::Seen(sight("bob", What::Alerted)), phone::Command::DropConnection))
}

/// The caller gives up while the push is on its way.
fn cancelled_early() -> Plan {
    let mut plan = Plan::plain(3).conduct(ANSWER);
    plan.cast.push.answers = vec![push::Answer::Delay { delay_ms: 3_000 }];
    plan.step(alice(When::Seen(heard(183)), caller::Command::Cancel("c1".to_owned())))
}

/// The answer is lost on its way to the caller, and then the gateway dies.
fn killed_before_ack() -> Plan {
    let mut plan = Plan::plain(3);
    let lost = caller::Call { lost_answers: 1, ..call("c1") };
    plan.steps[1] = alice(asleep(), caller::Command::Call(lost));
    plan.step(crash(When::Seen(heard(200))))
}

/// The gateway dies while the phone rings.
fn killed_ringing() -> Plan {
    Plan::plain(3)
        .conduct(phone::Conduct::Answer { after_ms: 4_000 })
        .step(crash(When::Seen(heard(180))))
}

/// The defect, the check that must see it, and the play that shows it.
pub(crate) type Row = (Defect, &'static str, fn() -> Plan);

pub(crate) const TABLE: [Row; 8] = [
    (Defect::DeliversBeforeStored, "sip.hold.invite-durable-before-100-and-push", two_calls),
    (Defect::ForgetsSecondPending, "sip.hold.concurrent-callers-all-kept", two_calls),
    (Defect::DeliversTwiceAfterResume, "sip.wake.exactly-once-across-reconnects", lost_connection),
    (Defect::NoTrying, "sip.hold.trying-within-200ms", two_calls),
    (Defect::RingsAfterCancel, "sip.end.late-wake-after-cancel-no-ring", cancelled_early),
    (Defect::ClearsRecordAt200, "sip.wake.answer-retransmitted-until-ack", killed_before_ack),
    (Defect::ForgetsToTag, "sip.hold.provisional-every-60s", killed_ringing),
    (Defect::RepeatsSequence, "jsonrtc.session.sequence-survives-sleep", lost_connection),
];

fn performed(plan: fn() -> Plan, defect: Option<Defect>) -> Trace {
    let mut plan = plan();
    plan.settings.core.defect = defect;
    let played = play(&plan);
    assert_eq!(played.outcome, Ok(()), "the harness is healthy with {defect:?}");
    played.trace
}

fn decided(trace: &Trace, requirement: &str) -> (Observed, String) {
    let findings = judge(trace, &[requirement]);
    let finding = findings.into_iter().find(|finding| finding.requirement == requirement);
    let finding = finding.expect("the requirement has a check");
    (finding.observed, finding.actual)
}

#[test]
fn every_planted_defect_is_seen_by_the_check_named_for_it() {
    assert_eq!(TABLE.map(|(defect, ..)| defect), Defect::ALL, "each defect has its row");
    for (defect, requirement, plan) in TABLE {
        let (healthy, why) = decided(&performed(plan, None), requirement);
        assert_eq!(healthy, Observed::Pass, "{requirement} without {defect:?}: {why}");
        let (broken, why) = decided(&performed(plan, Some(defect)), requirement);
        assert_eq!(broken, Observed::Fail, "{requirement} does not see {defect:?}");
        println!("{defect:?}: {requirement}: {why}");
    }
}

#[test]
fn the_unmutated_gateway_passes_every_check_in_every_play() {
    for plan in [two_calls, lost_connection, cancelled_early, killed_before_ack, killed_ringing] {
        let trace = performed(plan, None);
        for finding in judge(&trace, &[]) {
            assert_eq!(finding.observed, Observed::Pass, "{finding:?}");
        }
    }
}

/// Without the gateway's own events all checks but those marked `sim` decide as with them.
pub(crate) fn decides_the_same_blindfolded(trace: &Trace) {
    let sim: Vec<_> = CHECKS.iter().filter(|c| c.sim).map(|c| c.requirement).collect();
    let mut seeing = judge(trace, &[]);
    seeing.retain(|finding| !sim.contains(&finding.requirement.as_str()));
    assert_eq!(seeing, judge(&trace.without_actor("gateway"), &[]));
}

#[test]
fn checks_decide_the_same_blindfolded() {
    for (defect, _, plan) in TABLE {
        for planted in [None, Some(defect)] {
            decides_the_same_blindfolded(&performed(plan, planted));
        }
    }
}
