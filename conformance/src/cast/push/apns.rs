//! The judge of APNs requests. Written from Apple's "Sending notification requests to APNs",
//! "Establishing a token-based connection to APNs", "Pushing background updates to your app" and
//! "Handling notification responses from APNs". Where those name no answer for a fault, the reason
//! whose meaning is nearest is given: BadTopic for a topic that does not end as its push type wants,
//! PayloadEmpty for a payload that is no JSON object, InvalidPushType for one of another type.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderValue;
use hyper::{Method, Response};
use reveille_host::Entropy;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::asked::{Asked, Granted, Parcel, Refusal, Rule, hold, judge, line, number, rule};
use super::jwt::{Jwt, Key};
use super::manner::Manner;

/// How old a provider token may be, in seconds.
const TOKEN_AGE: u64 = 3_600;
/// The most provider tokens remembered of one key.
const TOKENS: usize = 1_024;

/// How APNs is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The team that signs.
    pub team_id: String,
    /// The public halves of its keys, as PEM blocks `PUBLIC KEY`, by key id.
    pub keys: BTreeMap<String, String>,
    /// Bundle identifiers that the team may push to.
    pub topics: BTreeSet<String>,
    /// Bytes of a device token, of which the path has two hexadecimal digits each.
    #[serde(default = "default_token_bytes")]
    pub token_bytes: usize,
    /// How long a key stays with one provider token, in seconds. Apple writes twenty minutes; 0
    /// lets a sender that is killed and has lost its token make a new one.
    #[serde(default = "default_renew_min")]
    pub renew_min_s: u64,
}

const fn default_token_bytes() -> usize {
    32
}
const fn default_renew_min() -> u64 {
    20 * 60
}

/// Push types, what their topic adds to the bundle identifier, and the priorities they may have.
const TYPES: &[(&str, &str, &[u64])] = &[
    ("alert", "", &[1, 5, 10]),
    ("background", "", &[5]),
    ("controls", ".push-type.controls", &[1, 5, 10]),
    ("location", ".location-query", &[1, 5, 10]),
    ("voip", ".voip", &[10]),
    ("complication", ".complication", &[1, 5, 10]),
    ("fileprovider", ".pushkit.fileprovider", &[1, 5, 10]),
    ("liveactivity", ".push-type.liveactivity", &[1, 5, 10]),
    ("pushtotalk", ".voip-ptt", &[10]),
    ("widgets", ".push-type.widgets", &[1, 5, 10]),
];

/// What one connection has shown.
#[derive(Debug, Default)]
pub(super) struct Seen {
    key_id: Mutex<Option<String>>,
}

impl Seen {
    fn key_id(&self) -> MutexGuard<'_, Option<String>> {
        self.key_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Provider tokens of one key, and when the newest of them came.
#[derive(Debug, Default)]
struct Renewals {
    tokens: BTreeSet<String>,
    newest: Duration,
}

/// The service.
pub(super) struct Apns {
    settings: Settings,
    keys: Arc<BTreeMap<String, Key>>,
    renewals: Mutex<BTreeMap<String, Renewals>>,
}

struct Push {
    asked: Asked,
    settings: Settings,
    keys: Arc<BTreeMap<String, Key>>,
    jwt: Result<Jwt, String>,
    /// The key of the first push on this connection.
    first_key_id: Option<String>,
    /// How long ago the key's newest token came, if this token is another.
    renewed: Option<Duration>,
    payload: Option<Value>,
}

impl Push {
    fn token(&self) -> &str {
        self.asked.path.strip_prefix("/3/device/").unwrap_or_default()
    }
    fn jwt(&self) -> Result<&Jwt, String> {
        self.jwt.as_ref().map_err(Clone::clone)
    }
    fn kind(&self) -> Option<&'static (&'static str, &'static str, &'static [u64])> {
        TYPES.iter().find(|(name, ..)| self.asked.header("apns-push-type") == Some(name))
    }
    fn expiration(&self) -> Option<u64> {
        number(self.asked.header("apns-expiration")?)
    }
    fn limit(&self) -> usize {
        if self.asked.header("apns-push-type") == Some("voip") { 5_120 } else { 4_096 }
    }
}

