//! Which check must notice which harm.

use reveille_trace::{Event, Kind, Raw, Trace, Value};

use super::{at, bobs, edit, is_response, is_start, pushed, repeat_at_end, replace, text, without};

/// The requirement, the scenario in which it is met, and the harm after which it is not.
pub(super) type Row = (&'static str, &'static str, fn(&mut Trace));

/// The first push shows another value.
fn replace_field(trace: &mut Trace, name: &'static str, value: &str) {
    edit(trace, pushed, |event| {
        event.fields.insert(name.into(), Value::from(value)).expect("the healthy trace shows it");
    });
}

fn connected(event: &Event) -> bool {
    bobs(event, Kind::RtcReceived, "\"connect\"") && !text(event).contains("\"sslr\"")
}

fn closed(event: &Event) -> bool {
    event.kind == Kind::WsClosed && event.int("code") == Some(4001)
}

pub(super) const PATENT: &[Row] = &[
    ("patent.text.no-call-dropped", "wake/plain", |trace| {
        without(trace, |e| is_response(e, 200, "INVITE"));
    }),
    ("patent.text.no-call-dropped", "wake/plain", |trace| {
        let bye = |e: &Event| is_response(e, 200, "BYE");
        replace(trace, bye, "SIP/2.0 200 OK", "SIP/2.0 481 Unknown");
    }),
    ("patent.claim.closed-socket-stays-silent", "wake/plain", |trace| {
        let closed = at(trace, |e| e.actor == "bob" && closed(e));
        let frame = trace.events[..closed].iter().rfind(|e| bobs(e, Kind::RtcReceived, ""));
        let mut frame = frame.expect("the healthy trace has it").clone();
        frame.seq = trace.events[closed].seq + 1;
        trace.events.insert(closed + 1, frame);
    }),
    ("patent.claim.message-accepted-while-closed", "wake/plain", |trace| {
        let first = |e: &Event| is_response(e, 100, "INVITE");
        replace(trace, first, "SIP/2.0 100 Trying", "SIP/2.0 480 Gone");
    }),
    ("patent.claim.message-accepted-while-closed", "wake/plain", |trace| {
        let first = |e: &Event| is_response(e, 100, "INVITE");
        replace(trace, first, "SIP/2.0 100 Trying", "SIP/2.0 488 No offer");
    }),
    ("patent.claim.push-holds-three-items", "wake/plain", |trace| {
        replace(trace, pushed, "\"application\":\"", "\"application\":\"another-");
    }),
    ("patent.claim.push-holds-three-items", "wake/plain", |trace| {
        replace(trace, pushed, "\"token\":\"", "\"token\":\"another-");
    }),
    ("patent.claim.push-holds-three-items", "wake/plain", |trace| {
        replace(trace, pushed, "{\"session_id\":\"", "{\"session_id\":\"another-");
    }),
    ("patent.claim.push-holds-three-items", "push/apns-wakes", |trace| {
        replace_field(trace, "topic", "com.example.apps.voip");
    }),
    ("patent.claim.push-holds-three-items", "push/fcm-wakes", |trace| {
        replace_field(trace, "project", "project-2");
    }),
    ("patent.claim.push-holds-three-items", "push/fcm-wakes", |trace| {
        replace(trace, pushed, "\"session_id\":\"", "\"session_id\":\"another-");
    }),
    ("patent.claim.push-holds-three-items", "push/webpush-wakes", |trace| {
        replace_field(trace, "vapid-key", "BAAA");
    }),
    ("patent.claim.push-holds-three-items", "push/webpush-wakes", |trace| {
        replace_field(trace, "token", "{}");
    }),
    ("patent.claim.same-session-after-reconnect", "wake/plain", |trace| {
        let resumed = |e: &Event| bobs(e, Kind::RtcReceived, "\"sslr\"");
        replace(trace, resumed, "\"session_id\":\"", "\"session_id\":\"another-");
    }),
    ("patent.step.order", "wake/plain", |trace| without(trace, pushed)),
];

