//! Tokens sound and forged, claim by claim.

use serde_json::{Value, json};

use super::*;
use crate::push::test_keys::{P256, P256_PUBLIC};

const SECRET: &str = "a secret of at least thirty-two bytes";
const NOW_S: u64 = 1_800_000_000;

fn bearer(key: BearerKey) -> Bearer {
    Bearer { issuer: "https://id".to_owned(), audience: "reveille".to_owned(), key }
}

fn hs256() -> Bearer {
    bearer(BearerKey::hs256(&Secret(SECRET.to_owned())).expect("long enough"))
}

fn token(secret: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn claims() -> Value {
    let (iss, aud) = ("https://id", "reveille");
    json!({ "iss": iss, "aud": aud, "sub": "bob", "exp": NOW_S + 300, "nbf": NOW_S })
}

/// What comes of the claims with this one changed; null takes it out.
fn changed(name: &str, value: Value) -> Result<String, &'static str> {
    let mut claims = claims();
    claims[name] = value;
    said(&token(SECRET, HEADER, &claims.to_string()))
}

fn said(token: &str) -> Result<String, &'static str> {
    hs256().subject(token, Duration::from_secs(NOW_S))
}

#[test]
fn a_sound_token_stands_for_its_subject() {
    let bob = || Ok("bob".to_owned());
    assert_eq!(said(&token(SECRET, HEADER, &claims().to_string())), bob());
    assert_eq!(changed("aud", json!(["other", "reveille"])), bob());
    assert_eq!(changed("nbf", Value::Null), bob());
    assert_eq!(changed("exp", json!(1_800_000_300.5)), bob(), "NumericDate may have fractions");
    assert_eq!(changed("unknown", json!({ "a": [] })), bob());
}

#[test]
fn every_claim_is_checked_and_clocks_may_differ_by_a_minute() {
    let leeway = LEEWAY.as_secs();
    for (name, value, begin) in [
        ("exp", Value::Null, "the token says no end"),
        ("exp", json!(NOW_S - leeway), "the token has expired (exp)"),
        ("exp", json!("never"), "this is no signed JWT"),
        ("nbf", json!(NOW_S + leeway + 1), "the token is not valid yet (nbf)"),
        ("iss", Value::Null, "the token is not of the issuer"),
        ("iss", json!("https://id/"), "the token is not of the issuer"),
        ("aud", Value::Null, "the token is not for this gateway (aud)"),
        ("aud", json!("reveille2"), "the token is not for this gateway (aud)"),
        ("aud", json!([]), "the token is not for this gateway (aud)"),
        ("sub", Value::Null, "the token names no user; it must have sub"),
    ] {
        let said = changed(name, value.clone()).expect_err(name);
        assert!(said.starts_with(begin), "{name} = {value}: {said}");
    }
    assert!(changed("exp", json!(NOW_S - leeway + 1)).is_ok());
    assert!(changed("nbf", json!(NOW_S + leeway)).is_ok());
}

#[test]
fn only_the_configured_algorithm_and_the_issuers_key_are_taken() {
    let claims = claims().to_string();
    let sound = token(SECRET, HEADER, &claims);
    let (signed, _) = sound.rsplit_once('.').expect("three parts");
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let none = format!("{none}.{}.", URL_SAFE_NO_PAD.encode(&claims));
    let algorithm = "the token is not signed by the algorithm that is taken here (alg)";
    for (token, wanted) in [
        (none, algorithm),
        (token(SECRET, r#"{"alg":"ES256"}"#, &claims), algorithm),
        (token(SECRET, r#"{"alg":"hs256"}"#, &claims), algorithm),
        (token(SECRET, r#"{"alg":"HS256","crit":["b64"]}"#, &claims), "the token needs an ext"),
        (token(SECRET, r#"{"alg":"none","alg":"HS256"}"#, &claims), "this is no signed JWT"),
        (token("another secret of thirty-two bytes", HEADER, &claims), "the signature is not"),
        (format!("{signed}."), "the signature is not the issuer's"),
        (signed.to_owned(), "this is no signed JWT"),
        (format!("{sound}="), "this is no signed JWT"),
        (format!("{sound}.{sound}"), "the signature is not the issuer's"),
        (String::new(), "this is no signed JWT"),
        ("x".repeat(MOST_TOKEN + 1), "the token is longer than 4096 bytes"),
    ] {
        let said = said(&token).expect_err(&token);
        assert!(said.starts_with(wanted), "{token}: {said}");
        assert!(said.bytes().all(|b| matches!(b, 0x20..=0x7e) && !matches!(b, b'"' | b'\\')));
    }
    // Whoever knows the public key signs with it as if it were a secret.
    let es256 = bearer(BearerKey::es256(P256_PUBLIC).expect("a key"));
    let confused = token(P256_PUBLIC, HEADER, &claims);
    assert_eq!(es256.subject(&confused, Duration::from_secs(NOW_S)), Err(algorithm));
    let forged = token(P256_PUBLIC, r#"{"alg":"ES256"}"#, &claims);
    let said = es256.subject(&forged, Duration::from_secs(NOW_S));
    assert_eq!(said, Err("the signature is not the issuer's"));
}

#[test]
fn a_key_that_is_none_is_refused_and_none_is_shown() {
    for pem in ["", P256, &P256_PUBLIC.replace("MFkw", "MFkx"), &P256_PUBLIC.replace("PUBLIC", "")]
    {
        let said = BearerKey::es256(pem).expect_err(pem);
        assert!(said.starts_with("no public key of P-256; write one in PEM"), "{said}");
    }
    assert!(BearerKey::hs256(&Secret("x".repeat(31))).is_err());
    assert!(BearerKey::hs256(&Secret("x".repeat(32))).is_ok());
    assert!(!format!("{:?}", hs256()).contains("secret"), "{:?}", hs256());
}

proptest::proptest! {
    #[test]
    fn no_token_panics(text in "[A-Za-z0-9_.=-]{0,200}|.{0,40}", at in 0..400_usize, to in 0..128_u8) {
        assert!(said(&text).is_err());
        let mut sound = token(SECRET, HEADER, &claims().to_string()).into_bytes();
        let at = at.min(sound.len() - 1);
        let is_same = sound[at] == to;
        sound[at] = to;
        let text = String::from_utf8(sound).expect("ASCII");
        proptest::prop_assert_eq!(said(&text).is_ok(), is_same);
    }
}
