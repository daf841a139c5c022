//! From the wake to the answer.

use std::collections::{BTreeMap, BTreeSet};

use reveille_trace::Kind;
use serde_json::Value;

use super::view::{Framed, Said, View};
use super::{Outcome, broken, each};

/// The longest between two copies of an answer (T2 of RFC 3261, and a second for its way), and how
/// long they go on (64·T1).
const COPIES_US: (u64, u64) = (5_000_000, 32_000_000);
/// The first gap; each is twice the one before, up to T2.
const T1_US: u64 = 500_000;
/// How many copies may still be under way, or go again because their ACK is lost.
const COPIES_AFTER_ACK: usize = 3;

/// A caller hears a 2xx only after an app that was given the call sent its final response.
pub(super) fn answer_after_app(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| {
        let mark = &call.mark;
        let answer = call.finals().find(|(_, status)| (200..300).contains(status));
        let Some((answer, _)) = answer else { return Outcome::Silent };
        let decided = view.starts(mark).any(|start| {
            view.frames.iter().any(|frame| {
                (start.seq..answer.seq).contains(&frame.seq)
                    && (frame.sent && frame.actor == start.actor)
                    && frame.text("control", "message_state") == "final"
                    && frame.subsession() == start.subsession()
            })
        });
        if decided {
            Outcome::Met
        } else {
            broken(format!("{mark} heard 200 and no app had answered"), answer.seq)
        }
    })
}

/// How long an answer may be on its way from its app to the caller.
const ANSWER_US: u64 = 5_000_000;

/// The final answer of an app to a call that is open reaches its caller.
pub(super) fn answer_reaches_caller(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| {
        let mark = &call.mark;
        let of_app = |start: &Framed| {
            view.frames.iter().find(|frame| {
                (frame.sent && frame.seq > start.seq && frame.actor == start.actor)
                    && frame.is("start", "response")
                    && frame.text("control", "message_state") == "final"
                    && frame.subsession() == start.subsession()
            })
        };
        let Some(answer) = view.starts(mark).find_map(of_app) else { return Outcome::Silent };
        if !call.is_open_at(answer.seq) || call.cancel().is_some() {
            return Outcome::Silent;
        }
        let heard = call.finals().next();
        let until = heard.map_or(u64::MAX, |(said, _)| said.seq);
        let end_us = heard.map_or(view.end().map_or(0, |end| end.t_us), |(said, _)| said.t_us);
        let is_late = end_us.saturating_sub(answer.t_us) > ANSWER_US;
        // What broke on the way may have taken the answer with it.
        let is_lost = view.is_struck_between(0, until)
            || view.events.iter().any(|event| {
                (event.kind == Kind::WsClosed && event.actor == answer.actor)
                    && (answer.seq..until).contains(&event.seq)
            });
        let app = &answer.actor;
        match heard {
            Some((_, 200..=299)) => Outcome::Met,
            _ if is_lost || !is_late => Outcome::Silent,
            Some((said, status)) => {
                broken(format!("{app} answered {mark}, and its caller heard {status}"), said.seq)
            }
            None => {
                broken(format!("{app} answered {mark}, and its caller heard nothing"), answer.seq)
            }
        }
    })
}

/// A 200 goes again until its ACK, at most 64·T1, with gaps of at most T2, and then stops.
pub(super) fn answer_goes_again(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| {
        let answers: Vec<_> = call
            .finals()
            .filter(|(_, status)| (200..300).contains(status))
            .map(|(said, _)| said)
            .collect();
        let Some(first) = answers.first() else { return Outcome::Silent };
        let ack = call.said.iter().find(|said| said.asks("ACK") && said.seq > first.seq);
        let heard_us = view.end().map_or(first.t_us, |event| event.t_us);
        let until_us = first.t_us.saturating_add(COPIES_US.1).min(heard_us);
        let until_us = ack.map_or(until_us, |ack| ack.t_us.min(until_us));
        let most_us = |copy: usize| match view.is_disturbed() {
            true => COPIES_US.0,
            false => (T1_US << copy.min(3)).saturating_add(1_000_000),
        };
        if let Some((last, gap_us)) = widest(&answers, until_us, most_us) {
            let s = gap_us / 1_000_000;
            return broken(
                format!("{} has no ACK, and its 200 did not go again for {s} s", call.mark),
                last,
            );
        }
        let after = |said: &&&Said| ack.is_some_and(|ack| said.seq > ack.seq);
        let copies = answers.iter().filter(after).count();
        if copies > COPIES_AFTER_ACK {
            let last = answers.last().map_or(first.seq, |said| said.seq);
            return broken(format!("{} has its ACK, and {copies} copies came", call.mark), last);
        }
        Outcome::Met
    })
}

/// The first gap between copies that is wider than its `most_us`, the last one lasting until
/// `until_us`, and where it begins.
fn widest(answers: &[&Said], until_us: u64, most_us: impl Fn(usize) -> u64) -> Option<(u64, u64)> {
    let gaps = answers.iter().enumerate().map(|(index, said)| {
        let next_us = answers.get(index + 1).map_or(until_us, |next| next.t_us.min(until_us));
        (index, said.seq, next_us.saturating_sub(said.t_us))
    });
    let mut wide = gaps.filter(|(index, _, gap_us)| *gap_us > most_us(*index));
    wide.next().map(|(_, seq, gap_us)| (seq, gap_us))
}

