//! Messages for one app, every order in which they and the commits can meet, and a crash at every
//! point: each is given to the app once, and its sender is told something true, once.

use std::collections::VecDeque;
use std::sync::Arc;

use reveille_gateway_core::config::Config;
use reveille_gateway_core::io::{Commit, Input, Output, PushId, PushOutcome, SocketId};
use reveille_gateway_core::node::Node;
use reveille_trace::Timestamp;
use reveille_wire::sip::Message;
use serde_json::{Value, json};

use crate::disk::Disk;
use crate::rig::{config, udp};

/// Nothing of a message is left after this long without anything but time.
const PATIENCE_US: u64 = 120_000_000;
/// A sender gives up after 64*T1, and repeats its request meanwhile.
const TIMER_F_US: u64 = 32_000_000;
const REPEAT_US: u64 = 4_000_000;
/// A phone that does not come when it is pushed comes by itself this much later.
const LATE_US: u64 = 45_000_000;

#[derive(Debug, Clone, Copy)]
struct Limits {
    messages: usize,
    crashes: u32,
    repeats: u32,
    drops: u32,
    /// The phone is connected from the start.
    awake: bool,
    /// The phone comes when it is pushed; else long after its sender was answered.
    prompt: bool,
    /// It confirms each message, and never answers it.
    silent: bool,
}

const CALM: Limits = Limits {
    messages: 1,
    crashes: 0,
    repeats: 0,
    drops: 0,
    awake: false,
    prompt: true,
    silent: false,
};

#[derive(Debug, Clone, Copy)]
enum Step {
    Commit,
    FromSender,
    FromPhone,
    FromPush,
    /// So many of the commits under way became durable unheard.
    Crash(usize),
    Repeat,
    Drop,
}

#[derive(Debug, Clone, Default)]
struct Sent {
    finals: Vec<u16>,
    first_us: u64,
    last_us: u64,
}

/// An app that takes each number once and says what it has.
#[derive(Debug, Clone)]
struct Phone {
    session: String,
    last_in: u64,
    last_out: u64,
    unacknowledged: Vec<(u64, String)>,
    given: Vec<String>,
}

impl Phone {
    fn resume(&self) -> String {
        json!({"control": {"type": "request", "session_id": self.session},
            "header": {"action": "connect", "cslr": self.last_in, "subsessions": []}})
        .to_string()
    }

    fn hear(&mut self, text: &str, silent: bool) -> Vec<String> {
        let Ok(frame) = serde_json::from_str::<Value>(text) else { return Vec::new() };
        let (control, header) = (&frame["control"], &frame["header"]);
        let acked = control["ack_sequence"].as_u64().max(header["sslr"].as_u64()).unwrap_or(0);
        self.unacknowledged.retain(|(sequence, _)| *sequence > acked);
        if header["sslr"].is_u64() {
            return self.unacknowledged.iter().map(|(_, text)| text.clone()).collect();
        }
        let sequence = control["sequence"].as_u64().unwrap_or(0);
        if sequence != self.last_in + 1 {
            return Vec::new();
        }
        self.last_in = sequence;
        if header["action"] != "send" || control["type"] != "request" {
            return Vec::new();
        }
        self.given.push(frame["payload"]["content"].as_str().unwrap_or_default().to_owned());
        if silent {
            return vec![
                json!({"control": {"type": "acknowledgement", "ack_sequence": sequence}})
                    .to_string(),
            ];
        }
        self.last_out += 1;
        let answer = json!({
            "control": {"type": "response", "package_type": "messaging", "message_state": "final",
                "sequence": self.last_out, "ack_sequence": self.last_in,
                "subsession_id": control["subsession_id"],
                "correlation_id": control["correlation_id"]},
            "header": {"action": "send", "response_code": 200}, "payload": {},
        });
        self.unacknowledged.push((self.last_out, answer.to_string()));
        vec![answer.to_string()]
    }
}

#[derive(Clone)]
struct World {
    limits: Limits,
    config: Arc<Config>,
    node: Node,
    starts: u8,
    now: Timestamp,
    disk: Disk,
    commits: VecDeque<Commit>,
    sent: Vec<Sent>,
    phone: Phone,
    socket: Option<SocketId>,
    last_socket: u64,
    from_sender: VecDeque<usize>,
    from_phone: VecDeque<Input>,
    from_push: VecDeque<PushId>,
    path: Vec<Step>,
    quiet_us: u64,
    broken: Option<String>,
}

