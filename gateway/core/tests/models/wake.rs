//! The wake: several callers, one sleeping phone, a push service that answers as it likes, commits
//! that come late, and crashes. After each step everything that was seen had a reason, and once the
//! disk is still, everything that is owed was seen.

use std::sync::LazyLock;

use proptest::prelude::*;
use reveille_gateway_core::config::Config;
use reveille_gateway_core::io::{Input, PushOutcome, SocketId};
use serde_json::{Value, json};

use crate::bench::{Bench, Seen, config};
use crate::cases;
use crate::held::{BUDGET_MS, Held, NO_ACK_MS};
use crate::phone::{News, Phone};
use crate::pushes::{Pushes, Token};
use crate::sip::{Heard, request};

const CALLERS: usize = 3;
const NAMES: [&str; CALLERS] = ["w0", "w1", "w2"];
/// An app that says nothing for this long after a `start` is woken again.
const SILENCE_MS: u64 = 3_000;
const GRACE_MS: u64 = 60_000;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    Wait(u64),
    /// Sends the INVITE, or sends it again.
    Invite(usize),
    Cancel(usize),
    Ack(usize),
    /// The app comes back, or comes again.
    Attach,
    App(usize, u16),
    /// The service answers the oldest push.
    Push(Answer),
    /// The phone's connection is gone: unnoticed, noticed, or with its app.
    Deaf,
    Lose,
    Kill,
    /// Commits wait from now on, or no longer do.
    Hold,
    Commit(usize),
    /// The process dies; so many of the commits that wait became durable.
    Crash(usize),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Accepted,
    Refused,
    Failed,
    Transient(Option<u64>),
}

const WAITS: [u64; 12] =
    [1, 100, 500, 999, 1_000, 2_000, 3_000, 4_000, 10_000, 29_999, 30_000, 60_000];
const ANSWERS: [Answer; 6] = [
    Answer::Accepted,
    Answer::Transient(None),
    Answer::Transient(Some(1_500)),
    Answer::Transient(Some(40_000)),
    Answer::Failed,
    Answer::Refused,
];

pub(crate) fn op() -> impl Strategy<Value = Op> {
    (0u8..32, 0usize..36).prop_map(|(kind, which)| match kind {
        0..=6 => Op::Wait(WAITS[which % WAITS.len()]),
        7..=11 => Op::Invite(which % CALLERS),
        12..=13 => Op::Cancel(which % CALLERS),
        14..=15 => Op::Ack(which % CALLERS),
        16..=18 => Op::Attach,
        19..=22 => Op::App(which % CALLERS, [180, 200, 603][which / CALLERS % 3]),
        23..=24 => Op::Push(ANSWERS[which % ANSWERS.len()]),
        25 => [Op::Deaf, Op::Lose, Op::Kill][which % 3],
        26 => Op::Lose,
        27 => Op::Hold,
        28..=29 => Op::Commit(1 + which % 3),
        _ => Op::Crash(which % 4),
    })
}

struct Run {
    bench: Bench,
    calls: Vec<Held>,
    phone: Phone,
    pushes: Pushes,
    arrivals: u64,
    /// Since when the app owes a word on a `start`; and if it is being woken for that.
    silent: Option<(u64, bool)>,
    lost_at: Option<u64>,
    /// When the app said something last, its coming back included.
    word_at: u64,
    /// The session may have ended, by the rules; this model ends with it.
    over: bool,
}

impl Run {
    fn new(bench: &Bench) -> Self {
        Self {
            bench: bench.clone(),
            calls: vec![Held::default(); CALLERS],
            phone: Phone::new(bench.session.clone(), 2, 2),
            pushes: Pushes::new(),
            arrivals: 0,
            silent: None,
            lost_at: None,
            word_at: 0,
            over: false,
        }
    }

    const fn away(&self) -> bool {
        self.phone.socket.is_none()
    }

