//! UPDATE of the peer (RFC 3311).

use reveille_wire::jsonrtc::Frame;
use reveille_wire::sip::Message;

use super::Node;
use super::entry::{Dirty, Promise};
use super::reinvite::NOT_NOW;
use super::reinvite::renegotiation;
use super::within::answer_code;
use crate::call::Update;
use crate::record::{Exchange, Phase, SessionId};
use crate::session_timer;
use crate::timer::{Name, Owner};
use crate::transaction::TransactionKey;

impl Node {
    /// An UPDATE of the peer (RFC 3311 section 5.2).
    pub(super) fn on_update(&mut self, key: &TransactionKey, request: &Message) {
        let place = match self.in_order(request) {
            Ok(place) => place,
            Err(status) => return self.reply(key, request, status, &[]),
        };
        let (session, subsession) = &place;
        let wait_s = self.dice.between(0, 10).to_string();
        let entry = &self.entries[session];
        let call = &entry.calls[subsession];
        let is_attached = entry.session.attached().is_some();
        let is_asked = call.update.is_some() || entry.is_updated(subsession);
        let is_up = matches!(call.record.phase, Phase::Confirmed { .. } | Phase::Placed { .. });
        if session_timer::is_too_brief(request) {
            let least = session_timer::LEAST_S.to_string();
            self.reply(key, request, 422, &[("Min-SE", least)]);
        } else if request.body.is_empty() {
            self.take_refresh(key, &place, request);
        } else if matches!(call.exchange(), Some(Exchange::App { .. })) {
            self.reply(key, request, 491, &[]);
        } else if !is_up || call.exchange().is_some() || is_asked {
            self.reply(key, request, 500, &[("Retry-After", wait_s)]);
        } else if !is_attached {
            self.note_peer(&place, request);
            self.knock(session, Some(subsession), key, request);
        } else {
            self.give_update(key, &place, request, self.config.update_ms);
        }
    }

    /// An UPDATE without an offer asks the app nothing: the session lives, and the peer may have
    /// moved.
    fn take_refresh(
        &mut self,
        key: &TransactionKey,
        place: &(SessionId, String),
        request: &Message,
    ) {
        let (session, subsession) = place;
        self.note_peer(place, request);
        let response = self.accepting(session, subsession, request, None);
        let Some(response) = response else { return };
        self.agree(session, subsession, &response, true);
        self.put_call(session, subsession, Dirty::Soon);
        let reply = Promise::Reply { key: key.clone(), bytes: response.to_bytes() };
        self.promise(session, reply);
    }

    /// The app has so long to answer; less if somebody waited for it already.
    pub(super) fn give_update(
        &mut self,
        key: &TransactionKey,
        place: &(SessionId, String),
        request: &Message,
        left_ms: u64,
    ) {
        let (session, subsession) = place;
        self.note_peer(place, request);
        let Some(entry) = self.entries.get(session) else { return };
        let aor = entry.session.record.aor.clone();
        let Some(call) = entry.calls.get(subsession) else { return };
        let mut frame = renegotiation(call, &aor, request);
        frame.header.sip_method = Some("UPDATE".to_owned());
        let correlation = self.give(session, frame).unwrap_or_default();
        let owner = Owner::call(session, subsession);
        self.arm(Name::Update, owner, left_ms.min(self.config.update_ms));
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        if let Some(call) = call {
            call.update = Some(Update { key: key.clone(), request: request.clone(), correlation });
        }
    }

    pub(super) fn answer_update(&mut self, session: &SessionId, subsession: &str, frame: &Frame) {
        self.timers.clear(Name::Update, &Owner::call(session, subsession));
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return };
        let Some(Update { key, request, .. }) = call.update.take() else { return };
        match answer_code(frame) {
            Ok(sdp) => {
                let response = self.accepting(session, subsession, &request, Some(sdp));
                let Some(response) = response else { return };
                self.agree(session, subsession, &response, true);
                self.put_call(session, subsession, Dirty::Soon);
                let bytes = response.to_bytes();
                self.promise(session, Promise::Reply { key, bytes });
            }
            // 408 is never said to a non-INVITE request (RFC 4320 section 4.2).
            Err(408) => self.reply(&key, &request, NOT_NOW, &[]),
            Err(code) => self.reply(&key, &request, code, &[]),
        }
    }

    /// The app did not answer an UPDATE while its sender still waits.
    pub(super) fn on_update_deadline(&mut self, session: &SessionId, subsession: &str) {
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        if let Some(Update { key, request, .. }) = call.and_then(|call| call.update.take()) {
            self.reply(&key, &request, NOT_NOW, &[]);
        }
    }
}
