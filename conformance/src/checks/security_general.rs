//! What payloads and identifiers give away.

use std::collections::BTreeSet;

use serde_json::Value;

use super::view::View;
use super::{Outcome, broken, each};

/// Members that hold credentials, and the beginnings of lines of an SDP.
const SECRETS: [&str; 7] =
    ["authorization", "credential", "nonce", "password", "secret", "devicetoken", "device_token"];
const SDP: [&str; 3] = ["v=0\r\n", "m=audio", "a=ice-pwd"];
/// How many characters of two ids may agree at their beginning.
const ALIKE: usize = 8;

pub(super) fn payload_is_minimal(view: &View<'_>) -> Outcome {
    each(&view.pushes, |push| {
        let payload = &push.payload;
        if payload.is_null() {
            return Outcome::Silent;
        }
        match betrayed(payload, &push.token) {
            None => Outcome::Met,
            Some(what) => broken(format!("a payload carries {what}"), push.seq),
        }
    })
}

fn betrayed(value: &Value, token: &str) -> Option<String> {
    match value {
        Value::String(text) => {
            let sdp = SDP.iter().any(|line| text.contains(line));
            let known = !token.is_empty() && text.contains(token);
            sdp.then(|| "an SDP".to_owned()).or_else(|| known.then(|| "its own token".to_owned()))
        }
        Value::Array(list) => list.iter().find_map(|one| betrayed(one, token)),
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let lower = name.to_ascii_lowercase();
            let secret = SECRETS.iter().any(|secret| lower.contains(secret));
            secret.then(|| format!("a member {name}")).or_else(|| betrayed(value, token))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// A session's id has room for 128 bits, more than a few of its characters differ, and no two ids
/// begin alike.
pub(super) fn ids_have_128_bits(view: &View<'_>) -> Outcome {
    let answers = view.frames.iter().filter(|f| !f.sent && f.is("connect", "response"));
    let mut ids: BTreeSet<&str> = BTreeSet::new();
    let mut outcome = Outcome::Silent;
    for answer in answers {
        let id = answer.text("control", "session_id");
        if id.is_empty() || ids.contains(id) {
            continue;
        }
        let bits = bits(id);
        if bits < 128 {
            return broken(format!("the session id {id} has room for {bits} bits"), answer.seq);
        }
        let distinct: BTreeSet<_> = id.chars().collect();
        let alike =
            |other: &&str| other.chars().zip(id.chars()).take_while(|(a, b)| a == b).count();
        if distinct.len() < ALIKE || ids.iter().any(|other| alike(other) > ALIKE) {
            return broken(format!("the session id {id} can be guessed"), answer.seq);
        }
        ids.insert(id);
        outcome = Outcome::Met;
    }
    outcome
}

/// Four for each character of an id that is hexadecimal, six for each of another.
fn bits(id: &str) -> usize {
    let digits = id.chars().filter(|c| c.is_ascii_alphanumeric()).count();
    let is_hex = id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    digits * if is_hex { 4 } else { 6 }
}
