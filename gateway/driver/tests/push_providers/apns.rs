use std::time::Duration;

use reveille_gateway_core::config::Secret;
use reveille_gateway_core::io::PushOutcome;
use reveille_gateway_driver::push::{Apple, Application, PushType};
use reveille_host::Host;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::server::{Seen, Server, because, reply, verified};
use crate::{P256, host, plugin, request, send, word};

const TOKEN: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";

fn app(server: &Server) -> Application {
    Application {
        app: "phone".to_owned(),
        provider: "apns".to_owned(),
        id: "com.example.phone".to_owned(),
        url: server.url.clone(),
        credential: Some(Secret(P256.to_owned())),
        ca: server.certificate.clone(),
        apple: Apple {
            team_id: "DEF123GHIJ".to_owned(),
            key_id: "ABC123DEFG".to_owned(),
            push_type: PushType::Voip,
        },
        ..Application::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "ring reads a key with randomness of its own only")]
pub(super) fn public_key() -> Vec<u8> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(P256.as_bytes()).expect("a key");
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, der.secret_pkcs8_der(), &random);
    pair.expect("a key").public_key().as_ref().to_vec()
}

/// Header and claims of the provider token that was shown.
fn shown(seen: &mut Seen) -> (Value, Value) {
    let authorization = seen.take("authorization");
    let token = authorization.strip_prefix("bearer ").expect("a bearer");
    verified(token, &ECDSA_P256_SHA256_FIXED, &public_key())
}

fn near(host: &Host, seconds: &str, from_now: u64) {
    let wanted = host.clock.now().wall.as_secs() + from_now;
    let seconds: u64 = seconds.parse().expect("seconds");
    assert!((wanted - 5..=wanted).contains(&seconds), "{seconds} is not near {wanted}");
}

#[tokio::test]
async fn a_call_is_pushed_as_apple_asks_over_one_kept_connection_of_tls() {
    let (host, _) = host();
    let server = Server::tls(&host, |_| reply(200)).await;
    let plugin = plugin(&host, app(&server));
    for _ in 0..2 {
        assert_eq!(send(&*plugin, &request(&host, TOKEN)).await, PushOutcome::Accepted);
    }
    assert_eq!(server.connections(), 1);
    let [mut one, mut two] = server.seen().try_into().expect("two requests");
    assert_eq!((one.method.as_str(), one.path.as_str()), ("POST", &*format!("/3/device/{TOKEN}")));
    assert_eq!(one.headers["authorization"], two.headers["authorization"], "one token for both");
    let (header, claims) = shown(&mut one);
    assert_eq!(header, json!({"alg": "ES256", "kid": "ABC123DEFG"}));
    assert_eq!(claims["iss"], "DEF123GHIJ");
    near(&host, &claims["iat"].to_string(), 0);
    near(&host, &one.take("apns-expiration"), 31);
    let ids = [one.take("apns-id"), two.take("apns-id")];
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() == 36), "{ids:?}");
    let collapse = one.take("apns-collapse-id");
    assert_eq!(collapse.len(), 32, "within Apple's 64 bytes");
    assert_eq!(two.take("apns-collapse-id"), collapse, "one call, one notification");
    one.take("content-length");
    let rest: Vec<_> = one.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(
        rest,
        ["apns-priority: 10", "apns-push-type: voip", "apns-topic: com.example.phone.voip"]
    );
    let wake = json!({"aps": {}, "session_id": "s1", "event": "call", "call_id": "c1",
        "subsession_id": "u1", "initiator": "alice@example.com", "ttl_s": 30});
    assert_eq!(one.json(), wake);
}

#[tokio::test]
async fn push_type_topic_priority_and_payload_agree() {
    let (host, _) = host();
    let server = Server::plain(&host, |_| reply(200)).await;
    let mut app = app(&server);
    app.apple.push_type = PushType::Alert;
    let plugin = plugin(&host, app);
    for event in ["call", "refresh"] {
        let mut request = request(&host, TOKEN);
        request.payload.event = event.to_owned();
        assert_eq!(send(&*plugin, &request).await, PushOutcome::Accepted);
    }
    let [mut alert, mut quiet] = server.seen().try_into().expect("two requests");
    let names = ["apns-push-type", "apns-topic", "apns-priority"];
    assert_eq!(names.map(|name| alert.take(name)), ["alert", "com.example.phone", "10"]);
    assert_eq!(names.map(|name| quiet.take(name)), ["background", "com.example.phone", "5"]);
    let shown = json!({"alert": {"title": "Incoming call", "body": "alice@example.com"},
        "sound": "default"});
    assert_eq!(alert.json()["aps"], shown);
    assert_eq!(quiet.json()["aps"], json!({"content-available": 1}));
}

