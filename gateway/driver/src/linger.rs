//! The end of a stream whose peer was told why: bytes that arrive for a closed socket make the
//! system reset the connection, and a reset may overtake the answer.

use std::time::Duration;

use reveille_host::within;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::world::World;

/// How long the peer may take to hang up, and what it may say until then.
const LIMIT: Duration = Duration::from_secs(2);
const MOST: usize = 256 * 1_024;

/// Reads and forgets until the peer hangs up, has said too much, or time is up.
pub(crate) async fn linger(world: &World, stream: &mut (impl AsyncRead + Unpin)) {
    let rest = async {
        let (mut chunk, mut heard) = ([0; 4_096], 0);
        while heard < MOST {
            match stream.read(&mut chunk).await {
                Ok(length @ 1..) => heard += length,
                Ok(_) | Err(_) => return,
            }
        }
    };
    let over = world.unless_stopped(within(&*world.host.clock, LIMIT, rest)).await;
    if over == Some(None) {
        tracing::debug!("the peer of a broken stream did not hang up");
    }
}
