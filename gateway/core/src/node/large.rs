//! Requests of ours that are too large for UDP leave by TCP, and by UDP all the same where nobody
//! takes TCP (RFC 3261 section 18.1.1).

use std::collections::BTreeMap;

use reveille_wire::sip::Message;

use super::Node;
use super::entry::Purpose;
use crate::io::{Flow, Transport};
use crate::timer::{Name, Owner};

/// The largest request that goes by UDP while nobody knows what the path carries.
const MOST_DATAGRAM: usize = 1_300;

/// What left by TCP for its size only, by branch: the way it would have gone, and how it read.
pub(super) type Diverted = BTreeMap<String, (Flow, Vec<u8>)>;

/// The way of a request that may not go by UDP, whose top Via is changed to say so; `None`: it goes
/// as it is. If TCP is refused, the caller sends what it had before by the way that it had.
pub(super) fn leave_udp(flow: &Flow, request: &mut Message) -> Option<Flow> {
    if flow.transport != Transport::Udp || request.to_bytes().len() <= MOST_DATAGRAM {
        return None;
    }
    let mut vias: Vec<_> = request.values("Via").into_iter().map(ToOwned::to_owned).collect();
    let top = vias.first_mut()?;
    *top = top.replacen("SIP/2.0/UDP ", "SIP/2.0/TCP ", 1);
    request.set("Via", vias.join(", "));
    let (transport, local, peer) = (Transport::Tcp, String::new(), flow.peer.clone());
    Some(Flow { transport, local, peer, connection: None })
}

impl Node {
    /// Sends the request of a client transaction, by TCP if it is too large for its flow.
    pub(super) fn start_client(
        &mut self,
        branch: &str,
        flow: Flow,
        bytes: Vec<u8>,
        purpose: Purpose,
    ) {
        let large = flow.transport == Transport::Udp && bytes.len() > MOST_DATAGRAM;
        let message = if large { Message::parse(&bytes).ok() } else { None };
        let diverted = message.and_then(|mut message| {
            let by_tcp = leave_udp(&flow, &mut message)?;
            Some((by_tcp, message.to_bytes()))
        });
        match diverted {
            None => self.begin_client(branch, flow, bytes, purpose),
            Some((by_tcp, changed)) => {
                self.diverted.insert(branch.to_owned(), (flow, bytes));
                self.begin_client(branch, by_tcp, changed, purpose);
            }
        }
    }

    /// TCP was refused: the request goes by UDP, however large. False if it did not leave UDP.
    pub(super) fn fall_back(&mut self, branch: &str) -> bool {
        let Some((flow, bytes)) = self.diverted.remove(branch) else { return false };
        let Some((_, _, purpose)) = self.clients.remove(branch) else { return false };
        for name in [Name::E, Name::F, Name::K] {
            self.timers.clear(name, &Owner::Client(branch.into()));
        }
        self.begin_client(branch, flow, bytes, purpose);
        true
    }
}
