//! Message encryption for Web Push (RFC 8291) in one record of aes128gcm (RFC 8188).

use reveille_host::Host;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use super::super::keys::random;

/// The record size that is written; one record holds every message.
const RECORD: u32 = 4_096;
/// An uncompressed point of P-256.
const POINT: usize = 65;
/// Ends the last record (RFC 8188 section 2).
const LAST: u8 = 2;

/// Whoever decrypts: a browser's public key and its authentication secret.
pub(super) struct Receiver {
    point: Vec<u8>,
    auth: [u8; 16],
}

impl Receiver {
    /// `None` unless both have the lengths of RFC 8291 section 2.
    pub(super) fn new(point: Vec<u8>, auth: &[u8]) -> Option<Self> {
        let auth = auth.try_into().ok()?;
        (point.len() == POINT && point[0] == 4).then_some(Self { point, auth })
    }
}

/// Encrypts with a fresh key and a fresh salt.
pub(super) fn encrypt(host: &Host, to: &Receiver, text: &[u8]) -> Result<Vec<u8>, String> {
    let mut salt = [0; 16];
    host.entropy.fill(&mut salt);
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &random());
    let own = own.expect("the system gives random bytes");
    let point = own.compute_public_key().expect("an own key has a public half");
    let peer = UnparsedPublicKey::new(&ECDH_P256, &to.point);
    agree_ephemeral(own, &peer, |secret| seal(secret, point.as_ref(), to, &salt, text))
        .map_err(|_| "the subscription's p256dh is no point of P-256".to_owned())
}

/// The deterministic rest: the body of RFC 8291 from a shared secret, the sender's public key and a
/// salt.
fn seal(secret: &[u8], own: &[u8], to: &Receiver, salt: &[u8; 16], text: &[u8]) -> Vec<u8> {
    let mut input = [0; 32];
    let key = Salt::new(HKDF_SHA256, &to.auth).extract(secret);
    derive(&key, &[b"WebPush: info\0", &to.point, own], &mut input);
    let key = Salt::new(HKDF_SHA256, salt).extract(&input);
    let (mut content, mut nonce) = ([0; 16], [0; 12]);
    derive(&key, &[b"Content-Encoding: aes128gcm\0"], &mut content);
    derive(&key, &[b"Content-Encoding: nonce\0"], &mut nonce);

    let mut record = text.to_vec();
    record.push(LAST);
    let key = UnboundKey::new(&AES_128_GCM, &content).expect("a key of AES-128 has 16 bytes");
    let nonce = Nonce::assume_unique_for_key(nonce);
    let sealed = LessSafeKey::new(key).seal_in_place_append_tag(nonce, Aad::empty(), &mut record);
    sealed.expect("a message is far shorter than AES-GCM allows");

    let length = u8::try_from(own.len()).expect("a point has 65 bytes");
    let size = RECORD.to_be_bytes();
    [&salt[..], &size[..], &[length], own, &record].concat()
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive(key: &Prk, info: &[&[u8]], into: &mut [u8]) {
    let derived = key.expand(info, Length(into.len())).and_then(|okm| okm.fill(into));
    derived.expect("HKDF gives up to 8,160 bytes");
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).expect("base64url")
    }

    /// RFC 8291 section 5 and Appendix A. ring makes ephemeral keys itself, so the shared secret of
    /// the appendix stands in for the agreement; what ring agrees on is decrypted by another
    /// implementation in `tests/push_providers/webpush.rs`.
    #[test]
    fn the_example_of_rfc_8291_comes_out_octet_by_octet() {
        let point = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6S\
                     RpkNtoIAiw4";
        let to = Receiver::new(bytes(point), &bytes("BTBZMqHH6r4Tts7J_aSIgg")).expect("keys");
        let own = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBr\
                   u3jl7A8";
        let secret = bytes("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs");
        let salt: [u8; 16] = bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().expect("16 bytes");
        let text = b"When I grow up, I want to be a watermelon";
        let body = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3\
                    vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuw\
                    XPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        let sealed = seal(&secret, &bytes(own), &to, &salt, text);
        assert_eq!(URL_SAFE_NO_PAD.encode(sealed), body);
    }

    #[test]
    fn the_longest_payload_fills_4096_octets() {
        let to = Receiver::new([&[4][..], &[7; 64]].concat(), &[1; 16]).expect("lengths");
        let text = vec![b'x'; super::super::MOST_PAYLOAD];
        assert_eq!(seal(&[9; 32], &[4; 65], &to, &[2; 16], &text).len(), 4_096);
    }

    #[test]
    fn keys_of_other_lengths_are_none() {
        let point = [&[4][..], &[7; 64]].concat();
        assert!(Receiver::new(point.clone(), &[0; 15]).is_none());
        assert!(Receiver::new(point[..64].to_vec(), &[0; 16]).is_none());
        assert!(Receiver::new([3; 65].to_vec(), &[0; 16]).is_none());
        assert!(Receiver::new(Vec::new(), &[]).is_none());
        // On the wire of RFC 8291 a point is checked only when it is used.
        let host = reveille_host::real::host();
        let off_curve = Receiver::new(point, &[0; 16]).expect("lengths");
        assert!(encrypt(&host, &off_curve, b"x").is_err());
    }
}
