//! Two nodes and the fabric that they share, in one place.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use reveille_gateway_core::config::{Cluster, Config, Secret, User};
use reveille_gateway_core::io::{
    Change, Claim, Claimed, Commit, Flow, Input, Key, Output, PushRequest, Records, SocketId,
    Transport,
};
use reveille_gateway_core::node::Node;
use reveille_gateway_core::record::{CallRecord, SessionId, SessionRecord};
use reveille_trace::Timestamp;
use reveille_wire::sip::Message;
use serde_json::{Value, json};

/// Where callers send from, and where they take what comes back.
pub(crate) const CALLER: &str = "192.0.2.1:5060";

pub(crate) fn address(node: usize) -> String {
    format!("192.0.2.{}:5060", 10 + node)
}

fn name(node: usize) -> String {
    format!("node-{node}")
}

enum Work {
    Commit(Commit),
    Claim(Claim),
}

pub(crate) struct Seat {
    pub(crate) node: Node,
    pub(crate) texts: Vec<(u64, Value)>,
    pub(crate) closes: Vec<(u64, u16)>,
    pub(crate) pushes: Vec<PushRequest>,
    /// Its fabric work waits in `queue`.
    pub(crate) held: bool,
    /// Its lease runs.
    pub(crate) lives: bool,
    queue: VecDeque<Work>,
}

/// What the fabric holds.
#[derive(Default)]
struct Shelf {
    sessions: BTreeMap<SessionId, SessionRecord>,
    calls: BTreeMap<(SessionId, String), CallRecord>,
    /// The highest epoch that each node lost of each session.
    lost: BTreeMap<(String, SessionId), u64>,
}

pub(crate) struct Pair {
    pub(crate) seats: Vec<Seat>,
    pub(crate) now: Timestamp,
    /// What reached the caller, and from which node.
    pub(crate) heard: Vec<(usize, Message)>,
    pub(crate) fenced: Vec<(usize, u64)>,
    shelf: Shelf,
}

pub(crate) fn udp(peer: &str) -> Flow {
    let (local, peer) = (String::new(), peer.to_owned());
    Flow { transport: Transport::Udp, local, peer, connection: None }
}

fn config(node: usize) -> Config {
    let mut config = Config::new("example.com", &address(node));
    config.node = name(node);
    config.cluster = Some(Cluster { address: address(node) });
    for user in ["bob", "eve"] {
        config.users.push(User {
            aor: format!("{user}@example.com"),
            username: user.to_owned(),
            secret: Secret(format!("secret of {user}")),
        });
    }
    config
}

impl Pair {
    pub(crate) fn new() -> Self {
        let seat = |node| Seat {
            node: Node::new(Arc::new(config(node)), [u8::try_from(node).expect("small"); 32]),
            texts: Vec::new(),
            closes: Vec::new(),
            pushes: Vec::new(),
            held: false,
            lives: true,
            queue: VecDeque::new(),
        };
        let now = Timestamp { mono_us: 1, wall_us: 1_900_000_000_000_000 };
        let seats = vec![seat(0), seat(1)];
        let (heard, fenced) = (Vec::new(), Vec::new());
        let mut pair = Self { seats, now, heard, fenced, shelf: Shelf::default() };
        for node in [0, 1] {
            let (sessions, calls, messages) = (Vec::new(), Vec::new(), Vec::new());
            pair.feed(node, Input::Started { sessions, calls, messages });
        }
        pair
    }

    pub(crate) fn feed(&mut self, node: usize, input: Input) {
        let mut out = Vec::new();
        self.seats[node].node.handle(self.now, input, &mut out);
        let mut onward = Vec::new();
        for output in out {
            let seat = &mut self.seats[node];
            match output {
                Output::Sip { flow, bytes } => {
                    onward.push((flow, Message::parse(&bytes).expect("well-formed SIP")));
                }
                Output::Text { socket, text } => {
                    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
                    seat.texts.push((socket.0, value));
                }
                Output::Close { socket, code, .. } => seat.closes.push((socket.0, code)),
                Output::Store(commit) => seat.queue.push_back(Work::Commit(commit)),
                Output::Claim(claim) => seat.queue.push_back(Work::Claim(claim)),
                Output::Notify(request) => seat.pushes.push(*request),
                Output::KeepAlive { .. } | Output::Trace(_) => {}
            }
        }
        for (flow, message) in onward {
            self.carry(node, &flow, message);
        }
        if !self.seats[node].held {
            self.work(node);
        }
    }

