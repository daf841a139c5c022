//! `kill -9` of the gateway in the middle of a wake, and a new process on the same fabric: the
//! phone has the call once, the caller its answer, ACK and BYE find their dialog.

use reveille_trace::{Event, Kind};

use crate::bench::Bench;

/// When the gateway dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "each is a moment before something")]
enum Moment {
    /// The caller has its 100, the phone still sleeps.
    BeforeTheWake,
    /// The app has its `start` and rings.
    BeforeTheAnswer,
    /// The app has answered, the caller has not acknowledged.
    BeforeTheAck,
}

pub(crate) fn text(event: &Event) -> String {
    String::from_utf8_lossy(event.bytes()).into_owned()
}

pub(crate) fn is_response(event: &Event, status: &str, method: &str) -> bool {
    let text = text(event);
    event.kind == Kind::SipReceived
        && text.starts_with(&format!("SIP/2.0 {status} "))
        && text.lines().any(|line| line.starts_with("CSeq:") && line.trim_end().ends_with(method))
}

pub(crate) fn to_tags(events: &[Event]) -> Vec<String> {
    let mut tags: Vec<_> = events
        .iter()
        .filter(|event| event.kind == Kind::SipReceived)
        .filter_map(|event| {
            let text = text(event);
            let to = text.lines().find(|line| line.starts_with("To:"))?.to_owned();
            to.split_once(";tag=").map(|(_, tag)| tag.trim().to_owned())
        })
        .collect();
    tags.sort();
    tags.dedup();
    tags
}

fn survives(transport: &str, moment: Moment) {
    let bench = Bench::new();
    if moment == Moment::BeforeTheWake {
        bench.set_push_delay(2_000);
    }
    bench.set_phone(if moment == Moment::BeforeTheAnswer { 1_500 } else { 20 });
    bench.set_caller(transport, u32::from(moment == Moment::BeforeTheAck));
    let _registrar = bench.start("registrar");
    let _push = bench.start("push");
    let mut gateway = bench.start("gateway");
    let phone = bench.start("phone");
    phone.wait_for_state("hibernated");
    let caller = bench.start("caller");
    let mut heard = caller.wait_for("100", |event| is_response(event, "100", "INVITE"));
    let mut app = Vec::new();
    match moment {
        Moment::BeforeTheWake => {
            gateway.wait_for("the push", |event| event.kind == Kind::PushSent);
        }
        Moment::BeforeTheAnswer => {
            app.extend(phone.wait_for("the call", |event| event.kind == Kind::AppAlerted));
        }
        Moment::BeforeTheAck => {
            heard.extend(caller.wait_for("200", |event| is_response(event, "200", "INVITE")));
        }
    }
    gateway.kill();
    let _gateway = bench.start("gateway");
    heard.extend(caller.wait_for("200", |event| is_response(event, "200", "INVITE")));
    heard.extend(caller.wait_for("200 to BYE", |event| is_response(event, "200", "BYE")));
    app.extend(phone.wait_for("the end of the call", |event| {
        event.kind == Kind::RtcReceived && text(event).contains("\"shutdown\"")
    }));

    let refused = heard.iter().find(|event| {
        event.kind == Kind::SipReceived
            && ["4", "5", "6"]
                .iter()
                .any(|class| text(event).starts_with(&format!("SIP/2.0 {class}")))
    });
    assert_eq!(refused.map(text), None);
    assert_eq!(to_tags(&heard).len(), 1, "one To tag before and after");
    let rings = app.iter().filter(|event| event.kind == Kind::AppAlerted).count();
    assert_eq!(rings, 1, "the app alerts once");
    let completes = app
        .iter()
        .filter(|event| event.kind == Kind::RtcReceived && text(event).contains("\"complete\""));
    assert_eq!(completes.count(), 1, "the app learns of the ACK, once");
}

#[test]
fn udp_killed_between_100_and_the_wake() {
    survives("udp", Moment::BeforeTheWake);
}

#[test]
fn udp_killed_between_start_and_the_answer() {
    survives("udp", Moment::BeforeTheAnswer);
}

#[test]
fn udp_killed_between_200_and_ack() {
    survives("udp", Moment::BeforeTheAck);
}

#[test]
fn tcp_killed_between_100_and_the_wake() {
    survives("tcp", Moment::BeforeTheWake);
}

#[test]
fn tcp_killed_between_start_and_the_answer() {
    survives("tcp", Moment::BeforeTheAnswer);
}

#[test]
fn tcp_killed_between_200_and_ack() {
    survives("tcp", Moment::BeforeTheAck);
}
