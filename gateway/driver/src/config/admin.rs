//! The section `[admin]`.

use std::net::SocketAddr;

use reveille_gateway_core::config::Secret;

use super::check::{Review, secret_of};
use super::{Secrets, file};
use crate::admin::{AdminSettings, Identity};

const SECTION: &str = "admin";
/// Shorter tokens can be guessed.
const LEAST_TOKEN: usize = 16;

/// What the section says; what is wrong with it is noted.
pub(super) fn settings(
    review: &mut Review<'_>,
    written: &file::Admin,
    secrets: &Secrets<'_>,
) -> Option<AdminSettings> {
    let listen = written.listen.clone();
    let token = token(review, written, secrets);
    let identity = identity(review, written, secrets);
    match listen.parse::<SocketAddr>() {
        Ok(address) if token == Token::None && !address.ip().is_loopback() => {
            let what = "others reach this address, so it needs a token; write one of token-file, \
                token-env, token, or listen on 127.0.0.1";
            review.fault(SECTION, 0, "listen", what);
        }
        Ok(_) => {}
        Err(_) => {
            let what = format!(
                "`{listen}` is no address:port; write one like \"127.0.0.1:8090\", or leave \
                out [admin]"
            );
            review.fault(SECTION, 0, "listen", what);
        }
    }
    let token = if let Token::Given(token) = token { Some(Secret(token)) } else { None };
    Some(AdminSettings { listen, token, identity })
}

#[derive(PartialEq, Eq)]
enum Token {
    None,
    Given(String),
    /// It is complained of already.
    Wrong,
}

fn token(review: &mut Review<'_>, written: &file::Admin, secrets: &Secrets<'_>) -> Token {
    let ways = [&written.token, &written.token_env, &written.token_file];
    let key = match ways {
        [_, _, Some(_)] => "token-file",
        [_, Some(_), _] => "token-env",
        _ => "token",
    };
    let sound = |token: &str| {
        token.len() >= LEAST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match secret_of(ways, secrets) {
        Ok(None) => Token::None,
        Ok(Some(Secret(token))) if sound(&token) => Token::Given(token),
        Ok(Some(_)) => {
            let what = format!(
                "no token; write at least {LEAST_TOKEN} visible ASCII characters without a \
                space, like what `openssl rand -hex 32` gives"
            );
            review.fault(SECTION, 0, key, what);
            Token::Wrong
        }
        Err((_, what)) => {
            review.fault(SECTION, 0, key, what);
            Token::Wrong
        }
    }
}

fn identity(
    review: &mut Review<'_>,
    written: &file::Admin,
    secrets: &Secrets<'_>,
) -> Option<Identity> {
    let (certificate, key) = match (&written.certificate_file, &written.key_file) {
        (None, None) => return None,
        (Some(certificate), Some(key)) => (certificate, key),
        (one, _) => {
            let (key, other) = match one {
                Some(_) => ("certificate-file", "key-file"),
                None => ("key-file", "certificate-file"),
            };
            let what = format!("TLS needs both; write {other} as well, or leave out both");
            review.fault(SECTION, 0, key, what);
            return None;
        }
    };
    let mut read = |key: &str, path: &String| {
        (secrets.file)(path)
            .map_err(|error| {
                let what = format!("`{path}`: {error}; write the path of a readable file");
                review.fault(SECTION, 0, key, what);
            })
            .ok()
    };
    let (chain, secret) = (read("certificate-file", certificate), read("key-file", key));
    let identity = Identity { certificates: chain?, key: Secret(secret?) };
    if let Err((key, what)) = identity.check() {
        review.fault(SECTION, 0, key, what);
    }
    Some(identity)
}
