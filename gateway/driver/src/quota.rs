//! What applications and tenants may use of the ports: connections at once, upgrades and pushes in a
//! second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use reveille_gateway_core::tenancy::{Holder, Limits, Tenancy};

use crate::push::Class;

/// Limits, by which their books are named as well.
const CONNECTS: &str = "connects-per-second";
const PUSHES: &str = "pushes-per-second";
/// The book of calls within that limit.
const PUSHES_OF_CALLS: &str = "pushes-per-second of calls";
const SECOND_US: u64 = 1_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// A push is not put off for longer: its call would not wait for it.
const PATIENCE_US: u64 = 20 * SECOND_US;
/// Pushes that were put off; above so many, those that never came back are forgotten.
const MOST_PUT_OFF: usize = 10_000;

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Its name, as the configuration writes it.
    pub(crate) limit: &'static str,
    /// Whose it is.
    pub(crate) holder: String,
    /// When to try again.
    pub(crate) wait_us: u64,
}

#[derive(Default)]
struct Books {
    tenancy: Tenancy,
    seats: BTreeMap<String, u64>,
    /// When everything allowed so far would be over if it came evenly, in nanoseconds, by book and
    /// holder. It may run ahead of the clock by a second: that much may come at once.
    even_ns: BTreeMap<(&'static str, String), u64>,
    /// When the pushes of these wakes have their turn.
    turns_us: BTreeMap<u64, u64>,
}

impl Books {
    /// Takes one allowance of each holder. If one has none left, the answer says when there is one:
    /// it is taken beforehand if that is no longer than `patience_us`, else nothing is taken.
    fn take(
        &mut self,
        (limit, book): (&'static str, &'static str),
        rate_of: fn(&Limits) -> Option<u64>,
        app: &str,
        now_us: u64,
        patience_us: u64,
    ) -> Result<(), Reached> {
        let now_ns = now_us.saturating_mul(1_000);
        let (mut worst, mut taken) = (None, Vec::new());
        let holders = self.tenancy.holders(app);
        for (holder, rate) in holders.filter_map(|(holder, it)| Some((holder, rate_of(it)?))) {
            let (key, each_ns) = ((book, holder.to_string()), SECOND_NS / rate.max(1));
            let even_ns = self.even_ns.get(&key).copied().unwrap_or_default();
            let wait_ns = even_ns.saturating_sub(now_ns + SECOND_NS - each_ns);
            let wait_us = wait_ns.div_ceil(1_000);
            if wait_us > worst.as_ref().map_or(0, |it: &Reached| it.wait_us) {
                worst = Some(Reached { limit, holder: key.1.clone(), wait_us });
            }
            taken.push((key, even_ns.max(now_ns) + each_ns));
        }
        if worst.as_ref().is_none_or(|it| it.wait_us <= patience_us) {
            self.even_ns.extend(taken);
        }
        worst.map_or(Ok(()), Err)
    }

    fn check_seats(&self, app: &str) -> Result<(), Reached> {
        let sum = |holder: Holder<'_>| -> u64 {
            let own = self.seats.iter().filter(|(app, _)| self.tenancy.counts_for(holder, app));
            own.map(|(_, count)| count).sum()
        };
        let full = self
            .tenancy
            .holders(app)
            .find(|(holder, limits)| limits.connections.is_some_and(|most| sum(*holder) >= most));
        full.map_or(Ok(()), |(holder, _)| {
            let wait_us = 5 * SECOND_US;
            Err(Reached { limit: "connections", holder: holder.to_string(), wait_us })
        })
    }
}

/// Keeps the books of who uses what.
#[derive(Clone, Default)]
pub(crate) struct Quota(Arc<Mutex<Books>>);

/// A connection's place; given back when dropped.
pub(crate) struct Seat {
    quota: Quota,
    app: String,
}

impl Quota {
    /// Other limits from now on; who is inside stays.
    pub(crate) fn learn(&self, tenancy: &Tenancy) {
        self.with(|books| {
            books.tenancy = tenancy.clone();
            books.even_ns.clear();
        });
    }

    /// One more connection of an application.
    pub(crate) fn enter(&self, app: &str, now_us: u64) -> Result<Seat, Reached> {
        self.with(|books| {
            books.check_seats(app)?;
            let rate_of = |limits: &Limits| limits.connects_per_second;
            books.take((CONNECTS, CONNECTS), rate_of, app, now_us, 0)?;
            *books.seats.entry(app.to_owned()).or_default() += 1;
            Ok(Seat { quota: self.clone(), app: app.to_owned() })
        })
    }