    /// Brings a message of a node to the other one, or to the caller.
    fn carry(&mut self, from: usize, flow: &Flow, mut message: Message) {
        match (0..2).find(|node| address(*node) == flow.peer) {
            Some(to) => {
                if message.is_request() {
                    let source = address(from).parse().expect("an address");
                    message.stamp_via(source).expect("a Via");
                }
                self.feed(to, Input::Sip { flow: udp(&address(from)), message: Box::new(message) });
            }
            None => {
                assert_eq!(flow.peer, CALLER);
                self.heard.push((from, message));
            }
        }
    }

    /// Does what the fabric was asked by this node.
    pub(crate) fn work(&mut self, node: usize) {
        while let Some(work) = self.seats[node].queue.pop_front() {
            let input = match work {
                Work::Commit(commit) => self.commit(node, commit),
                Work::Claim(claim) => {
                    let outcome = self.claim(node, &claim);
                    Input::Claimed { claim: claim.claim, outcome }
                }
            };
            self.feed(node, input);
        }
    }

    /// Does the work that is queued so far; what follows from it is queued anew.
    pub(crate) fn work_once(&mut self, node: usize) {
        let held = std::mem::replace(&mut self.seats[node].held, true);
        if let Some(work) = self.seats[node].queue.pop_front() {
            let rest = std::mem::take(&mut self.seats[node].queue);
            self.seats[node].queue.push_back(work);
            self.work_first(node);
            let after = std::mem::replace(&mut self.seats[node].queue, rest);
            self.seats[node].queue.extend(after);
        }
        self.seats[node].held = held;
    }

    fn work_first(&mut self, node: usize) {
        let Some(work) = self.seats[node].queue.pop_front() else { return };
        let input = match work {
            Work::Commit(commit) => self.commit(node, commit),
            Work::Claim(claim) => {
                let outcome = self.claim(node, &claim);
                Input::Claimed { claim: claim.claim, outcome }
            }
        };
        self.feed(node, input);
    }

    fn commit(&mut self, node: usize, commit: Commit) -> Input {
        let (of, epoch) = (commit.session.clone(), commit.epoch);
        let lost = self.shelf.lost.get(&(name(node), of.clone())).copied().unwrap_or(0);
        let seen = self.shelf.sessions.get(&of).map_or(0, |record| record.epoch);
        if epoch <= lost || epoch < seen {
            self.fenced.push((node, epoch));
            return Input::Fenced { session: of, epoch };
        }
        for change in commit.changes {
            match change {
                Change::PutSession(record) => {
                    self.shelf.sessions.insert(of.clone(), *record);
                }
                Change::DropSession => {
                    self.shelf.sessions.remove(&of);
                    self.shelf.calls.retain(|(session, _), _| *session != of);
                }
                Change::PutCall(record) => {
                    self.shelf.calls.insert((of.clone(), record.subsession.clone()), *record);
                }
                Change::DropCall { subsession } => {
                    self.shelf.calls.remove(&(of.clone(), subsession));
                }
                Change::PutMessage(_) | Change::DropMessage { .. } => {}
            }
        }
        Input::Stored { session: of, token: commit.token }
    }

    fn find(&self, key: &Key) -> Option<SessionId> {
        let call_id = |record: &CallRecord| {
            let invite = Message::parse(&record.invite.0).expect("an INVITE");
            invite.call_id().expect("a Call-ID").to_owned()
        };
        let by = |fits: &dyn Fn(&SessionRecord) -> bool| {
            self.shelf.sessions.values().find(|record| fits(record)).map(|record| record.id.clone())
        };
        match key {
            Key::Session(id) => by(&|record| record.id == *id),
            Key::Contact(contact) => by(&|record| record.contact == *contact),
            Key::Address(aor) => by(&|record| record.aor == *aor),
            Key::Device { user, token } => by(&|record| {
                let device = record.device.as_ref();
                record.user == *user && device.is_some_and(|it| it.token == *token)
            }),
            Key::Call(id) => {
                let found = self.shelf.calls.iter().find(|(_, record)| call_id(record) == *id);
                found.map(|((session, _), _)| session.clone())
            }
        }
    }

