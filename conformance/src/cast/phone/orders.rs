//! What a phone can be told, and what it and its app tell each other.

use super::os;
use super::settings::{Conduct, SleepBy};

/// What a phone can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Go to sleep, in this way.
    Sleep(SleepBy),
    /// The user opens the app.
    Open,
    /// The operating system kills the app.
    Kill,
    /// The radio drops the app's connection.
    DropConnection,
    /// The user places a call, and opens the app for it.
    Place(Outgoing),
    /// The user sends a message of this mark to somebody, and opens the app for it.
    Send(String, String),
    /// The app subscribes to the messages that wait at this URI.
    Subscribe(String),
    /// The user ends the call of this mark.
    HangUpCall(String),
    /// The user wants a call changed.
    Change {
        /// Its mark.
        mark: String,
        /// By UPDATE.
        update: bool,
    },
    /// The user ends every call.
    HangUp,
    /// What becomes from now on of calls, and of what others want changed in them.
    Conduct(Conduct),
    /// Ignore pushes, or heed them again.
    IgnorePushes(bool),
    /// From now on connect to this `host:port`.
    Turn(String),
    /// The user signs out: the session ends.
    Close,
    /// Something of the operating system; a phone without one does nothing.
    Os(os::Order),
}

/// A call that a phone places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its mark; it stands in the SDP's `s=` line.
    pub mark: String,
    /// Whom to call.
    pub to: String,
    /// Hang up that long after the answer; absent: only when told.
    pub hang_up_after_ms: Option<u64>,
}

impl Command {
    /// The name of the fault that it is, the part of the phone it strikes, and how often, if it is
    /// one.
    #[must_use]
    pub const fn fault(&self) -> Option<(&'static str, &'static str, u32)> {
        match self {
            Self::Kill => Some(("crash", "app", 1)),
            Self::DropConnection => Some(("drop", "websocket", 1)),
            Self::Os(order) => order.fault(),
            Self::Sleep(_)
            | Self::Open
            | Self::Place(_)
            | Self::Send(..)
            | Self::Subscribe(_)
            | Self::HangUpCall(_)
            | Self::Change { .. }
            | Self::HangUp
            | Self::Conduct(_)
            | Self::IgnorePushes(_)
            | Self::Turn(_)
            | Self::Close => None,
        }
    }
}

/// What an app can be told by its phone.
#[derive(Debug, Clone)]
pub enum AppCommand {
    /// Ask to sleep that many seconds.
    Hibernate(u64),
    /// Close with the sleep code.
    SleepByClose,
    /// Lose the connection and come back.
    Drop,
    /// End the session.
    Close,
    /// Say that it rings.
    Ring(String),
    /// Place a call under this subsession: to whom, and with which SDP.
    Place(String, String, String),
    /// Send a message under this subsession: to whom, and what.
    Send(String, String, String),
    /// Answer a message with a status.
    AnswerMessage(String, u16),
    /// Subscribe under this subsession to the messages that wait at this URI.
    Subscribe(String, String),
    /// Want a call changed: with which SDP, and whether by UPDATE.
    Change(String, String, bool),
    /// Answer a call, or what was asked in it, with an SDP.
    Answer(String, String),
    /// Decline a call, or what was asked in it, with a status.
    Decline(String, u16),
    /// End a call.
    HangUp(String),
}

/// What an app tells its phone.
#[derive(Debug, Clone)]
pub enum AppEvent {
    /// Connected or resumed.
    Connected,
    /// A call comes in.
    Incoming {
        /// Its subsession.
        call: String,
        /// Who calls.
        initiator: String,
        /// The offer, or nothing.
        sdp: String,
    },
    /// A message comes in, under this subsession.
    Message(String),
    /// A call that was placed is answered.
    Answered(String),
    /// The other side wants a call changed.
    ChangeAsked(String),
    /// It does not any more.
    ChangeCancelled(String),
    /// A call is over.
    Ended {
        /// Its subsession.
        call: String,
        /// Why.
        why: String,
    },
    /// Sleep was refused.
    SleepRefused,
    /// Asleep: the process has ended.
    Asleep,
    /// The session is over: the process has ended.
    Over,
}