pub(super) const SLEEP: &[Row] = &[
    ("session.sleep.state-durable-then-close", "wake/plain", |trace| {
        without(trace, |e| e.kind == Kind::Stored);
    }),
    ("session.sleep.state-durable-then-close", "wake/plain", |trace| {
        without(trace, |e| bobs(e, Kind::RtcReceived, "hibernate"));
    }),
    ("session.sleep.message-in-closing-gap-kept", "sleep/call-crosses-request", |trace| {
        without(trace, is_start);
        trace.events.retain(|e| !pushed(e));
    }),
    ("session.sleep.pending-call-beats-sleep", "scenes/sleepy-ringing", |trace| {
        let answered = |e: &Event| bobs(e, Kind::RtcReceived, "hibernate");
        replace(trace, answered, "\"type\":\"error\"", "\"type\":\"response\"");
        replace(trace, answered, "\"error_code\":491", "\"response_code\":200");
    }),
    ("session.sleep.sleep-frees-sockets", "wake/plain", |trace| {
        without(trace, |e| e.actor == "gateway" && closed(e));
    }),
    ("sip.keepalive.binding-refreshed-during-sleep", "register/outlived-by-sleep", |trace| {
        let granted = |e: &Event| {
            e.actor == "registrar" && e.kind == Kind::SipSent && text(e).contains(" 200 OK")
        };
        let first = trace.events[at(trace, granted)].seq;
        without(trace, |e| granted(e) && e.seq > first);
    }),
    ("sip.keepalive.refresh-challenge-answered", "wake/plain", |trace| {
        let shown = |e: &Event| e.actor == "registrar" && text(e).contains("Authorization:");
        replace(trace, shown, "nonce=\"", "nonce=\"another-");
    }),
    ("sip.keepalive.refresh-challenge-answered", "wake/plain", |trace| {
        let shown = |e: &Event| e.actor == "registrar" && text(e).contains("Authorization:");
        replace(trace, shown, "CSeq: 2", "CSeq: 1");
    }),
];

pub(super) const HOLD: &[Row] = &[
    ("sip.hold.trying-within-200ms", "wake/plain", |trace| {
        edit(trace, |e| is_response(e, 100, "INVITE"), |e| e.t_us += 300_000);
    }),
    ("sip.hold.retransmission-repeats-provisional", "wake/invite-retransmitted", |trace| {
        let last = trace.events.iter().rposition(|e| text(e).starts_with("INVITE "));
        let seq = trace.events[last.expect("the healthy trace has it")].seq;
        without(trace, |e| e.seq > seq && e.actor == "alice");
    }),
    ("sip.hold.retransmission-repeats-provisional", "wake/invite-retransmitted", |trace| {
        let last = trace.events.iter().rposition(|e| text(e).starts_with("INVITE "));
        let seq = trace.events[last.expect("the healthy trace has it")].seq;
        let again = move |e: &Event| e.seq > seq && is_response(e, 180, "INVITE");
        replace(trace, again, "SIP/2.0 180 Ringing", "SIP/2.0 183 Session Progress");
    }),
    ("sip.hold.retransmission-repeats-provisional", "wake/invite-retransmitted", |trace| {
        let push = at(trace, pushed);
        let again = trace.events[push].clone();
        trace.events.insert(push + 1, again);
    }),
    ("sip.hold.no-180-before-alerting", "wake/plain", |trace| {
        without(trace, |e| bobs(e, Kind::RtcSent, "\"subsequent\""));
    }),
    ("sip.hold.provisional-every-60s", "app/long-hold", |trace| {
        let first = trace.events[at(trace, |e| is_response(e, 183, "INVITE"))].seq;
        without(trace, |e| is_response(e, 183, "INVITE") && e.seq > first);
    }),
    ("sip.hold.provisional-every-60s", "wake/plain", |trace| {
        let early = |e: &Event| is_response(e, 183, "INVITE");
        replace(trace, early, "SIP/2.0 183 Session Progress", "SIP/2.0 181 Forwarded");
    }),
    ("sip.hold.concurrent-callers-all-kept", "wake/second-call-while-waking", |trace| {
        without(trace, |e| is_start(e) && text(e).contains("s=c2"));
    }),
];

