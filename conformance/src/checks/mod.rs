//! The checks: pure functions of a trace, each deciding one requirement by its id. They read the
//! raw bytes that the cast saw, by a scanner of their own and never through `wire`, and without the
//! gateway's own events unless marked `sim`.

mod call;
mod frames;
mod sleep;
mod view;

use reveille_trace::{Finding, Observed, Span, Trace};

pub use view::View;

/// What a check decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The requirement was met, and something happened that it speaks of.
    Met,
    /// It was not: what was seen, and where.
    Broken {
        /// What was seen, in one sentence.
        actual: String,
        /// The event to look at.
        at: Option<u64>,
    },
    /// Nothing happened that it speaks of.
    Silent,
}

/// One check.
#[derive(Clone, Copy)]
pub struct Check {
    /// The requirement's id.
    pub requirement: &'static str,
    /// What should be seen, in one sentence.
    pub expected: &'static str,
    /// It needs the gateway's own events.
    pub sim: bool,
    /// Decides it.
    pub run: fn(&View<'_>) -> Outcome,
}

/// Every check, in the order of reports. All of these requirements are MUST.
pub const CHECKS: &[Check] = &[
    Check {
        requirement: "patent.text.no-call-dropped",
        expected: "every call that was answered 100 ends at its caller with a final response",
        sim: false,
        run: call::no_call_dropped,
    },
    Check {
        requirement: "sip.hold.trying-within-200ms",
        expected: "100 within 200 ms of the first INVITE",
        sim: false,
        run: call::trying_in_time,
    },
    Check {
        requirement: "sip.hold.invite-durable-before-100-and-push",
        expected: "the call's record is durable before its 100 leaves and before a push is asked for",
        sim: true,
        run: call::durable_first,
    },
    Check {
        requirement: "sip.hold.no-180-before-alerting",
        expected: "no 180 before an app alerted",
        sim: false,
        run: call::no_ringback_before_alert,
    },
    Check {
        requirement: "sip.hold.provisional-every-60s",
        expected: "provisionals and answer of a call carry one To tag",
        sim: false,
        run: call::one_to_tag,
    },
    Check {
        requirement: "sip.hold.concurrent-callers-all-kept",
        expected: "each of several calls for one sleeper is delivered to its app",
        sim: false,
        run: call::all_delivered,
    },
    Check {
        requirement: "sip.wake.outcome-after-client-final",
        expected: "a caller hears 200 only after the app's final response",
        sim: false,
        run: call::answer_after_app,
    },
    Check {
        requirement: "sip.wake.answer-retransmitted-until-ack",
        expected: "an answered call is known until its ACK and BYE: BYE is answered 200",
        sim: false,
        run: call::dialog_is_known,
    },
    Check {
        requirement: "sip.end.late-wake-after-cancel-no-ring",
        expected: "no call is delivered after its caller was told 487",
        sim: false,
        run: call::no_ring_after_cancel,
    },
    Check {
        requirement: "sip.end.hold-expiry-480-once",
        expected: "a caller hears one final response and no other",
        sim: false,
        run: call::one_final,
    },
    Check {
        requirement: "sip.wake.exactly-once-across-reconnects",
        expected: "an app that holds a call is not given it again",
        sim: false,
        run: frames::delivered_once,
    },
    Check {
        requirement: "jsonrtc.session.sequence-survives-sleep",
        expected: "the gateway's numbers rise by one within a session, and none is given twice",
        sim: false,
        run: frames::numbers_rise,
    },
    Check {
        requirement: "push.common.payload-names-session-and-call",
        expected: "a push names the session and the call that the app is then given",
        sim: false,
        run: frames::push_names_call,
    },
    Check {
        requirement: "patent.claim.closed-socket-stays-silent",
        expected: "nothing is sent to an app that sleeps",
        sim: false,
        run: frames::silent_asleep,
    },
    Check {
        requirement: "sip.hold.retransmission-repeats-provisional",
        expected: "an INVITE sent again is answered again",
        sim: false,
        run: sleep::repeats_provisional,
    },
    Check {
        requirement: "sip.end.parked-cancel-200-and-487",
        expected: "a CANCEL is answered 200 and its INVITE 487",
        sim: false,
        run: sleep::cancel_is_answered,
    },
    Check {
        requirement: "sip.end.nothing-leaks-after-final",
        expected: "a call that failed at its caller is not given to an app",
        sim: false,
        run: sleep::nothing_leaks,
    },
    Check {
        requirement: "sip.wake.replay-in-arrival-order",
        expected: "an app is given its calls in the order in which they were accepted",
        sim: false,
        run: sleep::arrival_order,
    },
    Check {
        requirement: "sip.keepalive.binding-refreshed-during-sleep",
        expected: "no binding runs out before it is refreshed",
        sim: false,
        run: sleep::binding_never_lapses,
    },
    Check {
        requirement: "push.common.payload-within-limit",
        expected: "every push is JSON of at most 4,096 bytes without an SDP",
        sim: false,
        run: sleep::payload_is_fit,
    },
    Check {
        requirement: "push.common.refused-push-ends-hold",
        expected: "a push refused for good ends the hold within 1 s",
        sim: false,
        run: sleep::refused_ends_hold,
    },
    Check {
        requirement: "session.sleep.state-durable-then-close",
        expected: "sleep is granted before the app closes",
        sim: false,
        run: sleep::granted_then_closed,
    },
    Check {
        requirement: "patent.claim.same-session-after-reconnect",
        expected: "an app that comes back has the session it asked for",
        sim: false,
        run: sleep::same_session,
    },
    Check {
        requirement: "patent.step.order",
        expected: "asleep, call, push, reconnect, delivery come in this order",
        sim: false,
        run: sleep::steps_in_order,
    },
];

/// Decides every requirement that the trace speaks of; those in `covers` also where it does not.
#[must_use]
pub fn judge(trace: &Trace, covers: &[&str]) -> Vec<Finding> {
    let view = View::new(trace);
    CHECKS.iter().filter_map(|check| decide(check, &view, covers)).collect()
}

fn decide(check: &Check, view: &View<'_>, covers: &[&str]) -> Option<Finding> {
    let (observed, actual, at) = match (check.run)(view) {
        Outcome::Met => (Observed::Pass, String::new(), None),
        Outcome::Broken { actual, at } => (Observed::Fail, actual, at),
        Outcome::Silent if covers.contains(&check.requirement) => {
            (Observed::Inconclusive, "nothing happened that it speaks of".to_owned(), None)
        }
        Outcome::Silent => return None,
    };
    Some(Finding {
        requirement: check.requirement.to_owned(),
        level: "MUST".to_owned(),
        observed,
        expected: check.expected.to_owned(),
        actual,
        evidence: at.map(|at| Span { first: at, last: at }),
    })
}
