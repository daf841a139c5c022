//! SIP over UDP (RFC 3261 section 18): one socket, a task that reads and a task that writes. STUN
//! comes by the same socket (RFC 5626 section 8).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reveille_gateway_core::io::{Flow, Input, Transport};
use reveille_host::{Udp, within};
use reveille_wire::sip::Message;
use tokio::sync::mpsc;

use super::arrival::{Arrival, judge};
use super::pace::Pace;
use super::probe::Asked;
use super::{SIP_QUEUE, SipOut, stun};
use crate::world::{Event, World};

/// Largest datagram.
const DATAGRAM: usize = 65_535;
/// How long a name of a peer may take to resolve.
const RESOLVE_LIMIT: Duration = Duration::from_secs(3);
/// Pause after an error of the socket itself, so that a broken one does not spin.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Answers in one second: to malformed requests, and to STUN, which keeps many flows alive and
/// costs little.
const MOST_REFUSALS: u32 = 200;
const MOST_STUN: u32 = 1_000;

/// A socket that is served.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) local: String,
    pub(crate) queue: mpsc::Sender<SipOut>,
    /// STUN requests of ours that wait for an answer.
    pub(crate) asked: Asked,
}

/// Starts the tasks of a socket.
pub(crate) fn start(world: &World, socket: Arc<dyn Udp>, local: SocketAddr) -> Port {
    let (queue, queued) = mpsc::channel(SIP_QUEUE);
    let port = Port { local: local.to_string(), queue, asked: Asked::default() };
    let (answers, asked) = (port.queue.downgrade(), port.asked.clone());
    let reader = read(world.clone(), Arc::clone(&socket), port.local.clone(), answers, asked);
    world.host.tasks.spawn("sip-udp-read", Box::pin(reader));
    world.host.tasks.spawn("sip-udp-write", Box::pin(write(world.clone(), socket, queued)));
    port
}

async fn read(
    world: World,
    socket: Arc<dyn Udp>,
    local: String,
    answers: mpsc::WeakSender<SipOut>,
    asked: Asked,
) {
    let mut buffer = vec![0; DATAGRAM];
    let (mut pace, mut stun_pace) = (Pace::new(MOST_REFUSALS), Pace::new(MOST_STUN));
    loop {
        let Some(got) = world.unless_stopped(socket.recv_from(&mut buffer)).await else { return };
        let (length, source) = match got {
            Ok(got) => got,
            Err(error) => {
                // An ICMP answer to an earlier datagram shows here; the socket is still good.
                tracing::debug!(%error, local, "UDP receive failed");
                if world.unless_stopped(world.host.sleep(ERROR_PAUSE)).await.is_none() {
                    return;
                }
                continue;
            }
        };
        let raw = &buffer[..length];
        if raw.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            continue;
        }
        let flow = Flow {
            transport: Transport::Udp,
            local: local.clone(),
            peer: source.to_string(),
            connection: None,
        };
        if stun::is_stun(raw) {
            match stun::answer(raw, source) {
                Some(bytes) if stun_pace.allows(world.now().mono_us) => {
                    reply(&answers, SipOut { flow, bytes });
                }
                Some(_) => {}
                None => asked.hear(raw),
            }
            continue;
        }
        match judge(&world, flow.clone(), source, raw, Message::parse(raw)) {
            Arrival::Input(input) => {
                if !world.tell(Event::Input(input)).await {
                    return;
                }
            }
            Arrival::Answer(bytes) if pace.allows(world.now().mono_us) => {
                reply(&answers, SipOut { flow, bytes });
            }
            Arrival::Answer(_) | Arrival::Nothing => {}
        }
    }
}

/// Answers without the loop. A full queue loses the answer, as the network might.
fn reply(answers: &mpsc::WeakSender<SipOut>, answer: SipOut) {
    if let Some(queue) = answers.upgrade()
        && queue.try_send(answer).is_err()
    {
        tracing::debug!("no room for an answer over UDP");
    }
}

async fn write(world: World, socket: Arc<dyn Udp>, mut queued: mpsc::Receiver<SipOut>) {
    while let Some(message) = queued.recv().await {
        match message.flow.peer.parse() {
            Ok(to) => send(&world, &*socket, message, to).await,
            // Resolving takes time that the messages behind must not wait.
            Err(_) => {
                let task = resolve_and_send(world.clone(), Arc::clone(&socket), message);
                world.host.tasks.spawn("sip-udp-resolve", Box::pin(task));
            }
        }
    }
}

async fn resolve_and_send(world: World, socket: Arc<dyn Udp>, message: SipOut) {
    let work = world.host.net.resolve(&message.flow.peer);
    match within(&*world.host.clock, RESOLVE_LIMIT, work).await {
        Some(Ok(to)) => send(&world, &*socket, message, to).await,
        Some(Err(error)) => unsent(&world, message, &error.to_string()).await,
        None => unsent(&world, message, "its name did not resolve in time").await,
    }
}

async fn send(world: &World, socket: &dyn Udp, message: SipOut, to: SocketAddr) {
    if message.is_sip() {
        message.note(world);
    }
    if let Err(error) = socket.send_to(&message.bytes, to).await {
        unsent(world, message, &error.to_string()).await;
    }
}

async fn unsent(world: &World, message: SipOut, why: &str) {
    tracing::warn!(peer = message.flow.peer, why, "a SIP datagram was not sent");
    // False only once the loop is gone, and then nobody is left to care.
    let _told: bool = world.tell(Event::Input(Input::SipUnsent { flow: message.flow })).await;
}
