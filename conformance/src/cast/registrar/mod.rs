//! The registrar of one domain: REGISTER with a digest challenge (RFC 3261 22, MD5 with qop=auth),
//! bindings that expire, 423 below the shortest expiry. It holds its bindings in memory: a registrar
//! that restarts has lost them, and the next refresh is a first registration again. Requests for
//! others it passes on ([`proxy`]).

mod proxy;

use std::collections::BTreeMap;
use std::time::Duration;

use md5::{Digest as _, Md5};
use reveille_host::Host;
use reveille_trace::{Draft, Kind, Scribe};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::scan::{Scanned, instance, param, scan, uri};
use super::sip::{Arrival, Path, Sockets, Transport, now_us, response};

/// The most addresses of record, and the most challenges, kept at once.
const LIMIT: usize = 100_000;

/// How a registrar is set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// `address:port` for datagrams and streams.
    #[serde(default = "default_listen")]
    pub listen: String,
    /// The realm of the challenge.
    #[serde(default = "default_domain")]
    pub domain: String,
    /// Who may register.
    #[serde(rename = "user")]
    pub users: Vec<User>,
    /// Shorter expiries get 423.
    #[serde(default = "default_min")]
    pub min_expires_s: u32,
    /// Longer ones are cut to this.
    #[serde(default = "default_max")]
    pub max_expires_s: u32,
    /// A nonce older than that is answered `stale=true`.
    #[serde(default = "default_nonce")]
    pub nonce_lifetime_s: u32,
    /// Whether REGISTER is challenged at all.
    #[serde(default = "default_challenge")]
    pub challenge: bool,
    /// The host that its Via and Record-Route name.
    #[serde(default = "default_advertise")]
    pub advertise: String,
    /// Users of the domain who do not register, and where each is reached.
    #[serde(default, rename = "route")]
    pub routes: Vec<Route>,
    /// Whether an INVITE that it passes on is challenged (407).
    #[serde(default)]
    pub challenge_calls: bool,
    /// Whether it stays in the way of a call that it passed on.
    #[serde(default)]
    pub record_routes: bool,
}

/// Where a user who does not register is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Route {
    /// The user part of the address.
    pub user: String,
    /// `host:port`.
    pub to: String,
    /// What it speaks.
    #[serde(default)]
    pub transport: Transport,
}

/// A user of the domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct User {
    /// The user name of the digest.
    pub username: String,
    /// Its secret.
    pub secret: String,
}

fn default_listen() -> String {
    "0.0.0.0:5060".to_owned()
}
fn default_domain() -> String {
    "example.com".to_owned()
}
fn default_advertise() -> String {
    "registrar".to_owned()
}
const fn default_min() -> u32 {
    60
}
const fn default_max() -> u32 {
    3600
}
const fn default_nonce() -> u32 {
    86_400
}
const fn default_challenge() -> bool {
    true
}

/// What a registrar can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Forget every binding and every nonce, as a restart without a disk would.
    Forget,
    /// Answer the next `times` requests with this status.
    Refuse {
        /// The status code.
        status: u16,
        /// How many requests.
        times: u32,
    },
}

enum Input {
    Socket(Arrival),
    Command(Command),
    NoMoreCommands,
}

impl From<Arrival> for Input {
    fn from(arrival: Arrival) -> Self {
        Self::Socket(arrival)
    }
}

struct Binding {
    contact: String,
    expires_at: Duration,
}

/// One binding: address of record, then instance and reg-id, or the Contact's URI without them.
type Key = (String, String);

struct Registrar {
    host: Host,
    scribe: Scribe,
    settings: Settings,
    sockets: Sockets<Input>,
    nonces: BTreeMap<String, Duration>,
    bindings: BTreeMap<Key, Binding>,
    refuse: Option<(u16, u32)>,
    /// Streams to those that requests were passed on to.
    ways: BTreeMap<String, Path>,
}

