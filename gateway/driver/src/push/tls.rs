//! TLS towards push services: rustls with ring, on the host's clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reveille_host::{BoxStream, Clock, Host};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

/// HTTP/2 over TLS (RFC 9113 section 3.2).
const ALPN: &[u8] = b"h2";
/// Certificates that are read of one file.
const MOST_CERTIFICATES: usize = 1_000;

/// Certificates are judged by the host's wall clock.
struct HostTime(Arc<dyn Clock>);

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

/// The host's wall clock, as TLS reads it.
pub(crate) fn host_time(host: &Host) -> Arc<dyn TimeProvider> {
    Arc::new(HostTime(Arc::clone(&host.clock)))
}

/// The authorities of a PEM text, or the public ones.
///
/// # Errors
/// The text holds no certificate that can be one.
pub(super) fn roots(ca: Option<&str>) -> Result<RootCertStore, String> {
    let Some(pem) = ca else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).take(MOST_CERTIFICATES) {
        let certificate = certificate.map_err(|error| format!("no certificate in PEM: {error}"))?;
        store.add(certificate).map_err(|error| format!("a certificate is unsound: {error}"))?;
    }
    if store.is_empty() { Err("no certificate in PEM".to_owned()) } else { Ok(store) }
}

/// How a client of these authorities connects.
pub(super) fn client(host: &Host, ca: Option<&str>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_details(provider, host_time(host))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = config.with_root_certificates(roots(ca)?).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// Turns a stream into one that only the named server can read, and that speaks HTTP/2.
pub(super) async fn wrap(
    config: Arc<ClientConfig>,
    name: &str,
    stream: BoxStream,
) -> Result<BoxStream, String> {
    let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
    let server =
        ServerName::try_from(name).map_err(|error| format!("no name of a server: {error}"))?;
    let connected = TlsConnector::from(config).connect(server, stream).await;
    let stream = connected.map_err(|error| format!("TLS: {error}"))?;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err("TLS: the server does not speak HTTP/2".to_owned());
    }
    Ok(Box::new(stream))
}
