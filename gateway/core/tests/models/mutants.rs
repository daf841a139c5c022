//! Planted defects that a model must find: proof that it can fail.

use reveille_gateway_core::config::Config;
use reveille_gateway_core::mutant::Defect;

use crate::bench::config;
use crate::{requests, session, transactions, wake};

type Model = fn(Config, u32) -> Result<(), String>;

#[test]
fn the_models_find_planted_defects() {
    for (defect, model) in [
        (Defect::NoTrying, transactions::outcome as Model),
        (Defect::NeverAcknowledges, requests::outcome as Model),
        (Defect::SleepsInOwnCall, session::outcome as Model),
        (Defect::RepeatsSequence, session::outcome as Model),
        (Defect::DeliversBeforeStored, wake::outcome as Model),
        (Defect::ForgetsSecondPending, wake::outcome as Model),
        (Defect::DeliversTwiceAfterResume, wake::outcome as Model),
        (Defect::NoTrying, wake::outcome as Model),
        (Defect::RingsAfterCancel, wake::outcome as Model),
        (Defect::ClearsRecordAt200, wake::outcome as Model),
        (Defect::ForgetsToTag, wake::outcome as Model),
        (Defect::RepeatsSequence, wake::outcome as Model),
    ] {
        let mutant = Config { defect: Some(defect), ..config() };
        let Err(found) = model(mutant, 20_000) else { panic!("{defect:?} went unseen") };
        println!("{defect:?}: {}", found.lines().next().unwrap_or_default());
    }
}
