//! What the operator sees, and who may.

use serde_json::{Value, json};

use super::rig::{PLAIN, Reply, Rig, TOKEN};

#[tokio::test]
async fn health_is_open_and_everything_else_asks_for_the_token() {
    let rig = Rig::start(PLAIN).await;
    for (path, word) in [("/healthz", "alive"), ("/readyz", "ready")] {
        let reply = rig.ask_as("GET", path, "").await;
        assert_eq!((reply.status, reply.json()), (200, json!({"status": word})));
    }
    let document = rig.get("/admin/v1/openapi.json").await;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let path = path.replace("{id}", "x");
        for method in methods.as_object().expect("methods").keys().map(|it| it.to_uppercase()) {
            let open = ["/healthz", "/readyz"].contains(&&*path);
            for shown in [
                "",
                "Authorization: Bearer another-token-of-theirs\r\n",
                "Authorization: Basic YTpi\r\n",
                &format!("Authorization: Bearer {TOKEN}x\r\n"),
                &format!("Authorization: {TOKEN}\r\n"),
            ] {
                let reply = rig.ask_as(&method, &path, shown).await;
                assert_eq!(reply.status == 401, !open, "{method} {path} {shown}");
                let asks = reply.head.contains("www-authenticate: bearer realm=\"reveille\"");
                assert_eq!(asks, !open);
            }
        }
    }
    let reply = rig.ask_as("GET", "/readyz", "").await;
    assert_eq!(reply.status, 200, "nobody without the token has drained it");
    assert_eq!(rig.ask_as("GET", "/nothing", "").await.status, 401, "nor learns what there is");
    let lower = format!("authorization: bearer {TOKEN}\r\n");
    assert_eq!(rig.ask_as("GET", "/metrics", &lower).await.status, 200);
}

#[tokio::test]
async fn without_a_token_programs_of_this_machine_are_let_in_and_web_pages_are_not() {
    let rig = Rig::start(&PLAIN.replace("token = \"a-token-of-the-operator\"", "")).await;
    assert_eq!(rig.ask_as("GET", "/admin/v1/sessions", "").await.status, 200);
    let evil = "Origin: https://evil.example.com\r\n";
    assert_eq!(rig.ask_as("POST", "/admin/v1/drain", evil).await.status, 403);
    let rebound = "GET /admin/v1/sessions HTTP/1.1\r\nHost: evil.example.com:8090\r\n\r\n";
    let reply = Reply::read(&rig.raw(rebound).await);
    assert_eq!(reply.status, 403, "a name that was made to point here");
    let named = "GET /admin/v1/sessions HTTP/1.1\r\nHost: localhost:8090\r\n\r\n";
    assert_eq!(Reply::read(&rig.raw(named).await).status, 200);
    assert_eq!(rig.ask_as("GET", "/readyz", "").await.status, 200);
}

#[tokio::test]
async fn problems_say_what_to_send_instead() {
    let rig = Rig::start(PLAIN).await;
    for (method, target, status, begin) in [
        ("GET", "/nothing", 404, "no such path; GET /admin/v1/openapi.json"),
        ("GET", "/admin/v1/sessions/nobody", 404, "no such session; GET /admin/v1/sessions"),
        ("DELETE", "/admin/v1/sessions/nobody", 404, "no such session"),
        ("PUT", "/admin/v1/sessions/x", 405, "this path takes no such method; use GET, DELETE"),
        ("GET", "/admin/v1/drain", 405, "this path takes no such method; use POST"),
        (
            "GET",
            "/admin/v1/sessions?limit=0",
            400,
            "`limit` is no number of items; write 1 to 1000",
        ),
        (
            "GET",
            "/admin/v1/sessions?state=up",
            400,
            "there is no such `state`; write one of: joining",
        ),
        (
            "GET",
            "/admin/v1/calls?user=bob",
            400,
            "there is no parameter `user`; write one of: limit",
        ),
        ("GET", "/metrics?x", 400, "there is no parameter `x`; this path takes none"),
        (
            "GET",
            "/admin/v1/sessions?user=%4",
            400,
            "the value of `user` is no UTF-8 in percent-enc",
        ),
    ] {
        let reply = rig.ask(method, target).await;
        assert!(reply.head.contains("content-type: application/problem+json"), "{reply:?}");
        let problem = reply.json();
        assert_eq!((reply.status, &problem["status"]), (status, &json!(status)), "{target}");
        assert_eq!(problem["type"], "about:blank");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.starts_with(begin), "{target}: {detail}");
    }
    let reply = rig.ask("DELETE", "/admin/v1/calls").await;
    assert!(reply.head.contains("\r\nallow: get"), "{reply:?}");
}

