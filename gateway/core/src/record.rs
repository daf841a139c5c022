//! What must survive the process: plain, versioned, serialisable. What is not here may be lost.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::io::Flow;

/// The version that this build writes. It reads this one and refuses any other by name.
pub const VERSION: u16 = 1;

/// A session's id: 128 random bits as 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub String);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
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
}

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

/// A session, without its calls.
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
    /// The last arrival number given to a call.
    pub last_arrival: u64,
    /// Wall time at which the registration upstream runs out; 0 before the first.
    pub registered_until_wall_us: u64,
    /// The session of the same device that this one took the place of, with its calls. Its record
    /// is dropped after this one is durable; should both be found, this one holds.
    pub supersedes: Option<SessionId>,
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
    /// The caller's ACK came: a dialog.
    Confirmed {
        /// Highest CSeq number that the caller used in the dialog.
        remote_cseq: u32,
        /// Highest CSeq number that we used in the dialog.
        local_cseq: u32,
        /// Our 200, from which tags, Contact and route set are read.
        response: Raw,
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
    /// The INVITE as received, with our `received` and `rport` in its top Via.
    pub invite: Raw,
    /// The way it came.
    pub flow: Flow,
    /// Our To tag: the same in every response (RFC 3261 section 12.1.1).
    pub to_tag: String,
    /// 183 or 182: what the caller hears while the phone wakes; `None`: 100 only.
    pub hold_code: Option<u16>,
    /// Wall time at which the wake budget ends.
    pub deadline_wall_us: u64,
    /// Wall time at which the call was accepted.
    pub accepted_wall_us: u64,
    /// How far it has come.
    pub phase: Phase,
}

/// Bytes; in the record as text where they are UTF-8, else as base64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Raw(pub Vec<u8>);

impl Serialize for Raw {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.collect_str(&format_args!("t{text}")),
            Err(_) => serializer.collect_str(&format_args!("b{}", STANDARD.encode(&self.0))),
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let text = String::deserialize(deserializer)?;
        match text.split_at_checked(1) {
            Some(("t", rest)) => Ok(Self(rest.as_bytes().to_vec())),
            Some(("b", rest)) => STANDARD.decode(rest).map(Self).map_err(D::Error::custom),
            Some(_) | None => Err(D::Error::custom("bytes must begin with t (text) or b (base64)")),
        }
    }
}

/// Why a record could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord(pub String);

impl std::fmt::Display for BadRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadRecord {}

macro_rules! encoded {
    ($($record:ty),+) => {$(
        impl $record {
            /// The bytes that go into the fabric.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                serde_json::to_vec(self).expect("a record is plain data with text keys")
            }

            /// Reads bytes from the fabric.
            ///
            /// # Errors
            /// [`BadRecord`] says what is wrong: not a record, or written by another version.
            pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
                let record: Self = serde_json::from_slice(bytes)
                    .map_err(|e| BadRecord(format!("not a {} record: {e}", stringify!($record))))?;
                if record.version != VERSION {
                    let found = record.version;
                    return Err(BadRecord(format!("record of version {found}: this build reads {VERSION}")));
                }
                Ok(record)
            }
        }
    )+};
}
encoded!(SessionRecord, CallRecord);
