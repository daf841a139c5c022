//! Who shares the gateway: `[limits]`, `[[tenant]]`, and what users and applications say of them.

use std::collections::BTreeMap;

use reveille_gateway_core::tenancy::{Limits, Share, Tenancy};

use super::check::Review;
use super::file::{self, File};

/// The highest limit.
const MOST: u64 = 10_000_000;

/// What the file says; what is wrong with it is noted.
pub(super) fn tenancy(review: &mut Review<'_>, file: &File) -> Tenancy {
    let tenants = tenants(review, &file.tenant);
    let apps = apps(review, &file.application, &tenants);
    let users = users(review, &file.user, &tenants);
    Tenancy { limits: limits(review, "limits", 0, &file.limits), tenants, apps, users }
}

fn tenants(review: &mut Review<'_>, written: &[file::Tenant]) -> BTreeMap<String, Limits> {
    let mut tenants = BTreeMap::new();
    let mut tables = 0;
    for (nth, tenant) in written.iter().enumerate() {
        if !crate::http::is_app(&tenant.name) {
            let what = "no name; write 1 to 64 letters, digits and -_., like \"acme\"";
            review.fault("tenant", nth, "name", what);
        }
        let limits = own_limits(review, "tenant.limits", &mut tables, tenant.limits.as_ref());
        if tenants.insert(tenant.name.clone(), limits).is_some() {
            review.fault("tenant", nth, "name", "this tenant stands twice; write each once");
        }
    }
    tenants
}

/// An application may stand once for each provider; all of its entries are one application.
fn apps(
    review: &mut Review<'_>,
    written: &[file::Application],
    tenants: &BTreeMap<String, Limits>,
) -> BTreeMap<String, Share> {
    let mut apps: BTreeMap<String, Share> = BTreeMap::new();
    let mut tables = 0;
    for (nth, app) in written.iter().enumerate() {
        let is_twin = check_twin(review, written, nth);
        check_tenant(review, "application", nth, app.tenant.as_deref(), tenants);
        let limits = own_limits(review, "application.limits", &mut tables, app.limits.as_ref());
        if let Some(share) = apps.get_mut(&app.app) {
            if share.tenant != app.tenant && !is_twin {
                let what = "this application stands above with another tenant; write the same";
                review.fault("application", nth, "tenant", what);
            }
            if app.limits.is_some() && share.limits != limits {
                let what =
                    "this application stands above with other limits; write them once, there";
                review.fault("application", nth, "limits", what);
            }
            share.ids.insert(app.id.clone());
            if app.carry_message {
                share.carried.insert(app.provider.clone());
            }
        } else {
            let ids = std::iter::once(app.id.clone()).collect();
            let carried = app.carry_message.then(|| app.provider.clone()).into_iter().collect();
            let share = Share { tenant: app.tenant.clone(), ids, limits, carried };
            apps.insert(app.app.clone(), share);
        }
    }
    apps
}

/// A push finds its application by provider and id, or by provider and name: neither may stand for
/// two. True if it is the same application once more.
fn check_twin(review: &mut Review<'_>, written: &[file::Application], nth: usize) -> bool {
    let app = &written[nth];
    let before = || written[..nth].iter().filter(|other| other.provider == app.provider);
    for other in before() {
        let what = if other.app == app.app {
            (
                "app",
                "this application stands above with the same provider; write it once".to_owned(),
            )
        } else if other.id == app.id {
            let what = "has this id with the same provider; write another id";
            ("id", format!("application `{}` {what}", other.app))
        } else if other.app == app.id || other.id == app.app {
            let what = "is named like it, or has its name for an id; write another id";
            ("id", format!("application `{}` {what}", other.app))
        } else {
            continue;
        };
        review.fault("application", nth, what.0, what.1);
    }
    before().any(|other| other.app == app.app)
}

fn users(
    review: &mut Review<'_>,
    written: &[file::User],
    tenants: &BTreeMap<String, Limits>,
) -> BTreeMap<String, String> {
    let mut users = BTreeMap::new();
    for (nth, user) in written.iter().enumerate() {
        check_tenant(review, "user", nth, user.tenant.as_deref(), tenants);
        if let Some(tenant) = &user.tenant {
            users.insert(user.username.clone(), tenant.clone());
        }
    }
    users
}

fn check_tenant(
    review: &mut Review<'_>,
    section: &str,
    nth: usize,
    tenant: Option<&str>,
    tenants: &BTreeMap<String, Limits>,
) {
    if let Some(name) = tenant.filter(|name| !tenants.contains_key(*name)) {
        let what = format!("there is no tenant `{name}`; write it as [[tenant]] name = \"{name}\"");
        review.fault(section, nth, "tenant", what);
    }
}

/// Limits in a table of their own, the `tables`-th of its name if they are there.
fn own_limits(
    review: &mut Review<'_>,
    section: &str,
    tables: &mut usize,
    written: Option<&file::Limits>,
) -> Limits {
    let Some(written) = written else { return Limits::default() };
    *tables += 1;
    limits(review, section, *tables - 1, written)
}

fn limits(review: &mut Review<'_>, section: &str, nth: usize, written: &file::Limits) -> Limits {
    let limits = Limits {
        connections: written.connections,
        sessions: written.sessions,
        sleepers: written.sleepers,
        connects_per_second: written.connects_per_second,
        pushes_per_second: written.pushes_per_second,
    };
    for (key, value) in [
        ("connections", limits.connections),
        ("sessions", limits.sessions),
        ("sleepers", limits.sleepers),
        ("connects-per-second", limits.connects_per_second),
        ("pushes-per-second", limits.pushes_per_second),
    ] {
        if let Some(value) = value.filter(|value| !(1..=MOST).contains(value)) {
            let what = format!("{value} is out of range; write 1 to {MOST}, or leave it out");
            review.fault(section, nth, key, what);
        }
    }
    limits
}
