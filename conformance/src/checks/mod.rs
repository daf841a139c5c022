//! The checks: pure functions of a trace, each deciding one requirement by its id, in a file for
//! each area. They read the raw bytes that the cast saw, by a scanner of their own and never through
//! `wire`, and without the gateway's own events unless marked `sim`.

mod coverage;
mod faults;
mod jsonrtc_call;
mod jsonrtc_change;
mod jsonrtc_register;
mod jsonrtc_row;
mod jsonrtc_session;
mod messages;
mod patent;
mod placed;
mod push_apns;
mod push_common;
mod push_fcm;
mod push_webpush;
mod pushed;
mod reactions;
mod security_general;
mod services;
mod session_sleep;
mod sip_end;
mod sip_hold;
mod sip_keepalive;
mod sip_network;
mod sip_other;
mod sip_wake;
mod texts;
mod view;

use reveille_trace::{Finding, Observed, Span, Trace};

use crate::requirement;

pub use coverage::met;
pub use faults::planned_faults;
pub use pushed::Push;
pub use texts::{Notice, Text};
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

/// One check. Its level and what it expects stand in the requirement.
#[derive(Clone, Copy)]
pub struct Check {
    /// The requirement's id.
    pub requirement: &'static str,
    /// It needs the gateway's own events.
    pub sim: bool,
    /// Decides it.
    pub run: fn(&View<'_>) -> Outcome,
}

/// A check that a stranger can make.
const fn seen(requirement: &'static str, run: fn(&View<'_>) -> Outcome) -> Check {
    Check { requirement, sim: false, run }
}

/// A check that needs the gateway's own events.
const fn inside(requirement: &'static str, run: fn(&View<'_>) -> Outcome) -> Check {
    Check { requirement, sim: true, run }
}

