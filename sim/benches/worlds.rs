//! What a play costs in each world, as a table: a minute with a plain wake in it, and a day of one
//! phone that stays awake.
//!
//! Everyone takes part (gateway with a fabric in memory, registrar, push services, caller, phone), over
//! SIP, WebSocket and HTTP/2; the trace is hashed as it comes and not kept, nothing is judged.
//! `cargo bench -p reveille-sim --bench worlds` prints the table; with `-- wake`, `-- wake-in-turmoil` or `-- day` one part.

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reveille_conformance::player::Script;
use reveille_gateway_driver::config::Settings;
use reveille_host::real;
use reveille_scenarios::read;
use reveille_sim::World;
use reveille_sim::suite::{Job, Piece, Seeds, jobs, rehearse};
use reveille_trace::Recorder;
use sha2::{Digest as _, Sha256};

/// Many small pieces are taken and given back; the command itself has the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MINUTE: &str = r#"
schema = 1
title = "A call wakes a sleeping phone within a minute"

[actors]
alice = { kind = "sip-ua" }
bob = { kind = "phone", push = "webhook" }

[script]
steps = [
  { sleep = "bob" },
  { when = "bob.state(hibernated)", call = "c1", from = "alice", to = "bob", hang-up-after = "3s" },
  { at = "60s", note = "a minute is over" },
]
expect = [{ must = "alice.final(c1) == 200" }]
"#;

const DAY: &str = r#"
schema = 1
title = "A phone is awake for a day"

[actors]
alice = { kind = "sip-ua" }
bob = { kind = "phone" }

[script]
steps = [{ at = "24h", note = "a day is over" }]
expect = [{ must = "never push.sent(bob)" }]
"#;

fn job(text: &str, world: World, seed: u64) -> Job {
    let scenario = read("bench", text).unwrap_or_else(|report| panic!("{report}"));
    jobs(&Piece::new(scenario, text), Seeds { first: seed, count: None, world }).swap_remove(0)
}

/// A recorder that hashes what it hears.
fn hashing() -> (Recorder, Arc<Mutex<Sha256>>) {
    let (recorder, hash) = (Recorder::passing(), Arc::new(Mutex::new(Sha256::new())));
    let own = Arc::clone(&hash);
    recorder.listen(move |event| {
        let line = serde_json::to_vec(event).expect("an event is plain data");
        own.lock().unwrap_or_else(PoisonError::into_inner).update(&line);
    });
    (recorder, hash)
}

fn set(settings: &mut Settings, script: &mut Script) {
    settings.fabric.engine = "memory".to_owned();
    settings.core.idle_limit_ms.0 = 90_000;
    for phone in script.cast.phones.values_mut() {
        phone.ping_s = 30;
    }
}

/// Seconds that one performance takes: the median of `times`.
fn seconds(text: &str, world: World, times: u64) -> f64 {
    let clock = real::host().clock;
    let mut all: Vec<Duration> = (0..times)
        .map(|seed| {
            let job = job(text, world, seed + 1);
            let (recorder, hash) = hashing();
            let began = clock.now().mono;
            rehearse(&job, &recorder, set).unwrap_or_else(|what| panic!("{world}: {what}"));
            let hash = hash.lock().unwrap_or_else(PoisonError::into_inner).clone();
            std::hint::black_box(hash.finalize());
            clock.now().mono - began
        })
        .collect();
    all.sort();
    all[all.len() / 2].as_secs_f64()
}

fn row(what: &str, world: &str, seconds: f64) {
    println!("{what:<34} {world:<16} {:>12.3} ms {:>12.1} /s", seconds * 1e3, 1.0 / seconds);
}

fn main() {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wants = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    println!(
        "{:<34} {:<16} {:>15} {:>14}",
        "one performance", "world", "time (median)", "of one core"
    );
    if wants("wake") {
        row("a minute with a plain wake", "express", seconds(MINUTE, World::Express, 1_001));
    }
    if wants("wake-in-turmoil") {
        row("a minute with a plain wake", "turmoil, 10 ms", seconds(MINUTE, World::Turmoil, 21));
    }
    if wants("day") {
        row("a day of one awake phone", "express", seconds(DAY, World::Express, 21));
    }
}
