//! The judge of Web Push requests: RFC 8030 (protocol), RFC 8291 (encryption), RFC 8292 (VAPID).
//! A real service cannot open a message and answers 201 to one that no browser can read; this one
//! keeps the browser's half of each subscription, refuses such a message, and hands the plaintext on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, Response, StatusCode};
use p256::SecretKey;
use reveille_host::Entropy;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::asked::{Asked, Granted, Parcel, Refusal, Rule, hold, judge, line, number, rule};
use super::jwt::{Jwt, Key, base64url};
use super::manner::Manner;
use super::sealed::{self, Record};

/// The most bytes of a body; a service takes at least as many (RFC 8030 7.2). It leaves 3,993 for
/// the plaintext (RFC 8291 4).
const BODY_LIMIT: usize = 4_096;
/// The longest life of a VAPID token, in seconds (RFC 8292 2).
const TOKEN_LIFE: u64 = 24 * 3_600;
/// How many salts and sender keys are remembered.
const REMEMBERED: usize = 100_000;

/// How the Web Push service is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The origin of the endpoints, which is `aud` of VAPID tokens: `https://push:9443`.
    pub origin: String,
    /// Subscriptions by device token, which is the last segment of the endpoint.
    #[serde(default)]
    pub subscriptions: BTreeMap<String, Subscription>,
}

/// A subscription with the browser's secrets. Binary members are base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Subscription {
    /// The browser's private key on P-256.
    pub private_key: String,
    /// The authentication secret, 16 octets.
    pub auth: String,
    /// The application server's key that the subscription was made with (RFC 8292 4.1).
    pub vapid_key: String,
}

impl Settings {
    /// The endpoint of a subscription.
    #[must_use]
    pub fn endpoint(&self, token: &str) -> String {
        format!("{}/webpush/{token}", self.origin)
    }

    /// The subscription as a browser hands it to the app (W3C Push API, `PushSubscription.toJSON`),
    /// which is the device token that the app gives. `None` if there is no such subscription.
    #[must_use]
    pub fn handed_out(&self, token: &str) -> Option<String> {
        let of = self.subscriptions.get(token)?;
        let keys = json!({"p256dh": of.p256dh().ok()?, "auth": of.auth});
        Some(json!({"endpoint": self.endpoint(token), "keys": keys}).to_string())
    }
}

impl Subscription {
    /// Makes one for this application server key.
    #[must_use]
    pub fn draw(entropy: &dyn Entropy, vapid_key: &str) -> Self {
        let (mut key, mut auth) = ([0_u8; 32], [0_u8; 16]);
        entropy.fill(&mut auth);
        entropy.fill(&mut key);
        // Zero and numbers from the order up are no keys; the order begins with 0xff.
        (key[0], key[31]) = (key[0] & 0x7f, key[31] | 1);
        let (private_key, auth) = (URL_SAFE_NO_PAD.encode(key), URL_SAFE_NO_PAD.encode(auth));
        Self { private_key, auth, vapid_key: vapid_key.to_owned() }
    }

    /// The public key that the browser hands out as `p256dh`.
    ///
    /// # Errors
    /// The private key is none.
    pub fn p256dh(&self) -> Result<String, String> {
        Ok(URL_SAFE_NO_PAD.encode(sealed::point(&self.secret()?)))
    }

    fn secret(&self) -> Result<SecretKey, String> {
        let bytes = base64url(&self.private_key)?;
        SecretKey::from_slice(&bytes).map_err(|_| "no private key of P-256".to_owned())
    }

    fn secrets(&self) -> Result<Secrets, String> {
        let auth = base64url(&self.auth).map_err(|what| format!("auth: {what}"))?;
        hold(auth.len() == 16, || "auth: write 16 octets".to_owned())?;
        let vapid = base64url(&self.vapid_key).map_err(|what| format!("vapid-key: {what}"))?;
        Key::from_point(&vapid).map_err(|what| format!("vapid-key: {what}"))?;
        Ok(Secrets {
            own: self.secret().map_err(|what| format!("private-key: {what}"))?,
            auth,
            vapid,
        })
    }
}

#[derive(Clone)]
struct Secrets {
    own: SecretKey,
    auth: Vec<u8>,
    vapid: Vec<u8>,
}

/// The service.
pub(super) struct WebPush {
    origin: String,
    subscriptions: BTreeMap<String, Secrets>,
    /// What the browser hands out, by device token.
    handed_out: BTreeMap<String, String>,
    /// Salts and sender keys, and the message each was used for.
    used: Mutex<BTreeMap<Vec<u8>, Bytes>>,
}

struct Push {
    asked: Asked,
    origin: String,
    subscription: Option<Secrets>,
    vapid: Result<(Jwt, Vec<u8>), String>,
    record: Result<Record, String>,
    opened: Result<Vec<u8>, String>,
    /// The salt or the sender key came with another message before.
    reused: bool,
}