/// Every check, in the order of reports.
pub const CHECKS: &[Check] = &[
    seen("patent.text.no-call-dropped", patent::no_call_dropped),
    seen("patent.claim.closed-socket-stays-silent", patent::silent_asleep),
    seen("patent.claim.message-accepted-while-closed", patent::accepted_while_closed),
    seen("patent.claim.push-holds-three-items", patent::three_items),
    seen("patent.claim.same-session-after-reconnect", patent::same_session),
    seen("patent.claim.message-delivered-once", messages::given_once),
    seen("patent.step.order", patent::steps_in_order),
    inside("session.sleep.state-durable-then-close", session_sleep::durable_then_close),
    seen("session.sleep.message-in-closing-gap-kept", session_sleep::gap_is_kept),
    seen("session.sleep.pending-call-beats-sleep", session_sleep::pending_call_wins),
    inside("session.sleep.sleep-frees-sockets", session_sleep::sleep_frees_sockets),
    seen("sip.keepalive.binding-refreshed-during-sleep", sip_keepalive::binding_never_lapses),
    seen("sip.keepalive.refresh-challenge-answered", sip_keepalive::challenge_is_answered),
    seen("sip.hold.trying-within-200ms", sip_hold::trying_in_time),
    seen("sip.hold.retransmission-repeats-provisional", sip_hold::repeats_provisional),
    inside("sip.hold.invite-durable-before-100-and-push", sip_hold::durable_first),
    seen("sip.hold.provisional-every-60s", sip_hold::provisionals),
    seen("sip.hold.no-180-before-alerting", sip_hold::no_ringback_before_alert),
    seen("sip.hold.concurrent-callers-all-kept", sip_hold::all_delivered),
    seen("sip.hold.pending-calls-bounded", sip_hold::pending_are_bounded),
    seen("push.common.leaves-within-declared-delay", push_common::leaves_in_time),
    seen("push.common.one-push-per-call-and-token", push_common::one_push),
    seen("push.common.ttl-within-call-life", push_common::ttl_within_life),
    seen("push.common.payload-names-session-and-call", push_common::names_session_and_call),
    seen("push.common.payload-within-limit", push_common::payload_within_limit),
    seen("push.common.refused-push-ends-hold", push_common::refused_ends_hold),
    seen("push.common.transient-error-bounded-retry", push_common::transient_is_retried),
    seen("push.common.accepted-push-is-not-wake", push_common::accepted_is_no_wake),
    seen("push.common.no-push-for-quiet-methods", messages::no_push_for_quiet),
    seen("push.apns.http2-long-lived-connections", push_apns::connections),
    seen("push.apns.push-type-matches-payload", push_apns::push_type),
    seen("push.apns.topic-suffix-voip", push_apns::topic),
    seen("push.apns.priority-five-for-background", push_apns::priority),
    seen("push.apns.expiration-is-call-end", push_apns::expiration),
    seen("push.apns.collapse-id-64-bytes", push_apns::collapse_id),
    seen("push.apns.apns-id-kept", push_apns::message_id),
    seen("push.apns.payload-limit-no-retry", push_apns::payload_limit),
    seen("push.apns.jwt-reused-20-to-60-minutes", push_apns::provider_token),
    seen("push.apns.expired-token-minted-once", push_apns::stale_token),
    seen("push.apns.too-many-updates-backs-off", push_apns::busy),
    seen("push.apns.unregistered-drops-token", push_apns::dead_token),
    seen("push.apns.bad-token-marks-suspect", push_apns::suspect_token),
    seen("push.apns.goaway-loses-nothing", push_apns::goaway),
    seen("push.apns.voip-only-when-it-rings", push_apns::voip_rings),
    seen("push.apns.background-budget-respected", push_apns::background),
    seen("push.apns.configuration-faults-alarm", push_apns::configuration),
    seen("push.fcm.oauth-token-refreshed", push_fcm::bearer),
    seen("push.fcm.calls-data-only-high", push_fcm::data_only),
    seen("push.fcm.ttl-within-hold", push_fcm::ttl),
    seen("push.fcm.data-strings-and-limit", push_fcm::data),
    seen("push.fcm.unregistered-drops-token", push_fcm::unregistered),
    seen("push.fcm.sender-mismatch-removes-and-alarms", push_fcm::sender_mismatch),
    seen("push.fcm.invalid-argument-two-shapes", push_fcm::invalid_argument),
    seen("push.fcm.quota-honours-retry-after", push_fcm::quota),
    seen("push.fcm.server-error-backoff-in-call-life", push_fcm::server_error),
    seen("push.fcm.unauthorized-refreshes-once", push_fcm::unauthorized),
    seen("push.fcm.rate-budgets-respected", push_fcm::rate),
    seen("push.webpush.ttl-header-present", push_webpush::ttl),
    seen("push.webpush.urgency-high-for-calls", push_webpush::urgency),
    seen("push.webpush.topic-unique-per-call", push_webpush::topic),
    seen("push.webpush.created-is-not-delivered", push_webpush::created),
    seen("push.webpush.gone-and-not-found-remove", push_webpush::gone),
    seen("push.webpush.body-within-4096", push_webpush::body_size),
    seen("push.webpush.too-many-honours-retry-after", push_webpush::busy),
    seen("push.webpush.session-payload-encrypted", push_webpush::encrypted),
    seen("push.webpush.fresh-salt-and-key", push_webpush::fresh),
    seen("push.webpush.vapid-claims", push_webpush::vapid),
    seen("push.webpush.restricted-key-rotation", push_webpush::restricted),
    seen("sip.wake.replay-in-arrival-order", sip_wake::arrival_order),
    seen("sip.wake.outcome-after-client-final", sip_wake::answer_after_app),
    seen("sip.wake.answer-reaches-its-caller", sip_wake::answer_reaches_caller),
    seen("sip.wake.exactly-once-across-reconnects", sip_wake::delivered_once),
    seen("sip.wake.early-open-delivers", sip_wake::early_open_delivers),
    seen("sip.wake.answer-retransmitted-until-ack", sip_wake::answer_goes_again),
    seen("sip.end.parked-cancel-200-and-487", sip_end::cancel_is_answered),
    seen("sip.end.late-wake-after-cancel-no-ring", sip_end::no_ring_after_cancel),
    seen("sip.end.answer-beats-crossing-cancel", sip_end::answer_beats_cancel),
    seen("sip.end.hold-expiry-480-once", sip_end::one_final),
    seen("sip.end.nothing-leaks-after-final", sip_end::nothing_leaks),
    seen("sip.end.client-watchdog-gets-terminal", sip_end::woken_is_told),
    seen("sip.other.lower-cseq-500", sip_other::lower_cseq_is_refused),
    seen("sip.other.message-200-or-stored-202", messages::answered_or_stored),
    seen("sip.other.message-burst-collapsed-calls-not", messages::burst_is_collapsed),
    seen("sip.other.notify-coalesced-or-480", messages::notices_are_coalesced),
    seen("sip.other.message-summary-low-priority-push", messages::summary_is_no_emergency),
    seen("sip.network.sleep-after-own-invite", sip_network::own_call_is_kept),
    seen("sip.network.outbound-during-replay", sip_network::both_complete),
    seen("sip.network.branch-unique-per-hop", sip_network::branches_are_unique),
    seen("jsonrtc.call.start-becomes-invite", jsonrtc_call::start_becomes_invite),
    seen("jsonrtc.call.progress-is-told", jsonrtc_call::progress_is_told),
    seen("jsonrtc.call.prack-is-answered", jsonrtc_call::prack_is_answered),
    seen("jsonrtc.call.outcome-is-told", jsonrtc_call::outcome_is_told),
    seen("jsonrtc.call.complete-becomes-ack", jsonrtc_call::complete_becomes_ack),
    seen("jsonrtc.call.shutdown-becomes-cancel-or-bye", jsonrtc_call::shutdown_ends_call),
    seen("jsonrtc.call.bye-becomes-shutdown", jsonrtc_call::bye_ends_call),
    seen("jsonrtc.call.shutdown-keeps-session", jsonrtc_call::shutdown_keeps_session),
    seen("jsonrtc.call.change-is-start", jsonrtc_change::change_is_start),
    seen("jsonrtc.call.change-is-answered", jsonrtc_change::change_is_answered),
    seen("jsonrtc.call.change-leaves-call", jsonrtc_change::change_leaves_call),
    seen("jsonrtc.call.change-taken-back", jsonrtc_change::change_is_taken_back),
    seen("jsonrtc.row.message.from-the-app", jsonrtc_row::sent_is_answered),
    seen("jsonrtc.register.reconnect-response", jsonrtc_register::acknowledged_stays),
    seen("jsonrtc.session.token-acknowledged-before-sleep", jsonrtc_session::token_before_sleep),
    seen("jsonrtc.session.old-session-id-rehydrates", jsonrtc_session::rehydrates),
    seen("jsonrtc.session.held-call-is-start", jsonrtc_session::held_call_is_start),
    seen("jsonrtc.session.sequence-survives-sleep", jsonrtc_session::numbers_rise),
    seen("jsonrtc.session.subsession-id-stable", jsonrtc_session::subsession_is_stable),
    seen("security.general.payload-minimal", security_general::payload_is_minimal),
    seen("security.general.session-ids-128-bit", security_general::ids_have_128_bits),
];

