//! Whom an app's request names: the one reading of `header.target`, for calls, messages and
//! subscriptions.

use reveille_wire::sip::Uri;

const MOST_BYTES: usize = 512;

/// A URI, a telephone number, `user@host`, or a user of our first domain.
///
/// # Errors
/// What is wrong with it, and what to write.
pub(super) fn read(named: Option<&str>, domains: &[String]) -> Result<Uri, String> {
    let named = named.unwrap_or_default().trim();
    let domain = domains.first().map(String::as_str).unwrap_or_default();
    let phone = named.strip_prefix("tel:").or_else(|| named.starts_with('+').then_some(named));
    let written = match phone {
        Some(number) => {
            let digits: String = number.chars().filter(|c| !"-.()".contains(*c)).collect();
            format!("sip:{digits}@{domain};user=phone")
        }
        None if named.starts_with("sip:") || named.starts_with("sips:") => named.to_owned(),
        None if named.contains('@') => format!("sip:{named}"),
        None => format!("sip:{named}@{domain}"),
    };
    let bad = |why: &str| {
        format!("header.target names nobody ({why}); write user@host, a sip: URI or a tel: number")
    };
    if written.len() > MOST_BYTES {
        return Err(bad("longer than 512 bytes"));
    }
    if !written.is_ascii() {
        return Err(bad("SIP writes what is not ASCII as %XX"));
    }
    let uri = Uri::parse(&written).map_err(|malformed| bad(&malformed.what))?;
    if uri.user.as_deref().unwrap_or_default().is_empty() || uri.headers.is_some() {
        return Err(bad("no user"));
    }
    Ok(uri)
}
