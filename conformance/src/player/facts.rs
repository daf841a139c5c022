//! What an event means to a script: who saw what of which call. Triggers and expectations read
//! facts, so that both mean the same by `bob.received(c1, 100)`.

use std::collections::BTreeMap;

use reveille_scenarios::{Sight, What};
use reveille_trace::{Event, Kind};
use serde_json::Value;

use super::beside;
use crate::cast::mark;
use crate::cast::scan::{param, scan, uri};

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

/// A call as one actor knows it.
#[derive(Debug, Clone, Default)]
struct Known {
    mark: String,
    is_placed: bool,
    /// What names the transaction that began it: a CSeq, or a correlation id.
    begun: String,
    /// The last renegotiation that was asked of it.
    asked: String,
    answered: bool,
    confirmed: bool,
    ended: bool,
}

/// Reads events in their order, and knows each call again.
#[derive(Debug, Clone, Default)]
pub struct Facts(BTreeMap<(String, String), Known>, beside::Marks);

impl Facts {
    /// What `event` means, if it means anything to a script.
    pub fn read(&mut self, event: &Event) -> Option<Fact> {
        let text = |name: &str| event.text(name).unwrap_or_default().to_owned();
        let status = || event.int("status").and_then(|s| u16::try_from(s).ok()).unwrap_or(0);
        let (what, about, number, state) = match event.kind {
            Kind::SipSent | Kind::SipReceived => with_number(self.sip(event)?),
            Kind::RtcSent | Kind::RtcReceived => with_number(self.rtc(event)?),
            Kind::AppAlerted => (What::Alerted, text("call"), 0, String::new()),
            Kind::AppCallEnded => (What::Ended, text("call"), 0, String::new()),
            Kind::AppState => (What::State, String::new(), 0, text("state")),
            Kind::PushReceived => (What::PushSent, text("token"), 0, String::new()),
            Kind::PushAnswered => (What::PushAnswered, text("token"), status(), String::new()),
            Kind::PushDropped => (What::PushDropped, text("token"), 0, String::new()),
            Kind::PushArrived => (What::PushArrived, text("token"), 0, String::new()),
            Kind::PushHeld => (What::PushHeld, text("token"), 0, String::new()),
            _ => return None,
        };
        let Event { seq, t_us, ref actor, .. } = *event;
        Some(Fact { seq, t_us, actor: actor.clone(), what, about, number, text: state })
    }

    /// All that these events mean.
    #[must_use]
    pub fn of(events: &[Event]) -> Vec<Fact> {
        let mut facts = Self::default();
        events.iter().filter_map(|event| facts.read(event)).collect()
    }

    /// A call is known by its Call-ID; its mark stands in the From user of who placed it here, else in
    /// the SDP.
    fn sip(&mut self, event: &Event) -> Option<(What, String, u16)> {
        let message = scan(event.bytes())?;
        let sent = event.kind == Kind::SipSent;
        let from = uri(message.header("from")?);
        let user = from.split(':').nth(1)?.split('@').next()?.to_owned();
        let method = message.cseq_method()?;
        if let (true, Some(status), "REGISTER") = (sent, message.status(), method) {
            return Some((What::Registered, user, status));
        }
        if matches!(method, "MESSAGE" | "SUBSCRIBE" | "NOTIFY") {
            return self.1.sip(event, &message);
        }
        let number = message.cseq_number()?.to_string();
        let within = message.header("to").is_some_and(|to| param(to, "tag").is_some());
        let key = (event.actor.clone(), message.call_id().to_owned());
        let begins = message.method() == Some("INVITE") && !within;
        if begins && sent {
            let known = Known { mark: user, is_placed: true, begun: number, ..Known::default() };
            let mark = known.mark.clone();
            self.0.entry(key).or_insert(known);
            return Some((What::Sent, mark, 0));
        } else if begins {
            let mark = mark(from, &String::from_utf8_lossy(&message.body));
            let fresh = !self.0.contains_key(&key);
            let known = Known { mark: mark.clone(), begun: number, ..Known::default() };
            self.0.entry(key).or_insert(known);
            return fresh.then_some((What::Alerted, mark, 0));
        }
        let known = self.0.entry(key).or_insert_with(|| {
            // A trace that begins in the midst of a call.
            let (mark, begun) = (user, number.clone());
            Known { mark, is_placed: true, begun, ..Known::default() }
        });
        let told = known.told(sent, message.method(), message.status(), method, &number)?;
        Some((told.0, known.mark.clone(), told.1))
    }

