//! Harm to calls that apps place, and to what is changed in calls.

use reveille_trace::{Event, Kind, Raw, Trace, Value};

use super::rows::Row;
use super::{at, bobs, edit, replace, text, without};

/// What alice got, or sent, that begins with this.
fn alices(event: &Event, kind: Kind, start: &str) -> bool {
    event.actor == "alice" && event.kind == kind && text(event).starts_with(start)
}

fn got(event: &Event, start: &str) -> bool {
    alices(event, Kind::SipReceived, start)
}

fn said(event: &Event, status: u16) -> bool {
    let is_invite = |line: &str| line.starts_with("CSeq:") && line.trim_end().ends_with("INVITE");
    alices(event, Kind::SipSent, &format!("SIP/2.0 {status} "))
        && text(event).lines().any(is_invite)
}

fn told(event: &Event, code: u16) -> bool {
    bobs(event, Kind::RtcReceived, &format!("\"response_code\":{code}"))
        && text(event).contains("\"start\"")
}

/// The branch that the gateway gave: its Via is the lowest.
fn branch(event: &Event) -> String {
    let whole = text(event);
    let (_, after) = whole.rsplit_once("branch=").expect("it has a Via");
    after.split([';', '\r']).next().expect("it ends").to_owned()
}

fn no_ack(trace: &mut Trace) {
    without(trace, |e| got(e, "ACK "));
}

pub(super) const NETWORK: &[Row] = &[
    ("sip.network.sleep-after-own-invite", "call/sleep-refused-while-it-rings", |trace| {
        let answered = |e: &Event| bobs(e, Kind::RtcReceived, "hibernate");
        replace(trace, answered, "\"type\":\"error\"", "\"type\":\"response\"");
        replace(trace, answered, "\"error_code\":491", "\"response_code\":200");
    }),
    ("sip.network.sleep-after-own-invite", "call/app-killed-while-it-rings", no_ack),
    ("sip.network.outbound-during-replay", "call/placed-during-replay", |trace| {
        without(trace, |e| told(e, 200));
    }),
    ("sip.network.outbound-during-replay", "call/placed-during-replay", |trace| {
        without(trace, |e| got(e, "SIP/2.0 200 ") && text(e).contains("sip:c1@"));
    }),
    ("sip.other.lower-cseq-500", "call/lower-cseq", |trace| {
        replace(trace, |e| got(e, "SIP/2.0 500 "), "SIP/2.0 500 ", "SIP/2.0 200 ");
    }),
    ("sip.network.branch-unique-per-hop", "call/placed", |trace| {
        let invite = |e: &Event| e.actor == "registrar" && text(e).starts_with("INVITE ");
        replace(trace, invite, "branch=z9hG4bK", "branch=");
    }),
    ("sip.network.branch-unique-per-hop", "call/placed", |trace| {
        let invite = branch(&trace.events[at(trace, |e| got(e, "INVITE "))]);
        let bye = branch(&trace.events[at(trace, |e| got(e, "BYE "))]);
        replace(trace, |e| got(e, "BYE "), &bye, &invite);
    }),
];

