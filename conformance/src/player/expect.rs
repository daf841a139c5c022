//! A scenario's own expectations, decided on the trace by the same facts as its triggers.

use reveille_scenarios::{Expect, Sight, Wanted, What};
use reveille_trace::{Event, Finding, Kind, Observed, Span};

use super::facts::{Fact, Facts};

/// Decides every expectation, in order.
#[must_use]
pub fn judge(events: &[Event], expects: &[Expect]) -> Vec<Finding> {
    let facts = Facts::of(events);
    expects.iter().map(|expect| decide(&facts, expect)).collect()
}

/// What says that a step of the script never became due: then the play was not what the scenario
/// tells, and shows nothing.
#[must_use]
pub fn unplayed(events: &[Event]) -> Option<Finding> {
    let head = events.iter().find(|event| event.kind == Kind::Scenario)?;
    let planned = head.int("steps").and_then(|steps| usize::try_from(steps).ok())?;
    let taken = events.iter().filter(|event| event.kind == Kind::Step).count();
    let text = |event: &Event| event.text("text").map(ToOwned::to_owned);
    let told = events.iter().filter(|event| event.actor == head.actor).filter_map(text);
    let told: Vec<_> = told.filter(|text| text.contains("never became due")).collect();
    (taken < planned).then(|| Finding {
        requirement: "script".to_owned(),
        level: "MUST".to_owned(),
        observed: Observed::Inconclusive,
        expected: "every step of the scenario becomes due".to_owned(),
        actual: format!("{taken} of {planned} steps were taken: {}", told.join("; ")),
        evidence: None,
    })
}

fn decide(facts: &[Fact], expect: &Expect) -> Finding {
    let (observed, actual, seen) = observe(facts, expect);
    Finding {
        requirement: "expect".to_owned(),
        level: expect.level.clone(),
        observed,
        expected: expect.text.clone(),
        actual: if observed == Observed::Pass { String::new() } else { actual },
        evidence: seen
            .first()
            .zip(seen.last())
            .map(|(first, last)| Span { first: first.seq, last: last.seq }),
    }
}

fn observe<'a>(facts: &'a [Fact], expect: &Expect) -> (Observed, String, Vec<&'a Fact>) {
    let sight = match &expect.wanted {
        Wanted::Seen(sight)
        | Wanted::Never(sight)
        | Wanted::Count(sight, ..)
        | Wanted::FirstIn(sight, _) => sight,
    };
    let first_of = |wanted: &Sight| facts.iter().find(|fact| fact.is(wanted));
    let begin = match &expect.after {
        Some(after) => match first_of(after) {
            Some(fact) => Some(fact),
            None => {
                let what = format!("what it should come after was not seen: {after}");
                return (Observed::Inconclusive, what, Vec::new());
            }
        },
        None => facts.iter().find(|fact| {
            fact.what == What::Sent && sight.about.as_ref().is_some_and(|mark| *mark == fact.about)
        }),
    };
    let start = begin.map_or(0, |fact| fact.t_us);
    let not_before = expect.after.as_ref().and(begin).map_or(0, |fact| fact.seq);
    let limit = expect.within.map_or(u64::MAX, |within| {
        start.saturating_add(u64::try_from(within.as_micros()).unwrap_or(u64::MAX))
    });
    let all = facts.iter().filter(|fact| fact.is(sight) && fact.seq >= not_before);
    let (seen, late): (Vec<_>, Vec<_>) = all.partition(|fact| fact.t_us <= limit);
    let (good, actual) = match &expect.wanted {
        Wanted::Seen(_) => (!seen.is_empty(), "it was not seen".to_owned()),
        Wanted::Never(_) => (seen.is_empty(), seen_times(seen.len())),
        Wanted::Count(_, low, high) => {
            ((*low..=*high).contains(&seen.len()), seen_times(seen.len()))
        }
        Wanted::FirstIn(_, numbers) => match seen.first() {
            Some(fact) => (numbers.contains(&fact.number), format!("it was {}", fact.number)),
            None => (false, "it was not seen".to_owned()),
        },
    };
    let actual = match late.first() {
        Some(late) if !good => {
            let ms = late.t_us.saturating_sub(start) / 1_000;
            format!("{actual} in time; the next came after {ms} ms")
        }
        _ => actual,
    };
    (if good { Observed::Pass } else { Observed::Fail }, actual, seen)
}

