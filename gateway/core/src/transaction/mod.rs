//! The transaction machines of RFC 3261 section 17 (with RFC 6026): they absorb and repeat, and
//! know neither calls nor sessions. Outgoing calls use [`InviteClient`].

mod client;
mod invite_client;
mod invite_server;
mod server;

use reveille_wire::sip::{Message, Method};

pub(crate) use client::{Client, ClientEvent};
pub use invite_client::{InviteClient, InviteEvent};
pub(crate) use invite_server::{InviteServer, Stage};
pub(crate) use server::Server;

pub use crate::timer::Name;

/// What finds a server transaction (RFC 3261 section 17.2.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TransactionKey(String);

impl TransactionKey {
    /// The key of the transaction that `request` belongs to; ACK and CANCEL give the INVITE's.
    /// `None` if the request lacks what a key is made of.
    pub(crate) fn of(request: &Message) -> Option<Self> {
        let via = request.via().ok()?;
        let method = request.method()?;
        let class = if is_invite_class(method) { "INVITE" } else { method.as_str() };
        let sent_by = via.sent_by();
        let key = match via.branch.as_deref() {
            Some(branch) if branch.starts_with("z9hG4bK") => {
                format!("{class} {sent_by} {branch}")
            }
            // RFC 2543 peers: no unique branch, so the whole identity of the request.
            _ => {
                let call_id = request.call_id().ok()?;
                let cseq = request.cseq().ok()?.number;
                let from = request.from().ok()?;
                let uri = request.uri()?;
                let from_tag = from.tag().unwrap_or("");
                format!("{class} {sent_by} {call_id} {cseq} {from_tag} {uri}")
            }
        };
        Some(Self(key))
    }
}

fn is_invite_class(method: &Method) -> bool {
    [Method::INVITE, Method::ACK, Method::CANCEL].contains(method)
}

/// What a machine asks of its owner, beside sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Put these bytes on the wire.
    Send(Vec<u8>),
    /// Wake me under this name after so many milliseconds.
    Arm(Name, u64),
    /// No longer.
    Disarm(Name),
    /// The machine is over and can be forgotten.
    Over,
}
