use reveille_gateway_core::config::Secret;
use reveille_host::Reading;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

use super::super::test_keys;
use super::*;
use crate::push::Apple;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const MINUTE: u64 = 60;

fn app() -> Application {
    Application {
        id: "com.example.phone".to_owned(),
        credential: Some(Secret(test_keys::P256.to_owned())),
        apple: Apple {
            team_id: "DEF123GHIJ".to_owned(),
            key_id: "ABC123DEFG".to_owned(),
            push_type: PushType::Voip,
        },
        ..Application::default()
    }
}

/// A clock whose wall says so many seconds more than 1,900,000,000 for as many of running.
fn at(seconds: u64) -> Reading {
    let mono = Duration::from_secs(seconds);
    Reading { mono, wall: mono + Duration::from_secs(1_900_000_000) }
}

#[test]
fn a_token_names_key_team_and_time_and_is_signed_by_the_key() {
    let token = Team::of(&app()).expect("a team").token(at(7)).text;
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("three parts") };
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let json = |part: &str| serde_json::from_slice::<Value>(&bytes(part)).expect("JSON");
    assert_eq!(json(header), json!({"alg": "ES256", "kid": "ABC123DEFG"}));
    assert_eq!(json(claims), json!({"iss": "DEF123GHIJ", "iat": 1_900_000_007_u64}));
    let key = super::super::keys::Key::es256(&Secret(test_keys::P256.to_owned())).expect("a key");
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public())
        .verify(format!("{header}.{claims}").as_bytes(), &bytes(signature))
        .expect("the key's signature");
}

#[test]
fn the_gateways_own_payloads_have_every_member() {
    let mut request = crate::push::tests::request("s", Some("u"));
    let wake = &mut request.payload;
    (wake.call_id, wake.initiator) = (Some("c".to_owned()), Some("alice@example.com".to_owned()));
    (wake.target, wake.ttl_s) = (Some("bob@example.com".to_owned()), Some(30));
    wake.incoming =
        serde_json::from_str("{\"package_type\": \"call\", \"header\": {\"x\": 1}}").ok();
    let Value::Object(all) = serde_json::to_value(&request.payload).expect("JSON") else {
        panic!("an object")
    };
    assert_eq!(all.len(), 8);
    for own in OWN.map(template::own) {
        let text = template::body(&own, &request, |_, _| true);
        let mut body: Value = serde_json::from_slice(&text).expect("JSON");
        assert!(body.as_object_mut().expect("an object").remove("aps").is_some());
        assert_eq!(body, Value::Object(all.clone()));
    }
}

#[test]
fn a_push_in_the_last_second_does_not_expire_before_it_is_read() {
    let at = |ms: u64| expiration(Duration::from_millis(1_900_000_000_000 + ms));
    assert_eq!((at(0), at(1), at(999)), (1_900_000_000, 1_900_000_001, 1_900_000_001));
}

#[test]
fn a_token_is_used_between_twenty_and_sixty_minutes() {
    let team = Team::of(&app()).expect("a team");
    let first = team.token(at(0)).text;
    for minute in 0..50 {
        assert_eq!(team.token(at(minute * MINUTE)).text, first, "{minute} min");
    }
    let second = team.token(at(50 * MINUTE)).text;
    assert_ne!(second, first);
    assert_eq!(team.token(at(70 * MINUTE)).text, second);
    // A wall clock that is set forward makes a token old as well.
    let set = Reading { wall: at(140 * MINUTE).wall, ..at(71 * MINUTE) };
    assert_ne!(team.token(set).text, second);
}

#[test]
fn a_stale_token_is_renewed_once_in_twenty_minutes() {
    let team = Team::of(&app()).expect("a team");
    let first = team.token(at(0));
    let second = team.renewed(at(1), &first).expect("made at once");
    assert_ne!(second.text, first.text);
    let shared = team.renewed(at(1), &first).expect("what another push made");
    assert_eq!(shared.text, second.text);
    assert_eq!(team.token(at(2)).text, second.text);
    assert!(team.renewed(at(20 * MINUTE), &second).is_none(), "a wrong clock does not make it ask");
    let third = team.renewed(at(20 * MINUTE + 1), &second).expect("twenty minutes later");
    assert_ne!(third.text, second.text);
    // A renewal in its turn forgets nothing of that.
    let fourth = team.token(at(75 * MINUTE));
    assert!(team.renewed(at(76 * MINUTE), &fourth).is_some());
    assert!(team.renewed(at(77 * MINUTE), &team.token(at(77 * MINUTE))).is_none());
}

#[test]
fn only_a_call_is_voip_and_what_shows_nothing_has_priority_five() {
    let app = app();
    let alert = Apple { push_type: PushType::Alert, ..app.apple.clone() };
    let shown = Application { apple: alert, ..app.clone() };
    for (app, event, wanted) in [
        (&app, "call", ("voip", "10", ".voip")),
        (&shown, "call", ("alert", "10", "")),
        (&app, "message", ("alert", "10", "")),
        (&app, "refresh", ("background", "5", "")),
        (&shown, "refresh", ("background", "5", "")),
    ] {
        assert_eq!(words(push_type(Some(app), event)), wanted, "{event}");
    }
}

#[test]
fn ids_are_uuids_in_lower_case() {
    let host = reveille_host::real::host();
    let id = uuid(&host);
    let shape: String = id.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
    assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    assert_eq!((&id[14..15], id.to_ascii_lowercase()), ("4", id.clone()));
    assert_ne!(id, uuid(&host));
}
