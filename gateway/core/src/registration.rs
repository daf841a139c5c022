//! Keeps one session registered upstream, awake or asleep (RFC 3261 section 10.2). It decides when
//! a REGISTER is due and what an answer means; it sends nothing itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Ask;
use crate::io::Flow;

/// What came back for a REGISTER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 2xx; the lifetime of our binding in seconds.
    Accepted(u32),
    /// 401 or 407.
    Challenged(Ask),
    /// 423; the registrar's Min-Expires in seconds.
    TooBrief(u32),
    /// Any other final response, or none (status 408); Retry-After in milliseconds.
    Failed(u16, Option<u64>),
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send a REGISTER now.
    Register,
    /// Registered until then (in seconds from now); register again after so many milliseconds.
    Registered { expires_s: u32, again_ms: u64 },
    /// It failed with this status; try again after so many milliseconds.
    Later { status: u16, again_ms: u64 },
    /// The binding is removed, or removing it failed: nothing more to do.
    Gone,
}

/// One registration. Call-ID and CSeq belong to one process only: every start registers afresh, so
/// that no CSeq of a lost process can be above ours (RFC 3261 section 10.3 step 7).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Registration {
    pub(crate) call_id: String,
    pub(crate) from_tag: String,
    pub(crate) cseq: u32,
    pub(crate) expires_s: u32,
    pub(crate) leaving: bool,
    /// The challenge that the next request answers, and how often its nonce was used.
    pub(crate) ask: Option<Ask>,
    pub(crate) nonce_count: u32,
    /// The last challenge as an app would be given it.
    #[serde(skip)]
    pub(crate) challenge: Option<Value>,
    answered: bool,
    failures: u32,
    granted: Granted,
    /// Targets that failed since one last answered.
    pub(crate) tried: Vec<Flow>,
}

/// What the 200 says beside the lifetime; for this process only, since each start registers anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Granted {
    /// Service-Route, in order (RFC 3608 section 6.1).
    pub(crate) service_route: Vec<String>,
    /// The flow that we registered over, if the registrar reaches us by it (RFC 5626 section 4.2.1).
    pub(crate) by_flow: Option<Flow>,
}

/// RFC 5626 section 4.5: base and bound of the back-off when everything has failed.
const BACK_OFF_MS: (u64, u64) = (30_000, 1_800_000);
/// The shortest back-off, of a binding that is about to end.
const HURRY_MS: u64 = 2_000;

impl Registration {
    pub(crate) const fn new(call_id: String, from_tag: String, expires_s: u32) -> Self {
        Self {
            call_id,
            from_tag,
            cseq: 0,
            expires_s,
            leaving: false,
            ask: None,
            nonce_count: 0,
            challenge: None,
            answered: false,
            failures: 0,
            granted: Granted { service_route: Vec::new(), by_flow: None },
            tried: Vec::new(),
        }
    }

    /// Turns to another registrar, which knows nothing of the challenges of the one before.
    pub(crate) fn turn(&mut self, failed: &Flow) {
        self.ask = None;
        self.answered = false;
        self.tried.push(failed.clone());
    }

    /// What a 200 grants takes the place of what an earlier one did.
    pub(crate) fn grant(&mut self, granted: Granted) {
        self.granted = granted;
    }

    /// The Route of requests outside of dialogs, in order; empty: none.
    pub(crate) fn service_route(&self) -> &[String] {
        &self.granted.service_route
    }

    /// True if what is called comes by this flow.
    pub(crate) fn is_by(&self, flow: &Flow) -> bool {
        self.granted.by_flow.as_ref() == Some(flow) && !self.leaving
    }

    /// Reads an answer. `part` is a random number from 50 to 100: the share of the back-off that
    /// is waited, so that a thousand sleepers do not come back in one instant. The binding that
    /// stands ends in `left_ms`.
    pub(crate) fn answer(&mut self, answer: Answer, part: u64, left_ms: u64) -> Next {
        match answer {
            Answer::Accepted(_) if self.leaving => Next::Gone,
            Answer::Accepted(expires_s) => {
                self.failures = 0;
                self.answered = false;
                Next::Registered { expires_s, again_ms: refresh_after_ms(expires_s, part) }
            }
            Answer::Challenged(ask) => self.challenged(ask, (part, left_ms)),
            Answer::TooBrief(least_s) if least_s > self.expires_s && !self.leaving => {
                self.expires_s = least_s;
                Next::Register
            }
            Answer::TooBrief(_) => self.failed(423, None, (part, left_ms)),
            Answer::Failed(status, retry_after_ms) => {
                self.failed(status, retry_after_ms, (part, left_ms))
            }
        }
    }

