//! What the apps saw.

use std::collections::{BTreeMap, BTreeSet};

use reveille_trace::Kind;
use serde_json::Value;

use super::Outcome;
use super::view::View;

fn broken(actual: String, at: u64) -> Outcome {
    Outcome::Broken { actual, at: Some(at) }
}

/// A `start` comes again only as the identical frame (a replay), or to an app that said at its last
/// resume that it does not hold the call (D-48).
pub(super) fn delivered_once(view: &View<'_>) -> Outcome {
    let mut given: BTreeMap<(String, String), Value> = BTreeMap::new();
    let mut held: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut outcome = Outcome::Silent;
    for frame in &view.frames {
        if frame.sent && frame.text("header", "action") == "connect" {
            let list = frame.json["header"]["subsessions"].as_array();
            let ids = list.map(|list| {
                list.iter().filter_map(|id| id.as_str().map(ToOwned::to_owned)).collect()
            });
            match ids {
                Some(ids) => held.insert(frame.actor.clone(), ids),
                None => held.remove(&frame.actor),
            };
        }
        if !frame.is_start() {
            continue;
        }
        let id = frame.text("control", "subsession_id").to_owned();
        let correlation = frame.text("control", "correlation_id").to_owned();
        let key = (frame.actor.clone(), format!("{id} {correlation}"));
        let lost = held.get(&frame.actor).is_some_and(|held| !held.contains(&id));
        let again = given.insert(key, frame.json.clone());
        if again.is_some_and(|before| before != frame.json) && !lost {
            let actor = &frame.actor;
            return broken(format!("{actor} holds the call {id} and is given it again"), frame.seq);
        }
        outcome = Outcome::Met;
    }
    outcome
}

/// Within a session each number is one more than the last, or a frame that was sent before.
pub(super) fn numbers_rise(view: &View<'_>) -> Outcome {
    let mut streams: BTreeMap<String, BTreeMap<u64, Value>> = BTreeMap::new();
    let mut outcome = Outcome::Silent;
    for frame in view.frames.iter().filter(|frame| !frame.sent) {
        let Some(sequence) = frame.json["control"]["sequence"].as_u64() else { continue };
        let session = frame.text("control", "session_id").to_owned();
        let stream = streams.entry(session).or_default();
        let last = stream.last_key_value().map_or(sequence.saturating_sub(1), |(last, _)| *last);
        let repeated = stream.get(&sequence).is_some_and(|before| *before != frame.json);
        if repeated {
            return broken(format!("number {sequence} was given to two frames"), frame.seq);
        }
        if sequence > last + 1 {
            return broken(format!("number {sequence} came after {last}"), frame.seq);
        }
        stream.insert(sequence, frame.json.clone());
        outcome = Outcome::Met;
    }
    outcome
}

/// The payload that woke the app names its session, and its call is among those it is given.
pub(super) fn push_names_call(view: &View<'_>) -> Outcome {
    let sessions: BTreeSet<_> = view
        .frames
        .iter()
        .map(|frame| frame.text("control", "session_id"))
        .filter(|id| !id.is_empty())
        .collect();
    let mut outcome = Outcome::Silent;
    for event in view.events.iter().filter(|event| event.kind == Kind::PushArrived) {
        let Ok(payload) = serde_json::from_slice::<Value>(event.bytes()) else {
            return broken("a push is no JSON".to_owned(), event.seq);
        };
        let session = payload["session_id"].as_str().unwrap_or_default();
        if !sessions.contains(session) {
            return broken(format!("a push names the session {session:?}"), event.seq);
        }
        let call = payload["subsession_id"].as_str().unwrap_or_default();
        let starts: Vec<_> = view.frames.iter().filter(|f| f.is_start()).collect();
        let known = starts.iter().any(|f| f.text("control", "subsession_id") == call);
        // A call that ended before the app came back is never given.
        if starts.iter().any(|start| start.seq > event.seq) && !known && call.is_empty() {
            return broken("a push names no call".to_owned(), event.seq);
        }
        outcome = Outcome::Met;
    }
    outcome
}

/// Between the app's close for sleep and its next socket nothing reaches it.
pub(super) fn silent_asleep(view: &View<'_>) -> Outcome {
    let mut asleep: BTreeSet<&str> = BTreeSet::new();
    let mut outcome = Outcome::Silent;
    for event in view.events.iter().filter(|event| event.actor != "gateway") {
        match event.kind {
            Kind::WsClosed if event.int("code") == Some(4001) => {
                asleep.insert(&event.actor);
                outcome = Outcome::Met;
            }
            Kind::WsOpened => {
                asleep.remove(event.actor.as_str());
            }
            Kind::RtcReceived if asleep.contains(event.actor.as_str()) => {
                return broken(format!("{} sleeps and is sent a frame", event.actor), event.seq);
            }
            _ => {}
        }
    }
    outcome
}
