//! What push services answer.

use hyper::HeaderMap;

/// What a service answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// The body; empty if it was too long or broke off.
    pub(super) body: String,
    pub(super) is_whole: bool,
}

impl Answer {
    #[cfg(test)]
    pub(super) fn new(status: u16, headers: HeaderMap, body: &str) -> Self {
        Self { status, headers, body: body.to_owned(), is_whole: true }
    }

    /// Status and body, as text fit for a log.
    pub(super) fn shown(&self) -> String {
        let said: String = self.body.trim().chars().filter(|c| !c.is_control()).take(200).collect();
        match said.as_str() {
            "" => self.status.to_string(),
            said => format!("{}: {said}", self.status),
        }
    }

    /// True of a page for people: some proxy on the way answered, and not the service.
    pub(super) fn is_page(&self) -> bool {
        self.body.trim_start().starts_with('<')
    }

    /// Milliseconds of `Retry-After` (RFC 9110 section 10.2.3), where it is a number of seconds.
    pub(super) fn retry_after_ms(&self) -> Option<u64> {
        let asked = self.headers.get("retry-after").and_then(|value| value.to_str().ok());
        let seconds: Option<u64> = asked.and_then(|value| value.trim().parse().ok());
        // No service means more than a day, and sums with it must not overflow.
        seconds.map(|seconds| seconds.min(86_400) * 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_from_an_answer() {
        let says = |body: &str| Answer::new(200, HeaderMap::new(), body).is_page();
        assert!(says("<!DOCTYPE html>") && says(" \n<html>"));
        assert!(!says("") && !says("{\"name\":\"<\"}"));
    }

    #[test]
    fn retry_after_is_read_as_seconds_within_reason() {
        let ask = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", value.parse().expect("a header"));
            Answer::new(503, headers, "").retry_after_ms()
        };
        assert_eq!(ask("7"), Some(7_000));
        assert_eq!(ask(" 0 "), Some(0));
        assert_eq!(ask("18446744073709551615"), Some(86_400_000));
        for odd in ["soon", "-1", "1.5", "99999999999999999999"] {
            assert_eq!(ask(odd), None, "{odd}");
        }
    }
}
