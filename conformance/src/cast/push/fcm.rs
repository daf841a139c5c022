//! The judge of FCM requests. Written from Firebase's reference of `projects.messages` (HTTP v1),
//! `ErrorCode`, "Set the lifespan of a message" and "Customize a message across platforms".

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response};
use reveille_host::Entropy;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::asked::{Asked, Granted, Parcel, Refusal, Rule, hold, judge, rule};
use super::manner::Manner;
use super::oauth::OAuth;

/// The most bytes of keys and values, to a token and to a topic.
const LIMITS: (usize, usize) = (4_096, 2_048);
/// The longest life, which is the default too, in seconds.
const LIFE: u64 = 2_419_200;

/// How FCM is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The project that the path names.
    pub project: String,
    /// The service account, which is `iss` of its assertions.
    pub client_email: String,
    /// The public half of its key, a PEM block `PUBLIC KEY`.
    pub public_key: String,
    /// The URL of this service's `/token`, which is `aud` of assertions.
    pub token_uri: String,
    /// How long a bearer lives, in seconds.
    #[serde(default = "default_bearer_life")]
    pub bearer_life_s: u64,
    /// Tokens that are of another sender.
    #[serde(default)]
    pub foreign_tokens: BTreeSet<String>,
}

const fn default_bearer_life() -> u64 {
    3_599
}

/// The service.
pub(super) struct Fcm {
    settings: Settings,
    pub(super) oauth: OAuth,
}

struct Push {
    asked: Asked,
    settings: Settings,
    bearer_known: bool,
    body: Result<Map<String, Value>, String>,
}

impl Push {
    fn message(&self) -> Option<&Map<String, Value>> {
        self.body.as_ref().ok()?.get("message")?.as_object()
    }
    fn part(&self, name: &str) -> Option<&Value> {
        self.message()?.get(name)
    }
    fn android(&self, name: &str) -> Option<&Value> {
        self.part("android")?.get(name)
    }
    /// Both places in which a message has data.
    fn data(&self) -> impl Iterator<Item = &Value> {
        self.part("data").into_iter().chain(self.android("data"))
    }
    fn life(&self) -> Result<Duration, String> {
        match self.android("ttl") {
            None => Ok(Duration::from_secs(LIFE)),
            Some(Value::String(text)) => duration(text),
            Some(_) => Err("no text".to_owned()),
        }
    }
}

/// Reads a protobuf duration: `3.5s`.
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').ok_or("without the unit `s`")?;
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let digits = |text: &str| {
        !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit())
    };
    if !digits(whole) || !digits(part) {
        return Err("no number of seconds with at most nine decimals".to_owned());
    }
    let whole: u64 = whole.parse().map_err(|_| "too long".to_owned())?;
    let nanos: u32 = format!("{part:0<9}").parse().map_err(|_| "too fine".to_owned())?;
    Ok(Duration::new(whole, nanos))
}

