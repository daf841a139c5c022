//! What the operator decides, as plain data. Defaults stand here and nowhere else.

use std::collections::BTreeMap;

use crate::ice::IceServer;
use crate::io::{Flow, Transport};
pub use crate::users::Users;

/// Everything the core must be told. Durations in milliseconds unless the name says otherwise.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node's name in the fabric.
    pub node: String,
    /// Set where other nodes share the fabric.
    pub cluster: Option<Cluster>,
    /// Domains whose addresses of record are ours, lower case.
    pub domains: Vec<String>,
    /// `host:port` that peers reach us at; in Contact and Via.
    pub advertised: String,
    /// The same for transports that are reached elsewhere, such as TLS at another port.
    pub advertised_by: BTreeMap<Transport, String>,
    /// Users that may connect and be called.
    pub users: Users,
    /// The registrar upstream; `None`: sessions are not registered anywhere.
    pub registrar: Option<Registrar>,
    /// Other ways to the registrar, in the order in which they are tried once the first fails
    /// (RFC 3263 section 4.3).
    pub registrar_others: Vec<Flow>,
    /// The flow to the registrar is kept alive by STUN where it is UDP (RFC 5626 section 4.4.2).
    pub stun: bool,
    /// How long a call waits for its app, 5,000 to 150,000.
    pub wake_budget_ms: u64,
    /// What the caller hears while the phone wakes: 183, 182, or nothing but 100 (`None`, only with
    /// a budget of at most 60 s).
    pub hold_code: Option<u16>,
    /// Longest gap between two provisionals of a held call, at most 60,000.
    pub provisional_every_ms: u64,
    /// How long an app may ring before 480.
    pub ring_deadline_ms: u64,
    /// How long a call that an app placed may go without a sign of the one called before it is
    /// cancelled: Timer C of RFC 3261 section 16.6, more than 180,000.
    pub no_answer_ms: u64,
    /// Session timer asked for and granted at most, in seconds, at least 90 (RFC 4028).
    pub session_timer_s: u32,
    /// How long an app may take to `complete` an answered call before it is hung up.
    pub complete_ms: u64,
    /// How long an app may take to answer an UPDATE, well under 64*T1.
    pub update_ms: u64,
    /// An app that is away is woken for news of its subscriptions.
    pub notify_wakes: bool,
    /// REFER is given to apps, and wakes them; else it is refused.
    pub refer: bool,
    /// An app that sends no frame for this long after a `start` is woken again.
    pub start_silence_ms: u64,
    /// How long a lost connection may come back before the session counts as asleep.
    pub grace_ms: u64,
    /// A socket that says nothing for this long is dead: idle, and with a subsession.
    pub idle_limit_ms: (u64, u64),
    /// How long the gateway waits for the app to close after a granted hibernate.
    pub close_wait_ms: u64,
    /// Sleep in seconds: granted if none is asked, least, most.
    pub ttl_s: (u64, u64, u64),
    /// Earliest times of the push attempts after the first cause, ascending.
    pub push_attempts_ms: Vec<u64>,
    /// Client frames, and milliseconds, after which an acknowledgement of its own is sent.
    pub acknowledge_after: (u32, u64),
    /// Most sessions held, calls pending per session, and client transactions under way.
    pub most_sessions: usize,
    /// Server transactions of SIP at most. Beyond, what begins something new hears 503.
    pub most_transactions: usize,
    /// Most undecided calls per session; beyond: 503 with Retry-After.
    pub most_pending: usize,
    /// How long the sender of a MESSAGE waits for the app's answer before 202, 0 to 20,000; 0: 202
    /// as soon as the message is on record.
    pub message_wait_ms: u64,
    /// Most messages of a session that its app has not confirmed; beyond: 503 with Retry-After.
    pub most_messages: usize,
    /// Longest body of a message, in bytes; beyond: 413.
    pub most_message_bytes: usize,
    /// RFC 3261 timers.
    pub timers: SipTimers,
    /// Sleep without a device token is allowed (D-21).
    pub sleep_without_token: bool,
    /// An app that says nothing for this long and has no call is asked to sleep; 0: never.
    pub ask_sleep_after_ms: u64,
    /// Calls whose offer is still to come are taken; if not: 488 (D-34).
    pub late_offer: bool,
    /// Who is pushed for in the grace of a lost connection (D-27).
    pub push_on_loss: PushOnLoss,
    /// ICE servers that apps are told of.
    pub ice: Vec<IceServer>,
    /// Extension headers that travel as SIP headers.
    pub headers: Vec<HeaderRule>,
    /// Who shares the node, and what each may use of it.
    pub tenancy: crate::tenancy::Tenancy,
    /// The defect planted in this node.
    #[cfg(feature = "mutants")]
    pub defect: Option<crate::mutant::Defect>,
    /// The whims that this node follows.
    #[cfg(feature = "mutants")]
    pub whims: crate::whim::Whims,
}

