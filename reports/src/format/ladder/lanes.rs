use std::collections::{BTreeMap, BTreeSet};

use reveille_trace::{Event, Kind};

/// What an actor is, told from what it does. The order is that of the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Caller,
    Registrar,
    Gateway,
    Push,
    Phone,
}

/// The lanes from left to right, and who stands in which.
pub(super) struct Lanes {
    /// The names over the lanes.
    pub(super) titles: Vec<String>,
    places: BTreeMap<String, (Role, usize)>,
    shared: BTreeSet<usize>,
}

impl Lanes {
    /// One lane per actor. If there are more than `most`, callers share one lane, then phones, then
    /// the rest role by role.
    pub(super) fn of(events: &[Event], most: usize) -> Self {
        let mut roles: BTreeMap<&str, Role> = BTreeMap::new();
        for event in events {
            if let Some(role) = role(event) {
                let known = roles.entry(event.actor.as_str()).or_insert(role);
                *known = stronger(*known, role);
            }
        }
        if !roles.is_empty() && !roles.values().any(|role| *role == Role::Gateway) {
            // A black box writes no events; what the cast says to it still ends somewhere.
            roles.insert("gateway", Role::Gateway);
        }
        let mut order: Vec<(Role, &str)> = roles.into_iter().map(|(name, r)| (r, name)).collect();
        order.sort_unstable();
        let mut together = Vec::new();
        for role in [Role::Caller, Role::Phone, Role::Gateway, Role::Registrar, Role::Push] {
            if lane_count(&order, &together) > most {
                together.push(role);
            }
        }
        Self::placed(&order, &together)
    }

    fn placed(order: &[(Role, &str)], together: &[Role]) -> Self {
        let mut lanes =
            Self { titles: Vec::new(), places: BTreeMap::new(), shared: BTreeSet::new() };
        let mut last = None;
        for (role, name) in order {
            let joins = together.contains(role) && last == Some(*role);
            if joins {
                lanes.shared.insert(lanes.titles.len() - 1);
            } else {
                lanes.titles.push((*name).to_owned());
            }
            last = Some(*role);
            lanes.places.insert((*name).to_owned(), (*role, lanes.titles.len() - 1));
        }
        for lane in lanes.shared.clone() {
            let others = lanes.places.values().filter(|(_, place)| *place == lane).count() - 1;
            lanes.titles[lane].push_str(&format!(" +{others}"));
        }
        lanes
    }

    /// The lane of `actor`.
    pub(super) fn lane(&self, actor: &str) -> Option<usize> {
        self.places.get(actor).map(|(_, lane)| *lane)
    }

    /// What `actor` is.
    pub(super) fn role(&self, actor: &str) -> Option<Role> {
        self.places.get(actor).map(|(role, _)| *role)
    }

    /// The first actor of this role.
    pub(super) fn first(&self, role: Role) -> Option<&str> {
        self.all(role).next()
    }

    /// The one actor of this role, if there is exactly one.
    pub(super) fn only(&self, role: Role) -> Option<&str> {
        let mut all = self.all(role);
        all.next().filter(|_| all.next().is_none())
    }

    fn all(&self, role: Role) -> impl Iterator<Item = &str> {
        self.places.iter().filter(move |(_, (r, _))| *r == role).map(|(name, _)| name.as_str())
    }

    /// True if several actors stand in the lane, so that a label must name its own.
    pub(super) fn is_shared(&self, lane: usize) -> bool {
        self.shared.contains(&lane)
    }
}

fn lane_count(order: &[(Role, &str)], together: &[Role]) -> usize {
    let apart = order.iter().filter(|(role, _)| !together.contains(role)).count();
    let joined = together.iter().filter(|r| order.iter().any(|(role, _)| role == *r)).count();
    apart + joined
}

/// A gateway answers WebSockets and SIP alike, so what only a gateway does outweighs the rest, and
/// what only an app does outweighs SIP.
fn stronger(a: Role, b: Role) -> Role {
    let weight = |role| match role {
        Role::Caller => 0,
        Role::Phone => 1,
        Role::Registrar | Role::Push => 2,
        Role::Gateway => 3,
    };
    if weight(b) > weight(a) { b } else { a }
}

fn role(event: &Event) -> Option<Role> {
    match event.actor.as_str() {
        "gateway" => return Some(Role::Gateway),
        "registrar" => return Some(Role::Registrar),
        "push" => return Some(Role::Push),
        _ => {}
    }
    match event.kind {
        Kind::Hop
        | Kind::StoreAsked
        | Kind::Stored
        | Kind::StoreFailed
        | Kind::TimerFired
        | Kind::SessionState
        | Kind::PushSent
        | Kind::PushOutcome => Some(Role::Gateway),
        Kind::PushReceived | Kind::PushAnswered | Kind::PushDropped | Kind::PushBearer => {
            Some(Role::Push)
        }
        Kind::PushArrived
        | Kind::PushHeld
        | Kind::OsState
        | Kind::AppState
        | Kind::AppAlerted
        | Kind::AppCallEnded
        | Kind::RtcSent
        | Kind::RtcReceived
        | Kind::WsOpened
        | Kind::WsClosed
        | Kind::WsRefused => Some(Role::Phone),
        Kind::SipSent | Kind::SipReceived | Kind::SipBroken => Some(Role::Caller),
        Kind::Scenario
        | Kind::Target
        | Kind::FaultPlanned
        | Kind::FaultStruck
        | Kind::Stall
        | Kind::Step
        | Kind::Note
        | Kind::HostStarted
        | Kind::HostCrashed => None,
    }
}
