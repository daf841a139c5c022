use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reveille_host::{BoxStream, Host, within};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ServerConfig};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::{Connector, HostTime, Identity, TlsSettings, chain, key, roots, taught};
use crate::door::Door;
use crate::world::World;

/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// Handshakes under way at one kind of port, in all and from one address.
const HALF_OPEN: (usize, usize) = (1_024, 128);
/// How a port is told its certificate, and told again.
type Told = watch::Sender<Option<Arc<ServerConfig>>>;

/// Shakes hands at a port, with the certificate that is now in force.
#[derive(Clone)]
pub(crate) struct Acceptor {
    config: watch::Receiver<Option<Arc<ServerConfig>>>,
    half_open: Door,
    /// The kind of port, as metrics name it.
    port: &'static str,
}

/// The acceptors of each kind of port; `None`: it has no certificate.
#[derive(Default)]
pub(crate) struct Ports {
    pub(crate) sip: Option<Acceptor>,
    pub(crate) websocket: Option<Acceptor>,
}

/// Changes the certificates of a gateway that runs. Connections that stand keep theirs.
#[derive(Clone)]
pub struct Certificates {
    host: Host,
    sip: Arc<Told>,
    websocket: Arc<Told>,
    connector: Option<Arc<Connector>>,
}

/// Certificates that were found sound, to be put in force.
pub(crate) struct Renewed {
    ports: Configs,
    dialling: Option<ClientConfig>,
}

impl Certificates {
    /// Puts these in force for whoever connects from now on, and whom we dial. A port that had no
    /// certificate when the gateway started stays without.
    ///
    /// # Errors
    /// What is wrong with them; the old ones stay in force.
    pub fn replace(&self, settings: &TlsSettings) -> Result<(), String> {
        self.put(self.check(settings)?);
        Ok(())
    }

    /// # Errors
    /// What is wrong with them.
    pub(crate) fn check(&self, settings: &TlsSettings) -> Result<Renewed, String> {
        let dialling = || Connector::config(&self.host, settings);
        let dialling = self.connector.as_ref().map(|_| dialling()).transpose()?;
        Ok(Renewed { ports: configs(&self.host, settings)?, dialling })
    }

    pub(crate) fn put(&self, renewed: Renewed) {
        let Renewed { ports: (sip, websocket), dialling } = renewed;
        self.sip.send_replace(sip);
        self.websocket.send_replace(websocket);
        if let (Some(connector), Some(config)) = (&self.connector, dialling) {
            connector.renew(config);
        }
    }
}

/// Of the SIP ports, and of the apps' port.
type Configs = (Option<Arc<ServerConfig>>, Option<Arc<ServerConfig>>);

fn configs(host: &Host, settings: &TlsSettings) -> Result<Configs, String> {
    let client_ca = settings.client_ca.as_deref();
    let of = |identity: &Option<Identity>, ca| {
        identity.as_ref().map(|identity| server(host, identity, ca)).transpose()
    };
    Ok((of(&settings.sip, client_ca)?, of(&settings.websocket, None)?))
}

/// The acceptors of a gateway, and what changes them.
///
/// # Errors
/// What is wrong with a certificate or its key.
pub(crate) fn certificates(
    host: &Host,
    settings: &TlsSettings,
    connector: Option<Arc<Connector>>,
) -> Result<(Ports, Certificates), String> {
    let (sip, websocket) = configs(host, settings)?;
    let port = |port, config: Option<Arc<ServerConfig>>| {
        let is_there = config.is_some();
        let (told, config) = watch::channel(config);
        let half_open = Door::new(HALF_OPEN.0, HALF_OPEN.1);
        (is_there.then_some(Acceptor { config, half_open, port }), Arc::new(told))
    };
    let ((sip, for_sip), (websocket, for_websocket)) =
        (port("sip", sip), port("websocket", websocket));
    let host = host.clone();
    let certificates = Certificates { host, sip: for_sip, websocket: for_websocket, connector };
    Ok((Ports { sip, websocket }, certificates))
}

fn server(
    host: &Host,
    identity: &Identity,
    client_ca: Option<&str>,
) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let time = Arc::new(HostTime(Arc::clone(&host.clock)));
    let config = ServerConfig::builder_with_details(Arc::clone(&provider), time)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match client_ca {
        None => config.with_no_client_auth(),
        Some(ca) => {
            let roots = Arc::new(roots(Some(ca))?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            config.with_client_cert_verifier(verifier.map_err(|error| error.to_string())?)
        }
    };
    let pair = config.with_single_cert(chain(&identity.chain)?, key(&identity.key.0)?);
    pair.map(Arc::new).map_err(|error| format!("certificate and key do not go together: {error}"))
}

impl Acceptor {
    /// Shakes hands with whoever connected; `None` if that fails, takes too long, or too many are
    /// at it. Handshakes are counted apart from what stands, so that half-open ones do not keep
    /// peers out for long.
    pub(crate) async fn shake(
        &self,
        world: &World,
        stream: BoxStream,
        source: SocketAddr,
    ) -> Option<BoxStream> {
        let Some(_inside) = self.half_open.enter(source.ip()) else {
            let port = self.port;
            tracing::warn!(%source, port, "too many TLS handshakes under way: one is refused");
            world.metrics.handshake_refused(port);
            return None;
        };
        let config = self.config.borrow().clone()?;
        let work = TlsAcceptor::from(config).accept(stream);
        let work = within(&*world.host.clock, HANDSHAKE_LIMIT, work);
        match world.unless_stopped(work).await? {
            Some(Ok(stream)) => Some(Box::new(stream)),
            Some(Err(error)) => {
                tracing::info!(%source, why = taught(&error), "no TLS");
                None
            }
            None => {
                tracing::info!(%source, "the TLS handshake took more than 5 s and was given up");
                None
            }
        }
    }
}
