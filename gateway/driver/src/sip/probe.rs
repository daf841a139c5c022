//! Keeps the flow of UDP alive: a STUN Binding request now and then, whose answer also tells whether
//! a NAT on the way still knows us by the same address (RFC 5626 section 4.4.2).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reveille_gateway_core::io::{Flow, Input};
use reveille_host::within;
use tokio::sync::{mpsc, oneshot, watch};

use super::keep::{Every, drawn};
use super::stun::{self, Transaction};
use super::{SipOut, stun::answered};
use crate::world::{Event, World};

/// RFC 5389 section 7.2.1 with its default values: seven requests, each waiting twice as long as the
/// one before, the last for 16 times the first.
const WAITS_MS: [u64; 7] = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 8_000];

/// Who waits for answers on a socket.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<BTreeMap<Transaction, oneshot::Sender<Option<SocketAddr>>>>>);

impl Asked {
    /// An answer came in; one that nobody waits for is dropped.
    pub(super) fn hear(&self, raw: &[u8]) {
        let Some((transaction, mapped)) = answered(raw) else { return };
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&transaction);
        if waiting.is_some_and(|waiting| waiting.send(mapped).is_err()) {
            tracing::debug!("the answer to a STUN request came too late");
        }
    }

    fn wait(&self, transaction: Transaction) -> oneshot::Receiver<Option<SocketAddr>> {
        let (told, answer) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(transaction, told);
        answer
    }

    fn forget(&self, transaction: &Transaction) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(transaction);
    }
}

/// What is kept alive.
pub(crate) struct Probed {
    pub(crate) flow: Flow,
    pub(crate) queue: mpsc::WeakSender<SipOut>,
    pub(crate) asked: Asked,
}

/// Begins to ask; the bounds may be changed by what is returned. Closed: the flow was lost.
pub(crate) fn start(world: &World, probed: Probed, every: Every) -> watch::Sender<Every> {
    let (told, bounds) = watch::channel(every);
    world.host.tasks.spawn("sip-stun", Box::pin(probe(world.clone(), probed, bounds)));
    told
}

async fn probe(world: World, probed: Probed, mut every: watch::Receiver<Every>) {
    let mut known = None;
    let why = loop {
        let wait = drawn(&*world.host.entropy, *every.borrow_and_update());
        let told = within(&*world.host.clock, wait, every.changed());
        match world.unless_stopped(told).await {
            Some(None) => {}
            Some(Some(Ok(()))) => continue,
            Some(Some(Err(_))) | None => return,
        }
        match world.unless_stopped(ask(&world, &probed)).await {
            None => return,
            Some(None) => break "no answer to seven STUN requests",
            Some(Some(mapped)) => {
                if known.is_some() && mapped.is_some() && known != mapped {
                    break "a NAT on the way knows us by another address now";
                }
                known = mapped.or(known);
            }
        }
    };
    tracing::warn!(peer = probed.flow.peer, why, "the flow is given up");
    drop(every);
    // False only once the loop is gone.
    let _told: bool = world.tell(Event::Input(Input::FlowLost { flow: probed.flow })).await;
}

/// One transaction; `None`: no answer came.
async fn ask(world: &World, probed: &Probed) -> Option<Option<SocketAddr>> {
    let mut transaction = Transaction::default();
    world.host.entropy.fill(&mut transaction);
    let mut answer = probed.asked.wait(transaction);
    let bytes = stun::request(&transaction);
    for wait_ms in WAITS_MS {
        let message = SipOut { flow: probed.flow.clone(), bytes: bytes.clone() };
        // A full queue loses the request, as the network might.
        if let Some(queue) = probed.queue.upgrade()
            && queue.try_send(message).is_err()
        {
            tracing::debug!("no room for a STUN request");
        }
        let wait = Duration::from_millis(wait_ms);
        if let Some(Ok(mapped)) = within(&*world.host.clock, wait, &mut answer).await {
            return Some(mapped);
        }
    }
    probed.asked.forget(&transaction);
    None
}

#[cfg(test)]
mod tests {
    use reveille_gateway_core::io::Transport;
    use reveille_trace::{Recorder, Scribe};

    use super::*;
    use crate::hasty::Hasty;

    #[tokio::test]
    async fn seven_requests_without_an_answer_are_a_lost_flow_after_39_5_s() {
        let mut host = reveille_host::real::host();
        host.clock = Arc::new(Hasty::default());
        let (inbox, mut events) = mpsc::channel(8);
        let (_stop, stopping) = watch::channel(false);
        let scribe = Scribe::new(Recorder::passing(), "gateway");
        let world = World::new(host, scribe, inbox, stopping);
        let (queue, mut sent) = mpsc::channel(16);
        let (peer, local) = ("192.0.2.1:5060".to_owned(), String::new());
        let flow = Flow { transport: Transport::Udp, local, peer, connection: None };
        let asked = Asked::default();
        let probed = Probed { flow: flow.clone(), queue: queue.downgrade(), asked: asked.clone() };
        let (told, every) = watch::channel((0, 0));
        probe(world.clone(), probed, every).await;
        let event = events.recv().await;
        assert!(
            matches!(event, Some(Event::Input(Input::FlowLost { flow: lost })) if lost == flow)
        );
        assert!(told.is_closed(), "it may be begun anew");
        let first = sent.try_recv().expect("a request").bytes;
        let mut others = 0;
        while let Ok(next) = sent.try_recv() {
            assert_eq!(next.bytes, first, "one transaction");
            others += 1;
        }
        assert_eq!((others, world.now().mono_us), (6, 39_500_000));
        assert!(asked.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty(), "forgotten");
    }
}
