//! The session: numbers, acknowledgement, replay, sleep, and messages that are given once and in
//! order, whatever the app, its network, the disk and the process do.

use std::sync::LazyLock;

use proptest::prelude::*;
use reveille_gateway_core::config::Config;
use reveille_gateway_core::io::{Input, SocketId};
use serde_json::{Value, json};

use crate::bench::{Bench, Seen, config, with_registrar};
use crate::cases;
use crate::phone::{News, Phone};
use crate::sip::{Heard, request};

const NAMES: [&str; 4] = ["m0", "m1", "m2", "m3"];
const MESSAGE_WAIT_MS: u64 = 5_000;
const ACKNOWLEDGE_MS: u64 = 1_000;
const CLOSE_WAIT_MS: u64 = 5_000;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    Wait(u64),
    /// Somebody sends the app a message.
    Message,
    /// The app confirms the oldest message that it has.
    Confirm,
    /// The app asks for something that is answered at once.
    Enquire,
    /// The app says its last frame again, or leaves a number out.
    Again,
    Gap,
    /// The app places a call, which nobody answers.
    Place,
    /// The app asks to sleep; and closes as one that sleeps.
    Sleep,
    Close,
    Deaf,
    Lose,
    Attach,
    Hold,
    Commit(usize),
    Crash(usize),
}

const WAITS: [u64; 8] = [1, 500, 999, 1_000, 4_000, 4_999, 5_000, 16_000];

pub(crate) fn op() -> impl Strategy<Value = Op> {
    (0u8..32, 0usize..24).prop_map(|(kind, which)| match kind {
        0..=4 => Op::Wait(WAITS[which % WAITS.len()]),
        5..=8 => Op::Message,
        9..=11 => Op::Confirm,
        12..=14 => Op::Enquire,
        15 => Op::Again,
        16 => Op::Gap,
        17 => Op::Place,
        18..=20 => Op::Sleep,
        21..=22 => Op::Close,
        23 => Op::Deaf,
        24 => Op::Lose,
        25..=27 => Op::Attach,
        28 => Op::Hold,
        29..=30 => Op::Commit(1 + which % 3),
        _ => Op::Crash(which % 4),
    })
}

/// A message for the app.
#[derive(Debug, Clone, Default)]
struct Note {
    sent_at: u64,
    given: Option<Value>,
    confirmed: bool,
    heard: Option<u16>,
    /// A crash may have taken it, or what its sender is to hear and when.
    unsure: bool,
}

struct Run {
    bench: Bench,
    phone: Phone,
    notes: Vec<Note>,
    /// What the app asked and is not answered: correlation, and the codes that may answer it.
    asked: Vec<(String, Vec<u64>)>,
    last: Option<Value>,
    /// The call that the app placed lives, for all that it was told.
    placed: Option<String>,
    crashed: bool,
    /// The sleep was granted: since when, and that nothing goes to the socket any more.
    granted: Option<u64>,
    said_at: u64,
    /// The socket on which the app asked for its sleep last, and since when.
    sleep_asked: Option<(u64, u64)>,
}

impl Run {
    fn new(bench: &Bench) -> Self {
        let mut phone = Phone::new(bench.session.clone(), 1, 1);
        (phone.socket, phone.synced) = (Some(1), true);
        Self {
            bench: bench.clone(),
            phone,
            notes: Vec::new(),
            asked: Vec::new(),
            last: None,
            placed: None,
            crashed: false,
            granted: None,
            said_at: 0,
            sleep_asked: None,
        }
    }

    /// The socket, if the app may speak on it.
    const fn socket(&self) -> Option<u64> {
        if self.phone.synced && !self.phone.deaf && self.granted.is_none() {
            self.phone.socket
        } else {
            None
        }
    }

    /// The socket that carries what the app says: it may be deaf and not know.
    const fn uplink(&self) -> Option<u64> {
        if self.phone.synced && self.granted.is_none() { self.phone.socket } else { None }
    }

    fn step(&mut self, op: Op) -> Result<(), String> {
        match op {
            Op::Wait(ms) => self.bench.wait_ms(ms),
            Op::Message => self.message(),
            Op::Confirm => self.confirm(),
            Op::Enquire => self.request("register", "iceEnquiry", &[200, 404]),
            Op::Again => self.again(),
            Op::Gap => self.gap(),
            Op::Place => self.place(),
            Op::Sleep => self.sleep(),
            Op::Close => self.close(self.granted.map(|_| 4001)),
            Op::Deaf => self.phone.deaf |= self.socket().is_some(),
            Op::Lose if self.granted.is_none() => self.close(None),
            Op::Lose => {}
            Op::Attach => self.attach(),
            Op::Hold => {
                self.bench.hold ^= true;
                self.bench.commit(if self.bench.hold { 0 } else { usize::MAX });
            }
            Op::Commit(most) => self.bench.commit(most),
            Op::Crash(durable) => self.crash(durable),
        }
        self.look()?;
        if self.bench.commits.is_empty() { self.settled() } else { Ok(()) }
    }

