use super::line::Line;
use crate::device::{Bucket, Device, DeviceAct, Permission};

/// What a phone's operating system brings.
pub(super) fn device(line: &mut Line, device: &Device) {
    let Device { os, bucket, permission, cold_start } = device;
    line.word("os", os.name());
    line.word_if("bucket", (*bucket != Bucket::default()).then(|| bucket.name()));
    line.word_if("permission", (*permission != Permission::default()).then(|| permission.name()));
    line.time_if("cold-start", *cold_start);
}

/// What is done to it.
pub(super) fn act(line: &mut Line, phone: &str, act: &DeviceAct) {
    match act {
        DeviceAct::Background => line.word("background", phone),
        DeviceAct::Foreground => line.word("foreground", phone),
        DeviceAct::ForceStop => line.word("force-stop", phone),
        DeviceAct::Lock => line.word("lock", phone),
        DeviceAct::Unlock => line.word("unlock", phone),
        DeviceAct::Airplane { lasts } => {
            line.word("airplane", phone);
            line.time("lasts", *lasts);
        }
        DeviceAct::Doze { deep, lasts } => {
            line.word("doze", phone);
            line.word("depth", if *deep { "deep" } else { "light" });
            line.time("lasts", *lasts);
        }
        DeviceAct::LowPower => line.word("low-power", phone),
        DeviceAct::Misbehave { how, times } => {
            line.word("misbehave", phone);
            line.word("how", how.name());
            line.number_if("times", (*times != 1).then_some(u64::from(*times)));
        }
    }
}
