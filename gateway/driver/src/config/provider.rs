//! What an application is given for its push provider, and what it lacks.

use super::check::secret_of;
use super::{Secrets, file};
use crate::push::{Application, Batch, Lack, PROVIDERS, Proxy, PushType};

/// Fills in the keys of the provider; everything that is wrong with them.
pub(super) fn fill(
    application: &mut Application,
    written: &file::Application,
    secrets: &Secrets<'_>,
) -> Vec<Lack> {
    let mut lacks = strays(written);
    application.ca = written.ca_file.as_ref().and_then(|path| {
        let text = (secrets.file)(path);
        text.map_err(|error| {
            let what = format!("`{path}`: {error}; write the path of a readable file");
            lacks.push(("ca-file", what));
        })
        .ok()
    });
    application.apple.team_id = written.team_id.clone().unwrap_or_default();
    application.apple.key_id = written.key_id.clone().unwrap_or_default();
    application.apple.push_type = match written.push_type.as_deref() {
        None | Some("voip") => PushType::Voip,
        Some("alert") => PushType::Alert,
        Some(other) => {
            let what = format!("`{other}` rings no phone; write \"voip\" or \"alert\"");
            lacks.push(("push-type", what));
            PushType::Voip
        }
    };
    application.web.contact = written.contact.clone().unwrap_or_default();
    application.web.private_endpoints = written.private_endpoints.unwrap_or(false);
    application.proxy = proxy(written, secrets).unwrap_or_else(|lack| {
        lacks.push(lack);
        None
    });
    application.batch = Batch {
        size: written.batch_size.unwrap_or(1),
        linger_us: written.batch_linger.map_or(0, |linger| linger.0.saturating_mul(1_000)),
    };
    let provider = PROVIDERS.iter().find(|(name, _)| *name == application.provider);
    let found = provider.map_or_else(Vec::new, |(_, provider)| (provider.lacks)(application));
    // A credential that is written but could not be had was complained of where it was looked for.
    let unread = application.credential.is_none() && credential_key(written) != "credential";
    let found = found.into_iter().filter(|(key, _)| !(unread && *key == "credential"));
    lacks.extend(found.map(|(key, what)| match key {
        "credential" => (credential_key(written), what),
        key => (key, what),
    }));
    lacks
}

/// The way out, and what is shown there.
fn proxy(written: &file::Application, secrets: &Secrets<'_>) -> Result<Option<Proxy>, Lack> {
    let (env, file) = (&written.proxy_credential_env, &written.proxy_credential_file);
    let key = if file.is_some() { "proxy-credential-file" } else { "proxy-credential-env" };
    let Some(at) = written.proxy.clone() else {
        let what = "there is no proxy to show it to; write proxy = \"host:port\" as well";
        let is_stray = env.is_some() || file.is_some();
        return if is_stray { Err((key, what.to_owned())) } else { Ok(None) };
    };
    let credential = secret_of([&None, env, file], secrets).map_err(|(_, what)| (key, what))?;
    let proxy = Proxy { at, credential };
    match proxy.lack() {
        Some(("proxy", what)) => Err(("proxy", what)),
        Some((_, what)) => Err((key, what)),
        None => Ok(Some(proxy)),
    }
}

/// The key by which the credential is given.
fn credential_key(written: &file::Application) -> &'static str {
    match (&written.credential_file, &written.credential_env) {
        (Some(_), _) => "credential-file",
        (None, Some(_)) => "credential-env",
        (None, None) => "credential",
    }
}

/// Keys of another provider.
fn strays(written: &file::Application) -> Vec<Lack> {
    let of = [
        ("team-id", written.team_id.is_some(), "apns"),
        ("key-id", written.key_id.is_some(), "apns"),
        ("push-type", written.push_type.is_some(), "apns"),
        ("contact", written.contact.is_some(), "webpush"),
        ("private-endpoints", written.private_endpoints.is_some(), "webpush"),
        ("batch-size", written.batch_size.is_some(), "webhook"),
        ("batch-linger", written.batch_linger.is_some(), "webhook"),
    ];
    let known = PROVIDERS.iter().any(|(name, _)| *name == written.provider);
    let stray = of.into_iter().filter(|(_, is, owner)| known && *is && *owner != written.provider);
    let what = |owner| format!("only {owner} has it, not {}; leave it out", written.provider);
    stray.map(|(key, _, owner)| (key, what(owner))).collect()
}
