//! How a call ends: CANCEL, expiry, and what may follow.

use std::collections::BTreeSet;

use reveille_trace::Kind;

use super::pushed::Push;
use super::view::{Call, Framed, View};
use super::{Outcome, broken, each};

/// Two frames that a gateway sends in one go reach an app within this time.
const AT_ONCE_US: u64 = 100_000;

/// The start that reached an app after its caller had heard one of these final responses.
fn ghost<'a>(
    view: &'a View<'_>,
    call: &'a Call,
    is_end: fn(u16) -> bool,
) -> Option<Option<&'a Framed>> {
    let (ended, _) = call.finals().find(|(_, status)| is_end(*status))?;
    let late = |start: &&Framed| start.seq > ended.seq && !is_ended_at_once(view, start);
    Some(view.starts(&call.mark).find(late))
}

/// A start that was numbered before its call ended is replayed with the call's end right behind it
/// (D-36, as a late device is given INVITE and CANCEL): both reach the app at once, whatever it says first.
fn is_ended_at_once(view: &View<'_>, start: &Framed) -> bool {
    let next = view.frames.iter().find(|frame| {
        (frame.actor == start.actor && !frame.sent)
            && frame.seq > start.seq
            && frame.subsession() == start.subsession()
    });
    next.is_some_and(|next| {
        let is_end = next.text("header", "action") == "shutdown";
        is_end && next.t_us.saturating_sub(start.t_us) <= AT_ONCE_US
    })
}

pub(super) fn no_ring_after_cancel(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| match ghost(view, call, |status| status == 487) {
        None => Outcome::Silent,
        Some(None) => Outcome::Met,
        Some(Some(ghost)) => broken(
            format!("{} was cancelled, and the app was given it later", call.mark),
            ghost.seq,
        ),
    })
}

pub(super) fn nothing_leaks(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| match ghost(view, call, |status| status >= 300) {
        None => Outcome::Silent,
        Some(None) => Outcome::Met,
        Some(Some(ghost)) => {
            broken(format!("{} had failed, and the app was given it later", call.mark), ghost.seq)
        }
    })
}

/// One final response; a hold that ran out ends with 480, never 408, when its budget ends.
pub(super) fn one_final(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| {
        let statuses: BTreeSet<_> = call.finals().map(|(_, status)| status).collect();
        let Some((said, status)) = call.finals().last() else { return Outcome::Silent };
        if statuses.len() > 1 {
            return broken(format!("{} heard the finals {statuses:?}", call.mark), said.seq);
        }
        if status < 300 || call.cancel().is_some() || view.starts(&call.mark).next().is_some() {
            return Outcome::Met;
        }
        if status == 408 {
            return broken(format!("{} was held and ended with 408", call.mark), said.seq);
        }
        expired(view, call)
    })
}

/// Decides a call that nothing but its budget ended: each push for it was accepted, no app came.
fn expired(view: &View<'_>, call: &Call) -> Outcome {
    let mut pushes = view.pushes_for(call).peekable();
    let (Some(held), Some((said, status))) = (call.accepted(), call.finals().next()) else {
        return Outcome::Met;
    };
    let pushed = pushes.peek().is_some();
    // The 100 may be on its way for longer than the app.
    let since = pushes.peek().map_or(held.seq, |push| push.seq.min(held.seq));
    let came = view.opened_after(call.callee(), since).is_some();
    if !pushed || came || !pushes.all(|push| matches!(push.status, Some(200..=299))) {
        return Outcome::Met;
    }
    if status != 480 {
        return broken(format!("{} ran out and ended with {status}", call.mark), said.seq);
    }
    let held_us = said.t_us.saturating_sub(held.t_us);
    let off = view.budget_us().is_some_and(|budget_us| held_us.abs_diff(budget_us) > 1_000_000);
    if off && !view.is_disturbed() {
        let ms = held_us / 1_000;
        return broken(
            format!("{} was held for {ms} ms, not its wake budget", call.mark),
            said.seq,
        );
    }
    Outcome::Met
}

/// True if an app had sent its final response to this call before event `seq`.
fn is_decided_at(view: &View<'_>, call: &Call, seq: u64) -> bool {
    view.starts(&call.mark).any(|start| {
        view.frames.iter().any(|frame| {
            (frame.sent && frame.actor == start.actor && frame.subsession() == start.subsession())
                && (start.seq..seq).contains(&frame.seq)
                && (frame.is("start", "error")
                    || frame.text("header", "action") == "shutdown"
                    || frame.text("control", "message_state") == "final")
        })
    })
}

/// True if this call had nothing to hope for before event `seq`: its budget or its ringing was over, or a push
/// for it had failed.
fn is_given_up_at(view: &View<'_>, call: &Call, seq: u64) -> bool {
    let (Some(held), Some((end, 480))) = (call.accepted(), call.finals().next()) else {
        return false;
    };
    let held_us = end.t_us.saturating_sub(held.t_us);
    let waited = view.budget_us().is_some_and(|us| held_us.saturating_add(100_000) >= us);
    let failed = |push: &Push<'_>| !push.is_accepted() && push.seq < seq;
    waited || view.pushes_for(call).any(failed)
}

