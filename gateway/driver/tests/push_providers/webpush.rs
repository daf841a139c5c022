use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reveille_gateway_core::config::Secret;
use reveille_gateway_core::io::PushOutcome;
use reveille_gateway_driver::push::{Application, Web};
use reveille_wire::push::WakePayload;
use ring::signature::ECDSA_P256_SHA256_FIXED;
use serde_json::json;
use web_push_native::p256::SecretKey;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint as _;

use crate::server::{Seen, Server, reply, verified};
use crate::{P256, host, plugin, request, send, word};

/// A browser's keys: any number below the group's order is a private key.
struct Browser {
    key: SecretKey,
    auth: [u8; 16],
}

impl Browser {
    fn new() -> Self {
        Self { key: SecretKey::from_slice(&[7; 32]).expect("a key"), auth: [9; 16] }
    }

    fn token(&self, endpoint: &str) -> String {
        let point = self.key.public_key().to_encoded_point(false);
        let keys = json!({"p256dh": URL_SAFE_NO_PAD.encode(point.as_bytes()),
            "auth": URL_SAFE_NO_PAD.encode(self.auth)});
        json!({"endpoint": endpoint, "expirationTime": null, "keys": keys}).to_string()
    }

    /// Decrypts by an implementation that is not ours.
    fn read(&self, body: Vec<u8>) -> Vec<u8> {
        web_push_native::decrypt(body, &self.key, &self.auth.into()).expect("for this browser")
    }
}

/// A subscription of some browser at this endpoint.
pub(super) fn token(endpoint: &str) -> String {
    Browser::new().token(endpoint)
}

fn app(server: &Server) -> Application {
    Application {
        app: "phone".to_owned(),
        provider: "webpush".to_owned(),
        id: "com.example.phone".to_owned(),
        credential: Some(Secret(P256.to_owned())),
        ca: server.certificate.clone(),
        web: Web { contact: "mailto:push@example.com".to_owned(), private_endpoints: true },
        ..Application::default()
    }
}

/// The claims of the VAPID token that was shown.
fn claims(seen: &mut Seen) -> serde_json::Value {
    let authorization = seen.take("authorization");
    let shown = authorization.strip_prefix("vapid t=").expect("the scheme of RFC 8292");
    let (token, key) = shown.split_once(", k=").expect("token and key");
    let key = URL_SAFE_NO_PAD.decode(key).expect("base64url");
    assert_eq!(key, super::apns::public_key(), "the key of the application");
    let (header, claims) = verified(token, &ECDSA_P256_SHA256_FIXED, &key);
    assert_eq!(header, json!({"typ": "JWT", "alg": "ES256"}));
    claims
}

#[tokio::test]
async fn a_call_is_pushed_encrypted_and_signed() {
    let (host, _) = host();
    let (server, browser) = (Server::tls(&host, |_| reply(201)).await, Browser::new());
    let plugin = plugin(&host, app(&server));
    let request = request(&host, &browser.token(&format!("{}/p/abc", server.url)));
    assert_eq!(send(&*plugin, &request).await, PushOutcome::Accepted);
    let [mut seen] = server.seen().try_into().expect("one request");
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/p/abc"));

    let mut claims = claims(&mut seen);
    let exp = claims["exp"].take().as_u64().expect("a time");
    let now = host.clock.now().wall.as_secs();
    assert!((now + 3_600..=now + 86_400).contains(&exp), "{exp} is within a day of {now}");
    let rest = json!({"aud": server.url, "sub": "mailto:push@example.com", "exp": null});
    assert_eq!(claims, rest);

    let ttl = seen.take("ttl");
    assert!(["30", "29"].contains(&&*ttl), "{ttl}");
    let topic = seen.take("topic");
    let base64url = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    assert!((1..=32).contains(&topic.len()) && topic.chars().all(base64url), "{topic}");
    seen.take("content-length");
    let rest: Vec<_> =
        seen.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let wanted =
        ["content-encoding: aes128gcm", "content-type: application/octet-stream", "urgency: high"];
    assert_eq!(rest, wanted);
    let wake = WakePayload::from_json(&browser.read(seen.body)).expect("a wake payload");
    assert_eq!(wake, request.payload);
}

