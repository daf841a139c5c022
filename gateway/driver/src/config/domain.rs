//! A registrar that is named by its domain: what is asked of DNS, and of whom.

use std::net::{IpAddr, SocketAddr};

use super::Secrets;
use super::file::Registrar;
use crate::dns::Domain;

/// Where the system keeps the servers that resolve for it, and the port that they listen at.
const SYSTEM: &str = "/etc/resolv.conf";
const PORT: u16 = 53;

/// True if the address names a domain: no port, and no address of a host.
pub(super) fn is_domain(address: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let labels = !address.is_empty() && address.len() < 254 && address.chars().all(sound);
    labels && address.parse::<IpAddr>().is_err()
}

/// The domain, if the registrar is named by one.
pub(super) fn of(written: &Registrar) -> Option<Domain> {
    is_domain(&written.address).then(|| Domain {
        name: written.address.clone(),
        transport: written.transport.as_deref().and_then(super::check::transport_of),
        secure: written.uri.starts_with("sips:"),
        proves: written.server_name.clone().unwrap_or_else(|| written.address.clone()),
    })
}

/// The server that is asked.
///
/// # Errors
/// Key, and what to write.
pub(super) fn server(
    written: &Registrar,
    secrets: &Secrets<'_>,
) -> Result<SocketAddr, (&'static str, String)> {
    if let Some(named) = &written.resolver {
        let what = || format!("`{named}` is no address:port; write one like \"127.0.0.53:53\"");
        return named.parse().map_err(|_| ("resolver", what()));
    }
    let what = |why: String| {
        let what = format!("a domain needs a DNS server, and {SYSTEM} names none: {why}; ");
        ("address", what + "write a port behind the host, or resolver = \"127.0.0.53:53\"")
    };
    let text = (secrets.file)(SYSTEM).map_err(|error| what(error.to_string()))?;
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let first = named.filter_map(|rest| rest.trim().parse::<IpAddr>().ok()).next();
    let first = first.ok_or_else(|| what("no line `nameserver` with an address".to_owned()))?;
    Ok(SocketAddr::new(first, PORT))
}
