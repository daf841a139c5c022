//! What a shared engine finds sessions by, beside their records. Outside of memory it is kept as a
//! hash: whoever reads the database reads neither tokens nor Call-IDs. An address of record can be
//! guessed, and then its hash tells whether a session of it is there.

use std::fmt::Write as _;

use reveille_gateway_core::record::{CallRecord, SessionRecord};
use reveille_wire::sip::Message;
use ring::digest::{SHA256, digest};

/// The SIP Call-ID of a call.
pub(super) fn call_id(record: &CallRecord) -> Option<String> {
    let invite = Message::parse(&record.invite.0).ok()?;
    invite.call_id().ok().map(ToOwned::to_owned)
}

/// What stands for these words in an index.
pub(super) fn hash(words: &[&str]) -> String {
    let mut bytes = Vec::new();
    for word in words {
        bytes.extend_from_slice(&u64::try_from(word.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(word.as_bytes());
    }
    let hash = digest(&SHA256, &bytes);
    hash.as_ref().iter().take(16).fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ok: bool = write!(hex, "{byte:02x}").is_ok();
        hex
    })
}

/// What stands for a user's device.
pub(super) fn device(user: &str, token: &str) -> String {
    hash(&["device", user, token])
}

/// Contact, address of record and device of a session, as an index has them.
pub(super) fn of_session(record: &SessionRecord) -> (String, String, Option<String>) {
    let token = record.device.as_ref().map(|device| device.token.as_str());
    let device = token.map(|token| device(&record.user, token));
    (hash(&["contact", &record.contact]), hash(&["address", &record.aor]), device)
}
