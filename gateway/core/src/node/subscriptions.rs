//! Package `message_notification`: subscriptions of an app, kept up by the gateway whether the app
//! is awake or asleep (RFC 6665, RFC 3842). What comes of them is in `notifications`.

use reveille_wire::jsonrtc::{Frame, MessageState};
use reveille_wire::sip::{Message, Method};

use super::Node;
use super::entry::{Dirty, Entry};
use super::errand::{Cause, Errand, failure_for_app};
use super::outgoing::MOST_SUBSESSION;
use super::target;
use crate::io::Transport;
use crate::record::{Dialog, SessionId, SubscriptionRecord};
use crate::registration::refresh_after_ms;
use crate::timer::{Name, Owner};

pub(super) const PACKAGE: &str = "message_notification";

/// Subscriptions that one session may have.
const MOST_SUBSCRIPTIONS: usize = 16;
/// Lifetime in seconds: asked if the app says nothing, least, most.
const EXPIRES_S: (u64, u64, u64) = (3_600, 60, 86_400);
/// A refresh that failed for now is tried again after so long.
const AGAIN_MS: u64 = 60_000;

/// A subscription in SIP: its ids, and its dialog once the notifier said something.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    call_id: String,
    from_tag: String,
    /// CSeq number of the latest SUBSCRIBE outside of the dialog.
    local_cseq: u32,
    dialog: Option<Dialog>,
}

impl Node {
    /// `start` of the app.
    pub(crate) fn on_subscribe(&mut self, session: &SessionId, frame: &Frame) {
        match self.read_subscription(session, frame) {
            Ok(record) => {
                let subsession = record.subsession.clone();
                let Some(entry) = self.entries.get_mut(session) else { return };
                entry.session.record.subscriptions.push(record);
                self.touch(session, Dirty::Urgent);
                self.subscribe(session, &subsession);
            }
            Err((code, what)) => self.refuse_frame(session, frame, code, &what),
        }
    }

