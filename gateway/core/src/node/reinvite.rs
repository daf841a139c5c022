//! re-INVITE within a call, from either side.

use reveille_wire::jsonrtc::Frame;
use reveille_wire::sip::{Message, Method};

use super::Node;
use super::entry::{Asked, Dirty, Promise};
use super::sip::required;
use super::within::{answer_code, error_answer, final_answer, put_sdp};
use crate::call::{Call, Update};
use crate::io::Flow;
use crate::record::{Decision, Exchange, Phase, Raw, SessionId};
use crate::timer::{Name, Owner};
use crate::transaction::TransactionKey;

/// What the app sees as initiator when the peer takes its re-INVITE back.
const REINVITE_CANCELLED: &str = "##re-invite_cancel@server##";

/// A code that ends the transaction and leaves the dialog alone (RFC 5057 section 5.1).
pub(super) const NOT_NOW: u16 = 504;

impl Node {
    /// A re-INVITE of the peer goes to the app as a `start` in the same subsession.
    pub(super) fn on_reinvite(&mut self, key: &TransactionKey, flow: Flow, request: &Message) {
        let place = match self.in_order(request) {
            Ok(place) => place,
            Err(status) => return self.refuse(key, request, status, &[]),
        };
        let (session, subsession) = &place;
        if let Some(tags) = required(request) {
            self.refuse(key, request, 420, &[("Unsupported", tags)]);
            return;
        }
        let wait_s = self.dice.between(0, 10).to_string();
        let call = &self.entries[session].calls[subsession];
        match (&call.record.phase, call.exchange()) {
            (Phase::Confirmed { .. }, None)
                if planted!(self.config, EndsDialogForSleeper)
                    && self.entries[session].session.attached().is_none() =>
            {
                self.refuse(key, request, 481, &[]);
            }
            (Phase::Confirmed { .. }, None) => {
                self.take_reinvite(key, &place, flow, request);
            }
            // RFC 3261 section 14.2: ours is under way, or theirs is.
            (Phase::Confirmed { .. }, Some(Exchange::App { .. })) | (Phase::Answered { .. }, _) => {
                self.refuse(key, request, 491, &[]);
            }
            _ => self.refuse(key, request, 500, &[("Retry-After", wait_s)]),
        }
    }

    fn take_reinvite(
        &mut self,
        key: &TransactionKey,
        place: &(SessionId, String),
        flow: Flow,
        request: &Message,
    ) {
        if self.refuses_late_offer(key, request) {
            return;
        }
        let (session, subsession) = place;
        let wait_ms = self.config.wake_budget_ms;
        let deadline_wall_us = self.now.wall_us + wait_ms * 1_000;
        if let Some(invite) = self.invites.get_mut(key) {
            invite.legs = vec![place.clone()];
        }
        let Some(entry) = self.entries.get_mut(session) else { return };
        let aor = entry.session.record.aor.clone();
        let Some(call) = entry.calls.get_mut(subsession) else { return };
        call.record.deadline_wall_us = deadline_wall_us;
        let frame = renegotiation(call, &aor, request);
        let correlation = self.give(session, frame).unwrap_or_default();
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(Phase::Confirmed { dialog, exchange, .. }) = call.map(|c| &mut c.record.phase)
        else {
            return;
        };
        dialog.learn(request);
        dialog.remote_cseq = request.cseq().map_or(dialog.remote_cseq, |cseq| cseq.number);
        let invite = Raw(request.to_bytes());
        *exchange = Some(Box::new(Exchange::Peer { invite, flow, correlation, decided: None }));
        self.put_call(session, subsession, Dirty::Urgent);
        let bytes = request.reply(100, "Trying", None).to_bytes();
        let subsession = subsession.clone();
        self.arm_call(session, &subsession, wait_ms);
        self.promise(
            session,
            Promise::Respond { key: key.clone(), status: 100, bytes, subsession },
        );
        self.wake_if_away(session);
    }

    /// The app's answer to a `start` that was a re-INVITE or an UPDATE. False if it was neither.
    pub(super) fn on_renegotiation_answer(
        &mut self,
        session: &SessionId,
        subsession: &str,
        frame: &Frame,
    ) -> bool {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let Some(call) = call else { return false };
        let of = frame.control.correlation_id.as_deref().unwrap_or_default();
        let is_final = frame.is_final() || frame.header.error_code.is_some();
        if call.update.as_ref().is_some_and(|update| update.correlation == of) {
            if is_final {
                self.answer_update(session, subsession, frame);
            }
            return true;
        }
        match call.exchange() {
            Some(Exchange::Peer { correlation, .. }) if correlation == of => {
                if is_final {
                    self.answer_reinvite(session, subsession, frame);
                }
                true
            }
            _ => false,
        }
    }

