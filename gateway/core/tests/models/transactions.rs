//! Server transactions: callers that repeat, acknowledge and cancel at any instant, an app that
//! answers or does not, and every response at the millisecond that the RFC gives it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use reveille_gateway_core::config::Config;
use serde_json::{Value, json};

use crate::bench::{Bench, Seen, config};
use crate::cases;
use crate::clients::Clients;
use crate::invite_server::InviteServer;
use crate::servers::Server;
use crate::sip::{Heard, request};

pub(crate) const T1: u64 = 500;
pub(crate) const T2: u64 = 4_000;
pub(crate) const T4: u64 = 5_000;

/// A response at its instant: of which sender, to which method, which. A request has status 0.
pub(crate) type Told = (u64, usize, &'static str, u16);

/// The senders: user called, transport, method.
const SENDERS: [(&str, bool, &str); 8] = [
    ("bob", true, "INVITE"),
    ("bob", false, "INVITE"),
    ("nobody", true, "INVITE"),
    ("nobody", false, "INVITE"),
    ("bob", true, "OPTIONS"),
    ("nobody", false, "OPTIONS"),
    ("bob", true, "MESSAGE"),
    ("bob", false, "MESSAGE"),
];
const INVITES: usize = 4;
const NAMES: [&str; 8] = ["w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7"];

/// How long the sender of a MESSAGE waits for the app.
const MESSAGE_WAIT_MS: u64 = 5_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Wait(u64),
    /// Sends, or sends again.
    Send(usize),
    Ack(usize),
    Cancel(usize),
    /// The app of the one called: 180, 200 or a refusal.
    App(usize, u16),
}

const WAITS: [u64; 12] =
    [1, 250, 499, 500, 1_000, 3_500, 4_000, 5_000, 8_000, 27_000, 31_999, 32_000];

pub(crate) fn op() -> impl Strategy<Value = Op> {
    (0u8..16, 0usize..24).prop_map(|(kind, which)| match kind {
        0..=4 => Op::Wait(WAITS[which % WAITS.len()]),
        5..=8 => Op::Send(which % SENDERS.len()),
        9..=10 => Op::Ack(which % INVITES),
        11 => Op::Cancel(which % INVITES),
        12 => Op::App([0, 1][which % 2], 180),
        13 => Op::App([0, 1, 6, 7][which % 4], 200),
        14 => Op::App([0, 1, 6, 7][which % 4], 603),
        _ => Op::Send(which % 2),
    })
}

fn patient(config: Config) -> Config {
    Config {
        hold_code: None,
        provisional_every_ms: 100_000_000,
        wake_budget_ms: 100_000_000,
        ring_deadline_ms: 100_000_000,
        idle_limit_ms: (100_000_000, 100_000_000),
        ..config
    }
}

struct Run {
    bench: Bench,
    clients: Clients,
    invites: Vec<InviteServer>,
    cancels: Vec<Server>,
    others: Vec<Server>,
    /// When the sender of each MESSAGE hears 202.
    message_ends: [Option<u64>; 8],
    told: Vec<Told>,
    heard: Vec<Heard>,
    /// The first of each response, since its transaction began.
    copies: BTreeMap<(usize, &'static str, u16), Vec<u8>>,
    /// Each `start` and `send` that the app got, with its sender.
    given: Vec<(usize, Value)>,
    app_sequence: u64,
}

impl Run {
    fn new(bench: &Bench) -> Self {
        let udp = |of: usize| SENDERS[of].1;
        Self {
            bench: bench.clone(),
            clients: Clients::default(),
            invites: (0..INVITES).map(|of| InviteServer::new(of, udp(of))).collect(),
            cancels: (0..INVITES).map(|of| Server::new(of, "CANCEL", udp(of))).collect(),
            others: (INVITES..8).map(|of| Server::new(of, SENDERS[of].2, udp(of))).collect(),
            message_ends: [None; 8],
            told: Vec::new(),
            heard: Vec::new(),
            copies: BTreeMap::new(),
            given: Vec::new(),
            app_sequence: 1,
        }
    }

    fn step(&mut self, op: Op) -> Result<(), String> {
        let now = self.bench.now_ms();
        match op {
            Op::Wait(ms) => {
                self.pass(now + ms);
                self.bench.wait_ms(ms);
            }
            Op::Send(of) if of < INVITES => self.invite(of, now),
            Op::Send(of) => self.request(of, now),
            Op::Ack(of) => self.ack(of, now),
            Op::Cancel(of) => self.cancel(of, now),
            Op::App(of, status) => self.app(of, status, now),
        }
        self.compare()
    }

    /// The model up to this instant.
    fn pass(&mut self, until: u64) {
        loop {
            let dues = self.invites.iter().map(InviteServer::due);
            let dues = dues.chain(self.cancels.iter().chain(&self.others).map(Server::due));
            let due = dues.chain(self.message_ends).flatten().min();
            let Some(due) = due.filter(|due| *due <= until) else { return };
            for of in 0..8 {
                if self.message_ends[of] == Some(due) {
                    self.message_ends[of] = None;
                    self.others[of - INVITES].respond(202, due, &mut self.told);
                }
            }
            self.invites.iter_mut().for_each(|it| it.fire(due, &mut self.told));
            let rest = self.cancels.iter_mut().chain(&mut self.others);
            rest.for_each(|it| it.fire(due, &mut self.told));
        }
    }

    fn put(&mut self, method: &str, of: usize, to_tag: &str) {
        let (user, udp, _) = SENDERS[of];
        self.bench.sip(udp, request(method, NAMES[of], user, udp, to_tag));
    }

