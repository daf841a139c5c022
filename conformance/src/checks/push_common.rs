//! What the push service was asked, and what came of it.

use reveille_trace::Kind;

use super::pushed::Push;
use super::view::{Call, View};
use super::{Outcome, broken, each};

/// The largest payload that every provider takes.
const PAYLOAD_LIMIT: usize = 4_096;
/// How long an unanswered request is not yet one that timed out.
const UNANSWERED_US: u64 = 1_000_000;
/// The most requests for one call to one device.
const MOST_ATTEMPTS: usize = 10;
/// How long after the last failed request the call must have its end: a request that hangs times
/// out within it.
const GIVE_UP_US: u64 = 20_000_000;
/// How long a service that failed may be left alone.
const LEFT_ALONE_US: u64 = 60_000_000;
/// The delay from INVITE to push if the target declares none.
const DELAY_MS: u64 = 100;

const fn is_transient(status: Option<u16>) -> bool {
    matches!(status, None | Some(408 | 429 | 500..=599))
}

/// What APNs says of a credential or a connection, which another one mends.
const MENDED: [&str; 3] = ["ExpiredProviderToken", "IdleTimeout", "UnrelatedKeyIdInToken"];

/// Refused for good: neither a lapsed credential (401) nor a fault that passes.
pub(super) fn is_refused(push: &Push<'_>) -> bool {
    let mended = push.reason.is_some_and(|reason| MENDED.contains(&reason));
    !mended && matches!(push.status, Some(400 | 402..=407 | 409..=428))
}

/// The first request for a call that repeats one without a reason: that was neither refused nor
/// left unanswered, no app of the user's came (and went) since, and no fault struck.
pub(super) fn second_push<'a>(view: &'a View<'_>, call: &Call) -> Option<&'a Push<'a>> {
    let pushes: Vec<_> =
        view.pushes.iter().filter(|push| push.says("call_id") == call.id()).collect();
    pushes.iter().enumerate().find_map(|(index, push)| {
        let before = pushes[..index].iter().rfind(|before| before.token == push.token)?;
        // A gateway that fails cannot know what became of the request that it had made.
        let asked = call.invite().map_or(before.seq, |invite| invite.seq);
        let struck = view.is_struck_between(asked, push.seq);
        let came = view.opened_after(call.callee(), before.seq).is_some_and(|e| e.seq < push.seq);
        let apps = view.apps(call.callee());
        let went = view.events.iter().any(|event| {
            event.kind == Kind::WsClosed
                && apps.contains(&event.actor.as_str())
                && (before.seq..push.seq).contains(&event.seq)
        });
        let failed = match before.status {
            Some(_) => !before.is_accepted(),
            None => push.t_us.saturating_sub(before.t_us) >= UNANSWERED_US,
        };
        // Of a stream that was refused nothing was processed.
        let refused = view.events.iter().any(|event| {
            event.kind == Kind::FaultStruck
                && event.text("fault") == Some("refuse-stream")
                && (before.seq..push.seq).contains(&event.seq)
        });
        (!struck && !came && !went && !failed && !refused).then_some(*push)
    })
}

pub(super) fn one_push(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| {
        if view.pushes_for(call).next().is_none() {
            return Outcome::Silent;
        }
        second_push(view, call).map_or(Outcome::Met, |push| {
            broken(format!("{} was pushed for again without a reason", call.mark), push.seq)
        })
    })
}

/// The payload that reaches a phone names a session that the phone was given, and by its Call-ID a
/// call that somebody placed or a message that somebody sent.
pub(super) fn names_session_and_call(view: &View<'_>) -> Outcome {
    let arrived = view.events.iter().filter(|event| event.kind == Kind::PushArrived);
    each(arrived, |event| {
        let Ok(payload) = serde_json::from_slice::<serde_json::Value>(event.bytes()) else {
            return broken("a push is no JSON", event.seq);
        };
        let session = payload["session_id"].as_str().unwrap_or_default();
        let given = view.frames.iter().any(|frame| {
            !frame.sent
                && (frame.actor == event.actor && frame.seq < event.seq)
                && frame.text("control", "session_id") == session
        });
        if session.is_empty() || !given {
            let actor = &event.actor;
            return broken(format!("{actor} is pushed for session {session:?}"), event.seq);
        }
        let id = payload["call_id"].as_str().unwrap_or_default();
        if id.is_empty() || !view.is_known(id) {
            return broken(format!("a push names the call {id:?}"), event.seq);
        }
        Outcome::Met
    })
}

