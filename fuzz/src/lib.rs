//! What is asked of each parser, whatever it is given: it ends, it does not panic, and what it took it
//! can write so that it reads the same again.

use reveille_gateway_core::record::{CallRecord, SessionRecord};
use reveille_gateway_driver::config::{Secrets, read as read_config};
use reveille_wire::jsonrtc::{self, Inbound};
use reveille_wire::push::WakePayload;
use reveille_wire::sip::{self, Challenge, Contact, Framer, Message, NameAddr, Uri, Via};

/// A parser's name, the function that tries it, and seeds to begin with.
pub type Target = (&'static str, fn(&[u8]), &'static [&'static [u8]]);

/// Every parser.
pub const TARGETS: &[Target] = &[
    ("sip_datagram", sip_datagram, &[INVITE, OK, ROUTED]),
    ("sip_stream", sip_stream, &[INVITE, b"\r\n\r\n", OK]),
    ("sip_values", sip_values, &[
        b"SIP/2.0/UDP h;branch;received=\"a b\"",
        b"\"A\" <sip:a@[2001:db8::1]:5061;lr?x=y>;tag=1",
        b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport",
        b"tel:+1-555-0100;phone-context=+1",
        b"Digest realm=\"r\", nonce=\"n\", qop=\"auth,auth-int\"",
    ]),
    ("jsonrtc_text", jsonrtc_text, &[START, b"ping", b"{\"control\":null}"]),
    ("wake_payload", wake_payload, &[
        b"{\"session_id\":\"s\",\"event\":\"call\",\"call_id\":\"c\",\"ttl_s\":30}",
    ]),
    ("record", record, &[b"{\"version\":2,\"id\":\"s\"}"]),
    ("scenario", scenario, &[
        b"schema = 1\ntitle = \"t\"\n[actors]\nalice = { kind = \"sip-ua\" }\nbob = { kind = \"phone\" }\n\
          [script]\nsteps = [ { sleep = \"bob\" } ]\nexpect = [ { must = \"count(bob.alerted(c1)) == 1\" } ]\n",
    ]),
    ("gateway_config", gateway_config, &[
        b"[node]\ndomains = [\"example.com\"]\n[call]\nwake-budget = \"30s\"\n[[user]]\naor = \"b@c\"\n",
    ]),
    ("trace_file", trace_file, &[b"{}\n{\"seq\":0}\n"]),
    ("http_head", http_head, &[
        b"GET /ws/webrtc/phone HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ]),
];

const INVITE: &[u8] = b"INVITE sip:bob@example.com SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
    Max-Forwards: 70\r\nf: \"A\" <sip:alice@example.com>;tag=a\r\nt: <sip:bob@example.com>\r\ni: c1\r\n\
    CSeq: 1 INVITE\r\nm: <sip:alice@192.0.2.1>\r\nc: application/sdp\r\nl: 5\r\n\r\nv=0\r\n";
const OK: &[u8] =
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
    To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 2 INVITE\r\nContact: *\r\nContent-Length: 0\r\n\r\n";
const ROUTED: &[u8] = b"BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP p;branch=z9hG4bK2,\r\n SIP/2.0/UDP h\r\n\
    Record-Route: <sip:p;lr>, <sip:q>\r\nRoute: <sip:r;lr>\r\nFrom: sip:a@b;tag=1\r\nTo: sip:c@d\r\n\
    Call-ID: x@y\r\nCSeq: 4294967295 BYE\r\nExpires: 99999999999\r\nContent-Length: 0\r\n\r\n";
const START: &[u8] = b"{\"control\":{\"type\":\"request\",\"package_type\":\"call\",\"sequence\":3,\
    \"subsession_id\":\"s\",\"correlation_id\":\"c3\",\"version\":\"1.0\"},\"header\":{\"action\":\"start\",\
    \"target\":\"b@c\"},\"payload\":{\"sdp\":\"v=0\"}}";

/// One SIP message as a datagram.
pub fn sip_datagram(data: &[u8]) {
    let judged = sip::judge_datagram(data);
    drop(judged);
    let Ok(message) = Message::parse(data) else { return };
    let written = message.to_bytes();
    let again = Message::parse(&written).expect("what was read and written reads again");
    assert_eq!(again.to_bytes(), written);
    let _valid = message.validate();
    typed(&message);
    if message.is_request() {
        Message::parse(&message.reply(480, "x", Some("t")).to_bytes())
            .expect("a reply is a message");
    }
}

fn typed(message: &Message) {
    let _all = (message.via(), message.vias(), message.from(), message.to(), message.contacts());
    let _more = (message.routes(), message.record_routes(), message.cseq(), message.call_id());
    let _rest = (message.expires(), message.min_expires(), message.max_forwards());
    let _last = (message.content_length(), message.challenges(), message.credentials());
}

/// SIP messages on a stream, in pieces whose size the input chooses.
pub fn sip_stream(data: &[u8]) {
    let (size, data) = data.split_first().map_or((1, data), |(first, rest)| (*first, rest));
    let mut framer = Framer::new(sip::Bounds::default());
    for piece in data.chunks(usize::from(size).max(1)) {
        framer.push(piece);
        loop {
            match framer.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// The values of SIP headers.
pub fn sip_values(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(uri) = Uri::parse(text) {
        let again = Uri::parse(&uri.to_string()).expect("a URI as written is one");
        assert_eq!(again.to_string(), uri.to_string());
        let _aor = uri.aor();
    }
    if let Ok(name) = NameAddr::parse(text) {
        let written = name.to_string();
        let again = NameAddr::parse(&written).expect("a name-addr as written is one");
        assert_eq!(again.to_string(), written);
    }
    if let Ok(via) = Via::parse(text) {
        let written = via.to_string();
        let again = Via::parse(&written).expect("a Via as written is one");
        assert_eq!(again.to_string(), written);
    }
    let _other = (Contact::parse(text), sip::CSeq::parse(text), sip::Method::parse(text));
    let message = Message::response(401, "x").with("WWW-Authenticate", one_line(text));
    let _challenges: Result<Vec<Challenge>, _> = message.challenges();
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// One text of an app.
pub fn jsonrtc_text(data: &[u8]) {
    let _judged = jsonrtc::judge_text(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(Inbound::Frame(frame)) = jsonrtc::read(text) {
        let written = frame.to_text();
        let Ok(Inbound::Frame(again)) = jsonrtc::read(&written) else {
            panic!("what was read and written reads again: {written}");
        };
        assert_eq!(again.to_text(), written);
    }
}

/// A wake payload, as an app is handed it.
pub fn wake_payload(data: &[u8]) {
    if let Ok(payload) = WakePayload::from_json(data) {
        let _written = payload.to_json();
    }
}

/// Records from a fabric that another hand wrote to.
pub fn record(data: &[u8]) {
    if let Ok(record) = SessionRecord::decode(data) {
        assert_eq!(SessionRecord::decode(&record.encode()).ok(), Some(record));
    }
    if let Ok(record) = CallRecord::decode(data) {
        assert_eq!(CallRecord::decode(&record.encode()).ok(), Some(record));
    }
}

/// A scenario file.
pub fn scenario(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _read = reveille_scenarios::read("fuzz/fuzz", text);
}

/// A gateway's configuration.
pub fn gateway_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = |_: &str| Some("secret".to_owned());
    let file = |_: &str| Ok("secret".to_owned());
    let _read = read_config("fuzz.toml", text, &Secrets { environment: &environment, file: &file });
}

/// A stored trace.
pub fn trace_file(data: &[u8]) {
    let _read = reveille_trace::Trace::read(data);
}

/// The head of an HTTP upgrade.
pub fn http_head(data: &[u8]) {
    if let Some((status, what)) = reveille_gateway_driver::judge_head(data) {
        assert!((400..600).contains(&status) && !what.is_empty());
    }
}