/// The rules, in the order in which they are held.
const RULES: &[Rule<Push>] = &[
    rule("method-and-path", "NOT_FOUND", |push| {
        let wanted = format!("/v1/projects/{}/messages:send", push.settings.project);
        let good = push.asked.method == Method::POST && push.asked.path == wanted;
        hold(good, || format!("nothing is at {}; POST to {wanted}", push.asked.path))
    }),
    rule("bearer", "UNAUTHENTICATED", |push| {
        let what = "Request had invalid authentication credentials. Expected a fresh OAuth 2 \
                    access token as `authorization: Bearer <token>`.";
        hold(push.bearer_known, || what.to_owned())
    }),
    rule("content-type", "INVALID_ARGUMENT", |push| {
        let said = push.asked.header("content-type").unwrap_or_default();
        let json = said.split(';').next() == Some("application/json");
        hold(json, || format!("the body is {said:?}; send application/json"))
    }),
    rule("json", "INVALID_ARGUMENT", |push| push.body.as_ref().map(drop).map_err(Clone::clone)),
    rule("message-present", "INVALID_ARGUMENT", |push| {
        hold(push.message().is_some(), || "`message` is missing; send an object".to_owned())
    }),
    rule("known-fields", "INVALID_ARGUMENT", known_fields),
    rule("one-target", "INVALID_ARGUMENT", |push| {
        let targets = ["token", "topic", "condition"];
        let named = targets.iter().filter(|name| push.part(name).is_some()).count();
        hold(named == 1, || format!("{named} targets; send exactly one of token, topic, condition"))
    }),
    rule("token-well-formed", "INVALID_REGISTRATION", |push| {
        let Some(token) = push.part("token") else { return Ok(()) };
        let graphic = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        hold(token.as_str().is_some_and(graphic), || "`token` is no token".to_owned())
    }),
    rule("token-of-this-sender", "SENDER_ID_MISMATCH", |push| {
        let foreign = |token: &str| push.settings.foreign_tokens.contains(token);
        let bad = push.part("token").and_then(Value::as_str).is_some_and(foreign);
        hold(!bad, || "the token was made for another sender".to_owned())
    }),
    rule("data-strings", "INVALID_ARGUMENT", |push| {
        let strings =
            |data: &Value| data.as_object().is_some_and(|data| data.values().all(Value::is_string));
        let what = || "`data` is no object of strings; write numbers as strings".to_owned();
        hold(push.data().all(strings), what)
    }),
    rule("data-keys", "INVALID_ARGUMENT", |push| {
        let mut keys = push.data().filter_map(Value::as_object).flat_map(Map::keys);
        let reserved = |key: &&String| {
            let begins = ["google", "gcm"].iter().any(|start| key.starts_with(start));
            begins || ["from", "message_type"].contains(&key.as_str())
        };
        let bad = keys.find(reserved);
        hold(bad.is_none(), || format!("the data key {bad:?} is reserved; name it otherwise"))
    }),
    rule("ttl", "INVALID_ARGUMENT", |push| {
        let wrong = |what| format!("`android.ttl` is {what}; send 0s to {LIFE}s, as in \"3.5s\"");
        let life = push.life().map_err(wrong)?;
        hold(life <= Duration::from_secs(LIFE), || wrong("too long".to_owned()))
    }),
    rule("priority", "INVALID_ARGUMENT", |push| {
        let said = push.android("priority");
        let names = ["NORMAL", "HIGH", "normal", "high"];
        let good = said.is_none_or(|said| said.as_str().is_some_and(|said| names.contains(&said)));
        hold(good, || format!("`android.priority` is {said:?}; send NORMAL or HIGH"))
    }),
    rule("size", "INVALID_ARGUMENT", |push| {
        let notification = push.part("notification").into_iter();
        let size: usize = push.data().chain(notification).map(weight).sum();
        let (token, topic) = LIMITS;
        let limit = if push.part("token").is_some() { token } else { topic };
        hold(size <= limit, || format!("keys and values have {size} bytes; send at most {limit}"))
    }),
];

/// Members that the reference knows: of the request, of `message` and of `android`.
const KNOWN: [&[&str]; 3] = [
    &["validate_only", "message"],
    &[
        "name",
        "data",
        "notification",
        "android",
        "webpush",
        "apns",
        "fcm_options",
        "token",
        "topic",
        "condition",
    ],
    &[
        "collapse_key",
        "priority",
        "ttl",
        "restricted_package_name",
        "data",
        "notification",
        "fcm_options",
        "direct_boot_ok",
        "bandwidth_constrained_ok",
        "restricted_satellite_ok",
    ],
];

fn known_fields(push: &Push) -> Result<(), String> {
    let android = push.part("android");
    if android.is_some_and(|android| !android.is_object()) {
        return Err("`android` is no object".to_owned());
    }
    let parts = [push.body.as_ref().ok(), push.message(), android.and_then(Value::as_object)];
    for (part, known) in parts.into_iter().zip(KNOWN) {
        let names = part.into_iter().flat_map(Map::keys);
        if let Some(name) = names.into_iter().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("Unknown name \"{name}\"; send {}", known.join(", ")));
        }
    }
    Ok(())
}

