//! Sleep, push and wake, as the phone, the push service and the registrar saw them.

use std::collections::BTreeMap;

use reveille_trace::{Event, Kind};
use serde_json::Value;

use super::Outcome;
use super::view::View;

fn broken(actual: impl Into<String>, at: u64) -> Outcome {
    Outcome::Broken { actual: actual.into(), at: Some(at) }
}

/// Where an app asked to sleep, it was granted before it closed with the sleep code.
pub(super) fn granted_then_closed(view: &View<'_>) -> Outcome {
    let mut asked: BTreeMap<&str, bool> = BTreeMap::new();
    let mut outcome = Outcome::Silent;
    for event in view.events {
        let about = || serde_json::from_slice::<Value>(event.bytes()).unwrap_or_default();
        match event.kind {
            Kind::RtcSent if about()["header"]["action"] == "hibernate" => {
                asked.insert(&event.actor, false);
            }
            Kind::RtcReceived if about()["header"]["action"] == "hibernate" => {
                asked.insert(&event.actor, true);
            }
            Kind::WsClosed if event.int("code") == Some(4001) && event.actor != "gateway" => {
                match asked.remove(event.actor.as_str()) {
                    Some(false) => return broken("it closed before it was granted", event.seq),
                    Some(true) => outcome = Outcome::Met,
                    None => {}
                }
            }
            _ => {}
        }
    }
    outcome
}

/// An app that comes back with its session's id is answered with that id.
pub(super) fn same_session(view: &View<'_>) -> Outcome {
    let mut asked: BTreeMap<&str, &str> = BTreeMap::new();
    let mut outcome = Outcome::Silent;
    for frame in &view.frames {
        if frame.text("header", "action") != "connect" {
            continue;
        }
        let id = frame.text("control", "session_id");
        if frame.sent {
            asked.insert(&frame.actor, id);
        } else if let Some(asked) = asked.remove(frame.actor.as_str()).filter(|id| !id.is_empty()) {
            if asked != id {
                return broken(format!("it resumed {asked} and was given {id}"), frame.seq);
            }
            outcome = Outcome::Met;
        }
    }
    outcome
}

fn payload(event: &Event) -> Result<Value, String> {
    let body: Value = serde_json::from_slice(event.bytes()).map_err(|e| e.to_string())?;
    let payload = body.get("payload").cloned().ok_or("it has no payload")?;
    let length = payload.to_string().len();
    if length > 4_096 {
        return Err(format!("its payload has {length} bytes"));
    }
    if payload.to_string().contains("m=audio") {
        return Err("its payload carries an SDP".to_owned());
    }
    Ok(payload)
}

/// Every push request is JSON, its payload within 4,096 bytes and without an SDP.
pub(super) fn payload_is_fit(view: &View<'_>) -> Outcome {
    let mut outcome = Outcome::Silent;
    for event in view.events.iter().filter(|event| event.kind == Kind::PushReceived) {
        if let Err(why) = payload(event) {
            return broken(format!("a push request is unfit: {why}"), event.seq);
        }
        outcome = Outcome::Met;
    }
    outcome
}

/// A push that is refused for good ends the calls that waited for it within a second.
pub(super) fn refused_ends_hold(view: &View<'_>) -> Outcome {
    let refused = view.events.iter().find(|event| {
        event.kind == Kind::PushAnswered && matches!(event.int("status"), Some(400..=428))
    });
    let Some(refused) = refused else { return Outcome::Silent };
    for ((_, mark), said) in &view.calls {
        let open = said.iter().any(|s| s.asks("INVITE") && s.seq < refused.seq)
            && !said.iter().any(|s| s.answer_to("INVITE") >= Some(200) && s.seq < refused.seq);
        let ended = said.iter().find(|s| s.answer_to("INVITE") >= Some(200));
        let in_time = ended.is_some_and(|s| s.t_us.saturating_sub(refused.t_us) <= 1_000_000);
        if open && !in_time {
            return broken(
                format!("{mark} was held on although its push was refused"),
                refused.seq,
            );
        }
    }
    Outcome::Met
}

