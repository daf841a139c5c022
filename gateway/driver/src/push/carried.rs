//! Payloads that carry the call or message itself, and what becomes of it where there is no room.

use reveille_gateway_core::io::PushRequest;

use super::Push;
use crate::world::World;

/// The body that asks for this wake. That what it was to carry found no room is counted (D-45).
pub(super) fn body(
    world: &World,
    provider: &str,
    plugin: &dyn Push,
    request: &PushRequest,
) -> Vec<u8> {
    let body = plugin.body(request);
    if request.payload.incoming.is_some()
        && plugin.carries(request)
        && is_without(plugin, request, &body)
    {
        let (wake, application) = (request.id.wake, request.application.as_str());
        tracing::info!(wake, provider, application, "push: no room for the message in the payload");
        world.metrics.push_left_out(application, provider);
    }
    body
}

/// True if the body is the same as that of a wake that carries nothing.
fn is_without(plugin: &dyn Push, request: &PushRequest, body: &[u8]) -> bool {
    let mut bare = request.clone();
    bare.payload.incoming = None;
    plugin.body(&bare) == body
}
