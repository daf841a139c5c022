//! How many sessions each application has, kept up as they come, sleep, wake and go.

use std::collections::BTreeMap;

use crate::record::{SessionRecord, Standing};
use crate::tenancy::{Holder, Tenancy};

/// Sessions of one application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    all: u64,
    asleep: u64,
}

/// Sessions by application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Census(BTreeMap<String, Count>);

impl Census {
    pub(crate) fn add(&mut self, record: &SessionRecord) {
        let count = self.0.entry(record.app.clone()).or_default();
        count.all += 1;
        count.asleep += u64::from(is_asleep(record));
    }

    /// Takes away what [`add`](Self::add) counted; the record must not have changed in between.
    pub(crate) fn remove(&mut self, record: &SessionRecord) {
        let Some(count) = self.0.get_mut(&record.app) else { return };
        count.all = count.all.saturating_sub(1);
        count.asleep = count.asleep.saturating_sub(u64::from(is_asleep(record)));
        if count.all == 0 {
            self.0.remove(&record.app);
        }
    }

    /// Whose limit one more session of this application would pass.
    pub(crate) fn no_room<'a>(&self, tenancy: &'a Tenancy, app: &'a str) -> Option<Holder<'a>> {
        let full = tenancy.holders(app).find(|(holder, limits)| {
            limits.sessions.is_some_and(|most| self.sum(tenancy, *holder, |it| it.all) >= most)
        });
        full.map(|(holder, _)| holder)
    }

    /// Whose limit one more sleeper of this application would pass.
    pub(crate) fn no_bed<'a>(&self, tenancy: &'a Tenancy, app: &'a str) -> Option<Holder<'a>> {
        let full = tenancy.holders(app).find(|(holder, limits)| {
            limits.sleepers.is_some_and(|most| self.sum(tenancy, *holder, |it| it.asleep) >= most)
        });
        full.map(|(holder, _)| holder)
    }

    fn sum(&self, tenancy: &Tenancy, holder: Holder<'_>, of: impl Fn(&Count) -> u64) -> u64 {
        let own = self.0.iter().filter(|(app, _)| tenancy.counts_for(holder, app));
        own.map(|(_, count)| of(count)).sum()
    }
}

const fn is_asleep(record: &SessionRecord) -> bool {
    matches!(record.standing, Standing::Asleep { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Gruu, SessionId, SleepCause, VERSION};

    fn record(app: &str, standing: Standing) -> SessionRecord {
        SessionRecord {
            version: VERSION,
            id: SessionId::from(""),
            owner: String::new(),
            epoch: 1,
            user: String::new(),
            aor: String::new(),
            app: app.to_owned(),
            contact: String::new(),
            instance: String::new(),
            standing,
            ttl_s: 0,
            device: None,
            last_out: 0,
            last_in: 0,
            unacknowledged: Vec::new(),
            last_arrival: 0,
            registered_until_wall_us: 0,
            supersedes: None,
            sending: Vec::new(),
            subscriptions: Vec::new(),
            gruu: Gruu::default(),
        }
    }

    #[test]
    fn names_that_clients_chose_are_forgotten_with_their_last_session() {
        let asleep = Standing::Asleep { until_wall_us: 1, cause: SleepCause::Request };
        let (awake, asleep) = (record("chosen", Standing::Awake), record("chosen", asleep));
        let mut census = Census::default();
        census.add(&awake);
        census.add(&asleep);
        census.remove(&awake);
        assert_eq!(census.0["chosen"], Count { all: 1, asleep: 1 });
        census.remove(&asleep);
        assert_eq!(census, Census::default());
    }
}