    fn read_subscription(
        &self,
        session: &SessionId,
        frame: &Frame,
    ) -> Result<SubscriptionRecord, (u16, String)> {
        let refuse = |code: u16, what: &str| (code, what.to_owned());
        let record = &self
            .entries
            .get(session)
            .ok_or_else(|| refuse(404, "no such session"))?
            .session
            .record;
        let subsession =
            frame.control.subsession_id.clone().filter(|id| id.len() <= MOST_SUBSESSION);
        let subsession =
            subsession.ok_or_else(|| refuse(400, "a subscription needs control.subsession_id"))?;
        if record.subscriptions.iter().any(|it| it.subsession == subsession) {
            return Err(refuse(491, "this subscription stands already: shut it down first"));
        }
        let is_full = record.subscriptions.len() >= MOST_SUBSCRIPTIONS;
        if self.config.registrar.is_none() || is_full || self.draining || self.is_busy(session) {
            return Err(refuse(
                480,
                "no room for a subscription, or no [registrar] to subscribe by",
            ));
        }
        let named = frame.header.target.as_deref().unwrap_or(&record.aor);
        let target = target::read(Some(named), &self.config.domains).map_err(|what| (400, what))?;
        let event =
            frame.header.extra.get("event").map_or(Some("message-summary"), |it| it.as_str());
        let is_token = |text: &&str| {
            let sound = |c: char| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c);
            (1..=64).contains(&text.len()) && text.chars().all(sound)
        };
        let event = event.filter(is_token).ok_or_else(|| {
            refuse(400, "header.event is no event package; write one like \"message-summary\"")
        })?;
        let (usual_s, least_s, most_s) = EXPIRES_S;
        let expires_s = frame.header.expiry.unwrap_or(usual_s).clamp(least_s, most_s);
        Ok(SubscriptionRecord {
            subsession,
            correlation: frame.control.correlation_id.clone(),
            target: target.to_string(),
            event: event.to_owned(),
            expires_s: u32::try_from(expires_s).unwrap_or(u32::MAX),
            told: false,
            ending: false,
            latest: None,
            state: None,
        })
    }

    /// Sends a SUBSCRIBE: within the dialog if there is one, else the first of a new one.
    pub(super) fn subscribe(&mut self, session: &SessionId, subsession: &str) {
        let ids = [self.dice.hex(16), self.dice.hex(8)];
        if self.config.registrar.is_none() {
            return;
        }
        let Some(entry) = self.entries.get_mut(session) else { return };
        let Some(record) = entry.subscription(subsession).cloned() else { return };
        let subscription = entry.subscriptions.entry(subsession.to_owned());
        let call_id = subscription.or_insert_with(|| Subscription::new(ids)).call_id.clone();
        self.notified.insert(call_id, (session.clone(), subsession.to_owned()));
        let Some(request) = self.next_subscribe(session, subsession, &record.target) else {
            return;
        };
        let expires_s = if record.ending { 0 } else { record.expires_s };
        let accept = if record.event == "message-summary" {
            "application/simple-message-summary"
        } else {
            "*/*"
        };
        let request = request
            .with("Contact", format!("<{}>", self.contact_of(session, Transport::Udp, false)))
            .with("Event", record.event.as_str())
            .with("Expires", expires_s.to_string())
            .with("Accept", accept);
        let cause = Cause::Subscribe(subsession.to_owned());
        self.begin_errand(session, Errand::new(request, cause));
    }

    /// Via and Contact are those of the way that the request takes in the end.
    fn next_subscribe(
        &mut self,
        session: &SessionId,
        subsession: &str,
        target: &str,
    ) -> Option<Message> {
        let via = self.via(Transport::Udp, "z9hG4bK");
        let entry = self.entries.get_mut(session)?;
        let subscription = entry.subscriptions.get_mut(subsession)?;
        let call_id = subscription.call_id.clone();
        if let Some(dialog) = &mut subscription.dialog {
            return Some(dialog.request(Method::SUBSCRIBE, &call_id, &via));
        }
        subscription.local_cseq += 1;
        let (from_tag, cseq) = (subscription.from_tag.clone(), subscription.local_cseq);
        let request = self.request_for(
            session,
            Method::SUBSCRIBE,
            target,
            (call_id.as_str(), from_tag.as_str(), cseq),
        );
        Some(request?.with("Content-Length", "0"))
    }

    /// The final response to a SUBSCRIBE, with the one that it is for.
    pub(super) fn on_subscribe_answer(
        &mut self,
        session: &SessionId,
        subsession: &str,
        status: u16,
        answer: Option<(&Message, &Message)>,
    ) {
        let response = answer.map(|(_, response)| response);
        let Some(entry) = self.entries.get_mut(session).filter(|entry| !entry.over) else { return };
        let Some(record) = entry.subscription_mut(subsession) else { return };
        match status {
            // The NOTIFY that ends it follows; if it does not, its time is over anyway.
            200..=299 if record.ending => {
                let owner = Owner::subscription(session, subsession);
                self.arm(Name::Subscribe, owner, 64 * self.config.timers.t1_ms);
            }
            200..=299 => self.on_subscribed(session, subsession, status, answer),
            _ if record.ending => self.end_subscription(session, subsession, true),
            423 => {
                let least_s = response.and_then(|it| it.min_expires().ok()).flatten().unwrap_or(0);
                if least_s > record.expires_s && u64::from(least_s) <= EXPIRES_S.2 {
                    record.expires_s = least_s;
                    self.touch(session, Dirty::Soon);
                    self.subscribe(session, subsession);
                } else {
                    self.fail_subscription(session, subsession, status);
                }
            }
            // What passes, and a dialog that the notifier has lost, is tried again.
            408 | 480 | 481 | 500 | 502..=504 if record.told => {
                self.forget_dialog(session, subsession);
                let wait_ms = if status == 481 { 1_000 } else { AGAIN_MS };
                let owner = Owner::subscription(session, subsession);
                self.arm(Name::Subscribe, owner, wait_ms);
            }
            _ => self.fail_subscription(session, subsession, status),
        }
    }

    fn on_subscribed(
        &mut self,
        session: &SessionId,
        subsession: &str,
        status: u16,
        answer: Option<(&Message, &Message)>,
    ) {
        let response = answer.map(|(_, response)| response);
        let part = self.dice.between(50, 100);
        let Some(entry) = self.entries.get_mut(session) else { return };
        let subscription = entry.subscriptions.get_mut(subsession);
        if let (Some(subscription), Some((subscribe, response))) = (subscription, answer) {
            subscription.meet(subscribe, response);
        }
        let aor = entry.session.record.aor.clone();
        let Some(record) = entry.subscription_mut(subsession) else { return };
        let granted = response.and_then(|response| response.expires().ok()).flatten();
        let granted_s = granted.unwrap_or(record.expires_s).max(1);
        let answer = (!record.told).then(|| {
            let mut answer = Frame::response(PACKAGE, "start", MessageState::Final);
            answer.control.subsession_id = Some(subsession.to_owned());
            answer.control.correlation_id.clone_from(&record.correlation);
            answer.header.initiator = Some(aor);
            answer.header.target = Some(record.target.clone());
            answer.header.response_code = Some(status);
            answer.header.expiry = Some(u64::from(granted_s));
            answer
        });
        record.told = true;
        if let Some(answer) = answer {
            self.send(session, answer);
        }
        let owner = Owner::subscription(session, subsession);
        self.arm(Name::Subscribe, owner, refresh_after_ms(granted_s, part));
    }

    /// The subscription is refused: an error to a `start` that waits, else it is over.
    fn fail_subscription(&mut self, session: &SessionId, subsession: &str, status: u16) {
        let record = self.entries.get(session).and_then(|entry| entry.subscription(subsession));
        let Some(record) = record.cloned() else { return };
        self.end_subscription(session, subsession, record.told);
        if !record.told {
            let (code, reason) = failure_for_app(status);
            let mut error = Frame::error(PACKAGE, "start", code, &reason);
            error.control.subsession_id = Some(record.subsession);
            error.control.correlation_id = record.correlation;
            self.send(session, error);
        }
    }

    /// A refresh is due, or the end of a subscription that its notifier does not confirm.
    pub(super) fn on_subscribe_due(&mut self, session: &SessionId, subsession: &str) {
        let record = self.entries.get(session).and_then(|entry| entry.subscription(subsession));
        match record.map(|record| record.ending) {
            Some(true) => self.end_subscription(session, subsession, true),
            Some(false) => self.subscribe(session, subsession),
            None => {}
        }
    }

    /// `shutdown` of the app.
    pub(crate) fn on_unsubscribe(&mut self, session: &SessionId, frame: &Frame) {
        let subsession = frame.control.subsession_id.clone().unwrap_or_default();
        let Some(entry) = self.entries.get_mut(session) else { return };
        let has_dialog = entry.subscriptions.get(&subsession).is_some_and(Subscription::stands);
        let Some(record) = entry.subscription_mut(&subsession) else { return };
        if std::mem::replace(&mut record.ending, true) {
            return;
        }
        self.touch(session, Dirty::Urgent);
        if has_dialog {
            self.subscribe(session, &subsession);
        } else {
            self.end_subscription(session, &subsession, true);
        }
    }

    /// Removes a subscription, and says so to an app that believes in it.
    pub(super) fn end_subscription(
        &mut self,
        session: &SessionId,
        subsession: &str,
        tell_app: bool,
    ) {
        self.forget_dialog(session, subsession);
        let Some(entry) = self.entries.get_mut(session) else { return };
        let subscriptions = &mut entry.session.record.subscriptions;
        let Some(at) = subscriptions.iter().position(|it| it.subsession == subsession) else {
            return;
        };
        let record = subscriptions.remove(at);
        self.touch(session, Dirty::Urgent);
        if tell_app {
            let mut frame = Frame::message(PACKAGE, "shutdown");
            frame.control.subsession_id = Some(record.subsession);
            frame.control.correlation_id = record.correlation;
            frame.header.initiator = Some(record.target);
            self.send(session, frame);
        }
    }

    pub(super) fn forget_dialog(&mut self, session: &SessionId, subsession: &str) {
        let owner = Owner::subscription(session, subsession);
        self.timers.clear(Name::Subscribe, &owner);
        let Some(entry) = self.entries.get_mut(session) else { return };
        if let Some(dialog) = entry.subscriptions.remove(subsession) {
            self.notified.remove(&dialog.call_id);
        }
    }

    /// The session ends: its subscriptions are ended at their notifiers, with nobody waiting.
    pub(super) fn end_subscriptions(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        let mut standing = Vec::new();
        for record in &mut entry.session.record.subscriptions {
            record.ending = true;
            if entry.subscriptions.get(&record.subsession).is_some_and(Subscription::stands) {
                standing.push(record.subsession.clone());
            }
        }
        for subsession in standing {
            self.subscribe(session, &subsession);
            self.forget_dialog(session, &subsession);
        }
    }

    /// After a restart: fresh subscriptions, spread like registrations; ended ones are over.
    pub(super) fn recover_subscriptions(&mut self, session: &SessionId, spread_ms: u64) {
        let Some(entry) = self.entries.get(session) else { return };
        for record in entry.session.record.subscriptions.clone() {
            if record.ending {
                self.end_subscription(session, &record.subsession, true);
            } else {
                let wait_ms = self.dice.between(0, spread_ms);
                let owner = Owner::subscription(session, &record.subsession);
                self.arm(Name::Subscribe, owner, wait_ms);
            }
        }
    }
}