pub(super) const PUSH: &[Row] = &[
    ("push.common.leaves-within-declared-delay", "wake/plain", |trace| {
        edit(trace, pushed, |e| e.t_us += 300_000);
    }),
    ("push.common.one-push-per-call-and-token", "wake/plain", |trace| {
        let answer = at(trace, |e| e.kind == Kind::PushAnswered);
        let mut again = trace.events[at(trace, pushed)].clone();
        again.seq = trace.events[answer].seq;
        trace.events.insert(answer + 1, again);
    }),
    ("push.common.ttl-within-call-life", "wake/plain", |trace| {
        replace(trace, pushed, "\"ttl_s\":29", "\"ttl_s\":32");
    }),
    ("push.common.payload-names-session-and-call", "wake/plain", |trace| {
        let arrived = |e: &Event| e.kind == Kind::PushArrived;
        replace(trace, arrived, "\"session_id\":\"", "\"session_id\":\"another-");
    }),
    ("push.common.payload-names-session-and-call", "wake/plain", |trace| {
        let arrived = |e: &Event| e.kind == Kind::PushArrived;
        replace(trace, arrived, "\"call_id\":\"", "\"call_id\":\"another-");
    }),
    ("push.common.payload-within-limit", "wake/plain", |trace| {
        let long = format!("\"event\":\"{}\"", "x".repeat(4_096));
        replace(trace, pushed, "\"event\":\"call\"", &long);
    }),
    ("push.common.payload-within-limit", "wake/plain", |trace| {
        replace(trace, pushed, "\"call_id\":", "\"call\":");
    }),
    ("push.common.refused-push-ends-hold", "push/refused", |trace| {
        edit(trace, |e| is_response(e, 480, "INVITE"), |e| e.t_us += 5_000_000);
    }),
    ("push.common.transient-error-bounded-retry", "push/busy-twice", |trace| {
        repeat_at_end(trace, pushed);
    }),
    ("push.common.accepted-push-is-not-wake", "push/accepted-and-lost", |trace| {
        without(trace, |e| is_response(e, 480, "INVITE"));
    }),
];

pub(super) const WAKE: &[Row] = &[
    ("sip.wake.replay-in-arrival-order", "wake/second-call-while-waking", |trace| {
        let all = trace.events.iter().enumerate().filter(|(_, e)| is_start(e));
        let at: Vec<_> = all.map(|(at, _)| at).collect();
        let raw = trace.events[at[0]].raw.clone();
        trace.events[at[0]].raw = trace.events[at[1]].raw.clone();
        trace.events[at[1]].raw = raw;
    }),
    ("sip.wake.outcome-after-client-final", "wake/plain", |trace| {
        without(trace, |e| bobs(e, Kind::RtcSent, "\"final\""));
    }),
    ("sip.wake.early-open-delivers", "scenes/opened-early", |trace| without(trace, is_start)),
    ("sip.wake.exactly-once-across-reconnects", "wake/plain", |trace| {
        repeat_at_end(trace, is_start);
        let last = trace.events.last().map_or(0, |e| e.seq);
        replace(trace, |e| e.seq == last, "\"sequence\":3", "\"sequence\":9");
    }),
    ("sip.wake.answer-retransmitted-until-ack", "scenes/long-talk", |trace| {
        without(trace, |e| e.actor == "alice" && text(e).starts_with("ACK "));
    }),
    ("sip.wake.answer-retransmitted-until-ack", "wake/plain", |trace| {
        for _ in 0..4 {
            repeat_at_end(trace, |e| is_response(e, 200, "INVITE"));
        }
    }),
];

