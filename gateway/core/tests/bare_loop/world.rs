//! Everything around the node, small enough to be cloned at each fork of the road.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use reveille_gateway_core::config::{Config, User};
use reveille_gateway_core::io::{
    Change, Commit, Flow, Input, Output, PushId, PushOutcome, SocketId, Transport,
};
use reveille_gateway_core::node::Node;
use reveille_gateway_core::record::{CallRecord, SessionId, SessionRecord};
use reveille_trace::Timestamp;
use reveille_wire::sip::Message;
use serde_json::{Value, json};

use crate::peers::{ANSWER, Caller, Phone};

#[cfg(feature = "mutants")]
type Planted = reveille_gateway_core::mutant::Defect;
#[cfg(not(feature = "mutants"))]
type Planted = ();

/// A path is judged after this long without anything but time: beyond every deadline of a call.
const PATIENCE_US: u64 = 160_000_000;

/// An app with a call pings this often, and so keeps its socket.
const PING_US: u64 = 3_000_000;

/// What may go wrong on one path, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) crashes: u32,
    pub(crate) repeats: u32,
    pub(crate) cancels: u32,
    pub(crate) drops: u32,
    #[cfg_attr(not(feature = "mutants"), expect(dead_code, reason = "read with `mutants` only"))]
    pub(crate) defect: Option<Planted>,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) paths: u64,
    pub(crate) steps: u64,
    pub(crate) crashes: u64,
    pub(crate) longest: usize,
}

/// One thing that can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The oldest commit under way becomes durable and the node hears of it.
    Commit,
    FromCaller,
    FromPhone,
    FromPush,
    /// The process dies; so many of the commits under way became durable unheard.
    Crash(usize),
    /// The caller repeats its INVITE although nothing was lost.
    Repeat,
    Cancel,
    /// The phone's socket is gone without a word.
    Drop,
}

#[derive(Debug, Clone, Default)]
struct Disk {
    sessions: BTreeMap<SessionId, SessionRecord>,
    calls: BTreeMap<(SessionId, String), CallRecord>,
}

impl Disk {
    fn apply(&mut self, commit: Commit) {
        for change in commit.changes {
            match change {
                Change::PutSession(record) => {
                    let copy =
                        SessionRecord::decode(&record.encode()).expect("a record reads back");
                    self.sessions.insert(commit.session.clone(), copy);
                }
                Change::DropSession => {
                    self.sessions.remove(&commit.session);
                    self.calls.retain(|(session, _), _| *session != commit.session);
                }
                Change::PutCall(record) => {
                    let copy = CallRecord::decode(&record.encode()).expect("a record reads back");
                    self.calls.insert((commit.session.clone(), copy.subsession.clone()), copy);
                }
                Change::DropCall { subsession } => {
                    self.calls.remove(&(commit.session.clone(), subsession));
                }
                Change::PutMessage(_) | Change::DropMessage { .. } => {}
            }
        }
    }
}

#[derive(Clone)]
pub(crate) struct World {
    limits: Limits,
    config: Arc<Config>,
    node: Node,
    starts: u8,
    now: Timestamp,
    disk: Disk,
    commits: VecDeque<Commit>,
    caller: Caller,
    phone: Phone,
    socket: Option<SocketId>,
    last_socket: u64,
    from_caller: VecDeque<Vec<u8>>,
    from_phone: VecDeque<Input>,
    from_push: VecDeque<PushId>,
    path: Vec<Step>,
    /// How long nothing but time has happened, in microseconds.
    quiet_us: u64,
    broken: Option<String>,
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.9:5060".to_owned(),
        peer: "192.0.2.1:5060".to_owned(),
        connection: None,
    }
}

