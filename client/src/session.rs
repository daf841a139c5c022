//! The session without its socket: numbers, frames kept until they are acknowledged, calls. Pure:
//! texts in, texts and events out.

mod calls;
mod messages;

use std::collections::BTreeMap;

use reveille_wire::jsonrtc::{self, Frame, FrameType, Inbound, MessageState};

use crate::app::Settings;
use crate::state::{Event, SavedState, State};
use calls::Call;
use messages::Unanswered;

/// What follows from a text that came in.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) say: Vec<String>,
    pub(crate) events: Vec<Event>,
    /// Close the socket with this code.
    pub(crate) close: Option<u16>,
}

#[derive(Debug)]
pub(crate) struct Session {
    settings: Settings,
    saved: SavedState,
    unacknowledged: Vec<(u64, String)>,
    calls: BTreeMap<String, Call>,
    messages: BTreeMap<String, Unanswered>,
    token_is_new: bool,
    connected: bool,
    /// The number of the latest first connect.
    opened: u64,
    /// Sleep was asked for, and the app has not slept since.
    wants_sleep: bool,
    untold: bool,
    /// Came from a saved state, and the gateway has not said yet what it received from before.
    restored: bool,
}

impl Session {
    pub(crate) fn new(settings: Settings, saved: Option<SavedState>) -> Self {
        Self {
            restored: saved.is_some(),
            settings,
            saved: saved.unwrap_or_default(),
            unacknowledged: Vec::new(),
            calls: BTreeMap::new(),
            messages: BTreeMap::new(),
            token_is_new: false,
            connected: false,
            opened: 0,
            wants_sleep: false,
            untold: false,
        }
    }

    pub(crate) const fn saved(&self) -> &SavedState {
        &self.saved
    }

    /// True once the connect on this socket is answered. What is numbered before is kept: which
    /// numbers the gateway has, and which session it is in, comes with the answer.
    pub(crate) const fn is_connected(&self) -> bool {
        self.connected
    }

    pub(crate) fn is_busy(&self) -> bool {
        !self.calls.is_empty()
    }

    pub(crate) fn set_token(&mut self, token: String) {
        self.settings.token = Some(token);
        self.token_is_new = true;
    }

    /// The first text on a fresh socket: connect, or come back.
    pub(crate) fn open(&mut self) -> String {
        self.connected = false;
        let mut frame = Frame::request("register", "connect");
        frame.header.initiator = Some(self.settings.user.clone());
        frame.header.target = Some(self.settings.user.clone());
        if self.saved.session_id.is_empty() {
            self.add_device(&mut frame);
            self.saved.last_out += 1;
            self.opened = self.saved.last_out;
            frame.control.sequence = Some(self.opened);
            return frame.to_text();
        }
        if self.token_is_new {
            self.add_device(&mut frame);
        }
        frame.control.session_id = Some(self.saved.session_id.clone());
        frame.header.cslr = Some(self.saved.last_in);
        frame.header.cslw = self.unacknowledged.first().map(|(sequence, _)| *sequence);
        frame.header.csuw = self.unacknowledged.last().map(|(sequence, _)| *sequence);
        let held: Vec<_> = self.calls.keys().cloned().collect();
        frame.header.extra.insert("subsessions".to_owned(), held.into());
        frame.to_text()
    }

    fn add_device(&mut self, frame: &mut Frame) {
        self.token_is_new = false;
        let Some(token) = &self.settings.token else { return };
        frame.payload.insert("deviceToken".to_owned(), token.clone().into());
        let capability = serde_json::json!({
            "platform": self.settings.platform,
            "push_provider": self.settings.push_provider,
            "app_id": self.settings.app_id,
        });
        frame.payload.insert("capability".to_owned(), capability);
    }

    /// Gives a frame our next number and keeps it until the gateway has it.
    fn number(&mut self, mut frame: Frame) -> String {
        self.saved.last_out += 1;
        let sequence = self.saved.last_out;
        frame.control.sequence = Some(sequence);
        frame.control.session_id = Some(self.saved.session_id.clone());
        frame.control.ack_sequence = Some(self.saved.last_in);
        if frame.control.correlation_id.is_none() {
            frame.control.correlation_id = Some(format!("c{sequence}"));
        }
        self.untold = false;
        let text = frame.to_text();
        self.unacknowledged.push((sequence, text.clone()));
        text
    }

