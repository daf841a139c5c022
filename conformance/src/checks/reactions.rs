//! What must follow an answer of a push service.

use super::pushed::Push;
use super::services::both;
use super::view::{Call, Framed, View};
use super::{Outcome, broken, each, jsonrtc_session, push_common};

/// How soon something follows at once.
const AT_ONCE_US: u64 = 1_000_000;

/// The call that a push names.
pub(super) fn call<'v>(view: &'v View<'_>, push: &Push<'_>) -> Option<&'v Call> {
    view.calls.iter().find(|call| !call.id().is_empty() && call.id() == push.says("call_id"))
}

/// The next push for the same call to the same device.
pub(super) fn again<'v>(view: &'v View<'_>, push: &Push<'_>) -> Option<&'v Push<'v>> {
    view.pushes.iter().find(|next| {
        (next.seq > push.seq && next.token == push.token)
            && next.says("call_id") == push.says("call_id")
    })
}

/// What was answered so is never sent again for the same call.
pub(super) fn never_again(view: &View<'_>, push: &Push<'_>) -> Outcome {
    let reason = push.reason.unwrap_or("a refusal");
    again(view, push).map_or(Outcome::Met, |again| {
        broken(format!("after {reason} the push was sent again"), again.seq)
    })
}

/// What was answered so is sent again at once, unless the call is over.
pub(super) fn at_once(view: &View<'_>, push: &Push<'_>) -> Outcome {
    let asked = push.answered_us().unwrap_or(push.t_us);
    let soon = |next: &Push<'_>| next.t_us.saturating_sub(asked) <= AT_ONCE_US;
    let over = call(view, push).is_some_and(|call| call.cancel().is_some());
    if again(view, push).is_some_and(soon) {
        return Outcome::Met;
    }
    if over || view.is_disturbed() {
        return Outcome::Silent;
    }
    let reason = push.reason.unwrap_or("a failure");
    broken(format!("after {reason} the push was not sent again at once"), push.seq)
}

/// The device is left alone for so long, at least.
pub(super) fn waits(view: &View<'_>, push: &Push<'_>, least_s: u64) -> Outcome {
    let asked_us = push.answered_us().unwrap_or(push.t_us);
    match again(view, push) {
        Some(next) if next.t_us.saturating_sub(asked_us) < least_s.saturating_mul(1_000_000) => {
            let ms = next.t_us.saturating_sub(asked_us) / 1_000;
            broken(format!("told to wait {least_s} s, it asked again after {ms} ms"), next.seq)
        }
        _ => Outcome::Met,
    }
}

/// Its caller hears the end at once, and nothing is sent again for this call.
pub(super) fn ends_at_once(view: &View<'_>, push: &Push<'_>) -> Outcome {
    let Some(call) = call(view, push) else { return never_again(view, push) };
    both(never_again(view, push), || {
        let told_us = push.answered_us().unwrap_or(push.t_us);
        let end = call.finals().next().map(|(said, _)| said.t_us);
        let soon = |event: &reveille_trace::Event| event.t_us <= told_us + AT_ONCE_US;
        let came = view.opened_after(call.callee(), push.seq).is_some_and(soon);
        let in_time = end.is_some_and(|end| end.saturating_sub(told_us) <= AT_ONCE_US);
        if in_time {
            return Outcome::Met;
        }
        if came || view.is_disturbed() {
            return Outcome::Silent;
        }
        broken(format!("{} was held on although no push can be sent", call.mark), push.seq)
    })
}

/// When the app gave the token last before event `seq`, and the first time that it gave it after.
pub(super) fn given(view: &View<'_>, token: &str, seq: u64) -> (Option<u64>, Option<u64>) {
    let gave = |f: &&Framed| {
        f.sent && f.is("connect", "request") && jsonrtc_session::token(f) == Some(token)
    };
    let mut all = view.frames.iter().filter(gave);
    let before = all.clone().rfind(|frame| frame.seq < seq).map(|frame| frame.t_us);
    (before, all.find(|frame| frame.seq > seq).map(|frame| frame.seq))
}

