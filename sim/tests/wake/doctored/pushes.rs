//! Which check of a push service must notice which harm.

use reveille_trace::{Event, Kind, Trace, Value};

use super::rows::Row;
use super::{at, edit, is_response, pushed, repeat_at_end, replace, without};

fn answered(event: &Event) -> bool {
    event.kind == Kind::PushAnswered
}

/// The service says of the first push that it breaks this rule.
fn breaks(trace: &mut Trace, rule: &str) {
    set(trace, answered, "rule", rule);
}

fn set(trace: &mut Trace, of: impl Fn(&Event) -> bool, name: &'static str, value: &str) {
    edit(trace, of, |event| {
        let before = event.fields.insert(name.into(), Value::from(value));
        assert_ne!(before, Some(Value::from(value)), "the doctor changed nothing");
    });
}

/// The first push does not show this.
fn hide(trace: &mut Trace, name: &str) {
    edit(trace, pushed, |event| {
        event.fields.remove(name).expect("the healthy trace shows it");
    });
}

/// The first push may live five seconds more than it should.
fn lives_on(trace: &mut Trace) {
    edit(trace, pushed, |event| {
        let life = event.int("life_ms").expect("the healthy trace shows it");
        event.fields.insert("life_ms".into(), Value::from(life + 5_000));
    });
}

/// The number of the second push.
fn second(trace: &Trace) -> u64 {
    let second = trace.events.iter().filter(|event| pushed(event)).nth(1);
    second.expect("the healthy trace has two").seq
}

fn without_second(trace: &mut Trace) {
    let second = second(trace);
    without(trace, |event| event.seq == second);
}

/// The second push comes so much earlier.
fn hastens(trace: &mut Trace, by_ms: u64) {
    let second = second(trace);
    edit(trace, |event| event.seq == second, |event| event.t_us -= by_ms * 1_000);
}

/// The second push shows what the first one does.
fn repeats(trace: &mut Trace, name: &'static str) {
    let first = trace.events[at(trace, pushed)].fields.get(name).cloned();
    let second = second(trace);
    edit(
        trace,
        |event| event.seq == second,
        |event| {
            let before = event.fields.insert(name.into(), first.clone().expect("it shows it"));
            assert_ne!(before, first, "the doctor changed nothing");
        },
    );
}

/// The first push is made again at the end, for another call.
fn again_for_another(trace: &mut Trace) {
    repeat_at_end(trace, pushed);
    let last = trace.events.last().map_or(0, |event| event.seq);
    replace(trace, |event| event.seq == last, "\"call_id\":\"", "\"call_id\":\"another-");
}

