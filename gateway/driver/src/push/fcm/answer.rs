//! What FCM answers (its ErrorCode reference and "Best practices when sending FCM messages at
//! scale"), and what that means here.

use reveille_gateway_core::io::PushOutcome;
use serde::Deserialize;

use super::super::answer::Answer;

/// A quota that names no time is waited for so long.
const QUOTA_WAIT_MS: u64 = 60_000;

/// What to do about an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Tell the core.
    Outcome(PushOutcome),
    /// Ask for another bearer and send again, once.
    Stale(String),
    /// Tell the core to wait as the attempt says.
    BackOff(String),
}

#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Fault,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fault {
    message: String,
    status: String,
    details: Vec<Detail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    error_code: String,
    field_violations: Vec<Violation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Violation {
    field: String,
}

impl Fault {
    fn code(&self) -> &str {
        let codes = self.details.iter().map(|detail| detail.error_code.as_str());
        codes.clone().find(|code| !code.is_empty()).unwrap_or("")
    }

    /// The code INVALID_ARGUMENT alone proves nothing: it may be the message that is wrong.
    fn blames_token(&self) -> bool {
        let violations = self.details.iter().flat_map(|detail| &detail.field_violations);
        let said = self.message.to_ascii_lowercase();
        let spoken = said.contains("registration token") && said.contains("not a valid");
        spoken || violations.clone().any(|violation| violation.field == "message.token")
    }
}

/// Judges an answer by FCM's error code; by the status where there is none.
pub(super) fn judge(answer: &Answer) -> Verdict {
    if (200..300).contains(&answer.status) {
        // A proxy's page on the way says nothing of the message.
        return match answer.is_page() {
            true => Verdict::BackOff(answer.shown()),
            false => Verdict::Outcome(PushOutcome::Accepted),
        };
    }
    let body: Body = serde_json::from_str(&answer.body).unwrap_or_default();
    let fault = body.error;
    let code = if fault.code().is_empty() { &fault.status } else { fault.code() };
    let why = match code {
        "" => answer.shown(),
        code => format!("{} {code}", answer.status),
    };
    let failed = |why| Verdict::Outcome(PushOutcome::Failed { why });
    let refused = |why| Verdict::Outcome(PushOutcome::refused(why));
    match (fault.code(), answer.status) {
        ("UNREGISTERED", _) => refused(why),
        ("SENDER_ID_MISMATCH", _) => {
            tracing::error!(why, "fcm: a token of another sender: is the service account right?");
            refused(why)
        }
        ("THIRD_PARTY_AUTH_ERROR", _) => failed(why),
        ("INVALID_ARGUMENT", _) | (_, 400) if fault.blames_token() => refused(why),
        ("INVALID_ARGUMENT", _) => failed(why),
        ("QUOTA_EXCEEDED", _) | (_, 429) => asked(why, answer.retry_after_ms(), QUOTA_WAIT_MS),
        ("UNAVAILABLE" | "INTERNAL", _) | (_, 500..) => match answer.retry_after_ms() {
            Some(ms) => asked(why, Some(ms), ms),
            None => Verdict::BackOff(why),
        },
        ("" | "UNSPECIFIED_ERROR", 401) => Verdict::Stale(why),
        _ => failed(why),
    }
}

