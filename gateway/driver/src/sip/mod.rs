//! SIP over UDP, TCP, TLS and WebSocket: bytes in, judged messages to the loop; queued messages out.

mod arrival;
pub(crate) mod keep;
mod pace;
pub(crate) mod probe;
mod refuse;
mod stun;
pub(crate) mod tcp;
pub(crate) mod udp;
pub(crate) mod ws;

use reveille_gateway_core::io::Flow;
use reveille_trace::{Draft, Kind};

use crate::world::World;

/// Messages that may wait for one socket or connection.
pub(crate) const SIP_QUEUE: usize = 1_024;

/// A SIP message on its way out.
#[derive(Debug)]
pub(crate) struct SipOut {
    pub(crate) flow: Flow,
    pub(crate) bytes: Vec<u8>,
}

impl SipOut {
    /// False for what keeps flows alive: CRLF and STUN.
    pub(crate) fn is_sip(&self) -> bool {
        self.bytes.first().is_some_and(u8::is_ascii_graphic)
    }

    /// Records that the message leaves.
    fn note(&self, world: &World) {
        world.metrics.sip_sent(self.flow.transport, &self.bytes);
        world.note(|| {
            let draft = Draft::new(Kind::SipSent).raw(self.bytes.clone());
            let draft = draft.with("transport", self.flow.transport.via_name());
            let draft = draft.with("to", self.flow.peer.as_str());
            match refuse::call_id(&self.bytes) {
                Some(call_id) => draft.corr(call_id),
                None => draft,
            }
        });
    }
}
