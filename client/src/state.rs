use serde::{Deserialize, Serialize};

/// What resuming needs, to be stored by the app whenever it changes: it outlives the process, the
/// calls of which are gone with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SavedState {
    /// The session to resume; empty before the first connect.
    pub session_id: String,
    /// The last number taken from the gateway.
    pub last_in: u64,
    /// The last number given to a frame of ours.
    pub last_out: u64,
    /// Granted sleep in seconds; 0 if none was granted yet.
    pub ttl_s: u64,
}

impl SavedState {
    /// As JSON, for whatever store the app has.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain data with text keys")
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// Says what is missing or wrong; start without a saved state then.
    pub fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("no saved state: {error}"))
    }
}

/// Where the session stands, as the app sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Connected; `pending` calls are about to come where the gateway says so.
    Connected {
        /// The session's id; another one than before means that the old session is gone.
        session_id: String,
        /// How many stored calls follow; `Some(0)` is a definite nothing.
        pending: Option<u64>,
    },
    /// The connection was lost; a new one is tried every 2 s for at most 60 s.
    Reconnecting,
    /// Asleep: no socket, no traffic.
    Hibernated,
    /// It is over, and not by our wish.
    Failed {
        /// Why.
        why: String,
    },
    /// It is over by our wish.
    Closed,
}

impl State {
    /// The word in traces.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connected { .. } => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Hibernated => "hibernated",
            Self::Failed { .. } => "failed",
            Self::Closed => "closed",
        }
    }
}

/// A call that comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingCall {
    /// Names the call from here on; the push that woke the app named it too.
    pub subsession_id: String,
    /// Who calls.
    pub initiator: String,
    /// Who is called.
    pub target: String,
    /// The offer; `None` if the caller wants one from us.
    pub sdp: Option<String>,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingMessage {
    /// Names the message: for [`App::answer_message`](crate::App::answer_message).
    pub subsession_id: String,
    /// Who writes.
    pub initiator: String,
    /// The media type, if its sender named one.
    pub content_type: Option<String>,
    /// The body; base64 if it was no text.
    pub content: String,
}

/// What the app is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The session changed its state.
    State(State),
    /// A call comes in: ring, then answer or decline.
    Incoming(IncomingCall),
    /// A call that we placed rings.
    Ringing {
        /// Which call.
        subsession_id: String,
    },
    /// A call that we placed makes progress (183), perhaps with media before its answer.
    Progress {
        /// Which call.
        subsession_id: String,
        /// The other side's SDP, if it came.
        sdp: Option<String>,
    },
    /// A call that we placed is answered, and the answer is confirmed.
    Answered {
        /// Which call.
        subsession_id: String,
        /// The other side's SDP.
        sdp: Option<String>,
    },
    /// A call that we placed came to nothing.
    Refused {
        /// Which call.
        subsession_id: String,
        /// A SIP status.
        code: u16,
        /// Words.
        reason: String,
    },
    /// The other side wants the call changed: [`App::answer`](crate::App::answer) or
    /// [`App::decline`](crate::App::decline) says what becomes of it. The call goes on either way.
    ChangeAsked {
        /// Which call.
        subsession_id: String,
        /// The offer; `None` if an offer is wanted of us.
        sdp: Option<String>,
        /// By UPDATE, which wants its answer at once.
        is_update: bool,
    },
    /// The other side took its wish back. The call goes on.
    ChangeCancelled {
        /// Which call.
        subsession_id: String,
    },
    /// What we wanted changed is accepted.
    Changed {
        /// Which call.
        subsession_id: String,
        /// The other side's SDP.
        sdp: Option<String>,
    },
    /// What we wanted changed is refused. The call goes on.
    ChangeRefused {
        /// Which call.
        subsession_id: String,
        /// A SIP status: 491 if the other side wants a change itself.
        code: u16,
        /// Words.
        reason: String,
    },
    /// The caller confirmed our answer.
    CallEstablished {
        /// Which call.
        subsession_id: String,
    },
    /// The call is over.
    CallEnded {
        /// Which call.
        subsession_id: String,
        /// Why, for people.
        why: String,
    },
    /// A message came: [`App::answer_message`](crate::App::answer_message) says what becomes of it.
    Message(IncomingMessage),
    /// What became of a message that we sent.
    MessageAnswered {
        /// Which message.
        subsession_id: String,
        /// A SIP status: 200 and 202 are good.
        code: u16,
    },
    /// A subscription stands.
    Subscribed {
        /// Which.
        subsession_id: String,
    },
    /// What waits for the user changed.
    MessagesWaiting {
        /// Of which subscription.
        subsession_id: String,
        /// Whether messages wait.
        waiting: bool,
        /// Voice messages: `new/old(urgent new/urgent old)`, if they were counted.
        voice: Option<String>,
    },
    /// A subscription is over, or was refused.
    SubscriptionEnded {
        /// Which.
        subsession_id: String,
    },
    /// The gateway does not let the app sleep now.
    HibernateRefused {
        /// A SIP status: 491 during a call, 400 without a token.
        code: u16,
        /// Words.
        reason: String,
    },
}
