//! Answers of the operator's port: JSON, and problems as RFC 9457 shapes them.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

pub(super) type Answer = Response<Full<Bytes>>;

/// Why a request is refused: a status, what is wrong, and what to send instead.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    detail: String,
    /// Further members, such as the faults of a file.
    more: Value,
    header: Option<(&'static str, String)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), more: Value::Null, header: None }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The gateway cannot now; to be asked again soon.
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_header("retry-after", "5")
    }

    pub(super) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.header = Some((name, value.to_owned()));
        self
    }

    /// Adds a member.
    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.more[name] = value;
        self
    }

    pub(super) fn into_answer(self) -> Answer {
        let title = self.status.canonical_reason().unwrap_or_default();
        let mut body = json!({"type": "about:blank", "title": title,
            "status": self.status.as_u16(), "detail": self.detail});
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), self.more) {
            body.extend(more);
        }
        let mut answer = answer(self.status, "application/problem+json", body.to_string());
        if let Some((name, value)) = self.header
            && let Ok(value) = HeaderValue::try_from(value)
        {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, body: &Value) -> Answer {
    answer(status, "application/json", body.to_string())
}

/// An answer of any kind.
pub(super) fn answer(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
