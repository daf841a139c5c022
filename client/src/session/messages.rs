//! Messages of a session, both ways, and its subscriptions to what waits for its user.

use reveille_wire::jsonrtc::{Frame, FrameType, MessageState};

use super::{Heard, Session};
use crate::state::{Event, IncomingMessage};

const MESSAGING: &str = "messaging";
const NOTIFICATION: &str = "message_notification";

/// A message that came and was not answered: its `send`.
#[derive(Debug, Clone)]
pub(super) struct Unanswered {
    correlation: Option<String>,
    initiator: Option<String>,
    target: Option<String>,
}

impl Session {
    /// Sends a message.
    pub(crate) fn send(&mut self, subsession: &str, target: &str, content: &str) -> String {
        let mut frame = self.to_peer(MESSAGING, "send", subsession, target);
        frame.payload.insert("content".to_owned(), content.into());
        self.number(frame)
    }

    /// Wants to know how many messages wait at `target`.
    pub(crate) fn subscribe(&mut self, subsession: &str, target: &str) -> String {
        let frame = self.to_peer(NOTIFICATION, "start", subsession, target);
        self.number(frame)
    }

    fn to_peer(&self, package: &str, action: &str, subsession: &str, target: &str) -> Frame {
        let mut frame = Frame::request(package, action);
        frame.control.subsession_id = Some(subsession.to_owned());
        frame.header.initiator = Some(self.settings.user.clone());
        frame.header.target = Some(target.to_owned());
        frame
    }

    /// Accepts a message with 200, or refuses it.
    pub(crate) fn answer_message(&mut self, subsession: &str, code: u16) -> Option<String> {
        let asked = self.messages.remove(subsession)?;
        let mut frame = match code {
            200 => Frame::response(MESSAGING, "send", MessageState::Final),
            _ => Frame::error(MESSAGING, "send", code, "refused"),
        };
        frame.control.subsession_id = Some(subsession.to_owned());
        frame.control.correlation_id = asked.correlation;
        frame.header.initiator = asked.initiator;
        frame.header.target = asked.target;
        frame.header.response_code = (code == 200).then_some(200);
        Some(self.number(frame))
    }

    /// A frame of the package `messaging`.
    pub(super) fn on_messaging(&mut self, frame: &Frame, heard: &mut Heard) {
        let Some(subsession_id) = frame.control.subsession_id.clone() else { return };
        if frame.control.kind != FrameType::Request {
            let code = frame.header.error_code.or(frame.header.response_code).unwrap_or(200);
            heard.events.push(Event::MessageAnswered { subsession_id, code });
            return;
        }
        let asked = Unanswered {
            correlation: frame.control.correlation_id.clone(),
            initiator: frame.header.initiator.clone(),
            target: frame.header.target.clone(),
        };
        self.messages.insert(subsession_id.clone(), asked);
        let text = |value: Option<&serde_json::Value>| value?.as_str().map(ToOwned::to_owned);
        heard.events.push(Event::Message(IncomingMessage {
            subsession_id,
            initiator: frame.header.initiator.clone().unwrap_or_default(),
            content_type: text(frame.header.extra.get("content_type")),
            content: text(frame.payload.get("content")).unwrap_or_default(),
        }));
    }

    /// A frame of the package `message_notification`.
    pub(super) fn on_notification(&self, action: &str, frame: &Frame, heard: &mut Heard) {
        let Some(subsession_id) = frame.control.subsession_id.clone() else { return };
        let text = |name: &str| frame.payload.get(name).and_then(serde_json::Value::as_str);
        heard.events.push(match (action, frame.control.kind) {
            ("start", FrameType::Response) => Event::Subscribed { subsession_id },
            ("notify", _) => Event::MessagesWaiting {
                subsession_id,
                waiting: text("messages_waiting") == Some("yes"),
                voice: text("voice_message").map(ToOwned::to_owned),
            },
            _ => Event::SubscriptionEnded { subsession_id },
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{connected, parse};
    use super::*;

    #[test]
    fn a_message_is_told_and_answered_under_its_correlation() {
        let mut session = connected();
        let send = json!({"control": {"type": "request", "package_type": "messaging",
            "session_id": "S1", "subsession_id": "m", "sequence": 2, "correlation_id": "s2"},
            "header": {"action": "send", "initiator": "alice@example.com",
                "content_type": "text/plain"}, "payload": {"content": "hello"}});
        let heard = session.hear(&send.to_string());
        let [Event::Message(message)] = &heard.events[..] else { panic!("{heard:?}") };
        assert_eq!((&*message.initiator, &*message.content), ("alice@example.com", "hello"));
        let answer = parse(&session.answer_message("m", 200).expect("it came"));
        assert_eq!(answer["control"]["correlation_id"], "s2");
        assert_eq!(answer["control"]["message_state"], "final");
        assert_eq!(answer["header"]["response_code"], 200);
        assert_eq!(session.answer_message("m", 603), None, "once");
    }

    #[test]
    fn what_is_sent_and_subscribed_to_hears_of_it() {
        let mut session = connected();
        let sent = parse(&session.send("m", "alice@example.com", "hello"));
        assert_eq!(sent["control"]["package_type"], "messaging");
        assert_eq!(sent["payload"]["content"], "hello");
        let refused = json!({"control": {"type": "error", "package_type": "messaging",
            "subsession_id": "m", "sequence": 2, "correlation_id": "c2"},
            "header": {"action": "send", "error_code": 404}});
        let answered = Event::MessageAnswered { subsession_id: "m".to_owned(), code: 404 };
        assert_eq!(session.hear(&refused.to_string()).events, [answered]);
        let asked = parse(&session.subscribe("s", "alice@example.com"));
        assert_eq!(asked["header"]["action"], "start");
        let notify = json!({"control": {"type": "message", "package_type": "message_notification",
            "subsession_id": "s", "sequence": 3}, "header": {"action": "notify"},
            "payload": {"messages_waiting": "yes", "voice_message": "2/0(0/0)"}});
        let (subsession_id, voice) = ("s".to_owned(), Some("2/0(0/0)".to_owned()));
        let waiting = Event::MessagesWaiting { subsession_id, waiting: true, voice };
        assert_eq!(session.hear(&notify.to_string()).events, [waiting]);
    }
}
