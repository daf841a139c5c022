//! Where the calls stood when a fault struck: a strike is put into a healthy trace at each phase.

use reveille_conformance::checks::met;
use reveille_trace::{Draft, Event, Kind, Phase, Recorder, Trace};

use crate::scenes;

fn strike(fault: &str, on: &str) -> Event {
    let recorder = Recorder::keeping();
    recorder.record("world", 0, Draft::new(Kind::FaultStruck).with("fault", fault).with("on", on));
    recorder.events().remove(0)
}

/// The phases that this fault meets right behind the last event that is `so`.
fn phases(
    scene: &'static str,
    so: impl Fn(&Event) -> bool,
    fault: &str,
    on: &str,
) -> Vec<(String, Phase)> {
    let mut trace = Trace::clone(&scenes::healthy(scene));
    trace.events.retain(|event| event.kind != Kind::FaultStruck);
    let at = trace.events.iter().rposition(so).expect("the healthy trace has it");
    trace.events.insert(at + 1, strike(fault, on));
    assert_eq!(met(&trace), met(&trace.without_actor("gateway")), "a stranger sees the same");
    met(&trace).into_iter().map(|met| (met.fault, met.phase)).collect()
}

fn first_of(scene: &'static str, so: impl Fn(&Event) -> bool) -> impl Fn(&Event) -> bool {
    let trace = scenes::healthy(scene);
    let seq = trace.events.iter().find(|event| so(event)).expect("the healthy trace has it").seq;
    move |event| event.seq == seq
}

fn is(event: &Event, actor: &str, kind: Kind, part: &str) -> bool {
    let fields = event.fields.values().any(|value| format!("{value:?}").contains(part));
    let told = fields || String::from_utf8_lossy(event.bytes()).contains(part);
    event.actor == actor && event.kind == kind && told
}

/// What is seen last in each phase of the plain wake: who, what, with what in it, whether it is the
/// first or the last such thing, and the phase.
const ROWS: [(&str, Kind, &str, bool, Phase); 14] = [
    ("registrar", Kind::HostStarted, "", true, Phase::Awake),
    ("bob", Kind::AppState, "connected", true, Phase::Awake),
    ("bob", Kind::WsClosed, "4001", true, Phase::Asleep),
    ("alice", Kind::SipSent, "INVITE sip:", true, Phase::Held),
    ("alice", Kind::SipReceived, "SIP/2.0 183", true, Phase::Held),
    ("push", Kind::PushReceived, "tok-bob", true, Phase::Push),
    ("push", Kind::PushAnswered, "200", true, Phase::Push),
    ("bob", Kind::PushArrived, "tok-bob", true, Phase::Returning),
    ("bob", Kind::WsOpened, "1", false, Phase::Returning),
    ("bob", Kind::RtcReceived, "\"start\"", true, Phase::Started),
    ("alice", Kind::SipReceived, "SIP/2.0 180", true, Phase::Ringing),
    ("bob", Kind::RtcSent, "\"final\"", true, Phase::Answered),
    ("alice", Kind::SipReceived, "SIP/2.0 200", true, Phase::Answered),
    ("alice", Kind::SipSent, "ACK sip:", true, Phase::Talking),
];

#[test]
fn a_strike_meets_the_phase_that_a_stranger_sees() {
    for (actor, kind, part, first, phase) in ROWS {
        let so = |event: &Event| is(event, actor, kind, part);
        let met = match first {
            true => phases("wake/plain", first_of("wake/plain", so), "crash-at", "gateway"),
            false => phases("wake/plain", so, "crash-at", "gateway"),
        };
        assert_eq!(met, [("crash-at".to_owned(), phase)], "behind {part} of {actor}");
    }
    let bye = |event: &Event| is(event, "alice", Kind::SipSent, "BYE sip:");
    let met = phases("wake/plain", bye, "partition", "alice--gateway");
    assert_eq!(met, [("partition".to_owned(), Phase::After)]);
}

#[test]
fn a_kind_says_what_it_strikes() {
    let asleep = |event: &Event| is(event, "bob", Kind::WsClosed, "4001");
    let kind = |fault: &str, on: &str| phases("wake/plain", asleep, fault, on)[0].0.clone();
    assert_eq!(kind("crash", "gateway"), "crash");
    assert_eq!(kind("crash", "bob.app"), "app crash");
    assert_eq!(kind("drop", "bob.websocket"), "websocket drop");
    assert_eq!(kind("refuse", "push.fcm"), "push refuse");
    assert_eq!(kind("cut", "bob->gateway"), "cut");
}

#[test]
fn a_strike_at_one_phone_meets_only_its_phases_and_one_at_the_gateway_all() {
    let scene = "wake/two-phones";
    let trace = scenes::healthy(scene);
    let alerted = |event: &Event| event.kind == Kind::AppAlerted;
    let first = trace.events.iter().find(|event| alerted(event)).expect("a phone alerts");
    let (early, late) = match first.actor.as_str() {
        "bob" => ("bob", "dave"),
        _ => ("dave", "bob"),
    };
    let met = |on: &str| {
        let met = phases(scene, first_of(scene, alerted), "crash", on);
        met.into_iter().map(|(_, phase)| phase).collect::<Vec<_>>()
    };
    let (ours, theirs) = (met(&format!("{early}--gateway")), met(&format!("{late}.app")));
    assert_eq!(ours, [Phase::Started], "{early} has its call");
    assert!(!theirs.contains(&Phase::Started), "{late}: {theirs:?}");
    let both: Vec<_> =
        Phase::ALL.iter().filter(|it| ours.contains(it) || theirs.contains(it)).collect();
    assert_eq!(met("gateway").iter().collect::<Vec<_>>(), both);
}
