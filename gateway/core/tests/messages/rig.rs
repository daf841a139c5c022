//! A node, its disk, and everything it said so far, sorted by where it went.

use std::sync::Arc;

use reveille_gateway_core::config::{Config, Registrar, Secret, User};
use reveille_gateway_core::io::{
    Commit, Flow, Input, Output, PushOutcome, PushRequest, SocketId, Transport,
};
use reveille_gateway_core::node::Node;
use reveille_trace::Timestamp;
use reveille_wire::sip::Message;
use serde_json::{Value, json};

use crate::disk::Disk;

pub(crate) struct Rig {
    pub(crate) node: Node,
    config: Arc<Config>,
    starts: u8,
    pub(crate) now: Timestamp,
    pub(crate) disk: Disk,
    pub(crate) commits: Vec<Commit>,
    pub(crate) sip: Vec<Message>,
    /// The way of each message in `sip`.
    pub(crate) ways: Vec<Flow>,
    pub(crate) texts: Vec<(u64, Value)>,
    pub(crate) pushes: Vec<PushRequest>,
    pub(crate) notes: Vec<String>,
    pub(crate) hold_commits: bool,
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
    config.users.push(User {
        aor: "bob@example.com".to_owned(),
        username: "bob".to_owned(),
        secret: Secret("sesame".to_owned()),
    });
    config
}