    fn step(&mut self, op: Op) -> Result<(), String> {
        let now = self.bench.now_ms();
        let underway = !self.away() && !self.bench.commits.is_empty();
        self.calls.iter_mut().for_each(|call| call.may_be_underway(underway));
        match op {
            Op::Wait(ms) => self.bench.wait_ms(ms),
            Op::Invite(of) => self.invite(of, now),
            Op::Cancel(of) => self.cancel(of),
            Op::Ack(of) => self.ack(of),
            Op::Attach => self.attach(now),
            Op::App(of, status) => self.app(of, status, now),
            Op::Push(answer) => self.push(answer, now),
            Op::Deaf => self.phone.deaf = !self.away(),
            Op::Lose => self.lose(now, false),
            Op::Kill => self.lose(now, true),
            Op::Hold => {
                self.bench.hold ^= true;
                self.bench.commit(if self.bench.hold { 0 } else { usize::MAX });
            }
            Op::Commit(most) => self.bench.commit(most),
            Op::Crash(durable) => self.crash(durable, now),
        }
        self.look()?;
        let now = self.bench.now_ms();
        self.pass(now);
        if self.bench.commits.is_empty() && !self.over { self.settled(now) } else { Ok(()) }
    }

    fn put(&mut self, method: &str, of: usize, to_tag: &str) {
        self.bench.sip(true, request(method, NAMES[of], "bob", true, to_tag));
    }

    fn invite(&mut self, of: usize, now: u64) {
        let call = &mut self.calls[of];
        if call.final_at.is_some() {
            return;
        }
        if call.limbo && call.heard.is_empty() {
            // It is new, or it is on record: nobody can know.
            call.limbo = false;
            call.deadline = (call.deadline.0, now + BUDGET_MS);
        }
        if call.invited.is_none() {
            self.pushes.join();
        }
        self.arrivals += 1;
        call.arrive(now, self.arrivals, self.bench.asked);
        if self.away() && self.pushes.token != Token::Alive {
            self.calls[of].allow(480);
        }
        self.episodes(now);
        self.put("INVITE", of, "");
    }

    fn cancel(&mut self, of: usize) {
        let call = &mut self.calls[of];
        if call.invited.is_none() {
            return;
        }
        if call.limbo {
            call.allow(487);
        } else {
            call.cancelled = true;
            call.decide(487);
        }
        self.episodes(self.bench.now_ms());
        self.put("CANCEL", of, "");
    }

    fn ack(&mut self, of: usize) {
        let Some((status, tag)) = self.calls[of].final_tag() else { return };
        self.calls[of].acknowledged = true;
        self.put(if status < 300 { "ACK2" } else { "ACK" }, of, &tag);
    }

    fn attach(&mut self, now: u64) {
        let lost_for = self.lost_at.map_or(0, |at| now - at);
        if lost_for >= GRACE_MS && self.pushes.token != Token::Alive {
            self.over = true;
            return;
        }
        let (cslr, still) = (self.phone.last_in, self.bench.commits.is_empty());
        for call in &mut self.calls {
            call.may.retain(|it| *it != 480 || call.must == Some(480) || call.unsure || !still);
            call.attached(cslr, &self.phone.holds);
        }
        let (socket, frame) = self.phone.resume();
        // What it was given and does not ring yet is watched from now on.
        let given = |call: &Held| call.is_open() && call.starts > 0 && !call.rings;
        self.silent = self.calls.iter().any(given).then_some((now, false));
        (self.lost_at, self.word_at) = (None, now);
        self.pushes.end();
        self.bench.open(socket);
        self.bench.say(socket, &frame);
    }

    fn app(&mut self, of: usize, status: u16, now: u64) {
        let Some(socket) = self.phone.socket.filter(|_| self.phone.synced && !self.phone.deaf)
        else {
            return;
        };
        let call = &self.calls[of];
        let Some(start) = call.start.clone() else { return };
        if call.decided_by_app || !self.phone.holds.contains(&subsession(&start)) {
            return;
        }
        let kind = if status < 300 { "response" } else { "error" };
        let mut frame = json!({
            "control": {"type": kind, "package_type": "call",
                "subsession_id": start["control"]["subsession_id"],
                "correlation_id": start["control"]["correlation_id"]},
            "header": {"action": "start"}, "payload": {},
        });
        match status {
            180 => frame["control"]["message_state"] = "subsequent".into(),
            200 => {
                frame["control"]["message_state"] = "final".into();
                frame["payload"]["sdp"] = format!("v=0\r\ns=of {}\r\n", NAMES[of]).into();
            }
            _ => frame["header"]["error_code"] = status.into(),
        }
        let frame = self.phone.say(frame);
        self.said(&frame, now);
        self.bench.say(socket, &frame);
    }