#[tokio::test]
async fn a_payload_keeps_its_ids_within_the_limit_of_its_type() {
    let (host, _) = host();
    let server = Server::plain(&host, |_| reply(200)).await;
    for (push_type, limit) in [(PushType::Voip, 5_120), (PushType::Alert, 4_096)] {
        let mut app = app(&server);
        app.apple.push_type = push_type;
        let plugin = plugin(&host, app);
        for call_id in ["c1".to_owned(), "c".repeat(limit - 200)] {
            let mut request = request(&host, TOKEN);
            request.payload.initiator = Some("\"\\\u{1}\u{1F600}".repeat(2_000));
            request.payload.call_id = Some(call_id.clone());
            let body = plugin.body(&request);
            assert!(body.len() <= limit, "{} bytes", body.len());
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(body["session_id"], "s1");
            assert_eq!(body["call_id"], json!(call_id));
        }
    }
}

#[tokio::test]
async fn a_stale_token_is_made_anew_once_and_the_push_sent_again_once() {
    let (host, _) = host();
    for (stale, wanted, asked) in [(1, "accepted", 2), (9, "failed", 2)] {
        let left = std::sync::atomic::AtomicUsize::new(stale);
        let server =
            Server::plain(&host, move |_| match left.load(std::sync::atomic::Ordering::Relaxed) {
                0 => reply(200),
                n => {
                    left.store(n - 1, std::sync::atomic::Ordering::Relaxed);
                    because(403, "ExpiredProviderToken")
                }
            })
            .await;
        let plugin = plugin(&host, app(&server));
        let outcome = send(&*plugin, &request(&host, TOKEN)).await;
        assert_eq!(word(&outcome), wanted, "{outcome:?}");
        let seen = server.seen();
        assert_eq!(seen.len(), asked);
        assert_ne!(seen[0].headers["authorization"], seen[1].headers["authorization"]);
        if stale > 1 {
            // The clock is wrong; asking for more tokens would not set it.
            assert_eq!(word(&send(&*plugin, &request(&host, TOKEN)).await), "failed");
            let seen = server.seen();
            assert_eq!(seen.len(), asked + 1);
            assert_eq!(seen[1].headers["authorization"], seen[2].headers["authorization"]);
        }
    }
}

#[tokio::test]
async fn a_token_is_never_older_than_an_hour() {
    let (host, clock) = host();
    let server = Server::plain(&host, |_| reply(200)).await;
    let plugin = plugin(&host, app(&server));
    for minute in [0, 49, 51, 80] {
        clock.set(Duration::from_secs(minute * 60));
        assert_eq!(send(&*plugin, &request(&host, TOKEN)).await, PushOutcome::Accepted);
    }
    let tokens: Vec<_> =
        server.seen().into_iter().map(|seen| seen.headers["authorization"].clone()).collect();
    assert_eq!(tokens[0], tokens[1]);
    assert_ne!(tokens[1], tokens[2]);
    assert_eq!(tokens[2], tokens[3]);
}

#[tokio::test]
async fn connection_reasons_open_another_one_and_the_rest_is_told() {
    let (host, _) = host();
    for (status, reason, wanted, asked, connections) in [
        (400, "IdleTimeout", "transient", 2, 2),
        (403, "UnrelatedKeyIdInToken", "transient", 2, 2),
        (400, "BadDeviceToken", "failed", 1, 1),
        (403, "InvalidProviderToken", "failed", 1, 1),
        (410, "Unregistered", "refused", 1, 1),
        (413, "PayloadTooLarge", "failed", 1, 1),
        (429, "TooManyRequests", "transient 1000", 1, 1),
        (503, "Shutdown", "transient 900000", 1, 1),
    ] {
        let server = Server::plain(&host, move |_| because(status, reason)).await;
        let plugin = plugin(&host, app(&server));
        let outcome = send(&*plugin, &request(&host, TOKEN)).await;
        assert_eq!(word(&outcome), wanted, "{reason}: {outcome:?}");
        assert_eq!((server.seen().len(), server.connections()), (asked, connections), "{reason}");
        if reason == "Shutdown" {
            send(&*plugin, &request(&host, TOKEN)).await;
            assert_eq!(server.connections(), 2, "later pushes take another connection");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_no_token_is_sent_nowhere() {
    let (host, _) = host();
    let server = Server::plain(&host, |_| reply(200)).await;
    let plugin = plugin(&host, app(&server));
    for token in ["", "../../x", "abc?d=e", "ab cd", &"a".repeat(201)] {
        let outcome = send(&*plugin, &request(&host, token)).await;
        assert_eq!(word(&outcome), "refused", "{token}: {outcome:?}");
    }
    assert_eq!(server.connections(), 0);
}