    fn invite(&mut self, of: usize, now: u64) {
        let invite = &mut self.invites[of];
        if !invite.may_be_called() {
            return;
        }
        if invite.invite(now, &mut self.told) {
            let status = if SENDERS[of].0 == "bob" { 100 } else { 404 };
            invite.respond(status, now, &mut self.told);
            self.given.retain(|it| it.0 != of);
            self.copies.retain(|key, _| (key.0, key.1) != (of, "INVITE"));
        }
        self.put("INVITE", of, "");
    }

    fn request(&mut self, of: usize, now: u64) {
        let (user, _, method) = SENDERS[of];
        let server = &mut self.others[of - INVITES];
        if method == "MESSAGE" && server.was {
            return;
        }
        if server.request(now, &mut self.told) {
            self.copies.retain(|key, _| (key.0, key.1) != (of, method));
            match (method, user) {
                ("MESSAGE", _) => self.message_ends[of] = Some(now + MESSAGE_WAIT_MS),
                (_, "bob") => server.respond(200, now, &mut self.told),
                _ => server.respond(404, now, &mut self.told),
            }
        }
        self.put(method, of, "");
    }

    fn ack(&mut self, of: usize, now: u64) {
        let last = self.heard.iter().rfind(|it| it.call == NAMES[of] && it.method == "INVITE");
        let Some(last) = last.filter(|_| self.invites[of].has_final()) else { return };
        let (tag, method) = (last.to_tag.clone(), if last.status < 300 { "ACK2" } else { "ACK" });
        self.invites[of].ack(now);
        self.put(method, of, &tag);
    }

    fn cancel(&mut self, of: usize, now: u64) {
        if self.cancels[of].request(now, &mut self.told) {
            self.copies.retain(|key, _| (key.0, key.1) != (of, "CANCEL"));
            let status = if self.invites[of].exists() { 200 } else { 481 };
            self.cancels[of].respond(status, now, &mut self.told);
            if self.invites[of].undecided() {
                self.invites[of].respond(487, now, &mut self.told);
            }
        }
        self.put("CANCEL", of, "");
    }

    fn app(&mut self, of: usize, status: u16, now: u64) {
        let Some((_, given)) = self.given.iter().rfind(|it| it.0 == of) else { return };
        let control = &given["control"];
        self.app_sequence += 1;
        let kind = if status < 300 { "response" } else { "error" };
        let code = if status < 300 { "response_code" } else { "error_code" };
        let state = if status < 200 { "subsequent" } else { "final" };
        let frame = json!({
            "control": {"type": kind, "package_type": control["package_type"],
                "sequence": self.app_sequence, "session_id": self.bench.session,
                "subsession_id": control["subsession_id"], "message_state": state,
                "correlation_id": control["correlation_id"],
                "ack_sequence": control["sequence"], "version": "1.0"},
            "header": {"action": given["header"]["action"], code: status},
            "payload": if status == 200 && of < INVITES { json!({"sdp": "v=0\r\n"}) } else { json!({}) },
        });
        if of < INVITES && self.invites[of].undecided() {
            let again = status == 180 && self.rang(of);
            if !again {
                self.invites[of].respond(status, now, &mut self.told);
            }
        } else if of >= INVITES && self.others[of - INVITES].undecided() {
            self.message_ends[of] = None;
            self.others[of - INVITES].respond(status, now, &mut self.told);
        }
        self.bench.say(1, &frame);
    }

    fn rang(&self, of: usize) -> bool {
        let last = self.heard.iter().rfind(|it| it.call == NAMES[of] && it.method == "INVITE");
        last.is_some_and(|it| it.status == 180)
    }

    /// What was told is what was to be told, at the same instants; copies are copies.
    fn compare(&mut self) -> Result<(), String> {
        let mut seen = Vec::new();
        for (at, what) in std::mem::take(&mut self.bench.seen) {
            match what {
                Seen::Sip(heard) => self.hear(at, heard, &mut seen)?,
                Seen::Text(_, text) if text["control"]["type"] == "request" => {
                    let from = text["header"]["initiator"].as_str().unwrap_or_default();
                    let of = NAMES.iter().position(|name| from.split('@').next() == Some(name));
                    self.given.push((of.ok_or("a frame from nobody")?, text));
                }
                Seen::Text(..) | Seen::Close(..) | Seen::Push(_) => {}
            }
        }
        self.clients.settled(self.bench.now_ms())?;
        let mut told = std::mem::take(&mut self.told);
        told.sort_unstable();
        seen.sort_unstable();
        if told == seen { Ok(()) } else { Err(format!("told {seen:?}, and not {told:?}")) }
    }

    fn hear(&mut self, at: u64, heard: Heard, seen: &mut Vec<Told>) -> Result<(), String> {
        let of = NAMES.iter().position(|name| *name == heard.call).ok_or("a stranger's call")?;
        let known = ["INVITE", "CANCEL", "OPTIONS", "MESSAGE", "BYE"];
        let method = known.into_iter().find(|it| *it == heard.method).ok_or("another method")?;
        if heard.status == 0 {
            let first = self.clients.latest().all(|(key, ..)| key.0 != heard.branch);
            if first {
                seen.push((at, of, method, 0));
            }
            return self.clients.sees(at, &heard);
        }
        seen.push((at, of, method, heard.status));
        let first =
            self.copies.entry((of, method, heard.status)).or_insert_with(|| heard.bytes.clone());
        if *first != heard.bytes {
            return Err(format!("a copy differs from its first: {heard:?}"));
        }
        self.heard.push(heard);
        Ok(())
    }
}

static START: LazyLock<Bench> = LazyLock::new(|| start(config()));

fn start(config: Config) -> Bench {
    Bench::awake(patient(config))
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
fn every_response_of_a_server_transaction_has_its_instant() {
    cases::hold(2_000, 16, op(), |ops| check(&START, ops));
}
