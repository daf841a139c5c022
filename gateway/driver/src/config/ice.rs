//! The sections `[[ice]]`: STUN and TURN servers that apps are told of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reveille_gateway_core::config::Secret;
use reveille_gateway_core::ice::{Access, IceServer};
use ring::hmac;

use super::check::{Review, secret_of};
use super::{Secrets, file};

const SECTION: &str = "ice";
/// Sections, addresses in one, and the length of each: an answer must fit into a frame.
const MOST_SECTIONS: usize = 16;
const MOST_URLS: usize = 8;
const MOST_URL: usize = 256;
/// The longest that a password holds, and the least, in milliseconds.
const TTL_MS: (u64, u64) = (60_000, 7 * 86_400_000);

/// What the file says; what is wrong with it is noted.
pub(super) fn servers(
    review: &mut Review<'_>,
    written: &[file::Ice],
    secrets: &Secrets<'_>,
) -> Vec<IceServer> {
    if written.len() > MOST_SECTIONS {
        let what = format!("more than {MOST_SECTIONS} sections; write fewer");
        review.fault(SECTION, MOST_SECTIONS, "urls", what);
    }
    let all = written.iter().enumerate();
    all.map(|(nth, one)| server(review, nth, one, secrets)).collect()
}

fn server(
    review: &mut Review<'_>,
    nth: usize,
    written: &file::Ice,
    secrets: &Secrets<'_>,
) -> IceServer {
    if !(1..=MOST_URLS).contains(&written.urls.len()) {
        let what = format!("an entry has 1 to {MOST_URLS}; write [\"stun:stun.example.com\"]");
        review.fault(SECTION, nth, "urls", what);
    }
    if let Some(odd) = written.urls.iter().find(|url| !is_sound(url)) {
        let what = format!(
            "`{odd}` is no STUN or TURN URI (RFC 7064, RFC 7065); write one like \
             \"turn:turn.example.com:3478?transport=udp\""
        );
        review.fault(SECTION, nth, "urls", what);
    }
    if let Some(odd) = written.app.as_ref().filter(|app| !crate::http::is_app(app)) {
        let what = format!("`{odd}` is no application; write the name of one, like \"phone\"");
        review.fault(SECTION, nth, "app", what);
    }
    let access = access(written, secrets).unwrap_or_else(|(key, what)| {
        review.fault(SECTION, nth, key, what);
        Access::Open
    });
    IceServer { urls: written.urls.clone(), app: written.app.clone(), access }
}

fn access(written: &file::Ice, secrets: &Secrets<'_>) -> Result<Access, (&'static str, String)> {
    let ways = [&written.secret, &written.secret_env, &written.secret_file];
    let secret = secret_of(ways, secrets).map_err(|(key, what)| (key.unwrap_or("secret"), what))?;
    let is_turn = written.urls.iter().any(|url| url.starts_with("turn"));
    let fault = |key, what: &str| Err((key, what.to_owned()));
    match (&written.username, secret) {
        (None, None) if is_turn => {
            fault("urls", "TURN lets nobody in unnamed (RFC 8656); write secret-file beside it")
        }
        (Some(_), None) => fault("username", "a name needs its password; write secret-file"),
        (_, Some(_)) if !is_turn => {
            fault("urls", "STUN asks for no secret; leave it out, or write a turn: URI")
        }
        (Some(_), Some(_)) if written.ttl.is_some() => {
            fault("ttl", "a fixed name does not end; leave out ttl, or username")
        }
        (Some(name), _) if name.is_empty() => fault("username", "it is empty; write the name"),
        (None, None) => Ok(Access::Open),
        (Some(username), Some(credential)) => {
            Ok(Access::Fixed { username: username.clone(), credential })
        }
        (None, Some(secret)) => timed(written, secret),
    }
}

fn timed(written: &file::Ice, secret: Secret) -> Result<Access, (&'static str, String)> {
    let ttl = written.ttl.unwrap_or(file::Span(86_400_000));
    if !(TTL_MS.0..=TTL_MS.1).contains(&ttl.0) {
        return Err(("ttl", "out of range; write \"60s\" to \"7d\"".to_owned()));
    }
    Ok(Access::Timed { secret, ttl_s: ttl.seconds(), password })
}

/// The password of a name: its HMAC-SHA1 by the shared secret, which is what TURN servers compute.
fn password(secret: &str, username: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, username.as_bytes()))
}

/// `scheme:host`, maybe with a port, and for TURN a transport.
fn is_sound(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else { return false };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(at, q)| (at, Some(q)));
    let turn = matches!(scheme, "turn" | "turns");
    let known = turn || matches!(scheme, "stun" | "stuns");
    let is_query = match query {
        None => true,
        Some(query) => turn && matches!(query, "transport=udp" | "transport=tcp"),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !place.ends_with(']') => (host, Some(port)),
        _ => (place, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_host = match host.strip_prefix('[') {
        Some(inner) => {
            inner.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())
        }
        None => {
            let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            !host.is_empty() && host.chars().all(sound)
        }
    };
    url.len() <= MOST_URL && known && is_query && is_port && is_host
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password of `1433895903:filmsoft` by the secret `north`, as
    /// `printf %s NAME | openssl dgst -sha1 -hmac north -binary | base64` gives it.
    #[test]
    fn a_password_is_what_a_turn_server_computes() {
        assert_eq!(password("north", "1433895903:filmsoft"), "RVRCxlYw9u1i/E+2fP7Sn10rR0g=");
    }

    #[test]
    fn uris_are_told_from_what_is_none() {
        for sound in [
            "stun:stun.example.com",
            "stuns:192.0.2.1:5349",
            "turn:[2001:db8::1]",
            "turn:[2001:db8::1]:3478?transport=udp",
            "turns:turn.example.com?transport=tcp",
        ] {
            assert!(is_sound(sound), "{sound}");
        }
        for odd in [
            "turn.example.com",
            "turn:",
            "http://turn.example.com",
            "turn://turn.example.com",
            "turn:a.example.com:0",
            "turn:a.example.com:70000",
            "turn:user@a.example.com",
            "turn:a.example.com?transport=sctp",
            "stun:a.example.com?transport=udp",
            "turn:[2001:db8::zz]",
            "turn:a.example.com\r\n",
        ] {
            assert!(!is_sound(odd), "{odd}");
        }
    }
}
