//! The two ends of the call, as small as they can be while still being peers of the protocol.

use reveille_wire::sip::Message;
use serde_json::{Value, json};

pub(crate) const ANSWER: &str =
    "v=0\r\no=bob 1 1 IN IP4 192.0.2.2\r\ns=-\r\nm=audio 2 RTP/AVP 0\r\n";

/// A caller over UDP: sends its INVITE until something comes back, acknowledges finals.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    pub(crate) heard: Vec<u16>,
    pub(crate) finals: Vec<u16>,
    pub(crate) tags: Vec<String>,
    pub(crate) cancelled: bool,
    pub(crate) cancel_answered: bool,
}

fn request(method: &str, branch: &str, cseq: &str, to_tag: &str, body: &str) -> Vec<u8> {
    let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    format!(
        "{method} sip:bob@example.com SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a\r\n\
         To: <sip:bob@example.com>{to_tag}\r\nCall-ID: c1\r\nCSeq: {cseq}\r\n\
         Contact: <sip:alice@192.0.2.1:5060>\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Caller {
    pub(crate) fn invite() -> Vec<u8> {
        let offer = "v=0\r\no=alice 1 1 IN IP4 192.0.2.1\r\ns=c1\r\nm=audio 1 RTP/AVP 0\r\n";
        request("INVITE", "invite", "1 INVITE", "", offer)
    }

    pub(crate) fn cancel() -> Vec<u8> {
        request("CANCEL", "invite", "1 CANCEL", "", "")
    }

    /// Takes a response; returns what the caller sends for it.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let message = Message::parse(bytes).expect("the gateway sends well-formed SIP");
        let status = message.status().expect("towards this caller only responses go");
        let method = message.cseq().expect("a CSeq").method.as_str().to_owned();
        if method == "CANCEL" {
            self.cancel_answered = true;
            return None;
        }
        let tag = message.to().expect("a To").tag().unwrap_or_default().to_owned();
        if status > 100 && !self.tags.contains(&tag) {
            self.tags.push(tag.clone());
        }
        self.heard.push(status);
        if status < 200 {
            return None;
        }
        if !self.finals.contains(&status) {
            self.finals.push(status);
        }
        let branch = if status < 300 { "ack" } else { "invite" };
        Some(request("ACK", branch, "1 ACK", &tag, ""))
    }
}

/// A phone with an app that keeps counters as the SDK does and says what it still holds.
#[derive(Debug, Clone)]
pub(crate) struct Phone {
    pub(crate) session: String,
    pub(crate) last_in: u64,
    pub(crate) last_out: u64,
    pub(crate) unacknowledged: Vec<(u64, String)>,
    /// Every `start` seen: number and subsession.
    pub(crate) starts: Vec<(u64, String)>,
    pub(crate) rings: Vec<String>,
    pub(crate) ended: Vec<String>,
    pub(crate) completed: u32,
    /// Every number of the gateway's stream with its text, to find a number given twice.
    pub(crate) seen: Vec<(u64, String)>,
    pub(crate) complaint: Option<String>,
    synchronised: bool,
}

impl Phone {
    pub(crate) fn new(session: &str, last_in: u64, last_out: u64) -> Self {
        Self {
            session: session.to_owned(),
            last_in,
            last_out,
            unacknowledged: Vec::new(),
            starts: Vec::new(),
            rings: Vec::new(),
            ended: Vec::new(),
            completed: 0,
            seen: Vec::new(),
            complaint: None,
            synchronised: false,
        }
    }

    pub(crate) fn resume(&mut self) -> String {
        self.synchronised = false;
        let held: Vec<_> = self.rings.iter().filter(|id| !self.ended.contains(id)).collect();
        json!({
            "control": {"type": "request", "package_type": "register",
                "session_id": self.session, "version": "1.0"},
            "header": {"action": "connect", "initiator": "bob@example.com",
                "target": "bob@example.com", "cslr": self.last_in, "subsessions": held},
        })
        .to_string()
    }

    fn say(&mut self, mut frame: Value) -> String {
        self.last_out += 1;
        frame["control"]["sequence"] = self.last_out.into();
        frame["control"]["session_id"] = self.session.clone().into();
        frame["control"]["ack_sequence"] = self.last_in.into();
        let text = frame.to_string();
        self.unacknowledged.push((self.last_out, text.clone()));
        text
    }

    /// Takes a text; returns what the app sends for it.
    pub(crate) fn hear(&mut self, text: &str) -> Vec<String> {
        if text == "pong" {
            return Vec::new();
        }
        let frame: Value = serde_json::from_str(text).expect("the gateway sends JSON");
        let control = &frame["control"];
        if let Some(ack) = control["ack_sequence"].as_u64() {
            self.unacknowledged.retain(|(sequence, _)| *sequence > ack);
        }
        if let Some(sslr) = frame["header"]["sslr"].as_u64() {
            self.unacknowledged.retain(|(sequence, _)| *sequence > sslr);
            self.synchronised = true;
            return self.unacknowledged.iter().map(|(_, text)| text.clone()).collect();
        }
        if let Some(sequence) = control["sequence"].as_u64() {
            let other = self.seen.iter().find(|(n, t)| *n == sequence && t != text);
            if let Some((_, other)) = other {
                self.complaint = Some(format!("number {sequence} twice:\n  {other}\n  {text}"));
            }
            if sequence > self.last_in + 1 {
                self.complaint = Some(format!("number {sequence} after {}", self.last_in));
            }
            self.seen.push((sequence, text.to_owned()));
            self.last_in = sequence;
        }
        let subsession = control["subsession_id"].as_str().unwrap_or_default().to_owned();
        match (control["type"].as_str(), frame["header"]["action"].as_str()) {
            (Some("request"), Some("start")) => self.on_start(&frame, &subsession),
            (Some("message"), Some("shutdown")) => {
                self.ended.push(subsession);
                Vec::new()
            }
            (Some("message"), Some("complete")) => {
                self.completed += 1;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn on_start(&mut self, frame: &Value, subsession: &str) -> Vec<String> {
        let sequence = frame["control"]["sequence"].as_u64().unwrap_or_default();
        self.starts.push((sequence, subsession.to_owned()));
        self.rings.push(subsession.to_owned());
        let answer = |state: &str, payload: Value| {
            json!({
                "control": {"type": "response", "package_type": "call",
                    "subsession_id": subsession, "message_state": state, "version": "1.0",
                    "correlation_id": frame["control"]["correlation_id"]},
                "header": {"action": "start"}, "payload": payload,
            })
        };
        let ringing = answer("subsequent", json!({}));
        let answered = answer("final", json!({"sdp": ANSWER}));
        vec![self.say(ringing), self.say(answered)]
    }
}
