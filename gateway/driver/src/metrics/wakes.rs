//! How long wakes take, read off what passes the loop: the push service's word, the app's return,
//! and the first `start`.

use std::collections::BTreeMap;

use reveille_gateway_core::io::{PushOutcome, PushRequest};
use reveille_trace::{Draft, Kind};

use super::Metrics;

/// Wakes that are followed at once; more are not timed, though they are counted.
const MOST: usize = 10_000;
/// A wake that has not come to its end after so long never will.
const STALE_US: u64 = 600_000_000;
/// Stale ones are looked for no more often than this.
const SWEEP_US: u64 = 1_000_000;

/// Where a wake stands.
#[derive(Debug)]
struct Course {
    session: String,
    call_id: Option<String>,
    begun_us: u64,
    accepted_us: Option<u64>,
    attached_us: Option<u64>,
}

/// Wakes under way.
#[derive(Default)]
pub(crate) struct Wakes {
    courses: BTreeMap<u64, Course>,
    by_session: BTreeMap<String, u64>,
    by_call: BTreeMap<String, u64>,
    swept_us: u64,
}

impl Wakes {
    /// A push is about to be asked for.
    pub(crate) fn asked(&mut self, metrics: &Metrics, request: &PushRequest, now_us: u64) {
        if request.id.attempt > 1 {
            return;
        }
        metrics.wake_begins(&request.application);
        let (wake, session) = (request.id.wake, request.session.to_string());
        if let Some(old) = self.by_session.get(&session).copied() {
            self.forget(old);
        }
        self.sweep(now_us);
        if self.courses.len() >= MOST {
            return;
        }
        let call_id = request.payload.call_id.clone();
        self.by_session.insert(session.clone(), wake);
        if let Some(call_id) = &call_id {
            self.by_call.insert(call_id.clone(), wake);
        }
        let (accepted_us, attached_us) = (None, None);
        let course = Course { session, call_id, begun_us: now_us, accepted_us, attached_us };
        self.courses.insert(wake, course);
    }

    /// A push service answered.
    pub(crate) fn answered(&mut self, wake: u64, outcome: &PushOutcome, now_us: u64) {
        let course = self.courses.get_mut(&wake);
        if let Some(course) = course.filter(|_| *outcome == PushOutcome::Accepted) {
            course.accepted_us = Some(now_us);
        }
    }

    /// True for a draft that [`traced`](Self::traced) wants to see.
    pub(crate) const fn concerns(draft: &Draft) -> bool {
        matches!(draft.kind(), Kind::SessionState | Kind::Hop)
    }

    /// What the core says of a session's return and of a call's `start`.
    pub(crate) fn traced(&mut self, metrics: &Metrics, draft: &Draft, now_us: u64) {
        match draft.kind() {
            Kind::SessionState if draft.text("cause") == Some("resumed") => {
                let wake = draft.text("session").and_then(|id| self.by_session.get(id));
                let course = wake.and_then(|wake| self.courses.get_mut(wake));
                let Some(course) = course.filter(|it| it.attached_us.is_none()) else { return };
                course.attached_us = Some(now_us);
                if let Some(accepted_us) = course.accepted_us {
                    metrics.push_to_attach.see(now_us.saturating_sub(accepted_us));
                }
            }
            // Hop 9 of a call: its first `start` leaves. Hop 5 bears the same name and comes before
            // the app is back.
            Kind::Hop if draft.text("where") == Some("core/session") => {
                let Some(wake) = draft.joined().and_then(|call| self.by_call.get(call)) else {
                    return;
                };
                let (wake, course) = (*wake, self.courses.get(wake));
                if let Some(attached_us) = course.and_then(|course| course.attached_us) {
                    metrics.attach_to_start.see(now_us.saturating_sub(attached_us));
                    self.forget(wake);
                }
            }
            _ => {}
        }
    }

    fn forget(&mut self, wake: u64) {
        let Some(course) = self.courses.remove(&wake) else { return };
        self.by_session.remove(&course.session);
        if let Some(call_id) = &course.call_id {
            self.by_call.remove(call_id);
        }
    }

    fn sweep(&mut self, now_us: u64) {
        if self.courses.len() < MOST || now_us < self.swept_us + SWEEP_US {
            return;
        }
        self.swept_us = now_us;
        let is_stale = |it: &Course| now_us.saturating_sub(it.begun_us) > STALE_US;
        let stale: Vec<_> =
            self.courses.iter().filter(|(_, it)| is_stale(it)).map(|(wake, _)| *wake).collect();
        for wake in stale {
            self.forget(wake);
        }
    }
}
