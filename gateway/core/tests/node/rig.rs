//! A node on the bench: what is fed to it, and what it says.

use std::collections::BTreeMap;
use std::sync::Arc;

use reveille_gateway_core::config::{Config, Secret, User};
use reveille_gateway_core::io::{
    Change, Commit, Flow, Input, Output, PushRequest, SocketId, Transport,
};
use reveille_gateway_core::node::Node;
use reveille_gateway_core::record::{CallRecord, MessageRecord, SessionId, SessionRecord};
use reveille_trace::Timestamp;
use reveille_wire::sip::Message;
use serde_json::{Value, json};

/// A node with everything it said so far, sorted by where it went.
pub(crate) struct Rig {
    pub(crate) node: Node,
    pub(crate) now: Timestamp,
    pub(crate) commits: Vec<Commit>,
    pub(crate) sip: Vec<Message>,
    /// The way of each message in `sip`.
    pub(crate) ways: Vec<Flow>,
    pub(crate) texts: Vec<(u64, Value)>,
    pub(crate) closes: Vec<(u64, u16)>,
    pub(crate) pushes: Vec<PushRequest>,
    pub(crate) hold_commits: bool,
    config: Arc<Config>,
    sessions: BTreeMap<SessionId, SessionRecord>,
    calls: BTreeMap<(SessionId, String), CallRecord>,
    messages: BTreeMap<(SessionId, String), MessageRecord>,
}

pub(crate) fn udp() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.9:5060".to_owned(),
        peer: "192.0.2.1:5060".to_owned(),
        connection: None,
    }
}