    /// A call is known by its subsession, and its mark stands in the first offer.
    fn rtc(&mut self, event: &Event) -> Option<(What, String, u16)> {
        let frame: Value = serde_json::from_slice(event.bytes()).ok()?;
        let text = |part: &str, name: &str| frame[part][name].as_str().unwrap_or_default();
        let sent = event.kind == Kind::RtcSent;
        let key = (event.actor.clone(), text("control", "subsession_id").to_owned());
        if text("control", "package_type").starts_with("messag") {
            return self.1.rtc(event, &frame);
        }
        let of = text("control", "correlation_id").to_owned();
        let (action, kind) = (text("header", "action"), text("control", "type"));
        if action == "start" && kind == "request" {
            let sdp = frame["payload"]["sdp"].as_str().unwrap_or_default();
            let mark = mark(text("header", "initiator"), sdp);
            let fresh = Known { mark, is_placed: sent, begun: of.clone(), ..Known::default() };
            let known = self.0.entry(key).or_insert(fresh);
            let mark = known.mark.clone();
            return match (sent, known.begun == of) {
                (true, true) => Some((What::Sent, mark, 0)),
                (false, true) => Some((What::Delivered, mark, 0)),
                (true, false) => None,
                (false, false) => Some((What::Renegotiated, mark, 0)),
            };
        }
        let known = self.0.get_mut(&key)?;
        let code = |name: &str| frame["header"][name].as_u64();
        let code = code("error_code").or_else(|| code("response_code"));
        let code = code.and_then(|code| u16::try_from(code).ok());
        let begun = known.begun == of;
        let what = match (action, kind) {
            ("start", "response" | "error") if !sent => match (known.is_placed, begun) {
                (true, true) => What::Received,
                (false, true) => return None,
                (_, false) => What::Changed,
            },
            ("complete", _) if begun && !std::mem::replace(&mut known.confirmed, true) => {
                What::Confirmed
            }
            ("shutdown", _) if !sent && text("header", "initiator") == WITHDRAWN => What::Withdrawn,
            _ => return None,
        };
        Some((what, known.mark.clone(), code.unwrap_or(0)))
    }
}

/// What an app reads as initiator when a change is taken back.
const WITHDRAWN: &str = "##re-invite_cancel@server##";

fn with_number((what, about, number): (What, String, u16)) -> (What, String, u16, String) {
    (what, about, number, String::new())
}

impl Known {
    /// What a message within the call means: the word, and the status.
    fn told(
        &mut self,
        sent: bool,
        asked: Option<&str>,
        status: Option<u16>,
        method: &str,
        number: &str,
    ) -> Option<(What, u16)> {
        let begun = self.begun == number;
        match (sent, asked, status, method) {
            (false, None, Some(status), "INVITE") if begun && self.is_placed => {
                self.answered |= (200..300).contains(&status);
                Some((What::Received, status))
            }
            (false, None, Some(status), "INVITE" | "UPDATE") => Some((What::Changed, status)),
            (true, None, Some(200..=299), "INVITE") if begun => {
                self.answered = true;
                None
            }
            (_, Some("ACK"), ..) => {
                let is_it = begun && self.answered && sent == self.is_placed;
                let first = is_it && !std::mem::replace(&mut self.confirmed, true);
                first.then_some((What::Confirmed, 0))
            }
            (false, Some("INVITE" | "UPDATE"), ..) => {
                let first = self.asked != number;
                number.clone_into(&mut self.asked);
                first.then_some((What::Renegotiated, 0))
            }
            (false, Some("CANCEL"), ..) if !begun => None,
            (false, Some("BYE" | "CANCEL"), ..) => {
                let first = !std::mem::replace(&mut self.ended, true);
                first.then_some((What::Ended, 0))
            }
            _ => None,
        }
    }
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
        let facts = Facts::of(&recorder.events());
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

    fn words(events: &[(&str, Kind, &str)]) -> Vec<String> {
        let recorder = Recorder::keeping();
        for (actor, kind, raw) in events {
            recorder.record(actor, 1, Draft::new(*kind).raw(raw.replace('|', "\r\n")));
        }
        Facts::of(&recorder.events()).iter().map(|fact| fact.sight().to_string()).collect()
    }

