use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reveille_conformance::stage::{Fault, Faults};

use super::executor::Fresh;
use super::net::Net;

/// What all hosts of one run share.
pub(super) struct World {
    now_us: AtomicU64,
    net: Mutex<Net>,
    asks: Mutex<Asks>,
    asked: AtomicBool,
}

/// What is asked of the one who runs the world.
#[derive(Default)]
pub(super) struct Asks {
    /// Tasks that are to be taken in.
    pub(super) fresh: Vec<Fresh>,
    /// Faults that are to strike.
    pub(super) orders: Vec<Fault>,
    /// Hosts that looked at their clock after it was stepped.
    pub(super) stepped: Vec<usize>,
    /// What went wrong in the harness.
    pub(super) troubles: Vec<String>,
    /// The director is done.
    pub(super) ended: bool,
}

/// The wall clock of one machine.
#[derive(Default)]
pub(super) struct WallClock {
    ahead_ms: AtomicI64,
    stepped: AtomicBool,
}

impl WallClock {
    pub(super) fn ahead(ahead_ms: i64) -> Self {
        Self { ahead_ms: AtomicI64::new(ahead_ms), stepped: AtomicBool::new(false) }
    }

    pub(super) fn step(&self, by_ms: i64) {
        self.ahead_ms.fetch_add(by_ms, Ordering::Relaxed);
        self.stepped.store(true, Ordering::Relaxed);
    }

    /// True to the first who looks after a step.
    pub(super) fn was_stepped(&self) -> bool {
        self.stepped.load(Ordering::Relaxed) && self.stepped.swap(false, Ordering::Relaxed)
    }

    /// What it shows when it is `right`.
    pub(super) fn shows(&self, right: Duration) -> Duration {
        let ahead_ms = self.ahead_ms.load(Ordering::Relaxed);
        let skew = Duration::from_millis(ahead_ms.unsigned_abs());
        if ahead_ms < 0 { right.saturating_sub(skew) } else { right + skew }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(net: Net) -> Self {
        Self {
            now_us: AtomicU64::new(0),
            net: Mutex::new(net),
            asks: Mutex::default(),
            asked: AtomicBool::new(false),
        }
    }

    /// Simulated microseconds since the start of the run.
    pub(super) fn now(&self) -> u64 {
        self.now_us.load(Ordering::Relaxed)
    }

    pub(super) fn go_to(&self, now_us: u64) {
        self.now_us.fetch_max(now_us, Ordering::Relaxed);
    }

    pub(super) fn net<T>(&self, act: impl FnOnce(&mut Net) -> T) -> T {
        act(&mut lock(&self.net))
    }

    pub(super) fn timed<T>(&self, act: impl FnOnce(&mut Net, u64) -> T) -> T {
        let now = self.now();
        self.net(|net| act(net, now))
    }

    pub(super) fn ask(&self, what: impl FnOnce(&mut Asks)) {
        what(&mut lock(&self.asks));
        self.asked.store(true, Ordering::Relaxed);
    }

    /// What has been asked since, if anything.
    pub(super) fn asks(&self) -> Option<Asks> {
        let asked = self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::Relaxed);
        asked.then(|| std::mem::take(&mut *lock(&self.asks)))
    }
}

impl Faults for World {
    fn order(&self, fault: Fault) {
        self.ask(|asks| asks.orders.push(fault));
    }
}
