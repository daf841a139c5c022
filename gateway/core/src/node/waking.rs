//! Wakes: when one is armed, what a push answer means, and when it ends.

use reveille_trace::{Draft, Kind};

use super::Node;
use super::entry::{Dirty, Entry, Promise};
use crate::io::{Output, PushId, PushOutcome, PushRequest};
use crate::record::SessionId;
use crate::timer::{Name, Owner};
use crate::wake::{Wake, WakeAct};

/// A session is not woken anew more often than this (D-28).
const WAKE_GAP_US: u64 = 2_000_000;

impl Node {
    /// Wakes the session for its pending calls, or lets them join the wake under way. Without a
    /// way to wake it they end now: 480.
    pub(super) fn arm_wake(&mut self, session: &SessionId) {
        let most_ms = self.config.wake_budget_ms.max(self.config.ring_deadline_ms);
        let Some(entry) = self.entries.get(session) else { return };
        let deadline_us = entry
            .calls
            .values()
            .filter(|call| call.is_undecided())
            .map(|call| self.mono_of_wall(call.record.deadline_wall_us, most_ms))
            .max();
        let Some(deadline_us) = deadline_us else { return };
        self.hold_all(session);
        let Some(entry) = self.entries.get(session) else { return };
        let from_us = entry.woken_us.map_or(0, |at| at + WAKE_GAP_US).max(self.now.mono_us);
        if !entry.session.device_usable() {
            self.end_pending_unless_lost(session, "no device to wake");
            return;
        }
        let schedule = self.config.push_attempts_ms.clone();
        let (next_id, now_us) = (self.last_wake + 1, self.now.mono_us);
        let Some(entry) = self.entries.get_mut(session) else { return };
        match &mut entry.wake {
            Some(wake) if !wake.is_spent(now_us) => {
                wake.join(deadline_us);
                return;
            }
            old => {
                // What the push service still says of the old one is nobody's business.
                let mut wake = Wake::new(next_id, from_us, deadline_us, schedule);
                wake.again = old.is_some();
                if let Some(spent) = old.replace(wake) {
                    self.wakes.remove(&spent.id);
                }
            }
        }
        entry.woken_us = Some(from_us);
        self.last_wake = next_id;
        self.wakes.insert(next_id, session.clone());
        self.step_wake(session);
    }

    /// The callers of calls that an app was given and lost, before it rang, hear so too.
    fn hold_all(&mut self, session: &SessionId) {
        let pending = self.entries.get(session).map(Entry::pending).unwrap_or_default();
        for subsession in pending {
            let owner = Owner::Call(session.clone(), subsession.clone());
            if !self.timers.is_set(Name::Provisional, &owner) {
                self.hold(session, &subsession, false);
            }
        }
    }

    pub(super) fn step_wake(&mut self, session: &SessionId) {
        let now_us = self.now.mono_us;
        let Some(entry) = self.entries.get_mut(session) else { return };
        let Some(act) = entry.wake.as_mut().and_then(|wake| wake.step(now_us)) else { return };
        self.act_wake(session, &act);
    }

    fn act_wake(&mut self, session: &SessionId, act: &WakeAct) {
        match act {
            WakeAct::Arm(at_us) => {
                self.timers.set(Name::WakeAttempt, Owner::Session(session.clone()), *at_us);
            }
            WakeAct::Push(attempt) => {
                let wake = self.entries.get(session).and_then(|entry| entry.wake.as_ref());
                if let Some(wake) = wake.map(|wake| wake.id) {
                    self.promise(session, Promise::Push { wake, attempt: *attempt });
                }
            }
            WakeAct::GiveUp(why) => self.end_pending(session, why),
        }
    }

