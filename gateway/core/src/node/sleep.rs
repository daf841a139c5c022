//! Sleep, loss and the end of sessions.

use reveille_trace::{Draft, Kind};
use reveille_wire::jsonrtc::{Frame, MessageState, close};

use super::Node;
use super::entry::{Dirty, Promise};
use crate::call::Call;
use crate::io::{Change, SocketId};
use crate::message::InstantMessage;
use crate::record::{Phase, SessionId, SleepCause, Standing};
use crate::session::Link;
use crate::timer::{Name, Owner};

/// Deadlines of a session that go when it ends.
const ENDED: [Name; 5] =
    [Name::Grace, Name::SleepEnd, Name::CloseWait, Name::StartSilence, Name::AskSleep];

impl Node {
    /// The app asks to sleep. Granting it is a promise: it leaves when the record says asleep.
    pub(crate) fn on_hibernate(&mut self, session: &SessionId, frame: &Frame) {
        if let Some((code, reason)) = self.sleep_refusal(session) {
            self.refuse_frame(session, frame, code, reason);
            return;
        }
        if let Some(reason) = self.no_bed(session) {
            self.refuse_frame(session, frame, 480, &reason);
            return;
        }
        let (default_s, least_s, most_s) = self.config.ttl_s;
        let ttl_s = frame.header.ttl.unwrap_or(default_s).clamp(least_s, most_s);
        let mut answer = Frame::response("register", "hibernate", MessageState::Final);
        answer.control.correlation_id.clone_from(&frame.control.correlation_id);
        answer.header.response_code = Some(200);
        answer.header.ttl = Some(ttl_s);
        self.send(session, answer);
        self.fall_asleep(session, SleepCause::Request, ttl_s);
        let Some(entry) = self.entries.get_mut(session) else { return };
        if let Some(socket) = entry.session.socket() {
            entry.session.let_close(socket);
            self.arm(Name::CloseWait, Owner::Session(session.clone()), self.config.close_wait_ms);
        }
    }

    /// The app is asked to sleep when it has said nothing for so long.
    pub(super) fn arm_ask_sleep(&mut self, session: &SessionId) {
        let after_ms = self.config.ask_sleep_after_ms;
        if after_ms > 0 {
            self.arm(Name::AskSleep, Owner::Session(session.clone()), after_ms);
        }
    }

    /// Asks the app to sleep, if it could (D-19).
    pub(super) fn ask_to_sleep(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get(session) else { return };
        let is_here = entry.session.attached().is_some() && entry.joining.is_none();
        if !is_here || entry.asked_sleep.is_some() {
            return;
        }
        if self.sleep_refusal(session).is_some() {
            self.arm_ask_sleep(session);
            return;
        }
        let correlation = self.give(session, Frame::request("register", "hibernate"));
        if let Some(entry) = self.entries.get_mut(session) {
            entry.asked_sleep = correlation;
        }
    }

