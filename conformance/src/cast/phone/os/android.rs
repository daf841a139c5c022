//! Figures of Android. What has no source is an assumption, and marked so.

use std::ops::RangeInclusive;

use super::doze::Rhythm;
use super::settings::Bucket;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// From nothing to an app that can connect: Android vitals (App startup time) call 5 s and more
/// excessive; the lower end is an assumption.
pub(super) const COLD_MS: RangeInclusive<u64> = 500..=5_000;
/// From a cached process: the same page calls 2 s and more excessive.
pub(super) const WARM_MS: RangeInclusive<u64> = 100..=2_000;
/// Light Doze: idle for 5 min, doubled up to 15; windows of 1 to 5 min (AOSP,
/// `DeviceIdleController`: light_idle_to, light_max_idle_to, light_idle_maintenance_*_budget).
pub(super) const LIGHT: Rhythm = Rhythm {
    idle_ms: 5 * MINUTE_MS,
    idle_max_ms: 15 * MINUTE_MS,
    window_ms: MINUTE_MS,
    window_max_ms: 5 * MINUTE_MS,
};
/// Deep Doze: idle for an hour, doubled up to six; windows of 5 min, doubled up to 10 (the same
/// file: idle_to, max_idle_to, idle_pending_to, max_idle_pending_to).
pub(super) const DEEP: Rhythm = Rhythm {
    idle_ms: HOUR_MS,
    idle_max_ms: 6 * HOUR_MS,
    window_ms: 5 * MINUTE_MS,
    window_max_ms: 10 * MINUTE_MS,
};
/// For how long a high-priority message lets its app use the network in Doze: at most 5 min (the same
/// file, max_temp_app_allowlist_duration).
pub(super) const ALLOWANCE_MS: u64 = 5 * MINUTE_MS;
/// The time over which high-priority messages are counted.
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;

/// How many high-priority messages a day pass as such; what is above is treated as of normal priority
/// (developer.android.com, "Power management restrictions", rows before Android 13).
pub(super) const fn quota(bucket: Bucket) -> Option<usize> {
    match bucket {
        Bucket::Active | Bucket::WorkingSet => None,
        Bucket::Frequent => Some(10),
        Bucket::Rare | Bucket::Restricted => Some(5),
    }
}
