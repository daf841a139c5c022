//! A node with its disk and its clock. What it says is kept with its instant until the model asks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use reveille_gateway_core::config::{Config, Registrar, Secret, User};
use reveille_gateway_core::io::{
    Change, Commit, Input, Output, PushRequest, Sink, SocketId, Transport,
};
use reveille_gateway_core::node::Node;
use reveille_gateway_core::record::{CallRecord, MessageRecord, SessionId, SessionRecord};
use reveille_trace::Timestamp;
use reveille_wire::sip::Message;
use serde_json::{Value, json};

use crate::sip::{Heard, flow};

/// Something that a stranger sees.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    Sip(Heard),
    Text(u64, Value),
    Close(u64, u16),
    Push(Box<PushRequest>),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    sessions: BTreeMap<SessionId, SessionRecord>,
    calls: BTreeMap<(SessionId, String), CallRecord>,
    messages: BTreeMap<(SessionId, String), MessageRecord>,
}

impl Disk {
    fn apply(&mut self, commit: Commit) {
        let of = commit.session;
        for change in commit.changes {
            match change {
                Change::PutSession(record) => {
                    self.sessions.insert(of.clone(), *record);
                }
                Change::DropSession => {
                    self.sessions.remove(&of);
                    self.calls.retain(|(session, _), _| *session != of);
                    self.messages.retain(|(session, _), _| *session != of);
                }
                Change::PutCall(record) => {
                    self.calls.insert((of.clone(), record.subsession.clone()), *record);
                }
                Change::DropCall { subsession } => {
                    self.calls.remove(&(of.clone(), subsession));
                }
                Change::PutMessage(record) => {
                    self.messages.insert((of.clone(), record.subsession.clone()), *record);
                }
                Change::DropMessage { subsession } => {
                    self.messages.remove(&(of.clone(), subsession));
                }
            }
        }
    }

    /// What a process finds at its start, read back from bytes.
    fn started(&self) -> Input {
        let session = |it: &SessionRecord| SessionRecord::decode(&it.encode()).expect("sound");
        let call = |it: &CallRecord| CallRecord::decode(&it.encode()).expect("sound");
        let message = |it: &MessageRecord| MessageRecord::decode(&it.encode()).expect("sound");
        Input::Started {
            sessions: self.sessions.values().map(session).collect(),
            calls: self.calls.values().map(call).collect(),
            messages: self.messages.values().map(message).collect(),
        }
    }
}

/// Takes what the node says; the trace is not of interest.
#[derive(Default)]
struct Said(Vec<Output>);

impl Sink for Said {
    fn put(&mut self, output: Output) {
        if !matches!(output, Output::Trace(_)) {
            self.0.push(output);
        }
    }

    fn hears_all(&self) -> bool {
        false
    }
}

#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) node: Node,
    config: Arc<Config>,
    starts: u8,
    now: Timestamp,
    disk: Disk,
    pub(crate) commits: VecDeque<Commit>,
    /// Commits become durable only when the case says so.
    pub(crate) hold: bool,
    /// What was seen, with its time in milliseconds.
    pub(crate) seen: Vec<(u64, Seen)>,
    pub(crate) session: String,
    /// Commits asked for, and those that are durable, since the process began.
    pub(crate) asked: u64,
    pub(crate) durable: u64,
}

pub(crate) fn config() -> Config {
    let mut config = Config::new("example.com", "192.0.2.9:5060");
    config.users.push(User {
        aor: "bob@example.com".to_owned(),
        username: "bob".to_owned(),
        secret: Secret("sesame".to_owned()),
    });
    config
}

/// With a registrar, which is the way to the network as well.
pub(crate) fn with_registrar(config: Config) -> Config {
    let flow = reveille_gateway_core::io::Flow {
        transport: Transport::Udp,
        local: String::new(),
        peer: "192.0.2.5:5060".to_owned(),
        connection: None,
    };
    let registrar = Registrar { uri: "sip:example.com".to_owned(), flow, expires_s: 3_600 };
    Config { registrar: Some(registrar), ..config }
}

impl Bench {
    pub(crate) fn new(config: Config) -> Self {
        let config = Arc::new(config);
        let mut bench = Self {
            node: Node::new(Arc::clone(&config), [1; 32]),
            config,
            starts: 1,
            now: Timestamp { mono_us: 1_000, wall_us: 1_900_000_000_000_000 },
            disk: Disk::default(),
            commits: VecDeque::new(),
            hold: false,
            seen: Vec::new(),
            session: String::new(),
            asked: 0,
            durable: 0,
        };
        bench.feed(bench.disk.started());
        bench
    }

