//! Each header, claim and member of the gateway's real push requests is taken out in its turn: the
//! push services must name the rule that is broken, and the checks the requirement.

mod forge;
mod relay;
mod table;

use std::collections::BTreeMap;

use reveille_conformance::checks::judge;
use reveille_scenarios::{read, shipped};
use reveille_sim::suite::{Piece, Seeds, jobs, play};
use reveille_trace::{Event, Kind, Observed, Trace};

use forge::Captured;
use relay::Replayed;
use table::{Row, Wanted};

const SEED: u64 = 5;

/// What happens when a call wakes a phone by this service.
fn healthy(service: &str) -> Trace {
    let wanted = format!("push/{service}-wakes");
    let (id, text) = shipped().iter().find(|(id, _)| *id == wanted).expect("it is shipped");
    let scenario = read(id, text).unwrap_or_else(|report| panic!("{report}"));
    play(&jobs(&Piece::new(scenario, text), Seeds::from(SEED))[0])
        .trace
        .expect("a case keeps its trace")
}

fn first(trace: &Trace, kind: Kind) -> &Event {
    trace.events.iter().find(|event| event.kind == kind).expect("the healthy trace has it")
}

/// The same play, in which the push service saw and answered this instead.
fn with(trace: &Trace, replayed: &Replayed) -> Trace {
    let mut doctored = trace.clone();
    for event in &mut doctored.events {
        if let Some(other) = replayed.events.iter().find(|other| other.kind == event.kind) {
            (event.raw, event.fields) = (other.raw.clone(), other.fields.clone());
        }
    }
    doctored
}

/// Requirements that are not met, whatever their level.
fn missed(trace: &Trace) -> Vec<String> {
    let findings = judge(trace, &[]).into_iter();
    let missed = findings.filter(|finding| finding.observed == Observed::Fail);
    missed.map(|finding| finding.requirement).collect()
}

/// Takes every part out once, and holds what came of it against the table.
fn hold(service: &str, endpoint: &str, table: &[Row]) {
    let trace = healthy(service);
    assert_eq!(missed(&trace), [] as [&str; 0]);
    let play = relay::Play::of(&trace, service);
    let captured = play.captured();
    let real = captured.into_iter().find(|request| request.path.starts_with(endpoint));
    let real = real.expect("the gateway asked for it");
    let parts = forge::parts(&real);
    let rows: BTreeMap<_, _> = table.iter().map(|(part, wanted)| (*part, wanted)).collect();
    assert_eq!(rows.len(), table.len(), "{service}: a part stands twice");
    let known: Vec<_> = rows.keys().map(ToString::to_string).collect();
    assert_eq!(parts, known, "{service}: the table has each part of the request, and no other");
    let doctored: Vec<Captured> = parts.iter().map(|part| forge::without(&real, part)).collect();
    let whole = std::iter::once(real).chain(doctored);
    let mut replayed = play.replayed(whole.collect()).into_iter();
    let untouched = replayed.next().expect("the request as it was");
    assert_eq!(missed(&with(&trace, &untouched)), [] as [&str; 0], "{service}: {untouched:?}");
    for (part, replayed) in parts.iter().zip(replayed) {
        let missed = missed(&with(&trace, &replayed));
        let what = format!("{service} without {part}: {replayed:?} missed {missed:?}");
        match rows[part.as_str()] {
            Wanted::Rule(rule, requirement) => {
                assert_eq!(replayed.rule(), Some(*rule), "{what}");
                assert!(missed.iter().any(|id| id == requirement), "{what}");
            }
            Wanted::Check(requirement) => {
                assert_eq!(replayed.rule(), None, "{what}");
                assert!(missed.iter().any(|id| id == requirement), "{what}");
            }
            Wanted::Free(why) => {
                assert_eq!((replayed.rule(), missed), (None, Vec::new()), "{what}: {why}");
            }
        }
    }
}

#[test]
fn nothing_that_apns_asks_for_can_be_left_out() {
    hold("apns", "/3/device/", table::APNS);
}

#[test]
fn nothing_that_fcm_asks_for_can_be_left_out() {
    hold("fcm", "/v1/projects/", table::FCM);
}

#[test]
fn nothing_that_the_token_endpoint_asks_for_can_be_left_out() {
    hold("fcm", "/token", table::OAUTH);
}

#[test]
fn nothing_that_web_push_asks_for_can_be_left_out() {
    hold("webpush", "/webpush/", table::WEBPUSH);
}
