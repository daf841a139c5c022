//! Circuits: a push service that fails again and again is left alone for a while, so that its pushes
//! fail at once and hold no place, and one push after another then finds out whether it is back.
//!
//! A circuit is one application's way to one service: of two tenants at one provider, neither opens
//! that of the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reveille_gateway_core::io::PushOutcome;

/// Circuits that are kept: services of Web Push are named by clients.
const MOST: usize = 1_024;
/// While somebody finds out, the others come back after this.
const PROBE_WAIT_US: u64 = 1_000_000;
/// Longest reason that is repeated, in characters.
const MOST_WHY: usize = 200;

/// When circuits open, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitRule {
    /// Failures in a row that open one; 0: none ever opens.
    pub failures: u32,
    /// How long it stays open.
    pub open: Duration,
}

impl Default for CircuitRule {
    fn default() -> Self {
        Self { failures: 5, open: Duration::from_secs(5) }
    }
}

/// A way to a push service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    pub(crate) provider: &'static str,
    /// The application's name.
    pub(crate) app: String,
    /// Which service, where an application has several.
    pub(crate) service: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Closed,
    /// Somebody finds out, or the next one will.
    HalfOpen,
    Open,
}

impl State {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

#[derive(Debug, Default)]
struct Circuit {
    /// Failures in a row.
    failures: u32,
    until: Option<Until>,
    why: String,
}

#[derive(Debug, Clone, Copy)]
enum Until {
    Open(u64),
    /// A probe is under way; one that is lost blocks nobody for longer.
    Probed(u64),
}

#[derive(Default)]
struct Books {
    rule: CircuitRule,
    /// Which configuration it is: what began under another one says nothing.
    generation: u64,
    ways: BTreeMap<Way, Circuit>,
}

impl Books {
    /// Ways to services that clients name are bounded: those that are closed are forgotten first. Ways
    /// of the configuration always have room.
    fn has_room(&mut self, way: &Way) -> bool {
        if way.service.is_empty() || self.ways.contains_key(way) || self.ways.len() < MOST {
            return true;
        }
        self.ways.retain(|way, circuit| way.service.is_empty() || circuit.until.is_some());
        self.ways.len() < MOST
    }
}

/// Every circuit of a gateway.
#[derive(Clone, Default)]
pub(crate) struct Circuits(Arc<Mutex<Books>>);

/// Leave to push, whose outcome is to be told.
#[derive(Debug)]
pub(crate) struct Pass {
    way: Way,
    generation: u64,
    is_probe: bool,
}

impl Circuits {
    /// Another configuration: every circuit is closed.
    pub(crate) fn learn(&self, rule: CircuitRule) {
        self.with(|books| {
            books.rule = rule;
            books.generation += 1;
            books.ways.clear();
        });
    }

    /// Leave to push this way.
    ///
    /// # Errors
    /// What came of a push that cannot leave: it may come again once the circuit is no longer open.
    pub(crate) fn enter(&self, way: Way, now_us: u64) -> Result<Pass, PushOutcome> {
        self.with(|books| {
            let generation = books.generation;
            let pass = |way, is_probe| Ok(Pass { way, generation, is_probe });
            let open_us = micros(books.rule.open);
            let Some(circuit) = books.ways.get_mut(&way) else { return pass(way, false) };
            match circuit.until {
                None => pass(way, false),
                Some(Until::Open(at_us)) if now_us < at_us => Err(circuit.refusal(at_us - now_us)),
                Some(Until::Probed(at_us)) if now_us < at_us => {
                    Err(circuit.refusal(PROBE_WAIT_US.min(at_us - now_us)))
                }
                Some(Until::Open(_) | Until::Probed(_)) => {
                    circuit.until = Some(Until::Probed(now_us + open_us));
                    pass(way, true)
                }
            }
        })
    }

