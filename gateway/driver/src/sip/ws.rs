//! SIP over WebSocket (RFC 7118): each message of the WebSocket is one of SIP, and what we have to say
//! goes back by the connection that its peer opened.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reveille_gateway_core::io::{Flow, Input, Transport};
use reveille_host::{BoxStream, Listener, within};
use reveille_wire::sip::{self, Malformed};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::Request;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::arrival::{Arrival, judge};
use super::{SIP_QUEUE, SipOut};
use crate::accept;
use crate::door::{Door, Pass};
use crate::http::{Judge, Refusal, is_origin_allowed, offers};
use crate::tls::Acceptor;
use crate::upgrade::{turn_away, upgrade};
use crate::world::{Event, World};

/// The largest message, as over any stream.
const MOST_MESSAGE: usize = 65_535;
/// A connection that says nothing for this long is closed; keep-alives count.
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// How long one write may take, and the peer's answer to a close.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A port where SIP comes in WebSockets.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) local: SocketAddr,
    pub(crate) door: Door,
    pub(crate) gate: Arc<SipGate>,
    /// Set where the port speaks TLS.
    pub(crate) acceptor: Option<Acceptor>,
}

/// Decides upgrades: any path, the subprotocol `sip`, an Origin that is allowed.
pub(crate) struct SipGate {
    /// Empty: any origin, and none.
    pub(crate) origins: Vec<String>,
}

impl Judge for SipGate {
    type Admitted = ();
    type Seat = ();
    const SUBPROTOCOL: &'static str = "sip";

    fn is_served(&self, _uri: &Uri) -> bool {
        true
    }

    fn judge(&self, request: &Request, _now: Duration) -> Result<(), Refusal> {
        if !is_origin_allowed(&self.origins, request) {
            return Err(Refusal::new(403, "this Origin is not among sip.origins"));
        }
        if !offers(request, Self::SUBPROTOCOL) {
            let what = "Sec-WebSocket-Protocol must offer sip (RFC 7118 4.1)";
            return Err(Refusal::new(400, what));
        }
        Ok(())
    }

