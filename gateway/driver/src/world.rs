//! What every task of the gateway holds: its host, its pen, the way to the loop, and the end.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use reveille_gateway_core::io::{Input, SocketId, Transport};
#[cfg(feature = "mutants")]
use reveille_gateway_core::whim::{Whim, Whims};
use reveille_host::Host;
use reveille_trace::{Draft, Scribe, Timestamp};
use tokio::sync::{mpsc, watch};

use crate::admin::Ask;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::pace::Paces;
use crate::push::Circuits;
use crate::quota::Quota;
use crate::sip::SipOut;
use crate::tls::Connector;
use crate::ws::WsOut;

/// What tasks tell the loop.
pub(crate) enum Event {
    /// Something for the core.
    Input(Input),
    /// A SIP connection was accepted.
    SipOpened { connection: u64, transport: Transport, peer: String, queue: mpsc::Sender<SipOut> },
    /// A SIP connection is gone.
    SipClosed { connection: u64 },
    /// A WebSocket was upgraded.
    WsOpened { socket: SocketId, user: String, app: String, queue: mpsc::Sender<WsOut> },
    /// A WebSocket is gone.
    WsClosed { socket: SocketId, code: Option<u16> },
    /// So many commits were answered, and how.
    Committed { commits: usize, answers: Vec<Input> },
    /// The gateway cannot go on.
    Failed(String),
    /// The operator asks for the end.
    Stop,
    /// The operator asks, and waits for the answer.
    Ask(Ask),
}

/// Shared by the tasks of one gateway.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) host: Host,
    pub(crate) scribe: Scribe,
    pub(crate) inbox: mpsc::Sender<Event>,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    pub(crate) quota: Quota,
    pub(crate) circuits: Circuits,
    pub(crate) paces: Paces,
    /// Dials over TLS; `None`: nobody is to be reached so.
    pub(crate) connector: Option<Arc<Connector>>,
    numbers: Arc<AtomicU64>,
    #[cfg(feature = "mutants")]
    whims: Arc<Whims>,
}

impl World {
    pub(crate) fn new(
        host: Host,
        scribe: Scribe,
        inbox: mpsc::Sender<Event>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let numbers = Arc::new(AtomicU64::new(1));
        let (metrics, health) = (Arc::default(), Arc::default());
        let (quota, circuits, paces) = (Quota::default(), Circuits::default(), Paces::default());
        let connector = None;
        Self {
            host,
            scribe,
            inbox,
            stopping,
            metrics,
            health,
            quota,
            circuits,
            paces,
            connector,
            numbers,
            #[cfg(feature = "mutants")]
            whims: Arc::default(),
        }
    }

    /// The same, which follows these whims.
    #[cfg(feature = "mutants")]
    pub(crate) fn with_whims(self, whims: &Whims) -> Self {
        Self { whims: Arc::new(whims.clone()), ..self }
    }

    /// True if it follows this whim now, which is told.
    #[cfg(feature = "mutants")]
    pub(crate) fn follows(&self, whim: Whim) -> bool {
        let acts = self.whims.acts(whim, || {
            let mut bytes = [0; 8];
            self.host.entropy.fill(&mut bytes);
            u64::from_be_bytes(bytes)
        });
        if acts {
            self.note(|| whim.struck());
        }
        acts
    }

    /// The same, with a way to dial over TLS.
    pub(crate) fn with_connector(self, connector: Option<Arc<Connector>>) -> Self {
        Self { connector, ..self }
    }

    /// A number that no other connection or socket of this process has.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Both clocks, as the core reads them.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.host.clock.now();
        let micros =
            |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Timestamp { mono_us: micros(now.mono), wall_us: micros(now.wall) }
    }

    /// Records an event now, if somebody listens.
    pub(crate) fn note(&self, draft: impl FnOnce() -> Draft) {
        if self.scribe.is_heard() {
            self.scribe.note(self.now().mono_us, draft());
        }
    }

    /// Tells the loop; false once the loop is gone. Waits while the inbox is full, so that a flood
    /// slows its sender's reader and nobody else.
    pub(crate) async fn tell(&self, event: Event) -> bool {
        self.inbox.send(event).await.is_ok()
    }

    /// Runs `work` until the gateway ends; `None` once it has.
    pub(crate) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut stopping = self.stopping.clone();
        let mut end = std::pin::pin!(async move {
            // An error means that the gateway itself is gone, which is an end as well.
            stopping.wait_for(|stop| *stop).await.is_ok()
        });
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(move |context| {
            if let Poll::Ready(value) = work.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            end.as_mut().poll(context).map(|_| None)
        })
        .await
    }
}
