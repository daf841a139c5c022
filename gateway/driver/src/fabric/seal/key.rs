//! Keys that seal: as the operator writes them, or in a file of the gateway's own.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reveille_host::{DiskFile, Entropy, Host};

use super::super::FabricError;

/// The id of the key in the file beside the database.
pub(super) const BESIDE: &str = "first";
/// Bytes of a key.
const KEY_LEN: usize = 32;
/// The longest id.
const MOST_ID: usize = 32;
/// The longest key file.
const MOST_FILE: u64 = 1_024;

/// How an embedded engine seals its records. With neither keys nor `clear`, by the key in the file
/// that is named like the database with `.key` behind, which the first start makes.
#[derive(Debug, Clone, Default)]
pub struct Sealing {
    /// The first seals, all open.
    pub keys: Vec<SealKey>,
    /// Without keys: records are written in clear. With keys: records in clear are taken as well,
    /// and sealed.
    pub clear: bool,
}

/// A key, and the id that sealed records name it by. It shows nothing of itself.
#[derive(Clone)]
pub struct SealKey {
    pub(super) id: String,
    secret: [u8; KEY_LEN],
}

impl PartialEq for SealKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.secret == other.secret
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SealKey {
    /// The key of this id in this text.
    ///
    /// # Errors
    /// What is wrong with either, and what to write instead.
    pub fn read(id: &str, text: &str) -> Result<Self, String> {
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if id.is_empty() || id.len() > MOST_ID || !id.chars().all(sound) {
            let what = "no id of a key; write 1 to 32 letters, digits and -_., like \"2026-11\"";
            return Err(format!("`{id}`: {what}"));
        }
        let bytes = STANDARD.decode(text.trim()).ok();
        let secret = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
            let what = "no key; write 32 bytes in base64, as `reveille serve gateway --new-key`";
            format!("`{id}`: {what} prints them")
        })?;
        Ok(Self { id: id.to_owned(), secret })
    }

    /// A fresh key as text, in one line without its end.
    #[must_use]
    pub fn draw(entropy: &dyn Entropy) -> String {
        let mut secret = [0; KEY_LEN];
        entropy.fill(&mut secret);
        STANDARD.encode(secret)
    }

    /// The id that sealed records name it by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) const fn secret(&self) -> &[u8] {
        &self.secret
    }
}

/// The keys that an engine seals by; `beside` reads the file beside its own.
pub(in super::super) fn choose(
    sealing: &Sealing,
    beside: impl FnOnce() -> Result<SealKey, FabricError>,
) -> Result<Vec<SealKey>, FabricError> {
    match (&sealing.keys[..], sealing.clear) {
        ([], false) => beside().map(|key| vec![key]),
        (keys, _) => Ok(keys.to_vec()),
    }
}

/// The key in the file beside the database at `path`. It is made unless records are there already,
/// and durable before the first record is.
pub(in super::super) fn beside(
    host: &Host,
    path: &str,
    holds_records: bool,
) -> Result<SealKey, FabricError> {
    let path = format!("{path}.key");
    let fail = |what: String| FabricError::new(format!("{path}: {what}"));
    let file = host.disk.open(&path).map_err(|error| fail(format!("cannot open it: {error}")))?;
    let found = content(&*file).map_err(|error| fail(format!("cannot read it: {error}")))?;
    // Zeros are what a loss of power leaves of a file that was never synced.
    let is_blank = found.iter().all(|byte| *byte == 0);
    if is_blank && holds_records {
        let what = "the key is missing, and the database holds records; put the file back, or, if \
            the records are in clear, write clear = true in [fabric]";
        return Err(fail(what.to_owned()));
    }
    if !is_blank {
        return SealKey::read(BESIDE, &String::from_utf8_lossy(&found)).map_err(fail);
    }
    let text = SealKey::draw(&*host.entropy);
    let line = format!("{text}\n");
    let written = file.set_len(0).and_then(|()| file.write(0, line.as_bytes()));
    let written = written.and_then(|()| file.sync());
    written.map_err(|error| fail(format!("cannot write it: {error}")))?;
    tracing::info!(path, "a key was made; without this file no record can be read");
    SealKey::read(BESIDE, &text).map_err(fail)
}

fn content(file: &dyn DiskFile) -> std::io::Result<Vec<u8>> {
    let length = file.len()?.min(MOST_FILE);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read(0, &mut bytes)?;
    Ok(bytes)
}

/// A key that is 32 times the same byte.
#[cfg(test)]
pub(in super::super) fn test_key(id: &str, byte: u8) -> SealKey {
    SealKey { id: id.to_owned(), secret: [byte; KEY_LEN] }
}
