//! ICE servers from the file to the app, with a password that a TURN server would take.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};

use super::rig::{App, PLAIN, Rig};

async fn ask(rig: &Rig, app: &mut App, session: &str, sequence: u64) -> Value {
    app.say(&json!({"control": {"type": "request", "package_type": "register",
        "sequence": sequence, "session_id": session, "correlation_id": "c"},
        "header": {"action": "iceEnquiry"}}))
        .await;
    rig.in_time("an answer", app.hear("iceEnquiry")).await
}

#[tokio::test]
async fn an_app_is_told_the_servers_of_the_file_and_of_the_file_that_took_its_place() {
    let ice = "[[ice]]\nurls = [\"turn:turn.example.com\"]\nsecret = \"north\"\nttl = \"1h\"\n";
    let rig = Rig::start(&format!("{ice}{PLAIN}")).await;
    let (mut app, session) = rig.connect("bob", "tok").await;
    let answer = ask(&rig, &mut app, &session, 2).await;
    let server = &answer["payload"]["iceServers"][0];
    assert_eq!(server["urls"], json!(["turn:turn.example.com"]), "{answer}");
    let username = server["username"].as_str().expect("a name");
    let (ends, user) = username.split_once(':').expect("an end and a user");
    let now = rig.host.clock.now().wall.as_secs();
    let left = ends.parse::<u64>().expect("a time").saturating_sub(now);
    assert!(user == "bob" && (3_590..=3_600).contains(&left), "{username}");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"north");
    let shown = STANDARD.decode(server["credential"].as_str().expect("a password"));
    let shown = shown.expect("base64");
    assert!(hmac::verify(&key, username.as_bytes(), &shown).is_ok(), "{answer}");

    rig.write(ice, "");
    let reloaded = rig.ask("POST", "/admin/v1/reload").await.json();
    assert_eq!(reloaded["changed"], json!(["ice"]));
    let answer = ask(&rig, &mut app, &session, 3).await;
    assert_eq!(answer["header"]["error_code"], 404, "{answer}");
}
