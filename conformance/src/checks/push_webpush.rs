//! What a browser's push service saw and answered, and what came of it.

use std::collections::BTreeMap;

use super::pushed::Push;
use super::reactions::{call, is_removed, lives_as_long_as_the_call, never_again, waits};
use super::services::{both, rules, to};
use super::view::View;
use super::{Outcome, broken, each, push_common};

const WEBPUSH: &str = "webpush";

/// Pushes that were answered with one of these statuses, and broke no rule.
fn answered<'v>(view: &'v View<'_>, statuses: &'v [u16]) -> impl Iterator<Item = &'v Push<'v>> {
    to(view, WEBPUSH).filter(move |push| {
        push.rule.is_none() && push.status.is_some_and(|status| statuses.contains(&status))
    })
}

/// Every push says how long it lives, and none longer than its call.
pub(super) fn ttl(view: &View<'_>) -> Outcome {
    both(rules(view, WEBPUSH, "push.webpush.ttl-header-present"), || {
        each(to(view, WEBPUSH), |push| lives_as_long_as_the_call(view, push))
    })
}

pub(super) fn urgency(view: &View<'_>) -> Outcome {
    both(rules(view, WEBPUSH, "push.webpush.urgency-high-for-calls"), || {
        each(to(view, WEBPUSH), |push| match (call(view, push), push.shows("urgency")) {
            (None, _) => Outcome::Silent,
            (Some(_), Some("high")) => Outcome::Met,
            (Some(_), said) => {
                broken(format!("a call is pushed with the urgency {said:?}"), push.seq)
            }
        })
    })
}

/// No two calls share a topic: the later one would take the earlier one's place.
pub(super) fn topic(view: &View<'_>) -> Outcome {
    let mut calls: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut shared = None;
    // Messages may well take each other's place.
    for push in to(view, WEBPUSH).filter(|push| push.says("event") == "call") {
        let Some(topic) = push.shows("topic") else { continue };
        let first = *calls.entry((&push.token, topic)).or_insert(push.says("call_id"));
        if first != push.says("call_id") {
            shared.get_or_insert(push.seq);
        }
    }
    both(rules(view, WEBPUSH, "push.webpush.topic-unique-per-call"), || {
        shared.map_or(Outcome::Silent, |at| broken("two calls share a topic", at))
    })
}

/// A push that was accepted and never arrived: the call ends at its wake budget.
pub(super) fn created(view: &View<'_>) -> Outcome {
    push_common::accepted_ends(view, |push| push.service == WEBPUSH)
}

pub(super) fn gone(view: &View<'_>) -> Outcome {
    each(answered(view, &[404, 410]), |push| is_removed(view, push))
}

pub(super) fn body_size(view: &View<'_>) -> Outcome {
    both(rules(view, WEBPUSH, "push.webpush.body-within-4096"), || {
        each(answered(view, &[413]), |push| never_again(view, push))
    })
}

pub(super) fn busy(view: &View<'_>) -> Outcome {
    each(answered(view, &[429]), |push| match push.told_s("retry_after_s") {
        Some(seconds) => waits(view, push, seconds),
        None => Outcome::Silent,
    })
}

pub(super) fn encrypted(view: &View<'_>) -> Outcome {
    rules(view, WEBPUSH, "push.webpush.session-payload-encrypted")
}

pub(super) fn fresh(view: &View<'_>) -> Outcome {
    rules(view, WEBPUSH, "push.webpush.fresh-salt-and-key")
}

pub(super) fn vapid(view: &View<'_>) -> Outcome {
    rules(view, WEBPUSH, "push.webpush.vapid-claims")
}

pub(super) fn restricted(view: &View<'_>) -> Outcome {
    rules(view, WEBPUSH, "push.webpush.restricted-key-rotation")
}
