//! What Apple's push service saw and answered, and what came of it.

use reveille_trace::Kind;

use super::pushed::Push;
use super::reactions::{
    again, at_once, call, ends_at_once, given, is_kept, is_removed, lives_as_long_as_the_call,
    never_again, waits,
};
use super::services::{answered, both, rules, to};
use super::view::{Call, Said, View};
use super::{Outcome, broken, each};

const APNS: &str = "apns";
/// Answers after which another connection is due.
const CLOSING: [&str; 3] = ["Shutdown", "IdleTimeout", "UnrelatedKeyIdInToken"];
/// Faults of the sender: no request like this one can succeed.
const CONFIGURATION: &[&str] = &[
    "BadCollapseId",
    "BadExpirationDate",
    "BadMessageId",
    "BadPriority",
    "BadTopic",
    "DuplicateHeaders",
    "InvalidPushType",
    "MissingDeviceToken",
    "MissingTopic",
    "PayloadEmpty",
    "TopicDisallowed",
    "BadCertificate",
    "BadCertificateEnvironment",
    "Forbidden",
    "InvalidProviderToken",
    "MissingProviderToken",
    "BadEnvironmentKeyIdInToken",
    "BadPath",
    "MethodNotAllowed",
];

/// How long a push may be on its way to its service.
const ON_ITS_WAY_US: u64 = 1_000_000;

/// Requests are well addressed, and one connection carries many of one type: what rings need not wait
/// behind what does not.
pub(super) fn connections(view: &View<'_>) -> Outcome {
    both(rules(view, APNS, "push.apns.http2-long-lived-connections"), || {
        each(to(view, APNS), |next| {
            let alike = |one: &&Push<'_>| {
                one.seq < next.seq && one.shows("push-type") == next.shows("push-type")
            };
            let Some(one) = to(view, APNS).filter(alike).last() else { return Outcome::Silent };
            let closed = one.reason.is_some_and(|reason| CLOSING.contains(&reason));
            let struck = |event: &&reveille_trace::Event| {
                event.kind == Kind::FaultStruck && (one.seq..next.seq).contains(&event.seq)
            };
            // A sender that died while its push was under way comes back by another connection.
            let died = view.is_struck_between(0, next.seq);
            // A body without an end stays in the way of its connection, also for those behind it.
            let ill = to(view, APNS).any(|before| {
                let is_its = before.connection() == one.connection() && before.seq <= one.seq;
                is_its
                    && before.answered_seq().is_some()
                    && before.reason.is_none()
                    && !before.is_accepted()
            });
            let broke =
                ill || one.status.is_none() || view.events.iter().any(|event| struck(&event));
            let kept = to(view, APNS)
                .any(|before| before.seq < one.seq && before.connection() == next.connection());
            let excused = closed || died || broke || kept;
            if one.connection() == next.connection() || excused {
                return Outcome::Met;
            }
            broken("a push came by a connection of its own", next.seq)
        })
    })
}

pub(super) fn push_type(view: &View<'_>) -> Outcome {
    rules(view, APNS, "push.apns.push-type-matches-payload")
}

pub(super) fn topic(view: &View<'_>) -> Outcome {
    rules(view, APNS, "push.apns.topic-suffix-voip")
}

pub(super) fn priority(view: &View<'_>) -> Outcome {
    rules(view, APNS, "push.apns.priority-five-for-background")
}

pub(super) fn expiration(view: &View<'_>) -> Outcome {
    both(rules(view, APNS, "push.apns.expiration-is-call-end"), || {
        each(to(view, APNS), |push| lives_as_long_as_the_call(view, push))
    })
}

pub(super) fn collapse_id(view: &View<'_>) -> Outcome {
    rules(view, APNS, "push.apns.collapse-id-64-bytes")
}

pub(super) fn message_id(view: &View<'_>) -> Outcome {
    both(rules(view, APNS, "push.apns.apns-id-kept"), || {
        each(to(view, APNS), |push| match push.shows("id") {
            Some(_) => Outcome::Met,
            None => broken("a push has no apns-id", push.seq),
        })
    })
}

pub(super) fn payload_limit(view: &View<'_>) -> Outcome {
    both(rules(view, APNS, "push.apns.payload-limit-no-retry"), || {
        each(answered(view, APNS, &["PayloadTooLarge"]), |push| never_again(view, push))
    })
}

pub(super) fn provider_token(view: &View<'_>) -> Outcome {
    rules(view, APNS, "push.apns.jwt-reused-20-to-60-minutes")
}

/// A stale provider token is replaced, and the push is sent again at once; if that is called stale
/// too, no third follows.
pub(super) fn stale_token(view: &View<'_>) -> Outcome {
    const STALE: &[&str] = &["ExpiredProviderToken"];
    each(answered(view, APNS, STALE), |push| {
        let mut before = answered(view, APNS, STALE).filter(|before| before.seq < push.seq);
        let is_second = before.any(|before| again(view, before).is_some_and(|a| a.seq == push.seq));
        if is_second { never_again(view, push) } else { at_once(view, push) }
    })
}