    fn answer_reinvite(&mut self, session: &SessionId, subsession: &str, frame: &Frame) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let Some(call) = call else { return };
        let Some(Exchange::Peer { invite, decided: None, .. }) = call.exchange() else {
            return;
        };
        let Ok(invite) = Message::parse(&invite.0) else { return };
        match answer_code(frame) {
            Ok(sdp) => {
                let response = self.accepting(session, subsession, &invite, Some(sdp));
                let Some(response) = response else { return };
                self.agree(session, subsession, &response, true);
                self.decide_reinvite(session, subsession, &invite, &response);
            }
            Err(code) => {
                let response = invite.reply(code, Message::reason_phrase(code), None);
                self.decide_reinvite(session, subsession, &invite, &response);
            }
        }
    }

    fn decide_reinvite(
        &mut self,
        session: &SessionId,
        subsession: &str,
        invite: &Message,
        response: &Message,
    ) {
        let (Some(key), Some(status)) = (TransactionKey::of(invite), response.status()) else {
            return;
        };
        let (bytes, at_wall_us) = (response.to_bytes(), self.now.wall_us);
        let owner = Owner::call(session, subsession);
        self.timers.clear(Name::CallDeadline, &owner);
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(Phase::Confirmed { exchange, .. }) = call.map(|call| &mut call.record.phase)
        else {
            return;
        };
        if status >= 300 {
            *exchange = None;
        } else if let Some(Exchange::Peer { decided, .. }) = exchange.as_deref_mut() {
            *decided = Some(Decision { response: Raw(bytes.clone()), at_wall_us });
        }
        self.put_call(session, subsession, Dirty::Urgent);
        let subsession = subsession.to_owned();
        self.promise(session, Promise::Respond { key, status, bytes, subsession });
        self.end_wake_if_idle(session);
    }

    /// The peer's ACK of a re-INVITE. False if it is none.
    pub(super) fn confirm_reinvite(
        &mut self,
        session: &SessionId,
        subsession: &str,
        ack: &Message,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(session) else { return false };
        let aor = entry.session.record.aor.clone();
        let Some(call) = entry.calls.get_mut(subsession) else { return false };
        let Some(Exchange::Peer { invite, correlation, decided: Some(_), .. }) = call.exchange()
        else {
            return false;
        };
        let number = |message: &Message| message.cseq().map(|cseq| cseq.number).ok();
        if Message::parse(&invite.0).ok().and_then(|invite| number(&invite)) != number(ack) {
            return false;
        }
        let mut frame = call.message("complete", &aor);
        frame.control.correlation_id = Some(correlation.clone());
        put_sdp(&mut frame, ack);
        if let Phase::Confirmed { exchange, .. } = &mut call.record.phase {
            *exchange = None;
        }
        self.stop_repeating(session, subsession);
        self.put_call(session, subsession, Dirty::Urgent);
        self.give(session, frame);
        true
    }

    /// The peer takes its re-INVITE back. The call stands. False if it is not a re-INVITE's key.
    pub(super) fn cancel_reinvite(
        &mut self,
        session: &SessionId,
        subsession: &str,
        key: &TransactionKey,
    ) -> bool {
        let Some(entry) = self.entries.get(session) else { return false };
        let Some(call) = entry.calls.get(subsession) else { return false };
        if call.key == *key {
            return false;
        }
        let Some(Exchange::Peer { invite, correlation, decided: None, .. }) = call.exchange()
        else {
            return true;
        };
        let Ok(invite) = Message::parse(&invite.0) else { return true };
        let mut frame = call.message("shutdown", &entry.session.record.aor);
        frame.control.correlation_id = Some(correlation.clone());
        frame.header.initiator = Some(REINVITE_CANCELLED.to_owned());
        let response = invite.reply(487, "Request Terminated", None);
        self.decide_reinvite(session, subsession, &invite, &response);
        self.give(session, frame);
        true
    }

    /// What a confirmed call waited for did not come in time.
    pub(super) fn on_exchange_deadline(&mut self, session: &SessionId, subsession: &str) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        match call.and_then(Call::exchange) {
            Some(Exchange::Peer { invite, decided: None, .. }) => {
                let Ok(invite) = Message::parse(&invite.0) else { return };
                let response = invite.reply(NOT_NOW, Message::reason_phrase(NOT_NOW), None);
                self.decide_reinvite(session, subsession, &invite, &response);
            }
            Some(Exchange::App { answered: true, .. }) => self.on_no_complete(session, subsession),
            Some(Exchange::Peer { .. } | Exchange::App { .. }) | None => {}
        }
    }

    /// The app's `start` in a call that stands: a re-INVITE, or an UPDATE (D-11).
    pub(super) fn renegotiate(&mut self, session: &SessionId, subsession: &str, frame: &Frame) {
        let Some(sdp) = frame.sdp().filter(|sdp| !sdp.is_empty()).map(ToOwned::to_owned) else {
            self.refuse_frame(session, frame, 400, "start needs payload.sdp, your offer");
            return;
        };
        let Some(entry) = self.entries.get(session) else { return };
        let Some(call) = entry.calls.get(subsession) else { return };
        if call.exchange().is_some() || call.update.is_some() {
            self.refuse_frame(session, frame, 491, "Glare: the other side renegotiates");
            return;
        }
        let most_s = self.config.session_timer_s;
        let is_update = frame.header.sip_method.as_deref() == Some("UPDATE");
        let flow = call.way();
        let contact = self.contact_in(session, call);
        let branch = format!("z9hG4bK{}", self.dice.hex(8));
        let via = self.via(flow.transport, &branch);
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return };
        let call_id = call.call_id.clone();
        let Some(dialog) = call.confirmed() else { return };
        let timer = dialog.refreshing(most_s);
        let method = if is_update { Method::UPDATE } else { Method::INVITE };
        let mut request = dialog
            .request(method, &call_id, &via)
            .with("Contact", format!("<{contact}>"))
            .with("Allow", self.config.allow());
        for (name, value) in timer {
            request.push(name, value);
        }
        request.set_body("application/sdp", sdp.as_bytes());
        let correlation = frame.control.correlation_id.clone();
        call.authorised = false;
        if is_update {
            self.put_call(session, subsession, Dirty::Urgent);
            self.ask_within(session, subsession, flow, request, Asked::Update { correlation });
            return;
        }
        if let Phase::Confirmed { exchange, .. } = &mut call.record.phase {
            let invite = Raw(request.to_bytes());
            let correlation = correlation.unwrap_or_default();
            *exchange = Some(Box::new(Exchange::App { invite, correlation, answered: false }));
        }
        self.put_call(session, subsession, Dirty::Urgent);
        self.promise(session, Promise::Invite { subsession: subsession.to_owned() });
    }

    /// The peer took the app's re-INVITE.
    pub(super) fn on_exchange_success(
        &mut self,
        session: &SessionId,
        subsession: &str,
        response: &Message,
    ) {
        let wait_ms = self.config.complete_ms;
        let deadline_wall_us = self.now.wall_us + wait_ms * 1_000;
        let Some(entry) = self.entries.get_mut(session) else { return };
        let aor = entry.session.record.aor.clone();
        let Some(call) = entry.calls.get_mut(subsession) else { return };
        let Phase::Confirmed { dialog, exchange: Some(exchange), .. } = &mut call.record.phase
        else {
            return;
        };
        let Exchange::App { correlation, answered, .. } = &mut **exchange else { return };
        if std::mem::replace(answered, true) {
            return;
        }
        let correlation = correlation.clone();
        dialog.learn(response);
        call.record.deadline_wall_us = deadline_wall_us;
        let frame = final_answer(call, &aor, "start", Some(correlation), response);
        self.agree(session, subsession, response, false);
        self.put_call(session, subsession, Dirty::Urgent);
        self.give(session, frame);
        self.arm_call(session, subsession, wait_ms);
        self.wake_if_away(session);
    }

    /// The peer refused the app's re-INVITE. 481 and 408 say that the dialog is gone
    /// (RFC 3261 section 12.2.1.2).
    pub(super) fn fail_exchange(
        &mut self,
        session: &SessionId,
        subsession: &str,
        status: u16,
        reason: &str,
    ) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        let aor = entry.session.record.aor.clone();
        let Some(call) = entry.calls.get_mut(subsession) else { return };
        let Some(Exchange::App { correlation, .. }) = call.exchange() else { return };
        let correlation = Some(correlation.clone());
        let frame = error_answer(call, &aor, ("start", correlation), status, reason);
        if let Phase::Confirmed { exchange, .. } = &mut call.record.phase {
            *exchange = None;
        }
        self.put_call(session, subsession, Dirty::Urgent);
        self.give(session, frame);
        self.end_if_gone(session, subsession, status);
    }

    pub(super) fn end_if_gone(&mut self, session: &SessionId, subsession: &str, status: u16) {
        if matches!(status, 408 | 481) {
            self.tell_app(session, subsession, "shutdown", None);
            self.hang_up(session, subsession);
        }
    }

    /// A dialog ends while requests of the peer wait in it: they are answered, not dropped
    /// (RFC 3261 section 15.1.2).
    pub(super) fn answer_peer(&mut self, session: &SessionId, subsession: &str) {
        self.end_knocks(&(session.clone(), subsession.to_owned()));
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return };
        let update = call.update.take();
        let invite = match call.exchange() {
            Some(Exchange::Peer { invite, decided: None, .. }) => Message::parse(&invite.0).ok(),
            _ => None,
        };
        if let Some(Update { key, request, .. }) = update {
            self.reply(&key, &request, 487, &[]);
        }
        if let Some(invite) = invite {
            let response = invite.reply(487, "Request Terminated", None);
            self.decide_reinvite(session, subsession, &invite, &response);
        }
    }
}

/// The `start` that brings the app what a peer wants changed.
pub(super) fn renegotiation(call: &Call, aor: &str, request: &Message) -> Frame {
    let mut frame = call.named(Frame::request("call", "start"), aor);
    put_sdp(&mut frame, request);
    frame
}
