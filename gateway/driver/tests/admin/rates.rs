//! How often one address and one user may connect, as who is refused is told it, and as operators see
//! it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::rig::{PLAIN, Rig};

fn paced(per_ip: u32, per_user: u32) -> String {
    let keys = format!(
        "[websocket]\nconnects-per-second-per-ip = {per_ip}\n\
         connects-per-second-per-user = {per_user}"
    );
    PLAIN.replace("[websocket]", &keys)
}

/// The answer to an upgrade that has bytes behind its head, so that nobody is let in by it.
async fn answer(rig: &Rig, user: &str, secret: &str) -> String {
    let at = rig.running.ws.expect("a port").to_string();
    let basic = STANDARD.encode(format!("{user}:{secret}"));
    let raw = format!(
        "GET /ws/webrtc/phone HTTP/1.1\r\nHost: {at}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: webrtc.oracle.com\r\nAuthorization: Basic {basic}\r\n\r\nx"
    );
    rig.raw_at(&at, &raw).await.to_ascii_lowercase()
}

#[tokio::test]
async fn who_comes_too_often_from_one_address_is_told_429_before_a_secret_is_looked_at() {
    let rig = Rig::start(&paced(1, 1_000)).await;
    let mut told = Vec::new();
    for _ in 0..6 {
        told.push(answer(&rig, "bob", "guess").await);
    }
    assert!(told[0].starts_with("http/1.1 401 "), "the first is heard: {}", told[0]);
    let refused = told.iter().find(|it| it.starts_with("http/1.1 429 ")).expect("six at once");
    assert!(refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
    let why = "more than 1 connects in a second from this address: \
        websocket.connects-per-second-per-ip (rfc 6585 4); come back in 1 s";
    assert!(refused.contains(why), "{refused}");
    assert!(!refused.contains("www-authenticate"), "nothing was judged: {refused}");
    let count = told.iter().filter(|it| it.starts_with("http/1.1 429 ")).count();
    let (page, _) = rig.metrics().await;
    let refusals = page.value("reveille_upgrades_refused_total", &[("status", "429")]);
    assert_eq!(refusals.map(|it| format!("{it}")), Some(count.to_string()));
    let limit = [("app", "other"), ("limit", "connects-per-second-per-ip")];
    let limited = page.value("reveille_limit_refusals_total", &limit);
    assert_eq!(limited, refusals);
}

#[tokio::test]
async fn who_is_one_user_too_often_is_told_429_and_other_users_are_not() {
    let rig = Rig::start(&paced(1_000, 1)).await;
    let mut told = Vec::new();
    for _ in 0..6 {
        told.push(rig.upgrade("/ws/webrtc/phone", "bob", "secret of bob").await.err());
    }
    assert_eq!(told[0], None);
    assert!(told.contains(&Some(429)), "six at once: {told:?}");
    let eve = rig.upgrade("/ws/webrtc/phone", "eve", "secret of eve").await;
    assert!(eve.is_ok(), "eve has her own");
    let wrong = rig.upgrade("/ws/webrtc/phone", "bob", "guess").await.err();
    assert_eq!(wrong, Some(401), "who does not prove to be bob costs bob nothing");
    let (page, _) = rig.metrics().await;
    let limit = [("app", "phone"), ("limit", "connects-per-second-per-user")];
    assert!(page.value("reveille_limit_refusals_total", &limit) >= Some(1.0));
    rig.write("per-user = 1", "per-user = 1000");
    rig.ask("POST", "/admin/v1/reload").await;
    for _ in 0..6 {
        let app = rig.upgrade("/ws/webrtc/phone", "bob", "secret of bob").await;
        assert!(app.is_ok(), "the rate was raised: {:?}", app.err());
    }
}