    fn seat(&self, _world: &World, _admitted: &()) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Accepts connections until the gateway ends.
pub(crate) async fn accept(world: World, mut listener: Box<dyn Listener>, port: Port) {
    while let Some((stream, source)) =
        accept::next(&world, &mut *listener, "SIP in WebSockets").await
    {
        match port.door.enter(source.ip()) {
            Some(pass) => {
                let task = serve(world.clone(), stream, source, port.clone(), pass);
                world.host.tasks.spawn("sip-websocket", Box::pin(task));
            }
            None => {
                world.metrics.connection_refused("sip");
                // Over TLS no word could be said without a handshake.
                if port.acceptor.is_none() {
                    turn_away(&world, stream, source).await;
                } else {
                    tracing::warn!(%source, "too many SIP connections: one is refused");
                }
            }
        }
    }
}

async fn serve(world: World, stream: BoxStream, source: SocketAddr, port: Port, _pass: Pass) {
    let stream = match &port.acceptor {
        None => Some(stream),
        Some(acceptor) => acceptor.shake(&world, stream, source).await,
    };
    let Some(stream) = stream else { return };
    let config = WebSocketConfig::default()
        .read_buffer_size(4_096)
        .write_buffer_size(0)
        .max_message_size(Some(MOST_MESSAGE))
        .max_frame_size(Some(MOST_MESSAGE));
    let upgraded = upgrade(&world, stream, source, &*port.gate, config).await;
    let Some((mut stream, (), ())) = upgraded else { return };
    let transport = if port.acceptor.is_some() { Transport::Wss } else { Transport::Ws };
    let (queue, mut queued) = mpsc::channel(SIP_QUEUE);
    let connection = world.next_number();
    let (local, peer) = (port.local.to_string(), source.to_string());
    let opened = Event::SipOpened { connection, transport, peer: peer.clone(), queue };
    if !world.tell(opened).await {
        return;
    }
    let line = Line { flow: Flow { transport, local, peer, connection: Some(connection) }, source };
    let end = exchange(&world, &mut stream, &line, &mut queued).await;
    if world.tell(Event::SipClosed { connection }).await {
        give_back(&world, queued).await;
    }
    if let End::Said(code, reason) = end {
        say_goodbye(&world, &mut stream, code, reason).await;
    }
}

/// Which connection a task serves.
struct Line {
    flow: Flow,
    source: SocketAddr,
}

/// How a connection ends: with a word of ours, or because the peer is gone.
enum End {
    Said(u16, &'static str),
    Gone,
}

/// What a connection's task wakes for.
enum Step {
    Out(Option<SipOut>),
    In(Option<Result<Message, Error>>),
}

async fn exchange(
    world: &World,
    stream: &mut WebSocketStream<BoxStream>,
    line: &Line,
    queued: &mut mpsc::Receiver<SipOut>,
) -> End {
    let mut heard = world.host.clock.now().mono;
    loop {
        let step = std::future::poll_fn(|context| {
            if let Poll::Ready(out) = queued.poll_recv(context) {
                return Poll::Ready(Step::Out(out));
            }
            stream.poll_next_unpin(context).map(Step::In)
        });
        let left = (heard + IDLE_LIMIT).saturating_sub(world.host.clock.now().mono);
        let step = within(&*world.host.clock, left, step);
        let Some(step) = world.unless_stopped(step).await else {
            return End::Said(1001, "the gateway ends");
        };
        let message = match step {
            None => return End::Said(1001, "nothing was said for 600 s"),
            // The loop gave this connection up.
            Some(Step::Out(None)) => return End::Said(1001, "this connection is over"),
            Some(Step::Out(Some(message))) => {
                if !send(world, stream, message).await {
                    return End::Gone;
                }
                continue;
            }
            Some(Step::In(Some(Ok(message)))) => message,
            Some(Step::In(Some(Err(Error::Utf8(_))))) => {
                return End::Said(1007, "text must be UTF-8; send the message as binary");
            }
            Some(Step::In(Some(Err(Error::Capacity(_))))) => {
                return End::Said(1009, "a message has at most 65535 bytes");
            }
            Some(Step::In(Some(Err(Error::Protocol(_))))) => {
                return End::Said(1002, "not as RFC 6455 says");
            }
            Some(Step::In(_)) => return End::Gone,
        };
        heard = world.host.clock.now().mono;
        let raw = match message {
            Message::Text(text) => Bytes::from(text),
            Message::Binary(bytes) => bytes,
            // Reading on flushes our half of the handshake.
            Message::Close(_) => {
                finish(world, stream).await;
                return End::Gone;
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        if !take(world, stream, line, &raw).await {
            return End::Gone;
        }
    }
}

/// One message of the peer; false if it cannot be answered, or the loop is gone.
async fn take(
    world: &World,
    stream: &mut WebSocketStream<BoxStream>,
    line: &Line,
    raw: &[u8],
) -> bool {
    let flow = || line.flow.clone();
    if raw.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
        // RFC 5626 section 4.4.1, for peers that keep alive as over TCP.
        let is_ping = raw == b"\r\n\r\n";
        return !is_ping
            || send(world, stream, SipOut { flow: flow(), bytes: b"\r\n".to_vec() }).await;
    }
    match judge(world, flow(), line.source, raw, read(raw)) {
        Arrival::Input(input) => world.tell(Event::Input(input)).await,
        Arrival::Answer(bytes) => send(world, stream, SipOut { flow: flow(), bytes }).await,
        Arrival::Nothing => true,
    }
}

/// A message that is alone: what follows its body would be a second one (RFC 7118 section 5).
fn read(raw: &[u8]) -> Result<sip::Message, Malformed> {
    let message = sip::Message::parse(raw)?;
    let head = raw.windows(4).position(|four| four == b"\r\n\r\n").map_or(raw.len(), |at| at + 4);
    let end = head + message.body.len();
    if end < raw.len() {
        let what = "bytes behind the message; send each message in a WebSocket message of its own";
        return Err(Malformed { rule: "RFC 7118 5", offset: end, what: what.to_owned() });
    }
    Ok(message)
}

/// False, and told to the loop, if the peer is gone or does not read.
async fn send(world: &World, stream: &mut WebSocketStream<BoxStream>, message: SipOut) -> bool {
    if message.is_sip() {
        message.note(world);
    }
    let frame = match String::from_utf8(message.bytes) {
        Ok(text) => Message::text(text),
        Err(error) => Message::binary(error.into_bytes()),
    };
    let sent = within(&*world.host.clock, WRITE_LIMIT, stream.send(frame)).await;
    let is_sent = matches!(sent, Some(Ok(())));
    if !is_sent {
        unsent(world, message.flow).await;
    }
    is_sent
}

/// The connection is no more: everything queued comes back.
async fn give_back(world: &World, mut queued: mpsc::Receiver<SipOut>) {
    queued.close();
    while let Some(message) = queued.recv().await {
        unsent(world, message.flow).await;
    }
}

async fn unsent(world: &World, flow: Flow) {
    tracing::warn!(peer = flow.peer, "a SIP message was not sent: its WebSocket is gone");
    // False only once the loop is gone.
    let _told: bool = world.tell(Event::Input(Input::SipUnsent { flow })).await;
}

async fn say_goodbye(
    world: &World,
    stream: &mut WebSocketStream<BoxStream>,
    code: u16,
    reason: &'static str,
) {
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
    let work = stream.send(Message::Close(Some(frame)));
    if matches!(within(&*world.host.clock, WRITE_LIMIT, work).await, Some(Ok(()))) {
        finish(world, stream).await;
    }
}

/// Reads until the closing handshake is over, the peer is gone, or time is up.
async fn finish(world: &World, stream: &mut WebSocketStream<BoxStream>) {
    let rest = async { while let Some(Ok(_)) = stream.next().await {} };
    if within(&*world.host.clock, CLOSE_LIMIT, rest).await.is_none() {
        tracing::debug!("the peer did not finish the closing handshake");
    }
}
