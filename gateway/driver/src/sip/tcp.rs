//! SIP over TCP and TLS (RFC 3261 section 18): numbered connections, accepted or dialled, each with a
//! task that reads and a task that writes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reveille_gateway_core::io::{Flow, Input, Transport};
use reveille_host::{BoxStream, Listener, within};
use reveille_wire::sip::{Bounds, Frame, Framer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};

use super::arrival::{Arrival, judge, note_broken};
use super::{SIP_QUEUE, SipOut, refuse};
use crate::accept;
use crate::door::{Door, Pass};
use crate::linger::linger;
use crate::tls::Acceptor;
use crate::world::{Event, World};

/// How long a dial may take before the message counts as unsent.
const DIAL_LIMIT: Duration = Duration::from_secs(3);
/// The same with a TLS handshake.
const TLS_LIMIT: Duration = Duration::from_secs(8);
/// How long one write may take.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// A connection that says nothing for this long is closed; keep-alives count (RFC 5626 4.4.1).
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// Bytes read at once.
const CHUNK: usize = 8 * 1_024;

/// A port where streams come in.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) local: SocketAddr,
    pub(crate) door: Door,
    /// Set where the port speaks TLS.
    pub(crate) acceptor: Option<Acceptor>,
}

/// Accepts connections until the gateway ends.
pub(crate) async fn accept(world: World, mut listener: Box<dyn Listener>, port: Port) {
    while let Some((stream, source)) = accept::next(&world, &mut *listener, "SIP").await {
        let Some(pass) = port.door.enter(source.ip()) else {
            tracing::warn!(%source, "too many SIP connections: one is refused");
            world.metrics.connection_refused("sip");
            continue;
        };
        match &port.acceptor {
            None => open(&world, &port, stream, source, pass).await,
            // A handshake takes as long as the peer likes; others must not wait for it.
            Some(acceptor) => {
                let task =
                    shake(world.clone(), acceptor.clone(), port.clone(), stream, source, pass);
                world.host.tasks.spawn("sip-tls-accept", Box::pin(task));
            }
        }
    }
}

async fn shake(
    world: World,
    acceptor: Acceptor,
    port: Port,
    stream: BoxStream,
    source: SocketAddr,
    pass: Pass,
) {
    if let Some(stream) = acceptor.shake(&world, stream, source).await {
        open(&world, &port, stream, source, pass).await;
    }
}

async fn open(world: &World, port: &Port, stream: BoxStream, source: SocketAddr, pass: Pass) {
    let transport = if port.acceptor.is_some() { Transport::Tls } else { Transport::Tcp };
    let (queue, queued) = mpsc::channel(SIP_QUEUE);
    let connection = world.next_number();
    let (peer, answers) = (source.to_string(), queue.downgrade());
    if world.tell(Event::SipOpened { connection, transport, peer, queue }).await {
        let (local, peer) = (port.local.to_string(), source.to_string());
        let line = Line { connection, transport, local, peer, source, pongs: None };
        carry(world, stream, line, answers, queued, Some(pass));
    }
}

/// A connection that is being made.
pub(crate) struct Dialled {
    pub(crate) connection: u64,
    pub(crate) queue: mpsc::Sender<SipOut>,
    /// Counts what the peer answered to pings.
    pub(crate) pongs: watch::Receiver<u64>,
}

/// Begins a connection to `peer`; what is queued meanwhile is sent once it stands, or comes back
/// as unsent.
pub(crate) fn dial(world: &World, transport: Transport, peer: &str) -> Dialled {
    let (queue, queued) = mpsc::channel(SIP_QUEUE);
    let (heard, pongs) = watch::channel(0);
    let connection = world.next_number();
    let line = Line {
        connection,
        transport,
        local: String::new(),
        peer: peer.to_owned(),
        // A name dialled has no address to stamp; responses, which is what comes back on a
        // connection of ours, are not stamped.
        source: peer.parse().unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
        pongs: Some(Arc::new(heard)),
    };
    let task = connect(world.clone(), line, queue.downgrade(), queued);
    world.host.tasks.spawn("sip-tcp-dial", Box::pin(task));
    Dialled { connection, queue, pongs }
}

