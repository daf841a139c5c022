//! The provider `webpush`: Web Push (RFC 8030), encrypted (RFC 8291), by a VAPID key (RFC 8292).
//! A device token is a browser's PushSubscription as JSON.

mod encrypt;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Uri};
use reveille_gateway_core::io::{PushOutcome, PushRequest};
use reveille_host::{BoxFuture, Host};
use serde::{Deserialize, Serialize};

use self::encrypt::{Receiver, encrypt};
use super::answer::Answer;
use super::http2::{Post, Room, Silence, authorization};
use super::keys::Key;
use super::template::{self, Form, Node};
use super::{Application, Class, Lack, Push, PushSettings, Roster, lack_of_ca, left_of, mark_of};

/// Longest payload whose encrypted form every service takes: RFC 8291 section 4.
const MOST_PAYLOAD: usize = 3_993;
/// What templates may be.
pub(super) const FORM: Form =
    Form { most: MOST_PAYLOAD, is_request: false, is_of_many: false, fault: |_| None };
/// How long a VAPID token holds, in seconds; RFC 8292 section 2 allows a day.
const VAPID_S: u64 = 12 * 3_600;
/// Longest URL that is taken of a client.
const MOST_ENDPOINT: usize = 2_048;

/// Makes the provider.
pub(super) fn make(host: &Host, settings: &PushSettings) -> Arc<dyn Push> {
    let roster = Roster::new(settings, "webpush", |app| {
        let room = Room::new(host, settings.connect_limit, app)?;
        let room = if app.web.private_endpoints { room } else { room.public_only() };
        Ok(Line { key: key(app)?, room })
    });
    let own = template::own("\"${payload}\"");
    Arc::new(WebPush { host: host.clone(), limit: settings.request_limit, roster, own })
}

/// What an application lacks.
pub(super) fn lacks(app: &Application) -> Vec<Lack> {
    let mut lacks: Vec<Lack> = lack_of_ca(app).into_iter().collect();
    if !app.url.is_empty() {
        let what = "each subscription names its own push service; leave it out";
        lacks.push(("url", what.to_owned()));
    }
    let contact = &app.web.contact;
    if !contact.starts_with("mailto:") && !contact.starts_with("https://") {
        let what = "no contact for push services; write one like \"mailto:push@example.com\"";
        lacks.push(("contact", what.to_owned()));
    }
    lacks.extend(key(app).err().map(|what| ("credential", what)));
    lacks
}

fn key(app: &Application) -> Result<Key, String> {
    let lack = "webpush needs a VAPID key; write credential-file, the path of its PEM file";
    Key::es256(app.credential.as_ref().ok_or(lack)?)
}

/// An application's connections, and its VAPID key.
struct Line {
    key: Key,
    room: Room,
}

struct WebPush {
    host: Host,
    limit: Duration,
    roster: Roster<Line>,
    /// What is sent if no template says otherwise.
    own: Node,
}

/// A subscription, as browsers write it.
#[derive(Deserialize)]
struct Subscription {
    endpoint: String,
    keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    p256dh: String,
    auth: String,
}

#[derive(Serialize)]
struct Header {
    typ: &'static str,
    alg: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: String,
    exp: u64,
    sub: &'a str,
}

const HEADER: Header = Header { typ: "JWT", alg: "ES256" };

/// Where to send, and for whom.
fn subscription(token: &str, private: bool) -> Result<(Uri, Receiver), String> {
    // The parser's own words would show a piece of the keys.
    let read: Subscription = serde_json::from_str(token)
        .map_err(|_| "the token is no PushSubscription in JSON with endpoint and keys")?;
    let endpoint = Some(&read.endpoint).filter(|endpoint| endpoint.len() <= MOST_ENDPOINT);
    let uri: Option<Uri> = endpoint.and_then(|endpoint| endpoint.parse().ok());
    let uri = uri.ok_or("the subscription's endpoint is no URL")?;
    let scheme = uri.scheme_str();
    let sound = scheme == Some("https") || (private && scheme == Some("http"));
    let named = uri.authority().is_some_and(|at| !at.as_str().contains('@'));
    if !sound || !named {
        return Err("the subscription's endpoint is no https: URL of a push service".to_owned());
    }
    let loose =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let base64 = GeneralPurpose::new(&URL_SAFE, loose);
    let bytes = |text: &str| base64.decode(text).unwrap_or_default();
    let keys = (bytes(&read.keys.p256dh), bytes(&read.keys.auth));
    let receiver = Receiver::new(keys.0, &keys.1);
    Ok((uri, receiver.ok_or("the subscription's keys are no p256dh and auth")?))
}