pub(super) fn payload_within_limit(view: &View<'_>) -> Outcome {
    each(&view.pushes, |push| {
        let payload = &push.payload;
        if !payload.is_object() {
            return broken("a push request holds no JSON payload", push.seq);
        }
        let length = payload.to_string().len();
        if length > PAYLOAD_LIMIT {
            return broken(format!("a payload has {length} bytes"), push.seq);
        }
        for name in ["session_id", "call_id"] {
            if push.says(name).is_empty() {
                return broken(format!("a payload has no {name}"), push.seq);
            }
        }
        Outcome::Met
    })
}

/// A push refused for good ends the calls of its user that wait for it, unless one reached an app.
pub(super) fn refused_ends_hold(view: &View<'_>) -> Outcome {
    let refused = view.pushes.iter().filter(|push| is_refused(push));
    each(refused, |push| {
        let about = view.calls.iter().find(|call| push.says("call_id") == call.id());
        let Some(about) = about else { return Outcome::Silent };
        let waiting = view.calls.iter().filter(|call| {
            call.callee() == about.callee()
                && call.is_open_at(push.seq)
                && view.starts(&call.mark).next().is_none()
        });
        each(waiting, |call| {
            let mark = &call.mark;
            let Some((said, status)) = call.finals().next() else {
                return broken(
                    format!("{mark} was held on although its push was refused"),
                    push.seq,
                );
            };
            let late_us = said.t_us.saturating_sub(push.t_us);
            if late_us > 1_000_000 && !view.is_disturbed() {
                let s = late_us / 1_000_000;
                return broken(format!("{mark} was held on for {s} s after the refusal"), push.seq);
            }
            match status {
                404 | 480 | 487 => Outcome::Met,
                _ => broken(format!("{mark} was refused a push and ended with {status}"), said.seq),
            }
        })
    })
}

/// After a failure that passes, the push is asked for again, or the call ends; never too often and
/// never after its end.
pub(super) fn transient_is_retried(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| {
        let mark = &call.mark;
        let pushes: Vec<_> = view.pushes_for(call).collect();
        let Some(last) = pushes.last() else { return Outcome::Silent };
        if !pushes.iter().any(|push| is_transient(push.status)) {
            return Outcome::Silent;
        }
        let of_last = pushes.iter().filter(|push| push.token == last.token).count();
        if of_last > MOST_ATTEMPTS {
            return broken(format!("{mark} was pushed for {of_last} times"), last.seq);
        }
        let end = call.finals().next().map(|(said, _)| said);
        if end.is_some_and(|end| end.seq < last.seq) {
            return broken(format!("{mark} had ended and was pushed for"), last.seq);
        }
        let came = view.opened_after(call.callee(), pushes[0].seq).is_some();
        if !is_transient(last.status) || came || call.cancel().is_some() {
            return Outcome::Met;
        }
        match end {
            Some(end) if end.t_us.saturating_sub(last.t_us) <= GIVE_UP_US => Outcome::Met,
            _ => {
                let what = "its push failed and was neither asked for again nor did it end";
                broken(format!("{mark} was held on: {what}"), last.seq)
            }
        }
    })
}

