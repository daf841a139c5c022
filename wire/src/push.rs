//! The wake payload: what a push tells the app, and the request that carries it to a webhook.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::jsonrtc::Frame;

/// Longest payload in bytes (D-45).
pub const MAX_PAYLOAD: usize = 4_096;

/// Longest text of one member before it is cut, in bytes: five of them fit with their names.
const MAX_MEMBER: usize = 512;

/// What a push is for, as the app will be given it: its frame without numbers and without SDP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incoming {
    /// `call` or `messaging`.
    pub package_type: String,
    /// The frame's header.
    pub header: Map<String, Value>,
    /// What else it says.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub payload: Map<String, Value>,
}

impl From<Frame> for Incoming {
    fn from(frame: Frame) -> Self {
        let header = frame.header_json();
        let mut payload = frame.payload;
        for name in ["sdp", "candidates"] {
            payload.remove(name);
        }
        Self { package_type: frame.control.package, header, payload }
    }
}

/// What wakes an app. It names the session and the call or message, and carries neither SDP nor secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakePayload {
    /// The session to resume.
    pub session_id: String,
    /// Why: `call`, `message`, or `notify` for news of a subscription.
    pub event: String,
    /// SIP Call-ID of the first call, or message, that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// Subsession under which the app will be given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subsession_id: Option<String>,
    /// Who calls or writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiator: Option<String>,
    /// Who is called or written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Seconds for which waking is of use.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number_or_digits"
    )]
    pub ttl_s: Option<u64>,
    /// The call or message itself, where the operator wishes it (D-31). The app is given it as ever.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object_or_text")]
    pub incoming: Option<Box<Incoming>>,
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

/// FCM brings every member as text.
fn number_or_digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u64),
        Digits(String),
    }
    match Option::<Written>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Written::Number(number)) => Ok(Some(number)),
        Some(Written::Digits(digits)) => digits.parse().map(Some).map_err(|_| {
            serde::de::Error::custom(format!("ttl_s: `{digits}` is no number of seconds"))
        }),
    }
}

/// FCM brings every member as text.
fn object_or_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<Incoming>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Object(Box<Incoming>),
    }
    match Option::<Written>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Written::Object(incoming)) => Ok(Some(incoming)),
        Some(Written::Text(text)) => serde_json::from_str(&text).map(Some).map_err(|error| {
            serde::de::Error::custom(format!("incoming: no frame in the text: {error}"))
        }),
    }
}

impl WakePayload {
    /// As JSON of at most [`MAX_PAYLOAD`] bytes; see [`fitted`](Self::fitted).
    #[must_use]
    pub fn to_json(&self) -> String {
        self.fitted(|payload| payload.written().len() <= MAX_PAYLOAD).written()
    }

    fn written(&self) -> String {
        serde_json::to_string(self).expect("a payload is plain data with text keys")
    }

    /// The fullest form that fits, with what it is for only if all of it fits, and into
    /// [`MAX_PAYLOAD`] whatever else would (D-45). What a caller can make long and what is only shown is cut and
    /// then dropped; then a Call-ID that is too long, since the subsession names the same call. The
    /// session stays whole.
    #[must_use]
    pub fn fitted(&self, fits: impl Fn(&Self) -> bool) -> Self {
        let mut short = self.clone();
        if self.incoming.is_some() {
            for name in [&mut short.initiator, &mut short.target].into_iter().flatten() {
                *name = cut(name, MAX_MEMBER);
            }
            if short.written().len() <= MAX_PAYLOAD && fits(&short) {
                return short;
            }
            short.incoming = None;
        }
        for most in [MAX_MEMBER, 128, 32] {
            for name in [&mut short.initiator, &mut short.target].into_iter().flatten() {
                *name = cut(name, most);
            }
            if fits(&short) {
                return short;
            }
        }
        let named = Self { initiator: None, target: None, ..short };
        if fits(&named) {
            return named;
        }
        Self { call_id: None, ..named }
    }

    /// As members of text, which is all that some services carry.
    #[must_use]
    pub fn to_texts(&self) -> BTreeMap<&'static str, String> {
        let ttl_s = self.ttl_s.map(|ttl_s| ttl_s.to_string());
        let incoming = self.incoming.as_ref().map(|incoming| {
            serde_json::to_string(incoming).expect("a frame is plain data with text keys")
        });
        let some = [
            ("session_id", Some(self.session_id.clone())),
            ("event", Some(self.event.clone())),
            ("call_id", self.call_id.clone()),
            ("subsession_id", self.subsession_id.clone()),
            ("initiator", self.initiator.clone()),
            ("target", self.target.clone()),
            ("ttl_s", ttl_s),
            ("incoming", incoming),
        ];
        some.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(name: &str, call_id: &str) -> WakePayload {
        WakePayload {
            session_id: "s1".to_owned(),
            event: "call".to_owned(),
            call_id: Some(call_id.to_owned()),
            subsession_id: Some("u1".to_owned()),
            initiator: Some(name.to_owned()),
            target: Some("bob@example.com".to_owned()),
            ttl_s: Some(30),
            incoming: None,
        }
    }

