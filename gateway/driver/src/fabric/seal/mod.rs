//! Records sealed at rest (AES-256-GCM). Whoever reads the file sees ids of sessions and
//! subsessions, epochs and lengths, and nothing else.
//!
//! A sealed record is: the format's version, the length of the key's id, that id, a salt of 16 bytes,
//! a nonce of 12, the ciphertext, and its tag of 16. What seals is derived from key and salt
//! (HKDF-SHA256), and a salt serves 2^30 records of one process, so that random nonces never come
//! near the bound of AES-GCM, however long a key is in use. The place of a record is sealed with it:
//! copied to another row, it does not open. The rows of a journal are sealed in the same way.

mod key;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use reveille_gateway_core::record::is_record;
use reveille_host::Entropy;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;

#[cfg(test)]
pub(super) use key::test_key;
pub use key::{SealKey, Sealing};
pub(super) use key::{beside, choose};

use super::FabricError;

/// The first byte of a sealed record. No record in clear begins with it.
const VERSION: u8 = 1;
const SALT_LEN: usize = 16;
const TAG_LEN: usize = 16;
/// Records that one salt serves.
const MOST_OF_A_SALT: u64 = 1 << 30;
/// Nonces drawn at once.
const NONCES: usize = 64;
/// Derived keys that are kept; each start of the gateway has left one.
const MOST_DERIVED: usize = 64;
/// What the derived keys are for.
const PURPOSE: &[u8] = b"reveille fabric record, version 1";

/// The kind of a row of a journal.
pub(super) const ROW: &str = "journal";

/// The row of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// `session`, `call` or `message`, or [`ROW`].
    pub(super) kind: &'static str,
    /// The number of a row of the journal.
    pub(super) session: &'a str,
    /// Empty for a session.
    pub(super) subsession: &'a str,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, session, subsession } = self;
        match *subsession {
            _ if *kind == ROW => write!(f, "row {session} of the {kind}"),
            "" => write!(f, "the {kind} record of `{session}`"),
            subsession => write!(f, "the {kind} record `{subsession}` of session `{session}`"),
        }
    }
}

type Salt = [u8; SALT_LEN];

/// Seals and opens records.
pub(super) struct Sealer {
    /// The first seals, all open; without any, records stay in clear.
    keys: Vec<SealKey>,
    /// Records in clear are taken as well.
    takes_clear: bool,
    entropy: Arc<dyn Entropy>,
    salt: Salt,
    /// Records that the salt still serves.
    left: u64,
    nonces: Vec<u8>,
    /// By key and salt.
    derived: BTreeMap<(usize, Salt), LessSafeKey>,
}

/// A sealed record, taken apart.
struct Parts<'a> {
    id: &'a str,
    salt: Salt,
    /// Everything before the nonce; it is sealed with the record.
    head: &'a [u8],
    nonce: [u8; NONCE_LEN],
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (id_len, rest) = rest.split_first()?;
        let (id, rest) = rest.split_at_checked(usize::from(*id_len))?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (nonce, sealed) = rest.split_first_chunk()?;
        let head = &bytes[..2 + id.len() + SALT_LEN];
        let id = std::str::from_utf8(id).ok()?;
        let whole = *version == VERSION && sealed.len() >= TAG_LEN;
        whole.then_some(Self { id, salt: *salt, head, nonce: *nonce, sealed })
    }
}

impl Sealer {
    pub(super) fn new(keys: Vec<SealKey>, takes_clear: bool, entropy: Arc<dyn Entropy>) -> Self {
        let (nonces, derived) = (Vec::new(), BTreeMap::new());
        Self { keys, takes_clear, entropy, salt: [0; SALT_LEN], left: 0, nonces, derived }
    }

    /// The bytes that go into the file.
    pub(super) fn seal(&mut self, place: Place<'_>, record: &[u8]) -> Vec<u8> {
        if self.keys.is_empty() {
            return record.to_vec();
        }
        let (salt, nonce) = (self.next_salt(), self.next_nonce());
        let id = self.keys[0].id.as_bytes();
        let id_len = u8::try_from(id.len()).expect("a key's id is short");
        let head_len = 2 + id.len() + SALT_LEN;
        let mut bytes = Vec::with_capacity(head_len + NONCE_LEN + record.len() + TAG_LEN);
        bytes.extend_from_slice(&[VERSION, id_len]);
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(&salt);
        let bound = bound(&bytes, place);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(record);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let inside = &mut bytes[head_len + NONCE_LEN..];
        let derived = self.derived(0, salt);
        let tag = derived.seal_in_place_separate_tag(nonce, Aad::from(bound), inside);
        let tag = tag.expect("a record is far shorter than AES-GCM allows");
        bytes.extend_from_slice(tag.as_ref());
        bytes
    }