    /// With an app on socket 1 that connected and gave a token, under the numbers 1 and 1.
    pub(crate) fn awake(config: Config) -> Self {
        let registers = config.registrar.is_some();
        let mut bench = Self::new(config);
        bench.open(1);
        bench.say(
            1,
            &json!({"control": {"type": "request", "package_type": "register", "sequence": 1},
                "header": {"action": "connect", "initiator": "bob@example.com"},
                "payload": {"deviceToken": "tok", "capability":
                    {"platform": "android", "push_provider": "fcm", "app_id": "a"}}}),
        );
        if registers {
            let asked = bench.seen.iter().find_map(|(_, seen)| match seen {
                Seen::Sip(heard) => Message::parse(&heard.bytes).ok(),
                _ => None,
            });
            let answer = asked.expect("a REGISTER").reply(200, "OK", Some("r"));
            bench.sip(true, answer.with("Expires", "3600"));
        }
        let session = bench.seen.iter().find_map(|(_, seen)| match seen {
            Seen::Text(1, text) => text["control"]["session_id"].as_str().map(str::to_owned),
            _ => None,
        });
        bench.session = session.expect("the app is connected");
        bench.seen.clear();
        bench
    }

    /// The same app, gone to sleep under the numbers 2 and 2.
    pub(crate) fn asleep(config: Config) -> Self {
        let mut bench = Self::awake(config);
        let session = bench.session.clone();
        bench.say(
            1,
            &json!({"control": {"type": "request", "package_type": "register", "sequence": 2,
                "session_id": session, "correlation_id": "c2", "ack_sequence": 1},
                "header": {"action": "hibernate", "ttl": 86_400}}),
        );
        bench.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
        bench.seen.clear();
        bench
    }

    pub(crate) const fn now_ms(&self) -> u64 {
        self.now.mono_us / 1_000
    }

    pub(crate) fn feed(&mut self, input: Input) {
        let mut said = Said::default();
        self.node.handle(self.now, input, &mut said);
        let now_ms = self.now_ms();
        for output in said.0 {
            let seen = match output {
                Output::Sip { bytes, flow } => Seen::Sip(Heard::of(bytes, &flow)),
                Output::Text { socket, text } => {
                    let text = serde_json::from_str(&text).unwrap_or(Value::String(text));
                    Seen::Text(socket.0, text)
                }
                Output::Close { socket, code, .. } => Seen::Close(socket.0, code),
                Output::Notify(request) => Seen::Push(request),
                Output::Store(commit) => {
                    self.asked += 1;
                    self.commits.push_back(commit);
                    continue;
                }
                Output::KeepAlive { .. } | Output::Claim(_) | Output::Trace(_) => continue,
            };
            self.seen.push((now_ms, seen));
        }
        if !self.hold {
            self.commit(usize::MAX);
        }
    }

    /// The oldest commits become durable, and the node hears of each.
    pub(crate) fn commit(&mut self, most: usize) {
        for _ in 0..most {
            let Some(commit) = self.commits.pop_front() else { return };
            let (session, token) = (commit.session.clone(), commit.token);
            self.durable += 1;
            self.disk.apply(commit);
            self.feed(Input::Stored { session, token });
        }
    }

    /// The process dies and starts again; so many of the commits under way became durable unheard.
    pub(crate) fn crash(&mut self, durable: usize) {
        for commit in std::mem::take(&mut self.commits).into_iter().take(durable) {
            self.disk.apply(commit);
        }
        self.starts += 1;
        (self.asked, self.durable) = (0, 0);
        self.node = Node::new(Arc::clone(&self.config), [self.starts; 32]);
        self.feed(self.disk.started());
    }

    /// Time passes, and the node is woken at each instant that it asked for.
    pub(crate) fn wait_ms(&mut self, ms: u64) {
        let until = self.now.plus_ms(ms);
        while let Some(due_us) = self.node.next_deadline_us().filter(|it| *it <= until.mono_us) {
            self.now = self.now.plus_us(due_us.saturating_sub(self.now.mono_us));
            self.feed(Input::Tick);
        }
        self.now = until;
    }

    pub(crate) fn sip(&mut self, udp: bool, message: Message) {
        self.feed(Input::Sip { flow: flow(udp), message: Box::new(message) });
    }

    pub(crate) fn open(&mut self, socket: u64) {
        let socket = SocketId(socket);
        self.feed(Input::SocketOpened { socket, user: "bob".to_owned(), app: "app".to_owned() });
    }

    pub(crate) fn say(&mut self, socket: u64, frame: &Value) {
        self.feed(Input::SocketText { socket: SocketId(socket), text: frame.to_string() });
    }
}