/// Runs for ever.
///
/// # Errors
/// The listening address cannot be opened.
pub async fn run(
    host: Host,
    scribe: Scribe,
    settings: Settings,
    commands: mpsc::Receiver<Command>,
) -> Result<(), String> {
    let (send, mut inbox) = mpsc::channel(super::INBOX);
    let both = [Transport::Udp, Transport::Tcp];
    let sockets =
        Sockets::open(host.clone(), scribe.clone(), &settings.listen, &both, send.clone()).await?;
    let forward = super::forward(commands, send, Input::Command, Input::NoMoreCommands);
    host.tasks.spawn("registrar-commands", Box::pin(forward));
    let mut registrar = Registrar {
        host,
        scribe,
        settings,
        sockets,
        nonces: BTreeMap::new(),
        bindings: BTreeMap::new(),
        refuse: None,
        ways: BTreeMap::new(),
    };
    loop {
        let until = registrar.bindings.values().map(|binding| binding.expires_at).min();
        match super::next(&registrar.host, &mut inbox, until).await {
            Some(Input::Socket(arrival)) => registrar.arrived(arrival).await,
            Some(Input::Command(Command::Forget)) => {
                registrar.bindings.clear();
                registrar.nonces.clear();
            }
            Some(Input::Command(Command::Refuse { status, times })) => {
                registrar.refuse = Some((status, times));
            }
            Some(Input::NoMoreCommands) => {}
            None => registrar.lapse(),
        }
    }
}

/// What a REGISTER is answered with.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
}

/// What came of a look at credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// There are none.
    Nothing,
    /// For a challenge that does not hold any more.
    Stale,
    Wrong,
    Right,
}

impl Answer {
    const fn plain(status: u16) -> Self {
        Self { status, headers: Vec::new() }
    }
}

impl Registrar {
    fn now(&self) -> Duration {
        self.host.clock.now().mono
    }

    fn lapse(&mut self) {
        let now = self.now();
        let at = now_us(&self.host);
        let scribe = &self.scribe;
        self.bindings.retain(|(aor, _), binding| {
            let lives = binding.expires_at > now;
            if !lives {
                let draft = Draft::new(Kind::Note)
                    .with("text", "binding-lapsed")
                    .with("aor", aor.as_str())
                    .with("contact", binding.contact.as_str());
                scribe.note(at, draft);
            }
            lives
        });
    }

    async fn arrived(&mut self, arrival: Arrival) {
        let Some((bytes, path, _)) = self.sockets.took(arrival) else { return };
        let Some(message) = scan(&bytes) else { return };
        if message.status().is_some() {
            return self.pass_back(&message).await;
        } else if self.is_for_others(&message) {
            return self.pass(&message, path).await;
        }
        let answer = match message.method() {
            None | Some("ACK") => return,
            Some("REGISTER") => self.register(&message),
            Some("OPTIONS") => Answer::plain(200),
            Some(_) => Answer::plain(405),
        };
        let tag = self.host.random_hex();
        let bytes = response(&message, answer.status, &tag[..16], &answer.headers);
        self.sockets.send(bytes, path).await;
    }

    fn register(&mut self, message: &Scanned) -> Answer {
        self.lapse();
        if let Some((status, times @ 1..)) = self.refuse {
            self.refuse = Some((status, times - 1));
            return Answer::plain(status);
        }
        let Some(aor) = message.header("to").map(|to| uri(to).to_owned()) else {
            return Answer::plain(400);
        };
        if self.settings.challenge
            && let Some(refused) = self.refused(message)
        {
            return refused;
        }
        self.bind(&aor, message)
    }

    fn say(&self, text: String) {
        self.scribe.note(now_us(&self.host), Draft::new(Kind::Note).with("text", text));
    }

    fn refused(&mut self, message: &Scanned) -> Option<Answer> {
        match self.shown(message, "authorization") {
            Shown::Right => None,
            Shown::Wrong => Some(Answer::plain(403)),
            Shown::Nothing | Shown::Stale => {
                let is_stale = message.header("authorization").is_some();
                let value = self.challenge(is_stale);
                Some(Answer { status: 401, headers: vec![("WWW-Authenticate", value)] })
            }
        }
    }

