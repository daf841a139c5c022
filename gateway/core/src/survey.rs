//! What an operator may see of a node: plain data, a page at a time, without a secret in it. See
//! [`Node::sessions`](crate::node::Node::sessions) and its neighbours.

use std::collections::BTreeMap;

use serde::Serialize;

/// Sessions that one look passes at most: some hundred microseconds, however many there are.
pub const MOST_LOOKED: usize = 1_000;

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// What was found. May be fewer than asked for, or nothing, although more is to come.
    pub items: Vec<T>,
    /// Where the next look begins; `None`: the list is over.
    pub next: Option<String>,
}

/// How a session stands to its app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The registrar has not taken it yet.
    Joining,
    /// Its app is connected.
    Active,
    /// Sleep is granted, and the app is about to close.
    Hibernating,
    /// Asleep.
    Hibernated,
    /// The connection was lost a moment ago.
    Disconnected,
    /// Over, while its record and its registration go.
    Ending,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Joining,
        Self::Active,
        Self::Hibernating,
        Self::Hibernated,
        Self::Disconnected,
        Self::Ending,
    ];

    /// Its name, as lists and filters write it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Active => "active",
            Self::Hibernating => "hibernating",
            Self::Hibernated => "hibernated",
            Self::Disconnected => "disconnected",
            Self::Ending => "ending",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.text() == name)
    }
}

/// Which sessions are asked for; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this user.
    pub user: Option<String>,
    /// Of this application.
    pub app: Option<String>,
    /// In this state.
    pub state: Option<State>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionView {
    /// Its id.
    pub id: String,
    /// The user, by username.
    pub user: String,
    /// The user's address of record.
    pub aor: String,
    /// The application.
    pub app: String,
    /// How it stands to its app.
    pub state: State,
    /// Unix time in seconds at which its sleep ends.
    pub asleep_until_unix_s: Option<u64>,
    /// Unix time in seconds at which its registration upstream runs out; `None` before the first,
    /// and without a registrar.
    pub registered_until_unix_s: Option<u64>,
    /// The device that is pushed to.
    pub device: Option<DeviceView>,
    /// True while it is being woken.
    pub waking: bool,
    /// Calls that nobody has decided yet.
    pub pending_calls: usize,
    /// Frames that the app has not acknowledged.
    pub unacknowledged_frames: usize,
    /// The last numbers: of the node's frames, and of the app's.
    pub last_out: u64,
    /// The last number taken from the app.
    pub last_in: u64,
}

/// A device, without its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceView {
    /// The push provider.
    pub provider: String,
    /// What identifies the application at the push service, as the app said it.
    pub application: String,
    /// The first 48 bits of the token's SHA-256, in hexadecimal: enough to compare two of them.
    pub token_sha256: String,
    /// False once the push service called the token dead.
    pub usable: bool,
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallState {
    /// The app placed it, and the network has not answered.
    Placed,
    /// It waits for its app.
    Held,
    /// The app was given it.
    Offered,
    /// The app rings.
    Ringing,
    /// A final response is decided, and its ACK has not come.
    Decided,
    /// A dialog.
    Confirmed,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallView {
    /// Its session.
    pub session: String,
    /// Its subsession.
    pub subsession: String,
    /// Its SIP Call-ID.
    pub call_id: String,
    /// How far it has come.
    pub state: CallState,
    /// Unix time in seconds at which it was accepted.
    pub accepted_unix_s: u64,
    /// Unix time in seconds at which its wake budget ends.
    pub deadline_unix_s: u64,
    /// The peer that it came from.
    pub peer: String,
}

/// How many there are, as far as one look went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sessions by application and state.
    pub sessions: BTreeMap<(String, State), u64>,
    /// Calls that nobody has decided yet.
    pub pending_calls: u64,
    /// Where the next look begins; `None`: everything was counted.
    pub next: Option<String>,
}
