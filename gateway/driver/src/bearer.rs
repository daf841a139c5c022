//! Bearer tokens at the upgrade (RFC 6750): a JSON Web Token (RFC 7519) of one issuer, signed by one
//! algorithm, stands for the user that it names.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reveille_gateway_core::config::Secret;
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// The longest token, in bytes.
pub(crate) const MOST_TOKEN: usize = 4 * 1_024;
/// How far the issuer's clock may be from ours.
const LEEWAY: Duration = Duration::from_secs(60);
/// The shortest secret of HS256, in bytes (RFC 7518 section 3.2).
const LEAST_SECRET: usize = 32;
/// What stands before the point in a public key of P-256 (RFC 5480).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Whose tokens are taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Bearer {
    /// What `iss` must say.
    pub issuer: String,
    /// What `aud` must hold.
    pub audience: String,
    /// What signatures are checked by.
    pub key: BearerKey,
}

/// What signatures are checked by; it belongs to one algorithm. It shows nothing of itself.
#[derive(Clone)]
pub struct BearerKey {
    kind: Kind,
    /// Tells one key from another without showing either.
    print: Vec<u8>,
}

impl PartialEq for BearerKey {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm() == other.algorithm() && self.print == other.print
    }
}

#[derive(Clone)]
enum Kind {
    /// An uncompressed point.
    Es256(Vec<u8>),
    Hs256(hmac::Key),
}

impl fmt::Debug for BearerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BearerKey").field(&self.algorithm()).finish()
    }
}

impl BearerKey {
    /// A public key of P-256, in PEM.
    ///
    /// # Errors
    /// It is none; says what to write instead.
    pub fn es256(pem: &str) -> Result<Self, String> {
        let what =
            "no public key of P-256; write one in PEM, which begins -----BEGIN PUBLIC KEY-----";
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| what)?;
        let point = der.as_ref().strip_prefix(&P256).ok_or(what)?;
        let sound = point.len() == 65 && point[0] == 4;
        sound.then(|| Self::new(Kind::Es256(point.to_vec()), point)).ok_or_else(|| what.to_owned())
    }

    /// A secret of at least 32 bytes.
    ///
    /// # Errors
    /// It is shorter.
    pub fn hs256(secret: &Secret) -> Result<Self, String> {
        if secret.0.len() < LEAST_SECRET {
            let what = "the secret is too short (RFC 7518 3.2); write at least 32 bytes";
            return Err(what.to_owned());
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.0.as_bytes());
        Ok(Self::new(Kind::Hs256(key), secret.0.as_bytes()))
    }

    fn new(kind: Kind, material: &[u8]) -> Self {
        Self { kind, print: digest(&SHA256, material).as_ref().to_vec() }
    }

    const fn algorithm(&self) -> &'static str {
        match self.kind {
            Kind::Es256(_) => "ES256",
            Kind::Hs256(_) => "HS256",
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.kind {
            Kind::Es256(point) => {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                key.verify(message, signature).is_ok()
            }
            Kind::Hs256(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    aud: Option<Audience>,
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn holds(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
}

impl Bearer {
    /// Whom a token stands for, at this time of the wall clock; else what is wrong with it, in words
    /// that may stand in a header.
    pub(crate) fn subject(&self, token: &str, now: Duration) -> Result<String, &'static str> {
        if token.len() > MOST_TOKEN {
            return Err("the token is longer than 4096 bytes; ask for a shorter one");
        }
        let unread =
            "this is no signed JWT (RFC 7519 3); show header.claims.signature in base64url";
        let (signed, signature) = token.rsplit_once('.').ok_or(unread)?;
        let (header, claims) = signed.split_once('.').ok_or(unread)?;
        let header: Header = part(header).ok_or(unread)?;
        if header.alg != self.key.algorithm() {
            return Err("the token is not signed by the algorithm that is taken here (alg)");
        }
        if header.crit.is_some() {
            return Err("the token needs an extension that is not known here (crit)");
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| unread)?;
        if !self.key.has_signed(signed.as_bytes(), &signature) {
            return Err("the signature is not the issuer's");
        }
        self.judge(&part(claims).ok_or(unread)?, now)
    }

    /// Claims that the issuer has signed.
    fn judge(&self, claims: &Claims, now: Duration) -> Result<String, &'static str> {
        let (now, leeway) = (now.as_secs_f64(), LEEWAY.as_secs_f64());
        let until = claims.exp.ok_or("the token says no end; it must have exp")?;
        if now >= until + leeway {
            return Err("the token has expired (exp); ask for a new one");
        }
        if claims.nbf.is_some_and(|from| now < from - leeway) {
            return Err("the token is not valid yet (nbf)");
        }
        if claims.iss.as_ref() != Some(&self.issuer) {
            return Err("the token is not of the issuer that is taken here (iss)");
        }
        if !claims.aud.as_ref().is_some_and(|aud| aud.holds(&self.audience)) {
            return Err("the token is not for this gateway (aud)");
        }
        claims.sub.clone().ok_or("the token names no user; it must have sub")
    }
}

/// A part of a token: base64url of JSON.
fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