pub(crate) fn config() -> Config {
    let mut config = Config::new("example.com", "192.0.2.9:5060");
    for name in ["bob", "eve"] {
        config.users.push(User {
            aor: format!("{name}@example.com"),
            username: name.to_owned(),
            secret: Secret(format!("secret of {name}")),
        });
    }
    config
}

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        let config = Arc::new(config);
        let mut rig = Self {
            node: Node::new(Arc::clone(&config), [7; 32]),
            now: Timestamp { mono_us: 1, wall_us: 1_900_000_000_000_000 },
            commits: Vec::new(),
            sip: Vec::new(),
            ways: Vec::new(),
            texts: Vec::new(),
            closes: Vec::new(),
            pushes: Vec::new(),
            hold_commits: false,
            config,
            sessions: BTreeMap::new(),
            calls: BTreeMap::new(),
            messages: BTreeMap::new(),
        };
        rig.feed(Input::Started { sessions: Vec::new(), calls: Vec::new(), messages: Vec::new() });
        rig
    }

    pub(crate) fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.node.handle(self.now, input, &mut out);
        for output in out {
            match output {
                Output::Sip { bytes, flow } => {
                    self.ways.push(flow);
                    self.sip.push(Message::parse(&bytes).expect("well-formed SIP"));
                }
                Output::Text { socket, text } => {
                    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
                    self.texts.push((socket.0, value));
                }
                Output::Close { socket, code, .. } => self.closes.push((socket.0, code)),
                Output::Store(commit) => self.commits.push(commit),
                Output::Notify(request) => self.pushes.push(*request),
                Output::KeepAlive { .. } | Output::Claim(_) | Output::Trace(_) => {}
            }
        }
        if !self.hold_commits {
            self.commit_all();
        }
    }

    pub(crate) fn commit_all(&mut self) {
        for commit in std::mem::take(&mut self.commits) {
            self.write(&commit);
            self.feed(Input::Stored { session: commit.session, token: commit.token });
        }
    }

    fn write(&mut self, commit: &Commit) {
        let of = &commit.session;
        for change in commit.changes.clone() {
            match change {
                Change::PutSession(record) => {
                    self.sessions.insert(of.clone(), *record);
                }
                Change::DropSession => {
                    self.sessions.remove(of);
                    self.calls.retain(|(session, _), _| session != of);
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

    /// The process dies, and another recovers what was stored. What was not is gone.
    pub(crate) fn crash(&mut self) {
        self.commits.clear();
        self.node = Node::new(Arc::clone(&self.config), [9; 32]);
        let read = |record: &SessionRecord| SessionRecord::decode(&record.encode()).expect("sound");
        let sessions = self.sessions.values().map(read).collect();
        let calls = self.calls.values().cloned().collect();
        let messages = self.messages.values().cloned().collect();
        self.feed(Input::Started { sessions, calls, messages });
    }

    pub(crate) fn wait_ms(&mut self, ms: u64) {
        let until = self.now.plus_ms(ms);
        while let Some(due_us) =
            self.node.next_deadline_us().filter(|due_us| *due_us <= until.mono_us)
        {
            self.now = self.now.plus_us(due_us.saturating_sub(self.now.mono_us));
            self.feed(Input::Tick);
        }
        self.now = until;
    }

    pub(crate) fn open(&mut self, socket: u64, user: &str) {
        let socket = SocketId(socket);
        self.feed(Input::SocketOpened { socket, user: user.to_owned(), app: "app".to_owned() });
    }

    pub(crate) fn say(&mut self, socket: u64, frame: &Value) {
        self.feed(Input::SocketText { socket: SocketId(socket), text: frame.to_string() });
    }

    pub(crate) fn connect(&mut self, socket: u64, user: &str, token: &str) -> String {
        self.open(socket, user);
        self.say(
            socket,
            &json!({"control": {"type": "request", "sequence": 1}, "header": {"action": "connect"},
                "payload": {"deviceToken": token}}),
        );
        let answer = self.last_text(socket);
        answer["control"]["session_id"].as_str().expect("a session id").to_owned()
    }

    pub(crate) fn sleep(&mut self, socket: u64, session: &str) {
        self.say(
            socket,
            &json!({"control": {"type": "request", "sequence": 2, "correlation_id": "c2",
                "session_id": session}, "header": {"action": "hibernate", "ttl": 3600}}),
        );
    }

    pub(crate) fn asleep(&mut self) -> String {
        let session = self.connect(1, "bob", "tok");
        self.sleep(1, &session);
        self.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
        session
    }

    pub(crate) fn resume(&mut self, socket: u64, user: &str, session: &str, extra: &Value) {
        self.open(socket, user);
        let mut header = json!({"action": "connect", "cslr": 2});
        for (name, value) in extra.as_object().expect("an object") {
            header[name] = value.clone();
        }
        self.say(
            socket,
            &json!({"control": {"type": "request", "session_id": session}, "header": header}),
        );
    }

    pub(crate) fn request(&mut self, method: &str, call: &str, to_tag: &str) {
        self.request_to(method, call, to_tag, "sip:bob@example.com");
    }

    pub(crate) fn request_to(&mut self, method: &str, call: &str, to_tag: &str, uri: &str) {
        self.request_with(method, call, to_tag, uri, "");
    }

    /// `fields` are whole lines.
    pub(crate) fn request_with(
        &mut self,
        method: &str,
        call: &str,
        to_tag: &str,
        uri: &str,
        fields: &str,
    ) {
        let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        let (branch, number) = match method {
            "INVITE" | "CANCEL" => ("i", 1),
            "ACK" if to_tag.is_empty() => ("i", 1),
            "ACK" => ("a", 1),
            _ => ("b", 2),
        };
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{call}{branch}\r\n\
             From: <sip:alice@example.com>;tag=f\r\nTo: <sip:bob@example.com>{to_tag}\r\n\
             Call-ID: {call}\r\nCSeq: {number} {method}\r\nContact: <sip:alice@192.0.2.1>\r\n\
             Max-Forwards: 70\r\n{fields}Content-Length: 0\r\n\r\n"
        );
        let message = Box::new(Message::parse(text.as_bytes()).expect("well-formed SIP"));
        self.feed(Input::Sip { flow: udp(), message });
    }

    pub(crate) fn last_text(&self, socket: u64) -> Value {
        let of_socket = |(at, text): &&(u64, Value)| *at == socket && text != "pong";
        self.texts.iter().rev().find(of_socket).expect("a text").1.clone()
    }

    pub(crate) fn starts(&self, socket: u64) -> Vec<Value> {
        let is_start = |(at, text): &&(u64, Value)| {
            *at == socket
                && text["control"]["type"] == "request"
                && text["header"]["action"] == "start"
        };
        self.texts.iter().filter(is_start).map(|(_, text)| text.clone()).collect()
    }

    pub(crate) fn statuses(&self, call: &str) -> Vec<u16> {
        let of_call = |message: &&Message| message.call_id() == Ok(call);
        self.sip.iter().filter(of_call).filter_map(Message::status).collect()
    }

    pub(crate) fn answer(&mut self, socket: u64, start: &Value, sequence: u64) {
        let control = &start["control"];
        self.say(
            socket,
            &json!({"control": {"type": "response", "package_type": "call", "sequence": sequence,
                "session_id": control["session_id"], "subsession_id": control["subsession_id"],
                "correlation_id": control["correlation_id"], "message_state": "final"},
                "header": {"action": "start"}, "payload": {"sdp": "v=0\r\n"}}),
        );
    }

    pub(crate) fn tag_of(&self, call: &str, status: u16) -> String {
        let is_it = |m: &&Message| m.call_id() == Ok(call) && m.status() == Some(status);
        let response = self.sip.iter().find(is_it).expect("the response");
        response.to().expect("a To").tag().expect("a tag").to_owned()
    }
}
