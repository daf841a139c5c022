//! What becomes of one request, and every answer that the providers document, by name.

use std::fmt;

use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};

pub use reveille_scenarios::Service as Provider;

use bytes::Bytes;

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// Accepted, and delivered.
    Accept,
    /// This status, and not delivered.
    Refuse {
        /// The status code.
        status: u16,
        /// `Retry-After`, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u64>,
    },
    /// An answer that the provider documents, and not delivered. It waits for a request to its
    /// provider.
    Reason {
        /// Its name, as in [`DOCUMENTED`].
        name: Reason,
        /// How many seconds before now the token became invalid; read with status 410 of APNs.
        #[serde(default)]
        age_s: u64,
        /// `Retry-After`, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u64>,
    },
    /// Never answered, and not delivered.
    Hang,
    /// Accepted, and dropped.
    Drop,
    /// Accepted, and delivered twice.
    Duplicate,
    /// Accepted at once, delivered that much later.
    Delay {
        /// Milliseconds.
        delay_ms: u64,
    },
    /// Accepted, and delivered after the next one to the same device.
    Reorder,
    /// Accepted and delivered, and the connection ends by GOAWAY after the answer.
    GoAway,
    /// The stream is reset with REFUSED_STREAM: not processed, so it may be sent again.
    RefuseStream,
    /// Status 200 with a page of HTML, and not delivered.
    Page,
    /// Status 200 with a body that never ends, and not delivered.
    Endless,
}

impl Answer {
    /// The documented answer of this name, with nothing added.
    ///
    /// # Errors
    /// No provider documents it.
    pub fn reason(name: &str) -> Result<Self, String> {
        Ok(Self::Reason { name: Reason::named(name)?, age_s: 0, retry_after_s: None })
    }

    /// The name of the fault that it is, if it is one.
    #[must_use]
    pub const fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Accept => None,
            Self::Refuse { .. } | Self::Reason { .. } => Some("refuse"),
            Self::Hang => Some("drop-request"),
            Self::Drop => Some("drop-delivery"),
            Self::Duplicate => Some("duplicate"),
            Self::Delay { .. } => Some("delay"),
            Self::Reorder => Some("reorder"),
            Self::GoAway => Some("goaway"),
            Self::RefuseStream => Some("refuse-stream"),
            Self::Page => Some("page"),
            Self::Endless => Some("endless"),
        }
    }

    /// Whether it can be given to a request for this provider.
    #[must_use]
    pub fn fits(&self, provider: Provider) -> bool {
        match self {
            Self::Reason { name, .. } => name.0.provider == provider,
            _ => provider != Provider::OAuth,
        }
    }
}

/// How the body of an answer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `{"reason": ...}`, with a timestamp at 410.
    Apns,
    /// Google's error object, with this status.
    Google(&'static str),
    /// The same, with an FCM error code in its details.
    Fcm(&'static str, &'static str),
    /// As INVALID_ARGUMENT, and a field violation blames `message.token`.
    BadRegistration,
    /// A page of a proxy.
    Html,
    /// `{"error": ...}` as RFC 6749 5.2 says.
    OAuth,
    /// Plain text.
    Text,
}

/// One answer of a provider's documents.
#[derive(Debug, PartialEq, Eq)]
pub struct Documented {
    /// APNs reason, FCM error code, OAuth error, or `webpush.` and the status.
    pub name: &'static str,
    /// Whose answer it is.
    pub provider: Provider,
    /// The HTTP status.
    pub status: u16,
    shape: Shape,
}

const fn apns(status: u16, name: &'static str) -> Documented {
    Documented { name, provider: Provider::Apns, status, shape: Shape::Apns }
}
const fn google(status: u16, name: &'static str, shape: Shape) -> Documented {
    Documented { name, provider: Provider::Fcm, status, shape }
}
const fn fcm(status: u16, name: &'static str, google_status: &'static str) -> Documented {
    google(status, name, Shape::Fcm(google_status, name))
}
const fn oauth(status: u16, name: &'static str) -> Documented {
    Documented { name, provider: Provider::OAuth, status, shape: Shape::OAuth }
}
const fn webpush(status: u16, name: &'static str) -> Documented {
    Documented { name, provider: Provider::WebPush, status, shape: Shape::Text }
}

