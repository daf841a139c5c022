//! SIP, SIPS, tel and other URIs (RFC 3261 19.1, RFC 3966).

use super::malformed::{Malformed, excerpt};
use super::params::Params;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

const RULE: &str = "RFC 3261 19.1.1";

/// A URI in its parts, escapes as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// Lower case: `sip`, `sips`, `tel` or another scheme.
    pub scheme: String,
    /// User with its password, if any, still escaped; the number of a tel URI; all that follows the
    /// colon in a scheme that is neither.
    pub user: Option<String>,
    /// Host as spelled, IPv6 in its brackets; empty outside sip and sips.
    pub host: String,
    /// Port, where one is written.
    pub port: Option<u16>,
    /// URI parameters, apart from those of the header around it.
    pub params: Params,
    /// What follows `?`, still escaped.
    pub headers: Option<String>,
}

impl Uri {
    /// Reads a URI; there may be nothing around it.
    ///
    /// # Errors
    /// RFC 3261 19.1.1 and 25.1, RFC 3966 3 for tel.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if let Some(at) = text
            .bytes()
            .position(|byte| byte <= b' ' || byte == 0x7f || matches!(byte, b'<' | b'>' | b'"'))
        {
            let what =
                "blank, quote or angle bracket inside a URI; escape it as %20, %22, %3C or %3E";
            return Err(Malformed::new(RULE, at, what));
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(|| {
            let what =
                format!("`{}` has no scheme; write sip:, sips: or tel: before it", excerpt(text));
            Malformed::new(RULE, 0, what)
        })?;
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(letters) {
            let what = format!("`{}` is no URI scheme; write sip, sips or tel", excerpt(scheme));
            return Err(Malformed::new(RULE, 0, what));
        }
        let scheme = scheme.to_ascii_lowercase();
        let at = scheme.len() + 1;
        match scheme.as_str() {
            "sip" | "sips" => sip(scheme, rest),
            "tel" => tel(scheme, rest),
            _ => Ok(Self::opaque(scheme, rest)),
        }
        .map_err(|fault| fault.shifted(at))
    }

    fn opaque(scheme: String, rest: &str) -> Self {
        let user = Some(rest.to_owned());
        Self { scheme, user, host: String::new(), port: None, params: Params::new(), headers: None }
    }

    /// `user@host` of an address of record: host in lower case, escapes of the user resolved, no
    /// password, port or parameters (RFC 3261 10.3 step 5). A tel URI gives its number without
    /// visual separators (RFC 3966 5.1.1).
    #[must_use]
    pub fn aor(&self) -> String {
        let user = self.user.as_deref().unwrap_or("");
        if !self.is_sip() {
            return user.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect();
        }
        let name = unescape(user.split(':').next().unwrap_or(user));
        let host = self.host.to_ascii_lowercase();
        if name.is_empty() { host } else { format!("{name}@{host}") }
    }

    /// Whether the scheme is sip or sips.
    #[must_use]
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme.as_str(), "sip" | "sips")
    }

    /// Value of a URI parameter; `""` for one without a value.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)
    }

    /// Equivalence by RFC 3261 19.1.4; of tel URIs by RFC 3966 4.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        if self.scheme != other.scheme {
            return false;
        }
        if !self.is_sip() {
            return self.aor() == other.aor() && same_params(&self.params, &other.params, &[]);
        }
        let user = |uri: &Self| uri.user.as_deref().map(unescape);
        user(self) == user(other)
            && self.host.eq_ignore_ascii_case(&other.host)
            && self.port == other.port
            && same_params(
                &self.params,
                &other.params,
                &["user", "ttl", "method", "maddr", "transport"],
            )
            && self.sorted_headers() == other.sorted_headers()
    }

    fn sorted_headers(&self) -> Vec<(String, String)> {
        let Some(headers) = &self.headers else { return Vec::new() };
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (unescape(name).to_ascii_lowercase(), unescape(value))
        };
        let mut pairs: Vec<_> = headers.split('&').map(pair).collect();
        pairs.sort();
        pairs
    }
}

/// Parameters in both must agree; those in `decisive` may not stand in one alone.
fn same_params(left: &Params, right: &Params, decisive: &[&str]) -> bool {
    let agrees = |one: &Params, two: &Params| {
        one.iter().all(|(name, value)| match two.get(name) {
            Some(other) => unescape(value.unwrap_or("")).eq_ignore_ascii_case(&unescape(other)),
            None => !decisive.iter().any(|key| key.eq_ignore_ascii_case(name)),
        })
    };
    agrees(left, right) && agrees(right, left)
}

