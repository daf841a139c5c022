//! What a node owes the others that share its fabric, three times in each lease: it says that it
//! lives, learns what was taken from it, and takes what dead nodes left.

use std::sync::{Arc, Mutex};

use reveille_gateway_core::io::{Input, Records};

use super::committer::blocking;
use super::{Fabric, FabricError, Member};
use crate::world::{Event, World};

/// Sessions adopted at once; what is committed meanwhile does not wait longer than for so many.
const MOST_ADOPTED: usize = 256;

/// When the duty is due.
pub(super) struct Duty {
    /// `None`: nobody shares the fabric.
    lease_us: Option<u64>,
    due_us: u64,
}

impl Duty {
    pub(super) fn new(world: &World, member: Option<&Member>) -> Self {
        let lease_us = member.map(|member| member.lease_ms * 1_000);
        Self { lease_us, due_us: world.now().mono_us }
    }

    /// When it is due next.
    pub(super) fn due_us(&self) -> Option<u64> {
        self.lease_us.map(|_| self.due_us)
    }

    /// Does it, if it is due. False once the loop is gone.
    pub(super) async fn step(
        &mut self,
        world: &World,
        fabric: &Arc<Mutex<Box<dyn Fabric>>>,
    ) -> Result<bool, FabricError> {
        let begun_us = world.now().mono_us;
        let Some(lease_us) = self.lease_us.filter(|_| begun_us >= self.due_us) else {
            return Ok(true);
        };
        let work = |fabric: &mut dyn Fabric| {
            fabric.renew()?;
            Ok((fabric.lost()?, fabric.adopt(MOST_ADOPTED)?))
        };
        let (lost, adopted) = blocking(world, fabric, work).await?;
        world.health.lease(begun_us.saturating_add(lease_us));
        let is_full = adopted.sessions.len() >= MOST_ADOPTED;
        self.due_us = if is_full { begun_us } else { begun_us.saturating_add(lease_us / 3) };
        let lost = lost.into_iter().map(|(session, epoch)| Input::Fenced { session, epoch });
        let mut answers: Vec<_> = lost.collect();
        if adopted != Records::default() {
            let (sessions, calls) = (adopted.sessions.len(), adopted.calls.len());
            tracing::warn!(sessions, calls, "another node is dead: its sessions are ours");
            answers.push(Input::Adopted(adopted));
        }
        if answers.is_empty() {
            return Ok(true);
        }
        Ok(world.tell(Event::Committed { commits: 0, answers }).await)
    }
}