    /// The app's frame is with the gateway.
    fn said(&mut self, frame: &Value, now: u64) {
        (self.silent, self.word_at) = (None, now);
        let subsession = subsession(frame);
        let call = self.calls.iter_mut().find(|it| it.subsession.as_ref() == Some(&subsession));
        let Some(call) = call else { return };
        match frame["header"]["error_code"].as_u64() {
            Some(_) => {
                call.decide(603);
                call.decided_by_app = true;
                self.phone.holds.retain(|it| *it != subsession);
            }
            None if frame["control"]["message_state"] == "final" => {
                call.decide(200);
                call.decided_by_app = true;
            }
            None => call.ring(now),
        }
        self.episodes(now);
    }

    fn push(&mut self, answer: Answer, now: u64) {
        if self.pushes.unanswered.is_empty() {
            return;
        }
        let push = self.pushes.unanswered[0];
        let why = "told so".to_owned();
        let outcome = match answer {
            Answer::Accepted => PushOutcome::Accepted,
            Answer::Refused => PushOutcome::refused(why),
            Answer::Failed => PushOutcome::Failed { why },
            Answer::Transient(retry_after_ms) => PushOutcome::Transient { why, retry_after_ms },
        };
        let open = self.calls.iter().filter(|it| it.is_open() && !it.rings);
        let ends_at = open.map(|it| it.deadline.1).max().unwrap_or(0);
        let (may, must) = self.pushes.answered(now, push, &outcome, ends_at);
        if self.away() {
            for call in self.calls.iter_mut().filter(|it| it.is_open()) {
                if must && !call.rings && !call.limbo && !call.unsure {
                    call.decide(480);
                } else if may {
                    call.allow(480);
                }
            }
        }
        self.episodes(now);
        self.bench.feed(Input::Pushed { push, outcome });
    }

    fn lose(&mut self, now: u64, killed: bool) {
        let Some(socket) = self.phone.socket else { return };
        if killed {
            self.phone.killed();
        } else {
            self.phone.lose();
        }
        self.calls.iter_mut().for_each(|call| call.numbered |= call.underway);
        self.gone(now);
        self.bench.feed(Input::SocketClosed { socket: SocketId(socket), code: None });
    }

    /// The app is away, and has not said that it sleeps.
    fn gone(&mut self, now: u64) {
        if !self.silent.is_some_and(|it| it.1) {
            self.pushes.end();
        }
        (self.silent, self.lost_at) = (None, Some(now));
        if self.pushes.token != Token::Alive {
            self.calls.iter_mut().for_each(|call| call.allow(480));
        }
        self.episodes(now);
    }

    fn crash(&mut self, durable: usize, now: u64) {
        let sure = self.bench.commits.len() <= durable;
        self.calls.iter_mut().for_each(|call| call.crash(sure, now));
        self.pushes.end();
        self.pushes.crash(sure);
        self.silent = None;
        if self.phone.socket.is_some() {
            self.phone.lose();
            self.gone(now);
        }
        self.episodes(now);
        self.bench.crash(durable);
    }

    /// Begins and ends the times in which somebody is to be woken.
    fn episodes(&mut self, now: u64) {
        let waits = |call: &Held| call.is_open() && !call.rings && !call.limbo;
        let any = self.calls.iter().any(|call| call.is_open() && !call.limbo);
        self.pushes.unsure = self.calls.iter().any(|call| call.limbo && call.heard.is_empty());
        self.silent = self.silent.filter(|_| any);
        let silent = self.silent.is_some_and(|it| it.1);
        if !any || !(self.away() || silent) {
            self.pushes.end();
        } else if !self.pushes.is_owed() && self.calls.iter().any(waits) {
            self.pushes.owe(now);
        }
    }

