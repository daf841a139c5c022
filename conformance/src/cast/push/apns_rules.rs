//! Each rule of APNs broken once, and what may be done up to the limits. Token and id are those of
//! Apple's examples.

use serde_json::json;

use super::super::forge::{asked, es256, hold_all, pem, secret, set};
use super::*;

pub(in super::super) const TOKEN: &str =
    "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";
const ID: &str = "eabeae54-14a8-11e5-b60b-1697f925ec7b";
const NOW: Duration = Duration::from_secs(1_700_000_000);

pub(in super::super) fn names() -> Vec<&'static str> {
    RULES.iter().map(|rule| rule.name).collect()
}

pub(in super::super) fn settings() -> Settings {
    Settings {
        team_id: "DEF123GHIJ".to_owned(),
        keys: [("ABC123DEFG", 1), ("XYZ123DEFG", 2)]
            .map(|(id, octet)| (id.to_owned(), pem(&secret(octet))))
            .into(),
        topics: ["com.example.app".to_owned()].into(),
        token_bytes: default_token_bytes(),
        renew_min_s: default_renew_min(),
    }
}

fn bearer(octet: u8, key_id: &str, team: &str, issued: u64) -> String {
    let header = json!({"alg": "ES256", "kid": key_id});
    let token = es256(&secret(octet), &header, &json!({"iss": team, "iat": issued}));
    format!("bearer {token}")
}

/// A VoIP push as Apple's documents show one.
pub(in super::super) fn healthy(wall: Duration, mono: Duration) -> Asked {
    let own = bearer(1, "ABC123DEFG", "DEF123GHIJ", wall.as_secs() - 60);
    let expiration = (wall.as_secs() + 30).to_string();
    let headers = [
        ("authorization", own.as_str()),
        ("apns-id", ID),
        ("apns-push-type", "voip"),
        ("apns-topic", "com.example.app.voip"),
        ("apns-priority", "10"),
        ("apns-expiration", &expiration),
        ("apns-collapse-id", "call-1"),
    ];
    let body = json!({"aps": {}, "session_id": "S1"}).to_string().into_bytes();
    Asked { mono, ..asked(&format!("/3/device/{TOKEN}"), &headers, body, wall) }
}

struct Fixed;
impl Entropy for Fixed {
    fn fill(&self, into: &mut [u8]) {
        into.fill(7);
    }
}

fn judged(doctor: impl FnOnce(&mut Asked)) -> Result<Granted, Refusal> {
    let mut asked = healthy(NOW, NOW);
    doctor(&mut asked);
    Apns::new(settings()).unwrap().judge(asked, &Seen::default(), &Fixed)
}

/// The answer to a request with this header, or without it.
fn with(name: &'static str, value: Option<&str>) -> Result<Granted, Refusal> {
    judged(|asked| set(asked, name, value))
}

fn signed(octet: u8, key_id: &str, team: &str, issued: u64) -> Result<Granted, Refusal> {
    with("authorization", Some(&bearer(octet, key_id, team, issued)))
}

fn typed(
    kind: &str,
    topic: &str,
    priority: Option<&str>,
    body: &Value,
) -> Result<Granted, Refusal> {
    judged(|asked| {
        set(asked, "apns-push-type", Some(kind));
        set(asked, "apns-topic", Some(topic));
        set(asked, "apns-priority", priority);
        asked.body = body.to_string().into();
    })
}

/// A payload of so many bytes.
fn sized(bytes: usize) -> Bytes {
    let empty = json!({"aps": {}, "x": ""}).to_string().len();
    json!({"aps": {}, "x": "x".repeat(bytes - empty)}).to_string().into()
}

