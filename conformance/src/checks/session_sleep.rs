//! How an app goes to sleep.

use std::collections::{BTreeMap, BTreeSet};

use reveille_trace::{Event, Kind};

use super::view::{Call, Framed, View};
use super::{Outcome, broken, each, sip_hold};

/// How long the gateway may take to let go of a socket that its app has closed.
const CLOSE_US: u64 = 1_000_000;
/// How long an app may not know yet that its socket stands.
const ON_ITS_WAY_US: u64 = 200_000;

/// What became of an app's request to sleep.
struct Asked<'a> {
    request: &'a Framed,
    answer: Option<&'a Framed>,
    /// The end of the socket on which it was asked.
    closed: Option<&'a Event>,
}

fn asked<'a>(view: &'a View<'_>) -> Vec<Asked<'a>> {
    let requests = view.frames.iter().filter(|f| f.sent && f.is("hibernate", "request"));
    let about = |request: &'a Framed| {
        let mine = |actor: &str, seq: u64| actor == request.actor && seq > request.seq;
        let answer = view.frames.iter().find(|f| mine(&f.actor, f.seq) && f.answers("hibernate"));
        let closed = view.events.iter().find(|e| e.kind == Kind::WsClosed && mine(&e.actor, e.seq));
        Asked { request, answer, closed }
    };
    requests.map(about).collect()
}

/// Sleep is stored, then granted, and only then does its socket close.
pub(super) fn durable_then_close(view: &View<'_>) -> Outcome {
    let own: Vec<_> = view.events.iter().filter(|event| event.actor == "gateway").collect();
    let hibernate = |event: &Event, kind| {
        let frame = (event.kind == kind).then(|| Framed::of(event)).flatten()?;
        (frame.text("header", "action") == "hibernate").then_some(frame)
    };
    for (index, request) in own.iter().enumerate() {
        let Some(asked) = hibernate(request, Kind::RtcReceived) else { continue };
        let session = asked.text("control", "session_id");
        let of = (session, asked.text("control", "correlation_id"));
        let is_it = |frame: &Framed| {
            (frame.text("control", "session_id"), frame.text("control", "correlation_id")) == of
        };
        if own[..index].iter().any(|e| hibernate(e, Kind::RtcReceived).is_some_and(|f| is_it(&f))) {
            // Repeated by an app that is not sure: the grant is of the first.
            continue;
        }
        let granted = |event: &&Event| {
            hibernate(event, Kind::RtcSent).is_some_and(|f| f.code() == 200 && is_it(&f))
        };
        let later = &own[index + 1..];
        let Some(grant) = later.iter().position(granted) else { continue };
        // A gateway that started again grants what it found on its disk.
        let again = later[..grant].iter().any(|event| event.kind == Kind::HostStarted);
        let of_session = |event: &&&Event| event.text("session") == Some(session);
        let stores: Vec<_> = later[..grant].iter().filter(of_session).copied().collect();
        if !again && !sip_hold::stored(&stores) {
            return broken("sleep was granted before it was stored", request.seq);
        }
    }
    each(asked(view), |asked| match (asked.closed, asked.answer) {
        (Some(closed), None) if closed.int("code") == Some(4001) => {
            broken("the socket closed for sleep before it was granted", closed.seq)
        }
        (Some(closed), Some(answer)) if closed.int("code") == Some(4001) => {
            if closed.seq < answer.seq {
                return broken("the socket closed for sleep before it was granted", closed.seq);
            }
            Outcome::Met
        }
        _ => Outcome::Silent,
    })
}

/// Calls that are for this app's user.
fn calls_of<'a>(view: &'a View<'_>, actor: &'a str) -> impl Iterator<Item = &'a Call> {
    view.calls.iter().filter(move |call| view.apps(call.callee()).contains(&actor))
}

