//! Whether the gateway can take work: what `/readyz` says.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How long a commit may take before the fabric counts as not answering.
const COMMIT_LIMIT_US: u64 = 2_000_000;
/// No commit is under way.
const NONE: u64 = u64::MAX;

/// What the tasks of a gateway say of its health.
pub(crate) struct Health {
    draining: AtomicBool,
    /// Since when the fabric is at work on a batch, in monotonic microseconds.
    commit_since_us: AtomicU64,
    /// When the lease runs out, in monotonic microseconds; never, where nobody shares the fabric.
    lease_until_us: AtomicU64,
    /// Unix time of the start, in seconds.
    started_unix_s: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            draining: AtomicBool::new(false),
            commit_since_us: AtomicU64::new(NONE),
            lease_until_us: AtomicU64::new(NONE),
            started_unix_s: AtomicU64::new(0),
        }
    }
}

impl Health {
    /// From now on new work is refused.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn start(&self, unix_s: u64) {
        self.started_unix_s.store(unix_s, Ordering::Relaxed);
    }

    pub(crate) fn started_unix_s(&self) -> u64 {
        self.started_unix_s.load(Ordering::Relaxed)
    }

    pub(crate) fn commit_begins(&self, now_us: u64) {
        self.commit_since_us.store(now_us, Ordering::Relaxed);
    }

    pub(crate) fn commit_ends(&self) {
        self.commit_since_us.store(NONE, Ordering::Relaxed);
    }

    /// Until then this node owns its sessions.
    pub(crate) fn lease(&self, until_us: u64) {
        self.lease_until_us.store(until_us, Ordering::Relaxed);
    }

    /// What is left of the lease; `None` if there is none.
    pub(crate) fn lease_left_us(&self, now_us: u64) -> Option<u64> {
        let until_us = self.lease_until_us.load(Ordering::Relaxed);
        (until_us != NONE).then(|| until_us.saturating_sub(now_us))
    }

    /// Why no work should come here, if none should.
    pub(crate) fn ailment(&self, now_us: u64) -> Option<String> {
        if self.is_draining() {
            return Some("the gateway drains: it refuses new calls and sessions".to_owned());
        }
        let since_us = self.commit_since_us.load(Ordering::Relaxed);
        let waited_us = now_us.saturating_sub(since_us);
        (since_us != NONE && waited_us > COMMIT_LIMIT_US).then(|| {
            let waited_s = waited_us / 1_000_000;
            format!("the fabric has not answered a commit for {waited_s} s; look at its disk")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_takes_too_long_is_an_ailment_until_it_ends() {
        let health = Health::default();
        assert_eq!(health.ailment(u64::MAX), None, "no commit is under way");
        health.commit_begins(1_000_000);
        assert_eq!(health.ailment(3_000_000), None);
        let why = health.ailment(3_000_001).expect("too long");
        assert!(why.contains("not answered a commit for 2 s"), "{why}");
        health.commit_ends();
        assert_eq!(health.ailment(9_000_000), None);
        health.drain();
        assert!(health.ailment(0).is_some_and(|why| why.contains("drains")));
    }
}