/// Who is pushed for while a lost connection may come back. After that the session sleeps, and is
/// pushed for in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushOnLoss {
    /// All but web apps.
    Native,
    /// Everybody.
    All,
    /// Nobody.
    Nobody,
}

/// How a node stands among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// `host:port` at which the other nodes reach this one, by UDP and TCP.
    pub address: String,
}

/// One extension header, and the SIP header that it travels as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// The application that it is for; `None`: all of them.
    pub app: Option<String>,
    /// The member of a frame's header.
    pub member: String,
    /// The SIP header.
    pub header: String,
    /// What the app says goes to the network.
    pub to_sip: bool,
    /// What the network says goes to the app.
    pub to_app: bool,
}

impl HeaderRule {
    pub(crate) fn is_for(&self, app: &str) -> bool {
        self.app.as_deref().is_none_or(|of| of == app)
    }
}

/// A user of the gateway.
#[derive(Debug, Clone)]
pub struct User {
    /// `user@host`, host in lower case.
    pub aor: String,
    /// The name shown at HTTP Basic and to the registrar.
    pub username: String,
    /// Answers the registrar's challenges. Never stored.
    pub secret: Secret,
}

/// A secret, which no log or panic message shows.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// Where sessions are registered.
#[derive(Debug, Clone)]
pub struct Registrar {
    /// `sip:` URI that REGISTER is sent to: the domain.
    pub uri: String,
    /// The way to it.
    pub flow: Flow,
    /// Binding lifetime asked for, in seconds.
    pub expires_s: u32,
}

/// The base times of RFC 3261, Appendix A, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct SipTimers {
    /// Round-trip estimate.
    pub t1_ms: u64,
    /// Longest interval between retransmissions of non-INVITE requests and INVITE responses.
    pub t2_ms: u64,
    /// Longest time a message stays in the network.
    pub t4_ms: u64,
}

impl Default for SipTimers {
    fn default() -> Self {
        Self { t1_ms: 500, t2_ms: 4_000, t4_ms: 5_000 }
    }
}

impl Config {
    /// Methods that this gateway takes, as Allow says them.
    pub(crate) const fn allow(&self) -> &'static str {
        if self.refer {
            "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, MESSAGE, NOTIFY, REFER"
        } else {
            "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, MESSAGE, NOTIFY"
        }
    }

    /// The defaults, for a node that serves `domain` at `advertised`.
    #[must_use]
    pub fn new(domain: &str, advertised: &str) -> Self {
        Self {
            node: "node-1".to_owned(),
            cluster: None,
            domains: vec![domain.to_ascii_lowercase()],
            advertised: advertised.to_owned(),
            advertised_by: BTreeMap::new(),
            users: Users::default(),
            registrar: None,
            registrar_others: Vec::new(),
            stun: false,
            wake_budget_ms: 30_000,
            hold_code: Some(183),
            provisional_every_ms: 55_000,
            ring_deadline_ms: 120_000,
            no_answer_ms: 185_000,
            session_timer_s: 3_600,
            complete_ms: 20_000,
            update_ms: 10_000,
            notify_wakes: false,
            refer: true,
            start_silence_ms: 3_000,
            grace_ms: 60_000,
            idle_limit_ms: (30_000, 9_000),
            close_wait_ms: 5_000,
            ttl_s: (86_400, 60, 604_800),
            push_attempts_ms: vec![0, 1_000, 3_000],
            acknowledge_after: (8, 1_000),
            most_sessions: 100_000,
            most_transactions: 262_144,
            most_pending: 64,
            message_wait_ms: 5_000,
            most_messages: 64,
            most_message_bytes: 8_192,
            timers: SipTimers::default(),
            sleep_without_token: false,
            ask_sleep_after_ms: 0,
            late_offer: true,
            push_on_loss: PushOnLoss::Native,
            ice: Vec::new(),
            headers: Vec::new(),
            tenancy: crate::tenancy::Tenancy::default(),
            #[cfg(feature = "mutants")]
            defect: None,
            #[cfg(feature = "mutants")]
            whims: crate::whim::Whims::default(),
        }
    }

    /// `host:port` that peers reach us at by this transport.
    #[must_use]
    pub fn advertised(&self, transport: Transport) -> &str {
        self.advertised_by.get(&transport).unwrap_or(&self.advertised)
    }

    /// The user of this name.
    #[must_use]
    pub fn user(&self, username: &str) -> Option<&User> {
        self.users.named(username)
    }
}