fn seen_times(times: usize) -> String {
    match times {
        0 => "it was not seen".to_owned(),
        1 => "it was seen once".to_owned(),
        times => format!("it was seen {times} times"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reveille_trace::{Draft, Kind, Recorder};

    use super::*;

    fn sight(what: What) -> Sight {
        Sight { actor: None, what, about: Some("c1".to_owned()), numbers: None, text: None }
    }

    fn played(alerts_at: &[u64], status: u16) -> Vec<Event> {
        let recorder = Recorder::keeping();
        let head = "From: <sip:c1@example.com>;tag=1\r\nCSeq: 1 INVITE\r\n\r\n";
        let invite = format!("INVITE sip:bob@example.com SIP/2.0\r\n{head}");
        recorder.record("alice", 1_000, Draft::new(Kind::SipSent).raw(invite));
        for at in alerts_at {
            recorder.record("bob", *at, Draft::new(Kind::AppAlerted).with("call", "c1"));
        }
        let last = format!("SIP/2.0 {status} Whatever\r\n{head}");
        recorder.record("alice", 9_000_000, Draft::new(Kind::SipReceived).raw(last));
        recorder.events()
    }

    fn one(events: &[Event], wanted: Wanted, after: Option<Sight>, within: u64) -> Observed {
        let level = "MUST".to_owned();
        let within = Some(Duration::from_millis(within));
        let (text, why, line) = (String::new(), None, 1);
        judge(events, &[Expect { level, text, wanted, after, within, why, line }])[0].observed
    }

    #[test]
    fn a_step_that_never_became_due_makes_the_play_void() {
        let recorder = Recorder::keeping();
        let head = Draft::new(Kind::Scenario).with("id", "a/b").with("steps", 2_usize);
        recorder.record("world", 0, head);
        recorder.record("world", 1, Draft::new(Kind::Step).with("step", 0_usize));
        let note = "step 1 never became due: alice.received(c1, 180) was not seen";
        recorder.record("world", 2, Draft::new(Kind::Note).with("text", note));
        let finding = unplayed(&recorder.events()).expect("one step is missing");
        assert_eq!(finding.observed, Observed::Inconclusive);
        assert!(finding.actual.contains("1 of 2") && finding.actual.contains(note), "{finding:?}");
        recorder.record("world", 3, Draft::new(Kind::Step).with("step", 1_usize));
        assert_eq!(unplayed(&recorder.events()), None);
    }

    #[test]
    fn each_form_passes_fails_and_knows_when_it_cannot_tell() {
        let events = played(&[2_000, 3_000], 480);
        let alerted = || sight(What::Alerted);
        let seen = |within| one(&events, Wanted::Seen(alerted()), None, within);
        assert_eq!((seen(1), seen(0)), (Observed::Pass, Observed::Fail));
        assert_eq!(one(&events, Wanted::Never(alerted()), None, 1), Observed::Fail);
        assert_eq!(one(&events, Wanted::Count(alerted(), 1, 1), None, 1), Observed::Pass);
        assert_eq!(one(&events, Wanted::Count(alerted(), 1, 1), None, 2), Observed::Fail);
        let last = |numbers: &[u16]| {
            let last = Sight { numbers: Some((200, 699)), ..sight(What::Received) };
            one(&events, Wanted::FirstIn(last, numbers.to_vec()), None, 60_000)
        };
        assert_eq!((last(&[480, 487]), last(&[200])), (Observed::Pass, Observed::Fail));
        let after = Some(sight(What::PushSent));
        let told = one(&events, Wanted::Seen(alerted()), after, 60_000);
        assert_eq!(told, Observed::Inconclusive);
    }
}
