//! A clock of tests on which every wait is over at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reveille_host::{BoxFuture, Clock, Reading};

/// Tells how long all waits together would have been, in milliseconds.
#[derive(Default)]
pub(crate) struct Hasty(AtomicU64);

impl Clock for Hasty {
    fn now(&self) -> Reading {
        let mono = Duration::from_millis(self.0.load(Ordering::Relaxed));
        Reading { mono, wall: mono }
    }

    fn sleep_until(&self, mono: Duration) -> BoxFuture<'static, ()> {
        let ms = u64::try_from(mono.as_millis()).expect("a short time");
        self.0.fetch_max(ms, Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }
}