    /// Time passes: what is decided by it.
    fn pass(&mut self, now: u64) {
        if let Some((since, false)) = self.silent
            && now >= since + SILENCE_MS
        {
            self.silent = Some((since, true));
            self.pushes.end();
            self.episodes(since + SILENCE_MS);
        }
        for call in &mut self.calls {
            if call.deadline.0 == call.deadline.1 && now >= call.deadline.1 && !call.limbo {
                call.decide(480);
            }
        }
        self.episodes(now);
    }

    /// A `start` may have been on its way to the app for that long, and no word came.
    fn may_be_silent(&self, at: u64) -> bool {
        at >= self.silence(at)
    }

    /// From when on that may be so.
    fn silence(&self, at: u64) -> u64 {
        let since = |call: &Held| call.invited.map_or(at, |it| it.0.max(self.word_at));
        let open = self.calls.iter().filter(|it| it.is_open() && !it.rings);
        open.map(since).min().unwrap_or(at) + SILENCE_MS
    }

    /// Everything that was seen had a reason.
    fn look(&mut self) -> Result<(), String> {
        while !self.bench.seen.is_empty() {
            for (at, seen) in std::mem::take(&mut self.bench.seen) {
                match seen {
                    Seen::Sip(heard) => self.hear(at, heard)?,
                    Seen::Text(socket, frame) => self.text(at, socket, &frame)?,
                    Seen::Push(push) => {
                        self.pass(at);
                        let durable = self.bench.durable;
                        // It may speak of a call whose own record is still on its way, if the
                        // one for whose sake it was asked for is no more.
                        let stored = |it: &Held| it.invited.is_some() && it.is_durable(durable);
                        let wanted =
                            self.calls.iter().any(Held::is_open) && self.calls.iter().any(stored);
                        let wanted = wanted && (self.away() || self.may_be_silent(at));
                        if push.session.as_str() != self.bench.session || push.token != "tok" {
                            return Err(format!("a push to somebody else: {push:?}"));
                        }
                        let cause = if self.away() { at } else { self.silence(at) };
                        self.pushes.sees(at, &push, wanted, cause)?;
                        if !self.away() {
                            self.silent = Some((at, true));
                        }
                    }
                    Seen::Close(socket, code) if Some(socket) == self.phone.socket => {
                        return Err(format!("the app in use is closed with {code}"));
                    }
                    Seen::Close(..) => {}
                }
                self.episodes(at);
            }
        }
        Ok(())
    }

    fn hear(&mut self, at: u64, heard: Heard) -> Result<(), String> {
        let of = NAMES.iter().position(|name| *name == heard.call).ok_or("a stranger's call")?;
        let call = &mut self.calls[of];
        // A call that is refused at once leaves no record.
        if heard.status >= 300 && call.heard.is_empty() {
            call.asked = None;
        }
        // The disk is slow: RFC 4320 4.2 asks for this one, and it promises nothing.
        let trying = heard.method == "CANCEL" && heard.status == 100;
        if !call.is_durable(self.bench.durable) && !trying {
            return Err(format!("before anything is durable: {heard:?}"));
        }
        match (heard.method.as_str(), heard.status) {
            ("INVITE", 1..) => call.hear(at, heard).map_err(|it| format!("{}: {it}", NAMES[of])),
            ("CANCEL", 100) if !call.cancel_heard => Ok(()),
            ("CANCEL", 200) => {
                call.cancel_heard = true;
                Ok(())
            }
            ("CANCEL", 481) if call.limbo || call.final_at.is_some() => {
                call.cancel_heard = true;
                Ok(())
            }
            ("BYE", 0) => {
                let answered = call.final_at.filter(|it| it.0 == 200).map(|it| it.1);
                let due = answered.is_some_and(|it| at >= it + NO_ACK_MS);
                if due && !call.acknowledged { Ok(()) } else { Err(format!("a BYE at {at}")) }
            }
            _ => Err(format!("not expected: {heard:?}")),
        }
    }

