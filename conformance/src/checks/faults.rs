//! A planned fault that never took effect makes the run void, not green.

use std::collections::BTreeMap;

use reveille_trace::{Event, Finding, Kind, Observed, PlannedFault, Trace};

use crate::requirement::Level;

/// The planned faults at the head of the trace, each once, and how often each struck.
#[must_use]
pub fn planned_faults(trace: &Trace) -> Vec<PlannedFault> {
    let (planned, struck) = (count(trace, Kind::FaultPlanned), count(trace, Kind::FaultStruck));
    let row = |(fault, on): (&str, &str)| PlannedFault {
        fault: fault.to_owned(),
        on: on.to_owned(),
        struck: struck.get(&(fault, on)).copied().unwrap_or(0),
    };
    planned.into_keys().map(row).collect()
}

/// What says that the run is void, if a fault struck less often than it was planned.
pub(super) fn void(trace: &Trace) -> Option<Finding> {
    let (planned, struck) = (count(trace, Kind::FaultPlanned), count(trace, Kind::FaultStruck));
    let missed = |(key, times): (&(&str, &str), &usize)| {
        let struck = struck.get(key).copied().unwrap_or(0);
        let (fault, on) = key;
        (struck < *times).then(|| format!("{fault} on {on} struck {struck} of {times} times"))
    };
    let missed: Vec<_> = planned.iter().filter_map(missed).collect();
    (!missed.is_empty()).then(|| Finding {
        requirement: "faults".to_owned(),
        level: Level::Must.name().to_owned(),
        observed: Observed::Inconclusive,
        expected: "every planned fault takes effect".to_owned(),
        actual: missed.join("; "),
        evidence: None,
    })
}

/// Events of this kind by the fields `fault` and `on`.
fn count(trace: &Trace, kind: Kind) -> BTreeMap<(&str, &str), usize> {
    let mut counts = BTreeMap::new();
    for event in trace.events.iter().filter(|event| event.kind == kind) {
        *counts.entry(key(event)).or_default() += 1;
    }
    counts
}

fn key(event: &Event) -> (&str, &str) {
    (event.text("fault").unwrap_or_default(), event.text("on").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use reveille_trace::{Draft, Recorder};

    use super::*;
    use crate::checks::judge;
    use crate::checks::view::View;

    fn trace(events: &[(Kind, &str, &str)]) -> Trace {
        let recorder = Recorder::keeping();
        for (kind, fault, on) in events {
            recorder.record("world", 0, Draft::new(*kind).with("fault", *fault).with("on", *on));
        }
        Trace { events: recorder.events(), ..Trace::default() }
    }

    const CRASH: (Kind, &str, &str) = (Kind::FaultPlanned, "crash", "gateway");
    const CRASHED: (Kind, &str, &str) = (Kind::FaultStruck, "crash", "gateway");

    #[test]
    fn a_fault_that_struck_as_often_as_planned_leaves_the_run_as_it_is() {
        assert_eq!(judge(&trace(&[]), &[]), []);
        assert_eq!(judge(&trace(&[CRASH, CRASHED]), &[]), []);
        assert_eq!(judge(&trace(&[CRASH, CRASHED, CRASHED]), &[]), []);
        let sweep = (Kind::FaultStruck, "power-loss-at", "gateway");
        assert_eq!(judge(&trace(&[sweep]), &[]), [], "a sweep plans nothing");
    }

    #[test]
    fn a_fault_that_struck_too_seldom_makes_the_run_void() {
        let elsewhere = (Kind::FaultStruck, "crash", "registrar");
        let other = (Kind::FaultStruck, "power-loss", "gateway");
        for events in [&[CRASH][..], &[CRASH, CRASH, CRASHED], &[CRASH, elsewhere], &[CRASH, other]]
        {
            let findings = judge(&trace(events), &[]);
            let [void] = findings.as_slice() else { panic!("{findings:?}") };
            assert_eq!((void.requirement.as_str(), void.level.as_str()), ("faults", "MUST"));
            assert_eq!(void.observed, Observed::Inconclusive);
            assert!(void.actual.starts_with("crash on gateway struck "), "{}", void.actual);
        }
    }

    #[test]
    fn strikes_are_counted_for_each_fault_and_each_host() {
        let cut = (Kind::FaultPlanned, "partition", "alice--gateway");
        let rows = planned_faults(&trace(&[CRASH, cut, CRASH, CRASHED, CRASHED]));
        let rows: Vec<_> = rows.iter().map(|r| (&*r.fault, &*r.on, r.struck)).collect();
        assert_eq!(rows, [("crash", "gateway", 2), ("partition", "alice--gateway", 0)]);
    }

    #[test]
    fn a_fault_excuses_what_it_can_have_touched() {
        let parted = |fault, on| {
            let trace = trace(&[(Kind::FaultStruck, fault, on)]);
            View::new(&trace).is_parted_between("alice", 0, u64::MAX)
        };
        for (fault, on) in [
            ("crash", "gateway"),
            ("power-loss-at", "gateway-2"),
            ("move", "alice"),
            ("outage", "alice"),
            ("storm", "alice--gateway"),
            ("partition", "gateway--alice"),
            ("cut", "gateway->alice"),
            ("storm", "gateway--gateway-2"),
        ] {
            assert!(parted(fault, on), "{fault} on {on}");
        }
        for (fault, on) in [
            ("crash", "registrar"),
            ("move", "bob"),
            ("nat", "bob"),
            ("outage", "push"),
            ("storm", "bob--gateway"),
            ("cut", "gateway->bob"),
            ("partition", "gateway--push"),
            ("storm", "alice--registrar"),
            ("clock-step", "gateway"),
            ("clock-step", "alice"),
        ] {
            assert!(!parted(fault, on), "{fault} on {on}");
        }
    }

    #[test]
    fn a_clock_that_is_set_excuses_nothing_and_loses_nothing() {
        let set = trace(&[(Kind::FaultStruck, "clock-step", "gateway")]);
        let view = View::new(&set);
        assert!(!view.is_disturbed() && !view.is_struck_between(0, u64::MAX));
        for fault in ["partition", "cut", "storm", "outage", "move", "rebind", "nat"] {
            let trace = trace(&[(Kind::FaultStruck, fault, "bob")]);
            assert!(View::new(&trace).is_cut_before(0), "{fault}");
        }
        let crash = trace(&[CRASHED]);
        let view = View::new(&crash);
        assert!(view.is_disturbed() && !view.is_cut_before(0), "what was said before is heard");
    }
}
