//! TLS of the service, with HTTP/2 by ALPN, or HTTP/1.1 for who offers nothing better.

use std::sync::Arc;
use std::time::Duration;

use reveille_host::{BoxStream, Clock, Host, within};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsAcceptor;

/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// The port that speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tls {
    /// `address:port`.
    pub listen: String,
    /// The certificate and those that lead to its root, as PEM.
    pub certificates: String,
    /// Its private key, as PEM.
    pub private_key: String,
}

struct HostTime(Arc<dyn Clock>);

impl std::fmt::Debug for HostTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostTime")
    }
}

impl TimeProvider for HostTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.now().wall))
    }
}

/// Reads certificates and key.
///
/// # Errors
/// What is wrong with them.
pub(super) fn acceptor(tls: &Tls, host: &Host) -> Result<TlsAcceptor, String> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(tls.certificates.as_bytes()).collect();
    let chain = chain.map_err(|error| format!("tls.certificates: {error}; write PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(tls.private_key.as_bytes())
        .map_err(|error| format!("tls.private-key: {error}; write PEM"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let time = Arc::new(HostTime(host.clock.clone()));
    let config = ServerConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("tls: {error}"))?
        .with_no_client_auth()
        .with_single_cert(chain, key);
    let mut config = config.map_err(|error| format!("tls: {error}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Shakes hands; the flag tells whether HTTP/2 follows.
///
/// # Errors
/// What went wrong.
pub(super) async fn accept(
    acceptor: &TlsAcceptor,
    stream: BoxStream,
    host: &Host,
) -> Result<(BoxStream, bool), String> {
    match within(&*host.clock, HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
        None => Err("no TLS handshake in time".to_owned()),
        Some(Err(error)) => Err(format!("no TLS handshake: {error}")),
        Some(Ok(stream)) => {
            let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok((Box::new(stream), two))
        }
    }
}