fn asked(why: String, retry_after_ms: Option<u64>, otherwise_ms: u64) -> Verdict {
    let retry_after_ms = Some(retry_after_ms.unwrap_or(otherwise_ms));
    Verdict::Outcome(PushOutcome::Transient { why, retry_after_ms })
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str, retry_after: Option<&str>) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert("retry-after", value.parse().expect("a header"));
        }
        Answer::new(status, headers, body)
    }

    fn word(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Stale(_) => "stale".to_owned(),
            Verdict::BackOff(_) => "back off".to_owned(),
            Verdict::Outcome(PushOutcome::Accepted) => "accepted".to_owned(),
            Verdict::Outcome(PushOutcome::Refused { .. }) => "refused".to_owned(),
            Verdict::Outcome(PushOutcome::Failed { .. }) => "failed".to_owned(),
            Verdict::Outcome(PushOutcome::Transient { retry_after_ms, .. }) => {
                format!("transient {}", retry_after_ms.expect("a wait"))
            }
        }
    }

    fn coded(code: &str, status: &str) -> String {
        format!(
            r#"{{"error":{{"code":0,"message":"said","status":"{status}","details":[
                {{"@type":"type.googleapis.com/google.rpc.Help"}},
                {{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError",
                  "errorCode":"{code}"}}]}}}}"#
        )
    }

    #[test]
    fn every_error_code_has_its_reaction() {
        for (http, code, status, wanted) in [
            (400, "UNSPECIFIED_ERROR", "INVALID_ARGUMENT", "failed"),
            (401, "UNSPECIFIED_ERROR", "UNAUTHENTICATED", "stale"),
            (503, "UNSPECIFIED_ERROR", "UNAVAILABLE", "back off"),
            (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "failed"),
            (404, "UNREGISTERED", "NOT_FOUND", "refused"),
            (403, "SENDER_ID_MISMATCH", "PERMISSION_DENIED", "refused"),
            (429, "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", "transient 60000"),
            (503, "UNAVAILABLE", "UNAVAILABLE", "back off"),
            (500, "INTERNAL", "INTERNAL", "back off"),
            (401, "THIRD_PARTY_AUTH_ERROR", "UNAUTHENTICATED", "failed"),
        ] {
            let verdict = judge(&answer(http, &coded(code, status), None));
            assert_eq!(word(&verdict), wanted, "{http} {code}");
            assert!(format!("{verdict:?}").contains(code), "{verdict:?}");
        }
    }

    #[test]
    fn without_a_code_the_status_decides() {
        for (http, wanted) in [
            (200, "accepted"),
            (400, "failed"),
            (401, "stale"),
            (403, "failed"),
            (404, "failed"),
            (405, "failed"),
            (429, "transient 60000"),
            (500, "back off"),
            (502, "back off"),
            (503, "back off"),
        ] {
            for body in ["", "{\"error\":{\"status\":\"X\"}}", "[7]"] {
                assert_eq!(word(&judge(&answer(http, body, None))), wanted, "{http} {body}");
            }
            let page = judge(&answer(http, "<html>Bad Gateway</html>", None));
            let wanted = if http == 200 { "back off" } else { wanted };
            assert_eq!(word(&page), wanted, "{http} by a proxy");
        }
    }

    #[test]
    fn what_google_asks_to_wait_is_kept() {
        for (http, code) in [(429, "QUOTA_EXCEEDED"), (503, "UNAVAILABLE"), (500, "INTERNAL")] {
            let verdict = judge(&answer(http, &coded(code, ""), Some("5")));
            assert_eq!(word(&verdict), "transient 5000", "{code}");
        }
    }

    #[test]
    fn an_invalid_argument_blames_the_token_only_by_name() {
        let named = r#"{"error":{"status":"INVALID_ARGUMENT","message":"m","details":[
            {"@type":"x","errorCode":"INVALID_ARGUMENT"},
            {"@type":"y","fieldViolations":[{"field":"message.token","description":"d"}]}]}}"#;
        let spoken = r#"{"error":{"status":"INVALID_ARGUMENT","message":
            "The registration token is not a valid FCM registration token"}}"#;
        let other = r#"{"error":{"status":"INVALID_ARGUMENT","message":"m","details":[
            {"@type":"x","errorCode":"INVALID_ARGUMENT"},
            {"@type":"y","fieldViolations":[{"field":"message.data[0].value"}]}]}}"#;
        for (body, wanted) in [(named, "refused"), (spoken, "refused"), (other, "failed")] {
            assert_eq!(word(&judge(&answer(400, body, None))), wanted, "{body}");
        }
    }
}