    fn claim(&mut self, node: usize, claim: &Claim) -> Claimed {
        let Some(id) = claim.keys.iter().find_map(|key| self.find(key)) else {
            return Claimed::Nobody;
        };
        let record = &self.shelf.sessions[&id];
        if claim.for_user.as_ref().is_some_and(|user| *user != record.user) {
            return Claimed::Stranger;
        }
        let owner = (0..2).find(|node| name(*node) == record.owner).expect("an owner");
        if owner == node {
            return Claimed::Ours;
        }
        if self.seats[owner].lives && claim.for_user.is_none() {
            return Claimed::Elsewhere { address: address(owner) };
        }
        Claimed::Adopted(self.move_to(node, &id))
    }

    fn move_to(&mut self, node: usize, id: &SessionId) -> Records {
        let record = self.shelf.sessions.get_mut(id).expect("a session");
        self.shelf.lost.insert((record.owner.clone(), id.clone()), record.epoch);
        record.owner = name(node);
        record.epoch += 1;
        let sessions = vec![record.clone()];
        let calls = self.shelf.calls.values().filter(|call| call.session == *id).cloned().collect();
        Records { sessions, calls, messages: Vec::new() }
    }

    /// The node is gone, and its lease with it.
    pub(crate) fn kill(&mut self, node: usize) {
        self.seats[node].lives = false;
        self.seats[node].held = true;
        self.seats[node].queue.clear();
        self.seats[node].pushes.clear();
    }

    /// What a node does every third of a lease: it takes what dead nodes left, and learns what
    /// others took.
    pub(crate) fn duty(&mut self, node: usize) {
        let lost = std::mem::take(&mut self.shelf.lost);
        for ((of, session), epoch) in lost {
            if of == name(node) {
                self.feed(node, Input::Fenced { session: session.clone(), epoch });
            }
            self.shelf.lost.insert((of, session), epoch);
        }
        let dead: Vec<_> = (0..2).filter(|other| !self.seats[*other].lives).map(name).collect();
        let theirs = self.shelf.sessions.values().filter(|record| dead.contains(&record.owner));
        let theirs: Vec<_> = theirs.map(|record| record.id.clone()).collect();
        let mut records = Records::default();
        for id in theirs {
            let more = self.move_to(node, &id);
            records.sessions.extend(more.sessions);
            records.calls.extend(more.calls);
        }
        self.feed(node, Input::Adopted(records));
    }

    pub(crate) fn record(&self, session: &str) -> &SessionRecord {
        &self.shelf.sessions[&SessionId::from(session)]
    }

    pub(crate) fn wait_ms(&mut self, ms: u64) {
        let until = self.now.plus_ms(ms);
        let next = |pair: &Self| {
            let alive = pair.seats.iter().enumerate().filter(|(_, seat)| seat.lives);
            let due = alive.filter_map(|(at, seat)| Some((seat.node.next_deadline_us()?, at)));
            due.min().filter(|(due_us, _)| *due_us <= until.mono_us)
        };
        while let Some((due_us, node)) = next(self) {
            self.now = self.now.plus_us(due_us.saturating_sub(self.now.mono_us));
            self.feed(node, Input::Tick);
        }
        self.now = until;
    }

    /// The session that the first answer of a fresh connect names.
    pub(crate) fn connect(&mut self, node: usize, socket: u64, user: &str) -> String {
        self.open(node, socket, user);
        let frame = json!({"control": {"type": "request", "sequence": 1},
            "header": {"action": "connect"}, "payload": {"deviceToken": "tok"}});
        self.say(node, socket, &frame);
        let texts = &self.seats[node].texts;
        let (_, answer) = texts.iter().find(|(at, _)| *at == socket).expect("an answer");
        answer["control"]["session_id"].as_str().expect("a session id").to_owned()
    }

    pub(crate) fn has(&self, session: &str) -> bool {
        self.shelf.sessions.contains_key(&SessionId::from(session))
    }

