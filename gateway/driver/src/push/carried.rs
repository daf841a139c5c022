//! Payloads that carry the call or message itself, and what becomes of it where there is no room.

use reveille_gateway_core::io::PushRequest;

use super::Push;
use crate::world::World;

/// How the member begins in a body. Inside of another text its quotes would be escaped.
const MEMBER: &[u8] = b"\"incoming\":";

/// The body that asks for this wake. That what it was to carry found no room is counted (D-45).
pub(super) fn body(
    world: &World,
    provider: &str,
    plugin: &dyn Push,
    request: &PushRequest,
) -> Vec<u8> {
    let body = plugin.body(request);
    let is_carried = body.windows(MEMBER.len()).any(|window| window == MEMBER);
    if request.payload.incoming.is_some() && !is_carried {
        let (wake, application) = (request.id.wake, request.application.as_str());
        tracing::info!(wake, provider, application, "push: no room for the message in the payload");
        world.metrics.push_left_out(application, provider);
    }
    body
}