pub(super) const APNS: &[Row] = &[
    ("push.apns.http2-long-lived-connections", "push/apns-one-connection", |trace| {
        breaks(trace, "path");
    }),
    ("push.apns.http2-long-lived-connections", "push/apns-one-connection", |trace| {
        let second = second(trace);
        edit(
            trace,
            |event| event.seq == second,
            |event| {
                event.fields.insert("connection".into(), Value::from(9_u8));
            },
        );
    }),
    ("push.apns.push-type-matches-payload", "push/apns-wakes", |trace| breaks(trace, "push-type")),
    ("push.apns.topic-suffix-voip", "push/apns-wakes", |trace| breaks(trace, "topic-present")),
    ("push.apns.priority-five-for-background", "push/apns-wakes", |trace| {
        breaks(trace, "priority");
    }),
    ("push.apns.expiration-is-call-end", "push/apns-wakes", |trace| breaks(trace, "expiration")),
    ("push.apns.expiration-is-call-end", "push/apns-wakes", |trace| hide(trace, "life_ms")),
    ("push.apns.expiration-is-call-end", "push/apns-wakes", lives_on),
    ("push.apns.collapse-id-64-bytes", "push/apns-wakes", |trace| breaks(trace, "collapse-id")),
    ("push.apns.apns-id-kept", "push/apns-wakes", |trace| breaks(trace, "message-id")),
    ("push.apns.apns-id-kept", "push/apns-wakes", |trace| hide(trace, "id")),
    ("push.apns.payload-limit-no-retry", "push/apns-wakes", |trace| breaks(trace, "payload-size")),
    ("push.apns.payload-limit-no-retry", "push/apns-payload-too-large", |trace| {
        repeat_at_end(trace, pushed);
    }),
    ("push.apns.jwt-reused-20-to-60-minutes", "push/apns-wakes", |trace| {
        breaks(trace, "provider-token-kept");
    }),
    ("push.apns.expired-token-minted-once", "push/apns-provider-token-stale", without_second),
    ("push.apns.expired-token-minted-once", "push/apns-provider-token-stale-twice", |trace| {
        repeat_at_end(trace, pushed);
    }),
    ("push.apns.too-many-updates-backs-off", "push/apns-too-many-requests", |trace| {
        hastens(trace, 500);
    }),
    ("push.apns.unregistered-drops-token", "push/apns-token-dead", |trace| {
        repeat_at_end(trace, pushed);
    }),
    ("push.apns.unregistered-drops-token", "push/apns-token-dead", again_for_another),
    ("push.apns.unregistered-drops-token", "push/apns-token-given-after-it-died", without_second),
    ("push.apns.bad-token-marks-suspect", "push/apns-bad-device-token", without_second),
    ("push.apns.goaway-loses-nothing", "push/apns-stream-refused", without_second),
    ("push.apns.goaway-loses-nothing", "push/apns-goaway", |trace| repeats(trace, "connection")),
    ("push.apns.voip-only-when-it-rings", "push/apns-wakes", |trace| {
        replace(trace, pushed, "\"event\":\"call\"", "\"event\":\"message\"");
    }),
    ("push.apns.background-budget-respected", "push/apns-wakes", |trace| {
        set(trace, pushed, "push-type", "background");
    }),
    ("push.apns.configuration-faults-alarm", "push/apns-credential-refused", |trace| {
        edit(trace, |e| is_response(e, 480, "INVITE"), |e| e.t_us += 5_000_000);
    }),
    ("push.apns.configuration-faults-alarm", "push/apns-credential-refused", |trace| {
        repeat_at_end(trace, pushed);
    }),
];

