//! What the apps saw of their sessions.

use std::collections::BTreeMap;

use reveille_trace::Kind;
use serde_json::Value;

use super::view::{Framed, View};
use super::{Outcome, broken, each};

/// Within a session each number is one more than the last, or a frame that was sent before.
pub(super) fn numbers_rise(view: &View<'_>) -> Outcome {
    let mut streams: BTreeMap<&str, BTreeMap<u64, &Value>> = BTreeMap::new();
    let mut outcome = Outcome::Silent;
    for frame in view.frames.iter().filter(|frame| !frame.sent) {
        let Some(sequence) = frame.json["control"]["sequence"].as_u64() else { continue };
        let stream = streams.entry(frame.text("control", "session_id")).or_default();
        let last = stream.last_key_value().map_or(sequence.saturating_sub(1), |(last, _)| *last);
        if stream.get(&sequence).is_some_and(|before| **before != frame.json) {
            return broken(format!("number {sequence} was given to two frames"), frame.seq);
        }
        if sequence > last.saturating_add(1) {
            return broken(format!("number {sequence} came after {last}"), frame.seq);
        }
        stream.insert(sequence, &frame.json);
        outcome = Outcome::Met;
    }
    outcome
}

/// The frame that answers the connect `asked`.
fn connected<'a>(view: &'a View<'_>, asked: &Framed) -> Option<&'a Framed> {
    let mut mine = view.frames.iter().filter(|f| f.actor == asked.actor && f.seq > asked.seq);
    mine.find(|f| f.answers("connect") || (f.sent && f.is("connect", "request")))
        .filter(|f| !f.sent)
}

/// After a resume that is answered 200, every frame up to the next connect is of that session, and
/// the numbers do not begin anew.
pub(super) fn rehydrates(view: &View<'_>) -> Outcome {
    let connects = view.frames.iter().filter(|f| f.sent && f.is("connect", "request"));
    each(connects, |asked| {
        let session = asked.text("control", "session_id");
        let Some(answer) = connected(view, asked).filter(|answer| answer.code() == 200) else {
            return Outcome::Silent;
        };
        let known = view
            .frames
            .iter()
            .any(|f| !f.sent && f.seq < asked.seq && f.text("control", "session_id") == session);
        if session.is_empty() || !known {
            return Outcome::Silent;
        }
        let next = view.frames.iter().find(|f| {
            f.seq > answer.seq && f.sent && f.actor == asked.actor && f.is("connect", "request")
        });
        let until = next.map_or(u64::MAX, |next| next.seq);
        let other = view.frames.iter().find(|f| {
            !f.sent
                && f.actor == asked.actor
                && (answer.seq..until).contains(&f.seq)
                && f.text("control", "session_id") != session
        });
        match other {
            None => Outcome::Met,
            Some(other) => {
                let other_id = other.text("control", "session_id");
                broken(format!("{session} was resumed, and a frame is of {other_id}"), other.seq)
            }
        }
    })
}

/// The first frame of a call that reaches an app is the `start` that gives it.
pub(super) fn held_call_is_start(view: &View<'_>) -> Outcome {
    let mut first: BTreeMap<(&str, &str), &Framed> = BTreeMap::new();
    for frame in view.frames.iter().filter(|f| !f.subsession().is_empty()) {
        first.entry((&frame.actor, frame.subsession())).or_insert(frame);
    }
    let alerted = view.events.iter().filter(|event| event.kind == Kind::AppAlerted);
    each(alerted, |event| {
        let id = event.text("subsession").unwrap_or_default();
        match first.get(&(event.actor.as_str(), id)) {
            Some(frame) if frame.is_start() && frame.seq < event.seq => Outcome::Met,
            _ => broken(format!("{} shows {id}, and no start gave it", event.actor), event.seq),
        }
    })
}

/// The subsession of a push is the one under which its call reaches the app.
pub(super) fn subsession_is_stable(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| {
        each(view.pushes_for(call), |push| {
            let mut starts = view.starts(&call.mark).peekable();
            if starts.peek().is_none() {
                return Outcome::Silent;
            }
            let id = push.says("subsession_id");
            match starts.find(|start| start.subsession() != id) {
                None => Outcome::Met,
                Some(start) => {
                    let given = start.subsession();
                    broken(format!("a push says {id}, and the app is given {given}"), start.seq)
                }
            }
        })
    })
}

/// Before an app is granted sleep, a connect with its device token had been answered 200.
pub(super) fn token_before_sleep(view: &View<'_>) -> Outcome {
    let granted = view.frames.iter().filter(|f| f.answers("hibernate"));
    each(granted.filter(|f| f.code() == 200), |granted| {
        let told = view.frames.iter().any(|f| {
            f.sent
                && (f.actor == granted.actor && f.seq < granted.seq)
                && f.is("connect", "request")
                && token(f).is_some()
                && connected(view, f).is_some_and(|a| a.code() == 200 && a.seq < granted.seq)
        });
        if told {
            Outcome::Met
        } else {
            let actor = &granted.actor;
            broken(format!("{actor} sleeps, and its token was never acknowledged"), granted.seq)
        }
    })
}

/// The device token of a connect.
pub(super) fn token(connect: &Framed) -> Option<&str> {
    let places = ["payload", "header"].into_iter();
    let mut found = places.flat_map(|part| {
        ["deviceToken", "device_token"].map(|name| connect.json[part][name].as_str())
    });
    found.find_map(|token| token.filter(|token| !token.is_empty()))
}
