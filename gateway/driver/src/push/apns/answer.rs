//! What Apple answers ("Handling notification responses from APNs"), and what that means here.

use reveille_gateway_core::io::PushOutcome;
use serde::Deserialize;

use super::super::answer::Answer;

/// Apple wants fifteen minutes before a retry after its own faults: no call waits so long, so
/// another way is taken, or the hold ends.
const SERVER_WAIT_MS: u64 = 900_000;
/// "After a delay", without a figure: ours.
const BUSY_WAIT_MS: u64 = 1_000;

/// What to do about an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Tell the core.
    Outcome(PushOutcome),
    /// Tell the core; later pushes need another connection.
    Closing(PushOutcome),
    /// Show a newer provider token and send again, once.
    NewToken(String),
    /// Open another connection and send again, once.
    NewConnection(String),
}

#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default)]
    reason: String,
    /// Since when the token is dead, in milliseconds of Unix time; only with 410.
    #[serde(default)]
    timestamp: Option<u64>,
}

/// Judges an answer by status and reason; by the status alone where the reason is not one of it.
pub(super) fn judge(answer: &Answer) -> Verdict {
    let said: Said = serde_json::from_str(&answer.body).unwrap_or_default();
    let why = match said.reason.as_str() {
        "" => answer.shown(),
        reason => format!("{} {reason}", answer.status),
    };
    let busy = || answer.retry_after_ms().unwrap_or(BUSY_WAIT_MS);
    let server = || answer.retry_after_ms().unwrap_or(SERVER_WAIT_MS);
    let wait = |why: String, ms: u64| PushOutcome::Transient { why, retry_after_ms: Some(ms) };
    match (answer.status, said.reason.as_str()) {
        (200..300, _) if answer.is_page() => Verdict::Outcome(wait(why, BUSY_WAIT_MS)),
        (200..300, _) => Verdict::Outcome(PushOutcome::Accepted),
        (400, "IdleTimeout") | (403, "UnrelatedKeyIdInToken") => Verdict::NewConnection(why),
        (403, "ExpiredProviderToken") => Verdict::NewToken(why),
        // The token may be of the other environment or another topic, and with it those of all
        // devices: it is kept.
        (400, "BadDeviceToken" | "DeviceTokenNotForTopic") => {
            let why = format!("{why}: check the url (production or sandbox) and the id");
            Verdict::Outcome(PushOutcome::Failed { why })
        }
        (410, _) => Verdict::Outcome(gone(why, said.timestamp)),
        (429, _) => Verdict::Outcome(wait(why, busy())),
        (503, "Shutdown") => Verdict::Closing(wait(why, server())),
        (500.., _) => Verdict::Outcome(wait(why, server())),
        _ => Verdict::Outcome(PushOutcome::Failed { why }),
    }
}

