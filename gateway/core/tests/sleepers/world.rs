//! A node on a simulated clock, with a fabric, a network that delays and loses datagrams, a registrar,
//! and phones that connect once and then sleep.

use std::collections::BTreeMap;
use std::sync::Arc;

use reveille_gateway_core::config::{Config, Registrar as Upstream, Secret, User};
use reveille_gateway_core::io::{Change, Commit, Flow, Input, Output, SocketId, Transport};
use reveille_gateway_core::node::Node;
use reveille_gateway_core::record::{SessionId, SessionRecord};
use reveille_trace::Timestamp;
use reveille_wire::sip::Message;
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::registrar::Registrar;

pub(crate) const SECOND_US: u64 = 1_000_000;
const WALL_US: u64 = 1_900_000_000_000_000;
/// Bounds of a datagram's way, how many of a thousand are lost, and how long a commit takes.
const WAY_US: (u64, u64) = (5_000, 120_000);
const LOST: u64 = 20;
const COMMIT_US: u64 = 4_000;
/// How long a phone that was refused waits.
const AGAIN_US: u64 = 5 * SECOND_US;

enum Event {
    /// Of the process with this number.
    ToNode(u32, Input),
    ToRegistrar(Vec<u8>),
    Connect(usize),
    Commit(u32, Commit),
}

pub(crate) struct World {
    config: Arc<Config>,
    node: Option<Node>,
    process: u32,
    /// When the process began: its monotonic clock knows nothing from before.
    began_us: u64,
    pub(crate) now_us: u64,
    events: BTreeMap<(u64, u64), Event>,
    last_event: u64,
    sockets: BTreeMap<u64, usize>,
    stored: BTreeMap<SessionId, SessionRecord>,
    pub(crate) registrar: Registrar,
    pub(crate) asleep: usize,
    pub(crate) lost: u32,
    chance: Chance,
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.9:5060".to_owned(),
        peer: "192.0.2.1:5060".to_owned(),
        connection: None,
    }
}

fn config(phones: usize) -> Config {
    let mut config = Config::new("example.com", "192.0.2.9:5060");
    config.users.extend((0..phones).map(|number| User {
        aor: format!("u{number}@example.com"),
        username: format!("u{number}"),
        secret: Secret("s".to_owned()),
    }));
    let uri = "sip:example.com".to_owned();
    config.registrar = Some(Upstream { uri, flow: flow(), expires_s: 7_200 });
    config
}

impl World {
    /// So many phones, which connect at random within the first `within_s` seconds.
    pub(crate) fn new(phones: usize, within_s: u64, seed: u64) -> Self {
        let mut world = Self {
            config: Arc::new(config(phones)),
            node: None,
            process: 0,
            began_us: 0,
            now_us: 0,
            events: BTreeMap::new(),
            last_event: 0,
            sockets: BTreeMap::new(),
            stored: BTreeMap::new(),
            registrar: Registrar::default(),
            asleep: 0,
            lost: 0,
            chance: Chance::new(seed),
        };
        world.start();
        for phone in 0..phones {
            let after_us = world.chance.between(0, within_s * SECOND_US);
            world.later(after_us, Event::Connect(phone));
        }
        world
    }

    fn later(&mut self, after_us: u64, event: Event) {
        self.last_event += 1;
        self.events.insert((self.now_us + after_us, self.last_event), event);
    }

    /// By a way on which datagrams are delayed and lost.
    fn by_network(&mut self, event: Event) {
        if self.chance.one_in_thousand(LOST) {
            self.lost += 1;
            return;
        }
        let way_us = self.chance.between(WAY_US.0, WAY_US.1);
        self.later(way_us, event);
    }

    /// The process dies: what it did not store is gone.
    pub(crate) fn crash(&mut self) {
        self.node = None;
    }

    /// A process begins with what is stored.
    pub(crate) fn start(&mut self) {
        self.process += 1;
        self.began_us = self.now_us;
        let seed = [u8::try_from(self.process).expect("few processes"); 32];
        self.node = Some(Node::new(Arc::clone(&self.config), seed));
        let sessions = self.stored.values().cloned().collect();
        self.feed(Input::Started { sessions, calls: Vec::new(), messages: Vec::new() });
    }

