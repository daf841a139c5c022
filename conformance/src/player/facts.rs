//! What an event means to a script: who saw what of which call. Triggers and expectations read
//! facts, so that both mean the same by `bob.received(c1, 100)`.

use reveille_scenarios::{Sight, What};
use reveille_trace::{Event, Kind};
use serde_json::Value;

use crate::cast::mark;
use crate::cast::scan::{scan, uri};

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The event, by number.
    pub seq: u64,
    /// Microseconds since the start of the run.
    pub t_us: u64,
    /// Who saw it.
    pub actor: String,
    /// What it is.
    pub what: What,
    /// The mark of the call, the token of the push, or nothing.
    pub about: String,
    /// A status, or 0.
    pub number: u16,
    /// The state of an app, or nothing.
    pub text: String,
}

/// What `event` means, if it means anything to a script.
#[must_use]
pub fn fact(event: &Event) -> Option<Fact> {
    let text = |name: &str| event.text(name).unwrap_or_default().to_owned();
    let status = || event.int("status").and_then(|s| u16::try_from(s).ok()).unwrap_or(0);
    let (what, about, number, state) = match event.kind {
        Kind::SipSent | Kind::SipReceived => sip(event)?,
        Kind::RtcReceived => (What::Delivered, delivered(event)?, 0, String::new()),
        Kind::AppAlerted => (What::Alerted, text("call"), 0, String::new()),
        Kind::AppCallEnded => (What::Ended, text("call"), 0, String::new()),
        Kind::AppState => (What::State, String::new(), 0, text("state")),
        Kind::PushReceived => (What::PushSent, text("token"), 0, String::new()),
        Kind::PushAnswered => (What::PushAnswered, text("token"), status(), String::new()),
        Kind::PushDropped => (What::PushDropped, text("token"), 0, String::new()),
        Kind::PushArrived => (What::PushArrived, text("token"), 0, String::new()),
        _ => return None,
    };
    let Event { seq, t_us, ref actor, .. } = *event;
    Some(Fact { seq, t_us, actor: actor.clone(), what, about, number, text: state })
}

/// Callers mark their calls in the From user, which every response repeats.
fn sip(event: &Event) -> Option<(What, String, u16, String)> {
    let message = scan(event.bytes())?;
    let from = uri(message.header("from")?);
    let user = from.split(':').nth(1)?.split('@').next()?.to_owned();
    let sent = event.kind == Kind::SipSent;
    match (sent, message.method(), message.status(), message.cseq_method()?) {
        (true, Some("INVITE"), None, _) => Some((What::Sent, user, 0, String::new())),
        (false, None, Some(status), "INVITE") => {
            Some((What::Received, user, status, String::new()))
        }
        (true, None, Some(status), "REGISTER") => {
            Some((What::Registered, user, status, String::new()))
        }
        _ => None,
    }
}

fn delivered(event: &Event) -> Option<String> {
    let frame: Value = serde_json::from_slice(event.bytes()).ok()?;
    let start = frame["header"]["action"] == "start" && frame["control"]["type"] == "request";
    let initiator = frame["header"]["initiator"].as_str().unwrap_or_default();
    let sdp = frame["payload"]["sdp"].as_str().unwrap_or_default();
    start.then(|| mark(initiator, sdp))
}

impl Fact {
    /// What would describe just this.
    #[must_use]
    pub fn sight(&self) -> Sight {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Sight {
            actor: Some(self.actor.clone()),
            what: self.what,
            about: text(&self.about),
            numbers: (self.number > 0).then_some((self.number, self.number)),
            text: text(&self.text),
        }
    }

    /// True if it is what `sight` describes.
    #[must_use]
    pub fn is(&self, sight: &Sight) -> bool {
        let same = |want: &Option<String>, have: &str| want.as_deref().is_none_or(|w| w == have);
        self.what == sight.what
            && same(&sight.actor, &self.actor)
            && same(&sight.about, &self.about)
            && same(&sight.text, &self.text)
            && sight.numbers.is_none_or(|(low, high)| (low..=high).contains(&self.number))
    }
}

#[cfg(test)]
mod tests {
    use reveille_trace::{Draft, Recorder};

    use super::*;

    #[test]
    fn a_call_is_known_by_its_mark_on_both_sides() {
        let recorder = Recorder::keeping();
        let ringing = "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP a\r\n\
                       From: <sip:c1@example.com>;tag=1\r\nCSeq: 1 INVITE\r\n\r\n";
        recorder.record("alice", 5, Draft::new(Kind::SipReceived).raw(ringing));
        let start = r#"{"control":{"type":"request"},"header":{"action":"start",
            "initiator":"other@example.com"},"payload":{"sdp":"v=0\r\ns=c1\r\n"}}"#;
        recorder.record("bob", 6, Draft::new(Kind::RtcReceived).raw(start));
        let facts: Vec<_> = recorder.events().iter().filter_map(fact).collect();
        let sight = |what, numbers| Sight {
            actor: None,
            what,
            about: Some("c1".to_owned()),
            numbers,
            text: None,
        };
        assert!(facts[0].is(&sight(What::Received, Some((180, 199)))));
        assert!(!facts[0].is(&sight(What::Received, Some((200, 699)))));
        assert!(facts[1].is(&sight(What::Delivered, None)));
    }
}
