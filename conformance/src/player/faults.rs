//! What befalls hosts, links and clocks, in the stage's terms.

use std::collections::BTreeMap;

use reveille_scenarios::{Place, Scenario, Verb as Said};

use crate::stage::{Fault, Site};

/// The fault that this verb is, if it is one.
pub(super) fn of(verb: &Said) -> Option<Fault> {
    Some(match verb {
        Said::Crash { host, down } => Fault::Crash { host: host.clone(), down: *down },
        Said::PowerLoss { host, down } => Fault::PowerLoss { host: host.clone(), down: *down },
        Said::Restart { host, down } => Fault::Restart { host: host.clone(), down: *down },
        Said::Partition { a, b, lasts } => {
            Fault::Partition { a: a.clone(), b: b.clone(), lasts: *lasts }
        }
        Said::Cut { from, to, lasts } => {
            Fault::Cut { from: from.clone(), to: to.clone(), lasts: *lasts }
        }
        Said::Storm { a, b, weather, lasts } => {
            Fault::Storm { a: a.clone(), b: b.clone(), weather: *weather, lasts: *lasts }
        }
        Said::Outage { host, lasts } => Fault::Outage { host: host.clone(), lasts: *lasts },
        Said::Move { who } => Fault::Move { host: who.clone() },
        Said::Rebind { who } => Fault::Rebind { host: who.clone() },
        Said::Clock { host, by_ms } => Fault::ClockStep { host: host.clone(), by_ms: *by_ms },
        _ => return None,
    })
}

/// Where the hosts stand that do not stand as usual.
pub(super) fn sites(scenario: &Scenario) -> BTreeMap<String, Site> {
    let of = |place: &Place| Site { ahead_ms: place.ahead_ms, nat: place.nat };
    scenario.places.iter().map(|(name, place)| (name.clone(), of(place))).collect()
}
