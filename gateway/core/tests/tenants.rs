//! Those who share a node: their limits, and that none is served with what another has.

use std::collections::BTreeSet;
use std::sync::Arc;

use reveille_gateway_core::config::{Config, Secret, User};
use reveille_gateway_core::io::{Flow, Input, Output, SocketId, Transport};
use reveille_gateway_core::node::Node;
use reveille_gateway_core::tenancy::{Limits, Share};
use reveille_trace::Timestamp;
use reveille_wire::sip::Message;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp { mono_us: 1, wall_us: 1_900_000_000_000_000 };

/// Two applications of tenant `acme`, one of `other`.
fn config() -> Config {
    let mut config = Config::new("example.com", "192.0.2.9:5060");
    for name in ["bob", "eve"] {
        let (aor, secret) = (format!("{name}@example.com"), Secret("sesame".to_owned()));
        config.users.push(User { aor, username: name.to_owned(), secret });
    }
    for (app, tenant) in [("phone", "acme"), ("pad", "acme"), ("rival", "other")] {
        let ids = BTreeSet::from([format!("com.example.{app}")]);
        let share = Share { tenant: Some(tenant.to_owned()), ids, ..Share::default() };
        config.tenancy.apps.insert(app.to_owned(), share);
        config.tenancy.tenants.insert(tenant.to_owned(), Limits::default());
    }
    config
}

struct Rig(Node);

impl Rig {
    fn new(config: Config) -> Self {
        let mut rig = Self(Node::new(Arc::new(config), [7; 32]));
        rig.feed(Input::Started { sessions: Vec::new(), calls: Vec::new(), messages: Vec::new() });
        rig
    }

    /// Feeds an input and acknowledges every commit; everything that came out.
    fn feed(&mut self, input: Input) -> Vec<Output> {
        let (mut inputs, mut kept) = (vec![input], Vec::new());
        while let Some(input) = inputs.pop() {
            let mut out = Vec::new();
            self.0.handle(NOW, input, &mut out);
            for output in out {
                if let Output::Store(commit) = &output {
                    let (session, token) = (commit.session.clone(), commit.token);
                    inputs.insert(0, Input::Stored { session, token });
                }
                kept.push(output);
            }
        }
        kept
    }

    fn say(&mut self, socket: u64, frame: &Value) -> Value {
        let socket = SocketId(socket);
        let out = self.feed(Input::SocketText { socket, text: frame.to_string() });
        let texts = out.iter().filter_map(|output| match output {
            Output::Text { text, .. } => serde_json::from_str::<Value>(text).ok(),
            _ => None,
        });
        texts.into_iter().next().expect("an answer")
    }

    fn open(&mut self, socket: u64, user: &str, app: &str) {
        let (user, app) = (user.to_owned(), app.to_owned());
        self.feed(Input::SocketOpened { socket: SocketId(socket), user, app });
    }

    /// The answer to a connect from a device that calls itself of this id.
    fn connect(&mut self, socket: u64, user: &str, app: &str, id: &str) -> Value {
        self.open(socket, user, app);
        self.say(
            socket,
            &json!({"control": {"type": "request", "sequence": 1}, "header": {"action": "connect"},
                "payload": {"deviceToken": format!("tok-{socket}"), "capability": {"app_id": id}}}),
        )
    }

    fn hibernate(&mut self, socket: u64) -> Value {
        self.say(
            socket,
            &json!({"control": {"type": "request", "sequence": 2, "correlation_id": "c2"},
                "header": {"action": "hibernate", "ttl": 3600}}),
        )
    }

    /// The application that a call for bob makes the push service hear of.
    fn pushed_as(&mut self) -> Option<String> {
        let text = "INVITE sip:bob@example.com SIP/2.0\r\n\
            Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\nMax-Forwards: 70\r\n\
            From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: a\r\n\
            CSeq: 1 INVITE\r\nContact: <sip:alice@192.0.2.1>\r\nContent-Length: 0\r\n\r\n";
        let message = Box::new(Message::parse(text.as_bytes()).expect("sound"));
        let (local, peer) = (String::new(), "192.0.2.1:5060".to_owned());
        let flow = Flow { transport: Transport::Udp, local, peer, connection: None };
        self.feed(Input::Sip { flow, message }).into_iter().find_map(|output| match output {
            Output::Notify(request) => Some(request.application),
            _ => None,
        })
    }
}