/// An INVITE that was sent while an app went to sleep, and accepted, is given to an app or pushed
/// for; no app is given it as two calls.
pub(super) fn gap_is_kept(view: &View<'_>) -> Outcome {
    each(asked(view), |asked| {
        let Some(closed) = asked.closed else { return Outcome::Silent };
        let gap = asked.request.seq..closed.seq;
        let crossing = calls_of(view, &asked.request.actor)
            .filter(|call| call.invite().is_some_and(|invite| gap.contains(&invite.seq)))
            .filter(|call| call.accepted().is_some() && call.cancel().is_none());
        each(crossing, |call| {
            let starts: Vec<_> = view.starts(&call.mark).collect();
            let ids: BTreeSet<_> = starts.iter().map(|f| (&f.actor, f.subsession())).collect();
            let apps: BTreeSet<_> = starts.iter().map(|f| &f.actor).collect();
            let at = call.invite().map_or(closed.seq, |invite| invite.seq);
            if ids.len() > apps.len() {
                return broken(format!("{} became two calls", call.mark), at);
            }
            if starts.is_empty() && view.pushes_for(call).next().is_none() {
                return broken(format!("{} crossed the sleep and was lost", call.mark), at);
            }
            Outcome::Met
        })
    })
}

/// An app that has a call, or for which one is held, is not put to sleep before the call is decided,
/// unless the call reaches it all the same.
pub(super) fn pending_call_wins(view: &View<'_>) -> Outcome {
    each(asked(view), |asked| {
        let Some(answer) = asked.answer else { return Outcome::Silent };
        let actor = &asked.request.actor;
        let pending = calls_of(view, actor).filter(|call| {
            let given = view.starts(&call.mark).any(|start| start.seq < asked.request.seq);
            call.is_open_at(asked.request.seq) && call.is_open_at(answer.seq)
                || given && call.invite().is_some() && call.is_open_at(answer.seq)
        });
        each(pending, |call| {
            let later = view.starts(&call.mark).any(|start| start.seq > answer.seq);
            if answer.code() == 200 && !later {
                return broken(
                    format!("{actor} was put to sleep while {} waits", call.mark),
                    answer.seq,
                );
            }
            Outcome::Met
        })
    })
}

/// A second after an app closed for sleep, the gateway holds no more sockets than apps do.
pub(super) fn sleep_frees_sockets(view: &View<'_>) -> Outcome {
    let mut outcome = Outcome::Silent;
    for sleep in &view.sleeps {
        let Some(closed) = view.events.iter().find(|event| event.seq == sleep.from) else {
            continue;
        };
        let at_us = closed.t_us.saturating_add(CLOSE_US);
        // A close that was cut off on its way has not come yet.
        if view.is_cut_before(at_us) {
            continue;
        }
        let (held, open) = sockets(view, at_us);
        if held.len() > open {
            let actor = &sleep.actor;
            return broken(
                format!("{actor} sleeps; the gateway holds {} sockets, apps {open}", held.len()),
                sleep.from,
            );
        }
        outcome = Outcome::Met;
    }
    outcome
}

/// The sockets that the gateway holds at this time, and how many apps hold.
fn sockets<'a>(view: &'a View<'_>, at_us: u64) -> (BTreeSet<i64>, usize) {
    let mut held = BTreeSet::new();
    let mut open: BTreeMap<&'a str, bool> = BTreeMap::new();
    for event in view.events.iter().take_while(|event| event.t_us <= at_us) {
        let socket = event.int("socket").unwrap_or_default();
        match (event.actor.as_str(), event.kind) {
            // An app that comes back is still on its way.
            ("gateway", Kind::WsOpened) if at_us.saturating_sub(event.t_us) < ON_ITS_WAY_US => {}
            ("gateway", Kind::WsOpened) => {
                held.insert(socket);
            }
            ("gateway", Kind::WsClosed) => {
                held.remove(&socket);
            }
            ("gateway", Kind::HostCrashed | Kind::HostStarted) => held.clear(),
            (actor, Kind::WsOpened) => {
                open.insert(actor, true);
            }
            (actor, Kind::WsClosed) => {
                open.insert(actor, false);
            }
            _ => {}
        }
    }
    (held, open.values().filter(|open| **open).count())
}