    /// What came of a push; true if that opened the circuit.
    pub(crate) fn settle(&self, pass: Pass, outcome: &PushOutcome, now_us: u64) -> bool {
        self.with(|books| {
            if pass.generation != books.generation || books.rule.failures == 0 {
                return false;
            }
            let Some(why) = failure(outcome) else {
                books.ways.remove(&pass.way);
                return false;
            };
            if !books.has_room(&pass.way) {
                return false;
            }
            let (rule, way) = (books.rule, pass.way);
            let circuit = books.ways.entry(way).or_default();
            circuit.failures = circuit.failures.saturating_add(1);
            circuit.why = why.chars().take(MOST_WHY).collect();
            let opens = pass.is_probe || circuit.until.is_none();
            if opens && (pass.is_probe || circuit.failures >= rule.failures) {
                circuit.until = Some(Until::Open(now_us + micros(rule.open)));
                return true;
            }
            false
        })
    }

    /// The ways that are not closed, and how each is.
    pub(crate) fn troubled(&self, now_us: u64) -> Vec<(Way, State)> {
        let state = |circuit: &Circuit| match circuit.until? {
            Until::Open(at_us) if now_us < at_us => Some(State::Open),
            Until::Open(_) | Until::Probed(_) => Some(State::HalfOpen),
        };
        self.with(|books| {
            let ways = books.ways.iter();
            ways.filter_map(|(way, circuit)| Some((way.clone(), state(circuit)?))).collect()
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Books) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Circuit {
    fn refusal(&self, left_us: u64) -> PushOutcome {
        let Self { failures, why, .. } = self;
        let why = format!("the circuit is open after {failures} failures in a row: {why}");
        PushOutcome::Transient { why, retry_after_ms: Some(left_us.div_ceil(1_000)) }
    }
}

/// Why a push failed by its service. Whatever the service says of sender, token or rate shows that it
/// is there: a device that is pushed to too often closes no way to others.
fn failure(outcome: &PushOutcome) -> Option<&str> {
    match outcome {
        // Every provider's reason begins with the status, where there is one.
        PushOutcome::Transient { why, .. } if !why.starts_with("429") => Some(why),
        _ => None,
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn circuits() -> Circuits {
        let circuits = Circuits::default();
        circuits.learn(CircuitRule { failures: 3, open: Duration::from_secs(5) });
        circuits
    }

    fn way(app: &str) -> Way {
        Way { provider: "webhook", app: app.to_owned(), service: String::new() }
    }

    fn transient(why: &str) -> PushOutcome {
        PushOutcome::Transient { why: why.to_owned(), retry_after_ms: None }
    }

    /// Pushes that fail at this time; how many of them were let through.
    fn fail(circuits: &Circuits, count: usize, now_us: u64) -> usize {
        let passes = (0..count).filter_map(|_| circuits.enter(way("phone"), now_us).ok());
        let settled = passes.map(|pass| circuits.settle(pass, &transient("503"), now_us));
        settled.collect::<Vec<_>>().len()
    }

    fn wait_ms(circuits: &Circuits, now_us: u64) -> Option<u64> {
        match circuits.enter(way("phone"), now_us) {
            Err(PushOutcome::Transient { retry_after_ms, why }) => {
                assert!(why.contains("circuit is open after 3 failures in a row: 503"), "{why}");
                retry_after_ms
            }
            Err(other) => panic!("{other:?}"),
            Ok(_) => None,
        }
    }

    fn state(circuits: &Circuits, now_us: u64) -> State {
        circuits.troubled(now_us).first().map_or(State::Closed, |(_, state)| *state)
    }

    #[test]
    fn failures_in_a_row_open_a_circuit_for_a_bounded_time() {
        let circuits = circuits();
        assert_eq!(fail(&circuits, 2, 0), 2);
        let pass = circuits.enter(way("phone"), 0).expect("closed");
        circuits.settle(pass, &PushOutcome::Accepted, 0);
        assert_eq!(fail(&circuits, 2, 0), 2, "an answer begins the row anew");
        assert_eq!(state(&circuits, 0), State::Closed);
        assert_eq!(fail(&circuits, 9, SECOND), 1, "the third opens it, the others do not leave");
        assert_eq!(wait_ms(&circuits, SECOND), Some(5_000));
        assert_eq!(wait_ms(&circuits, 4 * SECOND + 1), Some(2_000), "never beyond the open time");
        assert_eq!(state(&circuits, 6 * SECOND - 1), State::Open);
        assert!(circuits.enter(way("pad"), SECOND).is_ok(), "another application's is its own");
    }

    #[test]
    fn one_probe_at_a_time_finds_out() {
        let circuits = circuits();
        fail(&circuits, 3, 0);
        let probe = circuits.enter(way("phone"), 5 * SECOND).expect("the probe");
        assert_eq!(state(&circuits, 5 * SECOND), State::HalfOpen);
        assert_eq!(wait_ms(&circuits, 5 * SECOND), Some(1_000), "one at a time");
        assert!(circuits.settle(probe, &transient("503"), 6 * SECOND), "it opens again");
        // The probe was the fourth failure.
        let said = circuits.enter(way("phone"), 6 * SECOND).expect_err("open");
        assert!(matches!(said, PushOutcome::Transient { retry_after_ms: Some(5_000), .. }));
        let probe = circuits.enter(way("phone"), 11 * SECOND).expect("the next probe");
        circuits.settle(probe, &PushOutcome::refused("410".to_owned()), 11 * SECOND);
        assert_eq!(state(&circuits, 11 * SECOND), State::Closed, "who refuses is there");
        assert_eq!(fail(&circuits, 2, 11 * SECOND), 2);
    }

    #[test]
    fn a_probe_that_is_lost_blocks_nobody_for_long() {
        let circuits = circuits();
        fail(&circuits, 3, 0);
        drop(circuits.enter(way("phone"), 5 * SECOND).expect("the probe"));
        assert!(circuits.enter(way("phone"), 10 * SECOND - 1).is_err());
        assert!(circuits.enter(way("phone"), 10 * SECOND).is_ok());
    }

    #[test]
    fn what_comes_late_neither_prolongs_nor_survives_a_reload() {
        let circuits = circuits();
        let late = [0; 4].map(|now_us| circuits.enter(way("phone"), now_us).expect("closed"));
        fail(&circuits, 3, 0);
        let [one, two, three, four] = late;
        assert!(!circuits.settle(one, &transient("503"), 4 * SECOND), "it is open already");
        let probe = circuits.enter(way("phone"), 5 * SECOND).expect("not prolonged");
        assert!(!circuits.settle(two, &transient("503"), 5 * SECOND), "and only the probe decides");
        assert_eq!(state(&circuits, 5 * SECOND), State::HalfOpen);
        circuits.learn(CircuitRule { failures: 1, open: Duration::from_secs(5) });
        assert!(!circuits.settle(probe, &transient("503"), 5 * SECOND));
        assert!(!circuits.settle(three, &transient("503"), 5 * SECOND));
        circuits.learn(CircuitRule { failures: 0, ..CircuitRule::default() });
        assert_eq!(fail(&circuits, 50, 0), 50, "none ever opens");
        circuits.settle(four, &PushOutcome::Accepted, 0);
    }

    #[test]
    fn a_device_that_is_pushed_to_too_often_opens_nothing() {
        let circuits = circuits();
        for _ in 0..9 {
            let pass = circuits.enter(way("phone"), 0).expect("closed");
            assert!(!circuits.settle(pass, &transient("429: slow down"), 0));
        }
    }

    #[test]
    fn clients_cannot_fill_the_books() {
        let circuits = circuits();
        let fail_at = |service: usize, times: usize| {
            for _ in 0..times {
                let way = Way { service: service.to_string(), ..way("phone") };
                let pass = circuits.enter(way, 0).expect("closed");
                circuits.settle(pass, &transient("no answer"), 0);
            }
        };
        let count = || circuits.with(|books| books.ways.len());
        (0..2 * MOST).for_each(|service| fail_at(service, 1));
        assert!(count() <= MOST, "{}", count());
        (0..2 * MOST).for_each(|service| fail_at(service, 3));
        assert_eq!(count(), MOST, "all of them open");
        assert_eq!(fail(&circuits, 9, 0), 3, "a way of the configuration has its circuit");
    }
}