/// The token has been dead since then. An app that gave it later is right against Apple.
fn gone(why: String, since_ms: Option<u64>) -> PushOutcome {
    let why = match since_ms {
        Some(since_ms) => format!("{why} since {since_ms} ms"),
        None => why,
    };
    let dead_since_us = since_ms.map(|since_ms| since_ms.saturating_mul(1_000));
    PushOutcome::Refused { why, dead_since_us }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer::new(status, HeaderMap::new(), body)
    }

    fn word(verdict: &Verdict) -> String {
        match verdict {
            Verdict::NewToken(_) => "new token".to_owned(),
            Verdict::NewConnection(_) => "new connection".to_owned(),
            Verdict::Closing(outcome) => {
                format!("closing, {}", word(&Verdict::Outcome(outcome.clone())))
            }
            Verdict::Outcome(PushOutcome::Accepted) => "accepted".to_owned(),
            Verdict::Outcome(PushOutcome::Refused { .. }) => "refused".to_owned(),
            Verdict::Outcome(PushOutcome::Failed { .. }) => "failed".to_owned(),
            Verdict::Outcome(PushOutcome::Transient { retry_after_ms, .. }) => {
                format!("transient {}", retry_after_ms.expect("Apple's faults have a wait"))
            }
        }
    }

    /// The 32 reasons of Apple's table.
    const REASONS: &[(u16, &str, &str)] = &[
        (400, "BadCollapseId", "failed"),
        (400, "BadDeviceToken", "failed"),
        (400, "BadExpirationDate", "failed"),
        (400, "BadMessageId", "failed"),
        (400, "BadPriority", "failed"),
        (400, "BadTopic", "failed"),
        (400, "DeviceTokenNotForTopic", "failed"),
        (400, "DuplicateHeaders", "failed"),
        (400, "IdleTimeout", "new connection"),
        (400, "InvalidPushType", "failed"),
        (400, "MissingDeviceToken", "failed"),
        (400, "MissingTopic", "failed"),
        (400, "PayloadEmpty", "failed"),
        (400, "TopicDisallowed", "failed"),
        (403, "BadCertificate", "failed"),
        (403, "BadCertificateEnvironment", "failed"),
        (403, "ExpiredProviderToken", "new token"),
        (403, "Forbidden", "failed"),
        (403, "InvalidProviderToken", "failed"),
        (403, "MissingProviderToken", "failed"),
        (403, "UnrelatedKeyIdInToken", "new connection"),
        (403, "BadEnvironmentKeyIdInToken", "failed"),
        (404, "BadPath", "failed"),
        (405, "MethodNotAllowed", "failed"),
        (410, "ExpiredToken", "refused"),
        (410, "Unregistered", "refused"),
        (413, "PayloadTooLarge", "failed"),
        (429, "TooManyProviderTokenUpdates", "transient 1000"),
        (429, "TooManyRequests", "transient 1000"),
        (500, "InternalServerError", "transient 900000"),
        (503, "ServiceUnavailable", "transient 900000"),
        (503, "Shutdown", "closing, transient 900000"),
    ];

    #[test]
    fn every_reason_has_its_reaction_and_is_named() {
        assert_eq!(REASONS.len(), 32);
        for (status, reason, wanted) in REASONS {
            let verdict = judge(&answer(*status, &format!("{{\"reason\":\"{reason}\"}}")));
            assert_eq!(word(&verdict), *wanted, "{status} {reason}");
            assert!(format!("{verdict:?}").contains(reason), "{verdict:?}");
        }
    }

    #[test]
    fn a_status_without_a_known_reason_speaks_for_itself() {
        for (status, wanted) in [
            (200, "accepted"),
            (400, "failed"),
            (403, "failed"),
            (404, "failed"),
            (410, "refused"),
            (413, "failed"),
            (418, "failed"),
            (301, "failed"),
            (429, "transient 1000"),
            (500, "transient 900000"),
            (502, "transient 900000"),
        ] {
            for body in ["", "<html>", "{\"reason\":\"Novelty\"}", "{\"reason\":7}"] {
                let is_page = status == 200 && body == "<html>";
                let wanted = if is_page { "transient 1000" } else { wanted };
                assert_eq!(word(&judge(&answer(status, body))), wanted, "{status} {body}");
            }
        }
        // The reason of another status is none of its own.
        let stray = judge(&answer(400, "{\"reason\":\"ExpiredProviderToken\"}"));
        assert_eq!(word(&stray), "failed");
    }

    #[test]
    fn what_apple_asks_to_wait_is_kept_and_the_time_of_death_is_told() {
        let mut busy = answer(429, "{\"reason\":\"TooManyRequests\"}");
        busy.headers.insert("retry-after", "7".parse().expect("a header"));
        assert_eq!(word(&judge(&busy)), "transient 7000");
        let mut down = answer(503, "{\"reason\":\"ServiceUnavailable\"}");
        down.headers.insert("retry-after", "5".parse().expect("a header"));
        assert_eq!(word(&judge(&down)), "transient 5000");
        assert_eq!(word(&judge(&answer(200, "<html>"))), "transient 1000", "a proxy's page");
        let body = "{\"reason\":\"Unregistered\",\"timestamp\":1700000000123}";
        let why = "410 Unregistered since 1700000000123 ms".to_owned();
        let gone = PushOutcome::Refused { why, dead_since_us: Some(1_700_000_000_123_000) };
        assert_eq!(judge(&answer(410, body)), Verdict::Outcome(gone));
    }
}
