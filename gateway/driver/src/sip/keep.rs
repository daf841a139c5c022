//! Keeps the flow of a dialled connection alive: a double CRLF now and then, which the peer answers
//! by one (RFC 5626 section 4.4.1).

use std::time::Duration;

use reveille_gateway_core::io::Flow;
use reveille_host::{Entropy, within};
use tokio::sync::{mpsc, watch};

use super::SipOut;
use crate::world::{Event, World};

/// How long the answer may take.
const PONG_LIMIT: Duration = Duration::from_secs(10);
const PING: &[u8] = b"\r\n\r\n";

/// Least and most milliseconds between two pings.
pub(crate) type Every = (u64, u64);

/// What is kept alive.
pub(crate) struct Kept {
    pub(crate) connection: u64,
    pub(crate) flow: Flow,
    pub(crate) queue: mpsc::WeakSender<SipOut>,
    pub(crate) pongs: watch::Receiver<u64>,
}

/// Begins to ping; the bounds may be changed by what is returned, and its end ends the pings.
pub(crate) fn start(world: &World, kept: Kept, every: Every) -> watch::Sender<Every> {
    let (told, bounds) = watch::channel(every);
    world.host.tasks.spawn("sip-keep-alive", Box::pin(keep(world.clone(), kept, bounds)));
    told
}

async fn keep(world: World, mut kept: Kept, mut every: watch::Receiver<Every>) {
    loop {
        let wait = drawn(&*world.host.entropy, *every.borrow_and_update());
        let told = within(&*world.host.clock, wait, every.changed());
        match world.unless_stopped(told).await {
            Some(None) => {}
            // Other bounds: the wait begins anew.
            Some(Some(Ok(()))) => continue,
            Some(Some(Err(_))) | None => return,
        }
        // The connection may have ended meanwhile, of which others tell.
        let Some(queue) = kept.queue.upgrade() else { return };
        kept.pongs.mark_unchanged();
        let ping = SipOut { flow: kept.flow.clone(), bytes: PING.to_vec() };
        // A full queue is full of messages that the peer does not read: no answer will come.
        let queued = queue.try_send(ping).is_ok();
        drop(queue);
        let answer = within(&*world.host.clock, PONG_LIMIT, kept.pongs.changed());
        match world.unless_stopped(answer).await {
            Some(Some(Ok(()))) => {}
            Some(None) => {
                break tracing::warn!(
                    peer = kept.flow.peer,
                    queued,
                    "no answer to a ping within 10 s: the flow is given up"
                );
            }
            Some(Some(Err(_))) | None => return,
        }
    }
    // False only once the loop is gone.
    let _told: bool = world.tell(Event::SipClosed { connection: kept.connection }).await;
}

/// A time drawn evenly, so that many flows do not ping in step.
pub(super) fn drawn(entropy: &dyn Entropy, (least_ms, most_ms): Every) -> Duration {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    let spread_ms = u64::from_be_bytes(bytes) % (most_ms.saturating_sub(least_ms) + 1);
    Duration::from_millis(least_ms + spread_ms)
}
