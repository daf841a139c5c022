//! The transaction machines of RFC 3261 section 17 (with RFC 6026): they absorb and repeat, and
//! know neither calls nor sessions. Outgoing calls use [`InviteClient`].

mod client;
mod invite_client;
mod invite_server;
mod server;

use std::sync::Arc;

use reveille_wire::sip::{Message, Method, Via};

pub(crate) use client::{Client, ClientEvent};
pub use invite_client::{InviteClient, InviteEvent};
pub(crate) use invite_server::{InviteServer, Stage};
pub(crate) use server::Server;

pub use crate::timer::Name;

/// Begins a branch that is unique (RFC 3261 section 8.1.1.7).
const COOKIE: &str = "z9hG4bK";

/// What finds a server transaction (RFC 3261 section 17.2.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TransactionKey(Arc<str>);

impl TransactionKey {
    /// The key of the transaction that `request` belongs to; ACK and CANCEL give the INVITE's.
    /// `None` if the request lacks what a key is made of.
    pub(crate) fn of(request: &Message) -> Option<Self> {
        let via = via_of_sender(request)?;
        let method = request.method()?;
        let class = if is_invite_class(method) { "INVITE" } else { method.as_str() };
        let sent_by = via.sent_by();
        let key = match via.branch.as_deref() {
            Some(branch) if branch.len() > COOKIE.len() && branch.starts_with(COOKIE) => {
                format!("{class} {sent_by} {branch}")
            }
            // RFC 2543 peers, and a cookie with nothing behind it (RFC 4475 section 3.2.1): no
            // unique branch, so the whole identity of the request.
            _ => {
                let call_id = request.call_id().ok()?;
                let cseq = request.cseq().ok()?.number;
                let from = request.from().ok()?;
                let uri = request.uri()?;
                let from_tag = from.tag().unwrap_or("");
                format!("{class} {sent_by} {call_id} {cseq} {from_tag} {uri}")
            }
        };
        Some(Self(key.into()))
    }
}

/// Begins the branch of a request that another node of ours handed on.
pub(crate) const HANDED_ON: &str = "z9hG4bKnode.";

/// The Via of whoever sent the request to us or to another node of ours: by whichever node its
/// requests come, they belong to one transaction.
pub(crate) fn via_of_sender(request: &Message) -> Option<Via> {
    let via = request.via().ok()?;
    if !via.branch.as_deref().is_some_and(|branch| branch.starts_with(HANDED_ON)) {
        return Some(via);
    }
    let all = request.vias().ok()?;
    let is_theirs = |via: &Via| !via.branch.as_deref().unwrap_or("").starts_with(HANDED_ON);
    Some(all.into_iter().find(is_theirs).unwrap_or(via))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_cookie_does_not_make_two_requests_one() {
        let key = |branch: &str, call_id: &str| {
            let request = Message::request(Method::OPTIONS, "sip:bob@example.com")
                .with("Via", format!("SIP/2.0/UDP 192.0.2.1;branch={branch}"))
                .with("From", "<sip:alice@example.com>;tag=a1")
                .with("Call-ID", call_id)
                .with("CSeq", "8 OPTIONS");
            TransactionKey::of(&request).unwrap()
        };
        assert_ne!(key("z9hG4bK", "c1"), key("z9hG4bK", "c2"));
        assert_eq!(key("z9hG4bK", "c1"), key("z9hG4bK", "c1"));
        assert_eq!(key("z9hG4bK7", "c1"), key("z9hG4bK7", "c2"));
    }
}
