//! The configuration as an operator may see it: no secret, and no more of a URL than its authority.

use hyper::Uri;
use reveille_gateway_core::config::Secret;
use serde_json::{Value, json};

use super::operator::{Current, name_of};
use crate::push::{Application, State, Way};

/// Applications that can be woken.
pub(super) fn applications(current: &Current) -> Value {
    let one = |app: &Application| {
        let tenant = current.settings.core.tenancy.tenant_of(&app.app);
        json!({"app": app.app, "provider": app.provider, "id": app.id, "tenant": tenant,
            "service": service_of(app), "own_authorities": app.ca.is_some()})
    };
    let items: Vec<_> = current.settings.push.applications.iter().map(one).collect();
    json!({"items": items, "default_app": current.settings.default_app})
}

/// Push providers, the credentials that each was given, and whether the way to each is open.
pub(super) fn providers(current: &Current, now_s: u64, troubled: &[(Way, State)]) -> Value {
    let applications = &current.settings.push.applications;
    let mut names: Vec<_> = applications.iter().map(|app| app.provider.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let credential = |app: &Application| {
        let since = current.since.get(&name_of(app)).copied().unwrap_or(now_s);
        json!({"app": app.app, "key_id": key_id_of(app), "has_credential": app.credential.is_some(),
            "age_s": now_s.saturating_sub(since), "circuit": circuit_of(app, troubled).text()})
    };
    let one = |name: &str| {
        let own = applications.iter().filter(|app| app.provider == name);
        json!({"provider": name, "credentials": own.map(credential).collect::<Vec<_>>()})
    };
    json!({"items": names.into_iter().map(one).collect::<Vec<_>>()})
}

/// The worst of an application's ways to its push services.
fn circuit_of(app: &Application, troubled: &[(Way, State)]) -> State {
    let is_own = |way: &Way| way.app == app.app && way.provider == app.provider;
    let own = troubled.iter().filter(|(way, _)| is_own(way));
    own.map(|(_, state)| *state).max().unwrap_or(State::Closed)
}

/// Scheme and authority of the push service: the rest of a URL may be a secret.
fn service_of(app: &Application) -> Option<String> {
    let uri: Uri = app.url.parse().ok()?;
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", uri.scheme_str()?, uri.host()?))
}

/// What names the key, where it has a name.
fn key_id_of(app: &Application) -> Option<String> {
    if !app.apple.key_id.is_empty() {
        return Some(app.apple.key_id.clone());
    }
    let Secret(text) = app.credential.as_ref().filter(|_| app.provider == "fcm")?;
    let account: Value = serde_json::from_str(text).ok()?;
    account["private_key_id"].as_str().map(ToOwned::to_owned)
}
