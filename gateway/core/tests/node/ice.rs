//! An app that asks for ICE servers.

use reveille_gateway_core::config::{Config, Secret};
use reveille_gateway_core::ice::{Access, IceServer};
use serde_json::{Value, json};

use super::rig::{Rig, config};

fn server(url: &str, app: Option<&str>, access: Access) -> IceServer {
    IceServer { urls: vec![url.to_owned()], app: app.map(ToOwned::to_owned), access }
}

fn ask(rig: &mut Rig, session: &str, sequence: u64) -> Value {
    rig.say(
        1,
        &json!({"control": {"type": "request", "package_type": "register", "sequence": sequence,
            "session_id": session, "correlation_id": format!("c{sequence}")},
            "header": {"action": "iceEnquiry"}}),
    );
    rig.last_text(1)
}

#[test]
fn servers_are_told_with_credentials_that_name_their_user_and_their_end() {
    let password = |secret: &str, username: &str| format!("{secret} for {username}");
    let timed = Access::Timed { secret: Secret("north".to_owned()), ttl_s: 600, password };
    let fixed = Access::Fixed { username: "u".to_owned(), credential: Secret("p".to_owned()) };
    let ice = vec![
        server("stun:stun.example.com", None, Access::Open),
        server("turn:turn.example.com", Some("app"), timed),
        server("turns:old.example.com", None, fixed),
        server("turn:rival.example.com", Some("rival"), Access::Open),
    ];
    let mut rig = Rig::new(Config { ice, ..config() });
    let session = rig.connect(1, "bob", "tok");
    let answer = ask(&mut rig, &session, 2);
    let control = &answer["control"];
    assert_eq!(
        (&control["type"], &control["message_state"], &control["correlation_id"]),
        (&json!("response"), &json!("final"), &json!("c2"))
    );
    assert_eq!(
        (&answer["header"]["response_code"], &answer["header"]["ttl"]),
        (&json!(200), &json!(600))
    );
    let name = format!("{}:bob", rig.now.wall_us / 1_000_000 + 600);
    assert_eq!(
        answer["payload"]["iceServers"],
        json!([
            {"urls": ["stun:stun.example.com"]},
            {"urls": ["turn:turn.example.com"], "username": name,
                "credential": format!("north for {name}")},
            {"urls": ["turns:old.example.com"], "username": "u", "credential": "p"},
        ])
    );
    rig.wait_ms(5_000);
    let later = ask(&mut rig, &session, 3);
    let name = format!("{}:bob", rig.now.wall_us / 1_000_000 + 600);
    assert_eq!(later["payload"]["iceServers"][1]["username"], name.as_str(), "made anew");
}

#[test]
fn without_servers_for_its_application_an_app_hears_404_and_goes_on() {
    for ice in [Vec::new(), vec![server("stun:a.example.com", Some("rival"), Access::Open)]] {
        let mut rig = Rig::new(Config { ice, ..config() });
        let session = rig.connect(1, "bob", "tok");
        let answer = ask(&mut rig, &session, 2);
        assert_eq!(answer["header"]["error_code"], 404);
        assert_eq!(answer["control"]["correlation_id"], "c2");
        let reason = answer["header"]["reason"].as_str().expect("a reason");
        assert!(reason.contains("no ICE servers"), "{reason}");
        assert_eq!(ask(&mut rig, &session, 3)["control"]["correlation_id"], "c3");
    }
}