fn sip(scheme: String, rest: &str) -> Result<Uri, Malformed> {
    let (user, after) = match rest.split_once('@') {
        Some((user, after)) => (Some(user), after),
        None => (None, rest),
    };
    let at = rest.len() - after.len();
    if let Some(user) = user {
        check_user(user)?;
    }
    let (before, headers) = match after.split_once('?') {
        Some((before, headers)) => (before, Some(headers)),
        None => (after, None),
    };
    let (hostport, params) = match before.find(';') {
        Some(semi) => (
            &before[..semi],
            params(&before[semi + 1..]).map_err(|fault| fault.shifted(at + semi + 1))?,
        ),
        None => (before, Params::new()),
    };
    let (host, port) = host_port(hostport).map_err(|fault| fault.shifted(at))?;
    if let Some(headers) = headers {
        check_escapes(headers).map_err(|fault| fault.shifted(rest.len() - headers.len()))?;
    }
    let user = user.map(str::to_owned);
    Ok(Uri {
        scheme,
        user,
        host: host.to_owned(),
        port,
        params,
        headers: headers.map(str::to_owned),
    })
}

fn tel(scheme: String, rest: &str) -> Result<Uri, Malformed> {
    const TEL: &str = "RFC 3966 3";
    let (number, tail) = match rest.split_once(';') {
        Some((number, tail)) => (number, Some(tail)),
        None => (rest, None),
    };
    let digits = number.strip_prefix('+').unwrap_or(number);
    let phone = |byte: u8| byte.is_ascii_hexdigit() || b"*#-.()".contains(&byte);
    if digits.is_empty() || !digits.bytes().all(phone) {
        let what = format!("`{}` is no telephone number; write tel:+4930123456", excerpt(number));
        return Err(Malformed::new(TEL, 0, what));
    }
    let params = match tail {
        Some(tail) => params(tail).map_err(|fault| fault.shifted(number.len() + 1))?,
        None => Params::new(),
    };
    let user = Some(number.to_owned());
    Ok(Uri { scheme, user, host: String::new(), port: None, params, headers: None })
}

fn params(text: &str) -> Result<Params, Malformed> {
    check_escapes(text)?;
    let mut params = Params::new();
    let mut at = 0;
    for part in text.split(';') {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        };
        if name.is_empty() || value == Some("") {
            let what = "empty URI parameter; write `;name` or `;name=value`";
            return Err(Malformed::new(RULE, at, what));
        }
        params.append(name, value.map(str::to_owned), false);
        at += part.len() + 1;
    }
    Ok(params)
}

fn check_user(user: &str) -> Result<(), Malformed> {
    if user.is_empty() || user.starts_with(':') {
        return Err(Malformed::new(
            RULE,
            0,
            "`@` without a user before it; write the user or drop `@`",
        ));
    }
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"-_.!~*'()&=+$,;?/:%#".contains(&byte)
    };
    if let Some(at) = user.bytes().position(|byte| !allowed(byte)) {
        return Err(Malformed::new(
            RULE,
            at,
            "character that a user may not hold; escape it as %HH",
        ));
    }
    check_escapes(user)
}

fn check_escapes(text: &str) -> Result<(), Malformed> {
    let bytes = text.as_bytes();
    let broken = |at: &usize| {
        bytes[*at] == b'%'
            && !matches!(bytes.get(at + 1..at + 3), Some(pair) if pair.iter().all(u8::is_ascii_hexdigit))
    };
    match (0..bytes.len()).find(broken) {
        Some(at) => Err(Malformed::new(
            RULE,
            at,
            "`%` without two hex digits; write %25 for a percent sign",
        )),
        None => Ok(()),
    }
}

/// Reads `host [: port]`, host as spelled.
pub(super) fn host_port(text: &str) -> Result<(&str, Option<u16>), Malformed> {
    let split = match text.strip_prefix('[') {
        Some(inner) => inner.find(']').map_or(text.len(), |end| end + 2),
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, tail) = text.split_at(split);
    if !is_host(host) {
        let what =
            format!("`{}` is no host; write a name, an IPv4 address or [IPv6]", excerpt(host));
        return Err(Malformed::new("RFC 3261 25.1", 0, what));
    }
    if tail.is_empty() {
        return Ok((host, None));
    }
    let port = tail.strip_prefix(':').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    match port.and_then(|digits| digits.parse().ok()) {
        Some(port) => Ok((host, Some(port))),
        None => {
            let what =
                format!("`{}` is no port; write `:` and a number up to 65535", excerpt(tail));
            Err(Malformed::new("RFC 3261 25.1", host.len(), what))
        }
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(is_ipv6),
        None => {
            let letter =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            !host.is_empty() && host.bytes().all(letter)
        }
    }
}

/// The grammar of RFC 3261 puts a third colon before an embedded IPv4 address, and RFC 5118 section
/// 4.10 has it read.
fn is_ipv6(text: &str) -> bool {
    let is_valid = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    is_valid(text) || (text.contains('.') && is_valid(&text.replacen(":::", "::", 1)))
}

/// Resolves `%HH`; what is not UTF-8 afterwards stays escaped as a whole.
fn unescape(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

impl FromStr for Uri {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::parse(text)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme)?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if self.is_sip() {
                f.write_str("@")?;
            }
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)?;
        match &self.headers {
            Some(headers) => write!(f, "?{headers}"),
            None => Ok(()),
        }
    }
}