async fn connect(
    world: World,
    line: Line,
    answers: mpsc::WeakSender<SipOut>,
    queued: mpsc::Receiver<SipOut>,
) {
    let limit = if line.transport.is_secure() { TLS_LIMIT } else { DIAL_LIMIT };
    match within(&*world.host.clock, limit, reach(&world, &line)).await {
        Some(Ok(stream)) => carry(&world, stream, line, answers, queued, None),
        Some(Err(why)) => give_up(&world, line.connection, queued, &why).await,
        None => give_up(&world, line.connection, queued, "no connection in time").await,
    }
}

async fn reach(world: &World, line: &Line) -> Result<BoxStream, String> {
    let stream = world.host.net.dial(&line.peer).await.map_err(|error| error.to_string())?;
    match (&world.connector, line.transport.is_secure()) {
        (_, false) => Ok(stream),
        (Some(connector), true) => connector.wrap(&line.peer, stream).await,
        (None, true) => Err("TLS is not configured; write sip.certificate-file, or \
            registrar.transport = \"tls\""
            .to_owned()),
    }
}

/// Which connection a task serves.
#[derive(Clone)]
struct Line {
    connection: u64,
    transport: Transport,
    local: String,
    peer: String,
    source: SocketAddr,
    /// Set where we dialled: then a lone CRLF answers a ping of ours (RFC 5626 section 4.4.1).
    pongs: Option<Arc<watch::Sender<u64>>>,
}

impl Line {
    fn hear_pong(&self) {
        if let Some(pongs) = &self.pongs {
            pongs.send_modify(|count| *count += 1);
        }
    }
}

fn carry(
    world: &World,
    stream: BoxStream,
    line: Line,
    answers: mpsc::WeakSender<SipOut>,
    queued: mpsc::Receiver<SipOut>,
    pass: Option<Pass>,
) {
    let (from, to) = tokio::io::split(stream);
    let number = line.connection;
    let reader = read(world.clone(), from, line, answers, pass);
    world.host.tasks.spawn("sip-tcp-read", Box::pin(reader));
    world.host.tasks.spawn("sip-tcp-write", Box::pin(write(world.clone(), to, number, queued)));
}

async fn read(
    world: World,
    mut stream: ReadHalf<BoxStream>,
    line: Line,
    answers: mpsc::WeakSender<SipOut>,
    _pass: Option<Pass>,
) {
    let mut framer = Framer::new(Bounds::default());
    let mut chunk = vec![0; CHUNK];
    loop {
        let got = within(&*world.host.clock, IDLE_LIMIT, stream.read(&mut chunk));
        let Some(got) = world.unless_stopped(got).await else { return };
        let Some(Ok(length @ 1..)) = got else { break };
        framer.push(&chunk[..length]);
        if !take_frames(&world, &line, &mut framer, &answers).await {
            // Once the loop has forgotten the connection, the last answer leaves and the stream is
            // shut; until then it is kept, with what the peer still sends.
            if world.tell(Event::SipClosed { connection: line.connection }).await {
                linger(&world, &mut stream).await;
            }
            return;
        }
    }
    // False only once the loop is gone.
    let _told: bool = world.tell(Event::SipClosed { connection: line.connection }).await;
}

