//! NOTIFY: the state of what an app subscribed to. It goes to an app that is there; for one that is
//! away the latest state is kept, and it is woken only for news, and only if the operator wants that.

use reveille_wire::jsonrtc::Frame;
use reveille_wire::sip::Message;

use super::Node;
use super::entry::{Dirty, Promise};
use super::subscriptions::PACKAGE;
use crate::dice;
use crate::record::{Notified, Raw, SessionId};
use crate::summary;
use crate::transaction::TransactionKey;

/// An app that does not confirm so many frames is told of the latest state only when it is back.
const MOST_UNSEEN: usize = 64;

impl Node {
    /// A NOTIFY outside of call dialogs.
    pub(super) fn on_notify(&mut self, key: &TransactionKey, request: &Message) {
        let Some(event) = request.header("Event") else {
            self.reply(key, request, 489, &[("Allow-Events", "message-summary".to_owned())]);
            return;
        };
        let event = event.split(';').next().unwrap_or_default().trim().to_owned();
        let place = request.call_id().ok().and_then(|id| self.notified.get(id)).cloned();
        let Some((session, subsession)) = place else {
            self.reply(key, request, 481, &[]);
            return;
        };
        if let Err(status) = self.take_notify(&session, &subsession, request, &event) {
            self.reply(key, request, status, &[]);
            return;
        }
        self.on_notified(&session, &subsession, request);
        let tag = request.to().ok().and_then(|to| to.tag().map(ToOwned::to_owned));
        let bytes = request.reply(200, "OK", tag.as_deref()).to_bytes();
        self.promise(&session, Promise::Reply { key: key.clone(), bytes });
    }

    /// Whether the NOTIFY belongs to the dialog, in order and of a size that is taken.
    fn take_notify(
        &mut self,
        session: &SessionId,
        subsession: &str,
        request: &Message,
        event: &str,
    ) -> Result<(), u16> {
        let most_bytes = self.config.most_message_bytes;
        let Some(entry) = self.entries.get_mut(session).filter(|it| it.is_live()) else {
            return Err(481);
        };
        let is_same_event = entry.subscription(subsession).is_some_and(|it| it.event == event);
        let subscription = entry.subscriptions.get_mut(subsession).ok_or(481_u16)?;
        if !is_same_event {
            return Err(481);
        }
        if request.body.len() > most_bytes {
            return Err(413);
        }
        subscription.hear(request)
    }

    /// The state goes to an app that is there, else the latest one waits for it.
    fn on_notified(&mut self, session: &SessionId, subsession: &str, request: &Message) {
        let state = request.header("Subscription-State").unwrap_or_default().to_ascii_lowercase();
        let content_type = request.header("Content-Type").unwrap_or_default().trim().to_owned();
        let notified = Notified { content_type, body: Raw(request.body.clone()) };
        let Some(entry) = self.entries.get_mut(session) else { return };
        let is_deaf = entry.session.record.unacknowledged.len() >= MOST_UNSEEN;
        let is_here = entry.session.attached().is_some() && !is_deaf;
        let mut is_news = false;
        if let Some(record) = entry.subscription_mut(subsession)
            && !notified.body.0.is_empty()
        {
            let state = dice::uuid_of(&notified.body.0);
            is_news = record.state.as_ref() != Some(&state);
            record.state = Some(state);
            record.latest = Some(notified);
            self.touch(session, Dirty::Urgent);
        }
        if is_here {
            self.offer_notified(session, subsession);
        } else if is_news && self.config.notify_wakes {
            self.wake_for_news(session);
        }
        if state.split(';').next().is_some_and(|word| word.trim() == "terminated") {
            self.on_terminated(session, subsession, &state);
        }
    }

    fn wake_for_news(&mut self, session: &SessionId) {
        let until_us = self.now.mono_us + self.config.wake_budget_ms * 1_000;
        if let Some(entry) = self.entries.get_mut(session) {
            entry.news_until_us = until_us;
        }
        self.wake_gently(session);
    }

    /// The notifier ended it. Where it only wants a new one, the app hears nothing (RFC 6665
    /// section 4.1.3).
    fn on_terminated(&mut self, session: &SessionId, subsession: &str, state: &str) {
        let record = self.entries.get(session).and_then(|entry| entry.subscription(subsession));
        let is_ending = record.is_none_or(|record| record.ending);
        let again = ["reason=deactivated", "reason=timeout"];
        if !is_ending && state.split(';').any(|part| again.contains(&part.trim())) {
            self.forget_dialog(session, subsession);
            self.subscribe(session, subsession);
        } else {
            self.end_subscription(session, subsession, true);
        }
    }

    /// Every state that waited while the app was away.
    pub(super) fn offer_all_notified(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get(session) else { return };
        let subscriptions = &entry.session.record.subscriptions;
        let all: Vec<_> = subscriptions.iter().map(|it| it.subsession.clone()).collect();
        for subsession in all {
            self.offer_notified(session, &subsession);
        }
    }

    fn offer_notified(&mut self, session: &SessionId, subsession: &str) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        let aor = entry.session.record.aor.clone();
        let Some(record) = entry.subscription_mut(subsession) else { return };
        let Some(latest) = record.latest.take() else { return };
        let mut frame = Frame::message(PACKAGE, "notify");
        frame.control.subsession_id = Some(subsession.to_owned());
        frame.control.correlation_id.clone_from(&record.correlation);
        frame.header.initiator = Some(record.target.clone());
        frame.header.target = Some(aor);
        frame.header.extra.insert("event".to_owned(), record.event.as_str().into());
        let is_summary = record.event == "message-summary";
        let text = String::from_utf8_lossy(&latest.body.0);
        match summary::read(&text).filter(|_| is_summary) {
            Some(payload) => frame.payload = payload,
            None => {
                let kind = latest.content_type.as_str();
                frame.header.extra.insert("content_type".to_owned(), kind.into());
                frame.payload.insert("content".to_owned(), text.into());
            }
        }
        self.send(session, frame);
    }
}
