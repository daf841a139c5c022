use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use reveille_host::{BoxFuture, Clock, Entropy, Reading, Tasks};
use tokio::runtime::Handle;

use super::world::World;
use crate::fault::{Draws, Life};

/// Longer than any run, and short enough never to overflow an instant.
const FOR_EVER: Duration = Duration::from_secs(86_400 * 365);

/// The clocks of one host.
pub(super) struct SimClock {
    pub(super) world: Arc<World>,
    pub(super) life: Life,
}

impl Clock for SimClock {
    fn now(&self) -> Reading {
        let mono = self.world.now();
        let ahead_ms = self.world.links.ahead_ms(self.life.gate().name(), mono);
        let skew = Duration::from_millis(ahead_ms.unsigned_abs());
        let wall = self.world.epoch + mono;
        let wall = if ahead_ms < 0 { wall.saturating_sub(skew) } else { wall + skew };
        Reading { mono, wall }
    }

    fn sleep_until(&self, mono: Duration) -> BoxFuture<'static, ()> {
        let (world, life) = (Arc::clone(&self.world), self.life.clone());
        Box::pin(async move {
            until(&world, mono).await;
            if life.is_over() {
                pending::<()>().await;
            }
        })
    }
}

/// Waits until this time of the run.
#[expect(clippy::disallowed_methods, reason = "turmoil's time is its runtime's")]
pub(super) async fn until(world: &World, mono: Duration) {
    while let Some(left) = mono.checked_sub(world.now()).filter(|left| !left.is_zero()) {
        tokio::time::sleep(left.min(FOR_EVER)).await;
    }
}

/// The randomness of one generation of a host.
pub(super) struct SimEntropy(pub(super) Mutex<Draws>);

impl Entropy for SimEntropy {
    fn fill(&self, into: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(into);
    }
}

/// The tasks of one generation of a host.
pub(super) struct SimTasks {
    pub(super) world: Arc<World>,
    pub(super) life: Life,
    /// How long the disk takes for each piece of blocking work.
    pub(super) disk_time: Mutex<Draws>,
}

impl Tasks for SimTasks {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        let watched = watch(Arc::clone(&self.world), self.life.clone(), name, task);
        // Whoever spawns goes on in any case, and has no effect if the life is over.
        let _alive = self.life.operate("tasks.spawn", || {
            // A destructor may spawn when the runtime is gone already: then there is no task.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(watched);
            }
        });
    }

    #[expect(clippy::disallowed_methods, reason = "turmoil's time is its runtime's")]
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let life = self.life.clone();
        // A real disk lets others run before it writes as well as after: without the first wait,
        // whatever left too early would still leave after the write.
        let (begins, takes) = {
            let mut draws = self.disk_time.lock().unwrap_or_else(PoisonError::into_inner);
            (Duration::from_millis(1), Duration::from_millis(1 + draws.below(3)))
        };
        Box::pin(async move {
            life.perform("tasks.blocking", async {
                tokio::time::sleep(begins).await;
                work();
                tokio::time::sleep(takes).await;
            })
            .await;
        })
    }
}

/// `task`, which stands still once its life is over, and whose panic is kept under `name`.
pub(super) fn watch(
    world: Arc<World>,
    life: Life,
    name: &'static str,
    mut task: BoxFuture<'static, ()>,
) -> impl Future<Output = ()> + Send {
    poll_fn(move |context| {
        if life.is_over() {
            return Poll::Pending;
        }
        catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context))).unwrap_or_else(|panic| {
            // What a ghost says of the world it no longer sees is no finding.
            if !life.is_over() {
                let said = crate::fault::said(panic.as_ref());
                world.trouble(format!("{}: task {name} panicked: {said}", life.gate().name()));
            }
            Poll::Ready(())
        })
    })
}
