//! What tests sign and seal with. The keys are made up and open nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use p256::SecretKey;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::asked::{Asked, Refusal, Rule};
use super::sealed;

/// DER of a `SubjectPublicKeyInfo` of P-256, before the point (RFC 5480 2).
const SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

#[expect(clippy::disallowed_methods, reason = "ring signs with its own randomness only")]
fn random() -> SystemRandom {
    SystemRandom::new()
}

/// The private key whose number is this octet thirty-two times.
pub(super) fn secret(octet: u8) -> SecretKey {
    SecretKey::from_slice(&[octet; 32]).unwrap()
}

/// base64url without padding.
pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Its public half as a PEM block.
pub(super) fn pem(key: &SecretKey) -> String {
    let der = [SPKI.as_slice(), &sealed::point(key)].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

fn parts(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string()), encode(claims.to_string()))
}

/// A token that this key signs with ES256.
pub(super) fn es256(key: &SecretKey, header: &Value, claims: &Value) -> String {
    let (signed, random) = (parts(header, claims), random());
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let (private, public) = (key.to_bytes(), sealed::point(key));
    let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private, &public, &random);
    let signature = pair.unwrap().sign(&random, signed.as_bytes()).unwrap();
    format!("{signed}.{}", encode(signature))
}

/// A token that the made-up service account signs with RS256.
pub(super) fn rs256(header: &Value, claims: &Value) -> String {
    let signed = parts(header, claims);
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("keys/rsa.pem")).unwrap();
    let pair = RsaKeyPair::from_pkcs8(key.secret_der()).unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &random(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", encode(signature))
}

/// A request by POST.
pub(super) fn asked(path: &str, headers: &[(&str, &str)], body: Vec<u8>, wall: Duration) -> Asked {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let (path, body) = (path.to_owned(), Bytes::from(body));
    Asked { method: Method::POST, path, headers: map, body, wall, mono: wall }
}

/// Sets a header, or removes it.
pub(super) fn set(asked: &mut Asked, name: &'static str, value: Option<&str>) {
    asked.headers.remove(name);
    if let Some(value) = value {
        asked.headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
}

/// Holds what a judge said of doctored requests against the rules' names, and asks that every rule
/// was broken at least once.
pub(super) fn hold_all<R, T>(
    rules: &[Rule<R>],
    rows: impl IntoIterator<Item = (&'static str, &'static str, Result<T, Refusal>)>,
) {
    let mut broken = std::collections::BTreeSet::new();
    for (at, (rule, answer, judged)) in rows.into_iter().enumerate() {
        let Err(refusal) = judged else { panic!("row {at}, {rule}: it passed") };
        let found = (refusal.rule, refusal.answer.documented().name);
        assert_eq!(found, (rule, answer), "row {at}: {}", refusal.what);
        assert!(!refusal.what.is_empty(), "row {at}");
        broken.insert(rule);
    }
    for Rule { name, .. } in rules {
        assert!(broken.contains(name), "no row breaks {name}");
    }
}