/// The steps of the first wake come in their order: asleep, the call, the push, the app, the start.
pub(super) fn steps_in_order(view: &View<'_>) -> Outcome {
    let first = |after: u64, is_it: &dyn Fn(&Event) -> bool| {
        view.events.iter().find(|event| event.seq >= after && is_it(event)).map(|event| event.seq)
    };
    let asleep = first(0, &|e| e.kind == Kind::AppState && e.text("state") == Some("hibernated"));
    let Some(asleep) = asleep else { return Outcome::Silent };
    let start = view.frames.iter().find(|frame| frame.is_start() && frame.seq > asleep);
    let Some(start) = start.map(|frame| frame.seq) else { return Outcome::Silent };
    let call = first(asleep, &|e| e.kind == Kind::SipSent && e.bytes().starts_with(b"INVITE "));
    let steps = call
        .and_then(|call| first(call, &|e| e.kind == Kind::PushReceived))
        .and_then(|push| first(push, &|e| e.kind == Kind::WsOpened && e.actor != "gateway"));
    match (call, steps) {
        // The call came before it slept, or the user opened the app.
        (None, _) => Outcome::Silent,
        (Some(_), Some(opened)) if opened < start => Outcome::Met,
        (Some(_), _) => broken("the app was given the call before it was woken", start),
    }
}

/// The registrar never sees a binding lapse.
pub(super) fn binding_never_lapses(view: &View<'_>) -> Outcome {
    let of_registrar = || view.events.iter().filter(|event| event.actor == "registrar");
    let lapsed = of_registrar().find(|event| event.text("text") == Some("binding-lapsed"));
    match lapsed {
        Some(lapsed) => broken("a binding ran out before it was refreshed", lapsed.seq),
        None if of_registrar().any(|event| event.kind == Kind::SipSent) => Outcome::Met,
        None => Outcome::Silent,
    }
}

/// An app is given its calls in the order in which they were accepted.
pub(super) fn arrival_order(view: &View<'_>) -> Outcome {
    let accepted = |mark: &str| {
        let said = view.calls.iter().find(|((_, of), _)| of == mark).map(|(_, said)| said)?;
        said.iter().find(|said| said.answer_to("INVITE") == Some(100)).map(|said| said.seq)
    };
    let mut last: BTreeMap<&str, (u64, String)> = BTreeMap::new();
    let mut outcome = Outcome::Silent;
    for start in view.frames.iter().filter(|frame| frame.is_start()) {
        let mark = start.mark();
        let Some(at) = accepted(&mark) else { continue };
        if let Some((before, other)) = last.get(start.actor.as_str())
            && *before > at
            && *other != mark
        {
            return broken(
                format!("{mark} was accepted before {other}, and given later"),
                start.seq,
            );
        }
        if last.insert(&start.actor, (at, mark)).is_some() {
            outcome = Outcome::Met;
        }
    }
    outcome
}

/// A call that ended badly for its caller is not given to an app afterwards.
pub(super) fn nothing_leaks(view: &View<'_>) -> Outcome {
    let mut outcome = Outcome::Silent;
    for ((_, mark), said) in &view.calls {
        let failed = said.iter().find(|said| said.answer_to("INVITE") >= Some(300));
        let Some(failed) = failed else { continue };
        let ghost = view
            .frames
            .iter()
            .find(|frame| frame.is_start() && frame.mark() == *mark && frame.seq > failed.seq);
        if let Some(ghost) = ghost {
            return broken(format!("{mark} had failed, and the app was given it"), ghost.seq);
        }
        outcome = Outcome::Met;
    }
    outcome
}

/// A CANCEL is answered 200, and its INVITE 487 unless an answer crossed it.
pub(super) fn cancel_is_answered(view: &View<'_>) -> Outcome {
    let mut outcome = Outcome::Silent;
    for ((_, mark), said) in &view.calls {
        let Some(cancel) = said.iter().find(|said| said.asks("CANCEL")) else { continue };
        let answered = said.iter().any(|said| said.answer_to("CANCEL") == Some(200));
        let ended =
            said.iter().any(|said| matches!(said.answer_to("INVITE"), Some(487 | 200..=299)));
        if !answered || !ended {
            return broken(
                format!("the CANCEL of {mark} was not answered 200 and 487"),
                cancel.seq,
            );
        }
        outcome = Outcome::Met;
    }
    outcome
}

/// An INVITE that is sent again meets the last provisional again, while the call is undecided.
pub(super) fn repeats_provisional(view: &View<'_>) -> Outcome {
    let mut outcome = Outcome::Silent;
    for ((_, mark), said) in &view.calls {
        let first = said.iter().position(|said| said.answer_to("INVITE").is_some());
        let Some(first) = first else { continue };
        let again = said.iter().skip(first).find(|said| said.asks("INVITE"));
        let Some(again) = again else { continue };
        if !said.iter().any(|s| s.seq > again.seq && s.answer_to("INVITE").is_some()) {
            return broken(format!("{mark} asked again and heard nothing"), again.seq);
        }
        outcome = Outcome::Met;
    }
    outcome
}
