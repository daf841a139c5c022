use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use reveille_gateway_core::io::Flow;
use reveille_host::{BoxStream, Host};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::{HostTime, TlsSettings, chain, key, roots, taught};
use crate::live::Live;

/// Dials SIP peers over TLS. Each must prove the name that it is known by to the operator, not one
/// that DNS gave (RFC 5922 section 7.3): as a DNS name or an address among the certificate's
/// alternative names. A `sip:` URI there, which section 7.1 prefers, is not looked at.
pub(crate) struct Connector {
    config: Live<ClientConfig>,
    names: BTreeMap<String, String>,
    /// The same for places that DNS gave.
    found: Mutex<BTreeMap<String, String>>,
}

impl Connector {
    /// # Errors
    /// What is wrong with the authorities or our own certificate.
    pub(crate) fn new(host: &Host, settings: &TlsSettings) -> Result<Self, String> {
        Ok(Self {
            config: Live::new(Self::config(host, settings)?),
            names: settings.peer_names.clone(),
            found: Mutex::default(),
        })
    }

    /// What the settings make of the next handshakes.
    ///
    /// # Errors
    /// As of [`Self::new`].
    pub(super) fn config(host: &Host, settings: &TlsSettings) -> Result<ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let time = Arc::new(HostTime(Arc::clone(&host.clock)));
        let config = ClientConfig::builder_with_details(provider, time)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots(settings.peer_ca.as_deref())?);
        match &settings.sip {
            None => Ok(config.with_no_client_auth()),
            Some(own) => config
                .with_client_auth_cert(chain(&own.chain)?, key(&own.key.0)?)
                .map_err(|error| format!("certificate and key do not go together: {error}")),
        }
    }

    /// Handshakes that begin from now on are made so.
    pub(super) fn renew(&self, config: ClientConfig) {
        self.config.set(config);
    }

    /// These places, and no others that were found before, must prove this name.
    pub(crate) fn must_prove(&self, flows: &[Flow], name: &str) {
        let found = flows.iter().map(|flow| (flow.peer.clone(), name.to_owned())).collect();
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    fn name_of(&self, peer: &str) -> String {
        let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.names.get(peer).or_else(|| found.get(peer));
        name.map_or_else(|| host.to_owned(), Clone::clone)
    }

    /// Turns a stream to `peer` into one that only that peer can read.
    pub(crate) async fn wrap(&self, peer: &str, stream: BoxStream) -> Result<BoxStream, String> {
        let name = self.name_of(peer);
        let bare = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let server = ServerName::try_from(bare)
            .map_err(|_| format!("`{name}` is no name that a certificate can prove"))?;
        let connected = TlsConnector::from(self.config.get()).connect(server, stream).await;
        connected.map(|stream| Box::new(stream) as BoxStream).map_err(|error| taught(&error))
    }
}
