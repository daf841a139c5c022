//! After a change of keys: what other keys have sealed is sealed anew by the first, a little at a time
//! and behind what apps and callers wait for.

use std::sync::{Arc, Mutex};

use reveille_trace::{Draft, Kind};

use super::committer::blocking;
use super::{Fabric, FabricError};
use crate::world::World;

/// Records in one step.
const STEP: usize = 128;
/// From one step to the next while nobody waits for the fabric, and while somebody does.
const PAUSE_US: u64 = 100_000;
const BUSY_PAUSE_US: u64 = 1_000_000;

/// The way through all records that need it.
pub(super) struct Pass {
    all: usize,
    /// Records still to be looked at.
    left: usize,
    /// When the last step ended.
    last_us: u64,
}

impl Pass {
    pub(super) fn new(world: &World, all: usize) -> Self {
        if all > 0 {
            tracing::info!(records = all, "sealing anew, by the first key; keep the other keys");
        }
        Self { all, left: all, last_us: world.now().mono_us }
    }

    /// When the next step is due; `None` if nothing is left.
    pub(super) fn due_us(&self) -> Option<u64> {
        (self.left > 0).then(|| self.last_us + PAUSE_US)
    }

    /// The next step, if it is due.
    pub(super) async fn step(
        &mut self,
        world: &World,
        fabric: &Arc<Mutex<Box<dyn Fabric>>>,
        is_busy: bool,
    ) -> Result<(), FabricError> {
        let pause_us = if is_busy { BUSY_PAUSE_US } else { PAUSE_US };
        if self.left == 0 || world.now().mono_us < self.last_us + pause_us {
            return Ok(());
        }
        let work = |fabric: &mut dyn Fabric| fabric.reseal(STEP).map(|()| fabric.stale());
        self.left = blocking(world, fabric, work).await?;
        self.last_us = world.now().mono_us;
        if self.left == 0 {
            let text = "every record is sealed by the first key; the others may be dropped";
            tracing::info!(records = self.all, "{text}");
            world.note(|| Draft::new(Kind::Note).with("text", text));
        }
        Ok(())
    }
}