    fn message(content: &str) -> WakePayload {
        let mut frame = Frame::request("messaging", "send");
        frame.header.initiator = Some("alice@example.com".to_owned());
        frame.payload.insert("content".to_owned(), content.into());
        let event = "message".to_owned();
        WakePayload { event, incoming: Some(Box::new(frame.into())), ..payload("alice", "c1") }
    }

    fn written(payload: &WakePayload) -> usize {
        serde_json::to_vec(payload).expect("JSON").len()
    }

    #[test]
    fn what_is_shown_is_cut_and_dropped_before_ids() {
        let long = payload(&"n".repeat(8_000), "c1");
        let cut = long.fitted(|payload| written(payload) <= 600);
        assert_eq!(cut.initiator, Some("n".repeat(128)));
        let ids = long.fitted(|payload| written(payload) <= 120);
        assert_eq!((ids.initiator, ids.target), (None, None));
        assert_eq!(ids.call_id.as_deref(), Some("c1"), "the ids stay");
        // Escaping makes a name six times as long.
        let odd = payload(&"\u{1}".repeat(8_000), "c1");
        assert!(odd.to_json().len() <= MAX_PAYLOAD);
    }

    #[test]
    fn a_call_id_that_fits_nowhere_leaves_session_and_subsession() {
        let none = payload("a", &"c".repeat(5_000)).fitted(|payload| written(payload) <= 4_096);
        let left = (none.session_id.as_str(), none.subsession_id.as_deref(), none.call_id);
        assert_eq!(left, ("s1", Some("u1"), None));
    }

    #[test]
    fn what_a_push_is_for_goes_whole_or_not_at_all() {
        let whole = |payload: &WakePayload, most| payload.fitted(|it| written(it) <= most);
        let small = message("hello");
        assert_eq!(whole(&small, 400), small);
        let left = whole(&small, written(&small) - 1);
        assert_eq!(left, WakePayload { incoming: None, ..small }, "the ids and names stay");
        let room = MAX_PAYLOAD - written(&message(""));
        let (longest, longer) = (message(&"x".repeat(room)), message(&"x".repeat(room + 1)));
        assert_eq!(whole(&longest, 5_120), longest);
        assert_eq!(longest.to_json().len(), MAX_PAYLOAD);
        assert_eq!(whole(&longer, 5_120).incoming, None, "4096 is the most, whoever takes more");
    }

    #[test]
    fn what_a_push_is_for_is_its_frame_without_an_sdp() {
        let mut frame = Frame::request("call", "start");
        frame.header.extra.insert("customer".to_owned(), "7".into());
        frame.payload.insert("sdp".to_owned(), "v=0".into());
        let payload =
            WakePayload { incoming: Some(Box::new(frame.into())), ..payload("alice", "c1") };
        let json: Value = serde_json::from_str(&payload.to_json()).expect("JSON");
        let wanted = serde_json::json!({"package_type": "call",
            "header": {"action": "start", "customer": "7"}});
        assert_eq!(json["incoming"], wanted);
        assert_eq!(WakePayload::from_json(payload.to_json().as_bytes()), Ok(payload.clone()));
        let texts = serde_json::to_vec(&payload.to_texts()).expect("JSON");
        assert_eq!(WakePayload::from_json(&texts), Ok(payload));
        let odd = br#"{"session_id":"s","event":"call","incoming":"soon"}"#;
        assert!(WakePayload::from_json(odd).is_err_and(|bad| bad.0.contains("incoming")));
    }

    #[test]
    fn members_of_text_are_read_as_they_are_written() {
        let payload = payload("a\"b\\ \u{1F600}", "c1");
        let texts = serde_json::to_vec(&payload.to_texts()).expect("JSON");
        assert_eq!(WakePayload::from_json(&texts), Ok(payload));
        let odd = br#"{"session_id":"s","event":"call","ttl_s":"soon"}"#;
        assert!(WakePayload::from_json(odd).is_err_and(|bad| bad.0.contains("ttl_s")));
    }
}