/// True if an answer says that the token wakes nobody: then it is no use to hold a call.
fn is_deadly(push: &Push<'_>) -> bool {
    let dead = ["Unregistered", "ExpiredToken", "UNREGISTERED", "SENDER_ID_MISMATCH"];
    let blamed = |reason| dead.contains(&reason) || reason == "INVALID_REGISTRATION";
    match push.service {
        "apns" | "fcm" => push.reason.is_some_and(blamed),
        "webpush" => matches!(push.status, Some(404 | 410)),
        _ => push_common::is_refused(push),
    }
}

/// True if the token of this user's sleeping app was called dead before event `seq`, and the app has
/// not given one since.
pub(super) fn is_out_of_reach(view: &View<'_>, callee: &str, seq: u64) -> bool {
    let its = |push: &&Push<'_>| call(view, push).is_some_and(|call| call.callee() == callee);
    let last = view
        .pushes
        .iter()
        .filter(its)
        .rfind(|push| push.answered_seq().is_some_and(|answered| answered < seq));
    last.is_some_and(|push| {
        let at = push.answered_seq().unwrap_or(push.seq);
        is_deadly(push) && given(view, &push.token, at).1.is_none_or(|given| given > seq)
    })
}

/// The token is not used any more until the app gives it again.
pub(super) fn is_removed(view: &View<'_>, push: &Push<'_>) -> Outcome {
    let at = push.answered_seq().unwrap_or(push.seq);
    let (_, given) = given(view, &push.token, at);
    let used = view.pushes.iter().find(|next| {
        next.seq > at && next.token == push.token && given.is_none_or(|given| next.seq < given)
    });
    let reason = push.reason.unwrap_or("a refusal");
    used.map_or(Outcome::Met, |next| {
        broken(format!("after {reason} the token was pushed to again"), next.seq)
    })
}

/// The token is kept: a later call for its sleeping user is pushed for.
pub(super) fn is_kept(view: &View<'_>, push: &Push<'_>) -> Outcome {
    let at = push.answered_seq().unwrap_or(push.seq);
    let Some(callee) = call(view, push).map(Call::callee) else { return Outcome::Silent };
    let later = view.calls.iter().filter(|later| {
        later.callee() == callee
            && later
                .invite()
                .is_some_and(|invite| invite.seq > at && view.sleeps_at(callee, invite.seq))
    });
    each(later, |later| match view.pushes_for(later).next() {
        Some(_) => Outcome::Met,
        None if later.cancel().is_some() || view.is_disturbed() => Outcome::Silent,
        None => {
            let reason = push.reason.unwrap_or("a refusal");
            let at = later.invite().map_or(push.seq, |invite| invite.seq);
            broken(format!("after {reason} the token was given up: {} found none", later.mark), at)
        }
    })
}

/// A push that no app answered yet may wait at its service until its call's wake budget ends, to a
/// second, and says so.
pub(super) fn lives_as_long_as_the_call(view: &View<'_>, push: &Push<'_>) -> Outcome {
    let Some(budget_us) = view.budget_us() else { return Outcome::Silent };
    let Some(call) = call(view, push) else { return Outcome::Silent };
    let heard = |said: &&super::view::Said| said.answer_to("INVITE").is_some();
    // A push wakes for all that waits by then.
    let by_then = view.calls.iter().filter(|other| {
        other.callee() == call.callee() && other.invite().is_some_and(|asked| asked.seq < push.seq)
    });
    let accepted = by_then.filter_map(|other| other.said.iter().find(heard));
    let Some(accepted) = accepted.max_by_key(|said| said.seq) else { return Outcome::Silent };
    let given = view.starts(&call.mark).next().map_or(u64::MAX, |start| start.seq);
    let late = view.is_struck_between(accepted.seq, push.seq) || view.is_cut_before(push.t_us);
    if push.seq > given || late {
        return Outcome::Silent;
    }
    let Some(life_ms) = push.life_ms() else {
        return broken(
            format!("a push for {} does not say how long it lives", call.mark),
            push.seq,
        );
    };
    let ends_us = push.t_us.saturating_add(life_ms.saturating_mul(1_000));
    if ends_us.saturating_sub(accepted.t_us) <= budget_us.saturating_add(1_000_000) {
        return Outcome::Met;
    }
    broken(format!("a push for {} lives {life_ms} ms, longer than it", call.mark), push.seq)
}
