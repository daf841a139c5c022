//! Each planted defect makes the check that is named for it fail; the unmutated gateway passes the
//! same check in the same play.

mod table;

use reveille_conformance::checks::judge;
use reveille_gateway_core::mutant::Defect;
use reveille_trace::{Observed, Trace};

use crate::{blindfold, scenes};

pub(crate) use table::TABLE;

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
