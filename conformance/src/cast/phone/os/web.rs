//! Figures of a browser. Nobody has measured these in public: all are assumptions.

use std::ops::RangeInclusive;

/// From a tap on the notification to a page that can connect.
pub(super) const COLD_MS: RangeInclusive<u64> = 800..=4_000;
/// To bring a page that is there to the front.
pub(super) const WARM_MS: RangeInclusive<u64> = 100..=800;
/// To start the service worker that receives the push.
pub(super) const WORKER_MS: RangeInclusive<u64> = 50..=500;
/// From the notification to the user's tap.
pub(super) const TAP_MS: RangeInclusive<u64> = 1_000..=4_000;
