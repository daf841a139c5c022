use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reveille_gateway_core::config::Secret;
use reveille_gateway_core::io::PushOutcome;
use reveille_gateway_driver::push::Application;
use reveille_host::Host;
use ring::rsa::KeyPair;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;

use crate::server::{Reply, Seen, Server, reply, verified};
use crate::{RSA, host, plugin, request, send, word};

/// A service whose token endpoint gives `bearer-1`, `bearer-2` and so on for an hour each.
async fn service(
    host: &Host,
    push: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> (Server, Application) {
    let given = AtomicUsize::new(0);
    let server = Server::plain(host, move |seen| match seen.path.as_str() {
        "/token" => grant(given.fetch_add(1, Ordering::Relaxed) + 1),
        _ => push(seen),
    })
    .await;
    let app = app(&server);
    (server, app)
}

fn grant(number: usize) -> Reply {
    let body = json!({"access_token": format!("bearer-{number}"), "expires_in": 3_600,
        "token_type": "Bearer"});
    (200, None, body.to_string())
}

fn app(server: &Server) -> Application {
    let account = json!({"type": "service_account", "project_id": "project-1",
        "private_key_id": "key-1", "private_key": RSA, "client_email": "push@project-1.example",
        "token_uri": format!("{}/token", server.url)});
    Application {
        app: "phone".to_owned(),
        provider: "fcm".to_owned(),
        id: "com.example.phone".to_owned(),
        url: server.url.clone(),
        credential: Some(Secret(account.to_string())),
        ..Application::default()
    }
}

fn coded(status: u16, code: &str) -> Reply {
    let body = json!({"error": {"code": status, "details": [
        {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}]}});
    (status, None, body.to_string())
}

fn count(server: &Server, path: &str) -> usize {
    server.seen().iter().filter(|seen| seen.path == path).count()
}

#[tokio::test]
async fn a_call_is_a_data_message_of_high_priority_for_as_long_as_it_waits() {
    let (host, _) = host();
    let (server, app) = service(&host, |_| reply(200)).await;
    let plugin = plugin(&host, app);
    assert_eq!(send(&*plugin, &request(&host, "device")).await, PushOutcome::Accepted);
    let [token, mut push] = server.seen().try_into().expect("two requests");

    assert_eq!((token.method.as_str(), token.path.as_str()), ("POST", "/token"));
    assert_eq!(token.headers["content-type"], "application/x-www-form-urlencoded");
    let form = String::from_utf8(token.body).expect("text");
    let assertion = form
        .strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=")
        .expect("a form");
    let der = PrivatePkcs8KeyDer::from_pem_slice(RSA.as_bytes()).expect("a key");
    let pair = KeyPair::from_pkcs8(der.secret_pkcs8_der()).expect("a key");
    let public = pair.public_key().as_ref();
    let (header, mut claims) = verified(assertion, &RSA_PKCS1_2048_8192_SHA256, public);
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
    let iat = claims["iat"].take().as_u64().expect("a time");
    let exp = claims["exp"].take().as_u64().expect("a time");
    let now = host.clock.now().wall.as_secs();
    assert!((now - 5..=now).contains(&iat) && exp == iat + 3_600, "{iat} {exp} {now}");
    let rest = json!({"iss": "push@project-1.example", "aud": format!("{}/token", server.url),
        "scope": "https://www.googleapis.com/auth/firebase.messaging", "iat": null, "exp": null});
    assert_eq!(claims, rest);

    assert_eq!(push.method, "POST");
    assert_eq!(push.path, "/v1/projects/project-1/messages:send");
    assert_eq!(push.take("authorization"), "Bearer bearer-1");
    assert_eq!(push.take("content-type"), "application/json");
    let mut body = push.json();
    let ttl = body["message"]["android"]["ttl"].take();
    assert!(["\"30s\"", "\"29s\""].contains(&&*ttl.to_string()), "{ttl}");
    let message = json!({"message": {"token": "device",
        "android": {"priority": "HIGH", "ttl": null},
        "data": {"session_id": "s1", "event": "call", "call_id": "c1", "subsession_id": "u1",
            "initiator": "alice@example.com", "ttl_s": "30"}}});
    assert_eq!(body, message);
    assert_eq!(server.connections(), 1, "both are one authority here");
}

#[tokio::test]
async fn a_message_keeps_its_ids_within_4096_octets_and_its_keys_are_free() {
    let (host, _) = host();
    let (_server, app) = service(&host, |_| reply(200)).await;
    let plugin = plugin(&host, app);
    let mut request = request(&host, "device");
    request.payload.initiator = Some("\"\\\u{1}\u{1F600}".repeat(2_000));
    let mut body = Vec::new();
    for length in (100..=3_700).step_by(25) {
        request.payload.call_id = Some("c".repeat(length));
        body = plugin.body(&request);
        assert!(body.len() <= 4_096, "{} bytes", body.len());
    }
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let data = body["message"]["data"].as_object().expect("data");
    assert_eq!((&data["session_id"], &data["call_id"]), (&json!("s1"), &json!("c".repeat(3_700))));
    for (key, value) in data {
        let reserved = key == "from" || key == "message_type" || key == "gcm";
        assert!(!reserved && !key.starts_with("google") && !key.starts_with("gcm."), "{key}");
        assert!(value.is_string(), "{key}: {value}");
    }
}

#[tokio::test]
async fn one_bearer_serves_all_and_is_renewed_before_its_end() {
    let (host, clock) = host();
    let (server, app) = service(&host, |_| reply(200)).await;
    let plugin = plugin(&host, app);
    let asks = [1, 2, 3].map(|_| request(&host, "device"));
    let (a, b, c) =
        tokio::join!(send(&*plugin, &asks[0]), send(&*plugin, &asks[1]), send(&*plugin, &asks[2]),);
    assert_eq!([a, b, c], [const { PushOutcome::Accepted }; 3]);
    assert_eq!(count(&server, "/token"), 1, "one renewal is under way at most");
    for (second, tokens) in [(3_290, 1), (3_301, 2), (3_302, 2)] {
        clock.set(Duration::from_secs(second));
        let outcome = send(&*plugin, &request(&host, "device")).await;
        assert_eq!(outcome, PushOutcome::Accepted);
        assert_eq!(count(&server, "/token"), tokens, "{second} s");
    }
    let last = server.seen().pop().expect("a push");
    assert_eq!(last.headers["authorization"], "Bearer bearer-2");
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_bearer_that_still_holds() {
    let (host, clock) = host();
    let given = AtomicUsize::new(0);
    let server = Server::plain(&host, move |seen| match seen.path.as_str() {
        "/token" if given.fetch_add(1, Ordering::Relaxed) == 0 => grant(1),
        "/token" => reply(503),
        _ => reply(200),
    })
    .await;
    let plugin = plugin(&host, app(&server));
    for (second, wanted, tokens) in
        [(0, "accepted", 1), (3_310, "accepted", 2), (3_311, "accepted", 2), (3_380, "accepted", 3)]
    {
        clock.set(Duration::from_secs(second));
        let outcome = send(&*plugin, &request(&host, "device")).await;
        assert_eq!((word(&outcome).as_str(), count(&server, "/token")), (wanted, tokens));
    }
    clock.set(Duration::from_secs(3_601));
    let outcome = send(&*plugin, &request(&host, "device")).await;
    assert!(matches!(outcome, PushOutcome::Transient { retry_after_ms: Some(10_000..), .. }));
}

#[tokio::test]
async fn a_bearer_that_is_refused_is_renewed_once() {
    let push = "/v1/projects/project-1/messages:send";
    for (times, wanted, pushes, tokens) in [(1, "accepted", 2, 2), (9, "failed", 2, 2)] {
        let (host, _) = host();
        let left = Arc::new(AtomicUsize::new(times));
        let (server, app) = service(&host, move |_| {
            let refuse = left.load(Ordering::Relaxed) > 0;
            left.fetch_sub(usize::from(refuse), Ordering::Relaxed);
            reply(if refuse { 401 } else { 200 })
        })
        .await;
        let plugin = plugin(&host, app);
        let outcome = send(&*plugin, &request(&host, "device")).await;
        assert_eq!(word(&outcome), wanted, "{outcome:?}");
        assert_eq!((count(&server, push), count(&server, "/token")), (pushes, tokens));
        let last = server.seen().pop().expect("a push");
        assert_eq!(last.headers["authorization"], "Bearer bearer-2");
    }
}

#[tokio::test]
async fn each_refusal_has_its_meaning() {
    let (host, _) = host();
    for (status, code, wanted) in [
        (404, "UNREGISTERED", "refused"),
        (403, "SENDER_ID_MISMATCH", "refused"),
        (400, "INVALID_ARGUMENT", "failed"),
        (401, "THIRD_PARTY_AUTH_ERROR", "failed"),
        (429, "QUOTA_EXCEEDED", "transient 60000"),
    ] {
        let (server, app) = service(&host, move |_| coded(status, code)).await;
        let outcome = send(&*plugin(&host, app), &request(&host, "device")).await;
        assert_eq!(word(&outcome), wanted, "{code}: {outcome:?}");
        assert_eq!(server.seen().len(), 2, "{code}: no second try, no second bearer");
    }
    let (_server, app) = service(&host, |_| (503, Some(7), String::new())).await;
    let outcome = send(&*plugin(&host, app), &request(&host, "device")).await;
    assert_eq!(word(&outcome), "transient 7000");
    let (_server, app) = service(&host, |_| reply(502)).await;
    let outcome = send(&*plugin(&host, app), &request(&host, "device")).await;
    let wait = matches!(outcome, PushOutcome::Transient { retry_after_ms: Some(10_000..), .. });
    assert!(wait, "{outcome:?}");
}

#[tokio::test]
async fn an_account_that_is_refused_is_a_fault_of_ours_and_shows_nothing() {
    let (host, _) = host();
    for (answer, wanted) in [
        ((400, None, "{\"error\":\"invalid_grant\"}".to_owned()), "failed"),
        ((200, None, "{\"token\":\"bearer-x\"}".to_owned()), "failed"),
        ((429, Some(3), String::new()), "transient 3000"),
    ] {
        let server = Server::plain(&host, move |_| answer.clone()).await;
        let outcome = send(&*plugin(&host, app(&server)), &request(&host, "device")).await;
        assert_eq!(word(&outcome), wanted, "{outcome:?}");
        assert!(!format!("{outcome:?}").contains("bearer-x"));
        assert_eq!(server.seen().len(), 1);
    }
    let long = "x".repeat(3_000);
    let (server, app) = service(&host, |_| reply(200)).await;
    assert_eq!(word(&send(&*plugin(&host, app), &request(&host, &long)).await), "refused");
    assert_eq!(server.connections(), 0);
}