#[derive(Debug, Default)]
struct Tally {
    paths: u64,
    crashes: u64,
}

fn request(nth: usize) -> Box<Message> {
    let text = format!(
        "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{nth}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\n\
         Call-ID: m{nth}\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n\
         m{nth}"
    );
    Box::new(Message::parse(text.as_bytes()).expect("well-formed"))
}

impl World {
    fn new(limits: Limits, config: Config) -> Self {
        let config = Arc::new(config);
        let phone = Phone {
            session: String::new(),
            last_in: 0,
            last_out: 0,
            unacknowledged: Vec::new(),
            given: Vec::new(),
        };
        let mut world = Self {
            limits,
            node: Node::new(Arc::clone(&config), [0; 32]),
            config,
            starts: 0,
            now: Timestamp { mono_us: 1_000_000, wall_us: 1_900_000_000_000_000 },
            disk: Disk::default(),
            commits: VecDeque::new(),
            sent: vec![Sent::default(); limits.messages],
            phone,
            socket: None,
            last_socket: 0,
            from_sender: VecDeque::new(),
            from_phone: VecDeque::new(),
            from_push: VecDeque::new(),
            path: Vec::new(),
            quiet_us: 0,
            broken: None,
        };
        world.start_node();
        world.prepare();
        for nth in 0..limits.messages {
            world.submit(nth);
        }
        world
    }

    /// The app connects, and unless it stays awake it goes to sleep.
    fn prepare(&mut self) {
        self.open_socket();
        let socket = self.socket.expect("just opened");
        let connect = json!({"control": {"type": "request", "sequence": 1},
            "header": {"action": "connect"}, "payload": {"deviceToken": "tok"}});
        self.run_calm(Input::SocketText { socket, text: connect.to_string() });
        let id = self.disk.sessions.keys().next().expect("stored").clone();
        (self.phone.session, self.phone.last_out) = (id.to_string(), 1);
        if !self.limits.awake {
            let sleep = json!({"control": {"type": "request", "sequence": 2, "session_id": id.as_str(),
                "ack_sequence": 1}, "header": {"action": "hibernate", "ttl": 3600}});
            self.run_calm(Input::SocketText { socket, text: sleep.to_string() });
            self.run_calm(Input::SocketClosed { socket, code: Some(4001) });
            (self.socket, self.phone.last_out) = (None, 2);
        }
        self.phone.last_in = self.disk.sessions[&id].last_out;
        self.from_phone.clear();
    }

    fn run_calm(&mut self, input: Input) {
        self.feed(input);
        while !self.commits.is_empty() {
            self.commit_first();
        }
    }

    fn submit(&mut self, nth: usize) {
        let sent = &mut self.sent[nth];
        sent.last_us = self.now.mono_us;
        if sent.first_us == 0 {
            sent.first_us = self.now.mono_us;
        }
        self.from_sender.push_back(nth);
    }

    fn start_node(&mut self) {
        self.starts += 1;
        self.node = Node::new(Arc::clone(&self.config), [self.starts; 32]);
        self.feed(self.disk.started());
    }

    fn open_socket(&mut self) {
        self.last_socket += 1;
        let socket = SocketId(self.last_socket);
        self.socket = Some(socket);
        self.feed(Input::SocketOpened { socket, user: "bob".to_owned(), app: "app".to_owned() });
    }

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
            match output {
                Output::Sip { bytes, .. } => self.hear(&bytes),
                Output::Text { socket, text } if Some(socket) == self.socket => {
                    let said = self.phone.hear(&text, self.limits.silent);
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
                    if self.disk.messages.is_empty() {
                        self.broken.get_or_insert("a push left before its message".to_owned());
                    }
                    self.from_push.push_back(request.id);
                }
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let response = Message::parse(bytes).expect("well-formed");
        let call_id = response.call_id().expect("a Call-ID").to_owned();
        let status = response.status().expect("only responses go to senders");
        let nth: usize = call_id[1..].parse().expect("ours");
        if status < 200 {
            return;
        }
        let record = self.disk.messages.values().find(|it| it.identity.starts_with(&call_id));
        let answer = record.and_then(|record| record.answer.as_ref());
        if answer.map(|answer| answer.status) != Some(status) {
            self.broken.get_or_insert(format!("{status} left before it was on record"));
        }
        if !self.sent[nth].finals.contains(&status) {
            self.sent[nth].finals.push(status);
        }
    }