    pub(crate) fn hibernate(&mut self, ttl_s: Option<u64>) -> String {
        let mut frame = Frame::request("register", "hibernate");
        frame.header.initiator = Some(self.settings.user.clone());
        frame.header.target = Some(self.settings.user.clone());
        frame.header.ttl = ttl_s.or(self.settings.ttl_s);
        self.wants_sleep = true;
        self.number(frame)
    }

    /// It sleeps: a grant that comes later is of before.
    pub(crate) const fn slept(&mut self) {
        self.wants_sleep = false;
    }

    /// What is worth telling the gateway when nothing else is said: what we have received.
    pub(crate) fn acknowledgement(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.untold) || !self.connected {
            return None;
        }
        let mut frame = Frame::acknowledgement(self.saved.last_in);
        frame.control.session_id = Some(self.saved.session_id.clone());
        Some(frame.to_text())
    }

    pub(crate) fn hear(&mut self, text: &str) -> Heard {
        let mut heard = Heard::default();
        let Ok(Inbound::Frame(frame)) = jsonrtc::read(text) else { return heard };
        // With the answer to a connect it speaks of numbers that may be given twice.
        if let Some(ack) = frame.control.ack_sequence.filter(|_| self.connected) {
            self.unacknowledged.retain(|(sequence, _)| *sequence > ack);
        }
        if let Some(sequence) = frame.control.sequence
            && frame.control.kind != FrameType::Acknowledgement
        {
            self.saved.last_in = sequence;
            self.untold = true;
        }
        match (frame.control.package.as_str(), frame.header.action.as_deref()) {
            ("register", Some("connect")) => self.on_connect(&frame, &mut heard),
            ("register", Some("hibernate")) => self.on_hibernate(&frame, &mut heard),
            ("register", Some("complete")) => refused_after_all(&frame, &mut heard),
            ("call", Some(action)) => self.on_call(action, &frame, &mut heard),
            ("messaging", Some("send")) => self.on_messaging(&frame, &mut heard),
            ("message_notification", Some(action)) => {
                self.on_notification(action, &frame, &mut heard);
            }
            _ => {}
        }
        heard
    }

    fn on_connect(&mut self, frame: &Frame, heard: &mut Heard) {
        if frame.control.kind == FrameType::Error {
            let code = frame.header.error_code.unwrap_or(500);
            let reason = frame.header.reason.as_deref().unwrap_or_default();
            let why = format!("connect refused: {code} {reason}");
            heard.events.push(Event::State(State::Failed { why }));
            heard.close = Some(jsonrtc::close::NORMAL);
            return;
        }
        let id = frame.control.session_id.clone().unwrap_or_default();
        if id != self.saved.session_id {
            self.begin(&id, frame, heard);
        } else if let Some(sslr) = frame.header.sslr.or(frame.control.ack_sequence) {
            if std::mem::take(&mut self.restored) {
                self.go_on_after(sslr);
            }
            self.unacknowledged.retain(|(sequence, _)| *sequence > sslr);
        }
        self.restored = false;
        self.connected = true;
        heard.say.extend(self.unacknowledged.iter().map(|(_, text)| text.clone()));
        let pending = frame.header.extra.get("pending").and_then(serde_json::Value::as_u64);
        heard.events.push(Event::State(State::Connected { session_id: id, pending }));
    }

    /// Another session than the one we asked for, or the first: nothing of the old one holds. What
    /// was said before the first stood goes into it.
    fn begin(&mut self, id: &str, frame: &Frame, heard: &mut Heard) {
        let resumed = !self.saved.session_id.is_empty();
        let last_in = frame.control.sequence.unwrap_or(0);
        self.saved = SavedState { session_id: id.to_owned(), last_in, last_out: 1, ttl_s: 0 };
        if !resumed {
            self.go_on_after(self.opened);
            return;
        }
        // A resume had no number of its own, and yet it is the first frame of the new session.
        for (subsession_id, _) in std::mem::take(&mut self.calls) {
            let why = "the session was replaced".to_owned();
            heard.events.push(Event::CallEnded { subsession_id, why });
        }
        self.unacknowledged.clear();
        self.messages.clear();
    }

    /// A process that was killed knows neither which number it gave last nor what it sent with it;
    /// the gateway says what arrived. What was said since goes on from there, under new numbers; so
    /// does what was said before the first session stood.
    fn go_on_after(&mut self, sslr: u64) {
        self.saved.last_out = sslr;
        let mut renamed = BTreeMap::new();
        for (old, text) in std::mem::take(&mut self.unacknowledged) {
            let Ok(Inbound::Frame(mut frame)) = jsonrtc::read(&text) else { continue };
            let own = format!("c{old}");
            if frame.control.correlation_id.as_deref() == Some(&*own) {
                frame.control.correlation_id = None;
                renamed.insert(own, format!("c{}", self.saved.last_out + 1));
            } else if let Some(of) = &mut frame.control.correlation_id
                && let Some(new) = renamed.get(of)
            {
                of.clone_from(new);
            }
            self.number(*frame);
        }
        self.calls.values_mut().for_each(|call| call.rename(&renamed));
    }

    fn on_hibernate(&mut self, frame: &Frame, heard: &mut Heard) {
        if frame.control.kind == FrameType::Error {
            let code = frame.header.error_code.unwrap_or(500);
            let reason = frame.header.reason.clone().unwrap_or_default();
            heard.events.push(Event::HibernateRefused { code, reason });
        } else if frame.control.kind == FrameType::Response {
            // One that asked twice has slept on the first answer, and is back when the second comes.
            if std::mem::take(&mut self.wants_sleep) {
                self.saved.ttl_s = frame.header.ttl.unwrap_or_default();
                heard.close = Some(jsonrtc::close::HIBERNATE);
            }
        } else if frame.control.kind == FrameType::Request {
            heard.say.push(self.answer_hibernate(frame));
        }
    }

    /// The gateway asks us to sleep: not in a call. It says `complete` and closes.
    fn answer_hibernate(&mut self, asked: &Frame) -> String {
        let mut answer = if self.calls.is_empty() {
            let mut granted = Frame::response("register", "hibernate", MessageState::Final);
            granted.header.ttl = self.settings.ttl_s;
            granted
        } else {
            Frame::error("register", "hibernate", 491, "in a call")
        };
        answer.control.correlation_id.clone_from(&asked.control.correlation_id);
        self.number(answer)
    }
}

