//! TLS towards push services: rustls with ring, on the host's clock.

use std::sync::Arc;

use reveille_host::{BoxStream, Host};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::tls::{HostTime, roots};

/// HTTP/2 over TLS (RFC 9113 section 3.2).
const ALPN: &[u8] = b"h2";
/// The host's wall clock, as TLS reads it.
pub(crate) fn host_time(host: &Host) -> Arc<dyn rustls::time_provider::TimeProvider> {
    Arc::new(HostTime(Arc::clone(&host.clock)))
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
