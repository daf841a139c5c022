//! The next connection at a port.

use std::net::SocketAddr;
use std::time::Duration;

use reveille_host::{BoxStream, Listener};

use crate::world::World;

/// Pause after a failed accept, such as for want of file descriptors.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Waits for a connection; `None` once the gateway ends.
pub(crate) async fn next(
    world: &World,
    listener: &mut dyn Listener,
    what: &'static str,
) -> Option<(BoxStream, SocketAddr)> {
    loop {
        match world.unless_stopped(listener.accept()).await? {
            Ok(got) => return Some(got),
            Err(error) => {
                tracing::warn!(%error, what, "accept failed");
                world.host.sleep(ERROR_PAUSE).await;
            }
        }
    }
}
