//! What Google's push service saw and answered, and what came of it.

use reveille_trace::Kind;

use super::reactions::{
    again, at_once, call, ends_at_once, is_kept, is_removed, lives_as_long_as_the_call,
    never_again, waits,
};
use super::services::{answered, bearers, both, rules, to};
use super::view::View;
use super::{Outcome, broken, each};

const FCM: &str = "fcm";
/// Google wants so long before a retry after its own faults, and after a quota that names no time.
const SERVER_WAIT_S: u64 = 10;
const QUOTA_WAIT_S: u64 = 60;
/// What one device takes in a minute.
const A_MINUTE: usize = 240;

/// Bearers are asked for as the token endpoint wants it, and every push shows one that holds.
pub(super) fn bearer(view: &View<'_>) -> Outcome {
    both(rules(view, FCM, "push.fcm.oauth-token-refreshed"), || bearers(view))
}

/// A call is a message of data only, of high priority.
pub(super) fn data_only(view: &View<'_>) -> Outcome {
    both(rules(view, FCM, "push.fcm.calls-data-only-high"), || {
        each(to(view, FCM), |push| {
            let message = &push.body["message"];
            let shown =
                !message["notification"].is_null() || !message["android"]["notification"].is_null();
            let high = push.shows("priority").is_some_and(|said| said.eq_ignore_ascii_case("high"));
            match call(view, push) {
                None => Outcome::Silent,
                Some(_) if shown => broken("a call is pushed as a notification", push.seq),
                Some(_) if !high => broken("a call is pushed without high priority", push.seq),
                Some(_) => Outcome::Met,
            }
        })
    })
}

pub(super) fn ttl(view: &View<'_>) -> Outcome {
    both(rules(view, FCM, "push.fcm.ttl-within-hold"), || {
        each(to(view, FCM), |push| lives_as_long_as_the_call(view, push))
    })
}

pub(super) fn data(view: &View<'_>) -> Outcome {
    rules(view, FCM, "push.fcm.data-strings-and-limit")
}

pub(super) fn unregistered(view: &View<'_>) -> Outcome {
    each(answered(view, FCM, &["UNREGISTERED"]), |push| is_removed(view, push))
}

/// A token of another sender is given up; a credential without rights costs no token.
pub(super) fn sender_mismatch(view: &View<'_>) -> Outcome {
    let foreign = each(answered(view, FCM, &["SENDER_ID_MISMATCH"]), |push| is_removed(view, push));
    let kept = || {
        each(answered(view, FCM, &["PERMISSION_DENIED"]), |push| {
            both(never_again(view, push), || is_kept(view, push))
        })
    };
    both(both(rules_of_sender(view), || foreign), kept)
}

/// A rule that is broken counts; one that is kept shows nothing of a mismatch.
fn rules_of_sender(view: &View<'_>) -> Outcome {
    match rules(view, FCM, "push.fcm.sender-mismatch-removes-and-alarms") {
        Outcome::Met => Outcome::Silent,
        decided => decided,
    }
}

/// Neither form is sent again; only the one that blames the token costs the token.
pub(super) fn invalid_argument(view: &View<'_>) -> Outcome {
    let blamed = each(answered(view, FCM, &["INVALID_REGISTRATION"]), |push| {
        both(never_again(view, push), || is_removed(view, push))
    });
    both(blamed, || {
        each(answered(view, FCM, &["INVALID_ARGUMENT"]), |push| {
            both(never_again(view, push), || is_kept(view, push))
        })
    })
}

pub(super) fn quota(view: &View<'_>) -> Outcome {
    each(answered(view, FCM, &["QUOTA_EXCEEDED"]), |push| {
        waits(view, push, push.told_s("retry_after_s").unwrap_or(QUOTA_WAIT_S))
    })
}

/// After a fault of Google's, the next attempt comes when it said, or after ten seconds, and never
/// after the call.
pub(super) fn server_error(view: &View<'_>) -> Outcome {
    let reasons = ["UNAVAILABLE", "INTERNAL", "BAD_GATEWAY"];
    each(answered(view, FCM, &reasons), |push| {
        both(waits(view, push, push.told_s("retry_after_s").unwrap_or(SERVER_WAIT_S)), || {
            let end = call(view, push).and_then(|call| call.finals().next());
            let late = |next: &&super::Push<'_>| end.is_some_and(|(said, _)| said.seq < next.seq);
            again(view, push).filter(late).map_or(Outcome::Met, |next| {
                broken("a push was sent again for a call that was over", next.seq)
            })
        })
    })
}

/// A stale bearer is replaced once, and the push is sent again; a bad credential of the project's own
/// is neither.
pub(super) fn unauthorized(view: &View<'_>) -> Outcome {
    const STALE: &[&str] = &["UNAUTHENTICATED"];
    let stale = each(answered(view, FCM, STALE), |push| {
        let mut before = answered(view, FCM, STALE).filter(|before| before.seq < push.seq);
        if before.any(|before| again(view, before).is_some_and(|next| next.seq == push.seq)) {
            return never_again(view, push);
        }
        both(at_once(view, push), || {
            let until = again(view, push).map_or(u64::MAX, |next| next.seq);
            let renewed = view.events.iter().any(|event| {
                event.kind == Kind::PushBearer && (push.seq..until).contains(&event.seq)
            });
            if renewed || view.is_disturbed() {
                return Outcome::Met;
            }
            broken("a bearer that was refused was shown again", push.seq)
        })
    });
    both(stale, || {
        each(answered(view, FCM, &["THIRD_PARTY_AUTH_ERROR"]), |push| ends_at_once(view, push))
    })
}

pub(super) fn rate(view: &View<'_>) -> Outcome {
    const MINUTE_US: u64 = 60_000_000;
    each(to(view, FCM), |push| {
        let from_us = push.t_us.saturating_sub(MINUTE_US);
        let of_device = to(view, FCM).filter(|before| {
            before.token == push.token && before.seq <= push.seq && before.t_us > from_us
        });
        match of_device.count() {
            0..=A_MINUTE => Outcome::Met,
            more => broken(format!("{more} pushes to one device in a minute"), push.seq),
        }
    })
}
