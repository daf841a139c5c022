//! The file as it is written. Defaults of the core stand in the core, and are only named here.

use reveille_gateway_core::config::{Config, SipTimers};
use serde::{Deserialize, Deserializer};

use crate::pace::Pace;

/// A whole configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    pub(super) node: Node,
    pub(super) sip: Sip,
    pub(super) websocket: WebSocket,
    pub(super) fabric: Fabric,
    pub(super) cluster: Cluster,
    pub(super) push: Push,
    pub(super) admin: Option<Admin>,
    pub(super) limits: Limits,
    pub(super) tenant: Vec<Tenant>,
    pub(super) registrar: Option<Registrar>,
    pub(super) bearer: Option<Bearer>,
    pub(super) call: Call,
    pub(super) message: Message,
    pub(super) session: Session,
    pub(super) user: Vec<User>,
    pub(super) application: Vec<Application>,
    pub(super) header: Vec<Header>,
    pub(super) ice: Vec<Ice>,
}

/// STUN or TURN servers that apps are told of, and how they are let in there.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Ice {
    pub(super) urls: Vec<String>,
    pub(super) app: Option<String>,
    /// A fixed name; without it the secret is shared with the server, and names end.
    pub(super) username: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) secret_env: Option<String>,
    pub(super) secret_file: Option<String>,
    pub(super) ttl: Option<Span>,
}

/// An extension header of apps, and the SIP header that it travels as.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Header {
    pub(super) member: String,
    pub(super) sip: String,
    pub(super) app: Option<String>,
    #[serde(default = "both")]
    pub(super) direction: String,
}

fn both() -> String {
    "both".to_owned()
}

/// A time, written as `"30s"`; kept in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(pub(super) u64);

impl Span {
    pub(super) const fn seconds(self) -> u64 {
        self.0 / 1_000
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(digits);
        let scale = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(scale).map(Self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let what =
                format!("`{text}` is no time; write a number and ms, s, m, h or d, like \"30s\"");
            serde::de::Error::custom(what)
        })
    }
}

/// 183, 182, or the word `none`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "no such hold code")]
pub(super) enum HoldCode {
    Code(u16),
    Word(String),
}