impl Push {
    fn jwt(&self) -> Result<&Jwt, String> {
        self.vapid.as_ref().map(|(jwt, _)| jwt).map_err(Clone::clone)
    }
    fn key(&self) -> Result<&[u8], String> {
        self.vapid.as_ref().map(|(_, key)| key.as_slice()).map_err(Clone::clone)
    }
}

/// The rules, in the order in which they are held.
const RULES: &[Rule<Push>] = &[
    rule("method", "webpush.405", |push| {
        hold(push.asked.method == Method::POST, || "the method is not POST".to_owned())
    }),
    rule("subscription", "webpush.404", |push| {
        let known = push.subscription.is_some();
        hold(known, || format!("no subscription has the endpoint {}", push.asked.path))
    }),
    rule("vapid-present", "webpush.401", |push| {
        let there = push.asked.credentials("vapid").is_some();
        hold(there, || "no `authorization: vapid t=..., k=...`".to_owned())
    }),
    rule("vapid-well-formed", "webpush.403", |push| push.key().map(drop)),
    rule("vapid-key-of-subscription", "webpush.403", |push| {
        let own = push.subscription.as_ref().map(|own| own.vapid.as_slice());
        hold(own == Some(push.key()?), || {
            "`k` is not the key that the subscription was made with".to_owned()
        })
    }),
    rule("vapid-signed", "webpush.403", |push| push.jwt()?.verify(&Key::from_point(push.key()?)?)),
    rule("vapid-audience", "webpush.403", |push| {
        let good = push.jwt()?.text("aud") == Some(&push.origin);
        hold(good, || format!("`aud` is not the endpoint's origin {}", push.origin))
    }),
    rule("vapid-expires", "webpush.403", |push| {
        let (ends, now) = (push.jwt()?.seconds("exp")?, push.asked.wall.as_secs());
        hold(ends > now && ends - now <= TOKEN_LIFE, || {
            format!("`exp` is {ends} at {now}; send a later one, at most 24 h ahead")
        })
    }),
    rule("vapid-contact", "webpush.403", |push| {
        let said = push.jwt()?.claim("sub");
        let contact = |said: &str| said.starts_with("mailto:") || said.starts_with("https:");
        let good = said.is_none_or(|said| said.as_str().is_some_and(contact));
        hold(good, || format!("`sub` is {said:?}; send a mailto: or https: URI, or none"))
    }),
    rule("ttl", "webpush.400", |push| {
        let said = push.asked.header("ttl");
        hold(said.and_then(number).is_some(), || format!("`TTL` is {said:?}; send seconds"))
    }),
    rule("urgency", "webpush.400", |push| {
        let said = push.asked.header("urgency");
        let names = ["very-low", "low", "normal", "high"];
        hold(said.is_none_or(|said| names.contains(&said)), || {
            format!("`Urgency` is {said:?}; send one of {}", names.join(", "))
        })
    }),
    rule("topic", "webpush.400", |push| {
        let Some(topic) = push.asked.headers.get("topic") else { return Ok(()) };
        let good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let fits = (1..=32).contains(&topic.len()) && topic.as_bytes().iter().all(good);
        hold(fits, || format!("`Topic` is {topic:?}; send 1 to 32 characters of base64url"))
    }),
    rule("body-size", "webpush.413", |push| {
        let size = push.asked.body.len();
        hold(size <= BODY_LIMIT, || format!("the body has {size} bytes; send {BODY_LIMIT} at most"))
    }),
    rule("content-encoding", "webpush.415", |push| {
        let said = push.asked.header("content-encoding");
        hold(said == Some("aes128gcm"), || {
            format!("`Content-Encoding` is {said:?}; send aes128gcm")
        })
    }),
    rule("record", "webpush.400", |push| push.record.as_ref().map(drop).map_err(Clone::clone)),
    rule("vapid-key-for-nothing-else", "webpush.400", |push| {
        let same = push.record.as_ref().is_ok_and(|record| Ok(&*record.key) == push.key());
        hold(!same, || "the VAPID key agrees on keys too; make a new pair for each".to_owned())
    }),
    rule("fresh-salt-and-key", "webpush.400", |push| {
        hold(!push.reused, || "salt or sender key came before; draw both for each".to_owned())
    }),
    rule("decrypts", "webpush.400", |push| push.opened.as_ref().map(drop).map_err(Clone::clone)),
];

/// Reads `t=<token>, k=<key>` (RFC 8292 3).
fn vapid(credentials: &str) -> Result<(Jwt, Vec<u8>), String> {
    let parameter = |wanted: &str| {
        let pairs = credentials.split(',').filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let value = values.next().ok_or_else(|| format!("`{wanted}` is missing"))?.1;
        Ok::<_, String>(value.trim_matches('"').to_owned())
    };
    let key = base64url(&parameter("k")?).map_err(|what| format!("`k` is {what}"))?;
    Key::from_point(&key).map_err(|what| format!("`k` is {what}"))?;
    Ok((Jwt::read(&parameter("t")?)?, key))
}

