//! What the operator orders.

use serde_json::json;

use super::rig::{PLAIN, Rig};

#[tokio::test]
async fn a_session_that_is_ended_gets_its_close_and_its_caller_an_answer() {
    let rig = Rig::start(PLAIN).await;
    let (mut app, session) = rig.connect("bob", "tok").await;
    rig.call("bob", "one").await;
    rig.in_time("the app has the call", app.hear("start")).await;
    let reply = rig.ask("DELETE", &format!("/admin/v1/sessions/{session}")).await;
    assert_eq!((reply.status, reply.json()), (202, json!({"status": "ending"})));
    assert_eq!(rig.in_time("it is closed", app.close_code()).await, Some(1000));
    rig.status("480").await;
    let again = rig.ask("GET", &format!("/admin/v1/sessions/{session}")).await;
    assert_eq!(again.status, 404, "{again:?}");
}

#[tokio::test]
async fn a_gateway_that_drains_is_not_ready_refuses_work_and_lives_on() {
    let rig = Rig::start(PLAIN).await;
    let (mut app, _) = rig.connect("bob", "tok").await;
    let session = rig.asleep("eve", "tok-of-eve").await;
    rig.call("eve", "before").await;
    let reply = rig.ask("POST", "/admin/v1/drain").await;
    assert_eq!((reply.status, reply.json()), (202, json!({"status": "draining"})));
    assert_eq!(rig.in_time("it is closed", app.close_code()).await, Some(1012));
    let ready = rig.ask_as("GET", "/readyz", "").await;
    assert_eq!(ready.status, 503);
    assert!(ready.head.contains("retry-after: 5"), "{ready:?}");
    let detail = ready.json()["detail"].as_str().expect("a reason").to_owned();
    assert!(detail.starts_with("the gateway drains"), "{detail}");
    assert_eq!(rig.ask_as("GET", "/healthz", "").await.status, 200);
    let (page, _) = rig.metrics().await;
    assert_eq!(page.value("reveille_draining", &[]), Some(1.0));

    rig.call("eve", "after").await;
    rig.status("503").await;
    let mut eve = rig.app("eve").await;
    eve.say(&json!({"control": {"type": "request", "session_id": session},
        "header": {"action": "connect", "cslr": 2, "subsessions": []}}))
        .await;
    rig.in_time("what was accepted before is delivered", eve.hear("start")).await;
    let mut bob = rig.app("bob").await;
    bob.say(&json!({"control": {"type": "request", "sequence": 1},
        "header": {"action": "connect"}}))
        .await;
    let refused = rig.in_time("a new session is refused", bob.hear("connect")).await;
    assert_eq!(refused["header"]["error_code"], 480, "{refused}");
}