    /// The record in these bytes of the file.
    pub(super) fn open(&mut self, place: Place<'_>, bytes: &[u8]) -> Result<Vec<u8>, FabricError> {
        if is_record(bytes) {
            return if self.takes_clear { Ok(bytes.to_vec()) } else { Err(in_clear(place)) };
        }
        let parts = Parts::read(bytes).ok_or_else(|| broken(place, "its seal is cut short"))?;
        let nth = self.keys.iter().position(|key| key.id == parts.id);
        let nth = nth.ok_or_else(|| self.unknown(place, parts.id))?;
        let derived = self.derived(nth, parts.salt);
        let nonce = Nonce::assume_unique_for_key(parts.nonce);
        let mut inside = parts.sealed.to_vec();
        let bound = Aad::from(bound(parts.head, place));
        let opened = derived.open_in_place(nonce, bound, &mut inside).map(|record| record.len());
        let length = opened.map_err(|_| {
            let what = format!("its seal by key `{}` does not open", parts.id);
            broken(place, &what)
        })?;
        inside.truncate(length);
        Ok(inside)
    }

    /// True for bytes that another key than the first has sealed, or none.
    pub(super) fn is_stale(&self, bytes: &[u8]) -> bool {
        let Some(first) = self.keys.first() else { return false };
        Parts::read(bytes).is_none_or(|parts| parts.id != first.id)
    }

    fn next_salt(&mut self) -> Salt {
        if self.left == 0 {
            self.entropy.fill(&mut self.salt);
            self.left = MOST_OF_A_SALT;
        }
        self.left -= 1;
        self.salt
    }

    fn next_nonce(&mut self) -> [u8; NONCE_LEN] {
        if self.nonces.is_empty() {
            self.nonces.resize(NONCES * NONCE_LEN, 0);
            self.entropy.fill(&mut self.nonces);
        }
        let rest = self.nonces.len() - NONCE_LEN;
        let nonce = self.nonces.split_off(rest);
        nonce.try_into().expect("it was split off at this length")
    }

    /// What seals under the key at this place and this salt.
    fn derived(&mut self, nth: usize, salt: Salt) -> &LessSafeKey {
        let (name, key) = ((nth, salt), &self.keys[nth]);
        if self.derived.len() >= MOST_DERIVED && !self.derived.contains_key(&name) {
            self.derived.clear();
        }
        self.derived.entry(name).or_insert_with(|| derive(key, &salt))
    }

    fn unknown(&self, place: Place<'_>, id: &str) -> FabricError {
        let known: Vec<_> = self.keys.iter().map(|key| format!("`{}`", key.id)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let hint = match id {
            key::BESIDE => " (it is in the file that is named like the database, with .key behind)",
            _ => "",
        };
        FabricError::new(format!(
            "{place} is sealed by key `{id}`, which is not among the keys here ({known}); \
             write it into fabric.keys again, behind the first{hint}"
        ))
    }
}

fn derive(key: &SealKey, salt: &Salt) -> LessSafeKey {
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(key.secret());
    let expanded = extracted.expand(&[PURPOSE], &AES_256_GCM);
    LessSafeKey::new(UnboundKey::from(expanded.expect("32 bytes are within HKDF's bounds")))
}

/// What is sealed with a record and not stored with it: head and place, each with its length.
fn bound(head: &[u8], place: Place<'_>) -> Vec<u8> {
    let parts =
        [head, place.kind.as_bytes(), place.session.as_bytes(), place.subsession.as_bytes()];
    let mut bound = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        let length = u64::try_from(part.len()).expect("a length fits 64 bits");
        bound.extend_from_slice(&length.to_be_bytes());
        bound.extend_from_slice(part);
    }
    bound
}

fn broken(place: Place<'_>, what: &str) -> FabricError {
    FabricError::new(format!(
        "{place}: {what}: it was cut, changed or moved, or the key of that id is another one than \
         sealed it; put back that key, or the last sound copy of the file"
    ))
}

fn in_clear(place: Place<'_>) -> FabricError {
    FabricError::new(format!(
        "{place} is in clear, and only sealed records are taken; write clear = true in [fabric], \
         beside keys, until every record is sealed, or put back the last sound copy of the file"
    ))
}