/// Bytes of keys and values.
fn weight(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| name.len() + weight(value)).sum()
        }
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::String(text) => text.len(),
        other => other.to_string().len(),
    }
}

impl Fcm {
    /// Sets it up.
    ///
    /// # Errors
    /// The service account's key is none.
    pub(super) fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { oauth: OAuth::new(settings.clone())?, settings })
    }

    /// The fields of a request that a trace shows.
    pub(super) fn shown(asked: &Asked) -> Vec<(&'static str, String)> {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let android = |name: &str| body["message"]["android"][name].as_str().map(str::to_owned);
        let named = [("priority", "priority"), ("ttl", "ttl"), ("collapse-id", "collapse_key")];
        let shown = named.into_iter().filter_map(|(name, member)| Some((name, android(member)?)));
        let project =
            asked.path.strip_prefix("/v1/projects/").and_then(|path| path.split_once('/'));
        shown.chain(project.map(|(project, _)| ("project", project.to_owned()))).collect()
    }

    /// Milliseconds that a message lives, if it says so.
    pub(super) fn life(asked: &Asked) -> Option<u64> {
        let body: Value = serde_json::from_slice(&asked.body).ok()?;
        let ttl = body["message"]["android"]["ttl"].as_str()?;
        duration(ttl).ok().and_then(|life| u64::try_from(life.as_millis()).ok())
    }

    /// The device token of a request.
    pub(super) fn token(asked: &Asked) -> Option<String> {
        let body: Value = serde_json::from_slice(&asked.body).ok()?;
        Some(body.get("message")?.get("token")?.as_str()?.to_owned())
    }

    /// The session that a request's data names.
    pub(super) fn session(asked: &Asked) -> Option<String> {
        let body: Value = serde_json::from_slice(&asked.body).ok()?;
        let message = body.get("message")?;
        let android = message.get("android").and_then(|android| android.get("data"));
        let data = android.or_else(|| message.get("data"))?;
        Some(data.get("session_id")?.as_str()?.to_owned())
    }

    /// Judges a request.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn judge(&self, asked: Asked, entropy: &dyn Entropy) -> Result<Granted, Refusal> {
        let bearer = asked.credentials("bearer").unwrap_or_default();
        let body = match serde_json::from_slice(&asked.body) {
            Ok(Value::Object(body)) => Ok(body),
            Ok(_) => Err("the body is no object; send {\"message\": ...}".to_owned()),
            Err(error) => Err(format!("the body is no JSON: {error}")),
        };
        let bearer_known = self.oauth.knows(bearer, asked.mono);
        let push = Push { settings: self.settings.clone(), bearer_known, body, asked };
        judge(RULES, &push)?;
        Ok(self.grant(&push, entropy))
    }

    fn grant(&self, push: &Push, entropy: &dyn Entropy) -> Granted {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let data = push.android("data").or_else(|| push.part("data"));
        let life = push.life().unwrap_or_default();
        // A trial is for no phone; nor is a topic, to which nobody here subscribes.
        let trial =
            push.body.as_ref().is_ok_and(|body| body.get("validate_only") == Some(&json!(true)));
        let token = text(push.part("token")).filter(|_| !trial).unwrap_or_default();
        let parcel = Parcel {
            token,
            payload: data.cloned().unwrap_or_else(|| json!({})).to_string(),
            until: Some(push.asked.mono + life),
            replaces: text(push.android("collapse_key")),
            manner: Manner::data(
                text(push.android("priority"))
                    .is_some_and(|said| said.eq_ignore_ascii_case("high")),
            ),
        };
        let mut id = [0_u8; 8];
        entropy.fill(&mut id);
        let (project, id) = (&self.settings.project, u64::from_be_bytes(id));
        let body = json!({"name": format!("projects/{project}/messages/0:{id}")});
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        let json = HeaderValue::from_static("application/json; charset=UTF-8");
        response.headers_mut().insert(CONTENT_TYPE, json);
        Granted { parcel, response }
    }
}

#[cfg(test)]
#[path = "fcm_rules.rs"]
pub(super) mod tests;
