//! Requests that push services received, whichever service it was: what each names, and what it was
//! answered.

use reveille_trace::{Event, Kind};
use serde_json::Value;

/// A request that a push service received.
pub struct Push<'a> {
    /// The event.
    pub seq: u64,
    /// When, in microseconds.
    pub t_us: u64,
    /// The device's token.
    pub token: String,
    /// Which service it was: `webhook`, `apns`, `fcm` or `webpush`.
    pub service: &'a str,
    /// The body, of Web Push as the browser reads it; null if it is no JSON.
    pub body: Value,
    /// What the app gets.
    pub payload: Value,
    /// The status it was answered with, if it was before the next request for the token.
    pub status: Option<u16>,
    /// The name that the service's documents have for the answer.
    pub reason: Option<&'a str>,
    /// The rule of the service's documents that it breaks.
    pub rule: Option<&'a str>,
    received: &'a Event,
    answered: Option<&'a Event>,
}

impl<'a> Push<'a> {
    fn of(event: &'a Event) -> Self {
        let body: Value = serde_json::from_slice(event.bytes()).unwrap_or_default();
        let service = event.text("provider").unwrap_or("webhook");
        let payload = match service {
            "webhook" => body["payload"].clone(),
            "fcm" => {
                let message = &body["message"];
                let own = &message["android"]["data"];
                if own.is_null() { message["data"].clone() } else { own.clone() }
            }
            _ => body.clone(),
        };
        let token = event.text("token").unwrap_or_default().to_owned();
        let (seq, t_us) = (event.seq, event.t_us);
        let (status, reason, rule, answered) = (None, None, None, None);
        let received = event;
        Self { seq, t_us, token, service, body, payload, status, reason, rule, received, answered }
    }

    fn answer(&mut self, event: &'a Event) {
        if self.answered.is_none() {
            self.answered = Some(event);
            self.status = event.int("status").and_then(|status| u16::try_from(status).ok());
            (self.reason, self.rule) = (event.text("reason"), event.text("rule"));
        }
    }

    /// A member of the payload, as text.
    #[must_use]
    pub fn says(&self, name: &str) -> &str {
        self.payload[name].as_str().unwrap_or_default()
    }

    /// A number of the payload; FCM has it as text.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        let value = &self.payload[name];
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    /// What the trace shows of its headers and members.
    #[must_use]
    pub fn shows(&self, name: &str) -> Option<&'a str> {
        self.received.text(name)
    }

    /// Milliseconds for which the service may keep it for the phone, as its sender says.
    #[must_use]
    pub fn life_ms(&self) -> Option<u64> {
        self.received.int("life_ms").and_then(|life| u64::try_from(life).ok())
    }

    /// Which of its senders' connections it came by.
    #[must_use]
    pub fn connection(&self) -> Option<i64> {
        self.received.int("connection")
    }

    /// A number of its answer, in seconds.
    #[must_use]
    pub fn told_s(&self, name: &str) -> Option<u64> {
        self.answered?.int(name).and_then(|told| u64::try_from(told).ok())
    }

    /// When it was answered, in microseconds.
    #[must_use]
    pub fn answered_us(&self) -> Option<u64> {
        self.answered.map(|event| event.t_us)
    }

    /// The event of its answer.
    #[must_use]
    pub fn answered_seq(&self) -> Option<u64> {
        self.answered.map(|event| event.seq)
    }

    /// The token, the session and the application that it names.
    #[must_use]
    pub fn items(&self) -> [&str; 3] {
        let says = |name: &str| self.body[name].as_str().unwrap_or_default();
        let shown = |name: &str| self.shows(name).unwrap_or_default();
        let (token, session) = (self.token.as_str(), self.says("session_id"));
        match self.service {
            "webhook" => [says("token"), says("session_id"), says("application")],
            "apns" => [token, session, shown("topic")],
            "fcm" => [token, session, shown("project")],
            _ => [token, session, shown("vapid-key")],
        }
    }

    /// True if the application that it names is this one; a topic of APNs may say more.
    #[must_use]
    pub fn is_of(&self, app: &str) -> bool {
        let [.., named] = self.items();
        let more = named.strip_prefix(app).is_some_and(|more| more.starts_with('.'));
        !app.is_empty() && (named == app || (self.service == "apns" && more))
    }

    /// True if the service took it, and said so in its own words.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        let broken = self.answered.is_some_and(|event| event.fields.contains_key("broken"));
        !broken && matches!(self.status, Some(200..=299))
    }
}

/// All of them, in order.
pub(super) fn pushes(events: &[Event]) -> Vec<Push<'_>> {
    let mut pushes: Vec<Push<'_>> = Vec::new();
    for event in events {
        match event.kind {
            Kind::PushReceived => pushes.push(Push::of(event)),
            Kind::PushAnswered => {
                let token = event.text("token").unwrap_or_default();
                if let Some(push) = pushes.iter_mut().rfind(|push| push.token == token) {
                    push.answer(event);
                }
            }
            _ => {}
        }
    }
    pushes
}