pub(super) const END: &[Row] = &[
    ("sip.end.parked-cancel-200-and-487", "cancel/after-delivery", |trace| {
        without(trace, |e| is_response(e, 200, "CANCEL"));
    }),
    ("sip.end.parked-cancel-200-and-487", "cancel/after-delivery", |trace| {
        edit(trace, |e| is_response(e, 487, "INVITE"), |e| e.t_us += 200_000);
    }),
    ("sip.end.late-wake-after-cancel-no-ring", "cancel/after-delivery", |trace| {
        repeat_at_end(trace, is_start);
    }),
    ("sip.end.nothing-leaks-after-final", "cancel/after-delivery", |trace| {
        repeat_at_end(trace, is_start);
    }),
    ("sip.end.answer-beats-crossing-cancel", "scenes/cancelled-too-late", |trace| {
        repeat_at_end(trace, |e| is_response(e, 200, "INVITE"));
        let last = trace.events.last().map_or(0, |e| e.seq);
        replace(trace, |e| e.seq == last, "SIP/2.0 200 OK", "SIP/2.0 487 Terminated");
    }),
    ("sip.end.hold-expiry-480-once", "wake/plain", |trace| {
        repeat_at_end(trace, |e| is_response(e, 200, "INVITE"));
        let last = trace.events.last().map_or(0, |e| e.seq);
        replace(trace, |e| e.seq == last, "SIP/2.0 200 OK", "SIP/2.0 480 Gone");
    }),
    ("sip.end.hold-expiry-480-once", "push/accepted-and-lost", |trace| {
        let expired = |e: &Event| is_response(e, 480, "INVITE");
        replace(trace, expired, "SIP/2.0 480 ", "SIP/2.0 408 ");
    }),
    ("sip.end.hold-expiry-480-once", "push/accepted-and-lost", |trace| {
        edit(trace, |e| is_response(e, 480, "INVITE"), |e| e.t_us += 5_000_000);
    }),
    ("sip.end.client-watchdog-gets-terminal", "wake/plain", |trace| {
        without(trace, |e| bobs(e, Kind::RtcReceived, "\"package_type\":\"call\""));
    }),
];

pub(super) const SESSION: &[Row] = &[
    ("jsonrtc.session.token-acknowledged-before-sleep", "wake/plain", |trace| {
        replace(trace, connected, "\"response_code\":200", "\"response_code\":403");
    }),
    ("jsonrtc.session.old-session-id-rehydrates", "wake/plain", |trace| {
        replace(trace, is_start, "\"session_id\":\"", "\"session_id\":\"another-");
    }),
    ("jsonrtc.session.held-call-is-start", "wake/plain", |trace| without(trace, is_start)),
    ("jsonrtc.session.sequence-survives-sleep", "wake/plain", |trace| {
        replace(trace, is_start, "\"sequence\":3", "\"sequence\":4");
    }),
    ("jsonrtc.session.subsession-id-stable", "wake/plain", |trace| {
        replace(trace, pushed, "\"subsession_id\":\"", "\"subsession_id\":\"another-");
    }),
    ("security.general.payload-minimal", "wake/plain", |trace| {
        replace(trace, pushed, "\"event\":\"call\"", "\"offer\":\"m=audio\"");
    }),
    ("security.general.payload-minimal", "wake/plain", |trace| {
        replace(trace, pushed, "\"event\":\"call\"", "\"event\":\"tok-bob\"");
    }),
    ("security.general.session-ids-128-bit", "wake/plain", |trace| {
        edit(trace, connected, |event| {
            let whole = text(event);
            let (before, after) = whole.split_once("\"session_id\":\"").expect("it has one");
            let (id, after) = after.split_once('"').expect("it ends");
            let short = format!("{before}\"session_id\":\"{}\"{after}", &id[..31]);
            event.raw = Some(Raw(short.into_bytes()));
        });
    }),
    ("jsonrtc.session.held-call-is-start", "wake/plain", |trace| {
        let alerted = |e: &Event| e.kind == Kind::AppAlerted;
        edit(trace, alerted, |e| {
            e.fields.insert("subsession".into(), Value::from("another"));
        });
    }),
];