/// An app is given a call again only by an identical frame (a replay), or after it said at its last
/// resume that it does not hold the call (D-48).
pub(super) fn delivered_once(view: &View<'_>) -> Outcome {
    let mut given: BTreeMap<(&str, String), Vec<&Value>> = BTreeMap::new();
    let mut held: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut outcome = Outcome::Silent;
    for frame in &view.frames {
        let actor = frame.actor.as_str();
        if frame.sent && frame.is("connect", "request") {
            match frame.json["header"]["subsessions"].as_array() {
                Some(list) => held.insert(actor, list.iter().filter_map(Value::as_str).collect()),
                None => held.remove(actor),
            };
        }
        if !frame.is_start() {
            continue;
        }
        let mark = frame.mark();
        let id = frame.subsession();
        let before = given.entry((actor, mark.clone())).or_default();
        let lost = held.get(actor).is_some_and(|held| !held.contains(id));
        if !before.is_empty() && !before.contains(&&frame.json) && !lost {
            return broken(
                format!("{actor} holds the call {mark} and is given it again"),
                frame.seq,
            );
        }
        before.push(&frame.json);
        if let Some(held) = held.get_mut(actor) {
            held.insert(id);
        }
        outcome = Outcome::Met;
    }
    outcome
}

/// A call or message, and when it came.
struct Arrival<'a> {
    mark: &'a str,
    /// Its INVITE or MESSAGE.
    sent: u64,
    /// Its 100, or the 2xx of a message.
    accepted: Option<u64>,
}

impl Arrival<'_> {
    fn precedes(&self, other: &Self) -> bool {
        self.accepted.is_some_and(|accepted| accepted < other.sent)
    }
}

/// All that came for apps, by its mark.
fn arrivals<'a>(view: &'a View<'_>) -> BTreeMap<&'a str, Arrival<'a>> {
    let calls = view.calls.iter().filter_map(|call| {
        let accepted = call.accepted().map(|said| said.seq);
        Some(Arrival { mark: &call.mark, sent: call.invite()?.seq, accepted })
    });
    let texts = view.texts.iter().filter_map(|text| {
        let taken = text.answer().filter(|(_, status)| *status < 300);
        let accepted = taken.map(|(said, _)| said.seq);
        Some(Arrival { mark: &text.mark, sent: text.said.first()?.seq, accepted })
    });
    calls.chain(texts).map(|arrival| (arrival.mark, arrival)).collect()
}

/// Calls and messages of which one was accepted before the other was sent reach an app in that order,
/// and no call reaches it after its own end.
pub(super) fn arrival_order(view: &View<'_>) -> Outcome {
    let arrivals = arrivals(view);
    let mut given: BTreeMap<&str, Vec<&Arrival<'_>>> = BTreeMap::new();
    let mut over: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut outcome = Outcome::Silent;
    for frame in view.frames.iter().filter(|frame| !frame.sent) {
        let actor = frame.actor.as_str();
        if frame.text("header", "action") == "shutdown" {
            over.insert((actor, frame.subsession()));
        }
        let mark = match (frame.is_start(), frame.is_send()) {
            (true, _) => frame.mark(),
            (_, true) => frame.message_mark(),
            _ => continue,
        };
        let Some(arrival) = arrivals.get(mark.as_str()) else { continue };
        if over.contains(&(actor, frame.subsession())) {
            return broken(format!("{mark} reached {actor} after its end"), frame.seq);
        }
        let before = given.entry(actor).or_default();
        if before.iter().any(|other| other.mark == mark) {
            continue;
        }
        if let Some(other) = before.iter().find(|other| arrival.precedes(other)) {
            let second = other.mark;
            return broken(
                format!("{mark} was accepted before {second} was sent, and given later"),
                frame.seq,
            );
        }
        if before.iter().any(|other| other.precedes(arrival)) {
            outcome = Outcome::Met;
        }
        before.push(arrival);
    }
    outcome
}

/// An app that opens while a call is held for it, before a push reached it, is given the call.
pub(super) fn early_open_delivers(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| {
        let Some(accepted) = call.accepted() else { return Outcome::Silent };
        if !view.sleeps_at(call.callee(), accepted.seq) || call.cancel().is_some() {
            return Outcome::Silent;
        }
        let Some(opened) = view.opened_after(call.callee(), accepted.seq) else {
            return Outcome::Silent;
        };
        let pushed = view.events.iter().any(|event| {
            event.kind == Kind::PushArrived
                && event.actor == opened.actor
                && (accepted.seq..opened.seq).contains(&event.seq)
        });
        if pushed || !call.is_open_at(opened.seq) {
            return Outcome::Silent;
        }
        if view.starts(&call.mark).any(|start| start.actor == opened.actor) {
            return Outcome::Met;
        }
        broken(
            format!("{} was opened by its user and not given {}", opened.actor, call.mark),
            opened.seq,
        )
    })
}