    fn text(&mut self, at: u64, socket: u64, frame: &Value) -> Result<(), String> {
        self.pass(at);
        let fresh = self.phone.sends_fresh(frame);
        let news = self.phone.hear(socket, frame)?;
        let kind = (frame["control"]["type"].as_str(), frame["header"]["action"].as_str());
        if fresh {
            match kind {
                (Some("request"), Some("start")) => self.start(at, frame)?,
                (Some("message"), Some(action)) => self.told(frame, action)?,
                _ => {}
            }
        }
        match news {
            Some(News::Resumed(_)) => {
                for frame in self.phone.unsent() {
                    self.said(&frame, at);
                    self.bench.say(socket, &frame);
                }
            }
            Some(News::Request { frame, .. }) => {
                let subsession = subsession(&frame);
                if self.phone.holds.contains(&subsession) {
                    return Err(format!("the app shows it already: {frame}"));
                }
                self.phone.holds.push(subsession);
            }
            Some(News::Told { subsession, action }) if action == "shutdown" => {
                self.phone.holds.retain(|it| *it != subsession);
            }
            _ => {}
        }
        Ok(())
    }

    /// A `start` with a new number.
    fn start(&mut self, at: u64, frame: &Value) -> Result<(), String> {
        let from = frame["header"]["initiator"].as_str().unwrap_or_default();
        let of = NAMES.iter().position(|name| from.split('@').next() == Some(name));
        let of = of.ok_or("a start from nobody")?;
        let order = self.calls[of].invited.ok_or("a start of no call")?.1;
        let durable = self.bench.durable;
        let earlier = self.calls.iter().find(|it| {
            let before = it.invited.is_some_and(|it| it.1 < order);
            it.is_open() && before && it.starts == 0 && !it.unsure
        });
        let call = &self.calls[of];
        if call.starts == 0 && !call.unsure && earlier.is_some() {
            return Err(format!("{} is given before one that came before it", NAMES[of]));
        }
        if !call.is_durable(durable) {
            return Err("a start before anything is durable".to_owned());
        }
        if self.silent.is_some_and(|it| it.1) {
            self.pushes.watch();
        } else {
            self.silent = Some((at, false));
        }
        self.calls[of].start(frame)
    }

    /// A message of the gateway with a new number.
    fn told(&mut self, frame: &Value, action: &str) -> Result<(), String> {
        let subsession = subsession(frame);
        let call = self.calls.iter_mut().find(|it| it.subsession.as_ref() == Some(&subsession));
        let call = call.ok_or_else(|| format!("a {action} of no call: {frame}"))?;
        call.told(action, self.bench.now_ms())
    }

    /// Nothing is under way: what is owed was paid.
    fn settled(&self, now: u64) -> Result<(), String> {
        for (of, call) in self.calls.iter().enumerate() {
            call.settled(now, self.away()).map_err(|it| format!("{}: {it}", NAMES[of]))?;
        }
        self.pushes.settled(now)?;
        if self.away() || self.phone.deaf {
            return Ok(());
        }
        if !self.phone.synced {
            return Err("the resume was not answered".to_owned());
        }
        for (of, call) in self.calls.iter().enumerate() {
            let holds = call.subsession.as_ref().is_some_and(|it| self.phone.holds.contains(it));
            call.settled_app(holds).map_err(|it| format!("{} at {now}: {it}", NAMES[of]))?;
        }
        Ok(())
    }
}

fn subsession(frame: &Value) -> String {
    frame["control"]["subsession_id"].as_str().unwrap_or_default().to_owned()
}

fn still(config: Config) -> Config {
    Config { idle_limit_ms: (100_000_000, 100_000_000), ..config }
}

static START: LazyLock<Bench> = LazyLock::new(|| start(config()));

fn start(config: Config) -> Bench {
    Bench::asleep(still(config))
}

fn check(bench: &Bench, ops: &[Op]) -> Result<(), String> {
    let mut run = Run::new(bench);
    for (place, op) in ops.iter().enumerate() {
        run.step(*op).map_err(|wrong| format!("operation {place}, {op:?}: {wrong}"))?;
        if run.over {
            break;
        }
    }
    Ok(())
}

/// What the model says of a node so configured.
#[cfg(feature = "mutants")]
pub(crate) fn outcome(config: Config, cases: u32) -> Result<(), String> {
    let bench = start(config);
    cases::outcome(cases, 16, op(), |ops| check(&bench, ops))
}

#[test]
fn a_wake_shows_nothing_but_what_the_protocol_allows_and_all_that_it_owes() {
    cases::hold(1_500, 16, op(), |ops| check(&START, ops));
}
