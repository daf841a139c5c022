//! What a received message is worth: an input for the core, an answer, or nothing.

use std::net::SocketAddr;

use reveille_gateway_core::io::{Flow, Input};
use reveille_trace::{Draft, Kind};
use reveille_wire::sip::{Malformed, Message, Method};

use super::refuse;
use crate::world::World;

/// What is to be done about a received message.
pub(super) enum Arrival {
    /// The core hears of it.
    Input(Input),
    /// It is malformed; these bytes go back the way it came.
    Answer(Vec<u8>),
    /// It is malformed and gets no answer.
    Nothing,
}

/// Records and judges one message.
pub(super) fn judge(
    world: &World,
    flow: Flow,
    source: SocketAddr,
    raw: &[u8],
    read: Result<Message, Malformed>,
) -> Arrival {
    let sound = read.and_then(|message| message.validate().map(|()| message));
    match sound.and_then(|message| stamped(message, source)) {
        Ok(message) => {
            note_received(world, &flow, raw, &message);
            world.metrics.sip_received(flow.transport, &message);
            Arrival::Input(Input::Sip { flow, message: Box::new(message) })
        }
        Err(fault) => {
            note_broken(world, &flow, raw, &fault);
            refuse::answer(raw, &fault).map_or(Arrival::Nothing, Arrival::Answer)
        }
    }
}

fn stamped(mut message: Message, source: SocketAddr) -> Result<Message, Malformed> {
    if message.is_request() {
        message.stamp_via(source)?;
    }
    Ok(message)
}

fn note_received(world: &World, flow: &Flow, raw: &[u8], message: &Message) {
    let call_id = message.call_id().unwrap_or_default();
    world.note(|| {
        let draft = Draft::new(Kind::SipReceived).corr(call_id).raw(raw.to_vec());
        let draft = draft.with("transport", flow.transport.via_name());
        draft.with("from", flow.peer.as_str())
    });
    let begins = message.method() == Some(&Method::INVITE)
        && message.to().is_ok_and(|to| to.tag().is_none());
    if begins {
        for (hop, place) in [(1u8, "driver/sip"), (2, "wire::sip")] {
            world
                .note(|| Draft::new(Kind::Hop).corr(call_id).with("hop", hop).with("where", place));
        }
    }
}

/// Records bytes that are no SIP message.
pub(super) fn note_broken(world: &World, flow: &Flow, raw: &[u8], fault: &Malformed) {
    world.metrics.sip_malformed(flow.transport);
    tracing::warn!(
        peer = flow.peer,
        rule = fault.rule,
        offset = fault.offset,
        what = fault.what,
        "malformed SIP"
    );
    world.note(|| {
        let draft = Draft::new(Kind::SipBroken).raw(raw.to_vec()).with("rule", fault.rule);
        let draft = draft.with("offset", fault.offset).with("what", fault.what.as_str());
        draft.with("transport", flow.transport.via_name()).with("from", flow.peer.as_str())
    });
}
