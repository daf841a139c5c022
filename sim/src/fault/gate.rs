use std::any::Any;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reveille_trace::{Draft, Kind, Recorder};

/// Operations kept in a host's log; the count goes on beyond it.
const LOGGED: usize = 1 << 20;

/// One operation of a host at its seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Its number, from 1, over all generations.
    pub at: u64,
    /// Its name, as the table of this module lists it.
    pub what: &'static str,
    /// The generation of the host that did it.
    pub generation: u64,
}

/// A crash that waits at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trap {
    /// The number of the operation.
    pub at: u64,
    /// After it took effect, or before.
    pub after: bool,
    /// The power goes with it: no FIN leaves, and unsynced writes are in danger.
    pub silent: bool,
    /// How long the host then stays down.
    pub down: Duration,
}

impl Trap {
    /// The field `fault` of `fault.planned` and `fault.struck`.
    #[must_use]
    pub const fn fault(&self) -> &'static str {
        if self.silent { "power-loss-at" } else { "crash-at" }
    }
}

#[derive(Default)]
struct State {
    generation: u64,
    stopped: bool,
    silent: bool,
    done: u64,
    traps: Vec<Trap>,
    sprung: Option<Trap>,
    log: Vec<Operation>,
}

/// The one door between a host and its world.
pub struct Gate {
    name: String,
    recorder: Recorder,
    now: Box<dyn Fn() -> Duration + Send + Sync>,
    state: Mutex<State>,
}

impl Gate {
    /// A gate for the host `name`, open, at generation 0.
    pub fn new(
        name: &str,
        recorder: Recorder,
        now: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { name: name.to_owned(), recorder, now: Box::new(now), state })
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The life of the host's present generation.
    #[must_use]
    pub fn life(self: &Arc<Self>) -> Life {
        Life { generation: self.state().generation, gate: Arc::clone(self) }
    }

    /// Lays `trap`.
    pub fn lay(&self, trap: Trap) {
        self.state().traps.push(trap);
    }

    /// The trap that has sprung since it was last asked.
    #[must_use]
    pub fn sprung(&self) -> Option<Trap> {
        self.state().sprung.take()
    }

    /// Ends the present generation. `silent`: its sockets say nothing either.
    pub fn stop(&self, silent: bool) {
        let mut state = self.state();
        state.stopped = true;
        state.silent = silent;
    }

    /// True between a stop and the next start.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Begins the next generation.
    pub fn start(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.stopped = false;
        state.silent = false;
    }

    /// How many operations there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().done
    }

    /// The operations so far, at most the first million.
    #[must_use]
    pub fn log(&self) -> Vec<Operation> {
        self.state().log.clone()
    }

    /// Records something that happened to this host.
    pub fn record(&self, draft: Draft) {
        self.recorder.record(&self.name, micros((self.now)()), draft);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spring(&self, mut state: MutexGuard<'_, State>, trap: Trap) {
        state.stopped = true;
        state.silent = trap.silent;
        state.sprung = Some(trap);
        drop(state);
        let struck = Draft::new(Kind::FaultStruck).with("fault", trap.fault());
        self.recorder.record("world", micros((self.now)()), struck.with("on", self.name.as_str()));
        let crashed = Draft::new(Kind::HostCrashed).with("goodbye", !trap.silent);
        self.record(crashed.with("at", trap.at));
    }
}

/// Whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What a panic says.
pub(crate) fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text")
}

/// An operation under way.
#[derive(Debug)]
pub struct Ticket(u64);

/// What every seam object of one generation of a host carries.
#[derive(Clone)]
pub struct Life {
    gate: Arc<Gate>,
    generation: u64,
}

impl std::fmt::Debug for Life {
    fn fmt(&self, into: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(into, "{} #{}", self.gate.name, self.generation)
    }
}

impl Life {
    /// Which generation of the host this is, from 0.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The host's gate.
    #[must_use]
    pub const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// True once this generation has ended: nothing it does has an effect any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let state = self.gate.state();
        state.stopped || state.generation != self.generation
    }

    /// True if the end came without a word: its sockets must not close either.
    #[must_use]
    pub fn is_silenced(&self) -> bool {
        let state = self.gate.state();
        state.generation != self.generation || (state.stopped && state.silent)
    }

    /// Begins the operation `what`; `None` if it must not happen.
    #[must_use]
    pub fn begin(&self, what: &'static str) -> Option<Ticket> {
        if self.is_over() {
            return None;
        }
        let mut state = self.gate.state();
        state.done += 1;
        let at = state.done;
        if state.log.len() < LOGGED {
            state.log.push(Operation { at, what, generation: self.generation });
        }
        match state.traps.iter().find(|trap| trap.at == at && !trap.after).copied() {
            Some(trap) => self.gate.spring(state, trap),
            None => return Some(Ticket(at)),
        }
        None
    }

    /// Ends an operation that took effect; false if its doer must never learn of it.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is used up")]
    pub fn end(&self, ticket: Ticket) -> bool {
        if self.is_over() {
            return false;
        }
        let state = self.gate.state();
        let trap = state.traps.iter().find(|trap| trap.at == ticket.0 && trap.after).copied();
        match trap {
            Some(trap) => self.gate.spring(state, trap),
            None => return true,
        }
        false
    }

    /// Does `act` as the operation `what`; `None` if its doer must stop here.
    pub fn operate<T>(&self, what: &'static str, act: impl FnOnce() -> T) -> Option<T> {
        let ticket = self.begin(what)?;
        let done = act();
        self.end(ticket).then_some(done)
    }

    /// Does `act` as the operation `what`, and never returns if its doer must stop here.
    pub async fn perform<T>(&self, what: &'static str, act: impl Future<Output = T>) -> T {
        let Some(ticket) = self.begin(what) else { return pending().await };
        let done = act.await;
        if self.end(ticket) { done } else { pending().await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(trap: Trap) -> (Arc<Gate>, Recorder) {
        let recorder = Recorder::keeping();
        let gate = Gate::new("toy", recorder.clone(), || Duration::from_micros(5));
        gate.lay(trap);
        (gate, recorder)
    }

    #[test]
    fn before_and_after_differ_by_the_effect_alone() {
        for after in [false, true] {
            let (gate, recorder) = gate(Trap { at: 2, after, silent: false, down: Duration::ZERO });
            let life = gate.life();
            let mut effects = 0;
            let learned: Vec<_> =
                (0..4).map(|_| life.operate("udp.send", || effects += 1).is_some()).collect();
            assert_eq!(learned, [true, false, false, false]);
            assert_eq!(effects, 1 + i32::from(after));
            assert!(gate.sprung().is_some() && gate.sprung().is_none());
            let kinds: Vec<_> = recorder.events().iter().map(|event| event.kind).collect();
            assert_eq!(kinds, [Kind::FaultStruck, Kind::HostCrashed]);
            gate.start();
            assert!(life.is_over() && life.operate("udp.send", || ()).is_none());
            assert!(gate.life().operate("udp.send", || ()).is_some());
            assert_eq!(gate.operations(), 3);
        }
    }
}