/// Decides every requirement that the trace speaks of; those in `covers` also where it does not. A
/// planned fault that did not strike is a finding of its own.
#[must_use]
pub fn judge(trace: &Trace, covers: &[&str]) -> Vec<Finding> {
    let view = View::new(trace);
    let decided = CHECKS.iter().filter_map(|check| decide(check, &view, covers));
    faults::void(trace).into_iter().chain(decided).collect()
}

fn decide(check: &Check, view: &View<'_>, covers: &[&str]) -> Option<Finding> {
    let blind = check.sim && !view.sees_inside;
    let outcome = if blind { Outcome::Silent } else { (check.run)(view) };
    let (observed, actual, at) = match outcome {
        Outcome::Met => (Observed::Pass, String::new(), None),
        Outcome::Broken { actual, at } => (Observed::Fail, actual, at),
        Outcome::Silent if covers.contains(&check.requirement) => {
            let inside = "it needs the gateway's own events, and the trace has none";
            let why = if blind { inside } else { "nothing happened that it speaks of" };
            (Observed::Inconclusive, why.to_owned(), None)
        }
        Outcome::Silent => return None,
    };
    let requirement = requirement::find(check.requirement)
        .unwrap_or_else(|| panic!("the check {} has no requirement", check.requirement));
    Some(Finding {
        requirement: requirement.id.clone(),
        level: requirement.level.name().to_owned(),
        observed,
        expected: requirement.text.clone(),
        actual,
        evidence: at.map(|at| Span { first: at, last: at }),
    })
}

fn broken(actual: impl Into<String>, at: u64) -> Outcome {
    Outcome::Broken { actual: actual.into(), at: Some(at) }
}

/// Decides for each; the first that is broken decides for all.
fn each<T>(all: impl IntoIterator<Item = T>, decide: impl Fn(T) -> Outcome) -> Outcome {
    let mut outcome = Outcome::Silent;
    for one in all {
        match decide(one) {
            Outcome::Silent => {}
            Outcome::Met => outcome = Outcome::Met,
            wrong @ Outcome::Broken { .. } => return wrong,
        }
    }
    outcome
}
