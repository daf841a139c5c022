//! Which check must see each defect, and in which play.

use reveille_gateway_core::mutant::Defect;

/// The defect, the check that must see it, and the scenario that shows it.
pub(crate) type Row = (Defect, &'static str, &'static str);

pub(crate) const TABLE: [Row; 46] = [
    (
        Defect::DeliversBeforeStored,
        "sip.hold.invite-durable-before-100-and-push",
        "wake/two-calls-at-once",
    ),
    (
        Defect::ForgetsSecondPending,
        "sip.hold.concurrent-callers-all-kept",
        "wake/two-calls-at-once",
    ),
    (
        Defect::DeliversTwiceAfterResume,
        "sip.wake.exactly-once-across-reconnects",
        "app/websocket-drops-before-answer",
    ),
    (Defect::NoTrying, "sip.hold.trying-within-200ms", "wake/plain"),
    (Defect::RingsAfterCancel, "sip.end.late-wake-after-cancel-no-ring", "cancel/after-the-push"),
    (Defect::ClearsRecordAt200, "sip.wake.answer-retransmitted-until-ack", "crash/before-the-ack"),
    (Defect::ForgetsToTag, "sip.hold.provisional-every-60s", "crash/while-it-rings"),
    (
        Defect::RepeatsSequence,
        "jsonrtc.session.sequence-survives-sleep",
        "app/websocket-drops-before-answer",
    ),
    (
        Defect::SleepsInOwnCall,
        "sip.network.sleep-after-own-invite",
        "call/sleep-refused-while-it-rings",
    ),
    (Defect::NeverAcknowledges, "jsonrtc.call.complete-becomes-ack", "call/placed"),
    (
        Defect::EndsDialogForSleeper,
        "jsonrtc.call.change-leaves-call",
        "call/renegotiated-while-cut-off",
    ),
    (Defect::PushesBeforeStored, "sip.hold.invite-durable-before-100-and-push", "wake/plain"),
    (
        Defect::AcknowledgesBeforeStored,
        "jsonrtc.register.reconnect-response",
        "scenes/answer-after-its-202",
    ),
    (Defect::DropsStore, "patent.text.no-call-dropped", "crash/before-the-wake"),
    (Defect::ForgetsDialogAtAck, "patent.text.no-call-dropped", "crash/in-the-call"),
    (
        Defect::ForgetsDeadlineAtRestart,
        "patent.text.no-call-dropped",
        "scenes/killed-and-nobody-comes",
    ),
    (
        Defect::ForgetsSubsession,
        "jsonrtc.session.subsession-id-stable",
        "crash/power-lost-while-held",
    ),
    (
        Defect::ForgetsSleepers,
        "patent.claim.same-session-after-reconnect",
        "sleep/opened-by-the-user",
    ),
    (Defect::LateTrying, "sip.hold.trying-within-200ms", "push/request-times-out"),
    (Defect::TimesOutWith408, "sip.end.hold-expiry-480-once", "app/never-wakes"),
    (Defect::HoldsInSilence, "sip.hold.provisional-every-60s", "app/long-hold"),
    (Defect::RingsBeforeTheApp, "sip.hold.no-180-before-alerting", "wake/plain"),
    (
        Defect::IgnoresCopies,
        "sip.hold.retransmission-repeats-provisional",
        "wake/invite-retransmitted",
    ),
    (Defect::CancelLeavesInvite, "sip.end.parked-cancel-200-and-487", "cancel/after-the-push"),
    (Defect::AnswersOnce, "sip.wake.answer-retransmitted-until-ack", "wake/answer-lost"),
    (Defect::SwallowsAnswerAfterWake, "sip.wake.answer-reaches-its-caller", "wake/plain"),
    (Defect::QueuesWithoutBound, "sip.hold.pending-calls-bounded", "scenes/one-call-too-many"),
    (
        Defect::LosesCallInClosingGap,
        "session.sleep.message-in-closing-gap-kept",
        "sleep/call-crosses-request",
    ),
    (Defect::SleepsInCall, "session.sleep.pending-call-beats-sleep", "scenes/sleepy-ringing"),
    (
        Defect::ReplaysNothing,
        "jsonrtc.session.sequence-survives-sleep",
        "call/app-killed-while-it-rings",
    ),
    (Defect::DeliversNewestFirst, "sip.wake.replay-in-arrival-order", "message/several-and-a-call"),
    (
        Defect::WakesForEachCall,
        "push.common.one-push-per-call-and-token",
        "push/lost-and-called-again",
    ),
    (Defect::NeverTriesPushAgain, "push.common.transient-error-bounded-retry", "push/busy-twice"),
    (Defect::RepeatsAcceptedPush, "push.common.one-push-per-call-and-token", "app/never-wakes"),
    (Defect::RetriesRefusedPush, "push.apns.unregistered-drops-token", "push/apns-token-dead"),
    (Defect::KeepsDeadToken, "push.fcm.unregistered-drops-token", "push/fcm-token-dead"),
    (Defect::PushOutlivesCall, "push.common.ttl-within-call-life", "wake/plain"),
    (
        Defect::PushesAfterCancel,
        "push.common.payload-names-session-and-call",
        "scenes/cancelled-between-attempts",
    ),
    (
        Defect::RefreshesTooLate,
        "sip.keepalive.binding-refreshed-during-sleep",
        "register/outlived-by-sleep",
    ),
    (Defect::KeepsByeFromApp, "jsonrtc.call.bye-becomes-shutdown", "call/ended-by-who-asks"),
    (Defect::HangsUpInSilence, "jsonrtc.call.shutdown-becomes-cancel-or-bye", "call/placed"),
    (Defect::KeepsProgressFromApp, "jsonrtc.call.progress-is-told", "call/placed"),
    (Defect::TakesOldCseq, "sip.other.lower-cseq-500", "call/lower-cseq"),
    (
        Defect::GivesMessageAgain,
        "patent.claim.message-delivered-once",
        "scenes/given-and-asleep-again",
    ),
    (
        Defect::DropsMessageAfter202,
        "sip.other.message-200-or-stored-202",
        "scenes/answer-after-its-202",
    ),
    (
        Defect::SaysDeliveredWhenStored,
        "sip.other.message-200-or-stored-202",
        "message/stored-for-a-sleeper",
    ),
];
