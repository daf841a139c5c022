//! What the patent claims and describes.

use std::collections::{BTreeMap, BTreeSet};

use reveille_trace::{Event, Kind};

use super::view::{Call, Framed, Said, View};
use super::{Outcome, broken, each, jsonrtc_session, reactions};

/// A call that was answered 100 ends with a final response; one that was answered is still known
/// when its caller hangs up.
pub(super) fn no_call_dropped(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| {
        let mark = &call.mark;
        let Some(accepted) = call.accepted() else { return Outcome::Silent };
        if call.finals().next().is_none() {
            return broken(format!("{mark} had 100 and no final response"), accepted.seq);
        }
        let asked = call.said.iter().find(|said| said.asks("BYE")).map_or(0, |bye| bye.seq);
        // Two that hang up at once.
        let all = view.calls.iter().filter(|other| other.caller == call.caller);
        let crossed = all.flat_map(|other| &other.said).find(|said| {
            (!said.sent && said.message.method() == Some("BYE"))
                && said.message.call_id() == call.id()
        });
        let over = view.starts(mark).filter_map(|start| {
            let about =
                |f: &&Framed| f.actor == start.actor && f.subsession() == start.subsession();
            let mut said = view.frames.iter().filter(about);
            said.find(|f| f.sent && f.text("header", "action") == "shutdown").map(|f| f.seq)
        });
        let crossed = crossed.map(|bye| bye.seq).into_iter().chain(over).min();
        let crossed = crossed.unwrap_or(u64::MAX);
        // A BYE whose answer a fault took comes again when all is over.
        let unknown = call.said.iter().find(|said| {
            (said.answer_to("BYE") == Some(481) && said.seq < crossed)
                && !view.is_struck_between(asked, said.seq)
        });
        unknown.map_or(Outcome::Met, |unknown| {
            broken(format!("{mark} was answered, and its BYE meets 481"), unknown.seq)
        })
    })
}

/// Between an app's close for sleep and its next socket no frame reaches it.
pub(super) fn silent_asleep(view: &View<'_>) -> Outcome {
    each(&view.sleeps, |sleep| {
        let asleep = |seq: u64| sleep.from < seq && seq < sleep.until;
        let frame = view.frames.iter().find(|f| !f.sent && f.actor == sleep.actor && asleep(f.seq));
        frame.map_or(Outcome::Met, |frame| {
            broken(format!("{} sleeps and is sent a frame", sleep.actor), frame.seq)
        })
    })
}

/// The first answer to an INVITE for a sleeping app that can be woken is a provisional.
pub(super) fn accepted_while_closed(view: &View<'_>) -> Outcome {
    let asleep = |call: &&Call| {
        call.invite().is_some_and(|invite| {
            view.sleeps_at(call.callee(), invite.seq)
                && !reactions::is_out_of_reach(view, call.callee(), invite.seq)
        })
    };
    each(view.calls.iter().filter(asleep), |call| {
        let mut said = call.said.iter();
        let first = said.find_map(|said| Some((said.answer_to("INVITE")?, said.seq)));
        let offers = call.invite().is_some_and(|invite| !invite.message.body.is_empty());
        match first {
            None => Outcome::Silent,
            Some((..200, _)) => Outcome::Met,
            // An operator may take no late offers, awake or asleep (D-34).
            Some((488, _)) if !offers => Outcome::Silent,
            Some((status, at)) => {
                broken(format!("{} met a closed socket and heard {status}", call.mark), at)
            }
        }
    })
}

/// A push request names the session, the application and the token that the app gave or was given.
pub(super) fn three_items(view: &View<'_>) -> Outcome {
    // By token: the application, and the sessions.
    let mut known: BTreeMap<&str, (&str, BTreeSet<&str>)> = BTreeMap::new();
    let mut actors: BTreeMap<&str, &str> = BTreeMap::new();
    for frame in view.frames.iter().filter(|f| f.text("header", "action") == "connect") {
        if frame.sent {
            if let Some(token) = jsonrtc_session::token(frame) {
                let app = frame.json["payload"]["capability"]["app_id"].as_str();
                known.entry(token).or_default().0 = app.unwrap_or_default();
                actors.insert(&frame.actor, token);
            }
        } else if let Some(token) = actors.get(frame.actor.as_str()) {
            let session = frame.text("control", "session_id");
            known.entry(token).or_default().1.insert(session);
        }
    }
    each(&view.pushes, |push| {
        let [token, session, _] = push.items();
        let Some((app, sessions)) = known.get(token) else {
            return broken("a push names a token that no app gave", push.seq);
        };
        if !sessions.contains(session) {
            return broken("a push names a session that is not its token's", push.seq);
        }
        if !push.is_of(app) {
            return broken("a push names another application than its token's", push.seq);
        }
        Outcome::Met
    })
}

/// An app that comes back with its session's id is answered with that id.
pub(super) fn same_session(view: &View<'_>) -> Outcome {
    let mut asked: BTreeMap<&str, &str> = BTreeMap::new();
    let mut outcome = Outcome::Silent;
    for frame in view.frames.iter().filter(|f| f.text("header", "action") == "connect") {
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

/// The steps of the first wake come in their order: asleep, the call, the push, the app, the start.
pub(super) fn steps_in_order(view: &View<'_>) -> Outcome {
    let first = |after: u64, is_it: &dyn Fn(&Event) -> bool| {
        view.events.iter().find(|event| event.seq >= after && is_it(event)).map(|event| event.seq)
    };
    let asleep = first(0, &|e| e.kind == Kind::AppState && e.text("state") == Some("hibernated"));
    let Some(asleep) = asleep else { return Outcome::Silent };
    let start = view.frames.iter().find(|frame| frame.is_start() && frame.seq > asleep);
    let Some(start) = start else { return Outcome::Silent };
    let mark = start.mark();
    let call = view.calls.iter().find(|call| call.mark == mark).and_then(Call::invite);
    // The call came before the sleep, or after its user had opened the app.
    let slept = |call: &&Said| {
        view.sleeps.iter().any(|sleep| {
            sleep.actor == start.actor && (sleep.from..sleep.until).contains(&call.seq)
        })
    };
    let Some(call) = call.filter(slept) else { return Outcome::Silent };
    let of_app = |e: &Event| e.actor == start.actor;
    let opened = first(call.seq, &|e| e.kind == Kind::WsOpened && of_app(e));
    let Some(opened) = opened.filter(|opened| *opened < start.seq) else {
        return broken("the app was given the call before it came back", start.seq);
    };
    let arrived = first(call.seq, &|e| e.kind == Kind::PushArrived && of_app(e));
    // Without a push before its socket, its user opened the app.
    let Some(arrived) = arrived.filter(|arrived| *arrived < opened) else {
        return Outcome::Silent;
    };
    // One that was asked for an earlier call may come late.
    match first(asleep, &|e| e.kind == Kind::PushReceived) {
        Some(pushed) if pushed < arrived => Outcome::Met,
        _ => broken("the app was woken, and no push had been asked for", arrived),
    }
}
