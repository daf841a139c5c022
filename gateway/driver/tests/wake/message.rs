//! A SIP MESSAGE for a sleeping app through the whole gateway, across a restart on its file.

use reveille_gateway_core::tenancy::Share;

use super::*;

async fn send(rig: &Rig, running: &Running) {
    let own = rig.caller.local_addr().expect("an address");
    let text = format!(
        "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKm;rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=f\r\n\
         To: <sip:bob@example.com>\r\nCall-ID: m1\r\nCSeq: 1 MESSAGE\r\n\
         Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    );
    rig.caller.send_to(text.as_bytes(), running.udp[0]).await.expect("sent");
}

#[tokio::test]
async fn a_message_outlives_the_gateway_that_stored_it_and_is_given_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rig = Rig::new().await;
    rig.settings.fabric.engine = "redb".to_owned();
    rig.settings.fabric.path = folder.path().join("fabric").to_string_lossy().into_owned();
    rig.settings.core.message_wait_ms = 0;
    let first = rig.start().await;
    let session = rig.asleep(&first).await;
    send(&rig, &first).await;
    let stored = rig.in_time("the message is stored", rig.status("202")).await;
    let push = within(&*rig.host.clock, LIMIT, rig.pushes.recv()).await.flatten().expect("a push");
    assert_eq!(push["payload"]["event"], "message");
    assert_eq!(push["payload"]["call_id"], "m1");
    first.stop();
    assert_eq!(rig.in_time("it ends", first.stopped()).await, Ok(()));

    let second = rig.start().await;
    send(&rig, &second).await;
    let again = rig.in_time("the sender hears it again", rig.status("202")).await;
    assert_eq!(again, stored, "the same response to the same request");
    let mut app = rig.app(&second).await;
    app.say(&json!({"control": {"type": "request", "session_id": session},
        "header": {"action": "connect", "cslr": 2}}))
        .await;
    let given = rig.in_time("the message is given", app.hear("send")).await;
    assert_eq!(given["payload"]["content"], "hello");
    let sequence = given["control"]["sequence"].clone();
    app.say(&json!({"control": {"type": "acknowledgement", "ack_sequence": sequence}})).await;
    app.say(&json!({"control": {"type": "request", "session_id": session, "sequence": 3,
        "correlation_id": "c3"}, "header": {"action": "hibernate"}}))
        .await;
    let next = |frame: &Value| frame["header"]["action"].is_string();
    let next = rig.in_time("sleep is granted", app.next(next)).await;
    assert_eq!(next["header"]["action"], "hibernate", "nothing else was given");
    assert_eq!(next["header"]["response_code"], 200);
}

#[tokio::test]
async fn a_message_that_its_push_carried_is_given_once_over_jsonrtc_too() {
    let mut rig = Rig::new().await;
    let carried = std::iter::once("webhook".to_owned()).collect();
    let share = Share { carried, ..Share::default() };
    rig.settings.core.tenancy.apps.insert("phone".to_owned(), share);
    rig.settings.core.message_wait_ms = 0;
    let running = rig.start().await;
    let session = rig.asleep(&running).await;
    send(&rig, &running).await;
    let push = within(&*rig.host.clock, LIMIT, rig.pushes.recv()).await.flatten().expect("a push");
    let incoming = &push["payload"]["incoming"];
    assert_eq!(incoming["payload"]["content"], "hello", "{push}");
    assert_eq!(incoming["header"]["content_type"], "text/plain");
    let mut app = rig.app(&running).await;
    app.say(&json!({"control": {"type": "request", "session_id": session},
        "header": {"action": "connect", "cslr": 2}}))
        .await;
    let given = rig.in_time("the message is given", app.hear("send")).await;
    assert_eq!(given["control"]["subsession_id"], push["payload"]["subsession_id"]);
    assert_eq!(given["payload"], incoming["payload"]);
    let sequence = given["control"]["sequence"].clone();
    app.say(&json!({"control": {"type": "acknowledgement", "ack_sequence": sequence}})).await;
    app.say(&json!({"control": {"type": "request", "session_id": session, "sequence": 3,
        "correlation_id": "c3"}, "header": {"action": "hibernate"}}))
        .await;
    let next = |frame: &Value| frame["header"]["action"].is_string();
    let next = rig.in_time("sleep is granted", app.next(next)).await;
    assert_eq!(next["header"]["action"], "hibernate", "nothing else was given");
}
