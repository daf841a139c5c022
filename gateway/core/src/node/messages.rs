//! SIP MESSAGE for a session: given to the app, or kept for it. It is on record before anybody hears
//! of it, so that its sender's 200 or 202 is true whatever happens afterwards.

use reveille_wire::jsonrtc::{Frame, FrameType, MessageState};
use reveille_wire::sip::Message;

use super::Node;
use super::entry::{Dirty, Entry, Promise};
use super::sip::Target;
use crate::io::Change;
use crate::message::{self, InstantMessage};
use crate::record::{Delivery, MessageRecord, Raw, SessionId, VERSION};
use crate::timer::{Name, Owner};
use crate::transaction::TransactionKey;

impl Node {
    pub(super) fn on_message(&mut self, key: &TransactionKey, request: &Message) {
        if let Some((status, headers)) = message::refusal(request, self.config.most_message_bytes) {
            self.reply(key, request, status, &headers);
            return;
        }
        let session = match self.place_of(request) {
            Ok((session, _)) => session,
            Err(status) => return self.reply(key, request, status, &[]),
        };
        let Some(entry) = self.entries.get(&session) else { return };
        let undelivered = entry.messages.values().filter(|message| message.is_undelivered());
        let is_full = undelivered.count() >= self.config.most_messages;
        if let Some(known) = entry.message_like(&message::identity(request)) {
            self.answer_again(&session, &known, key, request);
        } else if self.draining {
            self.reply(key, request, 503, &[("Retry-After", "5".to_owned())]);
        } else if is_full {
            self.reply(key, request, 503, &[("Retry-After", "10".to_owned())]);
        } else {
            self.accept_message(&session, key, request);
        }
    }

    /// The session that a request is for, and the call whose dialog it is in, if it is in one.
    ///
    /// # Errors
    /// The status that refuses it.
    pub(super) fn place_of(
        &mut self,
        request: &Message,
    ) -> Result<(SessionId, Option<String>), u16> {
        if request.to().is_ok_and(|to| to.tag().is_some()) {
            let place = self.in_order(request)?;
            self.note_peer(&place, request);
            return Ok((place.0, Some(place.1)));
        }
        match self.target(request) {
            // The newest of the user's devices: a message is read once.
            Target::Sessions(sessions) => {
                sessions.into_iter().next().map(|session| (session, None)).ok_or(480)
            }
            // Another node may have whoever this one does not ask for any more.
            Target::Absent | Target::Unknown if self.draining => Err(503),
            Target::Absent => Err(480),
            Target::Unknown => Err(404),
        }
    }

    /// The same MESSAGE in another transaction: another way, or its sender tries again. It is on
    /// record, which is all that a sender who still waits can be told.
    fn answer_again(
        &mut self,
        session: &SessionId,
        subsession: &str,
        key: &TransactionKey,
        request: &Message,
    ) {
        let Some(known) = self.entries.get(session).and_then(|it| it.messages.get(subsession))
        else {
            return;
        };
        let status = known.record.answer.as_ref().map_or(202, |answer| answer.status);
        let bytes = message::answer_to(request, status, &known.record.to_tag);
        self.promise(session, Promise::Reply { key: key.clone(), bytes });
    }

    fn accept_message(&mut self, session: &SessionId, key: &TransactionKey, request: &Message) {
        let (to_tag, subsession) = (self.dice.hex(8), self.dice.uuid());
        let wake_until_us = self.now.mono_us + self.config.wake_budget_ms * 1_000;
        let wait_ms = self.config.message_wait_ms;
        let Some(flow) = self.servers.get(key).map(|(_, flow)| flow.clone()) else { return };
        let Some(entry) = self.entries.get_mut(session) else { return };
        entry.session.record.last_arrival += 1;
        let record = MessageRecord {
            version: VERSION,
            session: session.clone(),
            subsession: subsession.clone(),
            arrival: entry.session.record.last_arrival,
            request: Raw(request.to_bytes()),
            flow,
            identity: message::identity(request),
            to_tag,
            accepted_wall_us: self.now.wall_us,
            delivery: Delivery::Held,
            answer: None,
        };
        let Some(message) = InstantMessage::new(record, wake_until_us) else { return };
        let is_attached = entry.session.attached().is_some();
        let end_us = self.end_of(&message);
        if let Some(entry) = self.entries.get_mut(session) {
            entry.messages.insert(subsession.clone(), message);
        }
        let owner = Owner::message(session, &subsession);
        self.timers.set(Name::MessageEnd, owner.clone(), end_us);
        if wait_ms > 0 {
            self.arm(Name::MessageWait, owner, wait_ms);
        }
        if is_attached {
            self.offer_message(session, &subsession);
        } else {
            self.put_message(session, &subsession, Dirty::Urgent);
            self.wake_gently(session);
        }
        if wait_ms == 0 {
            self.answer_message(session, &subsession, 202);
        }
    }

