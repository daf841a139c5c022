//! TLS of the gateway's own ports and towards SIP peers: rustls with ring, certificates judged by
//! the host's clock. ring draws its own randomness, so in simulation no port speaks TLS.

mod client;
mod expiry;
mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use reveille_gateway_core::config::Secret;
use reveille_host::Clock;
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, InvalidMessage, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

pub(crate) use client::Connector;
pub(crate) use expiry::{ends, warn as warn_of_expired};
pub use server::Certificates;
pub(crate) use server::{Acceptor, Ports, certificates};

/// Certificates that are read of one file.
const MOST_CERTIFICATES: usize = 1_000;

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, then those that lead to its root.
    pub chain: String,
    /// The private key.
    pub key: Secret,
}

impl Identity {
    /// # Errors
    /// Certificate and key are no pair.
    pub(crate) fn check(&self) -> Result<(), String> {
        let provider = rustls::crypto::ring::default_provider();
        let pair = CertifiedKey::from_der(chain(&self.chain)?, key(&self.key.0)?, &provider);
        pair.map(|_| ()).map_err(|error| format!("certificate and key do not go together: {error}"))
    }
}

/// Who is who over TLS.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// Ours on the SIP ports; also shown to peers that we dial and that ask for one.
    pub sip: Option<Identity>,
    /// Authorities, in PEM, of which whoever dials a SIP port must show a certificate; `None`: it
    /// need not show one.
    pub client_ca: Option<String>,
    /// Ours on the apps' port; `None`: it speaks no TLS.
    pub websocket: Option<Identity>,
    /// Authorities, in PEM, that peers which we dial are trusted by; `None`: the public ones.
    pub peer_ca: Option<String>,
    /// The name that the certificate of a peer must have, by its `host:port`; else its host.
    pub peer_names: BTreeMap<String, String>,
}

/// Certificates are judged by the host's wall clock.
pub(crate) struct HostTime(pub(crate) Arc<dyn Clock>);

impl fmt::Debug for HostTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostTime")
    }
}

impl TimeProvider for HostTime {
    fn current_time(&self) -> Option<UnixTime> {
        let wall: Duration = self.0.now().wall;
        Some(UnixTime::since_unix_epoch(wall))
    }
}

/// The authorities of a PEM text, or the public ones.
///
/// # Errors
/// The text holds no certificate that can be one.
pub(crate) fn roots(ca: Option<&str>) -> Result<RootCertStore, String> {
    let Some(pem) = ca else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let mut store = RootCertStore::empty();
    for certificate in chain(pem)? {
        store.add(certificate).map_err(|error| format!("a certificate is unsound: {error}"))?;
    }
    Ok(store)
}

/// The certificates of a PEM text.
///
/// # Errors
/// There is none, or one cannot be read.
pub(crate) fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).take(MOST_CERTIFICATES);
    let all: Result<Vec<_>, _> = all.collect();
    let all = all.map_err(|error| format!("no certificate in PEM: {error}"))?;
    if all.is_empty() { Err("no certificate in PEM".to_owned()) } else { Ok(all) }
}

/// The key of a PEM text. No error shows a part of it.
///
/// # Errors
/// There is none.
pub(crate) fn key(pem: &str) -> Result<PrivateKeyDer<'static>, String> {
    let none = |_| "no private key in PEM (PKCS#8, SEC1 or PKCS#1)".to_owned();
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(none)
}

/// Why a handshake failed, and who has to mend it.
fn taught(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let advice = match inner {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "what came is no TLS; the peer must speak TLS here, or use the port without"
        }
        Some(rustls::Error::NoCertificatesPresented) => {
            "the peer shows no certificate, and sip.client-ca-file wants one; give it one"
        }
        Some(rustls::Error::InvalidCertificate(_)) => {
            "the peer's certificate is not to be trusted; give it one of a known authority and of \
                its name, or name its authority in registrar.ca-file or sip.client-ca-file"
        }
        Some(rustls::Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateExpired,
        )) => "the peer does not take our certificate; see certificate-file",
        _ => return format!("TLS: {error}"),
    };
    format!("TLS: {error}: {advice}")
}