    /// What a request's digest is worth.
    fn shown(&self, message: &Scanned, header: &str) -> Shown {
        let given = message.all(header).find(|value| value.starts_with("Digest "));
        let Some(given) = given.map(credentials) else { return Shown::Nothing };
        let part = |name: &str| given.get(name).map(String::as_str).unwrap_or_default();
        let lifetime = Duration::from_secs(self.settings.nonce_lifetime_s.into());
        let issued = self.nonces.get(part("nonce"));
        if issued.is_none_or(|issued| *issued + lifetime <= self.now()) {
            return Shown::Stale;
        }
        let Some(user) = self.settings.users.iter().find(|u| u.username == part("username")) else {
            return Shown::Wrong;
        };
        let ha1 = md5_hex(&format!("{}:{}:{}", user.username, self.settings.domain, user.secret));
        let ha2 = md5_hex(&format!("{}:{}", message.method().unwrap_or_default(), part("uri")));
        let (nonce, nc, cnonce) = (part("nonce"), part("nc"), part("cnonce"));
        let want = md5_hex(&format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}"));
        let right = part("response") == want && part("realm") == self.settings.domain;
        if right { Shown::Right } else { Shown::Wrong }
    }

    /// A challenge with a nonce that is remembered.
    fn challenge(&mut self, stale: bool) -> String {
        let nonce = self.host.random_hex();
        let now = self.now();
        if self.nonces.len() >= LIMIT {
            self.nonces.clear();
        }
        self.nonces.insert(nonce.clone(), now);
        let stale = if stale { ", stale=true" } else { "" };
        format!(
            "Digest realm=\"{}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5{stale}",
            self.settings.domain
        )
    }

    fn bind(&mut self, aor: &str, message: &Scanned) -> Answer {
        let asked = message.header("expires").and_then(|value| value.parse().ok());
        let now = self.now();
        for contact in message.all("contact").filter(|contact| *contact != "*") {
            let own = param(contact, "expires").and_then(|value| value.parse().ok());
            let expires: u32 = own.or(asked).unwrap_or(self.settings.max_expires_s);
            let key = (aor.to_owned(), binding_id(contact));
            if expires == 0 {
                self.bindings.remove(&key);
                continue;
            }
            if expires < self.settings.min_expires_s {
                let least = self.settings.min_expires_s.to_string();
                return Answer { status: 423, headers: vec![("Min-Expires", least)] };
            }
            if self.bindings.len() >= LIMIT {
                return Answer::plain(500);
            }
            let granted = expires.min(self.settings.max_expires_s);
            let expires_at = now + Duration::from_secs(granted.into());
            self.bindings.insert(key, Binding { contact: without_expires(contact), expires_at });
        }
        if message.header("contact") == Some("*") && asked == Some(0) {
            self.bindings.retain(|(have, _), _| have != aor);
        }
        let of_aor = self.bindings.iter().filter(|((have, _), _)| have == aor);
        let contacts = of_aor.map(|(_, binding)| {
            let left = binding.expires_at.saturating_sub(now).as_secs();
            ("Contact", format!("{};expires={left}", binding.contact))
        });
        Answer { status: 200, headers: contacts.collect() }
    }
}

/// RFC 5626 6: instance and reg-id name a binding; else its URI does.
fn binding_id(contact: &str) -> String {
    match instance(contact) {
        Some(instance) => format!("{instance} {}", param(contact, "reg-id").unwrap_or_default()),
        None => uri(contact).to_owned(),
    }
}

/// The Contact as it was given, without an `expires` of its own.
fn without_expires(contact: &str) -> String {
    let kept = contact.split(';').filter(|part| !part.trim_start().starts_with("expires="));
    kept.collect::<Vec<_>>().join(";")
}

