//! A configuration that changes while the gateway runs.

use serde_json::json;

use super::rig::{PLAIN, Rig, TOKEN};

#[tokio::test]
async fn what_can_change_changes_and_the_rest_is_named() {
    let mut rig = Rig::start(PLAIN).await;
    let (mut eve, _) = rig.connect("eve", "tok").await;
    rig.write("secret of bob", "another secret of bob");
    rig.write("\"eve\"", "\"ann\"");
    rig.write("secret credential", "next credential");
    rig.write("[[user]]\naor = \"bob", "[call]\nwake-budget = \"9s\"\n[[user]]\naor = \"bob");
    rig.write("engine = \"memory\"", "engine = \"memory\"\npath = \"elsewhere\"");
    rig.write("[sip]", "[node]\nname = \"another\"\n[sip]");
    let reply = rig.ask("POST", "/admin/v1/reload").await;
    let told = json!({"changed": ["call.wake-budget", "user", "application"],
        "needs_restart": ["node.name", "fabric.path"]});
    assert_eq!((reply.status, reply.json()), (200, told));

    assert_eq!(rig.in_time("eve is no user", eve.close_code()).await, Some(1000));
    assert_eq!(rig.upgrade("/chat", "eve", "secret of eve").await.err(), Some(401));
    assert_eq!(rig.upgrade("/chat", "bob", "secret of bob").await.err(), Some(401));
    let bob = rig.upgrade("/chat", "bob", "another secret of bob").await;
    assert!(bob.is_ok(), "{:?}", bob.err());
    let (page, _) = rig.metrics().await;
    assert_eq!(page.value("reveille_reloads_total", &[("outcome", "applied")]), Some(1.0));

    let again = rig.ask("POST", "/admin/v1/reload").await;
    let told = json!({"changed": [], "needs_restart": ["node.name", "fabric.path"]});
    assert_eq!(again.json(), told, "what waits for a restart is named until then");

    rig.write("another secret of bob", "secret of bob");
    rig.ask("POST", "/admin/v1/reload").await;
    rig.asleep("bob", "tok").await;
    rig.call("bob", "one").await;
    let shown = rig.pushes.recv();
    let shown = reveille_host::within(&*rig.host.clock, std::time::Duration::from_secs(9), shown);
    assert_eq!(shown.await.flatten().as_deref(), Some("Bearer next credential"));
}

#[tokio::test]
async fn a_bad_file_is_refused_with_all_its_faults_and_the_old_one_holds() {
    let rig = Rig::start(PLAIN).await;
    rig.write("secret of bob", "another secret of bob");
    rig.write("[sip]", "[call]\nwake-budget = \"1s\"\nwake-budgt = \"9s\"\n[sip]");
    let reply = rig.ask("POST", "/admin/v1/reload").await;
    assert_eq!(reply.status, 422);
    let problem = reply.json();
    let faults: Vec<_> = problem["faults"].as_array().expect("faults").iter().collect();
    assert_eq!(faults.len(), 2, "{problem}");
    assert_eq!((&faults[0]["line"], &faults[0]["key"]), (&json!(2), &json!("call.wake-budget")));
    let what = faults[1]["what"].as_str().expect("words");
    assert!(what.contains("did you mean `wake-budget`"), "{what}");
    assert!(!reply.body.contains("secret"), "{}", reply.body);
    assert!(rig.upgrade("/chat", "bob", "secret of bob").await.is_ok(), "the old secret holds");
    let (page, _) = rig.metrics().await;
    assert_eq!(page.value("reveille_reloads_total", &[("outcome", "refused")]), Some(1.0));
    let told = rig.running.operator().reload().await.expect_err("still bad").to_string();
    assert!(told.contains("gateway.toml:2: call.wake-budget: 1s is out of range"), "{told}");
}

#[tokio::test]
async fn the_token_can_change_but_not_with_the_address() {
    let rig = Rig::start(PLAIN).await;
    rig.write(TOKEN, "a-token-of-the-next-one");
    let next = "Authorization: Bearer a-token-of-the-next-one\r\n";
    assert_eq!(rig.ask_as("GET", "/metrics", next).await.status, 401, "not before the reload");
    assert_eq!(rig.ask("POST", "/admin/v1/reload").await.json()["changed"], json!(["admin.token"]));
    assert_eq!(rig.ask("GET", "/metrics").await.status, 401);
    assert_eq!(rig.ask_as("GET", "/metrics", next).await.status, 200);
    rig.write("token = \"a-token-of-the-next-one\"", "");
    rig.write("[admin]\nlisten = \"127.0.0.1:0\"", "[admin]\nlisten = \"127.0.0.2:0\"");
    let told = rig.ask_as("POST", "/admin/v1/reload", next).await.json();
    assert_eq!(told, json!({"changed": [], "needs_restart": ["admin.listen"]}));
    assert_eq!(rig.ask_as("GET", "/metrics", "").await.status, 401, "the old port keeps its token");
}

#[tokio::test]
async fn doors_origins_and_names_change_without_a_restart() {
    let rig = Rig::start(PLAIN).await;
    assert_eq!(rig.upgrade("/ws/webrtc/pad", "bob", "secret of bob").await.err(), Some(404));
    rig.write("\"phone\"", "\"pad\"");
    assert_eq!(rig.ask("POST", "/admin/v1/reload").await.json()["changed"], json!(["application"]));
    let kept = rig.upgrade("/ws/webrtc/pad", "bob", "secret of bob").await;
    assert!(kept.is_ok(), "{:?}", kept.err());
    let (page, _) = rig.metrics().await;
    let named = page.value("reveille_upgrades_total", &[("app", "pad")]);
    assert_eq!(named, Some(1.0), "a new name may be a label");

    rig.write("[fabric]", "most-sockets-per-ip = 1\n[fabric]");
    rig.ask("POST", "/admin/v1/reload").await;
    assert_eq!(
        rig.upgrade("/chat", "eve", "secret of eve").await.err(),
        Some(503),
        "one is inside"
    );
    rig.write("most-sockets-per-ip = 1", "origins = [\"https://app.example.com\"]");
    rig.ask("POST", "/admin/v1/reload").await;
    assert_eq!(rig.upgrade("/chat", "eve", "secret of eve").await.err(), Some(403), "no Origin");
}