    /// The app grants sleep with a TTL, or does not. What came of it is told by `complete`, and then
    /// the gateway closes.
    pub(crate) fn on_sleep_answer(&mut self, session: &SessionId, frame: &Frame) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        let of = frame.control.correlation_id.as_deref();
        if entry.asked_sleep.is_none() || entry.asked_sleep.as_deref() != of {
            return;
        }
        let correlation = entry.asked_sleep.take();
        if frame.header.error_code.is_some() {
            self.trace(Draft::new(Kind::Note).with("text", "the app will not sleep"));
            return;
        }
        let mut complete = Frame::message("register", "hibernate");
        complete.header.action = Some("complete".to_owned());
        complete.control.correlation_id = correlation;
        if let Some((code, reason)) = self.sleep_refusal(session) {
            complete.header.response_code = Some(code);
            complete.header.reason = Some(reason.to_owned());
            self.give(session, complete);
            return;
        }
        let (default_s, least_s, most_s) = self.config.ttl_s;
        let ttl_s = frame.header.ttl.unwrap_or(default_s).clamp(least_s, most_s);
        complete.header.response_code = Some(200);
        complete.header.ttl = Some(ttl_s);
        self.give(session, complete);
        self.fall_asleep(session, SleepCause::Request, ttl_s);
        let Some(entry) = self.entries.get_mut(session) else { return };
        if let Some(socket) = entry.session.socket() {
            entry.session.let_close(socket);
            let code = close::HIBERNATE;
            self.promise(session, Promise::Close { socket, code, reason: "hibernate" });
            self.arm(Name::CloseWait, Owner::Session(session.clone()), self.config.close_wait_ms);
        }
    }

    /// Why this session may not sleep now: it has a call, or nothing could wake it.
    fn sleep_refusal(&self, session: &SessionId) -> Option<(u16, &'static str)> {
        let entry = self.entries.get(session)?;
        let sleeps = |call: &Call| {
            planted!(self.config, SleepsInOwnCall)
                && matches!(call.record.phase, Phase::Placed { .. })
        };
        let mut calls = entry.calls.values().filter(|call| !sleeps(call));
        let in_call = calls.any(|call| call.decided().is_none_or(|s| s < 300));
        if in_call && !planted!(self.config, SleepsInCall) {
            return Some((491, "a call is under way: end it before you sleep"));
        }
        if entry.messages.values().any(InstantMessage::is_undelivered) {
            return Some((491, "a message is on its way: confirm it before you sleep"));
        }
        if !entry.session.device_usable() && !self.config.sleep_without_token {
            return Some((400, "no usable device token: send payload.deviceToken with connect"));
        }
        None
    }

    fn fall_asleep(&mut self, session: &SessionId, cause: SleepCause, ttl_s: u64) {
        let until_wall_us = self.now.wall_us + ttl_s * 1_000_000;
        let Some(entry) = self.entries.get_mut(session) else { return };
        self.census.remove(&entry.session.record);
        entry.session.record.standing = Standing::Asleep { until_wall_us, cause };
        self.census.add(&entry.session.record);
        entry.session.record.ttl_s = ttl_s;
        let urgency = if cause == SleepCause::Request { Dirty::Urgent } else { Dirty::Soon };
        self.touch(session, urgency);
        self.timers.clear(Name::Grace, &Owner::Session(session.clone()));
        self.arm(Name::SleepEnd, Owner::Session(session.clone()), ttl_s * 1_000);
        let text = match cause {
            SleepCause::Request => "request",
            SleepCause::CloseCode => "close-code",
            SleepCause::Loss => "loss",
        };
        self.trace_state(session, text);
    }

    pub(super) fn awake(&mut self, session: &SessionId) {
        for name in [Name::Grace, Name::SleepEnd, Name::CloseWait] {
            self.timers.clear(name, &Owner::Session(session.clone()));
        }
        let Some(entry) = self.entries.get_mut(session) else { return };
        self.census.remove(&entry.session.record);
        entry.session.record.standing = Standing::Awake;
        self.census.add(&entry.session.record);
        self.touch(session, Dirty::Lazy);
    }

    pub(super) fn trace_state(&mut self, session: &SessionId, cause: &str) {
        let Some(entry) = self.entries.get(session) else { return };
        let state = match (entry.session.link, entry.session.is_asleep()) {
            (Link::Attached(_), _) => "active",
            (Link::Closing(_), _) => "hibernating",
            (Link::None, true) => "hibernated",
            (Link::None, false) => "disconnected",
        };
        let draft = Draft::new(Kind::SessionState).with("session", session.as_str());
        self.trace(draft.with("state", state).with("cause", cause));
    }

    /// The app was granted sleep and did not close.
    pub(super) fn on_close_wait(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get(session) else { return };
        if let Link::Closing(socket) = entry.session.link {
            self.close(socket, close::HIBERNATED_BY_SERVER, "asleep");
            self.on_closed(socket, None);
        }
    }

    pub(super) fn on_closed(&mut self, socket: SocketId, code: Option<u16>) {
        let session = self.sockets.get(&socket).and_then(|known| known.session.clone());
        self.forget_socket(socket);
        let Some(session) = session else { return };
        let Some(entry) = self.entries.get_mut(&session) else { return };
        if entry.joining.is_some() {
            self.end_session(&session);
            return;
        }
        if entry.session.socket() != Some(socket) {
            return;
        }
        self.stirred.insert(session.clone());
        let was_closing = matches!(entry.session.link, Link::Closing(_));
        if was_closing && code == Some(close::HIBERNATE) {
            entry.session.acknowledge_grant();
        }
        entry.session.link = Link::None;
        entry.asked_sleep = None;
        self.timers.clear(Name::AskSleep, &Owner::Session(session.clone()));
        self.timers.clear(Name::CloseWait, &Owner::Session(session.clone()));
        match code {
            _ if was_closing => self.trace_state(&session, "request"),
            Some(close::NORMAL) => self.end_session(&session),
            Some(close::HIBERNATE)
                if self.sleep_refusal(&session).is_none() && self.no_bed(&session).is_none() =>
            {
                let ttl_s = self.config.ttl_s.0;
                self.fall_asleep(&session, SleepCause::CloseCode, ttl_s);
            }
            Some(_) | None => self.on_lost(&session),
        }
    }

    /// The connection is gone without a word: that is not sleep. It has the grace period to come
    /// back, and calls that wait are pushed meanwhile.
    pub(super) fn on_lost(&mut self, session: &SessionId) {
        self.arm(Name::Grace, Owner::Session(session.clone()), self.config.grace_ms);
        self.trace_state(session, "loss");
        self.renew_wakes(session);
        let now_us = self.now.mono_us;
        if self.entries.get(session).is_some_and(|entry| entry.wants_wake(now_us)) {
            self.arm_wake(session);
        }
    }

    pub(super) fn on_grace_over(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get(session) else { return };
        let was_spared = !self.is_pushed_for(entry);
        if entry.session.device_usable() {
            let ttl_s = self.config.ttl_s.0;
            self.fall_asleep(session, SleepCause::Loss, ttl_s);
            if was_spared {
                self.push_after_grace(session);
            }
        } else {
            self.end_session(session);
        }
    }

    /// The granted sleep is over. Calls and messages accepted before are protected to the end of their budget.
    pub(super) fn on_sleep_end(&mut self, session: &SessionId) {
        let now_us = self.now.mono_us;
        if self.entries.get(session).is_some_and(|entry| entry.wants_wake(now_us)) {
            let wait_ms = self.config.wake_budget_ms.max(1_000);
            self.arm(Name::SleepEnd, Owner::Session(session.clone()), wait_ms);
        } else {
            self.end_session(session);
        }
    }

    /// Ends a session: its calls, its registration, its record.
    pub(super) fn end_session(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get(session) else { return };
        let was_joining = entry.joining.is_some();
        let calls: Vec<_> = entry.calls.keys().cloned().collect();
        for subsession in calls {
            self.end_call_with_session(session, &subsession);
        }
        self.end_messages(session);
        self.refuse_knocks(session);
        self.end_subscriptions(session);
        self.end_wake(session);
        for name in ENDED {
            self.timers.clear(name, &Owner::Session(session.clone()));
        }
        let Some(entry) = self.entries.get_mut(session) else { return };
        entry.over = true;
        entry.joining = None;
        entry.session.link = Link::None;
        if !was_joining {
            entry.changes.push(Change::DropSession);
            self.touch(session, Dirty::Urgent);
        }
        self.unregister(session);
        self.forget_if_gone(session);
    }

    fn end_call_with_session(&mut self, session: &SessionId, subsession: &str) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        match call.map(|call| &call.record.phase) {
            Some(Phase::Held | Phase::Offered { .. }) => {
                self.refuse_call(session, subsession, 480, "Temporarily Unavailable", false);
            }
            Some(Phase::Decided { status: 200, .. } | Phase::Confirmed { .. }) => {
                self.hang_up(session, subsession);
            }
            Some(Phase::Answered { .. }) => self.hang_up_answered(session, subsession),
            Some(Phase::Placed { .. }) => {
                self.cancel_placed(session, subsession);
                self.end_call(session, subsession, Dirty::Urgent);
            }
            Some(Phase::Decided { .. }) | None => {}
        }
    }

    /// Forgets a session that is over, once its record is gone and so is its registration.
    pub(super) fn forget_if_gone(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get(session) else { return };
        let waits = entry.registration.is_some() || entry.dirty != Dirty::Clean;
        if entry.over && !waits && entry.gate.is_settled() {
            self.contacts.remove(&entry.session.record.contact);
            self.forget_address(session);
            let Some(entry) = self.entries.get(session) else { return };
            let calls: Vec<_> = entry.calls.values().map(Call::place).collect();
            for (call_id, place) in calls {
                if let Some(places) = self.dialogs.get_mut(&call_id) {
                    places.remove(&place);
                }
            }
            self.census.remove(&entry.session.record);
            self.entries.remove(session);
        }
    }

    pub(super) fn forget_address(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get(session) else { return };
        let place = (entry.session.record.aor.clone(), session.clone());
        self.addresses.remove(&place);
    }

    /// The node stops: no new calls and sessions, and every app is told to come back.
    pub(super) fn on_drain(&mut self) {
        self.draining = true;
        let sockets: Vec<_> = self.sockets.keys().copied().collect();
        for socket in sockets {
            let session = self.sockets[&socket].session.clone();
            let promise = Promise::Close { socket, code: close::NODE_STOPS, reason: "stopping" };
            match session.filter(|session| self.entries.contains_key(session)) {
                Some(session) => self.promise(&session, promise),
                None => self.close(socket, close::NODE_STOPS, "stopping"),
            }
        }
    }
}

impl Call {
    fn place(&self) -> (String, (SessionId, String)) {
        let place = (self.record.session.clone(), self.record.subsession.clone());
        (self.call_id.clone(), place)
    }
}