    /// A push of a wake for an application, which may be named by its id. One that is put off has
    /// its turn kept: of many that come at once, each waits once. Calls wait for calls only; what
    /// they take, others find taken.
    pub(crate) fn push(
        &self,
        named: &str,
        class: Class,
        wake: u64,
        now_us: u64,
    ) -> Result<(), Reached> {
        self.with(|books| {
            if books.turns_us.get(&wake).is_some_and(|turn_us| *turn_us <= now_us) {
                books.turns_us.remove(&wake);
                return Ok(());
            }
            let mut apps = books.tenancy.apps.iter();
            let app = apps.find(|(_, share)| share.ids.contains(named));
            let app = app.map_or(named, |(app, _)| app).to_owned();
            let rate_of = |limits: &Limits| limits.pushes_per_second;
            let book = if class == Class::Call { PUSHES_OF_CALLS } else { PUSHES };
            let done = books.take((PUSHES, book), rate_of, &app, now_us, PATIENCE_US);
            let is_taken = done.as_ref().err().is_none_or(|it| it.wait_us <= PATIENCE_US);
            if book == PUSHES_OF_CALLS && is_taken {
                // However long others wait for it now, the call does not.
                drop(books.take((PUSHES, PUSHES), rate_of, &app, now_us, u64::MAX));
            }
            if let Err(Reached { wait_us: wait_us @ ..=PATIENCE_US, .. }) = &done {
                if books.turns_us.len() >= MOST_PUT_OFF {
                    books.turns_us.retain(|_, turn_us| *turn_us + PATIENCE_US > now_us);
                }
                books.turns_us.insert(wake, now_us + wait_us);
            }
            done
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Books) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.quota.with(|books| {
            let Some(count) = books.seats.get_mut(&self.app) else { return };
            *count = count.saturating_sub(1);
            if *count == 0 {
                books.seats.remove(&self.app);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use reveille_gateway_core::tenancy::Share;

    use super::*;

    /// `phone` and `pad` of tenant `acme`, and `rival` of nobody.
    fn tenancy(acme: Limits, phone: Limits) -> Tenancy {
        let mut tenancy = Tenancy::default();
        tenancy.tenants.insert("acme".to_owned(), acme);
        for (app, tenant, limits) in [
            ("phone", Some("acme"), phone),
            ("pad", Some("acme"), Limits::default()),
            ("rival", None, Limits::default()),
        ] {
            let ids = std::iter::once(format!("com.example.{app}")).collect();
            let tenant = tenant.map(ToOwned::to_owned);
            let share = Share { tenant, ids, limits, ..Share::default() };
            tenancy.apps.insert(app.to_owned(), share);
        }
        tenancy
    }

    #[test]
    fn seats_are_counted_by_application_and_tenant_and_given_back() {
        let most = |connections| Limits { connections: Some(connections), ..Limits::default() };
        let quota = Quota::default();
        quota.learn(&tenancy(most(2), most(1)));
        let holder = |app| quota.enter(app, 0).err().map(|reached| reached.holder);
        let phone = quota.enter("phone", 0);
        assert!(phone.is_ok());
        assert_eq!(holder("phone").as_deref(), Some("application phone"));
        let pad = quota.enter("pad", 0);
        assert!(pad.is_ok());
        assert_eq!(holder("pad").as_deref(), Some("tenant acme"));
        assert_eq!(holder("rival"), None);
        drop(phone);
        assert_eq!(holder("pad"), None, "a seat was given back");
    }

    #[test]
    fn a_rate_lets_a_second_through_at_once_and_each_push_beyond_waits_once_for_its_turn() {
        let two = Limits { pushes_per_second: Some(2), ..Limits::default() };
        let quota = Quota::default();
        quota.learn(&tenancy(two, Limits::default()));
        let push = |named, wake, now_us| {
            quota.push(named, Class::Message, wake, now_us).err().map(|reached| reached.wait_us)
        };
        assert_eq!(push("com.example.phone", 1, 0), None);
        assert_eq!(push("pad", 2, 0), None, "the tenant's second, by the application's name");
        assert_eq!(push("phone", 3, 0), Some(500_000));
        assert_eq!(push("phone", 4, 0), Some(1_000_000), "the turn before is taken");
        assert_eq!(push("rival", 5, 0), None, "another tenant's rate is its own");
        assert_eq!(push("phone", 3, 500_000), None, "its turn has come");
        assert_eq!(push("phone", 4, 1_000_000), None);
        assert_eq!(push("phone", 6, 1_000_000), Some(500_000), "the turns were taken beforehand");
        for wake in 10..12 {
            assert_eq!(push("phone", wake, 60_000_000), None);
        }
        assert_eq!(push("phone", 12, 60_000_000), Some(500_000), "no more than a second is saved");
    }

    #[test]
    fn a_push_whose_turn_would_come_too_late_takes_none() {
        let one = Limits { pushes_per_second: Some(1), ..Limits::default() };
        let quota = Quota::default();
        quota.learn(&tenancy(one, Limits::default()));
        let push = |wake| quota.push("phone", Class::Call, wake, 0);
        let waits = (0..40).map(|wake| push(wake).err().map_or(0, |it| it.wait_us));
        let waits: Vec<_> = waits.map(|wait_us| wait_us / SECOND_US).collect();
        assert_eq!(waits[..21], (0..21).collect::<Vec<_>>());
        assert_eq!(waits[21..], [21; 19]);
    }

    #[test]
    fn a_call_waits_for_the_turn_of_no_other_push() {
        let two = Limits { pushes_per_second: Some(2), ..Limits::default() };
        let quota = Quota::default();
        quota.learn(&tenancy(two, Limits::default()));
        let push = |class, wake| quota.push("phone", class, wake, 0).err().map(|it| it.wait_us);
        let waits: Vec<_> = (0..10).map(|wake| push(Class::Other, wake)).collect();
        assert_eq!(waits[9], Some(4_000_000));
        assert_eq!((push(Class::Call, 10), push(Class::Call, 11)), (None, None));
        assert_eq!(push(Class::Call, 12), Some(500_000), "calls among themselves keep the rate");
        assert_eq!(push(Class::Message, 13), Some(6_000_000), "and count for all others");
    }

    #[test]
    fn who_is_refused_by_one_holder_takes_nothing_from_another() {
        let rate = |rate| Limits { connects_per_second: Some(rate), ..Limits::default() };
        let quota = Quota::default();
        quota.learn(&tenancy(rate(2), rate(1)));
        assert!(quota.enter("phone", 0).is_ok());
        for _ in 0..5 {
            let reached = quota.enter("phone", 0).err().expect("one in a second");
            assert_eq!(reached.holder, "application phone");
        }
        assert!(quota.enter("pad", 0).is_ok(), "the tenant's other one is still there");
        assert!(quota.enter("pad", 0).is_err());
    }
}
