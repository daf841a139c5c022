//! What one wake costs the core: from the INVITE for a sleeping app to its resume, answer, ACK and
//! BYE, every commit acknowledged at once. No disk, no network: the machines alone.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use reveille_gateway_core::config::{Config, Secret, User};
use reveille_gateway_core::io::{Flow, Input, Output, SocketId, Transport};
use reveille_gateway_core::node::Node;
use reveille_trace::Timestamp;
use reveille_wire::sip::Message;
use serde_json::{Value, json};

/// A node and what it said last.
#[derive(Clone)]
struct Bench {
    node: Node,
    now: Timestamp,
    start: Value,
    to_tag: String,
    session: String,
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.9:5060".to_owned(),
        peer: "192.0.2.1:5060".to_owned(),
        connection: None,
    }
}

impl Bench {
    fn asleep() -> Self {
        let mut config = Config::new("example.com", "192.0.2.9:5060");
        config.users.push(User {
            aor: "bob@example.com".to_owned(),
            username: "bob".to_owned(),
            secret: Secret("s".to_owned()),
        });
        let mut bench = Self {
            node: Node::new(Arc::new(config), [1; 32]),
            now: Timestamp { mono_us: 1, wall_us: 1_900_000_000_000_000 },
            start: Value::Null,
            to_tag: String::new(),
            session: String::new(),
        };
        bench.feed(Input::Started {
            sessions: Vec::new(),
            calls: Vec::new(),
            messages: Vec::new(),
        });
        bench.open(1);
        bench.say(
            1,
            &json!({"control": {"type": "request", "sequence": 1},
            "header": {"action": "connect"}, "payload": {"deviceToken": "t"}}),
        );
        bench.say(
            1,
            &json!({"control": {"type": "request", "sequence": 2},
            "header": {"action": "hibernate", "ttl": 3600}}),
        );
        bench.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
        bench
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.now = self.now.plus_us(100);
        self.node.handle(self.now, input, &mut out);
        for output in out {
            match output {
                Output::Store(commit) => {
                    commit.session.as_str().clone_into(&mut self.session);
                    let token = commit.token;
                    black_box(&commit);
                    self.feed(Input::Stored { session: commit.session, token });
                }
                Output::Sip { bytes, .. } => self.hear(&bytes),
                Output::Text { text, .. } if text.contains("\"start\"") => {
                    self.start = serde_json::from_str(&text).expect("JSON");
                }
                Output::Text { .. }
                | Output::Close { .. }
                | Output::Claim(_)
                | Output::KeepAlive { .. }
                | Output::Notify(_)
                | Output::Trace(_) => {}
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        if self.to_tag.is_empty() {
            let message = Message::parse(bytes).expect("well-formed");
            let tag = message.to().expect("a To").tag().map(ToOwned::to_owned);
            self.to_tag = tag.unwrap_or_default();
        }
    }

    fn open(&mut self, socket: u64) {
        let socket = SocketId(socket);
        self.feed(Input::SocketOpened { socket, user: "bob".to_owned(), app: "app".to_owned() });
    }

    fn say(&mut self, socket: u64, frame: &Value) {
        self.feed(Input::SocketText { socket: SocketId(socket), text: frame.to_string() });
    }

    fn request(&mut self, method: &str, branch: &str, number: u32) {
        let tag = if method == "INVITE" { "" } else { self.to_tag.as_str() };
        let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
        let text = format!(
            "{method} sip:bob@example.com SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@example.com>;tag=f\r\nTo: <sip:bob@example.com>{tag}\r\n\
             Call-ID: c1\r\nCSeq: {number} {method}\r\nContact: <sip:alice@192.0.2.1>\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let message = Message::parse(text.as_bytes()).expect("well-formed");
        self.feed(Input::Sip { flow: flow(), message: Box::new(message) });
    }

    /// The whole call; true if it was answered and is over.
    fn wake(mut self) -> bool {
        self.request("INVITE", "i", 1);
        self.open(2);
        let session = self.session.clone();
        self.say(
            2,
            &json!({"control": {"type": "request", "session_id": session},
            "header": {"action": "connect", "cslr": 2}}),
        );
        let control = self.start["control"].clone();
        self.say(
            2,
            &json!({"control": {"type": "response", "package_type": "call", "sequence": 3,
            "subsession_id": control["subsession_id"], "message_state": "subsequent"},
            "header": {"action": "start"}}),
        );
        self.say(
            2,
            &json!({"control": {"type": "response", "package_type": "call", "sequence": 4,
            "subsession_id": control["subsession_id"], "message_state": "final"},
            "header": {"action": "start"}, "payload": {"sdp": "v=0\r\n"}}),
        );
        self.request("ACK", "a", 1);
        self.request("BYE", "b", 2);
        !self.start.is_null() && !self.to_tag.is_empty()
    }
}

fn bench(c: &mut Criterion) {
    let asleep = Bench::asleep();
    assert!(asleep.clone().wake(), "the benchmark measures a call that is answered");
    c.bench_function("one wake in the core: INVITE, resume, 180, 200, ACK, BYE", |b| {
        b.iter_batched(|| asleep.clone(), |bench| black_box(bench.wake()), BatchSize::SmallInput);
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
