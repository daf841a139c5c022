//! Phones that have an operating system: how they are set up, and what is done to them.

use reveille_scenarios::{Bucket, Device, DeviceAct, Misstep, Os, Permission};

use super::Verb;
use super::rig::{Lowering, ms};
use crate::cast::phone::{Command, os};
use crate::stage::Fault;

/// The operating system of a phone.
pub(super) fn system(device: Device) -> os::Settings {
    os::Settings {
        system: match device.os {
            Os::Ios => os::System::Ios,
            Os::Android => os::System::Android,
            Os::Web => os::System::Web,
        },
        bucket: match device.bucket {
            Bucket::Active => os::Bucket::Active,
            Bucket::WorkingSet => os::Bucket::WorkingSet,
            Bucket::Frequent => os::Bucket::Frequent,
            Bucket::Rare => os::Bucket::Rare,
            Bucket::Restricted => os::Bucket::Restricted,
        },
        permission: match device.permission {
            Permission::Granted => os::Permission::Granted,
            Permission::Denied => os::Permission::Denied,
            Permission::Unasked => os::Permission::Unasked,
        },
        cold_start_ms: device.cold_start.map(ms),
    }
}

const fn misstep(how: Misstep) -> os::Misstep {
    match how {
        Misstep::FailsToStart => os::Misstep::FailsToStart,
        Misstep::ConnectsLate => os::Misstep::ConnectsLate,
        Misstep::Crashes => os::Misstep::Crashes,
        Misstep::ReportsNothing => os::Misstep::ReportsNothing,
    }
}

fn order(act: DeviceAct) -> os::Order {
    match act {
        DeviceAct::Background => os::Order::Background,
        DeviceAct::Foreground => os::Order::Foreground,
        DeviceAct::ForceStop => os::Order::ForceStop,
        DeviceAct::Lock => os::Order::Lock,
        DeviceAct::Unlock => os::Order::Unlock,
        DeviceAct::Airplane { lasts } => os::Order::Airplane { lasts_ms: ms(lasts) },
        DeviceAct::Doze { deep, lasts } => os::Order::Doze { deep, lasts_ms: ms(lasts) },
        DeviceAct::LowPower => os::Order::LowPower,
        DeviceAct::Misbehave { how, times } => os::Order::Misbehave { how: misstep(how), times },
    }
}

impl Lowering<'_> {
    /// A phone whose radio is off is cut off from everybody that it talks to.
    pub(super) fn act(&self, phone: &str, act: DeviceAct) -> Verb {
        let command = Command::Os(order(act));
        let DeviceAct::Airplane { lasts } = act else {
            return Verb::Phone(phone.to_owned(), command);
        };
        let nodes = (1..=self.scenario.world.nodes.unwrap_or(1)).map(|node| self.rig.node(node));
        let cut = |b: String| Fault::Partition { a: phone.to_owned(), b, lasts };
        let cuts = nodes.chain(["push".to_owned()]).map(cut).collect();
        Verb::Airplane { phone: phone.to_owned(), command, cuts }
    }
}
