//! SIP over TCP (RFC 3261 section 18): numbered connections, accepted or dialled, each with a task
//! that reads and a task that writes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use reveille_gateway_core::io::{Flow, Input, Transport};
use reveille_host::{BoxStream, Listener, within};
use reveille_wire::sip::{Bounds, Frame, Framer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::arrival::{Arrival, judge, note_broken};
use super::{SIP_QUEUE, SipOut, refuse};
use crate::door::{Door, Pass};
use crate::linger::linger;
use crate::world::{Event, World};

/// How long a dial may take before the message counts as unsent.
const DIAL_LIMIT: Duration = Duration::from_secs(3);
/// How long one write may take.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// A connection that says nothing for this long is closed; keep-alives count (RFC 5626 4.4.1).
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// Pause after a failed accept, such as for want of file descriptors.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// Bytes read at once.
const CHUNK: usize = 8 * 1_024;

/// Accepts connections until the gateway ends.
pub(crate) async fn accept(
    world: World,
    mut listener: Box<dyn Listener>,
    local: SocketAddr,
    door: Door,
) {
    loop {
        let Some(got) = world.unless_stopped(listener.accept()).await else { return };
        let (stream, source) = match got {
            Ok(got) => got,
            Err(error) => {
                tracing::warn!(%error, "TCP accept failed");
                world.host.sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        let Some(pass) = door.enter(source.ip()) else {
            tracing::warn!(%source, "too many SIP connections: one is refused");
            world.metrics.connection_refused("sip");
            continue;
        };
        let (queue, queued) = mpsc::channel(SIP_QUEUE);
        let connection = world.next_number();
        let opened =
            Event::TcpOpened { connection, peer: source.to_string(), queue: queue.clone() };
        if !world.tell(opened).await {
            return;
        }
        let line = Line { connection, local: local.to_string(), peer: source.to_string(), source };
        carry(&world, stream, line, queue.downgrade(), queued, Some(pass));
    }
}

/// Begins a connection to `peer`; what is queued meanwhile is sent once it stands, or comes back
/// as unsent.
pub(crate) fn dial(world: &World, peer: &str) -> (u64, mpsc::Sender<SipOut>) {
    let (queue, queued) = mpsc::channel(SIP_QUEUE);
    let connection = world.next_number();
    let task = connect(world.clone(), connection, peer.to_owned(), queue.downgrade(), queued);
    world.host.tasks.spawn("sip-tcp-dial", Box::pin(task));
    (connection, queue)
}

async fn connect(
    world: World,
    connection: u64,
    peer: String,
    answers: mpsc::WeakSender<SipOut>,
    queued: mpsc::Receiver<SipOut>,
) {
    match within(&*world.host.clock, DIAL_LIMIT, world.host.net.dial(&peer)).await {
        Some(Ok(stream)) => {
            // A name dialled has no address to stamp; responses, which is what comes back on a
            // connection of ours, are not stamped.
            let nowhere = SocketAddr::from((IpAddr::from(Ipv4Addr::UNSPECIFIED), 0));
            let source = peer.parse().unwrap_or(nowhere);
            let line = Line { connection, local: String::new(), peer, source };
            carry(&world, stream, line, answers, queued, None);
        }
        Some(Err(error)) => give_up(&world, connection, queued, &error.to_string()).await,
        None => give_up(&world, connection, queued, "no connection in time").await,
    }
}

/// Which connection a task serves.
#[derive(Clone)]
struct Line {
    connection: u64,
    local: String,
    peer: String,
    source: SocketAddr,
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
            if world.tell(Event::TcpClosed { connection: line.connection }).await {
                linger(&world, &mut stream).await;
            }
            return;
        }
    }
    // False only once the loop is gone.
    let _told: bool = world.tell(Event::TcpClosed { connection: line.connection }).await;
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
        transport: Transport::Tcp,
        local: line.local.clone(),
        peer: line.peer.clone(),
        connection: Some(line.connection),
    };
    let mut whole = true;
    while whole {
        let answer = match framer.next() {
            Ok(None) => return true,
            Ok(Some(Frame::Pong)) => continue,
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
        if message.bytes != b"\r\n" {
            message.note(&world);
        }
        let work = async {
            stream.write_all(&message.bytes).await?;
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
    if !world.tell(Event::TcpClosed { connection }).await {
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
    use tokio::sync::watch;

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
        let (connection, queue) = dial(&world, &peer);
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
        assert!(matches!(closed, Some(Event::TcpClosed { connection: n }) if n == connection));
        for _ in 0..2 {
            let event = events.recv().await;
            let Some(Event::Input(Input::SipUnsent { flow: unsent })) = event else {
                panic!("each message comes back");
            };
            assert_eq!(unsent, flow);
        }
    }
}
