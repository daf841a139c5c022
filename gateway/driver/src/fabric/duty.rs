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
        // Who goes follows nobody.
        let most = if world.health.is_draining() { 0 } else { MOST_ADOPTED };
        let work = move |fabric: &mut dyn Fabric| {
            fabric.renew()?;
            Ok((fabric.lost()?, fabric.adopt(most)?))
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

#[cfg(test)]
mod tests {
    use reveille_trace::{Recorder, Scribe};
    use tokio::sync::{mpsc, watch};

    use super::super::battery::{commit, put_session};
    use super::super::{FabricSettings, open};
    use super::*;

    /// What a node is told after a step of its duty: how many sessions it follows.
    async fn followed(is_draining: bool) -> usize {
        let host = reveille_host::real::host();
        let (inbox, mut events) = mpsc::channel(8);
        let (_stop, stopping) = watch::channel(false);
        let scribe = Scribe::new(Recorder::passing(), "gateway");
        let world = World::new(host.clone(), scribe, inbox, stopping);
        let of = |node: &str| Member {
            node: node.to_owned(),
            address: format!("{node}:5060"),
            lease_ms: 60_000,
        };
        let memory = FabricSettings { engine: "memory".to_owned(), ..FabricSettings::default() };
        let settings = |node| FabricSettings { member: Some(of(node)), ..memory.clone() };
        let mut dead = open(&settings("node-1"), &host).expect("it opens");
        dead.commit(&[commit("s", 1, 1, vec![put_session("s", 1)])]).expect("stored");
        let fabric = open(&settings("b"), &host).expect("it opens");
        let fabric = Arc::new(Mutex::new(fabric));
        if is_draining {
            world.health.drain();
        }
        let mut duty = Duty::new(&world, Some(&of("b")));
        assert_eq!(duty.step(&world, &fabric).await, Ok(true));
        assert!(duty.due_us().is_some_and(|due_us| due_us >= 20_000_000), "a third of a lease");
        assert!(world.health.lease_left_us(world.now().mono_us).is_some_and(|left_us| left_us > 0));
        match events.try_recv() {
            Ok(Event::Committed { answers, .. }) => match &answers[..] {
                [Input::Adopted(records)] => records.sessions.len(),
                other => panic!("{other:?}"),
            },
            Ok(_) => panic!("something else"),
            Err(_) => 0,
        }
    }

    #[tokio::test]
    async fn a_node_follows_the_dead_unless_it_drains() {
        assert_eq!((followed(false).await, followed(true).await), (1, 0));
    }
}
