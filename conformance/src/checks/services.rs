//! What the checks of single push services share: which rule of a service's documents is part of
//! which requirement.

use reveille_trace::Kind;

use super::pushed::Push;
use super::view::View;
use super::{Outcome, broken, each};

const APNS: &[(&str, &str)] = &[
    ("method", "push.apns.http2-long-lived-connections"),
    ("path", "push.apns.http2-long-lived-connections"),
    ("device-token-present", "push.apns.http2-long-lived-connections"),
    ("headers-once", "push.apns.http2-long-lived-connections"),
    ("one-key-a-connection", "push.apns.http2-long-lived-connections"),
    ("device-token", "push.apns.http2-long-lived-connections"),
    ("provider-token-present", "push.apns.jwt-reused-20-to-60-minutes"),
    ("provider-token-signed", "push.apns.jwt-reused-20-to-60-minutes"),
    ("provider-token-issued", "push.apns.jwt-reused-20-to-60-minutes"),
    ("provider-token-fresh", "push.apns.jwt-reused-20-to-60-minutes"),
    ("provider-token-kept", "push.apns.jwt-reused-20-to-60-minutes"),
    ("topic-present", "push.apns.topic-suffix-voip"),
    ("topic-allowed", "push.apns.topic-suffix-voip"),
    ("topic-fits-push-type", "push.apns.topic-suffix-voip"),
    ("push-type", "push.apns.push-type-matches-payload"),
    ("payload-present", "push.apns.push-type-matches-payload"),
    ("payload-object", "push.apns.push-type-matches-payload"),
    ("payload-fits-push-type", "push.apns.push-type-matches-payload"),
    ("priority", "push.apns.priority-five-for-background"),
    ("expiration", "push.apns.expiration-is-call-end"),
    ("collapse-id", "push.apns.collapse-id-64-bytes"),
    ("message-id", "push.apns.apns-id-kept"),
    ("payload-size", "push.apns.payload-limit-no-retry"),
];

const FCM: &[(&str, &str)] = &[
    ("method-and-path", "push.fcm.oauth-token-refreshed"),
    ("bearer", "push.fcm.oauth-token-refreshed"),
    ("one-target", "push.fcm.oauth-token-refreshed"),
    ("token-well-formed", "push.fcm.oauth-token-refreshed"),
    ("content-type", "push.fcm.calls-data-only-high"),
    ("json", "push.fcm.calls-data-only-high"),
    ("message-present", "push.fcm.calls-data-only-high"),
    ("known-fields", "push.fcm.calls-data-only-high"),
    ("priority", "push.fcm.calls-data-only-high"),
    ("data-strings", "push.fcm.data-strings-and-limit"),
    ("data-keys", "push.fcm.data-strings-and-limit"),
    ("size", "push.fcm.data-strings-and-limit"),
    ("ttl", "push.fcm.ttl-within-hold"),
    ("token-of-this-sender", "push.fcm.sender-mismatch-removes-and-alarms"),
];

const OAUTH: &[(&str, &str)] = &[
    ("method", "push.fcm.oauth-token-refreshed"),
    ("form", "push.fcm.oauth-token-refreshed"),
    ("grant-type", "push.fcm.oauth-token-refreshed"),
    ("assertion-present", "push.fcm.oauth-token-refreshed"),
    ("issuer", "push.fcm.oauth-token-refreshed"),
    ("signature", "push.fcm.oauth-token-refreshed"),
    ("audience", "push.fcm.oauth-token-refreshed"),
    ("issued", "push.fcm.oauth-token-refreshed"),
    ("expires", "push.fcm.oauth-token-refreshed"),
    ("scope", "push.fcm.oauth-token-refreshed"),
];

