//! Checks that no planted defect meets are shown able to fail: a healthy trace is doctored in one
//! place, and the check that speaks of it must notice.

use reveille_conformance::checks::judge;
use reveille_conformance::player::When;
use reveille_trace::{Event, Kind, Observed, Raw, Trace, Value};

use crate::play::{Plan, alice, call, heard, play};
use reveille_conformance::cast::{caller, phone, push};

fn text(event: &Event) -> String {
    String::from_utf8_lossy(event.bytes()).into_owned()
}

fn is_response(event: &Event, status: u16, method: &str) -> bool {
    let text = text(event);
    event.actor == "alice"
        && event.kind == Kind::SipReceived
        && text.starts_with(&format!("SIP/2.0 {status} "))
        && text.lines().any(|l| l.starts_with("CSeq:") && l.trim_end().ends_with(method))
}

fn is_start(event: &Event) -> bool {
    let text = text(event);
    event.actor == "bob"
        && event.kind == Kind::RtcReceived
        && text.contains("\"start\"")
        && text.contains("\"request\"")
}

fn without(trace: &mut Trace, gone: impl Fn(&Event) -> bool) {
    let before = trace.events.len();
    trace.events.retain(|event| !gone(event));
    assert_ne!(before, trace.events.len(), "the doctor found nothing to take out");
}

fn replace(trace: &mut Trace, of: impl Fn(&Event) -> bool, from: &str, to: &str) {
    let event = trace.events.iter_mut().find(|event| of(event)).expect("something to change");
    let changed = text(event).replace(from, to);
    assert_ne!(changed, text(event), "the doctor changed nothing");
    event.raw = Some(Raw(changed.into_bytes()));
}

fn two_calls() -> Plan {
    Plan::plain(5).step(alice(When::Now, caller::Command::Call(call("c2"))))
}

fn cancelled() -> Plan {
    let mut plan = Plan::plain(5).conduct(phone::Conduct::Ring);
    plan.cast.push.answers = vec![push::Answer::Accept];
    plan.step(alice(When::Seen(heard(180)), caller::Command::Cancel("c1".to_owned())))
}

fn repeated() -> Plan {
    let again = caller::Command::Retransmit("c1".to_owned());
    Plan::plain(5).step(alice(When::Seen(heard(183)), again))
}

fn refused() -> Plan {
    let mut plan = Plan::plain(5);
    plan.cast.push.answers = vec![push::Answer::Refuse { status: 410 }];
    plan
}

fn plain() -> Plan {
    Plan::plain(5)
}

type Row = (&'static str, fn() -> Plan, fn(&mut Trace));

const TABLE: [Row; 16] = [
    ("sip.hold.retransmission-repeats-provisional", repeated, |trace| {
        let last = trace
            .events
            .iter()
            .rposition(|e| text(e).starts_with("INVITE "))
            .expect("the healthy trace has it");
        let seq = trace.events[last].seq;
        without(trace, |e| e.seq > seq && e.actor == "alice");
    }),
    ("sip.end.parked-cancel-200-and-487", cancelled, |trace| {
        without(trace, |e| is_response(e, 200, "CANCEL"));
    }),
    ("sip.end.nothing-leaks-after-final", cancelled, |trace| {
        let at = trace.events.iter().position(is_start).expect("the healthy trace has it");
        let mut start = trace.events[at].clone();
        start.seq = trace.events.len() as u64;
        trace.events.push(start);
    }),
    ("sip.wake.replay-in-arrival-order", two_calls, |trace| {
        let all = trace.events.iter().enumerate().filter(|(_, e)| is_start(e));
        let at: Vec<_> = all.map(|(at, _)| at).collect();
        let raw = trace.events[at[0]].raw.clone();
        trace.events[at[0]].raw = trace.events[at[1]].raw.clone();
        trace.events[at[1]].raw = raw;
    }),
    ("sip.keepalive.binding-refreshed-during-sleep", plain, |trace| {
        let event = trace
            .events
            .iter_mut()
            .find(|e| e.actor == "registrar")
            .expect("the healthy trace has it");
        event.fields.insert("text".into(), Value::from("binding-lapsed"));
    }),
    ("push.common.payload-within-limit", plain, |trace| {
        replace(
            trace,
            |e| e.kind == Kind::PushReceived,
            "\"event\":\"call\"",
            "\"sdp\":\"m=audio\"",
        );
    }),
    ("push.common.refused-push-ends-hold", refused, |trace| {
        let end = trace
            .events
            .iter_mut()
            .find(|e| is_response(e, 480, "INVITE"))
            .expect("the healthy trace has it");
        end.t_us += 5_000_000;
    }),
    ("session.sleep.state-durable-then-close", plain, |trace| {
        without(trace, |e| {
            e.actor == "bob" && e.kind == Kind::RtcReceived && text(e).contains("hibernate")
        });
    }),
    ("patent.claim.same-session-after-reconnect", plain, |trace| {
        let resumed = |e: &Event| {
            e.actor == "bob" && e.kind == Kind::RtcReceived && text(e).contains("\"sslr\"")
        };
        replace(trace, resumed, "\"session_id\":\"", "\"session_id\":\"another-");
    }),
    ("patent.step.order", plain, |trace| without(trace, |e| e.kind == Kind::PushReceived)),
    ("patent.text.no-call-dropped", plain, |trace| {
        without(trace, |e| is_response(e, 200, "INVITE"));
    }),
    ("sip.hold.no-180-before-alerting", plain, |trace| without(trace, is_start)),
    ("sip.end.hold-expiry-480-once", plain, |trace| {
        let at = trace
            .events
            .iter()
            .position(|e| is_response(e, 200, "INVITE"))
            .expect("the healthy trace has it");
        let mut second = trace.events[at].clone();
        let failed = text(&second).replace("SIP/2.0 200 OK", "SIP/2.0 480 Gone");
        second.raw = Some(Raw(failed.into_bytes()));
        trace.events.insert(at + 1, second);
    }),
    ("sip.wake.outcome-after-client-final", plain, |trace| {
        without(trace, |e| {
            e.actor == "bob" && e.kind == Kind::RtcSent && text(e).contains("\"final\"")
        });
    }),
    ("push.common.payload-names-session-and-call", plain, |trace| {
        let arrived = |e: &Event| e.kind == Kind::PushArrived;
        replace(trace, arrived, "\"session_id\":\"", "\"session_id\":\"another-");
    }),
    ("patent.claim.closed-socket-stays-silent", plain, |trace| {
        let at = trace.events.iter().position(|e| {
            e.actor == "bob" && e.kind == Kind::WsClosed && e.int("code") == Some(4001)
        });
        let at = at.expect("the healthy trace has it");
        let frame =
            trace.events[..at].iter().rfind(|e| e.actor == "bob" && e.kind == Kind::RtcReceived);
        let frame = frame.expect("the healthy trace has it").clone();
        trace.events.insert(at + 1, frame);
    }),
];

#[test]
fn a_doctored_trace_fails_the_check_that_speaks_of_it() {
    for (requirement, plan, doctor) in TABLE {
        let played = play(&plan());
        assert_eq!(played.outcome, Ok(()));
        let decided = |trace: &Trace| {
            let findings = judge(trace, &[requirement]);
            findings.into_iter().find(|f| f.requirement == requirement).expect("it has a check")
        };
        let healthy = decided(&played.trace);
        assert_eq!(healthy.observed, Observed::Pass, "{healthy:?}");
        let mut trace = played.trace;
        doctor(&mut trace);
        let broken = decided(&trace);
        assert_eq!(broken.observed, Observed::Fail, "{requirement} saw nothing");
    }
}