    fn message(&mut self) {
        let of = self.notes.len();
        if of < NAMES.len() {
            let sent_at = self.bench.now_ms();
            self.notes.push(Note { sent_at, ..Note::default() });
            self.bench.sip(true, request("MESSAGE", NAMES[of], "bob", true, ""));
        }
    }

    fn say(&mut self, frame: Value) {
        let Some(socket) = self.uplink() else { return };
        let frame = self.phone.say(frame);
        self.said_at = self.bench.now_ms();
        self.last = Some(frame.clone());
        self.bench.say(socket, &frame);
    }

    fn confirm(&mut self) {
        if self.socket().is_none() {
            return;
        }
        let open = self.notes.iter_mut().find(|it| it.given.is_some() && !it.confirmed);
        let Some(note) = open else { return };
        note.confirmed = true;
        let control = note.given.as_ref().map(|it| it["control"].clone()).unwrap_or_default();
        self.say(json!({
            "control": {"type": "response", "package_type": "messaging",
                "message_state": "final", "correlation_id": control["correlation_id"],
                "subsession_id": control["subsession_id"]},
            "header": {"action": "send", "response_code": 200}, "payload": {},
        }));
    }

    fn request(&mut self, package: &str, action: &str, codes: &[u64]) {
        if self.uplink().is_none() {
            return;
        }
        let correlation = format!("c{}", self.phone.last_out + 1);
        self.asked.push((correlation.clone(), codes.to_vec()));
        let mut frame = json!({
            "control": {"type": "request", "package_type": package,
                "correlation_id": correlation},
            "header": {"action": action, "initiator": "bob@example.com"}, "payload": {},
        });
        if action == "start" {
            frame["control"]["subsession_id"] = format!("u{correlation}").into();
            frame["header"]["target"] = "alice@example.com".into();
            frame["payload"]["sdp"] = "v=0\r\n".into();
        }
        self.say(frame);
    }

    fn place(&mut self) {
        if self.placed.is_none() && self.uplink().is_some() {
            self.placed = Some(format!("c{}", self.phone.last_out + 1));
            self.request("call", "start", &[408]);
        }
    }

    fn sleep(&mut self) {
        let Some(socket) = self.uplink() else { return };
        let before = self.sleep_asked.filter(|it| it.0 == socket);
        self.sleep_asked = before.or(Some((socket, self.bench.now_ms())));
        // A message that the app has not confirmed may keep it awake.
        let open = self.notes.iter().any(|it| !it.confirmed);
        let codes: &[u64] = match (self.placed.is_some(), open) {
            (true, _) if !self.crashed => &[491],
            (true, _) | (false, true) => &[200, 491],
            (false, false) => &[200],
        };
        self.request("register", "hibernate", codes);
    }

    fn again(&mut self) {
        if let (Some(socket), Some(last)) = (self.socket(), self.last.clone()) {
            self.said_at = self.bench.now_ms();
            self.bench.say(socket, &last);
        }
    }

    fn gap(&mut self) {
        let Some(socket) = self.socket() else { return };
        let sequence = self.phone.last_out + 2;
        let correlation = format!("g{sequence}");
        self.asked.push((correlation.clone(), vec![400]));
        let frame = json!({
            "control": {"type": "request", "package_type": "register", "sequence": sequence,
                "session_id": self.bench.session, "correlation_id": correlation},
            "header": {"action": "iceEnquiry"},
        });
        self.bench.say(socket, &frame);
    }

    fn close(&mut self, code: Option<u16>) {
        let Some(socket) = self.phone.socket.map(SocketId) else { return };
        self.phone.lose();
        self.granted = None;
        self.bench.feed(Input::SocketClosed { socket, code });
    }

    fn attach(&mut self) {
        self.granted = None;
        let (socket, frame) = self.phone.resume();
        self.bench.open(socket);
        self.bench.say(socket, &frame);
    }

    fn crash(&mut self, durable: usize) {
        let sure = self.bench.commits.len() <= durable;
        for note in &mut self.notes {
            note.unsure |= note.heard.is_none() || !sure;
        }
        self.asked.clear();
        self.phone.lose();
        self.granted = None;
        self.crashed = true;
        self.bench.crash(durable);
    }