    /// The record is durable: the push leaves, if a call still waits for it.
    pub(super) fn keep_push(&mut self, session: &SessionId, wake_id: u64, attempt: u32) {
        let Some(entry) = self.entries.get(session) else { return };
        let Some(wake) = entry.wake.as_ref().filter(|wake| wake.id == wake_id) else { return };
        if !wake.owes(attempt) || !entry.has_pending() {
            return;
        }
        let Some(device) = &entry.session.record.device else { return };
        let pending = entry.pending();
        let named = if wake.again { pending.last() } else { pending.first() };
        let first = named.and_then(|subsession| entry.calls.get(subsession));
        let ttl_ms = wake.deadline_us().saturating_sub(self.now.mono_us) / 1_000;
        let payload = reveille_wire::push::WakePayload {
            session_id: session.0.clone(),
            event: "call".to_owned(),
            call_id: first.map(|call| call.call_id.clone()),
            subsession_id: first.map(|call| call.record.subsession.clone()),
            initiator: first.map(|call| self.shown_initiator(call)),
            target: Some(entry.session.record.aor.clone()),
            ttl_s: Some(ttl_ms / 1_000),
        };
        let (tenancy, record) = (&self.config.tenancy, &entry.session.record);
        let request = PushRequest {
            id: PushId { wake: wake_id, attempt },
            provider: device.provider.clone(),
            session: session.clone(),
            application: tenancy.push_name(&record.app, &device.application).to_owned(),
            token: device.token.clone(),
            payload,
            ttl_ms,
            deadline_us: wake.deadline_us(),
        };
        if attempt == 1 {
            for call_id in self.pending_call_ids(session) {
                self.hop(7, "core/wake", &call_id);
            }
        }
        self.out.push(Output::Notify(Box::new(request)));
    }

    /// RFC 3323: a caller who asked for privacy is not named to a push service.
    #[expect(clippy::unused_self, reason = "reads as a decision of the node, beside the payload")]
    fn shown_initiator(&self, call: &crate::call::Call) -> String {
        let private = call.invite.header("Privacy").is_some_and(|value| value.trim() != "none");
        if private { "anonymous@anonymous.invalid".to_owned() } else { call.initiator() }
    }

    pub(super) fn on_pushed(&mut self, push: PushId, outcome: &PushOutcome) {
        let Some(session) = self.wakes.get(&push.wake).cloned() else { return };
        let now_us = self.now.mono_us;
        let Some(entry) = self.entries.get_mut(&session) else { return };
        let Some(wake) = entry.wake.as_mut().filter(|wake| wake.id == push.wake) else { return };
        let act = wake.outcome(now_us, push.attempt, outcome);
        if act.is_some() && matches!(outcome, PushOutcome::Refused { .. }) {
            // The token is dead: no further call is held for it until the app brings another.
            if let Some(device) = &mut entry.session.record.device {
                device.usable = false;
            }
            self.touch(&session, Dirty::Soon);
        }
        if let Some(act) = act {
            self.act_wake(&session, &act);
        }
    }

    /// The wake is over, because the app is here or nobody waits any more.
    pub(super) fn end_wake(&mut self, session: &SessionId) {
        self.timers.clear(Name::WakeAttempt, &Owner::Session(session.clone()));
        if let Some(wake) = self.entries.get_mut(session).and_then(|entry| entry.wake.take()) {
            self.wakes.remove(&wake.id);
        }
    }

    /// The app was given a `start` and has said nothing since.
    pub(super) fn on_start_silence(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get(session) else { return };
        let waits = entry.calls.values().any(|call| call.is_undecided() && !call.is_rung());
        if waits && entry.session.device_usable() {
            self.trace(Draft::new(Kind::Note).with("text", "no frame after start: waking again"));
            self.arm_wake(session);
        }
    }

    /// Call-IDs of the pending calls, by arrival.
    fn pending_call_ids(&self, session: &SessionId) -> Vec<String> {
        let Some(entry) = self.entries.get(session) else { return Vec::new() };
        let pending = entry.pending();
        let calls = pending.iter().filter_map(|subsession| entry.calls.get(subsession));
        calls.map(|call| call.call_id.clone()).collect()
    }

    /// No device can be woken. A session that only lost its socket may still come back by itself.
    fn end_pending_unless_lost(&mut self, session: &SessionId, why: &'static str) {
        let asleep = self.entries.get(session).is_some_and(|entry| entry.session.is_asleep());
        if asleep {
            self.end_pending(session, why);
        }
    }
}
