use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// One thing that happened, at one actor, at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the trace, from 0, without gaps.
    pub seq: u64,
    /// Microseconds since the start of the run.
    pub t_us: u64,
    /// Who saw or did it: `gateway`, `registrar`, `push`, a caller's or a phone's name, `world`.
    pub actor: String,
    /// What happened.
    pub kind: Kind,
    /// Joins the events of one call across actors: the SIP Call-ID where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corr: Option<String>,
    /// The event (by `seq`) that led to this one, where the actor knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    /// The bytes themselves: a SIP message, a JsonRTC text, a push request's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
    /// Everything else, by name. Names carry their units (`delay_ms`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<Cow<'static, str>, Value>,
}

impl Event {
    /// The text of field `name`, if it is there and is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.fields.get(name) {
            Some(Value::Text(text)) => Some(text),
            Some(Value::Int(_) | Value::Flag(_)) | None => None,
        }
    }

    /// The number of field `name`, if it is there and is a number.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.fields.get(name) {
            Some(Value::Int(int)) => Some(*int),
            Some(Value::Text(_) | Value::Flag(_)) | None => None,
        }
    }

    /// The raw bytes, empty if the event has none.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_ref().map_or(&[], |raw| raw.0.as_slice())
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// The vocabulary of events. The names on disk are part of the trace format.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Kind { $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+ }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on disk.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

kinds! {
    /// Head of the trace: the scenario about to be played. Fields `id`, `title`, `steps` (how many).
    Scenario = "scenario",
    /// Head of the trace: one resolved property of the target. Fields `name`, `value`.
    Target = "target",
    /// Head of the trace: one planned fault. Fields `fault`, `on`.
    FaultPlanned = "fault.planned",
    /// A fault took effect for the first time (a packet was dropped, a host died). Fields `fault`, `on`;
    /// of a storm also `how`: what it did to its first packet.
    FaultStruck = "fault.struck",
    /// The harness itself was late. Field `stall_us`.
    Stall = "stall",
    /// The player took a step of the script. Fields `step` (from 0), `verb`, `on`, `call`.
    Step = "step",
    /// A remark that decides nothing. Field `text`.
    Note = "note",

    /// A SIP message left this actor. Raw; fields `transport`, `to`.
    SipSent = "sip.sent",
    /// A SIP message reached this actor. Raw; fields `transport`, `from`.
    SipReceived = "sip.received",
    /// Bytes that are no SIP message reached this actor. Raw; fields `rule`, `offset`, `what`.
    SipBroken = "sip.broken",

    /// A WebSocket is open at this actor. Field `socket`.
    WsOpened = "ws.opened",
    /// A WebSocket is closed at this actor. Fields `socket`, `code` (absent: no close frame), `by`.
    WsClosed = "ws.closed",
    /// A WebSocket upgrade was refused. Fields `status`, `what`.
    WsRefused = "ws.refused",
    /// A JsonRTC text left this actor. Raw; field `socket`.
    RtcSent = "rtc.sent",
    /// A JsonRTC text reached this actor. Raw; field `socket`.
    RtcReceived = "rtc.received",

    /// The gateway asked a push service to wake a device. Raw body; fields `provider`, `wake`, `attempt`.
    PushSent = "push.sent",
    /// A push service received a request. Raw body (of Web Push what the browser reads, empty if it
    /// can read nothing); fields `provider`, `token`, `session`, `connection` (which of its senders'),
    /// `life_ms` (how long it may wait for the phone, as its sender says), and of its headers and
    /// members: apns `push-type`, `topic`, `priority`, `expiration`, `collapse-id`, `id`; fcm
    /// `project`, `priority`, `ttl`, `collapse-id`; webpush `ttl`, `urgency`, `topic`, `vapid-key`.
    PushReceived = "push.received",
    /// A push service answered. Fields `provider`, `status`, `token`; `reason` (as its documents name
    /// it), `rule` and `what` (the rule that the request broke, and how), `age_s` (how long the token
    /// has been dead), `retry_after_s`, `broken` (the answer is none of this service).
    PushAnswered = "push.answered",
    /// The token endpoint of a push service answered; nothing secret of it. Fields `status`,
    /// `reason`, `rule`, `what`.
    PushBearer = "push.bearer",
    /// A push service dropped an accepted push on purpose. Field `token`.
    PushDropped = "push.dropped",
    /// A push reached its device. Raw payload; field `token`.
    PushArrived = "push.arrived",
    /// A phone's operating system kept a push from its app. Raw payload; fields `token`, `why`, `fate`:
    /// `later` (it is given when the cause is gone) or `never`.
    PushHeld = "push.held",
    /// What the gateway learned of its push request. Fields `wake`, `attempt`, `outcome`.
    PushOutcome = "push.outcome",

    /// The app changed its state. Field `state`: `connected`, `reconnecting`, `hibernated`, `failed`, `closed`, `killed`.
    AppState = "app.state",
    /// A phone's operating system changed. Fields `what` and `state`: `app` (`foreground`, `background`,
    /// `suspended`, `starting`, `gone`, `stopped`), `screen`, `doze` (`light`, `deep`, `window`, `off`), `low-power`,
    /// `airplane`, `permission`, `notification`, `voip-pushes`, `call-reported`.
    OsState = "os.state",
    /// The app shows an incoming call. Fields `call`, `subsession`.
    AppAlerted = "app.alerted",
    /// The app was told that a call is over. Fields `call`, `subsession`, `why`.
    AppCallEnded = "app.call-ended",

    /// A hop of the path of a call for a sleeping app, inside the gateway. Fields `hop` (1 to 10), `where`.
    Hop = "hop",
    /// The gateway asked its fabric to store. Fields `session`, `token`.
    StoreAsked = "store.asked",
    /// The fabric made it durable. Fields `session`, `token`.
    Stored = "store.done",
    /// The fabric could not tell. Fields `session`, `what`.
    StoreFailed = "store.failed",
    /// A named deadline came. Field `timer`.
    TimerFired = "timer.fired",
    /// A session changed its state. Fields `session`, `state`, `cause`.
    SessionState = "session.state",

    /// Software began on this host. Field `generation`.
    HostStarted = "host.started",
    /// This host crashed. Fields `goodbye`, `at` (seam operation, if a sweep chose it).
    HostCrashed = "host.crashed",
}

/// Raw bytes; on disk a JSON string where they are UTF-8, else `{"base64": ...}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum RawForm<'a> {
    Text(Cow<'a, str>),
    Binary { base64: String },
}

impl Serialize for Raw {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => RawForm::Text(Cow::Borrowed(text)).serialize(serializer),
            Err(_) => RawForm::Binary { base64: STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match RawForm::deserialize(deserializer)? {
            RawForm::Text(text) => Ok(Self(text.into_owned().into_bytes())),
            RawForm::Binary { base64 } => {
                STANDARD.decode(base64).map(Self).map_err(serde::de::Error::custom)
            }
        }
    }
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// true or false
    Flag(bool),
    /// a whole number
    Int(i64),
    /// a text
    Text(String),
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
macro_rules! int_values {
    ($($int:ty),+) => {$(
        impl From<$int> for Value {
            fn from(int: $int) -> Self {
                Self::Int(i64::try_from(int).unwrap_or(i64::MAX))
            }
        }
    )+};
}
int_values!(i32, i64, u8, u16, u32, u64, usize);
