//! Every check is shown able to fail: a healthy trace is doctored in one place, and the check that
//! speaks of it must notice; what only the gateway can do wrong is planted in it (`mutants`).

mod calls;
mod messages;
mod pushes;
mod rows;

use std::collections::BTreeSet;

use reveille_conformance::checks::{CHECKS, judge};
use reveille_conformance::requirement;
use reveille_trace::{Event, Finding, Kind, Observed, Raw, Trace, Verdict};

use crate::{blindfold, mutants, scenes};

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

/// A frame of bob's app that contains `part`.
fn bobs(event: &Event, kind: Kind, part: &str) -> bool {
    event.actor == "bob" && event.kind == kind && text(event).contains(part)
}

fn is_start(event: &Event) -> bool {
    bobs(event, Kind::RtcReceived, "\"start\"") && text(event).contains("\"request\"")
}

fn pushed(event: &Event) -> bool {
    event.kind == Kind::PushReceived
}

fn at(trace: &Trace, of: impl Fn(&Event) -> bool) -> usize {
    trace.events.iter().position(of).expect("the healthy trace has it")
}

fn edit(trace: &mut Trace, of: impl Fn(&Event) -> bool, change: impl Fn(&mut Event)) {
    let at = at(trace, of);
    change(&mut trace.events[at]);
}

fn without(trace: &mut Trace, gone: impl Fn(&Event) -> bool) {
    let before = trace.events.len();
    trace.events.retain(|event| !gone(event));
    assert_ne!(before, trace.events.len(), "the doctor found nothing to take out");
}

fn replace(trace: &mut Trace, of: impl Fn(&Event) -> bool, from: &str, to: &str) {
    edit(trace, of, |event| {
        let changed = text(event).replacen(from, to, 1);
        assert_ne!(changed, text(event), "the doctor changed nothing");
        event.raw = Some(Raw(changed.into_bytes()));
    });
}

/// What happened once happens again when all is over.
fn repeat_at_end(trace: &mut Trace, of: impl Fn(&Event) -> bool) {
    let mut again = trace.events[at(trace, of)].clone();
    let last = trace.events.last().expect("the healthy trace has events");
    (again.seq, again.t_us) = (last.seq + 1, last.t_us);
    trace.events.push(again);
}

fn all() -> impl Iterator<Item = &'static rows::Row> {
    let tables =
        [rows::PATENT, rows::SLEEP, rows::HOLD, rows::PUSH, rows::WAKE, rows::END, rows::SESSION];
    let services = [pushes::APNS, pushes::FCM, pushes::WEBPUSH];
    let calls = [calls::NETWORK, calls::CALL, calls::CHANGE, messages::MESSAGES];
    tables.into_iter().chain(services).chain(calls).flatten()
}

fn decided(trace: &Trace, requirement: &str) -> Finding {
    let findings = judge(trace, &[requirement]);
    findings.into_iter().find(|f| f.requirement == requirement).expect("it has a check")
}

#[test]
fn a_doctored_trace_fails_the_check_that_speaks_of_it() {
    for (requirement, scene, doctor) in all() {
        let healthy = scenes::healthy(scene);
        let met = decided(&healthy, requirement);
        assert_eq!(met.observed, Observed::Pass, "{scene}: {met:?}");
        let mut trace = Trace::clone(&healthy);
        doctor(&mut trace);
        let broken = decided(&trace, requirement);
        assert_eq!(broken.observed, Observed::Fail, "{requirement} saw nothing");
        let row = requirement::find(requirement).expect("it has a row");
        assert_eq!((&*broken.level, &broken.expected), (row.level.name(), &row.text));
        assert_eq!(blindfold::difference(&trace), None, "{requirement}");
        println!("{} {requirement}: {}", broken.level, broken.actual);
    }
}

#[test]
fn a_missed_should_is_advice() {
    let of_push = |(requirement, ..): &&rows::Row| requirement.contains("declared-delay");
    let (requirement, scene, doctor) = all().find(of_push).expect("it has a row");
    let mut trace = Trace::clone(&scenes::healthy(scene));
    doctor(&mut trace);
    let verdict = Verdict::of("case", 5, judge(&trace, &[]), trace.digest(), 0);
    let missed = verdict.findings.iter().find(|finding| finding.requirement == *requirement);
    assert_eq!(missed.map(|f| (&*f.level, f.observed)), Some(("SHOULD", Observed::Fail)));
    assert_eq!(verdict.observed, Observed::Pass);
}

#[test]
fn every_check_is_seen_to_fail_by_a_row() {
    let doctored = all().map(|(requirement, ..)| *requirement);
    let planted = mutants::TABLE.iter().map(|(_, requirement, _)| *requirement);
    let rows: BTreeSet<_> = doctored.chain(planted).collect();
    let checks: BTreeSet<_> = CHECKS.iter().map(|check| check.requirement).collect();
    let idle: Vec<_> = checks.difference(&rows).collect();
    assert_eq!(idle, [] as [&&str; 0], "no row shows these checks failing");
    assert_eq!(rows, checks, "a row for a requirement without a check");
}
