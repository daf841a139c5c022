//! What a push service does to a push, in the words of each.

use std::time::Duration;

use reveille_scenarios::{Break, Feature, PushFate, Service};

use super::lot::Lot;

/// A fate of this kind at this service.
pub(super) fn fate(kind: Feature, service: Service, lot: &mut Lot) -> PushFate {
    match kind {
        Feature::PushBusy => busy(service, lot),
        Feature::PushRefused => refused(service, lot),
        Feature::PushHangs => PushFate::RequestDropped,
        Feature::PushTwice => PushFate::Duplicated,
        Feature::PushLate => PushFate::Delayed(Duration::from_millis(lot.number(200, 6_000))),
        Feature::PushBroken => PushFate::Broken(broken(service, lot)),
        _ => PushFate::DeliveryDropped,
    }
}

fn reason(names: &[&'static str], retry_after: Option<Duration>, lot: &mut Lot) -> PushFate {
    let reason = lot.one(names).unwrap_or_default();
    PushFate::Answered { reason, retry_after, age: Duration::ZERO }
}

fn busy(service: Service, lot: &mut Lot) -> PushFate {
    let asked = lot.is(1, 2).then(|| Duration::from_secs(lot.number(1, 3)));
    match service {
        Service::Apns => {
            reason(&["ServiceUnavailable", "InternalServerError", "TooManyRequests"], asked, lot)
        }
        Service::Fcm => reason(&["UNAVAILABLE", "INTERNAL", "QUOTA_EXCEEDED"], asked, lot),
        _ => {
            let status = lot.one(&[429, 500, 503]).unwrap_or(503);
            PushFate::Refused { status, retry_after: asked }
        }
    }
}

fn refused(service: Service, lot: &mut Lot) -> PushFate {
    match service {
        Service::Apns => reason(&["Unregistered", "ExpiredToken", "BadDeviceToken"], None, lot),
        Service::Fcm => reason(&["UNREGISTERED", "SENDER_ID_MISMATCH"], None, lot),
        _ => {
            let status = lot.one(&[404, 410]).unwrap_or(410);
            PushFate::Refused { status, retry_after: None }
        }
    }
}

fn broken(service: Service, lot: &mut Lot) -> Break {
    let all = [Break::Page, Break::Endless, Break::GoAway, Break::RefusedStream];
    // A stream and its GOAWAY are HTTP/2's, which the services of phones speak.
    let known = if service == Service::Webhook { &all[..2] } else { &all[..] };
    lot.one(known).unwrap_or(Break::Page)
}
