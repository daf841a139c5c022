//! What applications and tenants may use of the ports: connections at once, upgrades and pushes in a
//! second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use reveille_gateway_core::tenancy::{Holder, Limits, Tenancy};

const SECOND_US: u64 = 1_000_000;

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

/// Allowances that fill up with time: as many at once as in a second.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Millionths of an allowance.
    micro: u64,
    at_us: u64,
}

impl Bucket {
    fn filled(self, rate: u64, now_us: u64) -> Self {
        let more = now_us.saturating_sub(self.at_us).saturating_mul(rate);
        let micro = self.micro.saturating_add(more).min(rate.saturating_mul(SECOND_US));
        Self { micro, at_us: now_us }
    }

    /// How long until the next allowance is there; 0: it is.
    fn wait_us(self, rate: u64) -> u64 {
        SECOND_US.saturating_sub(self.micro).div_ceil(rate.max(1))
    }
}

#[derive(Default)]
struct Books {
    tenancy: Tenancy,
    seats: BTreeMap<String, u64>,
    /// By limit and holder.
    buckets: BTreeMap<(&'static str, String), Bucket>,
}

impl Books {
    /// Takes one allowance of each holder, or none at all.
    fn take(
        &mut self,
        limit: &'static str,
        rate_of: fn(&Limits) -> Option<u64>,
        app: &str,
        now_us: u64,
    ) -> Result<(), Reached> {
        let holders = self.tenancy.holders(app);
        let rated: Vec<_> =
            holders.filter_map(|(holder, it)| Some((holder.to_string(), rate_of(it)?))).collect();
        let mut taken = Vec::new();
        for (holder, rate) in rated {
            let key = (limit, holder);
            let full = Bucket { micro: rate.saturating_mul(SECOND_US), at_us: now_us };
            let old = self.buckets.get(&key).copied().unwrap_or(full);
            let bucket = old.filled(rate, now_us);
            let wait_us = bucket.wait_us(rate);
            if wait_us > 0 {
                let (limit, holder) = key;
                return Err(Reached { limit, holder, wait_us });
            }
            taken.push((key, Bucket { micro: bucket.micro - SECOND_US, ..bucket }));
        }
        self.buckets.extend(taken);
        Ok(())
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
            books.buckets.clear();
        });
    }

    /// One more connection of an application.
    pub(crate) fn enter(&self, app: &str, now_us: u64) -> Result<Seat, Reached> {
        self.with(|books| {
            books.check_seats(app)?;
            let rate_of = |limits: &Limits| limits.connects_per_second;
            books.take("connects-per-second", rate_of, app, now_us)?;
            *books.seats.entry(app.to_owned()).or_default() += 1;
            Ok(Seat { quota: self.clone(), app: app.to_owned() })
        })
    }

    /// One more push for an application, which may be named by its id.
    pub(crate) fn push(&self, named: &str, now_us: u64) -> Result<(), Reached> {
        self.with(|books| {
            let mut apps = books.tenancy.apps.iter();
            let app = apps.find(|(_, share)| share.ids.contains(named));
            let app = app.map_or(named, |(app, _)| app).to_owned();
            let rate_of = |limits: &Limits| limits.pushes_per_second;
            books.take("pushes-per-second", rate_of, &app, now_us)
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
            let share = Share { tenant: tenant.map(ToOwned::to_owned), ids, limits };
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
    fn a_rate_lets_a_second_through_at_once_and_then_one_by_one() {
        let two = Limits { pushes_per_second: Some(2), ..Limits::default() };
        let quota = Quota::default();
        quota.learn(&tenancy(two, Limits::default()));
        let push = |named, now_us| quota.push(named, now_us).err().map(|reached| reached.wait_us);
        assert_eq!(push("com.example.phone", 0), None);
        assert_eq!(push("pad", 0), None, "the tenant's second, by the application's name");
        assert_eq!(push("phone", 0), Some(500_000));
        assert_eq!(push("phone", 400_000), Some(100_000));
        assert_eq!(push("rival", 0), None, "another tenant's rate is its own");
        assert_eq!(push("phone", 500_000), None);
        assert_eq!(push("phone", 500_000), Some(500_000));
        assert_eq!(push("phone", 60_000_000), None);
        assert_eq!(push("phone", 60_000_000), None);
        assert_eq!(push("phone", 60_000_000), Some(500_000), "no more than a second is saved up");
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
