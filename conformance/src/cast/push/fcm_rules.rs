//! Each rule of FCM broken once, and what may be done up to the limits.

use super::super::forge::{asked, hold_all, set};
use super::*;

pub(in super::super) const TOKEN: &str = "bk3RNwTe3H0:CI2k_HHwgIpoDKCIZvvDMExUdFQ3P1";
const NOW: Duration = Duration::from_secs(1_700_000_000);

pub(in super::super) fn names() -> Vec<&'static str> {
    RULES.iter().map(|rule| rule.name).collect()
}

pub(in super::super) fn settings() -> Settings {
    Settings {
        project: "demo".to_owned(),
        client_email: "push@demo.iam.gserviceaccount.com".to_owned(),
        public_key: include_str!("keys/rsa.pub.pem").to_owned(),
        token_uri: "https://push:9443/token".to_owned(),
        bearer_life_s: default_bearer_life(),
        foreign_tokens: ["of-another-sender".to_owned()].into(),
    }
}

struct Fixed;
impl Entropy for Fixed {
    fn fill(&self, into: &mut [u8]) {
        into.fill(7);
    }
}

fn message() -> Value {
    json!({"message": {
        "token": TOKEN,
        "data": {"session_id": "S1", "event": "call"},
        "android": {"priority": "HIGH", "ttl": "30s"},
    }})
}

pub(in super::super) fn healthy(wall: Duration, bearer: &str) -> Asked {
    let bearer = format!("Bearer {bearer}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    asked("/v1/projects/demo/messages:send", &headers, message().to_string().into_bytes(), wall)
}

fn judged(doctor: impl FnOnce(&mut Asked)) -> Result<Granted, Refusal> {
    let fcm = Fcm::new(settings()).unwrap();
    drop(fcm.oauth.give(NOW, &Fixed));
    let bearer = "ya29.BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    let mut asked = healthy(NOW, bearer);
    doctor(&mut asked);
    fcm.judge(asked, &Fixed)
}

/// The answer to a message with this member, or without it.
fn with(pointer: &str, name: &str, value: Value) -> Result<Granted, Refusal> {
    let mut body = message();
    let members = body.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => drop(members.remove(name)),
        value => drop(members.insert(name.to_owned(), value)),
    }
    judged(|asked| asked.body = body.to_string().into())
}

#[test]
fn each_rule_broken_once_gives_its_documented_answer() {
    let bad = "INVALID_ARGUMENT";
    let body = |body: &'static str| judged(|asked| asked.body = body.into());
    let data = |name: &str, value| with("/message/data", name, value);
    let android = |name: &str, value| with("/message/android", name, value);
    let top = |name: &str, value| with("/message", name, value);
    let rows = [
        ("method-and-path", "NOT_FOUND", judged(|asked| asked.method = Method::GET)),
        (
            "method-and-path",
            "NOT_FOUND",
            judged(|asked| {
                asked.path = "/v1/projects/other/messages:send".to_owned();
            }),
        ),
        ("bearer", "UNAUTHENTICATED", judged(|asked| set(asked, "authorization", None))),
        (
            "bearer",
            "UNAUTHENTICATED",
            judged(|asked| {
                set(asked, "authorization", Some("Bearer ya29.old"));
            }),
        ),
        ("bearer", "UNAUTHENTICATED", judged(|asked| asked.mono += Duration::from_secs(3_599))),
        ("content-type", bad, judged(|asked| set(asked, "content-type", Some("text/plain")))),
        ("content-type", bad, judged(|asked| set(asked, "content-type", None))),
        ("json", bad, body("{")),
        ("json", bad, body("[]")),
        ("message-present", bad, body("{}")),
        ("known-fields", bad, top("notifcation", json!({}))),
        ("known-fields", bad, android("time_to_live", json!(3))),
        ("known-fields", bad, top("android", json!("high"))),
        ("known-fields", bad, with("", "to", json!(TOKEN))),
        ("one-target", bad, top("token", Value::Null)),
        ("one-target", bad, top("topic", json!("news"))),
        ("token-well-formed", "INVALID_REGISTRATION", top("token", json!(""))),
        ("token-well-formed", "INVALID_REGISTRATION", top("token", json!("a b"))),
        ("token-well-formed", "INVALID_REGISTRATION", top("token", json!(7))),
        ("token-of-this-sender", "SENDER_ID_MISMATCH", top("token", json!("of-another-sender"))),
        ("data-strings", bad, data("n", json!(1))),
        ("data-strings", bad, android("data", json!({"n": true}))),
        ("data-strings", bad, top("data", json!("text"))),
        ("data-keys", bad, data("from", json!("x"))),
        ("data-keys", bad, data("message_type", json!("x"))),
        ("data-keys", bad, data("google.c", json!("x"))),
        ("data-keys", bad, data("gcm", json!("x"))),
        ("data-keys", bad, android("data", json!({"gcm.x": "x"}))),
        ("ttl", bad, android("ttl", json!("30"))),
        ("ttl", bad, android("ttl", json!(30))),
        ("ttl", bad, android("ttl", json!("-1s"))),
        ("ttl", bad, android("ttl", json!(".5s"))),
        ("ttl", bad, android("ttl", json!("2419201s"))),
        ("ttl", bad, android("ttl", json!("2419200.1s"))),
        ("priority", bad, android("priority", json!("High"))),
        ("priority", bad, android("priority", json!(10))),
        ("size", bad, top("data", json!({"k": "x".repeat(4_096)}))),
        ("size", bad, {
            let mut body = message();
            body["message"] = json!({"topic": "news", "data": {"k": "x".repeat(2_048)}});
            judged(|asked| asked.body = body.to_string().into())
        }),
    ];
    hold_all(RULES, rows);
}

#[test]
fn healthy_requests_pass_up_to_every_limit() {
    let granted = judged(|_| {}).map_err(|refusal| refusal.what).unwrap();
    let Parcel { token, until, payload, manner, .. } = granted.parcel;
    assert_eq!(manner, Manner::data(true));
    let normal = with("/message/android", "priority", json!("normal")).map(|g| g.parcel.manner);
    assert_eq!(normal.map_err(|refusal| refusal.what), Ok(Manner::data(false)));
    assert_eq!((token.as_str(), until), (TOKEN, Some(NOW + Duration::from_secs(30))));
    assert_eq!(payload, r#"{"event":"call","session_id":"S1"}"#);
    let passes = [
        with("/message/android", "ttl", json!("0s")),
        with("/message/android", "ttl", json!("3.5s")),
        with("/message/android", "ttl", json!("2419200s")),
        with("/message/android", "priority", json!("normal")),
        with("/message", "android", Value::Null),
        with("/message", "data", json!({"k": "x".repeat(4_095)})),
        judged(|asked| set(asked, "content-type", Some("application/json; charset=UTF-8"))),
    ];
    for (at, judged) in passes.into_iter().enumerate() {
        judged.unwrap_or_else(|refusal| panic!("{at}: {}", refusal.what));
    }
    assert_eq!(duration("3.5s"), Ok(Duration::from_millis(3_500)));
}

#[test]
fn a_trial_is_for_no_phone() {
    let granted = with("", "validate_only", json!(true)).map_err(|refusal| refusal.what).unwrap();
    assert_eq!(granted.parcel.token, "");
    let granted = with("", "validate_only", json!(false)).map_err(|refusal| refusal.what).unwrap();
    assert_eq!(granted.parcel.token, TOKEN);
}