fn code(answer: &Value) -> (u64, &str) {
    let header = &answer["header"];
    let code = header["error_code"].as_u64().or(header["response_code"].as_u64());
    (code.expect("a code"), header["reason"].as_str().unwrap_or_default())
}

#[test]
fn sessions_are_refused_beyond_the_limit_of_whoever_has_one() {
    let mut config = config();
    config.tenancy.apps.get_mut("phone").expect("there").limits.sessions = Some(1);
    config.tenancy.tenants.get_mut("acme").expect("there").sessions = Some(2);
    config.tenancy.limits.sessions = Some(3);
    let mut rig = Rig::new(config);
    assert_eq!(code(&rig.connect(1, "bob", "phone", "x")).0, 200);
    let refused = rig.connect(2, "bob", "phone", "x");
    let of = |holder| format!("no room: {holder} has as many sessions as its limits allow");
    assert_eq!(code(&refused), (480, &*of("application phone")), "{refused}");
    assert_eq!(code(&rig.connect(3, "bob", "pad", "x")).0, 200);
    assert_eq!(code(&rig.connect(4, "bob", "pad", "x")), (480, &*of("tenant acme")));
    assert_eq!(code(&rig.connect(5, "eve", "rival", "x")).0, 200, "another tenant has room");
    assert_eq!(code(&rig.connect(6, "eve", "rival", "x")), (480, &*of("this node")));
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(1000) });
    assert_eq!(code(&rig.connect(7, "bob", "phone", "x")).0, 200, "a session has gone");
}

#[test]
fn sleep_is_refused_beyond_the_limit_and_granted_when_a_sleeper_is_awake() {
    let mut config = config();
    config.tenancy.tenants.get_mut("acme").expect("there").sleepers = Some(1);
    let mut rig = Rig::new(config);
    let first = rig.connect(1, "bob", "phone", "x");
    rig.connect(2, "eve", "pad", "x");
    assert_eq!(code(&rig.hibernate(1)).0, 200);
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
    let refused = rig.hibernate(2);
    let reason = "no room: as many sessions of tenant acme sleep as its limits allow";
    assert_eq!(code(&refused), (480, reason), "{refused}");
    rig.open(3, "bob", "phone");
    let session = first["control"]["session_id"].clone();
    let resumed = json!({"control": {"type": "request", "session_id": session},
        "header": {"action": "connect", "cslr": 2, "subsessions": []}});
    assert_eq!(code(&rig.say(3, &resumed)).0, 200);
    let again = json!({"control": {"type": "request", "sequence": 3, "correlation_id": "c3"},
        "header": {"action": "hibernate", "ttl": 3600}});
    assert_eq!(code(&rig.say(2, &again)).0, 200, "bob is awake");
}

#[test]
fn a_session_is_resumed_by_an_application_of_its_tenant_only() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "phone", "x")["control"]["session_id"].clone();
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: None });
    let resume = json!({"control": {"type": "request", "session_id": session},
        "header": {"action": "connect", "cslr": 1, "subsessions": []}});
    rig.open(2, "bob", "rival");
    assert_eq!(code(&rig.say(2, &resume)).0, 403);
    rig.open(3, "bob", "pad");
    assert_eq!(code(&rig.say(3, &resume)).0, 200);
}

#[test]
fn a_device_is_never_pushed_to_with_what_another_tenant_was_given() {
    for (id, wanted) in [
        ("com.example.phone", "com.example.phone"),
        ("com.example.pad", "com.example.pad"),
        ("com.example.rival", "phone"),
        ("rival", "phone"),
        ("com.example.unknown", "com.example.unknown"),
    ] {
        let mut rig = Rig::new(config());
        rig.connect(1, "bob", "phone", id);
        rig.hibernate(1);
        rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
        assert_eq!(rig.pushed_as().as_deref(), Some(wanted), "{id}");
    }
}
