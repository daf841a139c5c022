use serde::{Deserialize, Serialize};

use super::{Raw, SessionId};
use crate::io::Flow;

/// How far a message has come towards the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Delivery {
    /// On record, not yet given to the app.
    Held,
    /// A `send` with this number was given to the app, which has not confirmed it: it goes again
    /// with the replay, as the same frame.
    Offered {
        /// Its number.
        sequence: u64,
        /// Its correlation id.
        correlation: String,
    },
    /// The app confirmed or answered it: it is never given again.
    Done {
        /// Correlation id of the `send`: the app's answer may still come.
        correlation: String,
    },
}

/// The final response that the sender was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The response as sent.
    pub response: Raw,
}

/// A SIP MESSAGE for a session, from the moment it is accepted until the app has it and its sender
/// can no longer repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRecord {
    /// [`VERSION`](super::VERSION) of the build that wrote it.
    pub version: u16,
    /// Its session.
    pub session: SessionId,
    /// Its subsession: names the message towards the app and in the push.
    pub subsession: String,
    /// Its place among the session's calls and messages.
    pub arrival: u64,
    /// The MESSAGE as received, with our `received` and `rport` in its top Via.
    pub request: Raw,
    /// The way it came.
    pub flow: Flow,
    /// Call-ID, CSeq number and From tag: one request, whatever way it comes again.
    pub identity: String,
    /// Our To tag, the same in every response.
    pub to_tag: String,
    /// Wall time at which it was accepted.
    pub accepted_wall_us: u64,
    /// How far it has come.
    pub delivery: Delivery,
    /// What its sender was told; `None`: the final response is still owed.
    pub answer: Option<Answer>,
}