/// A CANCEL is answered 200, and its INVITE 487 unless what the app decided crossed it, both
/// promptly.
pub(super) fn cancel_is_answered(view: &View<'_>) -> Outcome {
    let limit_us = if view.over_sockets { 500_000 } else { 100_000 };
    each(&view.calls, |call| {
        let mark = &call.mark;
        let Some(cancel) = call.cancel() else { return Outcome::Silent };
        let answered = call.said.iter().find(|said| said.answer_to("CANCEL") == Some(200));
        let ended = call.finals().find(|(said, status)| {
            matches!(status, 200..=299 | 487)
                || is_decided_at(view, call, said.seq)
                || is_given_up_at(view, call, said.seq)
        });
        let parted = |to| view.is_parted_between(&call.caller, 0, to);
        if answered.is_none() && cancel.is_by_stream() && parted(u64::MAX) {
            // The stream that broke took the CANCEL with it.
            return Outcome::Silent;
        }
        let crossed = ended.as_ref().filter(|(_, status)| *status < 300).map(|(said, _)| said.seq);
        if answered.is_none() && crossed.is_some_and(|seq| view.is_struck_between(0, seq)) {
            // It met nobody, and after the answer that crossed it BYE is said instead.
            return Outcome::Silent;
        }
        let (Some(answered), Some((ended, _))) = (answered, ended) else {
            return broken(
                format!("the CANCEL of {mark} was not answered 200 and 487"),
                cancel.seq,
            );
        };
        let late_us = answered.t_us.max(ended.t_us).saturating_sub(cancel.t_us);
        if late_us > limit_us && !parted(answered.seq.max(ended.seq)) {
            let ms = late_us / 1_000;
            return broken(format!("the CANCEL of {mark} was answered after {ms} ms"), cancel.seq);
        }
        Outcome::Met
    })
}

/// A call that was answered although its CANCEL was on its way hears no 487.
pub(super) fn answer_beats_cancel(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| {
        let answer = call.finals().find(|(_, status)| (200..300).contains(status));
        let (Some((answer, _)), Some(cancel)) = (answer, call.cancel()) else {
            return Outcome::Silent;
        };
        let mut finals = call.finals();
        match finals.find(|(said, status)| *status == 487 && said.seq > answer.seq) {
            Some((said, _)) => broken(format!("{} heard 200, and then 487", call.mark), said.seq),
            None if call.said.iter().any(|s| s.asks("ACK") && s.seq > answer.seq) => Outcome::Met,
            None => {
                broken(format!("{} was answered and never acknowledged", call.mark), cancel.seq)
            }
        }
    })
}

/// How many open calls an app holds that comes back with this connect: it has been told of them.
fn held_by(view: &View<'_>, connect: &Framed) -> u64 {
    let killed = view.events.iter().rfind(|event| {
        (event.seq < connect.seq && event.actor == connect.actor)
            && event.kind == Kind::AppState
            && event.text("state") == Some("killed")
    });
    // By D-36 what an app had is not told again, unless it says that it lost it (D-48).
    let says = connect.json["header"]["subsessions"].is_array();
    let since = killed.filter(|_| says).map_or(0, |event| event.seq);
    let ended = |call: &Call| call.finals().any(|(said, _)| said.seq < connect.seq);
    let open = view.calls.iter().filter(|call| !ended(call));
    let held = open.filter(|call| {
        let mut starts = view.starts(&call.mark);
        starts.any(|s| s.actor == connect.actor && (since..connect.seq).contains(&s.seq))
    });
    held.count() as u64
}

/// An app that a push opened is told within 10 s of its connect what there is for it: a call or message, that
/// a call is over, that nothing is pending, or that its session is gone.
pub(super) fn woken_is_told(view: &View<'_>) -> Outcome {
    let arrived = view.events.iter().filter(|event| event.kind == Kind::PushArrived);
    each(arrived, |event| {
        let mine = || view.frames.iter().filter(|f| f.actor == event.actor && f.seq > event.seq);
        let Some(connect) = mine().find(|f| f.sent && f.is("connect", "request")) else {
            return Outcome::Silent;
        };
        let gone = view.events.iter().any(|e| match e.kind {
            Kind::WsClosed => e.actor == event.actor && e.seq > connect.seq,
            // What a process had begun when it was killed may still be seen.
            Kind::AppState => {
                e.actor == event.actor && e.seq > event.seq && e.text("state") == Some("killed")
            }
            _ => false,
        });
        let held = held_by(view, connect);
        let told = mine().filter(|f| !f.sent && f.seq > connect.seq).any(|f| {
            let pending = f.json["header"]["pending"].as_u64();
            let definite = f.answers("connect")
                && (f.code() >= 300 || pending.is_some_and(|pending| pending <= held));
            let of_call = f.is_start() || f.is_send() || f.text("header", "action") == "shutdown";
            (definite || of_call) && f.t_us.saturating_sub(connect.t_us) <= 10_000_000
        });
        match (told, gone) {
            (true, _) => Outcome::Met,
            (false, true) => Outcome::Silent,
            (false, false) => {
                broken(format!("{} was woken and told nothing", event.actor), connect.seq)
            }
        }
    })
}
