//! Harm to messages and notices.

use reveille_trace::{Event, Kind, Raw, Trace, Value};

use super::rows::Row;
use super::{at, bobs, edit, is_response, pushed, repeat_at_end, replace, text, without};

const WAKES: &str = "message/wakes-a-sleeper";
const STORED: &str = "message/stored-for-a-sleeper";
const SENT: &str = "message/sent-by-the-app";
const BURST: &str = "message/several-and-a-call";
const QUIET: &str = "message/quiet";
const WAITING: &str = "message/waiting";

fn is_send(event: &Event) -> bool {
    bobs(event, Kind::RtcReceived, "\"send\"") && text(event).contains("\"request\"")
}

fn notify(event: &Event) -> bool {
    bobs(event, Kind::RtcReceived, "\"notify\"") && text(event).contains("3/0")
}

/// The Call-ID of the first request of alice's that contains this.
fn call_id(trace: &Trace, part: &str) -> String {
    let sent = |e: &Event| e.actor == "alice" && e.kind == Kind::SipSent && text(e).contains(part);
    let whole = text(&trace.events[at(trace, sent)]);
    let line = whole.lines().find_map(|line| line.strip_prefix("Call-ID: "));
    line.expect("each request has one").to_owned()
}

/// A push request and its answer.
fn of_push(event: &Event) -> bool {
    pushed(event) || event.kind == Kind::PushAnswered
}

pub(super) const MESSAGES: &[Row] = &[
    ("sip.other.message-200-or-stored-202", STORED, |trace| without(trace, is_send)),
    ("sip.other.message-200-or-stored-202", STORED, |trace| {
        let stored = |e: &Event| is_response(e, 202, "MESSAGE");
        replace(trace, stored, "SIP/2.0 202 Accepted", "SIP/2.0 408 Request Timeout");
    }),
    ("sip.other.message-200-or-stored-202", STORED, |trace| {
        let stored = |e: &Event| is_response(e, 202, "MESSAGE");
        replace(trace, stored, "SIP/2.0 202 Accepted", "SIP/2.0 480 Temporarily Unavailable");
    }),
    ("sip.other.message-200-or-stored-202", WAKES, |trace| {
        without(trace, |e| bobs(e, Kind::RtcSent, "\"send\""));
    }),
    ("jsonrtc.row.message.from-the-app", SENT, |trace| {
        let told = |e: &Event| bobs(e, Kind::RtcReceived, "\"send\"");
        replace(trace, told, "\"response_code\":200", "\"response_code\":202");
    }),
    ("jsonrtc.row.message.from-the-app", SENT, |trace| {
        without(trace, |e| e.actor == "alice" && text(e).contains("MESSAGE"));
    }),
    ("patent.claim.message-delivered-once", WAKES, |trace| {
        repeat_at_end(trace, is_send);
        let last = trace.events.last().map_or(0, |e| e.seq);
        replace(trace, |e| e.seq == last, "\"sequence\":3", "\"sequence\":9");
    }),
    ("sip.wake.replay-in-arrival-order", QUIET, |trace| {
        let all = trace.events.iter().enumerate().filter(|(_, e)| is_send(e));
        let at: Vec<_> = all.map(|(at, _)| at).collect();
        let raw = trace.events[at[0]].raw.clone();
        trace.events[at[0]].raw = trace.events[at[3]].raw.clone();
        trace.events[at[3]].raw = raw;
    }),
    ("push.common.no-push-for-quiet-methods", QUIET, |trace| {
        let [quiet, loud] = ["<sip:m1@", "<sip:m4@"].map(|part| call_id(trace, part));
        replace(trace, pushed, &loud, &quiet);
    }),
    ("sip.other.message-burst-collapsed-calls-not", BURST, |trace| {
        let first: Vec<_> = trace.events.iter().filter(|e| of_push(e)).take(2).cloned().collect();
        let answered = at(trace, |e| e.kind == Kind::PushAnswered);
        for mut again in first.into_iter().rev() {
            again.seq = trace.events[answered].seq;
            trace.events.insert(answered + 1, again);
        }
    }),
    ("sip.other.message-burst-collapsed-calls-not", BURST, |trace| {
        let call = call_id(trace, "INVITE ");
        without(trace, |e| pushed(e) && text(e).contains(&call));
    }),
    ("sip.other.notify-coalesced-or-480", WAITING, |trace| {
        replace(trace, notify, "3/0", "1/0");
    }),
    ("sip.other.notify-coalesced-or-480", WAITING, |trace| {
        let last = trace.events.iter().rfind(|e| is_response(e, 200, "NOTIFY"));
        let seq = last.expect("the healthy trace has it").seq;
        replace(trace, |e| e.seq == seq, "SIP/2.0 200 OK", "SIP/2.0 500 Server Error");
    }),
    ("sip.other.message-summary-low-priority-push", WAITING, |trace| {
        let notified = call_id(trace, "NOTIFY ");
        let payload = serde_json::json!({"payload": {"call_id": notified, "event": "call"}});
        repeat_at_end(trace, |e| is_response(e, 200, "NOTIFY"));
        let last = trace.events.last().map_or(0, |e| e.seq);
        edit(
            trace,
            |e| e.seq == last,
            |event| {
                event.actor = "push".into();
                event.kind = Kind::PushReceived;
                event.fields.insert("token".into(), Value::from("tok-bob"));
                event.raw = Some(Raw(payload.to_string().into_bytes()));
            },
        );
    }),
];
