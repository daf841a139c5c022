//! Who shares a node: applications, the tenants that they belong to, and what each may use of it.

use std::collections::{BTreeMap, BTreeSet};

/// How much somebody may use; `None`: as much as there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// WebSockets at once.
    pub connections: Option<u64>,
    /// Sessions at once, awake and asleep.
    pub sessions: Option<u64>,
    /// Sessions that are asleep at once.
    pub sleepers: Option<u64>,
    /// Upgrades in a second.
    pub connects_per_second: Option<u64>,
    /// Pushes in a second.
    pub pushes_per_second: Option<u64>,
}

/// An application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// Whose it is.
    pub tenant: Option<String>,
    /// What identifies it at push services.
    pub ids: BTreeSet<String>,
    /// What it may use.
    pub limits: Limits,
    /// Push providers whose payloads carry the call or message itself (D-31, D-45).
    pub carried: BTreeSet<String>,
}

/// Everybody who shares the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tenancy {
    /// What all of them together may use.
    pub limits: Limits,
    /// What each tenant may use.
    pub tenants: BTreeMap<String, Limits>,
    /// Applications by name.
    pub apps: BTreeMap<String, Share>,
    /// The tenants of users that are bound to one, by username.
    pub users: BTreeMap<String, String>,
}

/// Somebody who has limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder<'a> {
    /// Everybody together.
    Node,
    /// A tenant.
    Tenant(&'a str),
    /// An application.
    App(&'a str),
}

impl std::fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node => f.write_str("this node"),
            Self::Tenant(name) => write!(f, "tenant {name}"),
            Self::App(name) => write!(f, "application {name}"),
        }
    }
}

impl Tenancy {
    /// Whose an application is.
    #[must_use]
    pub fn tenant_of(&self, app: &str) -> Option<&str> {
        self.apps.get(app)?.tenant.as_deref()
    }

    /// True if two applications belong to the same tenant, or both to none.
    #[must_use]
    pub fn are_together(&self, one: &str, other: &str) -> bool {
        self.tenant_of(one) == self.tenant_of(other)
    }

    /// True if a user may use an application: who is bound to a tenant uses its applications only.
    #[must_use]
    pub fn may_use(&self, user: &str, app: &str) -> bool {
        self.users.get(user).is_none_or(|tenant| self.tenant_of(app) == Some(tenant))
    }

    /// Under which name a device of `app` is pushed to, if its app says `named`: an id of another
    /// tenant's application gives it that tenant's credentials no more than its own name would.
    #[must_use]
    pub fn push_name<'a>(&self, app: &'a str, named: &'a str) -> &'a str {
        let mut foreign = self.apps.iter().filter(|(name, _)| !self.are_together(name, app));
        let is_foreign = foreign.any(|(name, share)| name == named || share.ids.contains(named));
        let is_own = self.apps.get(app).is_some_and(|share| share.ids.contains(named));
        if is_foreign && !is_own { app } else { named }
    }

    /// True if a push by this provider for an application, which may be named by its id, carries
    /// what it is for.
    #[must_use]
    pub fn carries(&self, named: &str, provider: &str) -> bool {
        let mut apps = self.apps.iter();
        let share = apps.find(|(app, share)| *app == named || share.ids.contains(named));
        share.is_some_and(|(_, share)| share.carried.contains(provider))
    }

    /// Everybody whose limits hold for an application, from all to one.
    pub fn holders<'a>(&'a self, app: &'a str) -> impl Iterator<Item = (Holder<'a>, &'a Limits)> {
        let share = self.apps.get(app);
        let tenant = share.and_then(|share| share.tenant.as_deref());
        let tenant = tenant.and_then(|name| Some((Holder::Tenant(name), self.tenants.get(name)?)));
        let own = share.map(|share| (Holder::App(app), &share.limits));
        std::iter::once((Holder::Node, &self.limits)).chain(tenant).chain(own)
    }

    /// True if what an application uses counts for a holder.
    #[must_use]
    pub fn counts_for(&self, holder: Holder<'_>, app: &str) -> bool {
        match holder {
            Holder::Node => true,
            Holder::Tenant(name) => self.tenant_of(app) == Some(name),
            Holder::App(name) => name == app,
        }
    }
}
