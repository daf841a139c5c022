//! The wake payload: what a push tells the app, and the request that carries it to a webhook.

use serde::{Deserialize, Serialize};

/// Longest payload in bytes (D-45).
pub const MAX_PAYLOAD: usize = 4_096;

/// Longest text of one member before it is cut, in bytes: five of them fit with their names.
const MAX_MEMBER: usize = 512;

/// What wakes an app. It names the session and the call, and carries neither SDP nor secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakePayload {
    /// The session to resume.
    pub session_id: String,
    /// Why: `call`.
    pub event: String,
    /// SIP Call-ID of the first call that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// Subsession under which the app will be given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subsession_id: Option<String>,
    /// Who calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiator: Option<String>,
    /// Who is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Seconds for which waking is of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
}

/// What a webhook is asked to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRequest {
    /// The session, as in the payload.
    pub session_id: String,
    /// Identifying information of the application at the push service.
    pub application: String,
    /// The device token.
    pub token: String,
    /// What the app gets.
    pub payload: WakePayload,
}

/// Why bytes are no wake payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPayload(pub String);

impl std::fmt::Display for BadPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadPayload {}

fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

impl WakePayload {
    /// As JSON of at most [`MAX_PAYLOAD`] bytes. What a caller can make long is cut, and dropped if
    /// escaping still makes it too long; session and call stay whole.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut short = self.clone();
        for name in [&mut short.initiator, &mut short.target].into_iter().flatten() {
            *name = cut(name, MAX_MEMBER);
        }
        let write = |payload: &Self| {
            serde_json::to_string(payload).expect("a payload is plain data with text keys")
        };
        let text = write(&short);
        if text.len() <= MAX_PAYLOAD {
            return text;
        }
        write(&Self { initiator: None, target: None, ..short })
    }

    /// Reads what a push brought.
    ///
    /// # Errors
    /// [`BadPayload`]: longer than [`MAX_PAYLOAD`], or no object with at least `session_id` and
    /// `event`. Unknown members are ignored.
    pub fn from_json(bytes: &[u8]) -> Result<Self, BadPayload> {
        if bytes.len() > MAX_PAYLOAD {
            let what = format!("{} bytes: a wake payload has at most {MAX_PAYLOAD}", bytes.len());
            return Err(BadPayload(what));
        }
        serde_json::from_slice(bytes)
            .map_err(|error| BadPayload(format!("no wake payload: {error}")))
    }
}
