//! Phones with an operating system, and what is done to them.

use std::time::Duration;

use reveille_scenarios::{Bucket, Device, DeviceAct, Misstep, Os, Permission};

use crate::made::Dice;

pub(crate) fn device(dice: &mut Dice<'_>) -> Device {
    let os = dice.one(&Os::ALL);
    let bucket = match os {
        Os::Android => {
            dice.one(&[Bucket::Active, Bucket::WorkingSet, Bucket::Frequent, Bucket::Rare])
        }
        Os::Ios | Os::Web => Bucket::default(),
    };
    let permission = match os {
        Os::Android => Permission::default(),
        Os::Ios | Os::Web => {
            dice.one(&[Permission::Granted, Permission::Denied, Permission::Unasked])
        }
    };
    let cold_start = dice.maybe(|dice| dice.seconds(0, 60));
    Device { os, bucket, permission, cold_start }
}

pub(crate) fn act(dice: &mut Dice<'_>, os: Os) -> DeviceAct {
    let lasts = dice.time() + Duration::from_millis(1);
    match dice.below(9) {
        0 => DeviceAct::Background,
        1 => DeviceAct::Foreground,
        2 => DeviceAct::ForceStop,
        3 => DeviceAct::Lock,
        4 => DeviceAct::Unlock,
        5 => DeviceAct::Airplane { lasts },
        6 if os == Os::Android => DeviceAct::Doze { deep: dice.yes(), lasts },
        6 | 7 => DeviceAct::LowPower,
        _ => {
            let of_ios = (os == Os::Ios).then_some(Misstep::ReportsNothing);
            let all = [Misstep::FailsToStart, Misstep::ConnectsLate, Misstep::Crashes];
            let all: Vec<_> = all.into_iter().chain(of_ios).collect();
            DeviceAct::Misbehave { how: dice.one(&all), times: 1 + dice.below(100) }
        }
    }
}