/// A sleep that we granted did not come about.
fn refused_after_all(complete: &Frame, heard: &mut Heard) {
    if let Some(code) = complete.header.response_code.filter(|code| *code >= 300) {
        let reason = complete.header.reason.clone().unwrap_or_default();
        heard.events.push(Event::HibernateRefused { code, reason });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub(super) fn settings() -> Settings {
        Settings::new("gateway:8080", "app", "bob", "s").with_token("tok", "webhook", "com.example")
    }

    pub(super) fn parse(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    pub(super) fn connected() -> Session {
        let mut session = Session::new(settings(), None);
        session.open();
        session.hear(
            &json!({"control": {"type": "response", "session_id": "S1", "sequence": 1,
                "ack_sequence": 1, "message_state": "final"},
                "header": {"action": "connect", "response_code": 200}})
            .to_string(),
        );
        session
    }

    pub(super) fn start(sequence: u64, id: &str) -> String {
        json!({"control": {"type": "request", "package_type": "call", "session_id": "S1",
            "subsession_id": id, "sequence": sequence, "ack_sequence": 1,
            "correlation_id": format!("s{sequence}")},
            "header": {"action": "start", "initiator": "alice@example.com"},
            "payload": {"sdp": "v=0"}})
        .to_string()
    }

    #[test]
    fn the_first_connect_brings_the_token_and_a_resume_the_window() {
        let mut session = Session::new(settings(), None);
        let connect = parse(&session.open());
        assert_eq!(connect["payload"]["deviceToken"], "tok");
        assert_eq!(connect["control"]["sequence"], 1);
        let mut session = connected();
        session.hear(&start(2, "one"));
        session.ring("one");
        let resume = parse(&session.open());
        assert_eq!(resume["control"]["sequence"], Value::Null);
        let window = ["cslr", "cslw", "csuw"].map(|name| resume["header"][name].as_u64());
        assert_eq!(window, [Some(2), Some(2), Some(2)]);
        assert_eq!(resume["header"]["subsessions"], json!(["one"]));
        assert_eq!(resume["payload"], json!({}));
    }

    #[test]
    fn after_a_resume_only_what_the_gateway_lacks_is_sent_again() {
        let mut session = connected();
        session.hear(&start(2, "one"));
        let ringing = session.ring("one").unwrap();
        let answer = session.answer("one", "v=0").unwrap();
        session.open();
        let resumed = json!({"control": {"type": "response", "session_id": "S1"},
            "header": {"action": "connect", "sslr": 2, "response_code": 200}});
        let heard = session.hear(&resumed.to_string());
        assert_eq!(heard.say, [answer], "and not {ringing}");
    }

    #[test]
    fn a_killed_process_goes_on_from_the_number_that_the_gateway_has() {
        let saved = |last_out| {
            Some(SavedState { session_id: "S1".to_owned(), last_in: 2, last_out, ttl_s: 0 })
        };
        let resumed = json!({"control": {"type": "response", "session_id": "S1"},
            "header": {"action": "connect", "sslr": 4, "response_code": 200}});
        // What it sent last was lost with the gateway, or was sent after the state was stored.
        for last_out in [3, 4, 6] {
            let mut session = Session::new(settings(), saved(last_out));
            session.open();
            let early = parse(&session.hibernate(None));
            let heard = session.hear(&resumed.to_string());
            let again = parse(&heard.say[0]);
            assert_eq!(again["control"]["sequence"], 5, "{last_out}: {early}");
            session.hear(&start(3, "two"));
            let ringing = parse(&session.ring("two").unwrap());
            assert_eq!(ringing["control"]["sequence"], 6, "{last_out}");
        }
    }

    #[test]
    fn what_a_killed_process_says_at_once_is_not_taken_for_what_it_sent_before() {
        let saved = SavedState { session_id: "S1".to_owned(), last_in: 2, last_out: 2, ttl_s: 0 };
        let mut session = Session::new(settings(), Some(saved));
        session.open();
        session.place("two", "alice@example.com", "v=0");
        // It rang with 3 before it was killed.
        let resumed = json!({"control": {"type": "response", "session_id": "S1", "ack_sequence": 3},
            "header": {"action": "connect", "sslr": 3, "response_code": 200}});
        let heard = session.hear(&resumed.to_string());
        let placed = parse(&heard.say[0]);
        let ids = (&placed["control"]["sequence"], &placed["control"]["correlation_id"]);
        assert_eq!(ids, (&json!(4), &json!("c4")));
        assert_eq!(placed["control"]["subsession_id"], "two");
    }

    #[test]
    fn what_is_said_before_the_first_connect_is_answered_goes_into_its_session() {
        let mut session = Session::new(settings(), None);
        session.open();
        session.place("one", "alice@example.com", "v=0");
        session.open();
        let connected = json!({"control": {"type": "response", "session_id": "S1", "sequence": 1,
            "ack_sequence": 3}, "header": {"action": "connect", "response_code": 200}});
        let heard = session.hear(&connected.to_string());
        let placed = parse(&heard.say[0]);
        let ids = (&placed["control"]["sequence"], &placed["control"]["session_id"]);
        assert_eq!(ids, (&json!(4), &json!("S1")));
        assert!(matches!(heard.events[..], [Event::State(_)]), "the call is under way: {heard:?}");
        assert!(session.is_busy());
    }

    #[test]
    fn another_session_id_is_a_fresh_session_that_goes_on_with_number_two() {
        let mut session = connected();
        session.hear(&start(2, "one"));
        session.open();
        let other = json!({"control": {"type": "response", "session_id": "S2", "sequence": 1},
            "header": {"action": "connect", "response_code": 200}});
        let heard = session.hear(&other.to_string());
        assert!(matches!(heard.events[0], Event::CallEnded { .. }));
        assert_eq!(session.saved().session_id, "S2");
        assert_eq!(parse(&session.hibernate(None))["control"]["sequence"], 2);
    }

    #[test]
    fn a_process_that_starts_again_holds_no_call() {
        let mut before = connected();
        before.hear(&start(2, "one"));
        let saved = SavedState::from_json(&before.saved().to_json()).unwrap();
        let mut after = Session::new(settings(), Some(saved));
        let resume = parse(&after.open());
        assert_eq!(resume["header"]["subsessions"], json!([]));
        assert_eq!(resume["header"]["cslr"], 2);
    }

    #[test]
    fn a_granted_sleep_closes_and_a_refused_one_says_why() {
        let mut session = connected();
        session.hibernate(Some(60));
        let granted = json!({"control": {"type": "response", "message_state": "final"},
            "header": {"action": "hibernate", "ttl": 60}});
        assert_eq!(session.hear(&granted.to_string()).close, Some(4001));
        let refused = json!({"control": {"type": "error"},
            "header": {"action": "hibernate", "error_code": 491, "reason": "in a call"}});
        let heard = session.hear(&refused.to_string());
        assert!(matches!(heard.events[0], Event::HibernateRefused { code: 491, .. }));
    }
}
