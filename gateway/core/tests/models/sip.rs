//! What the models read of SIP on the wire, and the requests of the callers. Reading is done by eye,
//! so to say, and not by the parser of the gateway.

use std::fmt::{Debug, Formatter};

use reveille_gateway_core::io::{Flow, Transport};
use reveille_wire::sip::Message;

/// The value of the first line that begins with `name` (with its colon and space).
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.split("\r\n").find_map(|line| line.strip_prefix(name));
    line.unwrap_or_default()
}

/// A parameter of a header field.
fn param<'a>(value: &'a str, name: &str) -> &'a str {
    let mut params = value.split(';').skip(1);
    params.find_map(|it| it.strip_prefix(name)).unwrap_or_default()
}

/// A message that the gateway sent.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Zero for a request.
    pub(crate) status: u16,
    /// That of the request, or the one in CSeq of a response.
    pub(crate) method: String,
    pub(crate) call: String,
    pub(crate) branch: String,
    pub(crate) to_tag: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) udp: bool,
}

impl Debug for Heard {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} in {}, tag {}", self.status, self.method, self.call, self.to_tag)
    }
}

impl Heard {
    pub(crate) fn of(bytes: Vec<u8>, flow: &Flow) -> Self {
        let text = std::str::from_utf8(&bytes).expect("the gateway sends text");
        let status = text.strip_prefix("SIP/2.0 ").map_or(0, |rest| {
            rest.get(..3).and_then(|code| code.parse().ok()).expect("a status code")
        });
        let cseq = field(text, "CSeq: ").split(' ').nth(1).unwrap_or_default();
        Self {
            status,
            method: if status == 0 { text.split(' ').next().unwrap_or_default() } else { cseq }
                .to_owned(),
            call: field(text, "Call-ID: ").to_owned(),
            branch: param(field(text, "Via: "), "branch=").to_owned(),
            to_tag: param(field(text, "To: "), "tag=").to_owned(),
            udp: flow.transport == Transport::Udp,
            bytes,
        }
    }
}

pub(crate) fn flow(udp: bool) -> Flow {
    Flow {
        transport: if udp { Transport::Udp } else { Transport::Tcp },
        local: "192.0.2.9:5060".to_owned(),
        peer: "192.0.2.1:5060".to_owned(),
        connection: (!udp).then_some(1),
    }
}

/// A request outside of the gateway's dialogs, or an ACK. `call` names all that differs between two
/// of them: user of From, Call-ID and branch.
pub(crate) fn request(method: &str, call: &str, user: &str, udp: bool, to_tag: &str) -> Message {
    let (via, tag) =
        (if udp { "UDP" } else { "TCP" }, if to_tag.is_empty() { "" } else { ";tag=" });
    // The ACK of a 2xx is a transaction of its own (RFC 3261 13.2.2.4).
    let branch = if method == "ACK2" { "a" } else { "" };
    let method = method.trim_end_matches('2');
    let (kind, body) = match method {
        "INVITE" => (
            "application/sdp",
            format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns={call}\r\nm=audio 1 RTP/AVP 0\r\n"),
        ),
        "MESSAGE" => ("text/plain", format!("hello of {call}")),
        _ => ("", String::new()),
    };
    let kind = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
    let text = format!(
        "{method} sip:{user}@example.com SIP/2.0\r\n\
         Via: SIP/2.0/{via} 192.0.2.1:5060;branch=z9hG4bK{call}{branch}\r\n\
         From: <sip:{call}@example.com>;tag=f\r\nTo: <sip:{user}@example.com>{tag}{to_tag}\r\n\
         Call-ID: {call}\r\nCSeq: 1 {method}\r\nContact: <sip:{call}@192.0.2.1>\r\n\
         Max-Forwards: 70\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Message::parse(text.as_bytes()).expect("well-formed SIP")
}
