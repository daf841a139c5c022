//! From an accepted connection to a WebSocket, or to an HTTP answer that says why not.

use std::net::SocketAddr;
use std::time::Duration;

use reveille_host::{BoxStream, within};
use reveille_trace::{Draft, Kind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Response, write_response};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::head;
use crate::http::{Judge, Refusal, accept, refuse};
use crate::linger::linger;
use crate::world::World;

/// How long the head of an upgrade may take.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// How long an answer may take to leave.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The same for one that is turned away at the door, where everybody else waits meanwhile.
const DOOR_LIMIT: Duration = Duration::from_millis(100);

/// Upgrades a connection; `None` if it was refused, and told so, or is gone.
pub(crate) async fn upgrade<G: Judge>(
    world: &World,
    mut stream: BoxStream,
    source: SocketAddr,
    gate: &G,
    config: WebSocketConfig,
) -> Option<(WebSocketStream<BoxStream>, G::Admitted, G::Seat)> {
    let heard = within(&*world.host.clock, HEAD_LIMIT, hear(&mut stream));
    let judged = match world.unless_stopped(heard).await? {
        Some(Ok(head)) => {
            let head = head?;
            let wall = world.host.clock.now().wall;
            gate.knock(world, source).and_then(|()| judge(&head, gate, wall))
        }
        Some(Err(refusal)) => Err(refusal),
        None => Err(Refusal::new(408, "the head took too long; end it with CRLF CRLF within 5 s")),
    };
    match judged
        .and_then(|(admitted, response)| Ok((gate.seat(world, &admitted)?, admitted, response)))
    {
        Ok((seat, admitted, response)) => {
            let sent = answer(world, &mut stream, &response, "", ANSWER_LIMIT).await;
            if !sent {
                tracing::debug!(%source, "the upgrade broke off");
                return None;
            }
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
            Some((socket, admitted, seat))
        }
        Err(refusal) => {
            note_refused(world, source, &refusal);
            if say(world, &mut stream, &refusal, ANSWER_LIMIT).await {
                linger(world, &mut stream).await;
            }
            None
        }
    }
}

/// Turns a connection away unheard.
pub(crate) async fn turn_away(world: &World, mut stream: BoxStream, source: SocketAddr) {
    let refusal = Refusal::new(503, "too many connections; come back later");
    note_refused(world, source, &refusal);
    if !say(world, &mut stream, &refusal, DOOR_LIMIT).await {
        tracing::debug!(%source, "turned away without a word");
    }
}

/// Everything up to the end of the head, and what came with it; `None` if the peer is gone before
/// it said a word.
async fn hear(stream: &mut BoxStream) -> Result<Option<Vec<u8>>, Refusal> {
    let (mut heard, mut chunk) = (Vec::new(), [0; 1_024]);
    loop {
        match stream.read(&mut chunk).await {
            Ok(length @ 1..) => heard.extend_from_slice(&chunk[..length]),
            Ok(_) if !heard.is_empty() => {
                let what = "the head never ends (RFC 9112 2.1); close it with CRLF CRLF";
                return Err(Refusal::new(400, what));
            }
            Ok(_) | Err(_) => return Ok(None),
        }
        if head::end(&heard)?.is_some() {
            return Ok(Some(heard));
        }
    }
}

fn judge<G: Judge>(
    heard: &[u8],
    gate: &G,
    now: Duration,
) -> Result<(G::Admitted, Response), Refusal> {
    let length = head::end(heard)?.unwrap_or(heard.len());
    let (request, response) = head::read(&heard[..length], |uri| gate.is_served(uri))?;
    let admitted = gate.judge(&request, now)?;
    if length < heard.len() {
        let what = format!("offset {length}: bytes behind the head; wait for 101 (RFC 6455 4.1)");
        return Err(Refusal::new(400, what));
    }
    Ok((admitted, accept(response, G::SUBPROTOCOL)))
}

/// Sends a refusal and shuts the stream; false if the peer is gone or does not read.
async fn say(world: &World, stream: &mut BoxStream, refusal: &Refusal, limit: Duration) -> bool {
    let (response, body) = refuse(refusal);
    let sent = answer(world, stream, &response, &body, limit).await;
    sent && matches!(within(&*world.host.clock, limit, stream.shutdown()).await, Some(Ok(())))
}

async fn answer(
    world: &World,
    stream: &mut BoxStream,
    response: &Response,
    body: &str,
    limit: Duration,
) -> bool {
    let mut bytes = Vec::new();
    if write_response(&mut bytes, response).is_err() {
        return false;
    }
    bytes.extend_from_slice(body.as_bytes());
    let work = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    matches!(within(&*world.host.clock, limit, work).await, Some(Ok(())))
}

fn note_refused(world: &World, source: SocketAddr, refusal: &Refusal) {
    tracing::info!(%source, status = refusal.status, what = %refusal.what, "upgrade refused");
    world.metrics.upgrade_refused(refusal.status);
    world.note(|| {
        let draft = Draft::new(Kind::WsRefused).with("status", refusal.status);
        draft.with("what", &*refusal.what).with("from", source.to_string())
    });
}
