//! Each planted defect makes the check that is named for it fail; the unmutated gateway passes the
//! same check in the same play.

use reveille_conformance::checks::judge;
use reveille_gateway_core::mutant::Defect;
use reveille_trace::{Observed, Trace};

use crate::{blindfold, scenes};

/// The defect, the check that must see it, and the scenario that shows it.
pub(crate) type Row = (Defect, &'static str, &'static str);

const TWO_CALLS: &str = "wake/two-calls-at-once";
const LOST_CONNECTION: &str = "app/websocket-drops-before-answer";

pub(crate) const TABLE: [Row; 11] = [
    (Defect::DeliversBeforeStored, "sip.hold.invite-durable-before-100-and-push", TWO_CALLS),
    (Defect::ForgetsSecondPending, "sip.hold.concurrent-callers-all-kept", TWO_CALLS),
    (Defect::DeliversTwiceAfterResume, "sip.wake.exactly-once-across-reconnects", LOST_CONNECTION),
    (Defect::NoTrying, "sip.hold.trying-within-200ms", "wake/plain"),
    (Defect::RingsAfterCancel, "sip.end.late-wake-after-cancel-no-ring", "cancel/after-the-push"),
    (Defect::ClearsRecordAt200, "sip.wake.answer-retransmitted-until-ack", "crash/before-the-ack"),
    (Defect::ForgetsToTag, "sip.hold.provisional-every-60s", "crash/while-it-rings"),
    (Defect::RepeatsSequence, "jsonrtc.session.sequence-survives-sleep", LOST_CONNECTION),
    (
        Defect::SleepsInOwnCall,
        "sip.network.sleep-after-own-invite",
        "call/sleep-refused-while-it-rings",
    ),
    (Defect::NeverAcknowledges, "jsonrtc.call.complete-becomes-ack", "call/placed"),
    (
        Defect::EndsDialogForSleeper,
        "jsonrtc.call.change-leaves-call",
        "call/renegotiated-while-cut-off",
    ),
];

fn decided(trace: &Trace, requirement: &str) -> (Observed, String) {
    let findings = judge(trace, &[requirement]);
    let finding = findings.into_iter().find(|finding| finding.requirement == requirement);
    let finding = finding.expect("the requirement has a check");
    (finding.observed, finding.actual)
}

#[test]
fn every_planted_defect_is_seen_by_the_check_named_for_it() {
    assert_eq!(TABLE.map(|(defect, ..)| defect), Defect::ALL, "each defect has its row");
    for (defect, requirement, scene) in TABLE {
        let (healthy, why) = decided(&scenes::healthy(scene), requirement);
        assert_eq!(healthy, Observed::Pass, "{requirement} without {defect:?}: {why}");
        let trace = scenes::broken(scene, defect);
        let (broken, why) = decided(&trace, requirement);
        assert_eq!(broken, Observed::Fail, "{requirement} does not see {defect:?}");
        assert_eq!(blindfold::difference(&trace), None, "{defect:?}");
        println!("{defect:?}: {requirement}: {why}");
    }
}