pub(super) const CALL: &[Row] = &[
    ("jsonrtc.call.start-becomes-invite", "call/placed", |trace| {
        replace(trace, |e| got(e, "INVITE "), "m=audio", "m=video");
    }),
    ("jsonrtc.call.start-becomes-invite", "call/placed", |trace| {
        replace(trace, |e| got(e, "INVITE "), "From: <sip:bob@", "From: <sip:carol@");
    }),
    ("jsonrtc.call.start-becomes-invite", "call/placed", |trace| {
        without(trace, |e| got(e, "INVITE "));
    }),
    ("jsonrtc.call.progress-is-told", "call/placed", |trace| without(trace, |e| told(e, 180))),
    ("jsonrtc.call.progress-is-told", "call/early-media", |trace| {
        replace(trace, |e| told(e, 183), "m=audio", "m=video");
    }),
    ("jsonrtc.call.prack-is-answered", "call/early-media", |trace| {
        without(trace, |e| got(e, "PRACK "));
    }),
    ("jsonrtc.call.prack-is-answered", "call/early-media", |trace| {
        replace(trace, |e| told(e, 183), "\"reliable\":true", "\"reliable\":false");
    }),
    ("jsonrtc.call.prack-is-answered", "call/early-media-unreliable", |trace| {
        without(trace, |e| bobs(e, Kind::RtcReceived, "\"prack\""));
    }),
    ("jsonrtc.call.outcome-is-told", "call/declined", |trace| {
        let refused = |e: &Event| bobs(e, Kind::RtcReceived, "\"error_code\":486");
        replace(trace, refused, "\"error_code\":486", "\"error_code\":603");
    }),
    ("jsonrtc.call.outcome-is-told", "call/placed", |trace| {
        without(trace, |e| said(e, 200));
    }),
    ("jsonrtc.call.outcome-is-told", "call/placed", |trace| {
        without(trace, |e| told(e, 200));
    }),
    ("jsonrtc.call.outcome-is-told", "call/cancel-crosses-answer", |trace| {
        without(trace, |e| got(e, "BYE "));
    }),
    ("jsonrtc.call.complete-becomes-ack", "call/placed", no_ack),
    ("jsonrtc.call.shutdown-becomes-cancel-or-bye", "call/placed", |trace| {
        without(trace, |e| got(e, "BYE "));
    }),
    ("jsonrtc.call.shutdown-becomes-cancel-or-bye", "call/cancelled", |trace| {
        without(trace, |e| got(e, "CANCEL ") || said(e, 487));
    }),
    ("jsonrtc.call.shutdown-becomes-cancel-or-bye", "call/cancelled", |trace| {
        without(trace, |e| bobs(e, Kind::RtcReceived, "\"error_code\":487"));
    }),
    ("jsonrtc.call.bye-becomes-shutdown", "call/ended-while-renegotiated", |trace| {
        without(trace, |e| bobs(e, Kind::RtcReceived, "\"shutdown\""));
    }),
    ("jsonrtc.call.bye-becomes-shutdown", "call/ended-while-renegotiated", |trace| {
        let answer = |e: &Event| got(e, "SIP/2.0 200 ") && text(e).contains(" BYE\r\n");
        replace(trace, answer, "SIP/2.0 200 ", "SIP/2.0 481 ");
    }),
    ("jsonrtc.call.shutdown-keeps-session", "call/placed", |trace| {
        let end = at(trace, |e| bobs(e, Kind::RtcSent, "\"shutdown\""));
        let mut closed = trace.events[end].clone();
        (closed.kind, closed.raw, closed.seq) = (Kind::WsClosed, None, closed.seq + 1);
        closed.fields.insert("code".into(), Value::from(1_000_i64));
        trace.events.insert(end + 1, closed);
    }),
];

pub(super) const CHANGE: &[Row] = &[
    ("jsonrtc.call.change-is-start", "call/renegotiated-after-a-wake", |trace| {
        let update = |e: &Event| bobs(e, Kind::RtcReceived, "\"sip_method\":\"UPDATE\"");
        replace(trace, update, "\"sip_method\":\"UPDATE\"", "\"sip_method\":\"INFO\"");
    }),
    ("jsonrtc.call.change-is-start", "call/renegotiated-after-a-wake", |trace| {
        let asked =
            |e: &Event| bobs(e, Kind::RtcReceived, "\"request\"") && text(e).contains("o=- 1 2 IN");
        replace(trace, asked, "m=audio", "m=video");
    }),
    ("jsonrtc.call.change-is-answered", "call/renegotiated-after-a-wake", |trace| {
        let first = trace.events[at(trace, |e| bobs(e, Kind::RtcSent, "\"final\""))].seq;
        without(trace, |e| e.seq > first && bobs(e, Kind::RtcSent, "\"final\""));
    }),
    ("jsonrtc.call.change-is-answered", "call/renegotiated-after-a-wake", |trace| {
        without(trace, |e| alices(e, Kind::SipSent, "SIP/2.0 200 "));
    }),
    ("jsonrtc.call.change-leaves-call", "call/renegotiated-after-a-wake", |trace| {
        let taken = |e: &Event| got(e, "SIP/2.0 200 ") && text(e).contains("CSeq: 2 INVITE");
        edit(trace, taken, |event| {
            event.raw = Some(Raw(text(event).replacen("200 OK", "481 Gone", 1).into_bytes()));
        });
    }),
    ("jsonrtc.call.change-taken-back", "call/renegotiation-cancelled", |trace| {
        let back = |e: &Event| bobs(e, Kind::RtcReceived, "##re-invite_cancel@server##");
        replace(trace, back, "##re-invite_cancel@server##", "alice@example.com");
    }),
    ("jsonrtc.call.change-taken-back", "call/renegotiation-cancelled", |trace| {
        without(trace, |e| got(e, "SIP/2.0 487 "));
    }),
];
