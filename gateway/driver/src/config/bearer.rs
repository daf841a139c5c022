//! The section `[bearer]`: whose tokens are taken.

use super::check::{Review, read_secret};
use super::{Secrets, file};
use crate::bearer::{Bearer, BearerKey};

const SECTION: &str = "bearer";

pub(super) fn settings(
    review: &mut Review<'_>,
    written: &file::Bearer,
    secrets: &Secrets<'_>,
) -> Option<Bearer> {
    for (key, value) in [("issuer", &written.issuer), ("audience", &written.audience)] {
        if value.is_empty() {
            let what = "it is empty; write what the claim of every token must say";
            review.fault(SECTION, 0, key, what);
        }
    }
    let read = match written.algorithm.as_str() {
        "ES256" => public_key(written, secrets),
        "HS256" => secret(written, secrets),
        odd => {
            let what = format!("`{odd}` is no algorithm here; write \"ES256\" or \"HS256\"");
            Err(("algorithm", what))
        }
    };
    match read {
        Ok(key) => {
            let (issuer, audience) = (written.issuer.clone(), written.audience.clone());
            Some(Bearer { issuer, audience, key })
        }
        Err((key, what)) => {
            review.fault(SECTION, 0, key, what);
            None
        }
    }
}

type Fault = (&'static str, String);

fn public_key(written: &file::Bearer, secrets: &Secrets<'_>) -> Result<BearerKey, Fault> {
    if written.secret_file.is_some() || written.secret_env.is_some() {
        let what = "ES256 has a public key and no secret; leave secret-file and secret-env out";
        return Err(("algorithm", what.to_owned()));
    }
    let found = read_secret([&None, &None, &written.key_file], secrets);
    let found = found.map_err(|(_, what)| ("key-file", what))?;
    let lack = "ES256 needs it; write the path of the issuer's public key in PEM";
    let pem = found.ok_or_else(|| ("key-file", lack.to_owned()))?;
    BearerKey::es256(&pem.0).map_err(|what| ("key-file", what))
}

fn secret(written: &file::Bearer, secrets: &Secrets<'_>) -> Result<BearerKey, Fault> {
    if written.key_file.is_some() {
        let what = "HS256 has a secret and no public key; write secret-file or secret-env instead";
        return Err(("key-file", what.to_owned()));
    }
    let found = read_secret([&None, &written.secret_env, &written.secret_file], secrets);
    let found = found.map_err(|(key, what)| (key.unwrap_or("secret-file"), what))?;
    let key = if written.secret_env.is_some() { "secret-env" } else { "secret-file" };
    let lack = "HS256 needs it; write the path of the secret's file, or secret-env";
    let secret = found.ok_or_else(|| (key, lack.to_owned()))?;
    BearerKey::hs256(&secret).map_err(|what| (key, what))
}
