//! Google's token endpoint: a signed assertion (RFC 7523) is given a bearer for an hour. Written from
//! RFC 7523 3, RFC 6749 5, and Google's "Using OAuth 2.0 for server to server applications".

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response};
use reveille_host::Entropy;
use serde_json::json;

use super::asked::{Asked, Refusal, Rule, hold, judge, rule};
use super::fcm::Settings;
use super::jwt::{Jwt, Key};

/// The only grant that is served (RFC 7523 2.1).
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Scopes that let a bearer send messages.
const SCOPES: &[&str] = &[
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
];
/// The longest life of an assertion, in seconds.
const ASSERTION_LIFE: u64 = 3_600;
/// The most bearers remembered.
const BEARERS: usize = 10_000;

/// The endpoint, and the bearers that it has given.
pub(super) struct OAuth {
    settings: Settings,
    key: Key,
    bearers: Mutex<BTreeMap<String, Duration>>,
}

struct Grant {
    asked: Asked,
    settings: Settings,
    key: Key,
    form: BTreeMap<String, String>,
    jwt: Result<Jwt, String>,
}

impl Grant {
    fn jwt(&self) -> Result<&Jwt, String> {
        self.jwt.as_ref().map_err(Clone::clone)
    }
}

/// The rules, in the order in which they are held.
const RULES: &[Rule<Grant>] = &[
    rule("method", "invalid_request", |grant| {
        hold(grant.asked.method == Method::POST, || "the method is not POST".to_owned())
    }),
    rule("form", "invalid_request", |grant| {
        let said = grant.asked.header("content-type").unwrap_or_default();
        let form = said.split(';').next() == Some("application/x-www-form-urlencoded");
        hold(form, || format!("the body is {said:?}; send application/x-www-form-urlencoded"))
    }),
    rule("grant-type", "unsupported_grant_type", |grant| {
        let said = grant.form.get("grant_type");
        hold(said.is_some_and(|said| said == GRANT), || {
            format!("`grant_type` is {said:?}; send {GRANT}")
        })
    }),
    rule("assertion-present", "invalid_request", |grant| {
        let there = grant.form.contains_key("assertion");
        hold(there, || "`assertion` is missing; send a signed JWT".to_owned())
    }),
    rule("issuer", "invalid_grant", |grant| {
        let good = grant.jwt()?.text("iss") == Some(&grant.settings.client_email);
        hold(good, || "`iss` is not the service account's client_email".to_owned())
    }),
    rule("signature", "invalid_grant", |grant| grant.jwt()?.verify(&grant.key)),
    rule("audience", "invalid_grant", |grant| {
        let good = grant.jwt()?.text("aud") == Some(&grant.settings.token_uri);
        hold(good, || format!("`aud` is not {}", grant.settings.token_uri))
    }),
    rule("issued", "invalid_grant", |grant| {
        let (issued, now) = (grant.jwt()?.seconds("iat")?, grant.asked.wall.as_secs());
        hold(issued <= now, || format!("`iat` is {issued}, in the future; it is {now}"))
    }),
    rule("expires", "invalid_grant", |grant| {
        let (issued, ends) = (grant.jwt()?.seconds("iat")?, grant.jwt()?.seconds("exp")?);
        let now = grant.asked.wall.as_secs();
        let good = ends > now && ends.saturating_sub(issued) <= ASSERTION_LIFE;
        hold(good, || {
            format!("`exp` is {ends} at {now}; send a later one, at most an hour after `iat`")
        })
    }),
    rule("scope", "invalid_scope", |grant| {
        let said = grant.jwt()?.text("scope").unwrap_or_default();
        let good = said.split(' ').any(|scope| SCOPES.contains(&scope));
        hold(good, || format!("`scope` is {said:?}; send {}", SCOPES[0]))
    }),
];

impl OAuth {
    /// Sets it up.
    ///
    /// # Errors
    /// The service account's key is none.
    pub(super) fn new(settings: Settings) -> Result<Self, String> {
        let key = match Key::from_pem(&settings.public_key) {
            Ok(key @ Key::Rsa(_)) => key,
            Ok(Key::P256(_)) => {
                return Err("fcm.public-key: P-256; Google's service accounts have RSA".to_owned());
            }
            Err(what) => return Err(format!("fcm.public-key: {what}")),
        };
        Ok(Self { settings, key, bearers: Mutex::default() })
    }

    fn bearers(&self) -> MutexGuard<'_, BTreeMap<String, Duration>> {
        self.bearers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this bearer was given and is not over.
    pub(super) fn knows(&self, bearer: &str, now: Duration) -> bool {
        self.bearers().get(bearer).is_some_and(|ends| *ends > now)
    }

    /// Judges a request for a bearer.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn judge(&self, asked: Asked) -> Result<(), Refusal> {
        let form = form(&asked.body);
        let jwt = Jwt::read(form.get("assertion").map_or("", String::as_str));
        let (settings, key) = (self.settings.clone(), self.key.clone());
        judge(RULES, &Grant { asked, settings, key, form, jwt })
    }

    /// Gives a bearer.
    pub(super) fn give(&self, now: Duration, entropy: &dyn Entropy) -> Response<Full<Bytes>> {
        let mut bytes = [0_u8; 32];
        entropy.fill(&mut bytes);
        let bearer = format!("ya29.{}", URL_SAFE_NO_PAD.encode(bytes));
        let life = self.settings.bearer_life_s;
        let mut bearers = self.bearers();
        bearers.retain(|_, ends| *ends > now);
        if bearers.len() < BEARERS {
            bearers.insert(bearer.clone(), now + Duration::from_secs(life));
        }
        let body = json!({"access_token": bearer, "expires_in": life, "token_type": "Bearer"});
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}

/// Reads `application/x-www-form-urlencoded`; a name that stands there twice keeps its first value.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let mut form = BTreeMap::new();
    for pair in body.split(|byte| *byte == b'&').take(16) {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        form.entry(unescape(name)).or_insert_with(|| unescape(value.get(1..).unwrap_or_default()));
    }
    form
}

fn unescape(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let escaped = (*first == b'%').then(|| after.get(..2).and_then(hex)).flatten();
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = after.get(if escaped.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[path = "oauth_rules.rs"]
pub(super) mod tests;
