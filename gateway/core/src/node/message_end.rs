//! How messages end, and what they do on the way there: remembered while their sender may repeat
//! them, handed on to the session that takes the place of theirs, dropped and counted.

use reveille_trace::{Draft, Kind};

use super::Node;
use super::entry::Dirty;
use crate::io::{Change, Flow, Output};
use crate::message::InstantMessage;
use crate::record::{Delivery, SessionId};
use crate::timer::{Name, Owner};

impl Node {
    /// A settled message is known for as long as a repetition of it may come (64*T1, and T4 on the
    /// way), but no more of them than may wait.
    pub(super) fn remember(&mut self, session: &SessionId, subsession: &str) {
        let limit_ms = 64 * self.config.timers.t1_ms + self.config.timers.t4_ms;
        let Some(entry) = self.entries.get(session) else { return };
        let Some(message) = entry.messages.get(subsession).filter(|it| it.is_settled()) else {
            return;
        };
        let until_us =
            self.mono_of_wall(message.record.accepted_wall_us + limit_ms * 1_000, limit_ms);
        let owner = Owner::message(session, subsession);
        let settled = entry.messages.values().filter(|it| it.is_settled());
        let mut settled: Vec<_> =
            settled.map(|it| (it.record.arrival, it.record.subsession.clone())).collect();
        settled.sort();
        let surplus = settled.len().saturating_sub(self.config.most_messages);
        self.timers.set(Name::MessageEnd, owner, until_us);
        for (_, oldest) in settled.into_iter().take(surplus) {
            self.forget_message(session, &oldest);
        }
    }

    /// When a message ends, in monotonic microseconds.
    pub(super) fn end_of(&self, message: &InstantMessage) -> u64 {
        let ends_us = message.ends_wall_us();
        let most_ms = ends_us.saturating_sub(message.record.accepted_wall_us) / 1_000;
        self.mono_of_wall(ends_us, most_ms)
    }

    fn forget_message(&mut self, session: &SessionId, subsession: &str) {
        let owner = Owner::message(session, subsession);
        self.timers.clear(Name::MessageWait, &owner);
        self.timers.clear(Name::MessageEnd, &owner);
        let Some(entry) = self.entries.get_mut(session) else { return };
        if entry.messages.remove(subsession).is_some() {
            entry.changes.push(Change::DropMessage { subsession: subsession.to_owned() });
            self.touch(session, Dirty::Lazy);
        }
    }

    pub(super) fn on_message_end(&mut self, session: &SessionId, subsession: &str) {
        let message = self.entries.get(session).and_then(|it| it.messages.get(subsession));
        match message.map(|message| &message.record.delivery) {
            Some(Delivery::Held) => {
                self.note_dropped(session, subsession, "kept for its longest time");
                self.answer_message(session, subsession, 480);
                self.forget_message(session, subsession);
            }
            // Its frame stays with the replay until the session ends.
            Some(Delivery::Offered { .. }) | None => {}
            Some(Delivery::Done { .. }) => self.forget_message(session, subsession),
        }
    }

    /// A message that its app never got goes: no drop is silent.
    fn note_dropped(&mut self, session: &SessionId, subsession: &str, why: &str) {
        let message = self.entries.get(session).and_then(|it| it.messages.get(subsession));
        let Some(call_id) = message.map(|it| it.request.call_id().unwrap_or_default().to_owned())
        else {
            return;
        };
        self.dropped_messages += 1;
        let text = format!("message dropped: {why}");
        let draft = Draft::new(Kind::Note).corr(&call_id).with("text", text);
        let count = i64::try_from(self.dropped_messages).unwrap_or(i64::MAX);
        self.trace(draft.with("session", session.as_str()).with("dropped", count));
    }

    /// The session ends, and its messages with it. Who was promised nothing yet hears 480; who was
    /// told 202 hears nothing more.
    pub(super) fn end_messages(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get(session) else { return };
        let all: Vec<_> = entry.messages.keys().cloned().collect();
        for subsession in all {
            let message = self.entries.get(session).and_then(|it| it.messages.get(&subsession));
            let Some(message) = message else { continue };
            let is_undelivered = message.is_undelivered();
            if is_undelivered {
                self.note_dropped(session, &subsession, "its session ended");
            }
            self.answer_message(session, &subsession, if is_undelivered { 480 } else { 202 });
            self.forget_message(session, &subsession);
        }
    }

    /// The messages of a session come along to the one that takes its place: what the app had not
    /// confirmed there is given again here, under this session's numbers.
    pub(super) fn take_messages_over(&mut self, old: &SessionId, session: &SessionId) {
        let messages = self.entries.get_mut(old).map(|old| std::mem::take(&mut old.messages));
        for (subsession, mut message) in messages.unwrap_or_default() {
            message.record.session = session.clone();
            if message.is_undelivered() {
                message.record.delivery = Delivery::Held;
            }
            for name in [Name::MessageWait, Name::MessageEnd] {
                let from = Owner::message(old, &subsession);
                let to = Owner::message(session, &subsession);
                self.timers.rename(name, &from, to);
            }
            let Some(entry) = self.entries.get_mut(session) else { return };
            let last_arrival = &mut entry.session.record.last_arrival;
            *last_arrival = (*last_arrival).max(message.record.arrival);
            entry.messages.insert(subsession.clone(), message);
            self.put_message(session, &subsession, Dirty::Urgent);
        }
    }

    /// The answers to messages that came by a connection which is gone go by a new one. Over a
    /// stream a transaction ends with its answer, so that the record is what still knows it.
    pub(super) fn move_messages(&mut self, flow: &Flow) {
        let entries = self.entries.values_mut();
        for message in entries.flat_map(|entry| entry.messages.values_mut()) {
            if message.record.flow != *flow {
                continue;
            }
            let way = message.return_flow();
            message.record.flow = way.clone();
            if let Some((_, flow)) = self.servers.get_mut(&message.key) {
                *flow = way.clone();
            }
            if let Some(answer) = &message.record.answer {
                let bytes = answer.response.0.clone();
                self.out.push(Output::Sip { flow: way, bytes });
            }
        }
    }

    /// The socket that these messages were given to is gone: the app is woken for them.
    pub(super) fn renew_wakes(&mut self, session: &SessionId) {
        let wake_until_us = self.now.mono_us + self.config.wake_budget_ms * 1_000;
        let Some(entry) = self.entries.get_mut(session) else { return };
        for message in entry.messages.values_mut().filter(|it| it.is_undelivered()) {
            message.wake_until_us = wake_until_us;
        }
    }
}
