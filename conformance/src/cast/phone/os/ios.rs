//! Figures of iOS. What has no source is an assumption, and marked so.

use std::ops::RangeInclusive;

/// From nothing to an app that can connect. Reported: about 5 s until it is registered (Apple
/// Developer Forums, thread 795610); the range 0.2 s to 5 s around a median of 1 s is an assumption.
pub(super) const COLD_MS: RangeInclusive<u64> = 500..=5_000;
/// The same for an app that was suspended. Assumption.
pub(super) const WARM_MS: RangeInclusive<u64> = 100..=1_000;
/// How long an app may go on in the background before it is suspended and its sockets are gone: the
/// time of a background task. Apple names no figure; 30 s is what apps see.
pub(super) const BACKGROUND_MS: u64 = 30_000;
/// After so many VoIP pushes for which no call was reported the system launches the app for none any
/// more. Apple (PushKit, `PKPushType.voIP`): "repeatedly"; the field saw three (linphone-iphone 680).
pub(super) const VIOLATIONS_MAX: u32 = 3;
/// How long a user takes to answer the dialog that asks for permission. Assumption.
pub(super) const DIALOG_MS: RangeInclusive<u64> = 1_000..=4_000;