const WEBPUSH: &[(&str, &str)] = &[
    ("method", "push.webpush.ttl-header-present"),
    ("subscription", "push.webpush.ttl-header-present"),
    ("ttl", "push.webpush.ttl-header-present"),
    ("urgency", "push.webpush.urgency-high-for-calls"),
    ("topic", "push.webpush.topic-unique-per-call"),
    ("body-size", "push.webpush.body-within-4096"),
    ("content-encoding", "push.webpush.session-payload-encrypted"),
    ("record", "push.webpush.session-payload-encrypted"),
    ("decrypts", "push.webpush.session-payload-encrypted"),
    ("vapid-key-for-nothing-else", "push.webpush.fresh-salt-and-key"),
    ("fresh-salt-and-key", "push.webpush.fresh-salt-and-key"),
    ("vapid-present", "push.webpush.vapid-claims"),
    ("vapid-well-formed", "push.webpush.vapid-claims"),
    ("vapid-signed", "push.webpush.vapid-claims"),
    ("vapid-audience", "push.webpush.vapid-claims"),
    ("vapid-expires", "push.webpush.vapid-claims"),
    ("vapid-contact", "push.webpush.vapid-claims"),
    ("vapid-key-of-subscription", "push.webpush.restricted-key-rotation"),
];

/// Rules of each service by the name in traces, and the requirement that each is part of.
pub(super) const RULES: &[(&str, &[(&str, &str)])] =
    &[("apns", APNS), ("fcm", FCM), ("oauth", OAUTH), ("webpush", WEBPUSH)];

/// The requirement that a rule is part of.
fn requirement_of(service: &str, rule: &str) -> Option<&'static str> {
    let (_, rules) = RULES.iter().find(|(of, _)| *of == service)?;
    Some(rules.iter().find(|(name, _)| *name == rule)?.1)
}

/// Pushes to a service.
pub(super) fn to<'v>(
    view: &'v View<'_>,
    service: &'v str,
) -> impl Iterator<Item = &'v Push<'v>> + Clone {
    view.pushes.iter().filter(move |push| push.service == service)
}

/// No push to this service breaks a rule that is part of the requirement. Rules are held one after
/// another, so a push that breaks another one shows nothing.
pub(super) fn rules(view: &View<'_>, service: &str, requirement: &str) -> Outcome {
    each(to(view, service), |push| match push.rule {
        Some(rule) if requirement_of(service, rule) == Some(requirement) => {
            broken(format!("a push to {service} breaks its rule {rule}"), push.seq)
        }
        Some(_) => Outcome::Silent,
        None => Outcome::Met,
    })
}

/// Every request for a bearer keeps the token endpoint's rules.
pub(super) fn bearers(view: &View<'_>) -> Outcome {
    let asked = view.events.iter().filter(|event| event.kind == Kind::PushBearer);
    each(asked, |event| match event.text("rule") {
        Some(rule) => broken(format!("a request for a bearer breaks the rule {rule}"), event.seq),
        None => Outcome::Met,
    })
}

/// What both decide: the first that is broken, or else whether one of them was met.
pub(super) fn both(one: Outcome, other: impl FnOnce() -> Outcome) -> Outcome {
    match one {
        Outcome::Broken { .. } => one,
        Outcome::Met => match other() {
            Outcome::Silent => Outcome::Met,
            decided => decided,
        },
        Outcome::Silent => other(),
    }
}

/// Pushes to a service that it answered with one of these reasons; none of them: a push that breaks
/// a rule, which is another requirement's.
pub(super) fn answered<'v>(
    view: &'v View<'_>,
    service: &'v str,
    reasons: &'v [&str],
) -> impl Iterator<Item = &'v Push<'v>> + Clone {
    to(view, service).filter(move |push| {
        push.rule.is_none() && push.reason.is_some_and(|reason| reasons.contains(&reason))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cast::push;
    use crate::requirement;

    #[test]
    fn every_rule_that_is_held_is_part_of_a_requirement() {
        let flat = RULES.iter().flat_map(|(of, rules)| rules.iter().map(|(rule, _)| (*of, *rule)));
        let listed: Vec<_> = flat.collect();
        let held: BTreeSet<_> = push::rules().into_iter().collect();
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), held);
        assert_eq!(listed.len(), held.len(), "a rule stands twice");
        for (service, rules) in RULES {
            let area = if *service == "oauth" { "fcm" } else { service };
            for (rule, id) in *rules {
                assert!(requirement::find(id).is_some(), "{rule}: {id}");
                assert!(id.starts_with(&format!("push.{area}.")), "{rule}: {id}");
            }
        }
    }
}
