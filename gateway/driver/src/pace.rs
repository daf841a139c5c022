//! How often one address and one user may connect (D-31): a bucket for each that holds a second's
//! worth, in a table that forgets who came longest ago.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

const SECOND_NS: u64 = 1_000_000_000;
/// Addresses, and users, that are remembered.
const MOST: usize = 32_768;

/// Upgrades of apps in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From one address; of IPv6 from one /64.
    pub per_ip: usize,
    /// Of one user, on all devices together.
    pub per_user: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { per_ip: 200, per_user: 10 }
    }
}

/// Somebody came too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Over {
    /// The key of `[websocket]` whose value is reached.
    pub(crate) limit: &'static str,
    /// Its value.
    pub(crate) rate: usize,
    /// Whose it is, in words.
    pub(crate) whose: &'static str,
    /// When to come again.
    pub(crate) wait_s: u64,
}

/// Buckets by whose they are.
struct Buckets<K> {
    most: usize,
    /// When everything taken so far would be over if it came evenly, in nanoseconds, and when the
    /// bucket was last used, by count. It may run ahead of the clock by a second.
    by: BTreeMap<K, (u64, u64)>,
    /// Whose bucket was used when.
    used: BTreeMap<u64, K>,
    count: u64,
}

impl<K: Ord + Clone> Buckets<K> {
    const fn new(most: usize) -> Self {
        Self { most, by: BTreeMap::new(), used: BTreeMap::new(), count: 0 }
    }

    /// Takes one of `rate` in a second; else says in how many nanoseconds there is one, and takes
    /// nothing.
    fn take(&mut self, key: K, rate: usize, now_us: u64) -> Result<(), u64> {
        let now_ns = now_us.saturating_mul(1_000);
        let each_ns = SECOND_NS / u64::try_from(rate).unwrap_or(u64::MAX).max(1);
        let (even_ns, used) = self.by.get(&key).copied().unwrap_or_default();
        let wait_ns = even_ns.saturating_sub(now_ns + SECOND_NS - each_ns);
        let even_ns = if wait_ns == 0 { even_ns.max(now_ns) + each_ns } else { even_ns };
        self.used.remove(&used);
        self.count += 1;
        self.used.insert(self.count, key.clone());
        self.by.insert(key, (even_ns, self.count));
        if self.by.len() > self.most
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.by.remove(&oldest);
        }
        if wait_ns == 0 { Ok(()) } else { Err(wait_ns) }
    }
}

struct Books {
    pace: Pace,
    addresses: Buckets<IpAddr>,
    users: Buckets<String>,
}

/// Counts who connects how often.
#[derive(Clone)]
pub(crate) struct Paces(Arc<Mutex<Books>>);

impl Default for Paces {
    fn default() -> Self {
        let (addresses, users) = (Buckets::new(MOST), Buckets::new(MOST));
        Self(Arc::new(Mutex::new(Books { pace: Pace::default(), addresses, users })))
    }
}

impl Paces {
    /// Other rates from now on; what was taken stays taken.
    pub(crate) fn learn(&self, pace: Pace) {
        self.with(|books| books.pace = pace);
    }

    /// One more request from an address.
    pub(crate) fn address(&self, ip: IpAddr, now_us: u64) -> Result<(), Over> {
        self.with(|books| {
            let rate = books.pace.per_ip;
            let taken = books.addresses.take(network(ip), rate, now_us);
            let whose = "from this address";
            taken.map_err(|wait| over("connects-per-second-per-ip", rate, whose, wait))
        })
    }

    /// One more connection of a user, who has proved to be it.
    pub(crate) fn user(&self, user: &str, now_us: u64) -> Result<(), Over> {
        self.with(|books| {
            let rate = books.pace.per_user;
            let taken = books.users.take(user.to_owned(), rate, now_us);
            let whose = "of this user";
            taken.map_err(|wait| over("connects-per-second-per-user", rate, whose, wait))
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Books) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn over(limit: &'static str, rate: usize, whose: &'static str, wait_ns: u64) -> Over {
    Over { limit, rate, whose, wait_s: wait_ns.div_ceil(SECOND_NS) }
}

/// What one subscriber has of addresses: one of IPv4, a /64 of IPv6 (RFC 6177 section 2).
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_second_s_worth_may_come_at_once_and_then_one_at_a_time() {
        let paces = Paces::default();
        paces.learn(Pace { per_ip: 2, per_user: 1 });
        let at = |now_us| paces.address(ip("192.0.2.1"), now_us).err().map(|over| over.wait_s);
        assert_eq!([at(0), at(0), at(0), at(0)], [None, None, Some(1), Some(1)]);
        assert_eq!([at(499_999), at(500_000), at(500_000)], [Some(1), None, Some(1)]);
        assert_eq!([at(60_000_000); 1], [None]);
        assert_eq!([at(60_000_000), at(60_000_000)], [None, Some(1)], "no more is saved");
        let user = |name, now_us| paces.user(name, now_us).err();
        assert_eq!((user("bob", 0), user("eve", 0)), (None, None));
        let told = user("bob", 0).expect("one in a second");
        assert_eq!((told.limit, told.rate), ("connects-per-second-per-user", 1));
        assert_eq!(user("bob", 1_000_000), None);
    }

    #[test]
    fn an_address_is_one_of_ipv4_or_a_64_of_ipv6() {
        let paces = Paces::default();
        paces.learn(Pace { per_ip: 1, per_user: 1 });
        let is_let_in = |text| paces.address(ip(text), 0).is_ok();
        assert!(is_let_in("2001:db8:0:1::1"));
        assert!(!is_let_in("2001:db8:0:1:ffff::2"), "the same /64");
        assert!(is_let_in("2001:db8:0:2::1"), "another");
        assert!(is_let_in("192.0.2.1"));
        assert!(!is_let_in("::ffff:192.0.2.1"), "the same address by a socket of both kinds");
        assert!(is_let_in("192.0.2.2"));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_came_longest_ago() {
        let mut buckets = Buckets::new(3);
        for key in [1, 2, 3] {
            assert_eq!(buckets.take(key, 1, 0), Ok(()));
        }
        assert!(buckets.take(1, 1, 0).is_err(), "refused, and seen again");
        assert_eq!(buckets.take(4, 1, 0), Ok(()));
        assert!(buckets.take(1, 1, 0).is_err(), "still known");
        assert_eq!(buckets.take(2, 1, 0), Ok(()), "2 was forgotten");
        for key in 10..1_000 {
            assert_eq!(buckets.take(key, 1, 0), Ok(()));
        }
        assert_eq!((buckets.by.len(), buckets.used.len()), (3, 3));
    }
}