pub(super) fn busy(view: &View<'_>) -> Outcome {
    let reasons = ["TooManyRequests", "TooManyProviderTokenUpdates"];
    each(answered(view, APNS, &reasons), |push| {
        waits(view, push, push.told_s("retry_after_s").unwrap_or(1))
    })
}

/// A dead token is given up, unless the app gave it after it died. It is never sent again.
pub(super) fn dead_token(view: &View<'_>) -> Outcome {
    each(answered(view, APNS, &["Unregistered", "ExpiredToken"]), |push| {
        both(never_again(view, push), || {
            let told_us = push.answered_us().unwrap_or(push.t_us);
            let age_us = push.told_s("age_s").unwrap_or(0).saturating_mul(1_000_000);
            let at = push.answered_seq().unwrap_or(push.seq);
            let (before, _) = given(view, &push.token, at);
            // Older than the play itself: the token cannot have been given before.
            match (before, told_us.checked_sub(age_us)) {
                (Some(_), None) => is_kept(view, push),
                (Some(given_us), Some(died_us)) if given_us > died_us => is_kept(view, push),
                _ => is_removed(view, push),
            }
        })
    })
}

pub(super) fn suspect_token(view: &View<'_>) -> Outcome {
    let reasons = ["BadDeviceToken", "DeviceTokenNotForTopic"];
    each(answered(view, APNS, &reasons), |push| {
        both(never_again(view, push), || is_kept(view, push))
    })
}

/// A push whose stream was refused is sent again at once; after GOAWAY the next one comes by another
/// connection.
pub(super) fn goaway(view: &View<'_>) -> Outcome {
    let struck = view
        .events
        .iter()
        .filter(|event| event.kind == Kind::FaultStruck && event.text("on") == Some("push.apns"));
    each(struck, |event| {
        let before = to(view, APNS).filter(|push| push.seq < event.seq).last();
        let Some(push) = before else { return Outcome::Silent };
        match event.text("fault") {
            Some("refuse-stream") => at_once(view, push),
            Some("goaway") => match to(view, APNS).find(|next| next.seq > event.seq) {
                Some(next) if next.connection() == push.connection() => {
                    broken("a push came by a connection that had ended", next.seq)
                }
                Some(next) if next.status.is_none() && !view.is_disturbed() => {
                    broken("a push after GOAWAY was lost", next.seq)
                }
                Some(_) => Outcome::Met,
                None => Outcome::Silent,
            },
            _ => Outcome::Silent,
        }
    })
}

/// A VoIP push is for a call that rings: one that was placed, and was not over.
pub(super) fn voip_rings(view: &View<'_>) -> Outcome {
    let voip = to(view, APNS).filter(|push| push.shows("push-type") == Some("voip"));
    each(voip, |push| {
        // An app that sleeps in the midst of its own call is woken for what becomes of it.
        if view.called.iter().any(|call| call.id() == push.says("call_id")) {
            return Outcome::Silent;
        }
        // So is one that was lost while somebody wants its call changed.
        let changes = |call: &Call| {
            let asked = |said: &Said| said.asks("INVITE") || said.hears("INVITE");
            call.changes.iter().any(|said| asked(said) && said.seq < push.seq)
        };
        // A cut holds up what is on its way.
        if call(view, push).is_some_and(changes) || view.is_cut_before(push.t_us) {
            return Outcome::Silent;
        }
        let waits = call(view, push).is_some_and(|call| {
            let begun = call.invite().is_some_and(|invite| invite.seq < push.seq);
            // What had left when the call ended is still on its way.
            let over_us = call.finals().next().map_or(u64::MAX, |(said, _)| said.t_us);
            begun && push.t_us.saturating_sub(over_us) <= ON_ITS_WAY_US
        });
        if push.says("event") == "call" && waits {
            return Outcome::Met;
        }
        broken("a VoIP push is for no call that waits", push.seq)
    })
}

/// No call is pushed for in the background, and no device more than three times an hour.
pub(super) fn background(view: &View<'_>) -> Outcome {
    const HOUR_US: u64 = 3_600_000_000;
    let silent = |push: &&Push<'_>| push.shows("push-type") == Some("background");
    each(to(view, APNS), |push| {
        if !silent(&push) {
            return Outcome::Met;
        }
        if call(view, push).is_some() {
            return broken("a call is pushed for in the background", push.seq);
        }
        let from_us = push.t_us.saturating_sub(HOUR_US);
        let before = to(view, APNS).filter(silent).filter(|before| {
            before.token == push.token && before.seq <= push.seq && before.t_us >= from_us
        });
        if before.count() > 3 {
            return broken("a fourth background push within an hour", push.seq);
        }
        Outcome::Met
    })
}

pub(super) fn configuration(view: &View<'_>) -> Outcome {
    each(answered(view, APNS, CONFIGURATION), |push| ends_at_once(view, push))
}
