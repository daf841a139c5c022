//! Client transactions: an app that places calls and sends messages into a network that answers at
//! any instant with anything, or not at all.

use std::sync::LazyLock;

use proptest::prelude::*;
use reveille_gateway_core::config::Config;
use reveille_wire::sip::Message;
use serde_json::{Value, json};

use crate::bench::{Bench, Seen, config, with_registrar};
use crate::cases;
use crate::clients::Clients;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    Wait(u64),
    /// The app places a call.
    Place,
    /// The app sends a message.
    Send,
    /// The app completes, or hangs up, the call that it placed last.
    Tell(&'static str),
    /// The network answers the request that was sent last but so many.
    Answer(usize, u16),
}

const WAITS: [u64; 8] = [1, 499, 500, 1_000, 3_500, 4_000, 16_000, 32_000];
const STATUSES: [u16; 5] = [100, 180, 200, 486, 500];

pub(crate) fn op() -> impl Strategy<Value = Op> {
    (0u8..16, 0usize..40).prop_map(|(kind, which)| match kind {
        0..=4 => Op::Wait(WAITS[which % WAITS.len()]),
        5..=6 => Op::Place,
        7 => Op::Send,
        8..=9 => Op::Tell(["complete", "shutdown"][which % 2]),
        _ => Op::Answer(which % 8 / 3, STATUSES[which / 8]),
    })
}

struct Run {
    bench: Bench,
    clients: Clients,
    sequence: u64,
    placed: u64,
    /// Of the call that was placed last: its Call-ID, and that the app hung up.
    call: Option<String>,
    ended: bool,
    /// The app has just completed it.
    completes: bool,
}

impl Run {
    fn step(&mut self, op: Op) -> Result<(), String> {
        match op {
            Op::Wait(ms) => self.bench.wait_ms(ms),
            Op::Place => {
                (self.placed, self.ended, self.call) = (self.sequence + 1, false, None);
                self.say("request", "call", "start", &json!({"sdp": "v=0\r\n"}));
            }
            Op::Send => self.say("request", "messaging", "send", &json!({"content": "hello"})),
            Op::Tell(_) if self.placed == 0 => {}
            Op::Tell(action) => {
                self.completes = action == "complete" && !self.ended;
                self.ended |= action == "shutdown";
                self.say("message", "call", action, &json!({}));
            }
            Op::Answer(back, status) => self.answer(back, status),
        }
        for (at, seen) in std::mem::take(&mut self.bench.seen) {
            match seen {
                Seen::Sip(heard) if heard.status == 0 => {
                    self.clients.sees(at, &heard)?;
                    if heard.method == "INVITE" && self.call.is_none() {
                        self.call = Some(heard.call);
                    }
                }
                Seen::Sip(heard) => return Err(format!("a response to nothing: {heard:?}")),
                Seen::Text(..) | Seen::Close(..) | Seen::Push(_) => {}
            }
        }
        if std::mem::take(&mut self.completes) {
            // Of a call that was answered and is not given up.
            self.clients.acknowledged(self.call.as_deref().unwrap_or_default())?;
        }
        self.clients.settled(self.bench.now_ms())
    }

    fn say(&mut self, kind: &str, package: &str, action: &str, payload: &Value) {
        self.sequence += 1;
        let of = if kind == "request" { self.sequence } else { self.placed };
        let frame = json!({
            "control": {"type": kind, "package_type": package, "sequence": self.sequence,
                "session_id": self.bench.session, "subsession_id": format!("u{of}"),
                "correlation_id": format!("c{of}"), "version": "1.0"},
            "header": {"action": action, "initiator": "bob@example.com",
                "target": "alice@example.com"},
            "payload": payload,
        });
        self.bench.say(1, &frame);
    }

    fn answer(&mut self, back: usize, status: u16) {
        let Some((key, bytes, _)) = self.clients.latest().nth(back) else { return };
        let (key, request) = (key.clone(), Message::parse(bytes).expect("well-formed SIP"));
        let tag = (status > 100).then_some("n");
        let mut answer = request.reply(status, Message::reason_phrase(status), tag);
        if key.1 == "INVITE" && (200..300).contains(&status) {
            answer = answer.with("Contact", "<sip:alice@192.0.2.7>");
        }
        let call = request.call_id().expect("a Call-ID").to_owned();
        self.clients.hears(self.bench.now_ms(), &key, &call, status);
        self.bench.sip(true, answer);
    }
}

static START: LazyLock<Bench> = LazyLock::new(|| start(config()));

fn start(config: Config) -> Bench {
    let idle_limit_ms = (100_000_000, 100_000_000);
    Bench::awake(with_registrar(Config { idle_limit_ms, ..config }))
}

fn check(bench: &Bench, ops: &[Op]) -> Result<(), String> {
    let mut run = Run {
        bench: bench.clone(),
        clients: Clients::default(),
        sequence: 1,
        placed: 0,
        call: None,
        ended: false,
        completes: false,
    };
    cases::each(ops, |op| run.step(op))
}

/// What the model says of a node so configured.
#[cfg(feature = "mutants")]
pub(crate) fn outcome(config: Config, cases: u32) -> Result<(), String> {
    let bench = start(config);
    cases::outcome(cases, 16, op(), |ops| check(&bench, ops))
}

#[test]
fn every_copy_of_a_request_has_its_instant() {
    cases::hold(2_000, 16, op(), |ops| check(&START, ops));
}