/// The first push for a call that finds its user asleep reaches the push service in time.
pub(super) fn leaves_in_time(view: &View<'_>) -> Outcome {
    let limit_ms = view.target("push-delay-ms").unwrap_or(DELAY_MS);
    each(&view.calls, |call| {
        let (Some(invite), Some(push)) = (call.invite(), view.pushes_for(call).next()) else {
            return Outcome::Silent;
        };
        // Who was given no bearer has nothing to push with.
        let broke = view.events.iter().any(|event| {
            let no_bearer = event.kind == Kind::PushBearer && event.int("status") != Some(200);
            no_bearer && (invite.seq..push.seq).contains(&event.seq)
        });
        if !view.sleeps_at(call.callee(), invite.seq) || view.is_disturbed() || broke {
            return Outcome::Silent;
        }
        // A service that failed a moment ago is left alone for as long as it wants.
        let failed = view.pushes.iter().any(|before| {
            (before.service == push.service && before.seq < push.seq && !before.is_accepted())
                && invite.t_us.saturating_sub(before.t_us) <= LEFT_ALONE_US
        });
        if failed {
            return Outcome::Silent;
        }
        let ms = push.t_us.saturating_sub(invite.t_us) / 1_000;
        if ms <= limit_ms {
            return Outcome::Met;
        }
        broken(format!("the push for {} came {ms} ms after its INVITE", call.mark), push.seq)
    })
}

/// A call whose push was accepted and whose app never comes still ends at the wake budget.
pub(super) fn accepted_is_no_wake(view: &View<'_>) -> Outcome {
    accepted_ends(view, |_| true)
}

/// The same of calls that one service was asked for.
pub(super) fn accepted_ends(view: &View<'_>, is_its: impl Fn(&Push<'_>) -> bool) -> Outcome {
    // The longest budget that may be configured.
    let budget_us = view.budget_us().unwrap_or(150_000_000);
    each(&view.calls, |call| {
        let mut pushes = view.pushes_for(call);
        let (Some(push), Some(held)) = (pushes.next(), call.accepted()) else {
            return Outcome::Silent;
        };
        let accepted = |push: &Push<'_>| push.is_accepted() && is_its(push);
        let waits = accepted(push) && pushes.all(accepted) && call.cancel().is_none();
        // A 100 that one node hands to another may come after the app.
        let since = call.invite().map_or(held.seq, |invite| invite.seq);
        if !waits || view.opened_after(call.callee(), since).is_some() {
            return Outcome::Silent;
        }
        let ended = call.finals().next().filter(|(_, status)| *status >= 300);
        let in_time = ended.is_some_and(|(said, _)| {
            said.t_us.saturating_sub(held.t_us) <= budget_us.saturating_add(1_000_000)
        });
        if in_time {
            return Outcome::Met;
        }
        broken(
            format!("{} outlived its wake budget, for its push was accepted", call.mark),
            push.seq,
        )
    })
}

/// The life that a payload gives a call that no app was given yet ends with the call's wake budget,
/// to a second.
pub(super) fn ttl_within_life(view: &View<'_>) -> Outcome {
    let Some(budget_us) = view.budget_us() else { return Outcome::Silent };
    each(&view.calls, |call| {
        let heard = |said: &&super::view::Said| said.answer_to("INVITE").is_some();
        let Some(first) = call.said.iter().find(heard) else { return Outcome::Silent };
        let given = view.starts(&call.mark).next().map_or(u64::MAX, |start| start.seq);
        each(view.pushes_for(call).filter(|push| push.seq < given), |push| {
            // A push wakes for all that waits by then.
            let theirs = view.calls.iter().filter(|other| other.callee() == call.callee());
            let by_then = theirs.filter_map(|other| other.said.iter().find(heard));
            let by_then = by_then.filter(|said| said.seq < push.seq).max_by_key(|said| said.seq);
            let accepted = by_then.filter(|said| said.seq > first.seq).unwrap_or(first);
            let Some(ttl_s) = push.number("ttl_s") else { return Outcome::Silent };
            let ends_us = push.t_us.saturating_add(ttl_s.saturating_mul(1_000_000));
            let life_us = ends_us.saturating_sub(accepted.t_us);
            if life_us <= budget_us.saturating_add(1_000_000) {
                return Outcome::Met;
            }
            let asked = call.invite().map_or(accepted.seq, |invite| invite.seq);
            if view.is_struck_between(asked, push.seq) {
                // It may have been on its way for as long as the fault lasted.
                return Outcome::Silent;
            }
            broken(format!("a push for {} lives {ttl_s} s, longer than it", call.mark), push.seq)
        })
    })
}
