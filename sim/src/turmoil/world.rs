use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reveille_conformance::stage::{Fault, Faults};

use super::links::Links;

/// What all hosts of one run share.
pub(super) struct World {
    /// Wall time at the start of the run, since 1970.
    pub(super) epoch: Duration,
    /// The shortest time of a message on a link.
    pub(super) shortest: Duration,
    pub(super) links: Links,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The time while no host runs: there is no runtime then that could tell it.
    between: Option<Duration>,
    names: BTreeMap<String, IpAddr>,
    cuts: Vec<Cut>,
    orders: Vec<Fault>,
    troubles: Vec<String>,
}

/// A link that carries nothing for a while, for a partition or an outage.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    pub(super) fault: &'static str,
    pub(super) on: String,
    /// The cuts of one outage have the same number.
    pub(super) order: u64,
    pub(super) a: String,
    pub(super) b: String,
    pub(super) between: (IpAddr, IpAddr),
    pub(super) until: Duration,
    pub(super) bit: bool,
    pub(super) healed: bool,
    pub(super) told: bool,
}

impl Cut {
    /// True if it is the link between these two.
    pub(super) fn is_of(&self, one: IpAddr, other: IpAddr) -> bool {
        self.between == (one, other) || self.between == (other, one)
    }
}

impl World {
    pub(super) fn new(epoch: Duration, shortest: Duration, links: Links) -> Self {
        let state = State { between: Some(Duration::ZERO), ..State::default() };
        Self { epoch, shortest, links, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Simulated time since the start of the run.
    pub(super) fn now(&self) -> Duration {
        let between = self.state().between;
        between.or_else(::turmoil::sim_elapsed).unwrap_or_default()
    }

    /// Says that no host runs and what time it is, or that hosts run.
    pub(super) fn pause(&self, at: Option<Duration>) {
        self.state().between = at;
    }

    pub(super) fn name(&self, name: &str, address: IpAddr) {
        self.state().names.insert(name.to_owned(), address);
    }

    pub(super) fn address(&self, name: &str) -> Option<IpAddr> {
        match name {
            "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
            _ => name.parse().ok().or_else(|| self.state().names.get(name).copied()),
        }
    }

    pub(super) fn trouble(&self, what: String) {
        self.state().troubles.push(what);
    }

    pub(super) fn first_trouble(&self) -> Option<String> {
        self.state().troubles.first().cloned()
    }

    pub(super) fn orders(&self) -> Vec<Fault> {
        std::mem::take(&mut self.state().orders)
    }

    pub(super) fn cuts<T>(&self, act: impl FnOnce(&mut Vec<Cut>) -> T) -> T {
        act(&mut self.state().cuts)
    }

    /// True if a datagram sent at `sent` and looked at now met a cut on its way; the cut then bit.
    pub(super) fn loses(&self, from: IpAddr, to: IpAddr, sent: Duration) -> bool {
        self.cuts(|cuts| {
            let mut met = cuts.iter_mut().filter(|cut| cut.is_of(from, to) && cut.until > sent);
            met.next().map(|cut| cut.bit = true).is_some()
        })
    }
}

impl Faults for World {
    fn order(&self, fault: Fault) {
        self.state().orders.push(fault);
    }
}
