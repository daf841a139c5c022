//! WebSockets of the apps (RFC 6455): one task for each connection, from the door to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reveille_gateway_core::io::{Input, SocketId};
use reveille_host::{BoxStream, Listener, within};
use reveille_trace::{Draft, Kind};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::accept;
use crate::door::{Door, Pass};
use crate::http::{Admitted, Gate};
use crate::live::Live;
use crate::tls::Acceptor;
use crate::upgrade::{turn_away, upgrade};
use crate::world::{Event, World};

/// Outputs that may wait for one socket.
const WS_QUEUE: usize = 256;
/// The largest message of an app (D-31).
const MOST_MESSAGE: usize = 64 * 1_024;
/// Texts that leave together: so many at most, and so many bytes in one write.
const MOST_TOGETHER: usize = 16;
const MOST_GATHERED: usize = 8 * 1_024;
/// How long one write may take, and the peer's answer to a close.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What the loop asks of a socket.
#[derive(Debug)]
pub(crate) enum WsOut {
    /// Send this.
    Text(String),
    /// Say goodbye.
    Close { code: u16, reason: &'static str },
}

/// The port of the apps.
pub(crate) struct Port {
    pub(crate) gate: Arc<Live<Gate>>,
    pub(crate) door: Door,
    /// Set where the port speaks TLS.
    pub(crate) acceptor: Option<Acceptor>,
}

/// Accepts connections until the gateway ends.
pub(crate) async fn accept(world: World, mut listener: Box<dyn Listener>, port: Port) {
    while let Some((stream, source)) = accept::next(&world, &mut *listener, "WebSocket").await {
        let Some(pass) = port.door.enter(source.ip()) else {
            world.metrics.connection_refused("websocket");
            // Over TLS no word could be said without a handshake, which is what there is no room for.
            if port.acceptor.is_none() {
                turn_away(&world, stream, source).await;
            } else {
                tracing::warn!(%source, "too many WebSockets: one is refused");
            }
            continue;
        };
        let (gate, acceptor) = (port.gate.get(), port.acceptor.clone());
        let task = serve(world.clone(), stream, source, gate, acceptor, pass);
        world.host.tasks.spawn("websocket", Box::pin(task));
    }
}

async fn serve(
    world: World,
    stream: BoxStream,
    source: SocketAddr,
    gate: Arc<Gate>,
    acceptor: Option<Acceptor>,
    _pass: Pass,
) {
    let stream = match acceptor {
        None => Some(stream),
        Some(acceptor) => acceptor.shake(&world, stream, source).await,
    };
    let Some(stream) = stream else { return };
    if let Some((stream, admitted, _seat)) = upgrade(&world, stream, source, &*gate, config()).await
    {
        talk(&world, stream, source, admitted).await;
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(1_024)
        .write_buffer_size(MOST_GATHERED)
        .max_message_size(Some(MOST_MESSAGE))
        .max_frame_size(Some(MOST_MESSAGE))
}

/// How a socket ended.
struct End {
    code: Option<u16>,
    by: &'static str,
}

/// Serves one socket from upgrade to end.
async fn talk(
    world: &World,
    mut stream: WebSocketStream<BoxStream>,
    source: SocketAddr,
    admitted: Admitted,
) {
    let socket = SocketId(world.next_number());
    let Admitted { user, app } = admitted;
    tracing::info!(socket = socket.0, %source, user, app, "WebSocket open");
    world.note(|| {
        let draft = Draft::new(Kind::WsOpened).with("socket", socket.0);
        draft.with("user", user.as_str()).with("app", app.as_str())
    });
    let (queue, mut queued) = mpsc::channel(WS_QUEUE);
    if !world.tell(Event::WsOpened { socket, user, app, queue }).await {
        return;
    }
    let end = exchange(world, &mut stream, socket, &mut queued).await;
    tracing::info!(socket = socket.0, code = end.code, by = end.by, "WebSocket closed");
    world.note(|| {
        let draft = Draft::new(Kind::WsClosed).with("socket", socket.0).with("by", end.by);
        match end.code {
            Some(code) => draft.with("code", code),
            None => draft,
        }
    });
    // The peer's code only: what we said ourselves, the core knows. False once the loop is gone.
    let code = end.code.filter(|_| end.by == "peer");
    let _told: bool = world.tell(Event::WsClosed { socket, code }).await;
}

/// What a socket's task wakes for.
enum Step {
    Out(Option<WsOut>),
    In(Option<Result<Message, Error>>),
}

async fn exchange(
    world: &World,
    stream: &mut WebSocketStream<BoxStream>,
    socket: SocketId,
    queued: &mut mpsc::Receiver<WsOut>,
) -> End {
    const LOST: End = End { code: None, by: "network" };
    loop {
        let step = std::future::poll_fn(|context| {
            if let Poll::Ready(out) = queued.poll_recv(context) {
                return Poll::Ready(Step::Out(out));
            }
            stream.poll_next_unpin(context).map(Step::In)
        });
        match step.await {
            Step::Out(Some(out)) => {
                let sent = send_all(world, stream, socket, out, queued);
                match within(&*world.host.clock, WRITE_LIMIT, sent).await {
                    Some(Ok(None)) => {}
                    Some(Ok(Some((code, reason)))) => {
                        return say_goodbye(world, stream, code, reason).await;
                    }
                    // The peer is gone or does not read.
                    Some(Err(_)) | None => return LOST,
                }
            }
            // The loop gave this socket up: an app that does not read gets no goodbye either.
            Step::Out(None) => return End { code: None, by: "gateway" },
            Step::In(Some(Ok(Message::Text(text)))) => {
                note_text(world, Kind::RtcReceived, socket, &text);
                let text = text.as_str().to_owned();
                if !world.tell(Event::Input(Input::SocketText { socket, text })).await {
                    return LOST;
                }
            }
            Step::In(Some(Ok(Message::Binary(_)))) => {
                if !world.tell(Event::Input(Input::SocketBinary { socket })).await {
                    return LOST;
                }
            }
            Step::In(Some(Ok(Message::Close(frame)))) => {
                // Reading on flushes our half of the handshake.
                finish(world, stream).await;
                return End {
                    code: Some(frame.map_or(1005, |frame| frame.code.into())),
                    by: "peer",
                };
            }
            Step::In(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => {}
            Step::In(Some(Err(Error::Utf8(_)))) => {
                return say_goodbye(world, stream, 1007, "text must be UTF-8").await;
            }
            Step::In(Some(Err(Error::Capacity(_)))) => {
                return say_goodbye(world, stream, 1009, "a message has at most 65536 bytes").await;
            }
            Step::In(Some(Err(Error::Protocol(_)))) => {
                return say_goodbye(world, stream, 1002, "not as RFC 6455 says").await;
            }
            Step::In(Some(Err(_)) | None) => return LOST,
        }
    }
}

fn note_text(world: &World, kind: Kind, socket: SocketId, text: &str) {
    world.note(|| Draft::new(kind).raw(text.as_bytes().to_vec()).with("socket", socket.0));
}

/// Sends this and whatever texts wait behind it, in one write where they fit. Returns the goodbye that
/// ended the row.
async fn send_all(
    world: &World,
    stream: &mut WebSocketStream<BoxStream>,
    socket: SocketId,
    first: WsOut,
    queued: &mut mpsc::Receiver<WsOut>,
) -> Result<Option<(u16, &'static str)>, Error> {
    let mut out = first;
    for left in (0..MOST_TOGETHER).rev() {
        match out {
            WsOut::Text(text) => {
                note_text(world, Kind::RtcSent, socket, &text);
                stream.feed(Message::text(text)).await?;
            }
            WsOut::Close { code, reason } => {
                stream.flush().await?;
                return Ok(Some((code, reason)));
            }
        }
        if left == 0 {
            break;
        }
        let Ok(next) = queued.try_recv() else { break };
        out = next;
    }
    stream.flush().await.map(|()| None)
}

/// False if the peer is gone or does not read.
async fn send(world: &World, stream: &mut WebSocketStream<BoxStream>, message: Message) -> bool {
    matches!(within(&*world.host.clock, WRITE_LIMIT, stream.send(message)).await, Some(Ok(())))
}

async fn say_goodbye(
    world: &World,
    stream: &mut WebSocketStream<BoxStream>,
    code: u16,
    reason: &'static str,
) -> End {
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
    if send(world, stream, Message::Close(Some(frame))).await {
        finish(world, stream).await;
    }
    End { code: Some(code), by: "gateway" }
}

/// Reads until the closing handshake is over, the peer is gone, or time is up.
async fn finish(world: &World, stream: &mut WebSocketStream<BoxStream>) {
    let rest = async { while let Some(Ok(_)) = stream.next().await {} };
    if within(&*world.host.clock, CLOSE_LIMIT, rest).await.is_none() {
        tracing::debug!("the peer did not finish the closing handshake");
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Context;

    use reveille_trace::{Recorder, Scribe};
    use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
    use tokio::sync::watch;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// One end of a pipe that counts the writes.
    struct Counted(DuplexStream, Arc<AtomicUsize>);

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.0).poll_read(context, into)
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_flush(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    #[tokio::test]
    async fn texts_that_wait_leave_in_order_few_writes_and_before_the_goodbye() {
        let (inbox, _events) = mpsc::channel(1);
        let (_stop, stopping) = watch::channel(false);
        let scribe = Scribe::new(Recorder::passing(), "gateway");
        let world = World::new(reveille_host::real::host(), scribe, inbox, stopping);
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let writes = Arc::new(AtomicUsize::new(0));
        let ours: BoxStream = Box::new(Counted(ours, Arc::clone(&writes)));
        let mut stream = WebSocketStream::from_raw_socket(ours, Role::Server, Some(config())).await;
        let (queue, mut queued) = mpsc::channel(WS_QUEUE);
        for nth in 0..40 {
            queue.try_send(WsOut::Text(nth.to_string())).expect("room");
        }
        queue.try_send(WsOut::Close { code: 4002, reason: "over" }).expect("room");
        let app = async {
            let app = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
            let said = app.map(|message| message.expect("sound").to_string());
            said.collect::<Vec<_>>().await
        };
        let socket = SocketId(1);
        let served = async move {
            let end = exchange(&world, &mut stream, socket, &mut queued).await;
            drop(stream);
            end
        };
        let (end, said) = tokio::join!(served, app);
        let wanted: Vec<_> =
            (0..40).map(|nth| nth.to_string()).chain(["over".to_owned()]).collect();
        assert_eq!((said, end.code), (wanted, Some(4002)));
        let writes = writes.load(Ordering::Relaxed);
        assert!(writes <= 5, "{writes} writes for three rows of texts and the goodbye");
    }
}
