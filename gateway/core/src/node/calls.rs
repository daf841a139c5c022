//! Calls: accepted, offered, rung, decided, confirmed, ended.

use reveille_wire::jsonrtc::Frame;
use reveille_wire::sip::{Message, Method};

use super::Node;
use super::entry::{Asked, Dirty, Promise};
use crate::call::Call;
use crate::headers;
use crate::io::{Change, Flow, Output};
use crate::record::{CallRecord, Phase, Raw, SessionId, Side, VERSION};
use crate::timer::{Name, Owner};
use crate::transaction::TransactionKey;

impl Node {
    /// Takes a call for a session: from here on it is either answered for, or on record.
    pub(super) fn accept(
        &mut self,
        session: &SessionId,
        flow: Flow,
        invite: &Message,
        to_tag: String,
    ) {
        let subsession = self.dice.uuid();
        let now_wall_us = self.now.wall_us;
        let Some(entry) = self.entries.get_mut(session) else { return };
        entry.session.record.last_arrival += 1;
        let record = CallRecord {
            version: VERSION,
            session: session.clone(),
            subsession: subsession.clone(),
            arrival: entry.session.record.last_arrival,
            invite: Raw(invite.to_bytes()),
            flow,
            side: Side::Incoming,
            local_tag: to_tag,
            hold_code: self.config.hold_code,
            deadline_wall_us: now_wall_us + self.config.wake_budget_ms * 1_000,
            accepted_wall_us: now_wall_us,
            phase: Phase::Held,
            bye: None,
        };
        let Some(call) = Call::new(record) else { return };
        let (call_id, key) = (call.call_id.clone(), call.key.clone());
        let mut asleep = entry.session.attached().is_none();
        if planted!(self.config, LosesCallInClosingGap) {
            asleep = entry.session.socket().is_none();
        }
        entry.calls.insert(subsession.clone(), call);
        self.index(session, &subsession, &call_id, &key);
        self.arm_call(session, &subsession, self.config.wake_budget_ms);
        self.hop(5, "core/session", &call_id);
        let (mute, late) = (planted!(self.config, NoTrying), planted!(self.config, LateTrying));
        if !mute && !late {
            self.provisional(session, &subsession, 100, true);
        }
        if asleep {
            self.hold(session, &subsession, true);
            self.put_call(session, &subsession, Dirty::Urgent);
            self.arm_wake(session);
        } else {
            self.offer(session, &subsession);
        }
    }

    /// Makes a call findable by its dialog and its transaction.
    pub(super) fn index(
        &mut self,
        session: &SessionId,
        subsession: &str,
        call_id: &str,
        key: &TransactionKey,
    ) {
        let place = (session.clone(), subsession.to_owned());
        if let Some(invite) = self.invites.get_mut(key) {
            invite.legs.push(place.clone());
        }
        self.dialogs.entry(call_id.to_owned()).or_default().insert(place);
    }

    pub(super) fn arm_call(&mut self, session: &SessionId, subsession: &str, ms: u64) {
        let owner = Owner::call(session, subsession);
        self.arm(Name::CallDeadline, owner, ms);
    }