#[tokio::test]
async fn each_message_has_its_own_salt_and_key_and_each_call_its_topic() {
    let (host, _) = host();
    let (server, browser) = (Server::plain(&host, |_| reply(201)).await, Browser::new());
    let plugin = plugin(&host, app(&server));
    let mut request = request(&host, &browser.token(&server.url));
    for subsession in ["u1", "u1", "u2"] {
        request.payload.subsession_id = Some(subsession.to_owned());
        assert_eq!(send(&*plugin, &request).await, PushOutcome::Accepted);
    }
    let [one, again, two] = server.seen().try_into().expect("three requests");
    assert_ne!(one.body[..16], again.body[..16], "salts");
    assert_ne!(one.body[21..86], again.body[21..86], "keys");
    assert_eq!(one.headers["topic"], again.headers["topic"]);
    assert_ne!(one.headers["topic"], two.headers["topic"]);
}

#[tokio::test]
async fn the_body_keeps_its_ids_within_4096_octets() {
    let (host, _) = host();
    let (server, browser) = (Server::plain(&host, |_| reply(201)).await, Browser::new());
    let plugin = plugin(&host, app(&server));
    let mut request = request(&host, &browser.token(&server.url));
    request.payload.initiator = Some("\"\\\u{1}\u{1F600}".repeat(2_000));
    request.payload.call_id = Some("c".repeat(3_800));
    assert_eq!(send(&*plugin, &request).await, PushOutcome::Accepted);
    let [seen] = server.seen().try_into().expect("one request");
    assert!(seen.body.len() <= 4_096, "{} bytes", seen.body.len());
    let wake = WakePayload::from_json(&browser.read(seen.body)).expect("a wake payload");
    assert_eq!((wake.session_id.as_str(), wake.call_id), ("s1", request.payload.call_id));
}

#[tokio::test]
async fn urgency_follows_the_event() {
    let (host, _) = host();
    let (server, browser) = (Server::plain(&host, |_| reply(201)).await, Browser::new());
    let plugin = plugin(&host, app(&server));
    let mut request = request(&host, &browser.token(&server.url));
    for event in ["message", "refresh"] {
        request.payload.event = event.to_owned();
        send(&*plugin, &request).await;
    }
    let urgency: Vec<_> =
        server.seen().into_iter().map(|seen| seen.headers["urgency"].clone()).collect();
    assert_eq!(urgency, ["normal", "low"]);
}

#[tokio::test]
async fn no_subscription_makes_the_gateway_talk_to_its_neighbours() {
    let (host, _) = host();
    let (server, browser) = (Server::tls(&host, |_| reply(201)).await, Browser::new());
    let mut app = app(&server);
    app.web.private_endpoints = false;
    let plugin = plugin(&host, app);
    let port = server.url.rsplit_once(':').expect("a port").1;
    for endpoint in [
        server.url.clone(),
        server.url.replace("https", "http"),
        format!("https://127.0.0.1:{port}/"),
        format!("https://[::1]:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
    ] {
        let outcome = send(&*plugin, &request(&host, &browser.token(&endpoint))).await;
        assert_eq!(word(&outcome), "refused", "{endpoint}: {outcome:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn each_answer_and_each_odd_token_has_its_meaning() {
    let (host, _) = host();
    let browser = Browser::new();
    for (status, retry_after, wanted) in [
        (201, None, "accepted"),
        (202, None, "accepted"),
        (403, None, "failed"),
        (404, None, "refused"),
        (410, None, "refused"),
        (413, None, "failed"),
        (429, Some(5), "transient 5000"),
        (503, None, "transient"),
    ] {
        let server = Server::plain(&host, move |_| (status, retry_after, String::new())).await;
        let plugin = plugin(&host, app(&server));
        let outcome = send(&*plugin, &request(&host, &browser.token(&server.url))).await;
        assert_eq!(word(&outcome), wanted, "{status}: {outcome:?}");
        let outcome = send(&*plugin, &request(&host, "{\"endpoint\":\"https://a/\"}")).await;
        assert_eq!(word(&outcome), "refused");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn each_subscription_is_at_its_own_service() {
    let (host, _) = host();
    let (server, browser) = (Server::plain(&host, |_| reply(201)).await, Browser::new());
    let plugin = plugin(&host, app(&server));
    let service = |token: &str| plugin.service(&request(&host, token));
    assert_eq!(service(&browser.token("https://Push.example.net/x")), "push.example.net");
    assert_eq!(service(&browser.token("https://push.example.net:8443/y")), "push.example.net:8443");
    assert_eq!(service("no subscription"), "");
}