    fn commit_first(&mut self) {
        if let Some(commit) = self.commits.pop_front() {
            self.disk.apply(&commit);
            self.feed(Input::Stored { session: commit.session, token: commit.token });
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
        add(!self.from_sender.is_empty(), Step::FromSender);
        add(!self.from_phone.is_empty(), Step::FromPhone);
        add(!self.from_push.is_empty(), Step::FromPush);
        if !steps.is_empty() {
            let may_repeat = self.now.mono_us < self.sent[0].first_us + TIMER_F_US;
            if self.limits.repeats > 0 && may_repeat {
                steps.push(Step::Repeat);
            }
            if self.limits.drops > 0 && self.socket.is_some() {
                steps.push(Step::Drop);
            }
            if self.limits.crashes > 0 {
                steps.extend((0..=self.commits.len()).map(Step::Crash));
            }
        }
        steps
    }

    fn take(&mut self, step: Step) {
        self.path.push(step);
        self.quiet_us = 0;
        self.now = self.now.plus_us(1_000);
        match step {
            Step::Commit => self.commit_first(),
            Step::FromSender => {
                if let Some(nth) = self.from_sender.pop_front() {
                    self.feed(Input::Sip { flow: udp(), message: request(nth) });
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
                    if self.limits.prompt {
                        self.come_back();
                    }
                }
            }
            Step::Crash(durable) => self.crash(durable),
            Step::Repeat => {
                self.limits.repeats -= 1;
                self.submit(0);
            }
            Step::Drop => {
                self.limits.drops -= 1;
                if let Some(socket) = self.socket.take() {
                    self.from_phone.clear();
                    self.from_phone.push_back(Input::SocketClosed { socket, code: None });
                }
            }
        }
    }

    fn crash(&mut self, durable: usize) {
        self.limits.crashes -= 1;
        for commit in std::mem::take(&mut self.commits).iter().take(durable) {
            self.disk.apply(commit);
        }
        self.socket = None;
        self.from_phone.clear();
        self.from_sender.clear();
        self.from_push.clear();
        self.start_node();
        if self.limits.prompt {
            self.come_back();
        }
    }

    /// Nothing is under way: time passes. False if nothing more can come.
    fn pass_time(&mut self) -> bool {
        let now_us = self.now.mono_us;
        let owed = |sent: &Sent| sent.finals.is_empty() && now_us < sent.first_us + TIMER_F_US;
        let due: Vec<_> = (0..self.sent.len())
            .filter(|nth| owed(&self.sent[*nth]) && now_us >= self.sent[*nth].last_us + REPEAT_US)
            .collect();
        for nth in &due {
            self.submit(*nth);
        }
        if self.socket.is_none() && (self.limits.prompt || self.quiet_us > LATE_US) {
            self.come_back();
            return true;
        }
        if !due.is_empty() {
            return true;
        }
        if self.quiet_us > PATIENCE_US {
            return false;
        }
        if let Some(socket) = self.socket {
            self.feed(Input::SocketText { socket, text: "ping".to_owned() });
        }
        let due_us = self.node.next_deadline_us().unwrap_or(u64::MAX);
        let step_us = due_us.saturating_sub(now_us).clamp(1, REPEAT_US / 2);
        self.quiet_us += step_us;
        self.now = self.now.plus_us(step_us);
        self.feed(Input::Tick);
        true
    }

    fn explore(mut self, tally: &mut Tally) -> Result<(), String> {
        loop {
            if let Some(broken) = &self.broken {
                return Err(self.tell(broken));
            }
            let steps = self.steps();
            if steps.is_empty() {
                if self.pass_time() {
                    continue;
                }
                return self.judge(tally);
            }
            for step in &steps[1..] {
                let mut fork = self.clone();
                fork.take(*step);
                tally.crashes += u64::from(matches!(step, Step::Crash(_)));
                fork.explore(tally)?;
            }
            self.take(steps[0]);
        }
    }

    fn judge(self, tally: &mut Tally) -> Result<(), String> {
        tally.paths += 1;
        for (nth, sent) in self.sent.iter().enumerate() {
            let times = self.phone.given.iter().filter(|it| **it == format!("m{nth}")).count();
            match sent.finals.as_slice() {
                [200 | 202] if times == 1 => {}
                [200 | 202] => return Err(self.tell(&format!("m{nth} was given {times} times"))),
                [] => return Err(self.tell(&format!("the sender of m{nth} was left alone"))),
                other => return Err(self.tell(&format!("the sender of m{nth} heard {other:?}"))),
            }
        }
        let calm = self.limits.crashes == 0 && !self.path.iter().any(is_crash);
        if calm && !self.phone.given.is_sorted() {
            return Err(self.tell("the messages were given out of order"));
        }
        if !self.disk.messages.is_empty() {
            return Err(self.tell("a record was left behind"));
        }
        Ok(())
    }

    fn tell(&self, what: &str) -> String {
        let (path, sent, given) = (&self.path, &self.sent, &self.phone.given);
        format!("{what}\n  path  {path:?}\n  sent  {sent:?}\n  given {given:?}")
    }
}

const fn is_crash(step: &Step) -> bool {
    matches!(step, Step::Crash(_))
}

fn assert_each_once(name: &str, limits: Limits, least_paths: u64) {
    let mut tally = Tally::default();
    let outcome = World::new(limits, config()).explore(&mut tally);
    println!("{name}: {} paths, {} crashes", tally.paths, tally.crashes);
    if let Err(wrong) = outcome {
        panic!("{name}: {wrong}");
    }
    assert!(tally.paths >= least_paths, "{name}: only {} paths", tally.paths);
}

#[test]
fn a_message_for_a_sleeper_in_every_order() {
    assert_each_once("sleeper", Limits { repeats: 1, drops: 1, ..CALM }, 100);
    assert_each_once("two messages", Limits { messages: 2, drops: 1, ..CALM }, 50);
}

#[test]
fn a_message_for_a_sleeper_wherever_the_gateway_crashes() {
    assert_each_once("sleeper, one crash", Limits { crashes: 1, repeats: 1, ..CALM }, 200);
    assert_each_once("sleeper, two crashes", Limits { crashes: 2, ..CALM }, 200);
    assert_each_once("sleeper, crash and drop", Limits { crashes: 1, drops: 1, ..CALM }, 200);
}

#[test]
fn a_message_for_an_awake_app_wherever_the_gateway_crashes() {
    let awake = Limits { awake: true, ..CALM };
    assert_each_once("awake", Limits { repeats: 1, drops: 1, ..awake }, 20);
    assert_each_once("awake, two crashes", Limits { crashes: 2, repeats: 1, ..awake }, 200);
    assert_each_once("awake, crash and drop", Limits { crashes: 1, drops: 1, ..awake }, 50);
}

#[test]
fn two_messages_wherever_the_gateway_crashes() {
    assert_each_once("two, one crash", Limits { messages: 2, crashes: 1, ..CALM }, 1_000);
}

#[test]
fn a_message_for_a_phone_that_comes_late_or_never_answers() {
    let late = Limits { prompt: false, ..CALM };
    assert_each_once("late, two crashes", Limits { crashes: 2, ..late }, 50);
    let silent = Limits { silent: true, ..CALM };
    assert_each_once("silent, two crashes", Limits { crashes: 2, ..silent }, 100);
}

/// A gateway that does not wait for its disk is found out.
#[cfg(feature = "mutants")]
#[test]
fn the_loop_finds_a_promise_that_does_not_wait() {
    let mut defective = config();
    defective.defect = Some(reveille_gateway_core::mutant::Defect::DeliversBeforeStored);
    let limits = Limits { crashes: 1, ..CALM };
    let outcome = World::new(limits, defective).explore(&mut Tally::default());
    assert!(outcome.is_err(), "a planted defect went unseen");
}
