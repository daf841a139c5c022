//! What must survive the process: plain, versioned, serialisable. What is not here may be lost.

mod call;
mod codec;
mod gruu;
mod message;
mod subscription;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use call::{CallRecord, Decision, Dialog, Exchange, Phase, Refresh, Side};

pub use codec::{BadRecord, Raw, is_record};
pub use gruu::Gruu;
pub use message::{Answer, Delivery, MessageRecord};
pub use subscription::{Notified, SubscriptionRecord};

/// The version that this build writes: MessagePack. It reads the one before, which was JSON, and
/// refuses any other by name.
pub const VERSION: u16 = 3;

/// A session's id: 128 random bits as 32 hexadecimal digits. The text is shared: an index that
/// names a session holds no copy of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SessionId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for SessionId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// A device that can be woken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The token that the push service gave the app.
    pub token: String,
    /// Which push plugin reaches it.
    pub provider: String,
    /// Identifying information of the application at the push service.
    pub application: String,
    /// False once a push service called the token dead; a new token makes it true again.
    pub usable: bool,
    /// Wall time at which the app gave it last; 0 if an older build wrote the record.
    #[serde(default)]
    pub since_wall_us: u64,
    /// What it runs, as its app said: one of [`PLATFORMS`].
    #[serde(default)]
    pub platform: Option<String>,
}

impl Device {
    /// True for a web app: it says so, or a browser's push service wakes it.
    #[must_use]
    pub fn is_web(&self) -> bool {
        self.platform.as_deref() == Some("web") || self.provider == "webpush"
    }
}

/// Platforms that apps name (D-09); another word is none.
pub const PLATFORMS: &[&str] = &["ios", "android", "web"];

/// Why a session sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SleepCause {
    /// The app asked by a hibernate request.
    Request,
    /// The app closed its WebSocket with the sleep code.
    CloseCode,
    /// The connection was lost and the grace period is over.
    Loss,
}

/// Where a session stands, as far as another process must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Standing {
    /// Connected, or lost a moment ago. After a restart: lost at the restart.
    Awake,
    /// Asleep until `until_wall_us`, then gone.
    Asleep {
        /// Wall time at which the granted TTL ends.
        until_wall_us: u64,
        /// Why.
        cause: SleepCause,
    },
}

/// A frame sent to the app and not yet acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentFrame {
    /// Its sequence number.
    pub sequence: u64,
    /// The text as sent, to be repeated identically (D-36).
    pub text: String,
}

/// A message of the app on its way to the network: what the app is told of its end by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// The subsession that the app gave it.
    pub subsession: Option<String>,
    /// The correlation id of its `send`.
    pub correlation: Option<String>,
}

/// A session, without its calls and messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// [`VERSION`] of the build that wrote it.
    pub version: u16,
    /// Its id.
    pub id: SessionId,
    /// The node that owns it.
    pub owner: String,
    /// Rises whenever the owner changes.
    pub epoch: u64,
    /// The user, by username of the configuration; the record never holds the secret.
    pub user: String,
    /// The user's address of record, `user@host`.
    pub aor: String,
    /// The application: the last segment of the WebSocket path.
    pub app: String,
    /// User part of the Contact registered upstream: 128 random bits.
    pub contact: String,
    /// `urn:uuid:` of the instance registered upstream.
    pub instance: String,
    /// Where it stands.
    pub standing: Standing,
    /// Granted sleep in seconds; asked again for sleep by close code.
    pub ttl_s: u64,
    /// The device to push to, if the app gave a token.
    pub device: Option<Device>,
    /// The last number given to a frame of ours.
    pub last_out: u64,
    /// The last number taken from the app.
    pub last_in: u64,
    /// Frames that the app has not acknowledged, in order.
    pub unacknowledged: Vec<SentFrame>,
    /// The last arrival number given to a call or a message.
    pub last_arrival: u64,
    /// Wall time at which the registration upstream runs out; 0 before the first.
    pub registered_until_wall_us: u64,
    /// The session of the same device that this one took the place of, with its calls. Its record
    /// is dropped after this one is durable; should both be found, this one holds.
    pub supersedes: Option<SessionId>,
    /// Messages of the app whose final response is still to come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sending: Vec<Sending>,
    /// What the app subscribed to; kept up by the gateway, awake or asleep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<SubscriptionRecord>,
    /// What others may call this very session by.
    #[serde(default, skip_serializing_if = "Gruu::is_none")]
    pub gruu: Gruu,
}