    /// Everything until then.
    pub(crate) fn run_until(&mut self, until_us: u64) {
        loop {
            let event = self.events.first_key_value().map(|((at_us, _), _)| *at_us);
            let tick = self.node.as_ref().and_then(Node::next_deadline_us);
            let tick = tick.map(|mono_us| self.began_us + mono_us);
            let next = event.into_iter().chain(tick).min().filter(|at_us| *at_us <= until_us);
            let Some(at_us) = next else { break };
            self.now_us = self.now_us.max(at_us);
            if event == next {
                let (_, event) = self.events.pop_first().expect("it was looked at");
                self.happen(event);
            } else {
                self.feed(Input::Tick);
            }
        }
        self.now_us = until_us;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToNode(process, input) if process == self.process => self.feed(input),
            Event::Commit(process, commit) if process == self.process && self.node.is_some() => {
                self.store(commit);
            }
            Event::ToNode(..) | Event::Commit(..) => {}
            Event::ToRegistrar(bytes) => {
                let said = self.registrar.hear(&bytes, self.now_us, &mut self.chance);
                let message = Box::new(Message::parse(said.as_bytes()).expect("well-formed SIP"));
                let input = Input::Sip { flow: flow(), message };
                self.by_network(Event::ToNode(self.process, input));
            }
            Event::Connect(phone) => self.connect(phone),
        }
    }

    fn store(&mut self, commit: Commit) {
        let Commit { session, token, changes, .. } = commit;
        for change in changes {
            match change {
                Change::PutSession(record) => drop(self.stored.insert(session.clone(), *record)),
                Change::DropSession => drop(self.stored.remove(&session)),
                other => panic!("nobody calls: {other:?}"),
            }
        }
        self.feed(Input::Stored { session, token });
    }

    fn feed(&mut self, input: Input) {
        let now_us = self.now_us;
        let now = Timestamp { mono_us: now_us - self.began_us, wall_us: WALL_US + now_us };
        let Some(node) = &mut self.node else { return };
        let mut out = Vec::new();
        node.handle(now, input, &mut out);
        for output in out {
            match output {
                Output::Sip { bytes, .. } => self.by_network(Event::ToRegistrar(bytes)),
                Output::Store(commit) => self.later(COMMIT_US, Event::Commit(self.process, commit)),
                Output::Text { socket, text } => self.phone_hears(socket, &text),
                Output::Notify(push) => panic!("nobody calls: {push:?}"),
                Output::Claim(claim) => panic!("the fabric is not shared: {claim:?}"),
                Output::Close { .. } | Output::KeepAlive { .. } | Output::Trace(_) => {}
            }
        }
    }

    fn connect(&mut self, phone: usize) {
        self.last_event += 1;
        let (socket, user) = (SocketId(self.last_event), format!("u{phone}"));
        self.sockets.insert(socket.0, phone);
        self.feed(Input::SocketOpened { socket, user, app: "app".to_owned() });
        let frame = json!({"control": {"type": "request", "sequence": 1},
            "header": {"action": "connect"}, "payload": {"deviceToken": format!("tok-{phone}")}});
        self.feed(Input::SocketText { socket, text: frame.to_string() });
    }

    /// A phone that is connected sleeps, and closes when it may; one that was refused comes again.
    fn phone_hears(&mut self, socket: SocketId, text: &str) {
        let frame: Value = serde_json::from_str(text).expect("a frame");
        let process = self.process;
        let of_phone = |input| Event::ToNode(process, input);
        let (header, session) = (&frame["header"], &frame["control"]["session_id"]);
        if header["error_code"].is_number() {
            let phone = self.sockets.remove(&socket.0).expect("one of ours");
            self.later(0, of_phone(Input::SocketClosed { socket, code: None }));
            self.later(AGAIN_US, Event::Connect(phone));
        } else if header["action"] == "connect" {
            let frame = json!({"control": {"type": "request", "sequence": 2, "session_id": session},
                "header": {"action": "hibernate", "ttl": 86_400}});
            self.later(0, of_phone(Input::SocketText { socket, text: frame.to_string() }));
        } else if header["action"] == "hibernate" {
            self.asleep += 1;
            self.sockets.remove(&socket.0);
            self.later(0, of_phone(Input::SocketClosed { socket, code: Some(4001) }));
        }
    }
}
