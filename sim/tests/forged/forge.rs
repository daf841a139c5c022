//! A request's parts, found in the request itself; the request without one of them, signed anew.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Map, Value};

/// A request as the gateway sent it.
#[derive(Debug, Clone)]
pub(crate) struct Captured {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[expect(clippy::disallowed_methods, reason = "ring signs with its own randomness only")]
fn random() -> SystemRandom {
    SystemRandom::new()
}

fn der(pem: &str) -> Vec<u8> {
    let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(lines).expect("a PEM block")
}

/// The signature of whoever signs by this algorithm.
fn sign(text: &str, is_rsa: bool) -> Vec<u8> {
    if is_rsa {
        let pair = RsaKeyPair::from_pkcs8(&der(include_str!("../../src/keys/rsa.pem")));
        let pair = pair.expect("a key");
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &random(), text.as_bytes(), &mut signature).expect("signed");
        return signature;
    }
    let (der, random) = (der(include_str!("../../src/keys/p256.pem")), random());
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random);
    pair.expect("a key").sign(&random, text.as_bytes()).expect("signed").as_ref().to_vec()
}

/// A JSON Web Token, taken apart.
struct Jwt {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    is_rsa: bool,
}

impl Jwt {
    fn read(compact: &str) -> Option<Self> {
        let parts: Vec<_> = compact.split('.').collect();
        let [header, claims, _] = parts[..] else { return None };
        let object = |part: &str| -> Option<Map<String, Value>> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let header = object(header)?;
        let is_rsa = header.get("alg")? == "RS256";
        Some(Self { claims: object(claims)?, header, is_rsa })
    }

    fn parts(&self) -> impl Iterator<Item = String> {
        let header = self.header.keys().map(|name| format!("jwt.header.{name}"));
        header.chain(self.claims.keys().map(|name| format!("jwt.claims.{name}")))
    }

    /// Signed without this member.
    fn without(mut self, part: &str) -> String {
        let gone = match part.split_once('.').expect("header or claims") {
            ("header", name) => self.header.remove(name),
            (_, name) => self.claims.remove(name),
        };
        assert!(gone.is_some(), "no {part}");
        let part = |of: Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(of).to_string());
        let text = format!("{}.{}", part(self.header), part(self.claims));
        let signature = URL_SAFE_NO_PAD.encode(sign(&text, self.is_rsa));
        format!("{text}.{signature}")
    }
}

impl Captured {
    fn authorization(&self) -> Option<&str> {
        self.headers.get(AUTHORIZATION)?.to_str().ok()
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    fn form(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok().filter(|body| body.contains("grant_type="))
    }

    /// The token that is shown: of a scheme's credentials, or of a form.
    fn compact(&self) -> Option<&str> {
        if let Some(form) = self.form() {
            return form.split('&').find_map(|pair| pair.strip_prefix("assertion="));
        }
        let (scheme, credentials) = self.authorization()?.split_once(' ')?;
        if scheme != "vapid" {
            return Some(credentials);
        }
        credentials.split(", ").find_map(|pair| pair.strip_prefix("t="))
    }
}

/// Paths of the members of an object, and of those below them.
fn members(path: &str, value: &Value) -> Vec<String> {
    let Value::Object(members_of) = value else { return Vec::new() };
    let below = |(name, value): (&String, &Value)| {
        let path = format!("{path}.{name}");
        std::iter::once(path.clone()).chain(members(&path, value)).collect::<Vec<_>>()
    };
    members_of.iter().flat_map(below).collect()
}

/// Every part of a request, sorted.
pub(crate) fn parts(request: &Captured) -> Vec<String> {
    let mut parts: Vec<String> = request.headers.keys().map(ToString::to_string).collect();
    if request.authorization().is_some_and(|value| value.starts_with("vapid ")) {
        parts.extend(["vapid.t".to_owned(), "vapid.k".to_owned()]);
    }
    parts.extend(request.compact().and_then(Jwt::read).iter().flat_map(Jwt::parts));
    match (request.form(), request.json()) {
        (Some(form), _) => {
            let names = form.split('&').filter_map(|pair| pair.split_once('='));
            parts.extend(names.map(|(name, _)| format!("form.{name}")));
        }
        (None, Some(json)) => parts.extend(members("body", &json)),
        (None, None) => parts.push("body".to_owned()),
    }
    parts.sort();
    parts
}

/// The request without one of its parts.
pub(crate) fn without(request: &Captured, part: &str) -> Captured {
    let mut doctored = request.clone();
    if let Some(member) = part.strip_prefix("jwt.") {
        let old = request.compact().expect("it shows a token");
        let new = Jwt::read(old).expect("a token").without(member);
        replace(&mut doctored, old, &new);
    } else if let Some(name) = part.strip_prefix("vapid.") {
        let shown = request.authorization().expect("credentials");
        let pairs = shown.trim_start_matches("vapid ").split(", ");
        let kept: Vec<_> = pairs.filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
        replace(&mut doctored, shown, &format!("vapid {}", kept.join(", ")));
    } else if let Some(name) = part.strip_prefix("form.") {
        let pairs = request.form().expect("a form").split('&');
        let kept: Vec<_> = pairs.filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
        doctored.body = kept.join("&").into();
    } else if let Some(path) = part.strip_prefix("body.") {
        let mut json = request.json().expect("JSON");
        let (above, name) = path.rsplit_once('.').unwrap_or(("", path));
        let pointer: String =
            above.split('.').filter(|n| !n.is_empty()).flat_map(|n| ["/", n]).collect();
        let object = json.pointer_mut(&pointer).and_then(Value::as_object_mut);
        assert!(object.expect("an object").remove(name).is_some(), "no {part}");
        doctored.body = json.to_string().into();
    } else if part == "body" {
        doctored.body = Bytes::new();
    } else {
        assert!(doctored.headers.remove(part).is_some(), "no {part}");
    }
    if part != "content-length" && doctored.headers.contains_key("content-length") {
        doctored.headers.insert("content-length", HeaderValue::from(doctored.body.len()));
    }
    doctored
}

/// Replaces a text where it stands: in the credentials, or in the form.
fn replace(request: &mut Captured, old: &str, new: &str) {
    if let Some(form) = request.form() {
        request.body = form.replace(old, new).into();
        return;
    }
    let shown = request.authorization().expect("credentials").replace(old, new);
    let value = HeaderValue::try_from(shown).expect("a header value");
    request.headers.insert(AUTHORIZATION, value);
}