macro_rules! section {
    ($name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr),+ $(,)? }) => {
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub(super) struct $name { $($(#[$doc])* pub(super) $field: $type,)+ }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }
    };
}

/// The core's own defaults.
pub(super) fn core() -> Config {
    Config::new("example.com", "127.0.0.1:5060")
}

section!(Node {
    name: String = core().node,
    domains: Vec<String> = core().domains,
    advertised: String = core().advertised,
    /// `host:port` at which peers reach the TLS port; without it the host of `advertised` and the
    /// port of `sip.tls`.
    advertised_tls: Option<String> = None,
});
section!(Sip {
    udp: String = "0.0.0.0:5060".to_owned(),
    tcp: String = "0.0.0.0:5060".to_owned(),
    /// `address:port` for SIP over TLS; `""`, the default, for none. Needs `certificate-file`.
    tls: String = String::new(),
    /// `address:port` for SIP in WebSockets (RFC 7118, subprotocol `sip`, any path); `""`, the
    /// default, for none. Only peers connect; the gateway opens no such WebSocket itself.
    ws: String = String::new(),
    /// The same inside TLS. Needs `certificate-file`.
    wss: String = String::new(),
    /// Origins that SIP in WebSockets may come from; empty, the default: all, and none.
    origins: Vec<String> = Vec::new(),
    /// PEM file of the certificate of the SIP ports, then those that lead to its root. It is shown
    /// to peers that we dial as well, if they ask for one.
    certificate_file: Option<String> = None,
    /// PEM file of its private key.
    key_file: Option<String> = None,
    /// PEM file of authorities; whoever dials a TLS port of SIP must show a certificate of one of
    /// them. Without it nobody needs one.
    client_ca_file: Option<String> = None,
    t1: Span = Span(SipTimers::default().t1_ms),
    t2: Span = Span(SipTimers::default().t2_ms),
    t4: Span = Span(SipTimers::default().t4_ms),
});
section!(WebSocket {
    listen: String = "0.0.0.0:8080".to_owned(),
    /// PEM file of the certificate of `listen`, which then speaks TLS: apps connect by `wss://`.
    certificate_file: Option<String> = None,
    /// PEM file of its private key.
    key_file: Option<String> = None,
    default_app: String = "phone".to_owned(),
    origins: Vec<String> = Vec::new(),
    most_sockets: usize = 100_000,
    most_sockets_per_ip: usize = 10_000,
    connects_per_second_per_ip: usize = Pace::default().per_ip,
    connects_per_second_per_user: usize = Pace::default().per_user,
    idle_limit: Span = Span(core().idle_limit_ms.0),
    busy_limit: Span = Span(core().idle_limit_ms.1),
    close_wait: Span = Span(core().close_wait_ms),
});
section!(Fabric {
    engine: String = "redb".to_owned(),
    path: String = "reveille.redb".to_owned(),
    /// The words by which a database is reached, as libpq reads them.
    database: Option<String> = None,
    /// Its password, if it asks for one, by one of two ways.
    password_file: Option<String> = None,
    password_env: Option<String> = None,
    keys: Vec<FabricKey> = Vec::new(),
    clear: bool = false,
});

section!(Cluster {
    /// `host:port` at which the other nodes reach this one, by UDP and TCP; without it `advertised`.
    address: Option<String> = None,
    /// How long a node owns its sessions after it last said that it lives.
    lease: Span = Span(10_000),
});

/// A key that seals records, by one of two ways.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct FabricKey {
    pub(super) id: String,
    pub(super) file: Option<String>,
    pub(super) env: Option<String>,
}

section!(Push {
    connect_limit: Span = Span(3_000),
    request_limit: Span = Span(5_000),
    most_in_flight: usize = 64,
    /// Failures in a row after which a push service is left alone; 0: never.
    circuit_failures: u32 = 5,
    circuit_open: Span = Span(5_000),
    attempts: Vec<Span> = core().push_attempts_ms.into_iter().map(Span).collect(),
});
section!(Call {
    wake_budget: Span = Span(core().wake_budget_ms),
    hold_code: HoldCode = HoldCode::Code(183),
    provisional_every: Span = Span(core().provisional_every_ms),
    ring_deadline: Span = Span(core().ring_deadline_ms),
    no_answer: Span = Span(core().no_answer_ms),
    complete_wait: Span = Span(core().complete_ms),
    update_wait: Span = Span(core().update_ms),
    refer: bool = core().refer,
    session_timer: Span = Span(u64::from(core().session_timer_s) * 1_000),
    start_silence: Span = Span(core().start_silence_ms),
    most_pending: usize = core().most_pending,
    late_offer: bool = core().late_offer,
});
section!(Message {
    wait: Span = Span(core().message_wait_ms),
    most_stored: usize = core().most_messages,
    most_bytes: usize = core().most_message_bytes,
    notify_wakes: bool = core().notify_wakes,
});
section!(Session {
    grace: Span = Span(core().grace_ms),
    push_on_disconnect: String = "native".to_owned(),
    ttl_default: Span = Span(core().ttl_s.0 * 1_000),
    ttl_min: Span = Span(core().ttl_s.1 * 1_000),
    ttl_max: Span = Span(core().ttl_s.2 * 1_000),
    most_sessions: usize = core().most_sessions,
    sleep_without_token: bool = core().sleep_without_token,
    ask_sleep_after: Span = Span(core().ask_sleep_after_ms),
    acknowledge_frames: u32 = core().acknowledge_after.0,
    acknowledge_after: Span = Span(core().acknowledge_after.1),
});

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Registrar {
    pub(super) uri: String,
    /// `host:port`; or a domain without a port, whose NAPTR, SRV and address records say where the
    /// registrar is, asked for again as their TTL says (RFC 3263).
    pub(super) address: String,
    /// `address:port` of the DNS server that is asked for a domain; without it the first nameserver
    /// of `/etc/resolv.conf`.
    pub(super) resolver: Option<String>,
    /// Other `host:port`s of it, tried in this order once `address` refuses by 503, is out of reach,
    /// or says nothing for 64 × T1; after ten minutes `address` is tried first again.
    #[serde(default)]
    pub(super) fallbacks: Vec<String>,
    /// `"udp"`, `"tcp"` or `"tls"`; without it what the domain prefers, and `"udp"` where `address`
    /// has a port.
    pub(super) transport: Option<String>,
    #[serde(default = "an_hour")]
    pub(super) expires: Span,
    /// PEM file of the authorities that SIP peers which we dial over TLS are trusted by, the
    /// registrar among them; without it the public ones.
    pub(super) ca_file: Option<String>,
    /// The name that the registrar's certificate must have, if it is not the host of `address`.
    pub(super) server_name: Option<String>,
    /// Over UDP the flow to the registrar is kept alive by STUN, where the registrar grants
    /// `outbound` (RFC 5626). Streams are kept alive by CRLF without being asked.
    #[serde(default)]
    pub(super) stun: bool,
}

section!(Limits {
    connections: Option<u64> = None,
    sessions: Option<u64> = None,
    sleepers: Option<u64> = None,
    connects_per_second: Option<u64> = None,
    pushes_per_second: Option<u64> = None,
});

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Tenant {
    pub(super) name: String,
    pub(super) limits: Option<Limits>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Admin {
    pub(super) listen: String,
    pub(super) token: Option<String>,
    pub(super) token_env: Option<String>,
    pub(super) token_file: Option<String>,
    pub(super) certificate_file: Option<String>,
    pub(super) key_file: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Bearer {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) algorithm: String,
    pub(super) key_file: Option<String>,
    pub(super) secret_file: Option<String>,
    pub(super) secret_env: Option<String>,
}

const fn an_hour() -> Span {
    Span(3_600_000)
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct User {
    pub(super) aor: String,
    pub(super) username: String,
    pub(super) secret: Option<String>,
    pub(super) secret_env: Option<String>,
    pub(super) secret_file: Option<String>,
    pub(super) tenant: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Application {
    pub(super) app: String,
    pub(super) provider: String,
    pub(super) id: String,
    #[serde(default)]
    pub(super) url: String,
    pub(super) credential: Option<String>,
    pub(super) credential_env: Option<String>,
    pub(super) credential_file: Option<String>,
    pub(super) ca_file: Option<String>,
    pub(super) team_id: Option<String>,
    pub(super) key_id: Option<String>,
    pub(super) push_type: Option<String>,
    pub(super) contact: Option<String>,
    pub(super) private_endpoints: Option<bool>,
    #[serde(default)]
    pub(super) carry_message: bool,
    pub(super) tenant: Option<String>,
    pub(super) limits: Option<Limits>,
    pub(super) proxy: Option<String>,
    pub(super) proxy_credential_env: Option<String>,
    pub(super) proxy_credential_file: Option<String>,
    pub(super) batch_size: Option<usize>,
    pub(super) batch_linger: Option<Span>,
    #[serde(default)]
    pub(super) template: Vec<Template>,
}

/// A message format of an application, in `[[application.template]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Template {
    pub(super) platform: Option<String>,
    pub(super) event: Option<String>,
    pub(super) body: Option<String>,
    pub(super) url: Option<String>,
    #[serde(default)]
    pub(super) headers: std::collections::BTreeMap<String, String>,
}

macro_rules! discreet {
    ($($name:ident, $shown:ident;)+) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field(stringify!($shown), &self.$shown).finish_non_exhaustive()
            }
        }
    )+};
}
discreet!(User, username; Application, app; Admin, listen; Ice, urls;);