    /// Bob, asleep at node 0.
    pub(crate) fn asleep(&mut self) -> String {
        let session = self.connect(0, 1, "bob");
        self.say(
            0,
            1,
            &json!({"control": {"type": "request", "sequence": 2, "correlation_id": "c2",
                "session_id": session}, "header": {"action": "hibernate", "ttl": 3600}}),
        );
        self.feed(0, Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
        session
    }

    pub(crate) fn open(&mut self, node: usize, socket: u64, user: &str) {
        let (socket, user, app) = (SocketId(socket), user.to_owned(), "app".to_owned());
        self.feed(node, Input::SocketOpened { socket, user, app });
    }

    pub(crate) fn say(&mut self, node: usize, socket: u64, frame: &Value) {
        let input = Input::SocketText { socket: SocketId(socket), text: frame.to_string() };
        self.feed(node, input);
    }

    pub(crate) fn resume(&mut self, node: usize, socket: u64, user: &str, session: &str) {
        self.open(node, socket, user);
        self.say(
            node,
            socket,
            &json!({"control": {"type": "request", "session_id": session},
                "header": {"action": "connect", "cslr": 2}}),
        );
    }

    pub(crate) fn request(&mut self, node: usize, method: &str, uri: &str, call: &str, tag: &str) {
        self.request_by(&udp(CALLER), node, (method, uri), (call, tag), "");
    }

    /// A request by this flow, with more header fields.
    pub(crate) fn request_by(
        &mut self,
        flow: &Flow,
        node: usize,
        (method, uri): (&str, &str),
        (call, tag): (&str, &str),
        fields: &str,
    ) {
        let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
        let (branch, number) = match method {
            "INVITE" | "CANCEL" => ("i", 1),
            "ACK" if tag.is_empty() => ("i", 1),
            "ACK" => ("a", 1),
            _ => ("b", 2),
        };
        let by = flow.transport.via_name();
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{by} {CALLER};rport;branch=z9hG4bK{call}{branch}\r\n\
             From: <sip:alice@example.com>;tag=f\r\nTo: <sip:bob@example.com>{tag}\r\n\
             Call-ID: {call}\r\nCSeq: {number} {method}\r\nContact: <sip:alice@{CALLER}>\r\n\
             Max-Forwards: 70\r\n{fields}Content-Length: 0\r\n\r\n"
        );
        let mut message = Message::parse(text.as_bytes()).expect("well-formed SIP");
        message.stamp_via(CALLER.parse().expect("an address")).expect("a Via");
        self.feed(node, Input::Sip { flow: flow.clone(), message: Box::new(message) });
    }

    pub(crate) fn last_text(&self, node: usize, socket: u64) -> Value {
        let texts = self.seats[node].texts.iter().rev();
        let mut of_socket = texts.filter(|(at, text)| *at == socket && text != "pong");
        of_socket.next().expect("a text").1.clone()
    }

    pub(crate) fn starts(&self, node: usize) -> Vec<Value> {
        let is_start = |text: &&Value| {
            text["control"]["type"] == "request" && text["header"]["action"] == "start"
        };
        self.seats[node].texts.iter().map(|(_, text)| text).filter(is_start).cloned().collect()
    }

    pub(crate) fn answer(&mut self, node: usize, socket: u64, start: &Value, sequence: u64) {
        let control = &start["control"];
        self.say(
            node,
            socket,
            &json!({"control": {"type": "response", "package_type": "call", "sequence": sequence,
                "session_id": control["session_id"], "subsession_id": control["subsession_id"],
                "correlation_id": control["correlation_id"], "message_state": "final"},
                "header": {"action": "start"}, "payload": {"sdp": "v=0\r\n"}}),
        );
    }

    /// Statuses that the caller heard for requests of this method, each with the node it came from.
    pub(crate) fn statuses(&self, call: &str, method: &str) -> Vec<(usize, u16)> {
        let of = |(_, message): &&(usize, Message)| {
            message.call_id() == Ok(call)
                && message.cseq().is_ok_and(|cseq| cseq.method.as_str() == method)
        };
        let heard = self.heard.iter().filter(of);
        heard.filter_map(|(node, message)| Some((*node, message.status()?))).collect()
    }

    /// Requests of this method that reached the caller: from which node, and for whom.
    pub(crate) fn asked(&self, method: &str) -> Vec<(usize, String)> {
        let is_it = |m: &Message| m.method().is_some_and(|it| it.as_str() == method);
        let all = self.heard.iter().filter(|(_, message)| is_it(message));
        all.map(|(node, message)| (*node, message.uri().unwrap_or_default().to_owned())).collect()
    }

    pub(crate) fn tag_of(&self, call: &str, status: u16) -> String {
        let is_it =
            |(_, m): &&(usize, Message)| m.call_id() == Ok(call) && m.status() == Some(status);
        let (_, response) = self.heard.iter().find(is_it).expect("the response");
        response.to().expect("a To").tag().expect("a tag").to_owned()
    }

    pub(crate) fn pushes(&self) -> [usize; 2] {
        [self.seats[0].pushes.len(), self.seats[1].pushes.len()]
    }
}
