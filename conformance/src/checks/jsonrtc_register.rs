//! How an app comes to its session, and comes back to it.

use std::collections::BTreeMap;

use super::view::View;
use super::{Outcome, broken};

/// What an app was told to have arrived has arrived for good: no resume says less.
pub(super) fn acknowledged_stays(view: &View<'_>) -> Outcome {
    let mut told: BTreeMap<&str, u64> = BTreeMap::new();
    let mut outcome = Outcome::Silent;
    for frame in view.frames.iter().filter(|frame| !frame.sent) {
        let session = frame.text("control", "session_id");
        let before = told.get(session).copied();
        let number = |part: &str, name: &str| frame.json[part][name].as_u64();
        let arrived = number("header", "sslr").filter(|_| frame.answers("connect"));
        if let Some((arrived, before)) = arrived.zip(before) {
            if arrived < before {
                let what = format!("{before} was acknowledged, and the resume says {arrived}");
                return broken(what, frame.seq);
            }
            outcome = Outcome::Met;
        }
        let now = number("control", "ack_sequence").max(arrived);
        if let Some(now) = now.max(before).filter(|_| !session.is_empty()) {
            told.insert(session, now);
        }
    }
    outcome
}
