//! TLS of the operator's port.

use std::sync::Arc;

use reveille_gateway_core::config::Secret;
use rustls::ServerConfig;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// The one protocol of the port.
const ALPN: &[u8] = b"http/1.1";
/// Certificates of a chain.
const MOST_CERTIFICATES: usize = 10;

/// A certificate with its chain, and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The chain in PEM, the server's own certificate first.
    pub certificates: String,
    /// The key in PEM.
    pub key: Secret,
}

/// The key of the configuration that is wrong, and what to write instead.
type Fault = (&'static str, String);

impl Identity {
    /// True if it is one.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        self.config(Arc::new(DefaultTimeProvider)).map(|_| ())
    }

    /// What makes streams private.
    pub(crate) fn acceptor(&self, time: Arc<dyn TimeProvider>) -> Result<TlsAcceptor, Fault> {
        self.config(time).map(|config| TlsAcceptor::from(Arc::new(config)))
    }

    fn config(&self, time: Arc<dyn TimeProvider>) -> Result<ServerConfig, Fault> {
        let chain = CertificateDer::pem_slice_iter(self.certificates.as_bytes());
        let chain: Result<Vec<_>, _> = chain.take(MOST_CERTIFICATES).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
            let what =
                "no certificate in PEM; write a file that begins -----BEGIN CERTIFICATE-----";
            ("certificate-file", what.to_owned())
        })?;
        let key = PrivateKeyDer::from_pem_slice(self.key.0.as_bytes()).map_err(|_| {
            let what =
                "no private key in PEM; write a file that begins -----BEGIN PRIVATE KEY-----";
            ("key-file", what.to_owned())
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_details(provider, time)
            .with_safe_default_protocol_versions()
            .map_err(|error| ("certificate-file", error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key);
        let mut config = config.map_err(|error| {
            let what = format!("the key and the first certificate do not go together: {error}");
            ("key-file", format!("{what}; write the key that the certificate was made for"))
        })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}