fn payloads() -> Vec<(&'static str, &'static str, Result<Granted, Refusal>)> {
    let topic = "com.example.app";
    let silent = json!({"aps": {"content-available": 1}});
    let body = |body: &'static str| judged(|asked| asked.body = body.into());
    vec![
        ("payload-present", "PayloadEmpty", body("")),
        ("payload-size", "PayloadTooLarge", judged(|asked| asked.body = sized(5_121))),
        (
            "payload-size",
            "PayloadTooLarge",
            judged(|asked| {
                set(asked, "apns-push-type", Some("alert"));
                set(asked, "apns-topic", Some("com.example.app"));
                asked.body = sized(4_097);
            }),
        ),
        ("payload-object", "PayloadEmpty", body("[1]")),
        ("payload-object", "PayloadEmpty", body("{")),
        ("payload-fits-push-type", "InvalidPushType", typed("alert", topic, None, &silent)),
        ("payload-fits-push-type", "InvalidPushType", body(r#"{"aps":1}"#)),
        ("payload-fits-push-type", "InvalidPushType", {
            let shows = json!({"aps": {"content-available": 1, "sound": "s"}});
            typed("background", topic, Some("5"), &shows)
        }),
        ("payload-fits-push-type", "InvalidPushType", {
            typed("liveactivity", "com.example.app.push-type.liveactivity", None, &json!({}))
        }),
    ]
}

#[test]
fn each_rule_broken_once_gives_its_documented_answer() {
    let now = NOW.as_secs();
    let (team, key, topic) = ("DEF123GHIJ", "ABC123DEFG", "com.example.app");
    let path = |path: &'static str| judged(|asked| asked.path = path.to_owned());
    let silent = json!({"aps": {"content-available": 1}});
    let es256_by_hs =
        "bearer eyJhbGciOiJIUzI1NiIsImtpZCI6IkFCQzEyM0RFRkcifQ.eyJpc3MiOiJERUYxMjNHSElKIn0.AA";
    let rows = [
        ("method", "MethodNotAllowed", judged(|asked| asked.method = Method::GET)),
        ("path", "BadPath", path("/3/devices/ab")),
        ("device-token-present", "MissingDeviceToken", path("/3/device/")),
        (
            "headers-once",
            "DuplicateHeaders",
            judged(|asked| {
                asked.headers.append("apns-topic", HeaderValue::from_static("com.example.app"));
            }),
        ),
        ("provider-token-present", "MissingProviderToken", with("authorization", None)),
        ("provider-token-present", "MissingProviderToken", with("authorization", Some("Basic YQ"))),
        ("provider-token-signed", "InvalidProviderToken", with("authorization", Some("bearer x"))),
        ("provider-token-signed", "InvalidProviderToken", with("authorization", Some(es256_by_hs))),
        ("provider-token-signed", "InvalidProviderToken", signed(2, key, team, now)),
        ("provider-token-signed", "InvalidProviderToken", signed(1, "ABC", team, now)),
        ("provider-token-signed", "InvalidProviderToken", signed(1, key, "OTHER", now)),
        ("provider-token-issued", "InvalidProviderToken", signed(1, key, team, now + 1)),
        ("provider-token-fresh", "ExpiredProviderToken", signed(1, key, team, now - 3_601)),
        (
            "one-key-a-connection",
            "UnrelatedKeyIdInToken",
            second(NOW, |asked| {
                set(asked, "authorization", Some(&bearer(2, "XYZ123DEFG", "DEF123GHIJ", now)));
            }),
        ),
        (
            "provider-token-kept",
            "TooManyProviderTokenUpdates",
            second(NOW, |asked| {
                asked.mono += Duration::from_secs(1_199);
                set(asked, "authorization", Some(&bearer(1, "ABC123DEFG", "DEF123GHIJ", now)));
            }),
        ),
        ("device-token", "BadDeviceToken", path("/3/device/abcd")),
        (
            "device-token",
            "BadDeviceToken",
            judged(|asked| {
                asked.path = format!("/3/device/{}", "g".repeat(64));
            }),
        ),
        ("topic-present", "MissingTopic", with("apns-topic", None)),
        ("topic-allowed", "TopicDisallowed", with("apns-topic", Some("com.example.other.voip"))),
        ("topic-allowed", "TopicDisallowed", with("apns-topic", Some("com.example.apps"))),
        ("push-type", "InvalidPushType", with("apns-push-type", None)),
        ("push-type", "InvalidPushType", with("apns-push-type", Some("VoIP"))),
        ("topic-fits-push-type", "BadTopic", with("apns-topic", Some(topic))),
        ("topic-fits-push-type", "BadTopic", with("apns-push-type", Some("background"))),
        ("priority", "BadPriority", with("apns-priority", Some("7"))),
        ("priority", "BadPriority", with("apns-priority", Some("5"))),
        ("priority", "BadPriority", typed("background", topic, Some("10"), &silent)),
        ("priority", "BadPriority", typed("background", topic, None, &silent)),
        ("expiration", "BadExpirationDate", with("apns-expiration", Some("1699999999"))),
        ("expiration", "BadExpirationDate", with("apns-expiration", Some("soon"))),
        ("expiration", "BadExpirationDate", with("apns-expiration", Some("-1"))),
        ("collapse-id", "BadCollapseId", with("apns-collapse-id", Some(&"x".repeat(65)))),
        ("message-id", "BadMessageId", with("apns-id", Some(&ID.to_uppercase()))),
        ("message-id", "BadMessageId", with("apns-id", Some("1"))),
    ];
    hold_all(RULES, rows.into_iter().chain(payloads()));
}

/// The answer to a doctored request on a connection that has made a healthy one.
fn second(at: Duration, doctor: impl FnOnce(&mut Asked)) -> Result<Granted, Refusal> {
    let (apns, seen) = (Apns::new(settings()).unwrap(), Seen::default());
    let mut asked = healthy(at, at);
    apns.judge(asked.clone(), &seen, &Fixed).map_err(|refusal| refusal.what).unwrap();
    doctor(&mut asked);
    apns.judge(asked, &seen, &Fixed)
}

#[test]
fn healthy_requests_pass_up_to_every_limit() {
    let now = NOW.as_secs();
    let granted = judged(|_| {}).map_err(|refusal| refusal.what).unwrap();
    assert_eq!(granted.response.headers()["apns-id"], ID);
    let Parcel { token, until, replaces, manner, .. } = granted.parcel;
    assert_eq!(manner, Manner::apns(Some("voip"), Some("10")));
    assert_eq!((token.as_str(), until), (TOKEN, Some(NOW + Duration::from_secs(30))));
    assert_eq!(replaces.as_deref(), Some("call-1"));
    let silent = json!({"aps": {"content-available": 1}});
    let passes = [
        judged(|asked| asked.body = sized(5_120)),
        signed(1, "ABC123DEFG", "DEF123GHIJ", now - 3_600),
        signed(1, "ABC123DEFG", "DEF123GHIJ", now),
        with("apns-collapse-id", Some(&"x".repeat(64))),
        with("apns-expiration", Some("0")),
        with("apns-priority", None),
        with("apns-id", None),
        typed("background", "com.example.app", Some("5"), &silent),
        typed("alert", "com.example.app", Some("5"), &json!({"aps": {"alert": "a"}})),
        second(NOW, |_| {}),
        second(NOW, |asked| {
            asked.mono += Duration::from_secs(1_200);
            set(asked, "authorization", Some(&bearer(1, "ABC123DEFG", "DEF123GHIJ", now)));
        }),
    ];
    for (at, judged) in passes.into_iter().enumerate() {
        let granted = judged.unwrap_or_else(|refusal| panic!("{at}: {}", refusal.what));
        assert!(is_uuid(granted.response.headers()["apns-id"].as_bytes()), "{at}");
    }
}

#[test]
fn a_push_that_expires_at_once_does_not_wait() {
    let granted = with("apns-expiration", Some("0")).map_err(|refusal| refusal.what).unwrap();
    assert_eq!(granted.parcel.until, Some(NOW));
}