/// Everything whole that has come; false if the stream has lost its frames (RFC 3261 section 18.3),
/// which is answered where the request says to whom.
async fn take_frames(
    world: &World,
    line: &Line,
    framer: &mut Framer,
    answers: &mpsc::WeakSender<SipOut>,
) -> bool {
    let flow = Flow {
        transport: line.transport,
        local: line.local.clone(),
        peer: line.peer.clone(),
        connection: Some(line.connection),
    };
    let mut whole = true;
    while whole {
        let answer = match framer.next() {
            Ok(None) => {
                if line.pongs.is_some() && framer.take_pong() {
                    line.hear_pong();
                }
                return true;
            }
            Ok(Some(Frame::Pong)) => {
                line.hear_pong();
                continue;
            }
            Ok(Some(Frame::Ping)) => b"\r\n".to_vec(),
            Ok(Some(Frame::Message { message, raw })) => {
                match judge(world, flow.clone(), line.source, &raw, Ok(*message)) {
                    Arrival::Input(input) => {
                        if !world.tell(Event::Input(input)).await {
                            return false;
                        }
                        continue;
                    }
                    Arrival::Answer(bytes) => bytes,
                    Arrival::Nothing => continue,
                }
            }
            Err(fault) => {
                whole = false;
                note_broken(world, &flow, framer.rest(), &fault);
                let Some(answer) = refuse::answer(framer.rest(), &fault) else { break };
                answer
            }
        };
        let Some(queue) = answers.upgrade() else { return false };
        if queue.try_send(SipOut { flow: flow.clone(), bytes: answer }).is_err() {
            return false;
        }
    }
    whole
}

async fn write(
    world: World,
    mut stream: WriteHalf<BoxStream>,
    connection: u64,
    mut queued: mpsc::Receiver<SipOut>,
) {
    while let Some(message) = queued.recv().await {
        if message.is_sip() {
            message.note(&world);
        }
        let middle = if whim!(world, SplitMessage) { message.bytes.len() / 2 } else { 0 };
        let work = async {
            if middle > 0 {
                stream.write_all(&message.bytes[..middle]).await?;
                stream.flush().await?;
                world.host.sleep(Duration::from_millis(1)).await;
            }
            stream.write_all(&message.bytes[middle..]).await?;
            stream.flush().await
        };
        let why = match within(&*world.host.clock, WRITE_LIMIT, work).await {
            Some(Ok(())) => continue,
            Some(Err(error)) => error.to_string(),
            None => "the peer does not read".to_owned(),
        };
        unsent(&world, message, &why).await;
        return give_up(&world, connection, queued, &why).await;
    }
    // The loop forgot the connection; a peer that is gone already makes this fail, as it may.
    if let Some(Err(error)) = within(&*world.host.clock, WRITE_LIMIT, stream.shutdown()).await {
        tracing::debug!(%error, "TCP shutdown");
    }
}

/// The connection is no more: everything queued comes back.
async fn give_up(world: &World, connection: u64, mut queued: mpsc::Receiver<SipOut>, why: &str) {
    if !world.tell(Event::SipClosed { connection }).await {
        return;
    }
    queued.close();
    while let Some(message) = queued.recv().await {
        unsent(world, message, why).await;
    }
}

async fn unsent(world: &World, message: SipOut, why: &str) {
    tracing::warn!(peer = message.flow.peer, why, "a SIP message was not sent");
    // False only once the loop is gone.
    let _told: bool = world.tell(Event::Input(Input::SipUnsent { flow: message.flow })).await;
}

#[cfg(test)]
mod tests {
    use reveille_trace::{Recorder, Scribe};

    use super::*;

    #[tokio::test]
    async fn what_waits_for_a_dial_that_fails_comes_back_unsent() {
        let host = reveille_host::real::host();
        let listener = host.net.listen("127.0.0.1:0").await.expect("a port");
        let peer = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let (inbox, mut events) = mpsc::channel(8);
        let (_stop, stopping) = watch::channel(false);
        let scribe = Scribe::new(Recorder::passing(), "gateway");
        let world = World::new(host, scribe, inbox, stopping);
        let Dialled { connection, queue, .. } = dial(&world, Transport::Tcp, &peer);
        let flow = Flow {
            transport: Transport::Tcp,
            local: String::new(),
            peer: peer.clone(),
            connection: None,
        };
        for _ in 0..2 {
            queue.try_send(SipOut { flow: flow.clone(), bytes: vec![1] }).expect("room");
        }
        let closed = events.recv().await;
        assert!(matches!(closed, Some(Event::SipClosed { connection: n }) if n == connection));
        for _ in 0..2 {
            let event = events.recv().await;
            let Some(Event::Input(Input::SipUnsent { flow: unsent })) = event else {
                panic!("each message comes back");
            };
            assert_eq!(unsent, flow);
        }
    }
}