    /// Tells the caller that the phone is being woken, and goes on telling.
    pub(super) fn hold(&mut self, session: &SessionId, subsession: &str, rests: bool) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let Some(code) = call.and_then(|call| call.record.hold_code) else { return };
        let code = if planted!(self.config, RingsBeforeTheApp) { 180 } else { code };
        self.provisional(session, subsession, code, rests);
        self.arm_provisional(session, subsession);
    }

    /// The next copy of the provisional that the caller heard last.
    fn arm_provisional(&mut self, session: &SessionId, subsession: &str) {
        let every_ms = self.config.provisional_every_ms;
        let after_ms = if whim!(self, EarlyProvisional) { every_ms / 4 } else { every_ms };
        self.arm(Name::Provisional, Owner::call(session, subsession), after_ms);
    }

    pub(super) fn repeat_provisional(&mut self, session: &SessionId, subsession: &str) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        if call.is_some_and(Call::is_undecided) && !planted!(self.config, HoldsInSilence) {
            let last = call.and_then(|call| self.invites.get(&call.key)?.machine.last());
            if let (Some(bytes), Some(call)) = (last.map(<[u8]>::to_vec), call) {
                let flow = call.record.flow.clone();
                self.out.push(Output::Sip { flow, bytes });
            }
            self.arm_provisional(session, subsession);
        }
    }

    /// A provisional response of a call.
    pub(super) fn provisional(
        &mut self,
        session: &SessionId,
        subsession: &str,
        status: u16,
        rests: bool,
    ) {
        let Some(entry) = self.entries.get(session) else { return };
        let Some(call) = entry.calls.get(subsession) else { return };
        let contact = self.contact_in(session, call);
        let us = (contact.as_str(), self.config.allow());
        let bytes = call.response(status, Message::reason_phrase(status), us).to_bytes();
        let (key, subsession) = (call.key.clone(), subsession.to_owned());
        let promise = Promise::Respond { key, status, bytes, subsession };
        if rests {
            self.promise(session, promise);
        } else {
            self.repeat(session, promise);
        }
    }

    pub(super) fn put_call(&mut self, session: &SessionId, subsession: &str, dirty: Dirty) {
        if let Some(entry) = self.entries.get_mut(session) {
            entry.put_call(subsession, dirty);
            self.touched.insert(session.clone());
        }
    }

    /// Gives the app a `start`: number, bytes and phase become durable together, then it leaves.
    pub(super) fn offer(&mut self, session: &SessionId, subsession: &str) {
        let defect = planted!(self.config, RepeatsSequence);
        let Some(entry) = self.entries.get_mut(session) else { return };
        let Some(socket) = entry.session.attached() else { return };
        let Some(call) = entry.calls.get_mut(subsession) else { return };
        let mut frame = call.start(&entry.session.record.aor);
        headers::to_app(&self.config.headers, &entry.session.record.app, &call.invite, &mut frame);
        let correlation = frame.control.correlation_id.clone();
        let (sequence, text) = entry.session.number(frame, defect);
        let correlation = correlation.unwrap_or_else(|| format!("s{sequence}"));
        call.record.phase = Phase::Offered { sequence, correlation, rung_wall_us: None };
        let hop = Some(call.call_id.clone());
        self.put_call(session, subsession, Dirty::Urgent);
        self.promise(session, Promise::Text { socket, text, hop });
        // With a call the app pings faster, and its silence tells sooner.
        self.arm(Name::Idle, Owner::Socket(socket), self.config.idle_limit_ms.1);
        self.arm(Name::StartSilence, Owner::Session(session.clone()), self.config.start_silence_ms);
    }

    /// The app rings: 180, once (D-37), and the ring deadline takes the budget's place.
    pub(super) fn ring(&mut self, session: &SessionId, subsession: &str) {
        let now_wall_us = self.now.wall_us;
        let ring_ms = self.config.ring_deadline_ms;
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return };
        let Phase::Offered { rung_wall_us, .. } = &mut call.record.phase else { return };
        if rung_wall_us.is_some() {
            return;
        }
        *rung_wall_us = Some(now_wall_us);
        call.record.deadline_wall_us = now_wall_us + ring_ms * 1_000;
        self.put_call(session, subsession, Dirty::Soon);
        self.arm_call(session, subsession, ring_ms);
        self.tell_ringing(session, subsession);
    }

    /// The app sends media before it answers: 183 with its SDP, which is the answer to the caller's
    /// offer and comes again with the 200.
    pub(super) fn early_media(&mut self, session: &SessionId, subsession: &str, sdp: &str) {
        let Some(entry) = self.entries.get(session) else { return };
        let Some(call) = entry.calls.get(subsession).filter(|call| call.is_undecided()) else {
            return;
        };
        if sdp.is_empty() {
            return;
        }
        let contact = self.contact_in(session, call);
        let us = (contact.as_str(), self.config.allow());
        let mut response = call.response(183, Message::reason_phrase(183), us);
        response.set_body("application/sdp", sdp.as_bytes());
        let (key, bytes) = (call.key.clone(), response.to_bytes());
        let subsession = subsession.to_owned();
        self.repeat(session, Promise::Respond { key, status: 183, bytes, subsession });
    }

    /// Tells the caller that the phone rings, and goes on telling. 180 rests on the accept record,
    /// which is durable since the app has its start.
    pub(super) fn tell_ringing(&mut self, session: &SessionId, subsession: &str) {
        self.provisional(session, subsession, 180, false);
        self.arm_provisional(session, subsession);
    }

    /// Decides a call: the final response is stored, then sent.
    pub(super) fn decide(&mut self, session: &SessionId, subsession: &str, response: &Message) {
        let now_wall_us = self.now.wall_us;
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let Some(call) = call.filter(|call| call.is_undecided()) else { return };
        let (key, place) = (call.key.clone(), (session.clone(), subsession.to_owned()));
        let Some(response) = self.settle_leg(&key, &place, response) else { return };
        let Some(status) = response.status() else { return };
        let bytes = response.to_bytes();
        let Some(entry) = self.entries.get_mut(session) else { return };
        let Some(call) = entry.calls.get_mut(subsession) else { return };
        call.decide(status, bytes.clone(), now_wall_us);
        if planted!(self.config, ClearsRecordAt200) && status == 200 {
            self.drop_record(session, subsession);
        } else {
            self.put_call(session, subsession, Dirty::Urgent);
        }
        let owner = Owner::call(session, subsession);
        self.timers.clear(Name::CallDeadline, &owner);
        self.timers.clear(Name::Provisional, &owner);
        let subsession = subsession.to_owned();
        self.promise(session, Promise::Respond { key, status, bytes, subsession });
        self.end_wake_if_idle(session);
    }

    /// The record of a call goes though the call does not: only planted defects ask for it.
    fn drop_record(&mut self, session: &SessionId, subsession: &str) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        entry.changes.push(Change::DropCall { subsession: subsession.to_owned() });
        self.touch(session, Dirty::Urgent);
    }

    /// Ends an undecided call with a failure, and tells an app that has its `start`.
    pub(super) fn refuse_call(
        &mut self,
        session: &SessionId,
        subsession: &str,
        status: u16,
        reason: &str,
        tell_app: bool,
    ) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let Some(call) = call.filter(|call| call.is_undecided()) else { return };
        let response = call.response(status, reason, ("", ""));
        if tell_app && matches!(call.record.phase, Phase::Offered { .. }) {
            self.tell_app(session, subsession, "shutdown", None);
        }
        self.decide(session, subsession, &response);
    }

    /// Sends the app a numbered message about a call; without a socket it is kept for the replay.
    pub(super) fn tell_app(
        &mut self,
        session: &SessionId,
        subsession: &str,
        action: &str,
        sdp: Option<&str>,
    ) {
        let Some(entry) = self.entries.get(session) else { return };
        let Some(call) = entry.calls.get(subsession) else { return };
        let mut frame = call.message(action, &entry.session.record.aor);
        if let Some(sdp) = sdp {
            frame.payload.insert("sdp".to_owned(), sdp.into());
        }
        self.give(session, frame);
    }

    /// Gives the app a numbered frame; without a socket it is kept for the replay. Returns the
    /// correlation id that a request was given.
    pub(super) fn give(&mut self, session: &SessionId, frame: Frame) -> Option<String> {
        let defect = planted!(self.config, RepeatsSequence);
        let entry = self.entries.get_mut(session)?;
        let named = frame.control.correlation_id.clone();
        let (sequence, text) = entry.session.number(frame, defect);
        entry.mark(Dirty::Urgent);
        if let Some(socket) = entry.session.attached() {
            self.promise(session, Promise::Text { socket, text, hop: None });
        } else {
            self.touched.insert(session.clone());
        }
        Some(named.unwrap_or_else(|| format!("s{sequence}")))
    }

    /// What the call waited for did not come in time. The wake budget, or after the app's 180 the
    /// ring deadline: 480, once.
    pub(super) fn on_call_deadline(&mut self, session: &SessionId, subsession: &str) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        match call.map(|call| &call.record.phase) {
            Some(Phase::Held | Phase::Offered { .. }) => {
                let status = if planted!(self.config, TimesOutWith408) { 408 } else { 480 };
                self.refuse_call(session, subsession, status, "Temporarily Unavailable", true);
            }
            Some(Phase::Placed { .. }) => self.on_no_answer_deadline(session, subsession),
            Some(Phase::Answered { .. }) => self.on_no_complete(session, subsession),
            Some(Phase::Confirmed { .. }) => self.on_exchange_deadline(session, subsession),
            Some(Phase::Decided { .. }) | None => {}
        }
    }

    /// Nothing can bring the app back in time: every pending call ends, and what else waits for it.
    pub(super) fn end_pending(&mut self, session: &SessionId, why: &'static str) {
        let pending =
            self.entries.get(session).map(super::entry::Entry::pending).unwrap_or_default();
        for subsession in pending {
            let rung = self.entries[session].calls.get(&subsession).is_some_and(Call::is_rung);
            if !rung {
                let reason = format!("Temporarily Unavailable ({why})");
                self.refuse_call(session, &subsession, 480, &reason, true);
            }
        }
        self.refuse_knocks(session);
    }

    /// The 200 went out: it goes again at T1 doubling to T2, on every transport, until the ACK
    /// (RFC 3261 section 13.3.1.4).
    pub(super) fn begin_repeating(&mut self, session: &SessionId, subsession: &str) {
        let t1_ms = self.config.timers.t1_ms;
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return };
        call.repeat_ms = t1_ms;
        let Some((_, _, decided_us)) = call.repeated() else { return };
        let owner = Owner::call(session, subsession);
        let limit_ms = 64 * t1_ms;
        let until_us = self.mono_of_wall(decided_us + limit_ms * 1_000, limit_ms);
        if !planted!(self.config, AnswersOnce) {
            self.arm(Name::Repeat2xx, owner.clone(), t1_ms);
        }
        self.timers.set(Name::NoAck, owner, until_us);
    }

    pub(super) fn repeat_answer(&mut self, session: &SessionId, subsession: &str) {
        let t2_ms = self.config.timers.t2_ms;
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return };
        let Some((flow, response, _)) = call.repeated() else { return };
        let (flow, bytes) = (flow.clone(), response.0.clone());
        call.repeat_ms = (call.repeat_ms * 2).min(t2_ms);
        let again_ms = call.repeat_ms;
        self.out.push(Output::Sip { flow, bytes });
        let owner = Owner::call(session, subsession);
        self.arm(Name::Repeat2xx, owner, again_ms);
    }

    /// The caller's ACK: the call's record becomes the dialog's, and the app is told.
    pub(super) fn confirm(&mut self, session: &SessionId, subsession: &str, ack: &Message) {
        if self.confirm_reinvite(session, subsession, ack) {
            return;
        }
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return };
        let Phase::Decided { status: 200, hung_up, .. } = &call.record.phase else { return };
        if *hung_up {
            self.hang_up(session, subsession);
            return;
        }
        let Some(dialog) = call.dialog().map(Box::new) else { return };
        let agreed = match &call.record.phase {
            Phase::Decided { response, .. } => Message::parse(&response.0).ok(),
            _ => None,
        };
        let sdp = (!ack.body.is_empty()).then(|| String::from_utf8_lossy(&ack.body).into_owned());
        self.stop_repeating(session, subsession);
        self.tell_app(session, subsession, "complete", sdp.as_deref());
        if let Some(call) =
            self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession))
        {
            call.record.phase = Phase::Confirmed { dialog, ack: None, exchange: None };
        }
        if let Some(response) = agreed {
            self.agree(session, subsession, &response, true);
        }
        if planted!(self.config, ForgetsDialogAtAck) {
            self.drop_record(session, subsession);
        } else {
            self.put_call(session, subsession, Dirty::Urgent);
        }
    }

    pub(super) fn stop_repeating(&mut self, session: &SessionId, subsession: &str) {
        let owner = Owner::call(session, subsession);
        self.timers.clear(Name::Repeat2xx, &owner);
        self.timers.clear(Name::NoAck, &owner);
    }

    /// 64*T1 without an ACK: the call is answered and yet nobody is there. BYE, and over.
    pub(super) fn on_no_ack(&mut self, session: &SessionId, subsession: &str) {
        self.tell_app(session, subsession, "shutdown", None);
        self.hang_up(session, subsession);
    }

    /// The app hung up before its caller's ACK: a caller who has not heard the 200 yet could make
    /// nothing of a BYE, so that the 200 goes on until the ACK, or its time is over.
    pub(super) fn hang_up_later(&mut self, session: &SessionId, subsession: &str) {
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        if let Some(Phase::Decided { hung_up, .. }) = call.map(|call| &mut call.record.phase) {
            *hung_up = true;
            self.put_call(session, subsession, Dirty::Urgent);
        }
    }

    /// Ends a dialog from our side: BYE to the caller, and the record goes.
    pub(super) fn hang_up(&mut self, session: &SessionId, subsession: &str) {
        let branch = format!("z9hG4bK{}", self.dice.hex(8));
        let Some(entry) = self.entries.get(session) else { return };
        let Some(call) = entry.calls.get(subsession) else { return };
        let Some(mut dialog) = call.dialog() else { return };
        let flow = call.way();
        let via = self.via(flow.transport, &branch);
        let bye = dialog.request(Method::BYE, &call.call_id, &via);
        let mut record = call.record.clone();
        record.bye = Some(Raw(bye.to_bytes()));
        self.end_call(session, subsession, Dirty::Urgent);
        // A peer that never hears of the end would keep half a call.
        if let Some(entry) = self.entries.get_mut(session) {
            entry.changes.push(Change::PutCall(Box::new(record)));
        }
        if !planted!(self.config, HangsUpInSilence) {
            self.ask_within(session, subsession, flow, bye, Asked::Bye);
        }
    }

    /// Forgets a call: its record is dropped, and nothing finds it any more.
    pub(super) fn end_call(&mut self, session: &SessionId, subsession: &str, dirty: Dirty) {
        self.answer_peer(session, subsession);
        self.stop_repeating(session, subsession);
        let owner = Owner::call(session, subsession);
        self.timers.clear(Name::CallDeadline, &owner);
        self.timers.clear(Name::Provisional, &owner);
        self.timers.clear(Name::Update, &owner);
        self.timers.clear(Name::SessionTimer, &owner);
        let Some(entry) = self.entries.get_mut(session) else { return };
        let Some(call) = entry.calls.remove(subsession) else { return };
        entry.changes.push(Change::DropCall { subsession: subsession.to_owned() });
        if let Some(places) = self.dialogs.get_mut(&call.call_id) {
            places.remove(&(session.clone(), subsession.to_owned()));
            if places.is_empty() {
                self.dialogs.remove(&call.call_id);
            }
        }
        self.touch(session, dirty);
    }

    /// An INVITE transaction ended. A failed call ends with it; an answered one lives on.
    pub(super) fn on_transaction_over(&mut self, session: &SessionId, subsession: &str) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let ghost = planted!(self.config, RingsAfterCancel);
        let decided = call.and_then(Call::decided).filter(|status| !(ghost && *status == 487));
        if decided.is_some_and(|status| status >= 300) {
            self.end_call(session, subsession, Dirty::Soon);
        }
    }
}