/// The last segment of an endpoint's path.
fn name(path: &str) -> &str {
    path.strip_prefix("/webpush/").unwrap_or_default()
}

impl WebPush {
    /// Sets it up.
    ///
    /// # Errors
    /// A subscription's member that is wrong.
    pub(super) fn new(settings: Settings) -> Result<Self, String> {
        let read = |(token, of): (String, Subscription)| match of.secrets() {
            Ok(secrets) => Ok((token, secrets)),
            Err(what) => Err(format!("webpush.subscriptions.{token}.{what}")),
        };
        let handed = |token: &String| Some((token.clone(), settings.handed_out(token)?));
        let handed_out = settings.subscriptions.keys().filter_map(handed).collect();
        let subscriptions = settings.subscriptions.into_iter().map(read);
        let subscriptions = subscriptions.collect::<Result<_, _>>()?;
        Ok(Self { origin: settings.origin, subscriptions, handed_out, used: Mutex::default() })
    }

    fn used(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Bytes>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fields of a request that a trace shows.
    pub(super) fn shown(asked: &Asked) -> Vec<(&'static str, String)> {
        let named = [("ttl", "ttl"), ("urgency", "urgency"), ("topic", "topic")];
        let show = |(name, header)| Some((name, asked.header(header)?.to_owned()));
        let vapid = vapid(asked.credentials("vapid").unwrap_or_default()).ok();
        let key = vapid.map(|(_, key)| ("vapid-key", URL_SAFE_NO_PAD.encode(key)));
        named.into_iter().filter_map(show).chain(key).collect()
    }

    /// The device token as the app gives it, of an endpoint's path.
    pub(super) fn token(&self, path: &str) -> String {
        let name = name(path);
        self.handed_out.get(name).map_or(name, String::as_str).to_owned()
    }

    /// The same, of what a phone calls itself: a subscription in JSON, or the endpoint's last segment.
    pub(super) fn named(&self, token: &str) -> Option<String> {
        let said: Value = serde_json::from_str(token).unwrap_or_default();
        let endpoint = said.get("endpoint").and_then(Value::as_str);
        let path = endpoint.and_then(|endpoint| endpoint.strip_prefix(&self.origin));
        self.handed_out.get(path.map_or(token, name)).cloned()
    }

    /// The plaintext of a request's body, if its subscription can read it.
    pub(super) fn open(&self, asked: &Asked) -> Result<Vec<u8>, String> {
        let own = self.subscriptions.get(name(&asked.path)).ok_or("no subscription")?;
        Record::read(&asked.body)?.open(&own.own, &own.auth)
    }

    /// Judges a request.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn judge(&self, asked: Asked, entropy: &dyn Entropy) -> Result<Granted, Refusal> {
        let record = Record::read(&asked.body);
        let push = Push {
            origin: self.origin.clone(),
            subscription: self.subscriptions.get(name(&asked.path)).cloned(),
            vapid: vapid(asked.credentials("vapid").unwrap_or_default()),
            opened: self.open(&asked),
            reused: record.as_ref().is_ok_and(|record| self.reused(record, &asked.body)),
            record,
            asked,
        };
        judge(RULES, &push)?;
        self.remember(&push);
        Ok(self.grant(&push, entropy))
    }

    /// A message that is sent again as it was is no second use.
    fn reused(&self, record: &Record, body: &Bytes) -> bool {
        let used = self.used();
        [&record.salt, &record.key].iter().any(|of| used.get(*of).is_some_and(|was| was != body))
    }

    fn remember(&self, push: &Push) {
        let Ok(record) = &push.record else { return };
        let mut used = self.used();
        if used.len() >= REMEMBERED {
            used.clear();
        }
        used.insert(record.salt.clone(), push.asked.body.clone());
        used.insert(record.key.clone(), push.asked.body.clone());
    }

    fn grant(&self, push: &Push, entropy: &dyn Entropy) -> Granted {
        let asked = &push.asked;
        let ttl = asked.header("ttl").and_then(number).unwrap_or_default();
        let mut id = [0_u8; 16];
        entropy.fill(&mut id);
        let location = format!("{}/message/{}", self.origin, URL_SAFE_NO_PAD.encode(id));
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = StatusCode::CREATED;
        response.headers_mut().insert("ttl", HeaderValue::from(ttl));
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(LOCATION, location);
        }
        let parcel = Parcel {
            token: self.token(&asked.path),
            payload: line(push.opened.as_deref().unwrap_or_default()),
            until: asked.mono.checked_add(Duration::from_secs(ttl)),
            replaces: asked.header("topic").map(str::to_owned),
            manner: Manner::data(asked.header("urgency") == Some("high")),
        };
        Granted { parcel, response }
    }
}

#[cfg(test)]
#[path = "webpush_rules.rs"]
pub(super) mod tests;