    pub(super) fn put_message(&mut self, session: &SessionId, subsession: &str, dirty: Dirty) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        let Some(message) = entry.messages.get(subsession) else { return };
        entry.changes.push(Change::PutMessage(Box::new(message.record.clone())));
        self.touch(session, dirty);
    }

    /// Gives the app a `send`: number, bytes and delivery become durable together, then it leaves.
    fn offer_message(&mut self, session: &SessionId, subsession: &str) {
        let defect = planted!(self.config, RepeatsSequence);
        let Some(entry) = self.entries.get_mut(session) else { return };
        let Some(socket) = entry.session.attached() else { return };
        let Some(message) = entry.messages.get_mut(subsession) else { return };
        let frame = message.send(&entry.session.record.aor);
        let (sequence, text) = entry.session.number(frame, defect);
        let correlation = format!("s{sequence}");
        message.record.delivery = Delivery::Offered { sequence, correlation };
        self.put_message(session, subsession, Dirty::Urgent);
        self.promise(session, Promise::Text { socket, text, hop: None });
    }

    /// Gives the app these calls and every held message, in the order in which they arrived, and
    /// then what its subscriptions have come to, and what else waits for it.
    pub(super) fn offer_in_order(&mut self, session: &SessionId, calls: &[String]) {
        let Some(entry) = self.entries.get(session) else { return };
        let arrival_of = |id: &String| entry.calls.get(id).map(|call| call.record.arrival);
        let calls = calls.iter().filter_map(|id| Some((arrival_of(id)?, id.clone(), true)));
        let (again, gone) =
            (planted!(self.config, GivesMessageAgain), planted!(self.config, DropsMessageAfter202));
        let held = |it: &&InstantMessage| match it.record.delivery {
            Delivery::Held => !gone || it.record.answer.is_none(),
            Delivery::Offered { .. } | Delivery::Done { .. } => again,
        };
        let messages = entry.messages.values().filter(held);
        let messages = messages.map(|it| (it.record.arrival, it.record.subsession.clone(), false));
        let mut waiting: Vec<_> = calls.chain(messages).collect();
        waiting.sort();
        if planted!(self.config, DeliversNewestFirst) {
            waiting.reverse();
        }
        for (_, subsession, is_call) in waiting {
            if is_call {
                self.offer(session, &subsession);
            } else {
                self.offer_message(session, &subsession);
            }
        }
        if let Some(entry) = self.entries.get_mut(session) {
            entry.news_until_us = 0;
        }
        self.offer_all_notified(session);
        self.open_to_knocks(session);
    }

    /// The app's answer to a `send` of ours. One that comes after its sender was told 202 says only
    /// that the app has the message.
    pub(crate) fn on_send_answer(&mut self, session: &SessionId, frame: &Frame) {
        let is_provisional = frame.control.message_state == Some(MessageState::Subsequent)
            || frame.header.response_code.is_some_and(|code| code < 200);
        if is_provisional && frame.control.kind != FrameType::Error {
            return;
        }
        let Some(entry) = self.entries.get_mut(session) else { return };
        let Some(subsession) = entry.message_answered_by(frame) else { return };
        let Some(message) = entry.messages.get_mut(&subsession) else { return };
        if message.is_undelivered() {
            message.confirm();
            self.put_message(session, &subsession, Dirty::Lazy);
        }
        self.answer_message(session, &subsession, message::code_of(frame));
        self.remember(session, &subsession);
    }

    /// The final response: stored, then sent, once.
    pub(super) fn answer_message(&mut self, session: &SessionId, subsession: &str, status: u16) {
        let message =
            self.entries.get_mut(session).and_then(|entry| entry.messages.get_mut(subsession));
        let Some(message) = message.filter(|it| it.record.answer.is_none()) else { return };
        let (bytes, key) = (message.answer(status), message.key.clone());
        let owner = Owner::message(session, subsession);
        self.timers.clear(Name::MessageWait, &owner);
        self.put_message(session, subsession, Dirty::Urgent);
        self.promise(session, Promise::Reply { key, bytes });
        self.remember(session, subsession);
    }

    /// The sender waited long enough: the message is on record, which is what 202 says.
    pub(super) fn on_message_wait(&mut self, session: &SessionId, subsession: &str) {
        let status = if planted!(self.config, SaysDeliveredWhenStored) { 200 } else { 202 };
        self.answer_message(session, subsession, status);
    }

    /// The app confirmed frames: the messages among them are delivered.
    pub(super) fn note_delivered(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        let unacknowledged = &entry.session.record.unacknowledged;
        let mut confirmed = Vec::new();
        for (subsession, message) in &mut entry.messages {
            if let Delivery::Offered { sequence, .. } = message.record.delivery
                && !unacknowledged.iter().any(|frame| frame.sequence == sequence)
            {
                message.confirm();
                confirmed.push(subsession.clone());
            }
        }
        for subsession in confirmed {
            self.put_message(session, &subsession, Dirty::Lazy);
            self.remember(session, &subsession);
        }
    }
}

impl Entry {
    /// The message of this identity, if it is on record.
    fn message_like(&self, identity: &str) -> Option<String> {
        let known = self.messages.values().find(|message| message.record.identity == identity);
        known.map(|message| message.record.subsession.clone())
    }

    /// The message that an answer of the app is for: by subsession, else by correlation.
    fn message_answered_by(&self, frame: &Frame) -> Option<String> {
        let by_subsession = frame.control.subsession_id.as_ref();
        if let Some(id) = by_subsession.filter(|id| self.messages.contains_key(*id)) {
            return Some(id.clone());
        }
        let correlation = frame.control.correlation_id.as_deref()?;
        let by_correlation =
            self.messages.values().find(|it| it.correlation() == Some(correlation));
        by_correlation.map(|message| message.record.subsession.clone())
    }

    /// Messages that the app has not confirmed and is woken for, by arrival.
    pub(super) fn waking_messages(&self, now_us: u64) -> Vec<&InstantMessage> {
        let waits = |it: &&InstantMessage| {
            it.is_undelivered() && now_us < it.wake_until_us && !it.is_quiet()
        };
        let mut waiting: Vec<_> = self.messages.values().filter(waits).collect();
        waiting.sort_by_key(|message| message.record.arrival);
        waiting
    }

    /// True if the app is to be woken: for a call or another request that waits for it, or for a
    /// message or news that came lately.
    pub(super) fn wants_wake(&self, now_us: u64) -> bool {
        let is_for_message = !self.waking_messages(now_us).is_empty();
        self.awaits_app()
            || is_for_message
            || !self.knocks.is_empty()
            || now_us < self.news_until_us
    }
}