/// Every documented answer that is not a success. APNs: Apple, "Handling notification responses
/// from APNs". FCM: Firebase, `ErrorCode`; then Google's errors without an FCM code, and the page
/// that its front end answers with. Token endpoint: RFC 6749 5.2. Web Push: RFC 8030 5 to 8,
/// RFC 8292 4.2, RFC 9110; 410 is in use though in no document.
pub const DOCUMENTED: &[Documented] = &[
    apns(400, "BadCollapseId"),
    apns(400, "BadDeviceToken"),
    apns(400, "BadExpirationDate"),
    apns(400, "BadMessageId"),
    apns(400, "BadPriority"),
    apns(400, "BadTopic"),
    apns(400, "DeviceTokenNotForTopic"),
    apns(400, "DuplicateHeaders"),
    apns(400, "IdleTimeout"),
    apns(400, "InvalidPushType"),
    apns(400, "MissingDeviceToken"),
    apns(400, "MissingTopic"),
    apns(400, "PayloadEmpty"),
    apns(400, "TopicDisallowed"),
    apns(403, "BadCertificate"),
    apns(403, "BadCertificateEnvironment"),
    apns(403, "ExpiredProviderToken"),
    apns(403, "Forbidden"),
    apns(403, "InvalidProviderToken"),
    apns(403, "MissingProviderToken"),
    apns(403, "UnrelatedKeyIdInToken"),
    apns(403, "BadEnvironmentKeyIdInToken"),
    apns(404, "BadPath"),
    apns(405, "MethodNotAllowed"),
    apns(410, "ExpiredToken"),
    apns(410, "Unregistered"),
    apns(413, "PayloadTooLarge"),
    apns(429, "TooManyProviderTokenUpdates"),
    apns(429, "TooManyRequests"),
    apns(500, "InternalServerError"),
    apns(503, "ServiceUnavailable"),
    apns(503, "Shutdown"),
    fcm(500, "UNSPECIFIED_ERROR", "UNKNOWN"),
    fcm(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    fcm(404, "UNREGISTERED", "NOT_FOUND"),
    fcm(403, "SENDER_ID_MISMATCH", "PERMISSION_DENIED"),
    fcm(429, "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"),
    fcm(503, "UNAVAILABLE", "UNAVAILABLE"),
    fcm(500, "INTERNAL", "INTERNAL"),
    fcm(401, "THIRD_PARTY_AUTH_ERROR", "UNAUTHENTICATED"),
    google(400, "INVALID_REGISTRATION", Shape::BadRegistration),
    google(401, "UNAUTHENTICATED", Shape::Google("UNAUTHENTICATED")),
    google(403, "PERMISSION_DENIED", Shape::Google("PERMISSION_DENIED")),
    google(404, "NOT_FOUND", Shape::Google("NOT_FOUND")),
    google(502, "BAD_GATEWAY", Shape::Html),
    oauth(400, "invalid_request"),
    oauth(401, "invalid_client"),
    oauth(400, "invalid_grant"),
    oauth(400, "unauthorized_client"),
    oauth(400, "unsupported_grant_type"),
    oauth(400, "invalid_scope"),
    oauth(503, "temporarily_unavailable"),
    webpush(400, "webpush.400"),
    webpush(401, "webpush.401"),
    webpush(403, "webpush.403"),
    webpush(404, "webpush.404"),
    webpush(405, "webpush.405"),
    webpush(410, "webpush.410"),
    webpush(413, "webpush.413"),
    webpush(415, "webpush.415"),
    webpush(429, "webpush.429"),
    webpush(500, "webpush.500"),
    webpush(503, "webpush.503"),
];

/// The name of a documented answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Reason(&'static Documented);

impl Reason {
    /// Looks it up.
    ///
    /// # Errors
    /// No provider documents it.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = DOCUMENTED.iter().find(|of| of.name == name).map(Self);
        found.ok_or_else(|| {
            let names: Vec<_> = DOCUMENTED.iter().map(|of| of.name).collect();
            format!("no provider documents the answer `{name}`; write one of {}", names.join(", "))
        })
    }

    /// What the document says of it.
    #[must_use]
    pub const fn documented(self) -> &'static Documented {
        self.0
    }

    /// The answer itself. `what` explains it where the provider has a place for that;
    /// `timestamp_ms` since the epoch stands with status 410 of APNs only.
    pub(super) fn response(self, what: &str, timestamp_ms: u64) -> Response<Full<Bytes>> {
        let (kind, body) = self.body(what, timestamp_ms);
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }

    fn body(self, what: &str, timestamp_ms: u64) -> (&'static str, String) {
        let Documented { name, status, shape, .. } = *self.0;
        let detail = |code: &str| {
            let kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
            json!({"@type": kind, "errorCode": code})
        };
        let error = |google: &str, message: &str, details: Vec<Value>| {
            let mut error = json!({"code": status, "message": message, "status": google});
            if !details.is_empty() {
                error["details"] = details.into();
            }
            ("application/json; charset=UTF-8", json!({"error": error}).to_string())
        };
        match shape {
            Shape::Apns if status == 410 => {
                let body = json!({"reason": name, "timestamp": timestamp_ms});
                ("application/json", body.to_string())
            }
            Shape::Apns => ("application/json", json!({"reason": name}).to_string()),
            Shape::Google(google) => error(google, what, Vec::new()),
            Shape::Fcm(google, code) => error(google, what, vec![detail(code)]),
            Shape::BadRegistration => {
                let text = "The registration token is not a valid FCM registration token";
                let violations = json!([{"field": "message.token", "description": text}]);
                let kind = "type.googleapis.com/google.rpc.BadRequest";
                let blamed = json!({"@type": kind, "fieldViolations": violations});
                error("INVALID_ARGUMENT", text, vec![detail("INVALID_ARGUMENT"), blamed])
            }
            Shape::Html => {
                let page = "<!DOCTYPE html><title>Error 502 (Server Error)</title>\n";
                ("text/html; charset=UTF-8", page.to_owned())
            }
            Shape::OAuth => {
                let body = json!({"error": name, "error_description": what});
                ("application/json; charset=UTF-8", body.to_string())
            }
            Shape::Text => ("text/plain; charset=UTF-8", format!("{what}\n")),
        }
    }
}

/// Adds `Retry-After`.
pub(super) fn with_retry_after(
    mut response: Response<Full<Bytes>>,
    seconds: Option<u64>,
) -> Response<Full<Bytes>> {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name)
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::named(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_know_the_reasons_that_are_documented() {
        for service in Provider::ALL {
            let of =
                |name: &&str| Reason::named(name).map(|reason| reason.0.provider) == Ok(service);
            assert!(service.reasons().iter().all(of), "{service:?}");
            let documented = DOCUMENTED.iter().filter(|of| of.provider == service).count();
            // A status says all that Web Push answers.
            let told = if service == Provider::WebPush { 0 } else { documented };
            assert_eq!(service.reasons().len(), told, "{service:?}");
        }
    }
}
