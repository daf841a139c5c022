//! Several tenants in one gateway: who is let in where, and what nobody gets more of.

use serde_json::{Value, json};

use super::rig::{PLAIN, Rig};

/// `bob` and `phone` of `acme`, `rival` of nobody.
fn shared(limits: &str) -> String {
    let rival = "[[application]]\napp = \"rival\"\nprovider = \"webhook\"\n\
        id = \"com.example.rival\"\nurl = \"http://PUSH/\"\ncredential = \"credential of rival\"\n";
    let text = PLAIN.replace("username = \"bob\"", "username = \"bob\"\ntenant = \"acme\"");
    let text = text.replace("[[application]]", "[[application]]\ntenant = \"acme\"");
    format!("{text}{rival}[[tenant]]\nname = \"acme\"\n{limits}")
}

async fn refused(rig: &Rig, path: &str, user: &str) -> Option<u16> {
    rig.upgrade(path, user, &format!("secret of {user}")).await.err()
}

impl Rig {
    async fn refusals(&self, app: &str, limit: &str) -> Option<f64> {
        let (page, _) = self.metrics().await;
        page.value("reveille_limit_refusals_total", &[("app", app), ("limit", limit)])
    }
}

#[tokio::test]
async fn applications_are_known_and_users_keep_to_their_tenant() {
    let rig = Rig::start(&shared("")).await;
    let (page, _) = rig.metrics().await;
    let info =
        |app, tenant| page.value("reveille_application_info", &[("app", app), ("tenant", tenant)]);
    assert_eq!((info("phone", "acme"), info("rival", "")), (Some(1.0), Some(1.0)));
    assert_eq!(rig.get("/admin/v1/applications").await["items"][0]["tenant"], "acme");
    assert_eq!(refused(&rig, "/ws/webrtc/unknown", "bob").await, Some(404));
    assert_eq!(refused(&rig, "/ws/webrtc/rival", "bob").await, Some(403));
    assert_eq!(refused(&rig, "/ws/webrtc/phone", "bob").await, None);
    assert_eq!(refused(&rig, "/ws/webrtc/rival", "eve").await, None, "eve is bound to nobody");
    assert_eq!(refused(&rig, "/chat", "bob").await, None, "the default application");
    rig.write("[websocket]", "[websocket]\ndefault-app = \"other\"");
    rig.ask("POST", "/admin/v1/reload").await;
    assert_eq!(refused(&rig, "/chat", "eve").await, None, "it need not be one that is woken");
    assert_eq!(refused(&rig, "/chat", "bob").await, Some(403), "but it is not of acme");
}

#[tokio::test]
async fn connections_of_a_tenant_are_refused_beyond_its_limit_and_others_are_not() {
    let rig = Rig::start(&shared("[tenant.limits]\nconnections = 1\n")).await;
    let mut first = rig.app("bob").await;
    let at = rig.running.ws.expect("a port").to_string();
    let raw = format!(
        "GET /chat HTTP/1.1\r\nHost: {at}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: webrtc.oracle.com\r\nAuthorization: Basic Ym9iOnNlY3JldCBvZiBib2I=\r\n\r\n"
    );
    let answer = rig.raw_at(&at, &raw).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("\r\nretry-after: 5\r\n"), "{answer}");
    let why = "tenant acme has reached its limit of connections; come back later";
    assert!(answer.contains(why), "{answer}");
    assert_eq!(refused(&rig, "/ws/webrtc/rival", "eve").await, None);
    assert_eq!(rig.refusals("phone", "connections").await, Some(1.0));
    rig.write("connections = 1", "connections = 2");
    rig.ask("POST", "/admin/v1/reload").await;
    assert_eq!(refused(&rig, "/chat", "bob").await, None, "the limit was raised");
    first.socket.close(None).await.expect("sent");
}

#[tokio::test]
async fn upgrades_of_an_application_are_refused_beyond_its_rate() {
    let text = shared("")
        .replace("[[tenant]]", "[application.limits]\nconnects-per-second = 1\n[[tenant]]");
    let rig = Rig::start(&text).await;
    let mut told = Vec::new();
    for _ in 0..6 {
        told.push(refused(&rig, "/ws/webrtc/rival", "eve").await);
    }
    assert_eq!(told[0], None);
    assert!(told.contains(&Some(503)), "six within a second: {told:?}");
    assert!(rig.refusals("rival", "connects-per-second").await >= Some(1.0));
    assert_eq!(refused(&rig, "/chat", "bob").await, None, "another application has its own rate");
}

#[tokio::test]
async fn sessions_and_sleepers_beyond_the_limit_hear_480_and_are_counted() {
    let rig = Rig::start(&shared("[tenant.limits]\nsessions = 2\nsleepers = 1\n")).await;
    rig.asleep("bob", "tok").await;
    let (mut second, session) = rig.connect("bob", "tok-2").await;
    second
        .say(&json!({"control": {"type": "request", "sequence": 2, "correlation_id": "c2",
            "session_id": session}, "header": {"action": "hibernate", "ttl": 3600}}))
        .await;
    let told = rig.in_time("sleep is refused", second.hear("hibernate")).await;
    let mut third = rig.app("bob").await;
    third
        .say(&json!({"control": {"type": "request", "sequence": 1},
            "header": {"action": "connect"}}))
        .await;
    let also = rig.in_time("a session is refused", third.hear("connect")).await;
    let code = |frame: &Value| frame["header"]["error_code"].clone();
    assert_eq!((code(&told), code(&also)), (json!(480), json!(480)), "{told} {also}");
    assert_eq!(rig.refusals("phone", "sleepers").await, Some(1.0));
    assert_eq!(rig.refusals("phone", "sessions").await, Some(1.0));
}

#[tokio::test]
async fn a_push_beyond_the_rate_waits_and_is_not_lost() {
    let mut rig = Rig::start(&shared("[tenant.limits]\npushes-per-second = 1\n")).await;
    for (user, token) in [("bob", "tok"), ("eve", "tok-of-eve")] {
        rig.asleep(user, token).await;
    }
    rig.call("bob", "one").await;
    rig.call("eve", "two").await;
    for _ in 0..2 {
        let clock = std::sync::Arc::clone(&rig.host.clock);
        let pushed = rig.pushes.recv();
        let pushed = reveille_host::within(&*clock, std::time::Duration::from_secs(9), pushed);
        assert_eq!(pushed.await.flatten().as_deref(), Some("Bearer secret credential"));
    }
    assert_eq!(rig.refusals("phone", "pushes-per-second").await, Some(1.0));
}