impl Subscription {
    fn new([call_id, from_tag]: [String; 2]) -> Self {
        Self { call_id, from_tag, local_cseq: 0, dialog: None }
    }

    /// True once there is a dialog to end.
    const fn stands(&self) -> bool {
        self.dialog.is_some()
    }

    /// A number of our side that was used for a request sent once more.
    pub(super) fn spend(&mut self, number: u32) {
        let used = self.dialog.as_mut().map_or(&mut self.local_cseq, |it| &mut it.local_cseq);
        *used = (*used).max(number);
    }

    /// A 2xx tells who the notifier is, and where (RFC 3261 section 12.1.2).
    fn meet(&mut self, subscribe: &Message, response: &Message) {
        let dialog = Dialog::outgoing(subscribe, response);
        match &mut self.dialog {
            Some(known) if known.remote_tag == dialog.remote_tag => known.learn(response),
            other => *other = Some(dialog),
        }
    }

    /// A NOTIFY of this dialog, which it may begin (RFC 6665 section 4.1.2.4).
    ///
    /// # Errors
    /// The status that refuses it: it is of another dialog, or comes late.
    pub(super) fn hear(&mut self, notify: &Message) -> Result<(), u16> {
        let dialog = Dialog::incoming(notify, &self.from_tag);
        let to = notify.to().map_err(|_| 481_u16)?;
        let is_ours = to.tag() == Some(&self.from_tag);
        match &mut self.dialog {
            _ if !is_ours => Err(481),
            Some(known) if known.remote_tag != dialog.remote_tag => Err(481),
            Some(known) if dialog.remote_cseq < known.remote_cseq => Err(500),
            Some(known) => {
                known.remote_cseq = dialog.remote_cseq;
                known.learn(notify);
                Ok(())
            }
            other => {
                *other = Some(Dialog { local_cseq: self.local_cseq, ..dialog });
                Ok(())
            }
        }
    }
}

impl Entry {
    pub(super) fn subscription(&self, subsession: &str) -> Option<&SubscriptionRecord> {
        self.session.record.subscriptions.iter().find(|it| it.subsession == subsession)
    }

    pub(super) fn subscription_mut(&mut self, subsession: &str) -> Option<&mut SubscriptionRecord> {
        self.session.record.subscriptions.iter_mut().find(|it| it.subsession == subsession)
    }
}
