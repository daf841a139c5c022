//! Where a SIP domain is served (RFC 3263): what is asked of DNS, and what follows from it.

mod aim;
mod message;
mod stub;
mod targets;

use std::collections::BTreeMap;
use std::net::IpAddr;

use reveille_host::BoxFuture;

pub(crate) use aim::{aim, follow};
pub use stub::Stub;
pub use targets::Domain;

/// A kind of record that SIP asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An IPv4 address (RFC 1035).
    A,
    /// An IPv6 address (RFC 3596).
    Aaaa,
    /// Servers of a service (RFC 2782).
    Srv,
    /// Services of a domain (RFC 3403).
    Naptr,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// Of A and AAAA.
    Address(IpAddr),
    /// Of SRV.
    Srv {
        /// Lowest first.
        priority: u16,
        /// Share among those of one priority.
        weight: u16,
        /// Where the service listens.
        port: u16,
        /// Name of the host.
        target: String,
    },
    /// Of NAPTR.
    Naptr {
        /// Lowest first, then lowest preference.
        order: u16,
        /// Lowest first.
        preference: u16,
        /// `s`: SRV follows.
        flags: String,
        /// Such as `SIP+D2U`.
        service: String,
        /// What is looked up next.
        replacement: String,
    },
}

/// A record and how long it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Seconds.
    pub ttl_s: u32,
    /// What it says.
    pub data: Data,
}

/// Looks names up. In simulation a [`Table`] stands here.
pub trait Resolve: std::fmt::Debug + Send + Sync {
    /// The records of this kind; empty: there is none. An error: nobody knows, ask again later.
    fn lookup<'a>(
        &'a self,
        name: &'a str,
        kind: Kind,
    ) -> BoxFuture<'a, Result<Vec<Record>, String>>;
}

/// Records that are written down.
#[derive(Debug, Clone, Default)]
pub struct Table(pub BTreeMap<(String, Kind), Vec<Record>>);

impl Resolve for Table {
    fn lookup<'a>(
        &'a self,
        name: &'a str,
        kind: Kind,
    ) -> BoxFuture<'a, Result<Vec<Record>, String>> {
        let found = self.0.get(&(name.to_ascii_lowercase(), kind)).cloned();
        Box::pin(std::future::ready(Ok(found.unwrap_or_default())))
    }
}
