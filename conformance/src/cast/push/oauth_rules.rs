//! Each rule of the token endpoint broken once, and the life of a bearer.

use serde_json::Value;

use super::super::forge::{asked, hold_all, rs256, set};
use super::*;

const NOW: Duration = Duration::from_secs(1_700_000_000);

pub(in super::super) fn names() -> Vec<&'static str> {
    RULES.iter().map(|rule| rule.name).collect()
}

fn claims(wall: Duration) -> Value {
    let now = wall.as_secs();
    json!({
        "iss": "push@demo.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://push:9443/token",
        "iat": now,
        "exp": now + 3_600,
    })
}

fn grant(claims: &Value, wall: Duration) -> Asked {
    let assertion = rs256(&json!({"alg": "RS256", "typ": "JWT"}), claims);
    let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
    let body = format!("grant_type={grant}&assertion={assertion}").into_bytes();
    asked("/token", &[("content-type", "application/x-www-form-urlencoded")], body, wall)
}

pub(in super::super) fn healthy(wall: Duration) -> Asked {
    grant(&claims(wall), wall)
}

fn judged(doctor: impl FnOnce(&mut Asked)) -> Result<(), Refusal> {
    let mut asked = healthy(NOW);
    doctor(&mut asked);
    OAuth::new(super::super::fcm::tests::settings()).unwrap().judge(asked)
}

fn claiming(name: &str, value: Value) -> Result<(), Refusal> {
    let mut claims = claims(NOW);
    claims[name] = value;
    judged(|asked| *asked = grant(&claims, NOW))
}

fn body(from: &str, to: &str) -> Result<(), Refusal> {
    judged(|asked| {
        let body = String::from_utf8(asked.body.to_vec()).unwrap();
        assert!(body.contains(from));
        asked.body = body.replacen(from, to, 1).into();
    })
}

#[test]
fn each_rule_broken_once_gives_its_documented_answer() {
    let now = NOW.as_secs();
    let rows = [
        ("method", "invalid_request", judged(|asked| asked.method = Method::GET)),
        (
            "form",
            "invalid_request",
            judged(|asked| {
                set(asked, "content-type", Some("application/json"));
            }),
        ),
        ("grant-type", "unsupported_grant_type", body("jwt-bearer", "saml2-bearer")),
        ("assertion-present", "invalid_request", body("&assertion=", "&other=")),
        ("issuer", "invalid_grant", claiming("iss", json!("other@demo"))),
        ("issuer", "invalid_grant", body("&assertion=", "&assertion=x")),
        (
            "signature",
            "invalid_grant",
            judged(|asked| {
                let mut body = asked.body.to_vec();
                // In the middle of the signature.
                let at = body.len() - 100;
                body[at] = if body[at] == b'A' { b'B' } else { b'A' };
                asked.body = body.into();
            }),
        ),
        ("audience", "invalid_grant", claiming("aud", json!("https://oauth2.example/token"))),
        ("issued", "invalid_grant", claiming("iat", json!(now + 1))),
        ("issued", "invalid_grant", claiming("iat", json!("now"))),
        ("expires", "invalid_grant", claiming("exp", json!(now + 3_601))),
        ("expires", "invalid_grant", claiming("exp", json!(now))),
        ("scope", "invalid_scope", claiming("scope", json!("email"))),
    ];
    hold_all(RULES, rows);
    assert!(judged(|_| {}).is_ok());
}

#[test]
fn a_bearer_is_known_until_its_time_is_over() {
    struct Fixed;
    impl Entropy for Fixed {
        fn fill(&self, into: &mut [u8]) {
            into.fill(7);
        }
    }
    let oauth = OAuth::new(super::super::fcm::tests::settings()).unwrap();
    drop(oauth.give(NOW, &Fixed));
    let bearer = format!("ya29.{}", URL_SAFE_NO_PAD.encode([7; 32]));
    assert!(oauth.knows(&bearer, NOW + Duration::from_secs(3_598)));
    assert!(!oauth.knows(&bearer, NOW + Duration::from_secs(3_599)));
    assert!(!oauth.knows("ya29.other", NOW));
}

#[test]
fn a_form_is_unescaped() {
    let form = form(b"a=1%2B1&b=x+y&c&d=%zz&a=2&e=%4");
    let of = |name: &str| form.get(name).map(String::as_str);
    assert_eq!((of("a"), of("b"), of("c")), (Some("1+1"), Some("x y"), Some("")));
    assert_eq!((of("d"), of("e")), (Some("%zz"), Some("%4")));
}