impl World {
    /// A phone that connected, gave a token and went to sleep; nothing is under way.
    pub(crate) fn new(limits: Limits) -> Self {
        let mut config = Config::new("example.com", "192.0.2.9:5060");
        config.users.push(User {
            aor: "bob@example.com".to_owned(),
            username: "bob".to_owned(),
            secret: reveille_gateway_core::config::Secret("s".to_owned()),
        });
        #[cfg(feature = "mutants")]
        {
            config.defect = limits.defect;
        }
        let config = Arc::new(config);
        let mut world = Self {
            limits,
            node: Node::new(Arc::clone(&config), [0; 32]),
            config,
            starts: 0,
            now: Timestamp { mono_us: 1_000_000, wall_us: 1_900_000_000_000_000 },
            disk: Disk::default(),
            commits: VecDeque::new(),
            caller: Caller::default(),
            phone: Phone::new("", 0, 0),
            socket: None,
            last_socket: 0,
            from_caller: VecDeque::new(),
            from_phone: VecDeque::new(),
            from_push: VecDeque::new(),
            path: Vec::new(),
            quiet_us: 0,
            broken: None,
        };
        world.start_node();
        world.put_to_sleep();
        world.from_caller.push_back(Caller::invite());
        world
    }

    fn put_to_sleep(&mut self) {
        self.open_socket();
        let connect = json!({
            "control": {"type": "request", "package_type": "register", "sequence": 1},
            "header": {"action": "connect", "initiator": "bob@example.com"},
            "payload": {"deviceToken": "tok"},
        });
        let socket = self.socket.expect("just opened");
        self.run_calm(Input::SocketText { socket, text: connect.to_string() });
        let id = self.disk.sessions.keys().next().expect("the session is stored").clone();
        let sleep = json!({
            "control": {"type": "request", "package_type": "register", "sequence": 2,
                "session_id": id.as_str(), "correlation_id": "c2", "ack_sequence": 1},
            "header": {"action": "hibernate", "ttl": 3600},
        });
        self.run_calm(Input::SocketText { socket, text: sleep.to_string() });
        self.run_calm(Input::SocketClosed { socket, code: Some(4001) });
        self.socket = None;
        let out = self.disk.sessions[&id].last_out;
        self.phone = Phone::new(id.as_str(), out, 2);
        self.from_phone.clear();
    }

    /// One input with every commit durable at once.
    fn run_calm(&mut self, input: Input) {
        self.feed(input);
        while !self.commits.is_empty() {
            self.commit_first();
        }
    }

    fn start_node(&mut self) {
        self.starts += 1;
        self.node = Node::new(Arc::clone(&self.config), [self.starts; 32]);
        let sessions = self.disk.sessions.values().cloned().collect();
        let calls = self.disk.calls.values().cloned().collect();
        self.feed(Input::Started { sessions, calls, messages: Vec::new() });
    }

    fn open_socket(&mut self) {
        self.last_socket += 1;
        let socket = SocketId(self.last_socket);
        self.socket = Some(socket);
        self.feed(Input::SocketOpened { socket, user: "bob".to_owned(), app: "app".to_owned() });
    }

    /// The app is launched, or finds its network again.
    fn come_back(&mut self) {
        if self.socket.is_none() {
            self.open_socket();
            let text = self.phone.resume();
            self.phone_says(vec![text]);
        }
    }

    fn phone_says(&mut self, texts: Vec<String>) {
        let Some(socket) = self.socket else { return };
        for text in texts {
            self.from_phone.push_back(Input::SocketText { socket, text });
        }
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.node.handle(self.now, input, &mut out);
        for output in out {
            self.carry(output);
        }
    }

    fn carry(&mut self, output: Output) {
        match output {
            Output::Sip { bytes, .. } => self.deliver_to_caller(&bytes),
            Output::Text { socket, text } if Some(socket) == self.socket => {
                let said = self.phone.hear(&text);
                self.phone_says(said);
            }
            Output::Close { socket, .. } if Some(socket) == self.socket => self.socket = None,
            Output::Text { .. }
            | Output::Close { .. }
            | Output::Claim(_)
            | Output::KeepAlive { .. }
            | Output::Trace(_) => {}
            Output::Store(commit) => self.commits.push_back(commit),
            Output::Notify(request) => {
                self.demand_record("a push");
                self.from_push.push_back(request.id);
            }
        }
    }