/// The rules, in the order in which they are held.
const RULES: &[Rule<Push>] = &[
    rule("method", "MethodNotAllowed", |push| {
        hold(push.asked.method == Method::POST, || "the method is not POST".to_owned())
    }),
    rule("path", "BadPath", |push| {
        let good = push.asked.path.starts_with("/3/device/");
        hold(good, || format!("the path is {}; send /3/device/<token>", push.asked.path))
    }),
    rule("device-token-present", "MissingDeviceToken", |push| {
        hold(!push.token().is_empty(), || "the path ends before the device token".to_owned())
    }),
    rule("headers-once", "DuplicateHeaders", headers_once),
    rule("provider-token-present", "MissingProviderToken", |push| {
        let there = push.asked.credentials("bearer").is_some();
        hold(there, || "no `authorization: bearer <token>`".to_owned())
    }),
    rule("provider-token-signed", "InvalidProviderToken", provider_token),
    rule("provider-token-issued", "InvalidProviderToken", |push| {
        let (issued, now) = (push.jwt()?.seconds("iat")?, push.asked.wall.as_secs());
        hold(issued <= now, || format!("`iat` is {issued}, in the future; it is {now}"))
    }),
    rule("provider-token-fresh", "ExpiredProviderToken", |push| {
        let age = push.asked.wall.as_secs().saturating_sub(push.jwt()?.seconds("iat")?);
        hold(age <= TOKEN_AGE, || format!("the token is {age} s old; renew it within an hour"))
    }),
    rule("one-key-a-connection", "UnrelatedKeyIdInToken", |push| {
        let (first, own) = (push.first_key_id.as_deref(), push.jwt()?.header("kid"));
        hold(first.is_none() || first == own, || {
            format!("this connection began with key {first:?}; open another one for {own:?}")
        })
    }),
    rule("provider-token-kept", "TooManyProviderTokenUpdates", |push| {
        let Some(since) = push.renewed.map(|since| since.as_secs()) else { return Ok(()) };
        let least = push.settings.renew_min_s;
        let what = || format!("the token before is {since} s old; keep one for {least} s");
        hold(since >= least, what)
    }),
    rule("device-token", "BadDeviceToken", |push| {
        let (token, digits) = (push.token(), push.settings.token_bytes * 2);
        let hex = token.bytes().all(|byte| byte.is_ascii_hexdigit());
        hold(hex && token.len() == digits, || {
            format!("the token is not {digits} hexadecimal digits; it has {} bytes", token.len())
        })
    }),
    rule("topic-present", "MissingTopic", |push| {
        let there = push.asked.header("apns-topic").is_some_and(|topic| !topic.is_empty());
        hold(there, || "no `apns-topic`; a provider token needs one".to_owned())
    }),
    rule("topic-allowed", "TopicDisallowed", |push| {
        let topic = push.asked.header("apns-topic").unwrap_or_default();
        let own = |bundle: &String| {
            let rest = topic.strip_prefix(bundle.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let what = || format!("the topic {topic} is of none of the team's apps");
        hold(push.settings.topics.iter().any(own), what)
    }),
    rule("push-type", "InvalidPushType", |push| {
        hold(push.kind().is_some(), || {
            let names: Vec<_> = TYPES.iter().map(|(name, ..)| *name).collect();
            let said = push.asked.header("apns-push-type");
            format!("`apns-push-type` is {said:?}; send one of {}", names.join(", "))
        })
    }),
    rule("topic-fits-push-type", "BadTopic", |push| {
        let topic = push.asked.header("apns-topic").unwrap_or_default();
        let (kind, suffix, _) = push.kind().copied().unwrap_or_default();
        let bundle = topic.strip_suffix(suffix).unwrap_or_default();
        hold(push.settings.topics.contains(bundle), || {
            format!("the topic {topic} does not fit {kind}; send the bundle id and `{suffix}`")
        })
    }),
    rule("priority", "BadPriority", |push| {
        let said = push.asked.header("apns-priority");
        let value = said.map_or(Some(10), number);
        let allowed = push.kind().map(|(.., priorities)| *priorities).unwrap_or_default();
        hold(value.is_some_and(|value| allowed.contains(&value)), || {
            format!("`apns-priority` is {said:?} (absent means 10); send one of {allowed:?}")
        })
    }),
    rule("expiration", "BadExpirationDate", |push| {
        let (said, now) = (push.asked.header("apns-expiration"), push.asked.wall.as_secs());
        let good = said.is_none() || push.expiration().is_some_and(|at| at == 0 || at >= now);
        hold(good, || format!("`apns-expiration` is {said:?} at {now}; send 0 or a later second"))
    }),
    rule("collapse-id", "BadCollapseId", |push| {
        let bytes = push.asked.headers.get("apns-collapse-id").map(HeaderValue::len);
        hold(bytes.is_none_or(|bytes| (1..=64).contains(&bytes)), || {
            format!("`apns-collapse-id` has {bytes:?} bytes; send 1 to 64")
        })
    }),
    rule("message-id", "BadMessageId", |push| {
        let said = push.asked.headers.get("apns-id").map(HeaderValue::as_bytes);
        hold(said.is_none_or(is_uuid), || {
            "`apns-id` is no lower-case UUID of 8-4-4-4-12 digits".to_owned()
        })
    }),
    rule("payload-present", "PayloadEmpty", |push| {
        hold(!push.asked.body.is_empty(), || "the body is empty".to_owned())
    }),
    rule("payload-size", "PayloadTooLarge", |push| {
        let (size, limit) = (push.asked.body.len(), push.limit());
        hold(size <= limit, || format!("the payload has {size} bytes; send at most {limit}"))
    }),
    rule("payload-object", "PayloadEmpty", |push| {
        hold(push.payload.is_some(), || "the payload is no JSON object".to_owned())
    }),
    rule("payload-fits-push-type", "InvalidPushType", payload_fits),
];

fn headers_once(push: &Push) -> Result<(), String> {
    let headers = &push.asked.headers;
    let twice = headers.keys().find(|name| {
        let counts = name.as_str().starts_with("apns-") || *name == "authorization";
        counts && headers.get_all(*name).iter().count() > 1
    });
    twice.map_or(Ok(()), |name| Err(format!("`{name}` stands there twice")))
}

fn provider_token(push: &Push) -> Result<(), String> {
    let (jwt, settings) = (push.jwt()?, &push.settings);
    let key_id = jwt.header("kid").ok_or("the token has no `kid`")?;
    let key = push.keys.get(key_id).ok_or_else(|| format!("no key has the id {key_id}"))?;
    if jwt.text("iss") != Some(&settings.team_id) {
        return Err("`iss` is not the team id".to_owned());
    }
    jwt.verify(key)
}

fn payload_fits(push: &Push) -> Result<(), String> {
    let empty = Value::Null;
    let aps = push.payload.as_ref().and_then(|payload| payload.get("aps")).unwrap_or(&empty);
    let shows = ["alert", "badge", "sound"].iter().any(|name| aps.get(name).is_some());
    match push.asked.header("apns-push-type") {
        Some("alert") => {
            hold(shows, || "an alert needs `alert`, `badge` or `sound` in `aps`".to_owned())
        }
        Some("background") => {
            let silent = aps.get("content-available").and_then(Value::as_u64) == Some(1) && !shows;
            let what = "a background push needs `content-available` 1 in `aps` and nothing to show";
            hold(silent, || what.to_owned())
        }
        // PushKit hands the whole dictionary over: `aps` is not needed.
        Some("voip" | "pushtotalk" | "fileprovider" | "complication") => {
            hold(aps.is_null() || aps.is_object(), || "`aps` is no object".to_owned())
        }
        _ => hold(aps.is_object(), || "`aps` is missing; send it as an object".to_owned()),
    }
}

fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

impl Apns {
    /// Sets it up.
    ///
    /// # Errors
    /// A key that is none.
    pub(super) fn new(settings: Settings) -> Result<Self, String> {
        let read = |(id, pem): (&String, &String)| match Key::from_pem(pem) {
            Ok(key @ Key::P256(_)) => Ok((id.clone(), key)),
            Ok(Key::Rsa(_)) => Err(format!("apns.keys.{id}: RSA; APNs takes P-256")),
            Err(what) => Err(format!("apns.keys.{id}: {what}")),
        };
        let keys = Arc::new(settings.keys.iter().map(read).collect::<Result<_, _>>()?);
        Ok(Self { settings, keys, renewals: Mutex::default() })
    }

    fn renewals(&self) -> MutexGuard<'_, BTreeMap<String, Renewals>> {
        self.renewals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets which provider tokens came: another one may follow at once.
    pub(super) fn forget(&self) {
        self.renewals().clear();
    }

    /// Milliseconds until a push expires; 0 for one that is not kept.
    pub(super) fn life(asked: &Asked) -> Option<u64> {
        let at = Duration::from_secs(number(asked.header("apns-expiration")?)?);
        u64::try_from(at.saturating_sub(asked.wall).as_millis()).ok()
    }

    /// How long ago the newest token of this key came, if this one has not come before.
    fn renewed(&self, key_id: &str, token: &str, now: Duration) -> Option<Duration> {
        let renewals = self.renewals();
        let of = renewals.get(key_id).filter(|of| !of.tokens.contains(token))?;
        Some(now.saturating_sub(of.newest))
    }

    /// The fields of a request that a trace shows.
    pub(super) fn shown(asked: &Asked) -> Vec<(&'static str, String)> {
        let named = [
            ("push-type", "apns-push-type"),
            ("topic", "apns-topic"),
            ("priority", "apns-priority"),
            ("expiration", "apns-expiration"),
            ("collapse-id", "apns-collapse-id"),
            ("id", "apns-id"),
        ];
        let show = |(name, header)| Some((name, asked.header(header)?.to_owned()));
        named.into_iter().filter_map(show).collect()
    }

    /// The device token of a path.
    pub(super) fn token(path: &str) -> &str {
        path.rsplit('/').next().unwrap_or_default()
    }

    /// Judges a request.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn judge(
        &self,
        asked: Asked,
        seen: &Seen,
        entropy: &dyn Entropy,
    ) -> Result<Granted, Refusal> {
        let bearer = asked.credentials("bearer").unwrap_or_default().to_owned();
        let jwt = Jwt::read(&bearer);
        let key_id = jwt.as_ref().ok().and_then(|jwt| jwt.header("kid")).unwrap_or_default();
        let key_id = key_id.to_owned();
        let object = |value: Value| value.is_object().then_some(value);
        let push = Push {
            settings: self.settings.clone(),
            keys: self.keys.clone(),
            jwt,
            first_key_id: seen.key_id().clone(),
            renewed: self.renewed(&key_id, &bearer, asked.mono),
            payload: serde_json::from_slice(&asked.body).ok().and_then(object),
            asked,
        };
        judge(RULES, &push)?;
        self.remember(&key_id, bearer, push.asked.mono);
        seen.key_id().get_or_insert(key_id);
        Ok(grant(&push, entropy))
    }

    fn remember(&self, key_id: &str, token: String, now: Duration) {
        let mut renewals = self.renewals();
        let of = renewals.entry(key_id.to_owned()).or_default();
        if of.tokens.contains(&token) {
            return;
        }
        if of.tokens.len() >= TOKENS {
            of.tokens.clear();
        }
        of.newest = now;
        of.tokens.insert(token);
    }
}

fn grant(push: &Push, entropy: &dyn Entropy) -> Granted {
    let asked = &push.asked;
    let now = asked.wall.as_secs();
    let life = push.expiration().map(|at| Duration::from_secs(at.saturating_sub(now)));
    let mut response = Response::new(Full::new(Bytes::new()));
    let id = asked.headers.get("apns-id").cloned();
    let made = || HeaderValue::from_str(&uuid(entropy)).ok();
    if let Some(id) = id.or_else(made) {
        response.headers_mut().insert("apns-id", id);
    }
    let parcel = Parcel {
        token: push.token().to_owned(),
        payload: line(&asked.body),
        until: life.map(|life| asked.mono + life),
        replaces: asked.header("apns-collapse-id").map(str::to_owned),
        manner: Manner::apns(asked.header("apns-push-type"), asked.header("apns-priority")),
    };
    Granted { parcel, response }
}

/// A UUID of version 4 (RFC 9562 5.4).
fn uuid(entropy: &dyn Entropy) -> String {
    let mut bytes = [0_u8; 16];
    entropy.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
#[path = "apns_rules.rs"]
pub(super) mod tests;