#[tokio::test]
async fn who_holds_connections_open_is_limited_and_does_not_shut_the_others_out_for_long() {
    let rig = Rig::start(PLAIN).await;
    let at = rig.running.admin.expect("a port").to_string();
    let mut held = Vec::new();
    for _ in 0..32 {
        held.push(rig.host.net.dial(&at).await.expect("it listens"));
    }
    let one_more = rig.raw_at(&at, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(one_more, "", "32 from one address");
    drop(held);
    let (page, _) = rig
        .in_time("those who left make room", async {
            loop {
                let health = rig.raw_at(&at, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
                if health.starts_with("HTTP/1.1 200") {
                    return rig.metrics().await;
                }
            }
        })
        .await;
    let refused = page.value("reveille_connections_refused_total", &[("port", "admin")]);
    assert!(refused >= Some(1.0), "{refused:?}");
}

#[tokio::test]
async fn hostile_heads_are_refused_and_the_port_lives_on() {
    let rig = Rig::start(PLAIN).await;
    let long = format!("GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65));
    for hostile in ["\u{16}\u{3}\u{1}\r\n\r\n", "GET\r\n\r\n", &long, &many] {
        let text = rig.raw(hostile).await;
        assert!(text.starts_with("HTTP/1.1 4"), "{text}");
    }
    let two = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    let answers = rig.raw(&two).await.matches("HTTP/1.1 200").count();
    assert_eq!(answers, 1, "one request a connection");
    assert_eq!(rig.ask_as("GET", "/healthz", "").await.status, 200);
}

#[tokio::test]
async fn sessions_sleepers_and_calls_are_listed_page_by_page_without_tokens() {
    let rig = Rig::start(PLAIN).await;
    let asleep = rig.asleep("bob", "device-token-of-bob").await;
    let (_kept, awake) = rig.connect("eve", "device-token-of-eve").await;
    let ids = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("items");
        items.iter().map(|it| it["id"].as_str().expect("an id").to_owned()).collect()
    };
    let mut both = [asleep.clone(), awake.clone()];
    both.sort();
    let first = rig.get("/admin/v1/sessions?limit=1").await;
    assert_eq!(ids(&first), both[..1]);
    let cursor = first["next"].as_str().expect("more");
    let second = rig.get(&format!("/admin/v1/sessions?limit=1&cursor={cursor}")).await;
    assert_eq!(ids(&second), both[1..]);
    for (filter, wanted) in [
        ("user=eve", vec![awake.clone()]),
        ("user=nobody", vec![]),
        ("app=phone&state=hibernated", vec![asleep.clone()]),
        ("app=other", vec![]),
        ("state=active", vec![awake.clone()]),
    ] {
        let page = rig.get(&format!("/admin/v1/sessions?{filter}")).await;
        assert_eq!((ids(&page), &page["next"]), (wanted, &Value::Null), "{filter}");
    }
    assert_eq!(ids(&rig.get("/admin/v1/sleepers").await), std::slice::from_ref(&asleep));
    assert_eq!(ids(&rig.get("/admin/v1/sleepers?user=eve").await), Vec::<String>::new());

    rig.call("bob", "one").await;
    let calls = rig.get("/admin/v1/calls").await;
    assert_eq!(calls["items"][0]["call_id"], "one");
    let one = rig.ask("GET", &format!("/admin/v1/sessions/{asleep}")).await;
    let view = one.json();
    assert_eq!(view["session"]["state"], "hibernated");
    assert_eq!(
        (&view["session"]["user"], &view["calls"][0]["state"]),
        (&json!("bob"), &json!("held"))
    );
    let hash = view["session"]["device"]["token_sha256"].as_str().expect("a hash");
    assert!(hash.len() == 12 && !one.body.contains("device-token"), "{}", one.body);
}

#[tokio::test]
async fn applications_and_providers_are_shown_without_keys() {
    let apns = format!(
        "[[application]]\napp = \"pad\"\nprovider = \"apns\"\nid = \"com.example.pad\"\n\
        team-id = \"DEF123GHIJ\"\nkey-id = \"ABC123DEFG\"\ncredential-file = \"{}\"\n",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/p256.pem")
    );
    let rig = Rig::start(&format!("{PLAIN}{apns}")).await;
    let applications = rig.ask("GET", "/admin/v1/applications").await;
    let items = &applications.json()["items"];
    assert_eq!((&items[0]["app"], &items[1]["provider"]), (&json!("phone"), &json!("apns")));
    let service = items[0]["service"].as_str().expect("an authority");
    assert!(service.starts_with("http://127.0.0.1:"), "{service}");
    let providers = rig.ask("GET", "/admin/v1/providers").await;
    let view = providers.json();
    assert_eq!(view["items"][0]["provider"], "apns");
    let key = &view["items"][0]["credentials"][0];
    assert_eq!((&key["key_id"], &key["has_credential"]), (&json!("ABC123DEFG"), &json!(true)));
    assert!(key["age_s"].as_u64().expect("an age") < 100);
    assert_eq!(key["circuit"], "closed");
    for body in [&applications.body, &providers.body] {
        assert!(!body.contains("secret") && !body.contains("PRIVATE"), "{body}");
    }
}
