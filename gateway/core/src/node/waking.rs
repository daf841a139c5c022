//! Wakes: when one is armed, what a push answer means, and when it ends.

use reveille_trace::{Draft, Kind};
use reveille_wire::push::WakePayload;
use reveille_wire::sip::Message;

use super::Node;
use super::entry::{Dirty, Entry, Promise};
use crate::dice;
use crate::headers;
use crate::io::{Output, PushId, PushOutcome, PushRequest};
use crate::message::identity;
use crate::record::{SessionId, Standing};
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
        let now_us = self.now.mono_us;
        let messages = entry.waking_messages(now_us);
        let deadline_us = entry
            .calls
            .values()
            .filter(|call| call.awaits_app())
            .map(|call| self.mono_of_wall(call.record.deadline_wall_us, most_ms))
            .chain(messages.iter().map(|message| message.wake_until_us))
            .chain(entry.knocking_until_us())
            .chain(Some(entry.news_until_us).filter(|until_us| now_us < *until_us))
            .max();
        let for_call = entry.awaits_app();
        let Some(deadline_us) = deadline_us else { return };
        self.hold_all(session);
        let Some(entry) = self.entries.get(session) else { return };
        // What woke the app for a message holds up no call.
        let holds_up = !for_call || entry.wake.as_ref().is_none_or(|wake| wake.for_call);
        let woken_us = entry.woken_us.filter(|_| holds_up);
        let from_us = woken_us.map_or(0, |at| at + WAKE_GAP_US).max(now_us);
        if !entry.session.device_usable() {
            self.end_pending_unless_lost(session, "no device to wake");
            return;
        }
        if !self.is_pushed_for(entry) {
            self.end_wake(session);
            return;
        }
        let schedule = self.config.push_attempts_ms.clone();
        let next_id = self.last_wake + 1;
        let Some(entry) = self.entries.get_mut(session) else { return };
        match &mut entry.wake {
            Some(wake)
                if !wake.is_spent(now_us)
                    && wake.serves(for_call)
                    && !planted!(self.config, WakesForEachCall) =>
            {
                wake.join(deadline_us, for_call);
                return;
            }
            old => {
                // What the push service still says of the old one is nobody's business.
                let mut wake = Wake::new(next_id, from_us, deadline_us, schedule);
                wake.again = old.is_some() && !planted!(self.config, WakesForEachCall);
                wake.for_call = for_call;
                if let Some(spent) = old.replace(wake) {
                    self.wakes.remove(&spent.id);
                }
            }
        }
        self.last_wake = next_id;
        self.wakes.insert(next_id, session.clone());
        self.step_wake(session);
    }

    /// A message, or another request that is no call's, joins the wake under way, also one whose push was accepted long ago: a burst of
    /// messages is one push for each wake budget. Otherwise it begins one.
    pub(super) fn wake_gently(&mut self, session: &SessionId) {
        let now_us = self.now.mono_us;
        let wake = self.entries.get(session).and_then(|entry| entry.wake.as_ref());
        if !wake.is_some_and(|wake| wake.is_coming(now_us)) {
            self.arm_wake(session);
        }
    }

    /// The callers of calls that an app was given and lost, before it rang, hear so too.
    fn hold_all(&mut self, session: &SessionId) {
        let pending = self.entries.get(session).map(Entry::pending).unwrap_or_default();
        for subsession in pending {
            let owner = Owner::call(session, &subsession);
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
                    if self.config.cluster.is_some() {
                        // Each attempt rests on a commit, which is refused if another node has the
                        // session by now: one node pushes.
                        self.touch(session, Dirty::Urgent);
                    }
                    self.promise(session, Promise::Push { wake, attempt: *attempt });
                }
            }
            WakeAct::GiveUp(why) => self.end_pending_if_away(session, why),
        }
    }

    /// The record is durable: the push leaves, if a call still waits for it.
    pub(super) fn keep_push(&mut self, session: &SessionId, wake_id: u64, attempt: u32) {
        let Some(entry) = self.entries.get(session) else { return };
        let Some(wake) = entry.wake.as_ref().filter(|wake| wake.id == wake_id) else { return };
        let wanted = entry.wants_wake(self.now.mono_us) || planted!(self.config, PushesAfterCancel);
        if !wake.owes(attempt) || !wanted {
            return;
        }
        let Some(device) = &entry.session.record.device else { return };
        let deadline_us = self.useful_until_us(entry, wake);
        let mut ttl_ms = deadline_us.saturating_sub(self.now.mono_us) / 1_000;
        if planted!(self.config, PushOutlivesCall) {
            ttl_ms = 2 * self.config.wake_budget_ms;
        }
        let payload = self.wake_payload(entry, wake.again, ttl_ms / 1_000);
        let (tenancy, record) = (&self.config.tenancy, &entry.session.record);
        let request = PushRequest {
            id: PushId { wake: wake_id, attempt },
            provider: device.provider.clone(),
            session: session.clone(),
            application: tenancy.push_name(&record.app, &device.application).to_owned(),
            token: device.token.clone(),
            platform: device.platform.clone(),
            payload,
            ttl_ms,
            deadline_us,
        };
        if attempt == 1 {
            // Now, and not when it was called for: one that was withdrawn holds up no other.
            let woken_us = Some(self.now.mono_us);
            if let Some(entry) = self.entries.get_mut(session) {
                entry.woken_us = woken_us;
            }
            for call_id in self.pending_call_ids(session) {
                self.hop(7, "core/wake", &call_id);
            }
        }
        self.out.push(Output::Notify(Box::new(request)));
    }

    /// Until when a push is of use: for a call to the end of the budget; a message waits longer, to
    /// its end or that of the sleep.
    fn useful_until_us(&self, entry: &Entry, wake: &Wake) -> u64 {
        if entry.awaits_app() {
            return wake.deadline_us();
        }
        let most_ms = self.config.ttl_s.2 * 1_000;
        let sleep_ends_us = match entry.session.record.standing {
            Standing::Asleep { until_wall_us, .. } => self.mono_of_wall(until_wall_us, most_ms),
            Standing::Awake => self.now.mono_us + self.config.ttl_s.0 * 1_000_000,
        };
        let messages = entry.waking_messages(self.now.mono_us);
        let last_us = messages.into_iter().map(|message| self.end_of(message)).max();
        last_us.unwrap_or(wake.deadline_us()).min(sleep_ends_us)
    }

    /// What the push says: of a call if one waits, else of a message, else that there is news. The first wake names what
    /// came first, one that follows a spent one what came last.
    fn wake_payload(&self, entry: &Entry, again: bool, ttl_s: u64) -> WakePayload {
        let pending = entry.awaiting();
        let call = if again { pending.last() } else { pending.first() };
        let call = call.and_then(|subsession| entry.calls.get(subsession));
        let messages = entry.waking_messages(self.now.mono_us);
        let message = if again { messages.last() } else { messages.first() };
        let message = message.filter(|_| call.is_none());
        let (request, subsession) = match (call, message) {
            (Some(call), _) => (Some(&call.invite), Some(call.record.subsession.clone())),
            (None, Some(it)) => (Some(&it.request), Some(it.record.subsession.clone())),
            (None, None) => {
                let request = entry.knocks.values().next().map(|knock| &knock.request);
                (request, request.map(|request| dice::uuid_of(identity(request))))
            }
        };
        let event = match (call, request) {
            (Some(_), _) => "call",
            (None, Some(_)) => "message",
            (None, None) => "notify",
        };
        let call_id = request.and_then(|request| request.call_id().ok());
        let incoming = self.carried(entry, call, message.copied());
        WakePayload {
            session_id: entry.session.record.id.to_string(),
            event: event.to_owned(),
            call_id: call_id.map(ToOwned::to_owned),
            subsession_id: subsession,
            initiator: request.map(shown_initiator),
            target: Some(entry.session.record.aor.clone()),
            ttl_s: Some(ttl_s),
            incoming: incoming.map(Box::new),
        }
    }

    pub(super) fn on_pushed(&mut self, push: PushId, outcome: &PushOutcome) {
        let Some(session) = self.wakes.get(&push.wake).cloned() else { return };
        let now_us = self.now.mono_us;
        let Some(entry) = self.entries.get_mut(&session) else { return };
        let Some(wake) = entry.wake.as_mut().filter(|wake| wake.id == push.wake) else { return };
        let later = PushOutcome::Transient { why: String::new(), retry_after_ms: None };
        let outcome = match outcome {
            PushOutcome::Transient { .. } if planted!(self.config, NeverTriesPushAgain) => return,
            PushOutcome::Refused { .. } if planted!(self.config, RetriesRefusedPush) => &later,
            PushOutcome::Accepted if planted!(self.config, RepeatsAcceptedPush) => &later,
            outcome => outcome,
        };
        let act = wake.outcome(now_us, push.attempt, outcome);
        if let (PushOutcome::Refused { dead_since_us, .. }, true) = (outcome, act.is_some()) {
            // The token is dead: no further call is held for it until the app brings another, or
            // unless the app gave it after it died.
            let dead = |since_wall_us| dead_since_us.is_none_or(|dead| since_wall_us <= dead);
            let device = entry.session.record.device.as_mut();
            let device = device.filter(|_| !planted!(self.config, KeepsDeadToken));
            if let Some(device) = device.filter(|device| dead(device.since_wall_us)) {
                device.usable = false;
                self.touch(&session, Dirty::Soon);
            }
        }
        if let Some(act) = act {
            self.act_wake(&session, &act);
        }
        if planted!(self.config, LateTrying) {
            for subsession in self.entries.get(&session).map(Entry::pending).unwrap_or_default() {
                self.provisional(&session, &subsession, 100, false);
            }
        }
    }

    /// Something happened that the app must hear of, and it is not here.
    pub(super) fn wake_if_away(&mut self, session: &SessionId) {
        let away = |entry: &Entry| entry.session.attached().is_none();
        if self.entries.get(session).is_some_and(away) {
            self.arm_wake(session);
        }
    }

    /// Ends the wake if nothing waits for the app any more.
    pub(super) fn end_wake_if_idle(&mut self, session: &SessionId) {
        let now_us = self.now.mono_us;
        let goes_on = planted!(self.config, PushesAfterCancel);
        if !goes_on && !self.entries.get(session).is_some_and(|entry| entry.wants_wake(now_us)) {
            self.end_wake(session);
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

    /// Nothing that is left to try can wake the device. An app that is connected, and was only slow to
    /// say a word, has what waits for it all the same and may still answer inside the budget.
    fn end_pending_if_away(&mut self, session: &SessionId, why: &'static str) {
        let is_here = |entry: &Entry| entry.session.attached().is_some();
        if !self.entries.get(session).is_some_and(is_here) {
            self.end_pending(session, why);
        }
    }

    /// No device can be woken. A session that only lost its socket may still come back by itself.
    fn end_pending_unless_lost(&mut self, session: &SessionId, why: &'static str) {
        let asleep = self.entries.get(session).is_some_and(|entry| entry.session.is_asleep());
        if asleep {
            self.end_pending(session, why);
        }
    }
}

/// A caller who asked for privacy is not named to a push service.
fn shown_initiator(request: &Message) -> String {
    if headers::is_private(request) {
        return "anonymous@anonymous.invalid".to_owned();
    }
    request.from().map(|from| from.uri.aor()).unwrap_or_default()
}
