//! Bob's app as a caller, at a gateway with a way out.

use reveille_gateway_core::config::{Config, Registrar};
use reveille_gateway_core::io::{Input, SocketId};
use reveille_wire::sip::Message;
use serde_json::{Value, json};

use super::rig::{Rig, config, udp};

pub(crate) const OFFER: &str = "v=0\r\ns=offer\r\n";

/// Bob's app, attached, at a gateway with a way out; the registrar has taken it.
pub(crate) struct Caller {
    pub(crate) rig: Rig,
    pub(crate) session: String,
    pub(crate) sequence: u64,
}

impl Caller {
    pub(crate) fn new() -> Self {
        Self::at(config())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        Self::at(config)
    }

    /// The same at a gateway that is configured so.
    pub(crate) fn at(mut config: Config) -> Self {
        config.registrar =
            Some(Registrar { uri: "sip:example.com".to_owned(), flow: udp(), expires_s: 3_600 });
        let mut rig = Rig::new(config);
        rig.open(1, "bob");
        rig.say(
            1,
            &json!({"control": {"type": "request", "sequence": 1}, "header": {"action": "connect"},
                "payload": {"deviceToken": "tok"}}),
        );
        let register = rig.sip.last().expect("a REGISTER").clone();
        let mut caller = Self { rig, session: String::new(), sequence: 1 };
        let route = ("Service-Route", "<sip:edge.example.com;lr>");
        caller.respond(&register, 200, "", &[("Expires", "3600"), route], "");
        let answer = caller.rig.last_text(1);
        caller.session = answer["control"]["session_id"].as_str().expect("an id").to_owned();
        caller
    }

    pub(crate) fn say(&mut self, kind: &str, action: &str, correlation: &str, rest: &Value) {
        self.sequence += 1;
        let mut frame = json!({"control": {"type": kind, "package_type": "call",
            "sequence": self.sequence, "session_id": self.session, "subsession_id": "sub",
            "correlation_id": correlation}, "header": {"action": action}});
        for (part, members) in rest.as_object().expect("an object") {
            for (name, value) in members.as_object().expect("an object") {
                frame[part][name] = value.clone();
            }
        }
        self.rig.say(1, &frame);
    }

    pub(crate) fn start(&mut self, correlation: &str, target: &str) {
        let rest = json!({"header": {"target": target}, "payload": {"sdp": OFFER}});
        self.say("request", "start", correlation, &rest);
    }

    /// The latest request of this method that the gateway sent.
    pub(crate) fn sent(&self, method: &str) -> Option<Message> {
        let is_it = |m: &&Message| m.method().is_some_and(|m| m.as_str() == method);
        self.rig.sip.iter().rev().find(is_it).cloned()
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        let is_it = |m: &&Message| m.method().is_some_and(|m| m.as_str() == method);
        self.rig.sip.iter().filter(is_it).count()
    }

    pub(crate) fn respond(
        &mut self,
        request: &Message,
        status: u16,
        tag: &str,
        fields: &[(&str, &str)],
        sdp: &str,
    ) {
        let tag = Some(tag).filter(|tag| !tag.is_empty());
        let mut response = request.reply(status, Message::reason_phrase(status), tag);
        for (name, value) in fields {
            response.push(name, value);
        }
        if !sdp.is_empty() {
            response.set_body("application/sdp", sdp.as_bytes());
        }
        self.rig.feed(Input::Sip { flow: udp(), message: Box::new(response) });
    }

    /// Seconds pass, and the app pings.
    pub(crate) fn idle(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.rig.wait_ms(1_000);
            self.rig.feed(Input::SocketText { socket: SocketId(1), text: "ping".to_owned() });
        }
    }

    /// Alice's answer to the INVITE, and the app's `complete`.
    pub(crate) fn up(&mut self) {
        self.start("c2", "alice@example.com");
        let invite = self.sent("INVITE").expect("an INVITE");
        let contact = [("Contact", "<sip:alice@192.0.2.7>"), ("Allow", "INVITE, UPDATE")];
        self.respond(&invite, 200, "a", &contact, "v=0\r\ns=answer\r\n");
        self.say("message", "complete", "c2", &json!({}));
        assert_eq!(self.count("ACK"), 1);
    }

    /// A request of Alice's within the dialog.
    pub(crate) fn alice_asks(&mut self, method: &str, number: u32, sdp: &str) {
        self.alice_asks_with(method, number, "", sdp);
    }

    /// `fields` are whole lines.
    pub(crate) fn alice_asks_with(&mut self, method: &str, number: u32, fields: &str, sdp: &str) {
        let invite = self.sent("INVITE").expect("an INVITE");
        let header = |name| invite.header(name).expect("it is there").to_owned();
        let text = format!(
            "{method} sip:bob@192.0.2.9 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{}{number}\r\n\
             From: <sip:alice@example.com>;tag=a\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {number} {method}\r\nContact: <sip:alice@192.0.2.7>\r\nMax-Forwards: 70\r\n\
             {fields}Content-Length: {}\r\n\r\n{sdp}",
            if method == "CANCEL" { "INVITE" } else { method },
            header("From"),
            header("Call-ID"),
            sdp.len()
        );
        let message = Box::new(Message::parse(text.as_bytes()).expect("well-formed SIP"));
        self.rig.feed(Input::Sip { flow: udp(), message });
    }

    /// Statuses of the gateway's responses to a request of Alice's.
    pub(crate) fn answers(&self, method: &str, number: u32) -> Vec<u16> {
        let cseq = format!("{number} {method}");
        let of = |m: &&Message| m.header("CSeq") == Some(cseq.as_str());
        self.rig.sip.iter().filter(of).filter_map(Message::status).collect()
    }

    /// What the app was told since `from` texts: type, action and code.
    pub(crate) fn told(&self, from: usize) -> Vec<(String, String, Option<u64>)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let code = |frame: &Value| {
            frame["header"]["response_code"].as_u64().or(frame["header"]["error_code"].as_u64())
        };
        let frames = self.rig.texts[from..].iter().map(|(_, frame)| frame);
        let numbered = frames.filter(|frame| !frame["control"]["sequence"].is_null());
        numbered
            .map(|f| (text(&f["control"]["type"]), text(&f["header"]["action"]), code(f)))
            .collect()
    }
}

pub(crate) fn line(kind: &str, action: &str, code: u64) -> (String, String, Option<u64>) {
    (kind.to_owned(), action.to_owned(), (code > 0).then_some(code))
}

/// The app comes back after a crash of the gateway, having taken everything.
pub(crate) fn come_back(caller: &mut Caller) {
    let numbers = caller.rig.texts.iter().filter_map(|(_, t)| t["control"]["sequence"].as_u64());
    let last = numbers.max().unwrap_or(1);
    let session = caller.session.clone();
    caller.rig.resume(1, "bob", &session, &json!({"cslr": last, "subsessions": ["sub"]}));
}
