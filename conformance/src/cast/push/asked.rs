//! A request as a judge sees it, the rules that a judge holds against it, and what comes out.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderMap;
use hyper::{Method, Response};
use serde_json::Value;

use super::answer::Reason;
use super::manner::Manner;

/// A request that has been read.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Since the epoch.
    pub(super) wall: Duration,
    pub(super) mono: Duration,
}

impl Asked {
    /// A header's value, if it is there and is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The credentials after an authentication scheme, whose name knows no case.
    pub(super) fn credentials(&self, scheme: &str) -> Option<&str> {
        let (said, credentials) = self.header("authorization")?.split_once(' ')?;
        said.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
    }
}

/// One rule of a provider's documents.
pub(super) struct Rule<R> {
    /// Its name in traces.
    pub(super) name: &'static str,
    /// The documented answer to a request that breaks it.
    pub(super) answer: &'static str,
    /// Says what is wrong and what to send instead.
    pub(super) judge: fn(&R) -> Result<(), String>,
}

/// A row of a provider's table.
pub(super) const fn rule<R>(
    name: &'static str,
    answer: &'static str,
    judge: fn(&R) -> Result<(), String>,
) -> Rule<R> {
    Rule { name, answer, judge }
}

/// A request that breaks a rule.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) rule: &'static str,
    pub(super) answer: Reason,
    pub(super) what: String,
}

/// Holds the rules against a request; the first broken one decides.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn judge<R>(rules: &[Rule<R>], request: &R) -> Result<(), Refusal> {
    for Rule { name, answer, judge } in rules {
        judge(request).map_err(|what| {
            let answer = Reason::named(answer).expect("a rule names an answer that is documented");
            Refusal { rule: name, answer, what }
        })?;
    }
    Ok(())
}

/// `true`, or what is wrong.
pub(super) fn hold(holds: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(wrong()) }
}

/// Decimal digits and nothing else.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// What a phone is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parcel {
    pub(super) token: String,
    /// One line.
    pub(super) payload: String,
    /// Until when it waits for a phone that is away, on the monotonic clock; `None` is for ever.
    pub(super) until: Option<Duration>,
    /// It takes the place of a waiting one with the same key.
    pub(super) replaces: Option<String>,
    /// How the phone is to treat it.
    pub(super) manner: Manner,
}

/// A request that keeps every rule.
pub(super) struct Granted {
    pub(super) parcel: Parcel,
    pub(super) response: Response<Full<Bytes>>,
}

/// A payload as one line: JSON without white space, or a JSON string of what is no JSON.
pub(super) fn line(payload: &[u8]) -> String {
    let value = serde_json::from_slice(payload)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(payload).into_owned()));
    value.to_string()
}

/// The session that a payload names.
pub(super) fn session(payload: &str) -> Option<String> {
    let value: Value = serde_json::from_str(payload).ok()?;
    Some(value.get("session_id")?.as_str()?.to_owned())
}