/// The parts of `Digest a="b", c=d`. Quoted commas do not occur in what a digest holds but in the
/// user name, where the cast does not use them.
fn credentials(value: &str) -> BTreeMap<String, String> {
    let parts = value.trim_start_matches("Digest ").split(',');
    parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| {
            (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned())
        })
        .collect()
}

/// MD5 as lower-case hexadecimal digits.
fn md5_hex(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use reveille_trace::Recorder;

    use super::*;
    use crate::cast::sip::request;

    /// The example of RFC 2617 3.5, which RFC 3261 22.4 builds on.
    #[test]
    fn the_digest_is_that_of_the_rfc() {
        let ha1 = md5_hex("Mufasa:testrealm@host.com:Circle Of Life");
        let ha2 = md5_hex("GET:/dir/index.html");
        let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
        let all = format!("{ha1}:{nonce}:00000001:0a4f113b:auth:{ha2}");
        assert_eq!(md5_hex(&all), "6629fae49393a05397450978507c4ef1");
    }

    pub(super) async fn registrar() -> Registrar {
        let host = reveille_host::real::host();
        let (send, _) = mpsc::channel(8);
        let scribe = Scribe::new(Recorder::keeping(), "registrar");
        let listen = "127.0.0.1:0";
        let udp = [Transport::Udp];
        let sockets = Sockets::open(host.clone(), scribe.clone(), listen, &udp, send).await;
        let text = "[[user]]\nusername = 'bob'\nsecret = 's'\n";
        Registrar {
            host,
            scribe,
            settings: toml::from_str(text).unwrap(),
            sockets: sockets.unwrap(),
            nonces: BTreeMap::new(),
            bindings: BTreeMap::new(),
            refuse: None,
            ways: BTreeMap::new(),
        }
    }

    fn register(expires: u32, more: &[(&str, String)]) -> Scanned {
        let mut headers = vec![
            ("Via", "SIP/2.0/UDP here;branch=z9hG4bK1".to_owned()),
            ("From", "<sip:bob@example.com>;tag=1".to_owned()),
            ("To", "<sip:bob@example.com>".to_owned()),
            ("Call-ID", "r1".to_owned()),
            ("CSeq", "1 REGISTER".to_owned()),
            ("Contact", "<sip:t@here;ob>;+sip.instance=\"<urn:uuid:1>\";reg-id=1".to_owned()),
            ("Expires", expires.to_string()),
        ];
        headers.extend_from_slice(more);
        scan(&request("REGISTER", "sip:example.com", &headers, b"")).unwrap()
    }

    #[test]
    fn only_who_knows_the_secret_is_bound_and_not_for_too_short() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut registrar = registrar().await;
            let challenged = registrar.register(&register(600, &[]));
            assert_eq!(challenged.status, 401);
            let nonce = credentials(&challenged.headers[0].1)["nonce"].clone();
            let answer = |secret: &str| {
                let ha1 = md5_hex(&format!("bob:example.com:{secret}"));
                let ha2 = md5_hex("REGISTER:sip:example.com");
                let response = md5_hex(&format!("{ha1}:{nonce}:00000001:c:auth:{ha2}"));
                let value = format!(
                    "Digest username=\"bob\", realm=\"example.com\", nonce=\"{nonce}\", \
                     uri=\"sip:example.com\", qop=auth, nc=00000001, cnonce=\"c\", \
                     response=\"{response}\""
                );
                [("Authorization", value)]
            };
            assert_eq!(registrar.register(&register(600, &answer("wrong"))).status, 403);
            assert_eq!(registrar.register(&register(59, &answer("s"))).status, 423);
            let bound = registrar.register(&register(600, &answer("s")));
            assert_eq!((bound.status, bound.headers.len()), (200, 1));
            assert!(bound.headers[0].1.contains("+sip.instance"), "{}", bound.headers[0].1);
            assert_eq!(registrar.register(&register(0, &answer("s"))).headers.len(), 0);
            registrar.nonces.clear();
            let stale = registrar.register(&register(600, &answer("s")));
            assert!(stale.headers[0].1.contains("stale=true"));
        });
    }
}