    #[test]
    fn a_placed_call_keeps_its_mark_whatever_is_said_of_it() {
        let frame = |kind: &str, action: &str, of: &str, more: &str| {
            format!(
                r#"{{"control":{{"type":"{kind}","subsession_id":"x","correlation_id":"{of}"}},
                "header":{{"action":"{action}"{more}}},"payload":{{"sdp":"v=0\r\ns=c1\r\n"}}}}"#
            )
        };
        let (sent, got) = (Kind::RtcSent, Kind::RtcReceived);
        let rows = [
            (sent, frame("request", "start", "c2", "")),
            (got, frame("response", "start", "c2", r#","response_code":180"#)),
            (got, frame("response", "start", "c2", r#","response_code":200"#)),
            (sent, frame("message", "complete", "c2", "")),
            (got, frame("request", "start", "s5", "")),
            (sent, frame("request", "start", "c4", "")),
            (got, frame("error", "start", "c4", r#","error_code":491"#)),
            (got, frame("message", "shutdown", "s5", &format!(r#","initiator":"{WITHDRAWN}""#))),
        ];
        let events: Vec<_> = rows.iter().map(|(kind, raw)| ("bob", *kind, raw.as_str())).collect();
        assert_eq!(
            words(&events),
            [
                "bob.sent(c1)",
                "bob.received(c1, 180)",
                "bob.received(c1, 200)",
                "bob.confirmed(c1)",
                "bob.renegotiated(c1)",
                "bob.changed(c1, 491)",
                "bob.withdrawn(c1)",
            ]
        );
    }

    #[test]
    fn a_message_is_known_on_both_sides_and_a_repetition_is_none() {
        let message = "MESSAGE sip:bob@b SIP/2.0|Via: SIP/2.0/UDP a;branch=z9hG4bK1|\
                       From: <sip:m1@a>;tag=1|Call-ID: x|CSeq: 1 MESSAGE||m1";
        let stored = "SIP/2.0 202 Accepted|From: <sip:m1@a>;tag=1|Call-ID: x|CSeq: 1 MESSAGE||";
        let send = |sequence: u64| {
            format!(
                r#"{{"control":{{"type":"request","package_type":"messaging","subsession_id":"x",
                "sequence":{sequence}}},"header":{{"action":"send","initiator":"m1@a"}},
                "payload":{{"content":"<xml/>"}}}}"#
            )
        };
        let (three, four) = (send(3), send(4));
        let (sent, got) = (Kind::SipSent, Kind::SipReceived);
        assert_eq!(
            words(&[
                ("alice", sent, message),
                ("carol", got, message),
                ("carol", got, message),
                ("alice", got, stored),
                ("bob", Kind::RtcReceived, &three),
                ("bob", Kind::RtcReceived, &three),
                ("bob", Kind::RtcReceived, &four),
            ]),
            [
                "alice.sent(m1)",
                "carol.delivered(m1)",
                "alice.received(m1, 202)",
                "bob.delivered(m1)",
                "bob.delivered(m1)",
            ]
        );
    }

    #[test]
    fn a_subscription_is_known_by_its_peer() {
        let subscribe = |to: &str| {
            format!(
                "SUBSCRIBE sip:alice@a SIP/2.0|Via: SIP/2.0/UDP a;branch=z9hG4bK{to}|\
                 From: <sip:bob@b>;tag=1|To: <sip:alice@a>{to}|Call-ID: x|CSeq: 1 SUBSCRIBE||"
            )
        };
        let (fresh, refresh) = (subscribe(""), subscribe(";tag=2"));
        let frame = |kind: &str, action: &str, header: &str| {
            format!(
                r#"{{"control":{{"type":"{kind}","package_type":"message_notification",
                "subsession_id":"s","sequence":4}},"header":{{"action":"{action}",{header}}},
                "payload":{{"voice_message":"3/0(0/0)"}}}}"#
            )
        };
        let start = frame("request", "start", r#""target":"alice@a""#);
        let stands = frame("response", "start", r#""response_code":200"#);
        let notify = frame("message", "notify", r#""initiator":"sip:alice@a""#);
        let (told, said) = (Kind::RtcReceived, Kind::RtcSent);
        let events = [
            ("bob", said, &start),
            ("alice", Kind::SipReceived, &fresh),
            ("alice", Kind::SipReceived, &refresh),
            ("bob", told, &stands),
            ("bob", told, &notify),
            ("bob", told, &notify),
        ];
        let events: Vec<_> =
            events.iter().map(|(actor, kind, raw)| (*actor, *kind, raw.as_str())).collect();
        assert_eq!(
            words(&events),
            ["alice.subscribed(bob)", "bob.subscribed(alice)", "bob.notified(alice, 3)"]
        );
    }

    #[test]
    fn a_called_user_agent_alerts_once_and_knows_a_change_from_the_call() {
        let (sent, got) = (Kind::SipSent, Kind::SipReceived);
        let head = "From: <sip:bob@b>;tag=1|Call-ID: x|";
        let own = "From: <sip:alice@a>;tag=2|To: <sip:bob@b>;tag=1|Call-ID: x|";
        let invite = format!("INVITE sip:a@a SIP/2.0|{head}To: <sip:a@a>|CSeq: 1 INVITE||s=c1|");
        let taken = format!("SIP/2.0 200 OK|{head}To: <sip:a@a>;tag=2|CSeq: 1 INVITE||");
        let ack = format!("ACK sip:a@a SIP/2.0|{head}To: <sip:a@a>;tag=2|CSeq: 1 ACK||");
        let again = format!("INVITE sip:b@b SIP/2.0|{own}CSeq: 1 INVITE||");
        let glare = format!("SIP/2.0 491 Glare|{own}CSeq: 1 INVITE||");
        let asks = format!("INVITE sip:a@a SIP/2.0|{head}To: <sip:a@a>;tag=2|CSeq: 2 INVITE||");
        let bye = format!("BYE sip:a@a SIP/2.0|{head}To: <sip:a@a>;tag=2|CSeq: 3 BYE||");
        let said = [
            (got, &invite),
            (got, &invite),
            (sent, &taken),
            (got, &ack),
            (got, &ack),
            (sent, &again),
            (got, &glare),
            (got, &asks),
            (got, &bye),
            (got, &bye),
        ];
        let events: Vec<_> =
            said.iter().map(|(kind, raw)| ("alice", *kind, raw.as_str())).collect();
        assert_eq!(
            words(&events),
            [
                "alice.alerted(c1)",
                "alice.confirmed(c1)",
                "alice.changed(c1, 491)",
                "alice.renegotiated(c1)",
                "alice.ended(c1)",
            ]
        );
    }
}
