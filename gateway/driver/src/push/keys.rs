//! Private keys that sign JSON Web Tokens (RFC 7515, RFC 7518), and the one place where ring draws
//! random bits of its own.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reveille_gateway_core::config::Secret;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Serialize;

/// What ring asks for wherever it signs or agrees on a key.
///
/// Its trait is sealed, so the host's entropy cannot stand in. What comes of these bits is a
/// signature, an ephemeral key or ciphertext: of fixed length, and never in a trace.
#[expect(
    clippy::disallowed_methods,
    reason = "ring takes no randomness but its own; see above for why simulation bears it"
)]
pub(super) fn random() -> SystemRandom {
    SystemRandom::new()
}

/// A key that signs. It shows nothing of itself.
pub(super) enum Key {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(key)")
    }
}

fn der(pem: &str) -> Result<PrivatePkcs8KeyDer<'static>, String> {
    PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
        "no private key; write PKCS#8 in PEM, which begins -----BEGIN PRIVATE KEY-----".to_owned()
    })
}

impl Key {
    /// A key of P-256, from PKCS#8 in PEM.
    pub(super) fn es256(pem: &Secret) -> Result<Self, String> {
        let der = der(&pem.0)?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let read = EcdsaKeyPair::from_pkcs8(algorithm, der.secret_pkcs8_der(), &random());
        read.map(Self::Es256).map_err(|error| {
            format!("the key cannot sign ES256 ({error}); write a P-256 key with its public half")
        })
    }

    /// A key of RSA with at least 2,048 bits, from PKCS#8 in PEM.
    pub(super) fn rs256(pem: &Secret) -> Result<Self, String> {
        let read = RsaKeyPair::from_pkcs8(der(&pem.0)?.secret_pkcs8_der());
        read.map(Self::Rs256).map_err(|error| {
            format!("the key cannot sign RS256 ({error}); write an RSA key of 2048 bits or more")
        })
    }

    /// The public half: of ES256 an uncompressed point, of RS256 DER.
    pub(super) fn public(&self) -> &[u8] {
        match self {
            Self::Es256(pair) => pair.public_key().as_ref(),
            Self::Rs256(pair) => pair.public_key().as_ref(),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256(pair) => {
                let signed = pair.sign(&random(), message);
                signed.expect("the system gives random bytes").as_ref().to_vec()
            }
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random(), message, &mut signature);
                signed.expect("the buffer has the length of the modulus");
                signature
            }
        }
    }

    /// A signed token of this header and these claims.
    pub(super) fn token(&self, header: &impl Serialize, claims: &impl Serialize) -> String {
        let input = unsigned(header, claims);
        let signature = URL_SAFE_NO_PAD.encode(self.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }
}

/// What is signed: header and claims.
pub(super) fn unsigned(header: &impl Serialize, claims: &impl Serialize) -> String {
    format!("{}.{}", part(header), part(claims))
}

fn part(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).expect("plain data with text keys");
    URL_SAFE_NO_PAD.encode(json)
}
