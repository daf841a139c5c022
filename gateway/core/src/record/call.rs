//! Calls and their dialogs, as they are kept.

use serde::{Deserialize, Serialize};

use super::{Raw, SessionId};
use crate::io::Flow;

/// Who placed a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The network: we answer.
    #[default]
    Incoming,
    /// The app: we ask.
    Outgoing,
}

impl Side {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    const fn is_incoming(&self) -> bool {
        matches!(self, Self::Incoming)
    }
}

/// How far a call has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Phase {
    /// Accepted, waiting for the app.
    Held,
    /// A `start` with this number was given to the app, which has not decided.
    Offered {
        /// Number of the latest `start`.
        sequence: u64,
        /// Correlation id of every `start` of this call.
        correlation: String,
        /// Wall time at which the app's 180 came; the ring deadline counts from it.
        rung_wall_us: Option<u64>,
    },
    /// A final response is decided: these bytes are repeated until ACK.
    Decided {
        /// Its status.
        status: u16,
        /// The response as sent.
        response: Raw,
        /// Wall time of the decision: 64*T1 later the wait for ACK ends.
        at_wall_us: u64,
        /// Correlation id of the `start`, if the app was given one.
        correlation: Option<String>,
        /// The app has hung up: BYE follows as soon as the ACK is there (RFC 3261 section 15).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        hung_up: bool,
    },
    /// Outgoing: the INVITE on record goes, or went, to the network.
    Placed {
        /// Correlation id of the app's `start`.
        correlation: String,
        /// The app does not want it any more: it ends by CANCEL.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cancelled: bool,
    },
    /// Outgoing: a 2xx came and was given to the app, whose `complete` brings the ACK.
    Answered {
        /// Correlation id of the app's `start`.
        correlation: String,
        /// The dialog that the 2xx made.
        dialog: Box<Dialog>,
    },
    /// Answered and acknowledged.
    Confirmed {
        /// What requests within it are made of.
        dialog: Box<Dialog>,
        /// The ACK that we sent last, repeated for each repetition of its 2xx.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ack: Option<Raw>,
        /// The renegotiation under way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exchange: Option<Box<Exchange>>,
    },
}

/// A dialog (RFC 3261 section 12): all that requests within it are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialog {
    /// Our side, as our requests say it in From: name and URI, without tag.
    pub local: String,
    /// Our tag.
    pub local_tag: String,
    /// The peer's side, as our requests say it in To, without tag.
    pub remote: String,
    /// The peer's tag; empty for a peer of RFC 2543.
    pub remote_tag: String,
    /// The peer's Contact URI: where requests go.
    pub target: String,
    /// Route values, in the order of our requests.
    pub routes: Vec<String>,
    /// Highest CSeq number that we used.
    pub local_cseq: u32,
    /// Highest CSeq number that the peer used; 0 before its first request.
    pub remote_cseq: u32,
    /// What the peer takes, from its Allow and Recv-Info.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allows: Vec<String>,
    /// The session timer agreed on (RFC 4028).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refresh>,
}

/// A session timer: the dialog ends unless it is refreshed in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// The interval in seconds.
    pub interval_s: u32,
    /// We refresh it; else the peer does.
    pub by_us: bool,
    /// Wall time at which it ends unless it is refreshed.
    pub until_wall_us: u64,
}

/// A final response that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The response as sent.
    pub response: Raw,
    /// Wall time of the decision: 64*T1 later the wait for ACK ends.
    pub at_wall_us: u64,
}

/// A re-INVITE under way; one at a time (RFC 3261 section 14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Exchange {
    /// The peer's, given to the app.
    Peer {
        /// As received.
        invite: Raw,
        /// The way it came.
        flow: Flow,
        /// Correlation id of the app's `start`.
        correlation: String,
        /// Our 2xx, repeated until the ACK.
        decided: Option<Decision>,
    },
    /// The app's, sent to the peer.
    App {
        /// As sent.
        invite: Raw,
        /// Correlation id of the app's `start`.
        correlation: String,
        /// A 2xx came and was given to the app, whose `complete` brings the ACK.
        answered: bool,
    },
}

/// A call, from the moment it is accepted to the end of its dialog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// [`VERSION`] of the build that wrote it.
    pub version: u16,
    /// Its session.
    pub session: SessionId,
    /// Its subsession: names the call towards the app and in the push.
    pub subsession: String,
    /// Its place among the session's calls.
    pub arrival: u64,
    /// Who placed it.
    #[serde(default, skip_serializing_if = "Side::is_incoming")]
    pub side: Side,
    /// Incoming: the INVITE as received, with our `received` and `rport` in its top Via. Outgoing:
    /// the INVITE as last sent.
    pub invite: Raw,
    /// The way it came, or goes.
    pub flow: Flow,
    /// Our tag: the same in every message of the call (RFC 3261 section 12.1).
    pub local_tag: String,
    /// 183 or 182: what the caller hears while the phone wakes; `None`: 100 only.
    pub hold_code: Option<u16>,
    /// Wall time at which what the call waits for now is given up: the wake budget, the ring
    /// deadline, the network's or the app's answer.
    pub deadline_wall_us: u64,
    /// Wall time at which the call was accepted, or placed.
    pub accepted_wall_us: u64,
    /// How far it has come.
    pub phase: Phase,
    /// The call is over but for this BYE, which goes until it is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bye: Option<Raw>,
}
