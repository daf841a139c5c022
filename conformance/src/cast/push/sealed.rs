//! Opens a push message as the browser does (RFC 8188 2, RFC 8291 3 and 4).

use p256::{PublicKey, SecretKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

use super::jwt::POINT;

/// Bytes of the salt, of the tag, and of the header before the key id.
const SALT: usize = 16;
const TAG: usize = 16;
const FIXED: usize = SALT + 4 + 1;

/// The one record of a message.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) salt: Vec<u8>,
    /// The sender's public key.
    pub(super) key: Vec<u8>,
    pub(super) sealed: Vec<u8>,
}

impl Record {
    /// Reads the header (RFC 8188 2.1) and checks that it names a P-256 key and one record follows.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let short = || format!("the body has {} bytes, too few for a header", body.len());
        let (fixed, rest) = body.split_at_checked(FIXED).ok_or_else(short)?;
        let length = usize::from(fixed[FIXED - 1]);
        if length != POINT {
            return Err(format!("the key id has {length} octets; send the {POINT} of the key"));
        }
        let (key, sealed) = rest.split_at_checked(length).ok_or_else(short)?;
        let size =
            fixed[SALT..FIXED - 1].iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
        if size < TAG + 2 {
            return Err(format!("the record size is {size}; send at least {}", TAG + 2));
        }
        if sealed.len() > size {
            return Err(format!("more than one record of {size} bytes; send exactly one"));
        }
        if sealed.len() <= TAG {
            return Err("the record has no room for a delimiter and a tag".to_owned());
        }
        PublicKey::from_sec1_bytes(key)
            .map_err(|_| "the key id is no point of P-256".to_owned())?;
        Ok(Self { salt: fixed[..SALT].to_vec(), key: key.to_vec(), sealed: sealed.to_vec() })
    }

    /// Decrypts it with the subscription's keys.
    ///
    /// # Errors
    /// It was sealed for another one, or its padding is wrong.
    pub(super) fn open(&self, own: &SecretKey, auth: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |_| "it does not decrypt with the subscription's keys".to_owned();
        let (key, nonce) = self.keys(own, auth).map_err(failed)?;
        let mut sealed = self.sealed.clone();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = key.open_in_place(nonce, Aad::empty(), &mut sealed).map_err(failed)?;
        let last = opened.iter().rposition(|byte| *byte != 0);
        match last.map(|at| opened.split_at(at)) {
            Some((plaintext, [2, ..])) => Ok(plaintext.to_vec()),
            _ => Err("the last record's delimiter is not 0x02".to_owned()),
        }
    }

    fn keys(
        &self,
        own: &SecretKey,
        auth: &[u8],
    ) -> Result<(LessSafeKey, [u8; 12]), ring::error::Unspecified> {
        let theirs = PublicKey::from_sec1_bytes(&self.key).map_err(|_| ring::error::Unspecified)?;
        let shared = p256::ecdh::diffie_hellman(own.to_nonzero_scalar(), theirs.as_affine());
        let info = [b"WebPush: info\0", point(own).as_slice(), &self.key].concat();
        let mut input = [0_u8; 32];
        derive(auth, shared.raw_secret_bytes(), &info, &mut input)?;
        let (mut key, mut nonce) = ([0_u8; 16], [0_u8; 12]);
        derive(&self.salt, &input, b"Content-Encoding: aes128gcm\0", &mut key)?;
        derive(&self.salt, &input, b"Content-Encoding: nonce\0", &mut nonce)?;
        Ok((LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?), nonce))
    }
}

/// The public half of a key, uncompressed.
pub(super) fn point(own: &SecretKey) -> Vec<u8> {
    p256::EncodedPoint::from(own.public_key()).as_bytes().to_vec()
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF with SHA-256 (RFC 5869).
pub(super) fn derive(
    salt: &[u8],
    secret: &[u8],
    info: &[u8],
    into: &mut [u8],
) -> Result<(), ring::error::Unspecified> {
    let salt = Salt::new(HKDF_SHA256, salt);
    salt.extract(secret).expand(&[info], Length(into.len()))?.fill(into)
}

#[cfg(test)]
mod tests {
    use super::super::jwt::base64url;
    use super::*;

    const BODY: &str = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIg\
        Dll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWy\
        ouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

    /// RFC 8291 appendix A.
    #[test]
    fn the_example_of_rfc_8291_opens() {
        let record = Record::read(&base64url(BODY).unwrap()).unwrap();
        let own = base64url("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94").unwrap();
        let own = SecretKey::from_slice(&own).unwrap();
        let auth = base64url("BTBZMqHH6r4Tts7J_aSIgg").unwrap();
        let opened = record.open(&own, &auth).unwrap();
        assert_eq!(opened, b"When I grow up, I want to be a watermelon");
        assert!(record.open(&own, &auth[1..]).is_err());
        let other = Record { salt: vec![0; SALT], ..record };
        assert!(other.open(&own, &auth).is_err());
    }

    #[test]
    fn a_header_that_is_cut_short_anywhere_is_refused() {
        let body = base64url(BODY).unwrap();
        for length in 0..FIXED + POINT + TAG {
            assert!(Record::read(&body[..length]).is_err(), "{length}");
        }
        assert!(Record::read(&body).is_ok());
    }
}