    fn look(&mut self) -> Result<(), String> {
        while !self.bench.seen.is_empty() {
            for (at, seen) in std::mem::take(&mut self.bench.seen) {
                match seen {
                    Seen::Sip(heard) if heard.status > 0 => self.hear(at, &heard)?,
                    Seen::Text(socket, frame) => self.text(at, socket, &frame)?,
                    Seen::Close(socket, code) if Some(socket) == self.phone.socket => {
                        // Counted from the request: the disk may keep the grant back for longer.
                        let (on, since) = self.sleep_asked.unwrap_or_default();
                        let due = on == socket && at >= since + CLOSE_WAIT_MS;
                        if code != 4002 || !due {
                            return Err(format!("the app in use is closed with {code} at {at}"));
                        }
                        self.close(Some(4002));
                    }
                    Seen::Sip(_) | Seen::Close(..) | Seen::Push(_) => {}
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, at: u64, heard: &Heard) -> Result<(), String> {
        let of = NAMES.iter().position(|name| *name == heard.call).ok_or("a stranger's message")?;
        let note = self.notes.get_mut(of).ok_or("an answer to nothing")?;
        let due = note.sent_at + MESSAGE_WAIT_MS;
        match heard.status {
            100 => return Ok(()),
            200 if note.confirmed => {}
            202 if at >= due || note.unsure => {}
            status => return Err(format!("{status} for {} at {at}: {note:?}", heard.call)),
        }
        if note.heard.is_some_and(|it| it != heard.status) {
            return Err(format!("{} after another answer: {note:?}", heard.status));
        }
        note.heard = Some(heard.status);
        Ok(())
    }

    fn text(&mut self, at: u64, socket: u64, frame: &Value) -> Result<(), String> {
        // What the app said before it heard of the grant is answered yet.
        if self.granted.is_some() && frame["control"]["type"] == "request" {
            return Err(format!("a frame after the sleep was granted: {frame}"));
        }
        let fresh = self.phone.sends_fresh(frame);
        let news = self.phone.hear(socket, frame)?;
        let action = frame["header"]["action"].as_str().unwrap_or_default();
        if fresh && action == "send" && frame["control"]["type"] == "request" {
            self.give(frame)?;
        }
        if fresh && frame["control"]["correlation_id"].as_str() == self.placed.as_deref() {
            self.placed = None;
        }
        match news {
            Some(News::Resumed(_)) => {
                for frame in self.phone.unsent() {
                    self.said_at = at;
                    self.bench.say(socket, &frame);
                }
            }
            Some(News::Answer { correlation, code, .. }) => {
                let place = self.asked.iter().position(|it| it.0 == correlation);
                if let Some((_, codes)) = place.map(|place| self.asked.remove(place))
                    && !codes.contains(&code)
                {
                    return Err(format!("{code} for {correlation}, and not one of {codes:?}"));
                }
                let asked_on = self.sleep_asked.map(|it| it.0);
                // A grant that comes again after a resume is one of the past.
                if action == "hibernate" && code == 200 && asked_on == Some(socket) {
                    self.granted = Some(at);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn give(&mut self, frame: &Value) -> Result<(), String> {
        let content = frame["payload"]["content"].as_str().unwrap_or_default();
        let of = NAMES.iter().position(|name| content == format!("hello of {name}"));
        let of = of.filter(|of| *of < self.notes.len()).ok_or("a message from nobody")?;
        let earlier = self.notes[..of].iter().any(|it| it.given.is_none() && !it.unsure);
        let note = &mut self.notes[of];
        if note.given.is_some() || earlier {
            return Err(format!("{} is given again, or too early: {frame}", NAMES[of]));
        }
        note.given = Some(frame.clone());
        Ok(())
    }

    /// The disk is still: what is owed was paid.
    fn settled(&self) -> Result<(), String> {
        let now = self.bench.now_ms();
        for (note, name) in self.notes.iter().zip(NAMES) {
            let due = note.confirmed || now >= note.sent_at + MESSAGE_WAIT_MS;
            if due && note.heard.is_none() && !note.unsure {
                return Err(format!("the sender of {name} waits at {now}: {note:?}"));
            }
        }
        if self.granted.is_some_and(|since| now >= since + CLOSE_WAIT_MS) {
            return Err(format!("the socket of a sleeper is open at {now}"));
        }
        if self.socket().is_none() {
            return Ok(());
        }
        let lacks = |it: &&Note| it.given.is_none() && (!it.unsure || it.heard.is_some());
        if let Some(note) = self.notes.iter().find(lacks) {
            return Err(format!("the app lacks a message at {now}: {note:?}"));
        }
        let unanswered = self.asked.iter().find(|it| it.1 != [408]);
        if let Some((correlation, _)) = unanswered.filter(|_| self.phone.hears_all()) {
            return Err(format!("{correlation} is not answered at {now}"));
        }
        if now >= self.said_at + ACKNOWLEDGE_MS && !self.phone.unsent().is_empty() {
            return Err(format!("the app's frames are not acknowledged at {now}"));
        }
        Ok(())
    }
}

static START: LazyLock<Bench> = LazyLock::new(|| start(config()));

fn start(config: Config) -> Bench {
    let idle_limit_ms = (100_000_000, 100_000_000);
    Bench::awake(with_registrar(Config { idle_limit_ms, ..config }))
}

fn check(bench: &Bench, ops: &[Op]) -> Result<(), String> {
    let mut run = Run::new(bench);
    cases::each(ops, |op| run.step(op))
}

/// What the model says of a node so configured.
#[cfg(feature = "mutants")]
pub(crate) fn outcome(config: Config, cases: u32) -> Result<(), String> {
    let bench = start(config);
    cases::outcome(cases, 16, op(), |ops| check(&bench, ops))
}

#[test]
fn a_session_counts_confirms_repeats_and_sleeps_as_the_protocol_says() {
    cases::hold(1_500, 16, op(), |ops| check(&START, ops));
}
