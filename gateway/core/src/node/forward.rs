//! Requests for a session of another node are handed on to it, and what it answers is handed back,
//! as a stateless proxy does (RFC 3261 section 16.11): nothing is kept of them here. All that the way
//! back needs stands in our branch, signed, so that nobody can send us anywhere.

use std::fmt::Write as _;

use reveille_wire::sip::{Message, Method, Via};
use sha2::{Digest as _, Sha256};

use super::Node;
use crate::call::Call;
use crate::io::{Flow, Output, Transport};
use crate::record::Side;
use crate::transaction::{HANDED_ON, via_of_sender};

/// Hops of a request that says nothing of them (RFC 3261 section 16.6).
const HOPS: u32 = 70;

impl Node {
    /// Hands a request on to the node that takes SIP at `address`.
    pub(super) fn hand_on(&mut self, flow: &Flow, request: &Message, address: &str) {
        let hops = request.max_forwards().ok().flatten().unwrap_or(HOPS);
        let (Some(cluster), Ok(via)) = (self.config.cluster.clone(), request.via()) else { return };
        if hops == 0 {
            if request.method() != Some(&Method::ACK) {
                let reply = request.reply(483, Message::reason_phrase(483), Some("hops"));
                self.out.push(Output::Sip { flow: flow.clone(), bytes: reply.to_bytes() });
            }
            return;
        }
        let way = way_of(flow);
        let branch = format!("{HANDED_ON}{way}.{}", self.signature(&way, &via));
        // What came by a stream is not repeated by its sender, so it may not be lost.
        let transport = if flow.transport.is_reliable() { Transport::Tcp } else { Transport::Udp };
        let mut onward = request.clone();
        let (name, own) = (transport.via_name(), &cluster.address);
        onward.prepend("Via", format!("SIP/2.0/{name} {own};rport;branch={branch}"));
        onward.set("Max-Forwards", (hops - 1).to_string());
        let peer = address.to_owned();
        let flow = Flow { transport, local: String::new(), peer, connection: None };
        self.out.push(Output::Sip { flow, bytes: onward.to_bytes() });
    }

    /// Hands a response back to whoever sent the request. False if it answers a request of our own.
    pub(super) fn hand_back(&mut self, response: &Message) -> bool {
        let Ok(vias) = response.vias() else { return false };
        let ours = vias.first().and_then(|via| via.branch.as_deref()?.strip_prefix(HANDED_ON));
        let Some(ours) = ours else { return false };
        let (Some((way, signature)), Some(next)) = (ours.rsplit_once('.'), vias.get(1)) else {
            return true;
        };
        if signature != self.signature(way, next) {
            return true;
        }
        let Some(flow) = flow_back(way, next) else { return true };
        let mut back = response.clone();
        back.remove("Via");
        for via in vias.iter().skip(1).rev() {
            back.prepend("Via", via.to_string());
        }
        self.out.push(Output::Sip { flow, bytes: back.to_bytes() });
        true
    }

    /// What only this process can say of this way to this sender: the same for each repetition.
    fn signature(&mut self, way: &str, via: &Via) -> String {
        let secret = match &self.hand {
            Some(secret) => secret.clone(),
            None => self.hand.insert(self.dice.hex(16)).clone(),
        };
        let hash = Sha256::digest(format!("{secret} {way} {via}"));
        hash.iter().take(12).fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ok: bool = write!(hex, "{byte:02x}").is_ok();
            hex
        })
    }
}

impl Call {
    /// The way of requests within the call. One that another node handed on goes on without that
    /// node, which has no part in its dialog.
    pub(super) fn way(&self) -> Flow {
        let is_incoming = self.record.side == Side::Incoming;
        let sender = is_incoming.then(|| sender_of(&self.invite)).flatten();
        sender.unwrap_or_else(|| self.record.flow.clone())
    }
}

/// The way to the sender of a request that another node handed on.
pub(super) fn sender_of(request: &Message) -> Option<Flow> {
    let branch = request.via().ok()?.branch?;
    let via = via_of_sender(request).filter(|_| branch.starts_with(HANDED_ON))?;
    Some(flow_back(&via.transport, &via)?.return_to(&via))
}

/// Transport and connection, as letters that a branch may have.
fn way_of(flow: &Flow) -> String {
    let connection = flow.connection.map(|number| number.to_string()).unwrap_or_default();
    format!("{}{connection}", flow.transport.via_name())
}

/// The way to the sender whose Via this is (RFC 3261 section 18.2.2, RFC 3581 section 4).
fn flow_back(way: &str, via: &Via) -> Option<Flow> {
    let digits = way.find(|c: char| c.is_ascii_digit()).unwrap_or(way.len());
    let (name, connection) = way.split_at(digits);
    let all = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];
    let transport = all.into_iter().find(|transport| transport.via_name() == name)?;
    let host = via.received.as_deref().unwrap_or(&via.host);
    let bare = host.contains(':') && !host.starts_with('[');
    let host = if bare { format!("[{host}]") } else { host.to_owned() };
    let port = via.rport.flatten().or(via.port).unwrap_or(transport.default_port());
    let peer = format!("{host}:{port}");
    Some(Flow { transport, local: String::new(), peer, connection: connection.parse().ok() })
}
