//! Counts who is inside, so that nobody crowds the others out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// A door with a limit in all and one for each address.
#[derive(Clone)]
pub(crate) struct Door {
    inside: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    most: usize,
    most_per_ip: usize,
    all: usize,
    by_ip: BTreeMap<IpAddr, usize>,
}

/// The right to be inside; ends when dropped.
pub(crate) struct Pass {
    door: Door,
    ip: IpAddr,
}

impl Door {
    pub(crate) fn new(most: usize, most_per_ip: usize) -> Self {
        let inside = Inside { most, most_per_ip, ..Inside::default() };
        Self { inside: Arc::new(Mutex::new(inside)) }
    }

    /// Other limits from now on; who is inside stays.
    pub(crate) fn limit(&self, most: usize, most_per_ip: usize) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.most = most;
        inside.most_per_ip = most_per_ip;
    }

    /// Lets a peer in, unless it is full.
    pub(crate) fn enter(&self, ip: IpAddr) -> Option<Pass> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let here = inside.by_ip.get(&ip).copied().unwrap_or_default();
        if inside.all >= inside.most || here >= inside.most_per_ip {
            return None;
        }
        inside.all += 1;
        inside.by_ip.insert(ip, here + 1);
        Some(Pass { door: self.clone(), ip })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.door.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.all = inside.all.saturating_sub(1);
        if let Some(here) = inside.by_ip.get_mut(&self.ip) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                inside.by_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_door_counts_in_all_and_by_address() {
        let door = Door::new(3, 2);
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = door.enter(a);
        let second = door.enter(a);
        assert!(first.is_some() && second.is_some());
        assert!(door.enter(a).is_none(), "two of one address are inside");
        let third = door.enter(b);
        assert!(third.is_some());
        assert!(door.enter(b).is_none(), "three are inside");
        drop(first);
        let fourth = door.enter(b);
        assert!(fourth.is_some(), "one has left");
        door.limit(4, 3);
        assert!(door.enter(b).is_some(), "the limits were raised");
    }
}