pub(super) const FCM: &[Row] = &[
    ("push.fcm.oauth-token-refreshed", "push/fcm-wakes", |trace| breaks(trace, "bearer")),
    ("push.fcm.oauth-token-refreshed", "push/fcm-wakes", |trace| {
        set(trace, |event| event.kind == Kind::PushBearer, "rule", "audience");
    }),
    ("push.fcm.calls-data-only-high", "push/fcm-wakes", |trace| breaks(trace, "known-fields")),
    ("push.fcm.calls-data-only-high", "push/fcm-wakes", |trace| {
        set(trace, pushed, "priority", "NORMAL");
    }),
    ("push.fcm.calls-data-only-high", "push/fcm-wakes", |trace| {
        replace(trace, pushed, "\"data\":", "\"notification\":{},\"data\":");
    }),
    ("push.fcm.ttl-within-hold", "push/fcm-wakes", |trace| breaks(trace, "ttl")),
    ("push.fcm.ttl-within-hold", "push/fcm-wakes", |trace| hide(trace, "life_ms")),
    ("push.fcm.ttl-within-hold", "push/fcm-wakes", lives_on),
    ("push.fcm.data-strings-and-limit", "push/fcm-wakes", |trace| breaks(trace, "data-strings")),
    ("push.fcm.unregistered-drops-token", "push/fcm-token-dead", again_for_another),
    ("push.fcm.sender-mismatch-removes-and-alarms", "push/fcm-token-of-another-sender", |trace| {
        again_for_another(trace);
    }),
    ("push.fcm.sender-mismatch-removes-and-alarms", "push/fcm-no-permission", without_second),
    ("push.fcm.invalid-argument-two-shapes", "push/fcm-message-refused", without_second),
    ("push.fcm.invalid-argument-two-shapes", "push/fcm-message-refused", |trace| {
        repeat_at_end(trace, pushed);
    }),
    ("push.fcm.invalid-argument-two-shapes", "push/fcm-token-refused", again_for_another),
    ("push.fcm.quota-honours-retry-after", "push/fcm-quota", |trace| hastens(trace, 500)),
    ("push.fcm.server-error-backoff-in-call-life", "push/fcm-unavailable-twice", |trace| {
        hastens(trace, 2_000);
    }),
    ("push.fcm.server-error-backoff-in-call-life", "push/fcm-unavailable-twice", |trace| {
        let second = second(trace);
        without(trace, |event| pushed(event) && event.seq >= second);
        repeat_at_end(trace, pushed);
    }),
    ("push.fcm.unauthorized-refreshes-once", "push/fcm-bearer-refused", without_second),
    ("push.fcm.unauthorized-refreshes-once", "push/fcm-bearer-refused", |trace| {
        let first = trace.events[at(trace, pushed)].seq;
        without(trace, |event| event.kind == Kind::PushBearer && event.seq > first);
    }),
    ("push.fcm.unauthorized-refreshes-once", "push/fcm-bearer-refused-twice", |trace| {
        repeat_at_end(trace, pushed);
    }),
    ("push.fcm.unauthorized-refreshes-once", "push/fcm-project-credential-bad", |trace| {
        repeat_at_end(trace, pushed);
    }),
    ("push.fcm.rate-budgets-respected", "push/fcm-wakes", |trace| {
        (0..240).for_each(|_| repeat_at_end(trace, pushed));
    }),
];

pub(super) const WEBPUSH: &[Row] = &[
    ("push.webpush.ttl-header-present", "push/webpush-wakes", |trace| breaks(trace, "ttl")),
    ("push.webpush.ttl-header-present", "push/webpush-wakes", lives_on),
    ("push.webpush.urgency-high-for-calls", "push/webpush-wakes", |trace| {
        breaks(trace, "urgency");
    }),
    ("push.webpush.urgency-high-for-calls", "push/webpush-wakes", |trace| {
        set(trace, pushed, "urgency", "normal");
    }),
    ("push.webpush.topic-unique-per-call", "push/webpush-two-calls", |trace| {
        breaks(trace, "topic");
    }),
    ("push.webpush.topic-unique-per-call", "push/webpush-two-calls", |trace| {
        repeats(trace, "topic");
    }),
    ("push.webpush.created-is-not-delivered", "push/webpush-accepted-and-lost", |trace| {
        without(trace, |e| is_response(e, 480, "INVITE"));
    }),
    ("push.webpush.gone-and-not-found-remove", "push/webpush-gone", again_for_another),
    ("push.webpush.gone-and-not-found-remove", "push/webpush-not-found", again_for_another),
    ("push.webpush.body-within-4096", "push/webpush-wakes", |trace| breaks(trace, "body-size")),
    ("push.webpush.body-within-4096", "push/webpush-too-large", |trace| {
        repeat_at_end(trace, pushed);
    }),
    ("push.webpush.too-many-honours-retry-after", "push/webpush-too-many", |trace| {
        hastens(trace, 500);
    }),
    ("push.webpush.session-payload-encrypted", "push/webpush-wakes", |trace| {
        breaks(trace, "decrypts");
    }),
    ("push.webpush.fresh-salt-and-key", "push/webpush-two-calls", |trace| {
        breaks(trace, "fresh-salt-and-key");
    }),
    ("push.webpush.vapid-claims", "push/webpush-wakes", |trace| breaks(trace, "vapid-audience")),
    ("push.webpush.restricted-key-rotation", "push/webpush-wakes", |trace| {
        breaks(trace, "vapid-key-of-subscription");
    }),
];