    /// Durable before promise: whatever speaks of the call rests on a record that is on disk.
    fn demand_record(&mut self, what: &str) {
        if self.disk.calls.is_empty() && self.caller.finals.is_empty() {
            self.broken.get_or_insert(format!("{what} left before the call was on disk"));
        }
    }

    fn deliver_to_caller(&mut self, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else {
            self.broken.get_or_insert("the gateway sent malformed SIP".to_owned());
            return;
        };
        if message.is_request() {
            self.broken.get_or_insert("the gateway hung up an answered call".to_owned());
            return;
        }
        self.demand_record("a response");
        if message.status() == Some(200)
            && message.cseq().is_ok_and(|cseq| cseq.method.as_str() == "INVITE")
            && message.body != ANSWER.as_bytes()
        {
            self.broken.get_or_insert("the 200 does not carry the app's answer".to_owned());
        }
        let said = self.caller.hear(bytes);
        self.from_caller.extend(said);
    }

    fn commit_first(&mut self) {
        if let Some(commit) = self.commits.pop_front() {
            let (session, token) = (commit.session.clone(), commit.token);
            self.disk.apply(commit);
            self.feed(Input::Stored { session, token });
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut add = |possible: bool, step| {
            if possible {
                steps.push(step);
            }
        };
        add(!self.commits.is_empty(), Step::Commit);
        add(!self.from_caller.is_empty(), Step::FromCaller);
        add(!self.from_phone.is_empty(), Step::FromPhone);
        add(!self.from_push.is_empty(), Step::FromPush);
        let busy = !steps.is_empty();
        let mut add = |possible: bool, step| {
            if possible {
                steps.push(step);
            }
        };
        add(busy && self.limits.repeats > 0 && self.caller.finals.is_empty(), Step::Repeat);
        let may_cancel = self.limits.cancels > 0 && !self.caller.heard.is_empty();
        add(may_cancel && self.caller.finals.is_empty(), Step::Cancel);
        add(busy && self.limits.drops > 0 && self.socket.is_some(), Step::Drop);
        if busy && self.limits.crashes > 0 {
            steps.extend((0..=self.commits.len()).map(Step::Crash));
        }
        steps
    }

    fn take(&mut self, step: Step) {
        self.path.push(step);
        self.quiet_us = 0;
        self.now = self.now.plus_us(1_000);
        match step {
            Step::Commit => self.commit_first(),
            Step::FromCaller => {
                if let Some(bytes) = self.from_caller.pop_front() {
                    let message = Message::parse(&bytes).expect("the caller is well-formed");
                    self.feed(Input::Sip { flow: flow(), message: Box::new(message) });
                }
            }
            Step::FromPhone => {
                if let Some(input) = self.from_phone.pop_front() {
                    self.feed(input);
                }
            }
            Step::FromPush => {
                if let Some(push) = self.from_push.pop_front() {
                    self.feed(Input::Pushed { push, outcome: PushOutcome::Accepted });
                    self.come_back();
                }
            }
            Step::Crash(durable) => self.crash(durable),
            Step::Repeat => {
                self.limits.repeats -= 1;
                self.from_caller.push_back(Caller::invite());
            }
            Step::Cancel => {
                self.limits.cancels -= 1;
                self.caller.cancelled = true;
                self.from_caller.push_back(Caller::cancel());
            }
            Step::Drop => {
                self.limits.drops -= 1;
                self.lose_socket();
            }
        }
    }

    fn lose_socket(&mut self) {
        if let Some(socket) = self.socket.take() {
            self.from_phone.clear();
            self.from_phone.push_back(Input::SocketClosed { socket, code: None });
        }
    }

    fn crash(&mut self, durable: usize) {
        self.limits.crashes -= 1;
        for commit in std::mem::take(&mut self.commits).into_iter().take(durable) {
            self.disk.apply(commit);
        }
        self.socket = None;
        self.from_phone.clear();
        self.from_caller.clear();
        let pushed = !std::mem::take(&mut self.from_push).is_empty();
        self.start_node();
        if pushed {
            self.come_back();
        }
    }

    /// Nothing is under way: time passes until somebody acts by itself. True if somebody did.
    fn pass_time(&mut self) -> bool {
        if self.quiet_us > PATIENCE_US {
            return false;
        }
        if self.caller.heard.is_empty() {
            self.from_caller.push_back(Caller::invite());
            return true;
        }
        if self.caller.cancelled && !self.caller.cancel_answered {
            self.from_caller.push_back(Caller::cancel());
            return true;
        }
        let awake = !self.phone.rings.is_empty() || self.last_socket > 1;
        if self.socket.is_none() && awake {
            self.come_back();
            return true;
        }
        if let Some(socket) = self.socket {
            self.feed(Input::SocketText { socket, text: "ping".to_owned() });
        }
        let due_us = self.node.next_deadline_us().unwrap_or(u64::MAX);
        let step_us = due_us.saturating_sub(self.now.mono_us).clamp(1, PING_US);
        self.quiet_us += step_us;
        self.now = self.now.plus_us(step_us);
        self.feed(Input::Tick);
        true
    }

    pub(crate) fn explore(mut self, tally: &mut Tally) -> Result<(), String> {
        loop {
            if let Some(broken) = self.broken.clone().or_else(|| self.phone.complaint.clone()) {
                return Err(self.tell(&broken));
            }
            let steps = self.steps();
            let forced = steps.iter().all(|step| matches!(step, Step::Cancel));
            if forced && !steps.is_empty() {
                // Quiet, but the caller may still cancel: both futures.
                let mut later = self.clone();
                later.take(steps[0]);
                tally.steps += 1;
                later.explore(tally)?;
                self.limits.cancels = 0;
                continue;
            }
            if steps.is_empty() {
                if self.pass_time() {
                    continue;
                }
                return self.judge(tally);
            }
            for step in &steps[1..] {
                let mut fork = self.clone();
                fork.take(*step);
                tally.steps += 1;
                tally.crashes += u64::from(matches!(step, Step::Crash(_)));
                fork.explore(tally)?;
            }
            self.take(steps[0]);
            tally.steps += 1;
        }
    }

    fn judge(self, tally: &mut Tally) -> Result<(), String> {
        tally.paths += 1;
        tally.longest = tally.longest.max(self.path.len());
        let (caller, phone) = (&self.caller, &self.phone);
        let wrong = |what: &str| Err(self.tell(what));
        if !caller.heard.contains(&100) {
            return wrong("the caller never heard 100");
        }
        match caller.finals.as_slice() {
            [] => return wrong("the caller was left without an answer"),
            [200] if phone.completed != 1 => return wrong("the app was not told of the ACK, once"),
            [200] => {}
            [487] if caller.cancelled => {}
            [other] => return wrong(&format!("the call ended with {other}")),
            _ => return wrong("the caller heard two final responses"),
        }
        if caller.tags.len() > 1 {
            return wrong("the To tag changed");
        }
        let mut rings = phone.starts.clone();
        rings.dedup();
        if rings.len() > 1 {
            return wrong("the app was given the call twice");
        }
        if caller.finals == [487] && rings.len() > phone.ended.len() {
            return wrong("the app rings although the caller gave up");
        }
        if caller.finals == [487] && phone.ended.len() > rings.len() {
            return wrong("the app was told of the end of a call it never had");
        }
        Ok(())
    }

    fn tell(&self, what: &str) -> String {
        let (caller, phone) = (&self.caller, &self.phone);
        let path: Vec<Value> = self.path.iter().map(|step| format!("{step:?}").into()).collect();
        format!(
            "{what}\n  path   {}\n  caller heard {:?}, tags {:?}\n  app    starts {:?}, ended {:?}",
            Value::from(path),
            caller.heard,
            caller.tags,
            phone.starts,
            phone.ended
        )
    }
}
