use std::time::Duration;

use crate::scenario::{App, Transport};
use crate::service::Service;

/// A file of `kind = "swarm"`: not one situation, but the bounds within which a seed draws one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swarm {
    /// The path under `scenarios/` without `.toml`.
    pub id: String,
    /// What happens, in one sentence.
    pub title: String,
    /// Ids of the requirements that each play must decide.
    pub covers: Vec<String>,
    /// How many phones play: `phones = [1, 2]`.
    pub phones: Between<u32>,
    /// How many SIP user agents play: `callers = [1, 2]`.
    pub callers: Between<u32>,
    /// How many calls are placed before the faults stop, at least as many as there are faults:
    /// `calls = [3, 8]`.
    pub calls: Between<u32>,
    /// How many faults are planned: `faults = [1, 4]`.
    pub faults: Between<u32>,
    /// How long faults may strike: `span = ["60s", "3m"]`.
    pub span: Between<Duration>,
    /// How long a call waits for its app: `wake-budget = ["8s", "15s"]`.
    pub wake_budget: Between<Duration>,
    /// How long an app may ring: `ring-deadline = ["10s", "20s"]`.
    pub ring_deadline: Between<Duration>,
    /// Which apps there are: `apps = ["sdk", "plain"]`.
    pub apps: Vec<App>,
    /// Which push services wake phones: `push = ["webhook", "apns"]`.
    pub push: Vec<Service>,
    /// What callers speak: `transports = ["udp", "tcp"]`.
    pub transports: Vec<Transport>,
    /// What a seed may draw, each with even chances: `features = ["cancel", "crash"]`.
    pub features: Vec<Feature>,
    /// How many seeds it is played with, from the first one on.
    pub seeds: u64,
}

/// Two bounds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between<T> {
    /// The lower one.
    pub least: T,
    /// The upper one.
    pub most: T,
}

/// Ties each feature to its word.
macro_rules! features {
    ($($(#[$doc:meta])* $name:ident = $word:literal $of:ident,)*) => {
        /// A kind of traffic or of fault that a play of a swarm has or has not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Feature { $($(#[$doc])* $name,)* }

        impl Feature {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its word in files.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// True if it is a fault, which is planned and must bite.
            #[must_use]
            pub const fn is_fault(self) -> bool {
                match self { $(Self::$name => features!(@$of),)* }
            }
        }
    };
    (@traffic) => { false };
    (@fault) => { true };
}

features! {
    /// Callers give up.
    Cancel = "cancel" traffic,
    /// Apps decline.
    Decline = "decline" traffic,
    /// Apps let it ring until somebody gives up.
    Unanswered = "unanswered" traffic,
    /// Two callers call at once.
    Burst = "burst" traffic,
    /// INVITEs without an offer.
    LateOffer = "late-offer" traffic,
    /// Calls are renegotiated.
    Renegotiate = "renegotiate" traffic,
    /// Apps place calls.
    Placed = "placed" traffic,
    /// SIP user agents send messages.
    Message = "message" traffic,
    /// Apps send messages.
    Sent = "sent" traffic,
    /// Users open their apps.
    Open = "open" traffic,
    /// Apps sleep without asking first.
    SleepByClose = "sleep-by-close" traffic,
    /// An app is killed.
    AppKilled = "app-killed" fault,
    /// An app's connection is lost.
    WebSocketDropped = "websocket-dropped" fault,
    /// The gateway dies and its peers notice.
    Crash = "crash" fault,
    /// The gateway loses power, and what it had not synced.
    PowerLoss = "power-loss" fault,
    /// The gateway is restarted in order.
    Restart = "restart" fault,
    /// Nothing passes between two hosts for a while.
    Partition = "partition" fault,
    /// A push is refused for now.
    PushBusy = "push-busy" fault,
    /// A push is refused for good.
    PushRefused = "push-refused" fault,
    /// A push is accepted and lost.
    PushLost = "push-lost" fault,
    /// A push is never answered.
    PushHangs = "push-hangs" fault,
    /// A push comes twice.
    PushTwice = "push-twice" fault,
    /// A push comes late.
    PushLate = "push-late" fault,
    /// The answer to a push is broken.
    PushBroken = "push-broken" fault,
    /// A caller never sees the answer of its call.
    AnswerLost = "answer-lost" fault,
}