    /// Credentials that were just refused are not shown again, unless the nonce was merely old
    /// (RFC 3261 section 22.2).
    fn challenged(&mut self, ask: Ask, when: (u64, u64)) -> Next {
        if self.answered && !ask.stale {
            self.answered = false;
            self.ask = None;
            let status = if ask.proxy { 407 } else { 401 };
            return self.failed(status, None, when);
        }
        self.answered = true;
        self.ask = Some(ask);
        self.nonce_count = 0;
        Next::Register
    }

    /// It is tried again several times before the binding that stands is gone; these times do not
    /// lengthen the back-off.
    fn failed(
        &mut self,
        status: u16,
        retry_after_ms: Option<u64>,
        (part, left_ms): (u64, u64),
    ) -> Next {
        if self.leaving {
            return Next::Gone;
        }
        let (base, bound) = BACK_OFF_MS;
        let mut wait = base.saturating_mul(1 << self.failures.min(10)).min(bound);
        let hurry_ms = (left_ms / 3).max(HURRY_MS);
        if left_ms > 0 && hurry_ms < wait {
            wait = hurry_ms;
        } else {
            self.failures += 1;
        }
        let again_ms = (wait * part / 100).max(retry_after_ms.unwrap_or(0));
        Next::Later { status, again_ms }
    }
}

/// Half of the lifetime, but no earlier than 120 s before its end where it is longer than 240 s;
/// spread over a tenth, always early.
pub(crate) fn refresh_after_ms(expires_s: u32, part: u64) -> u64 {
    let life_ms = u64::from(expires_s) * 1_000;
    let at_ms = life_ms - (life_ms / 2).min(120_000);
    at_ms - at_ms * part.clamp(50, 100).saturating_sub(50) / 500
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(stale: bool) -> Ask {
        Ask {
            realm: "r".to_owned(),
            nonce: "n".to_owned(),
            opaque: None,
            auth: true,
            stale,
            proxy: false,
        }
    }

    fn registration() -> Registration {
        Registration::new("c".to_owned(), "t".to_owned(), 300)
    }

    #[test]
    fn refused_credentials_are_not_shown_twice_but_a_stale_nonce_is_answered() {
        let mut it = registration();
        assert_eq!(it.answer(Answer::Challenged(ask(false)), 100, 0), Next::Register);
        assert_eq!(it.answer(Answer::Challenged(ask(true)), 100, 0), Next::Register);
        let next = it.answer(Answer::Challenged(ask(false)), 100, 0);
        assert_eq!(next, Next::Later { status: 401, again_ms: 30_000 });
    }

    #[test]
    fn failures_back_off_to_half_an_hour_and_a_success_forgets_them() {
        let mut it = registration();
        let waits: Vec<u64> = (0..8)
            .map(|_| match it.answer(Answer::Failed(503, None), 100, 0) {
                Next::Later { again_ms, .. } => again_ms / 1_000,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1_800, 1_800]);
        it.answer(Answer::Accepted(300), 100, 0);
        let next = it.answer(Answer::Failed(503, Some(45_000)), 50, 0);
        assert_eq!(next, Next::Later { status: 503, again_ms: 45_000 });
    }

    #[test]
    fn a_binding_is_not_left_to_end_by_waiting_and_the_registrar_is_not_asked_before_its_time() {
        for part in [50, 100] {
            let (mut it, mut left_ms, mut tries) = (registration(), 120_000_u64, 0);
            while left_ms > 0 {
                let next = it.answer(Answer::Failed(503, None), part, left_ms);
                let Next::Later { again_ms, .. } = next else { panic!("{next:?}") };
                left_ms = left_ms.saturating_sub(again_ms);
                tries += 1;
            }
            assert!((8..=24).contains(&tries), "{tries} tries");
            let next = it.answer(Answer::Failed(503, None), 100, 0);
            assert_eq!(next, Next::Later { status: 503, again_ms: 60_000 }, "the second back-off");
        }
        let next = registration().answer(Answer::Failed(503, Some(9_000)), 100, 10_000);
        assert_eq!(next, Next::Later { status: 503, again_ms: 9_000 });
    }

    #[test]
    fn an_interval_too_brief_is_raised_to_what_the_registrar_wants() {
        let mut it = registration();
        assert_eq!(it.answer(Answer::TooBrief(600), 100, 0), Next::Register);
        assert_eq!(it.expires_s, 600);
        assert!(matches!(
            it.answer(Answer::TooBrief(600), 100, 0),
            Next::Later { status: 423, .. }
        ));
    }

    #[test]
    fn a_refresh_always_comes_before_the_binding_ends() {
        for expires_s in [1, 2, 30, 60, 240, 300, 3_600, 86_400] {
            for part in [50, 75, 100] {
                let at = refresh_after_ms(expires_s, part);
                assert!(at < u64::from(expires_s) * 1_000, "{expires_s} s, part {part}: {at} ms");
            }
        }
        assert_eq!(refresh_after_ms(3_600, 50), 3_480_000);
    }
}