/// With a registrar, which is the way to the network as well.
pub(crate) fn with_registrar() -> Config {
    let mut config = config();
    let flow = Flow { local: String::new(), peer: "192.0.2.5:5060".to_owned(), ..udp() };
    config.registrar =
        Some(Registrar { uri: "sip:example.com".to_owned(), flow, expires_s: 3_600 });
    config
}

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        let config = Arc::new(config);
        let mut rig = Self {
            node: Node::new(Arc::clone(&config), [1; 32]),
            config,
            starts: 1,
            now: Timestamp { mono_us: 1, wall_us: 1_900_000_000_000_000 },
            disk: Disk::default(),
            commits: Vec::new(),
            sip: Vec::new(),
            ways: Vec::new(),
            texts: Vec::new(),
            pushes: Vec::new(),
            notes: Vec::new(),
            hold_commits: false,
        };
        rig.feed(rig.disk.started());
        rig
    }

    /// The process is killed and started again; commits under way are lost.
    pub(crate) fn restart(&mut self) {
        self.starts += 1;
        self.commits.clear();
        self.node = Node::new(Arc::clone(&self.config), [self.starts; 32]);
        self.feed(self.disk.started());
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
                Output::Store(commit) => self.commits.push(commit),
                Output::Notify(request) => self.pushes.push(*request),
                Output::Trace(draft) => {
                    let shown = format!("{draft:?}");
                    if shown.contains("dropped") {
                        self.notes.push(shown);
                    }
                }
                Output::Close { .. } | Output::Claim(_) | Output::KeepAlive { .. } => {}
            }
        }
        if !self.hold_commits {
            self.commit_all();
        }
    }

    pub(crate) fn commit_all(&mut self) {
        for commit in std::mem::take(&mut self.commits) {
            self.disk.apply(&commit);
            self.feed(Input::Stored { session: commit.session, token: commit.token });
        }
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

    pub(crate) fn open(&mut self, socket: u64) {
        let socket = SocketId(socket);
        self.feed(Input::SocketOpened { socket, user: "bob".to_owned(), app: "app".to_owned() });
    }

    pub(crate) fn close(&mut self, socket: u64, code: Option<u16>) {
        self.feed(Input::SocketClosed { socket: SocketId(socket), code });
    }

    pub(crate) fn say(&mut self, socket: u64, frame: &Value) {
        self.feed(Input::SocketText { socket: SocketId(socket), text: frame.to_string() });
    }

    pub(crate) fn connect(&mut self, socket: u64) -> String {
        self.open(socket);
        self.say(
            socket,
            &json!({"control": {"type": "request", "sequence": 1}, "header": {"action": "connect"},
                "payload": {"deviceToken": "tok"}}),
        );
        self.answer_register();
        let (_, answer) = self.texts.last().expect("an answer to connect");
        answer["control"]["session_id"].as_str().expect("a session id").to_owned()
    }

    /// The registrar takes what it was sent last.
    pub(crate) fn answer_register(&mut self) {
        let asked =
            self.sip.iter().rfind(|it| it.method().is_some_and(|m| m.as_str() == "REGISTER"));
        if let Some(asked) = asked {
            let answer = asked.reply(200, "OK", Some("r")).with("Expires", "3600");
            self.feed(Input::Sip { flow: udp(), message: Box::new(answer) });
        }
    }

    pub(crate) fn asleep(&mut self) -> String {
        let session = self.connect(1);
        self.say(
            1,
            &json!({"control": {"type": "request", "sequence": 2, "correlation_id": "c2",
                "session_id": session}, "header": {"action": "hibernate", "ttl": 3600}}),
        );
        self.close(1, Some(4001));
        session
    }

    /// The app comes back and says up to which of our frames it has them.
    pub(crate) fn resume(&mut self, socket: u64, session: &str, cslr: u64) {
        self.open(socket);
        self.say(
            socket,
            &json!({"control": {"type": "request", "session_id": session},
                "header": {"action": "connect", "cslr": cslr}}),
        );
    }

    pub(crate) fn request(&mut self, method: &str, call: &str, fields: &str, body: &str) {
        self.request_by("b", method, call, fields, body);
    }

    /// `fields` are whole lines.
    pub(crate) fn request_by(
        &mut self,
        way: &str,
        method: &str,
        call: &str,
        fields: &str,
        body: &str,
    ) {
        let text = format!(
            "{method} sip:bob@example.com SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{call}{way}\r\n\
             From: <sip:alice@example.com>;tag=f\r\nTo: <sip:bob@example.com>\r\n\
             Call-ID: {call}\r\nCSeq: 1 {method}\r\nContact: <sip:alice@192.0.2.1>\r\n\
             Max-Forwards: 70\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let message = Box::new(Message::parse(text.as_bytes()).expect("well-formed SIP"));
        self.feed(Input::Sip { flow: udp(), message });
    }

    pub(crate) fn message(&mut self, call: &str) {
        self.request("MESSAGE", call, "Content-Type: text/plain\r\n", &format!("hello of {call}"));
    }

    pub(crate) fn push_outcome(&mut self, outcome: PushOutcome) {
        let push = self.pushes.last().expect("a push").id;
        self.feed(Input::Pushed { push, outcome });
    }

    /// Every status that the sender of `call` heard, in order.
    pub(crate) fn statuses(&self, call: &str) -> Vec<u16> {
        let of_call = |it: &&Message| it.call_id() == Ok(call);
        self.sip.iter().filter(of_call).filter_map(Message::status).collect()
    }

    /// Frames of this action that went to `socket`, in order.
    pub(crate) fn frames(&self, socket: u64, action: &str) -> Vec<Value> {
        let wanted =
            |(to, frame): &&(u64, Value)| *to == socket && frame["header"]["action"] == action;
        self.texts.iter().filter(wanted).map(|(_, frame)| frame.clone()).collect()
    }

    /// What the app was given by `send`, by content.
    pub(crate) fn given(&self, socket: u64) -> Vec<String> {
        let sends = self.frames(socket, "send");
        let sends = sends.iter().filter(|frame| frame["control"]["type"] == "request");
        sends.map(|it| it["payload"]["content"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The app answers a `send`.
    pub(crate) fn answer(&mut self, socket: u64, send: &Value, sequence: u64, code: u16) {
        let (kind, name) =
            if code < 300 { ("response", "response_code") } else { ("error", "error_code") };
        let mut frame = json!({
            "control": {"type": kind, "package_type": "messaging", "sequence": sequence,
                "message_state": "final", "correlation_id": send["control"]["correlation_id"],
                "subsession_id": send["control"]["subsession_id"],
                "ack_sequence": send["control"]["sequence"]},
            "header": {"action": "send"}, "payload": {},
        });
        frame["header"][name] = code.into();
        self.say(socket, &frame);
    }

    /// Requests of this method that went out, in order, without repetitions.
    pub(crate) fn asked(&self, method: &str) -> Vec<Message> {
        let wanted = |it: &&Message| it.method().is_some_and(|m| m.as_str() == method);
        let mut asked: Vec<Message> = self.sip.iter().filter(wanted).cloned().collect();
        asked.dedup_by_key(|it| it.via().map(|via| via.branch).unwrap_or_default());
        asked
    }

    /// The network answers the latest request of this method; `fields` are name and value.
    pub(crate) fn network(&mut self, method: &str, status: u16, fields: &[(&str, &str)]) {
        let asked = self.asked(method).pop().expect("a request");
        let mut answer = asked.reply(status, Message::reason_phrase(status), Some("n"));
        for (name, value) in fields {
            answer.push(name, value);
        }
        self.feed(Input::Sip { flow: udp(), message: Box::new(answer) });
    }
}