/// The origin of a URL (RFC 6454 section 6.2).
fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("https");
    let host = uri.host().unwrap_or("").to_ascii_lowercase();
    match uri.port_u16() {
        Some(port) if (scheme, port) != ("https", 443) && (scheme, port) != ("http", 80) => {
            format!("{scheme}://{host}:{port}")
        }
        _ => format!("{scheme}://{host}"),
    }
}

/// How urgent a push is for a device that saves its battery (RFC 8030 section 5.3).
fn urgency(event: &str) -> &'static str {
    match event {
        "call" => "high",
        "message" => "normal",
        _ => "low",
    }
}

impl WebPush {
    fn post(
        &self,
        (app, key): (&Application, &Key),
        request: &PushRequest,
        uri: Uri,
        body: Vec<u8>,
    ) -> Result<Post, String> {
        let exp = self.host.clock.now().wall.as_secs() + VAPID_S;
        let claims = Claims { aud: origin(&uri), exp, sub: &app.web.contact };
        let (token, public) = (key.token(&HEADER, &claims), URL_SAFE_NO_PAD.encode(key.public()));
        let vapid = authorization(&format!("vapid t={token}, k={public}"));
        Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header("ttl", left_of(&self.host, request).as_secs())
            .header("urgency", urgency(&request.payload.event))
            .header("topic", mark_of(request))
            .header("content-encoding", "aes128gcm")
            .header("content-type", "application/octet-stream")
            .header("authorization", vapid.expect("base64url and punctuation"))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())
    }

    async fn deliver(
        &self,
        request: &PushRequest,
        body: &[u8],
    ) -> Result<PushOutcome, PushOutcome> {
        let (app, line) = self.roster.find(&request.application)?;
        let refused = PushOutcome::refused;
        let (uri, receiver) =
            subscription(&request.token, app.web.private_endpoints).map_err(refused)?;
        let sealed = encrypt(&self.host, &receiver, body).map_err(refused)?;
        let post = self.post((app, &line.key), request, uri, sealed);
        let post = post.map_err(|why| PushOutcome::Failed { why })?;
        let limit = self.limit.min(left_of(&self.host, request));
        let answer = line.room.send(Class::of(&request.payload.event), post, limit).await;
        Ok(answer.map_or_else(
            |silence| match silence {
                // The endpoint came with the token.
                Silence::Hopeless(why) => PushOutcome::refused(why),
                Silence::Barred(why) => PushOutcome::Failed { why },
                Silence::Passing(why) => PushOutcome::Transient { why, retry_after_ms: None },
            },
            |answer| classify(&answer),
        ))
    }
}

/// What an answer means (RFC 8030 sections 5, 7.2, 7.3 and 8.4; RFC 8292 section 4.2). 410 is not
/// RFC 8030's, but services say it of a subscription that is over.
fn classify(answer: &Answer) -> PushOutcome {
    let why = answer.shown();
    match answer.status {
        // Some proxy's, and not the service's.
        200..300 if answer.is_page() => PushOutcome::Transient { why, retry_after_ms: None },
        200..300 => PushOutcome::Accepted,
        404 | 410 => PushOutcome::refused(why),
        401 | 403 => {
            let why = format!("{why}: was the subscription made with another VAPID key?");
            PushOutcome::Failed { why }
        }
        408 | 425 | 429 | 500.. => {
            PushOutcome::Transient { why, retry_after_ms: answer.retry_after_ms() }
        }
        _ => PushOutcome::Failed { why },
    }
}

impl Push for WebPush {
    /// What is encrypted, and in its clear form recorded.
    fn body(&self, request: &PushRequest) -> Vec<u8> {
        let written = self.roster.template(request);
        template::body(written.unwrap_or(&self.own), request, |_, length| length <= MOST_PAYLOAD)
    }

    fn carries(&self, request: &PushRequest) -> bool {
        self.roster.carries(request)
    }

    fn send<'a>(&'a self, request: &'a PushRequest, body: Vec<u8>) -> BoxFuture<'a, PushOutcome> {
        Box::pin(
            async move { self.deliver(request, &body).await.unwrap_or_else(|outcome| outcome) },
        )
    }

    /// A subscription names its push service: one that is away closes no way to another.
    fn service(&self, request: &PushRequest) -> String {
        let uri = subscription(&request.token, true).map(|(uri, _)| uri);
        let authority = uri.ok().and_then(|uri| Some(uri.authority()?.as_str().to_lowercase()));
        authority.unwrap_or_default()
    }
}
