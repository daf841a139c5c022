//! JSON Web Tokens in their compact form (RFC 7515 3.1, 7519), and the keys that verify them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

/// Bytes of an uncompressed point on P-256.
pub(super) const POINT: usize = 65;
/// DER of rsaEncryption, 1.2.840.113549.1.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// DER of id-ecPublicKey, 1.2.840.10045.2.1.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// base64url without padding, as all of this is written.
///
/// # Errors
/// What is wrong with it.
pub(super) fn base64url(text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD.decode(text).map_err(|error| format!("no base64url without padding: {error}"))
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// An uncompressed point on P-256, for ES256.
    P256(Vec<u8>),
    /// A PKCS#1 `RSAPublicKey`, for RS256.
    Rsa(Vec<u8>),
}

impl Key {
    /// Reads `-----BEGIN PUBLIC KEY-----` (RFC 7468 13).
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub(super) fn from_pem(pem: &str) -> Result<Self, String> {
        let wrong = |what: String| {
            format!("the public key is {what}; write a PEM block `PUBLIC KEY` of P-256 or RSA")
        };
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| wrong(format!("no PEM: {error}")))?;
        Self::from_spki(&der).ok_or_else(|| wrong("neither P-256 nor RSA".to_owned()))
    }

    fn from_spki(der: &[u8]) -> Option<Self> {
        let (info, _) = element(0x30, der)?;
        let (algorithm, rest) = element(0x30, info)?;
        let (oid, _) = element(0x06, algorithm)?;
        let (bits, _) = element(0x03, rest)?;
        let (&0, key) = bits.split_first()? else { return None };
        match oid {
            EC => Self::from_point(key).ok(),
            RSA => Some(Self::Rsa(key.to_vec())),
            _ => None,
        }
    }

    /// Takes an uncompressed point.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn from_point(point: &[u8]) -> Result<Self, String> {
        match p256::PublicKey::from_sec1_bytes(point) {
            Ok(_) if point.len() == POINT => Ok(Self::P256(point.to_vec())),
            _ => Err("no uncompressed point of P-256 (65 octets, the first 0x04)".to_owned()),
        }
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::Rsa(_) => "RS256",
        }
    }

    fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        let outcome = match self {
            Self::P256(point) => UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                .verify(signed, signature),
            Self::Rsa(key) => UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key)
                .verify(signed, signature),
        };
        outcome.is_ok()
    }
}

/// The content of a DER element with this tag, and what comes after it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [found, first, rest @ ..] = der else { return None };
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

/// A token that has been taken apart but not verified.
#[derive(Debug, Clone)]
pub(super) struct Jwt {
    header: Value,
    claims: Value,
    signed: String,
    signature: Vec<u8>,
}

impl Jwt {
    /// Takes a token apart.
    ///
    /// # Errors
    /// Which part is wrong.
    pub(super) fn read(compact: &str) -> Result<Self, String> {
        let parts: Vec<_> = compact.splitn(4, '.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err("the token has not three parts; send header.claims.signature".to_owned());
        };
        let object = |name: &str, part: &str| {
            let bytes = base64url(part).map_err(|error| format!("its {name} is {error}"))?;
            match serde_json::from_slice(&bytes) {
                Ok(value @ Value::Object(_)) => Ok(value),
                _ => Err(format!("its {name} is no JSON object")),
            }
        };
        Ok(Self {
            header: object("header", header)?,
            claims: object("claims", claims)?,
            signed: format!("{header}.{claims}"),
            signature: base64url(signature).map_err(|error| format!("its signature is {error}"))?,
        })
    }

    /// A member of the header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// A claim that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// A claim, whatever it is.
    pub(super) fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// A claim that is a whole number of seconds.
    pub(super) fn seconds(&self, name: &str) -> Result<u64, String> {
        let claim = self.claims.get(name).and_then(Value::as_u64);
        claim.ok_or_else(|| format!("`{name}` is no whole number; send seconds since 1970"))
    }

    /// Holds algorithm and signature against the key.
    ///
    /// # Errors
    /// Which of them is wrong.
    pub(super) fn verify(&self, key: &Key) -> Result<(), String> {
        let wanted = key.algorithm();
        if self.header("alg") != Some(wanted) {
            return Err(format!("`alg` is not {wanted}"));
        }
        if !key.verifies(self.signed.as_bytes(), &self.signature) {
            return Err(format!("the signature does not verify; sign with {wanted} and this key"));
        }
        Ok(())
    }
}
