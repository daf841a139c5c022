//! What the operator decides: a TOML file, read whole and refused with every error at once.

mod admin;
mod bearer;
mod check;
mod domain;
mod example;
mod fabric;
mod file;
mod ice;
mod parse;
mod place;
mod provider;
#[cfg(test)]
mod reference;
mod secure;
mod source;
mod template;
mod tenancy;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use reveille_gateway_core::config::Config;

pub use example::print_config;
pub use file::File;
pub use source::Source;

use crate::admin::AdminSettings;
use crate::bearer::Bearer;
use crate::dns::{Domain, Resolve};
use crate::fabric::FabricSettings;
use crate::pace::Pace;
use crate::push::PushSettings;
use crate::tls::TlsSettings;

/// Everything a gateway is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the core is told.
    pub core: Config,
    /// `address:port` of each UDP socket for SIP.
    pub udp: Vec<String>,
    /// `address:port` of each TCP listener for SIP.
    pub tcp: Vec<String>,
    /// `address:port` of each listener for SIP over TLS.
    pub tls: Vec<String>,
    /// `address:port` of each listener for SIP in WebSockets.
    pub sip_ws: Vec<String>,
    /// The same inside TLS.
    pub sip_wss: Vec<String>,
    /// Origins that SIP in WebSockets may come from; empty: all, and none.
    pub sip_origins: Vec<String>,
    /// The domain whose DNS says where the registrar is; `None`: the core's settings say it.
    pub registrar_domain: Option<Domain>,
    /// Who knows DNS; `None`: `dns_server` is asked.
    pub resolve: Option<Arc<dyn Resolve>>,
    /// The DNS server that resolves for us.
    pub dns_server: Option<SocketAddr>,
    /// Certificates and authorities.
    pub secure: TlsSettings,
    /// `address:port` where apps connect.
    pub websocket: Option<String>,
    /// The application of the path `/chat`.
    pub default_app: String,
    /// Origins that may connect; empty: all.
    pub origins: Vec<String>,
    /// Whose tokens are taken beside names and secrets.
    pub bearer: Option<Bearer>,
    /// WebSockets in all.
    pub most_sockets: usize,
    /// WebSockets from one address.
    pub most_sockets_per_ip: usize,
    /// Upgrades in a second.
    pub pace: Pace,
    /// Where records survive.
    pub fabric: FabricSettings,
    /// How devices are woken.
    pub push: PushSettings,
    /// Where operators look and steer; `None`: nowhere.
    pub admin: Option<AdminSettings>,
    /// Where the configuration is read anew; `None`: it never changes.
    pub source: Option<Source>,
    /// The whims that the gateway follows.
    #[cfg(feature = "mutants")]
    pub whims: reveille_gateway_core::whim::Whims,
}

impl Settings {
    /// A node with this core, any free port of this machine for each kind, a fabric in memory, and
    /// no push service.
    #[must_use]
    pub fn new(core: Config) -> Self {
        let any = || "127.0.0.1:0".to_owned();
        Self {
            core,
            udp: vec![any()],
            tcp: vec![any()],
            tls: Vec::new(),
            sip_ws: Vec::new(),
            sip_wss: Vec::new(),
            sip_origins: Vec::new(),
            registrar_domain: None,
            resolve: None,
            dns_server: None,
            secure: TlsSettings::default(),
            websocket: Some(any()),
            default_app: "phone".to_owned(),
            origins: Vec::new(),
            bearer: None,
            most_sockets: 100_000,
            most_sockets_per_ip: 10_000,
            pace: Pace::default(),
            fabric: FabricSettings { engine: "memory".to_owned(), ..FabricSettings::default() },
            push: PushSettings::default(),
            admin: None,
            source: None,
            #[cfg(feature = "mutants")]
            whims: reveille_gateway_core::whim::Whims::default(),
        }
    }
}

/// One thing wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as the operator named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// `section.key`; empty if the text is no TOML.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub what: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, key, what } = self;
        match key.as_str() {
            "" => write!(f, "{file}:{line}: {what}"),
            key => write!(f, "{file}:{line}: {key}: {what}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Where secrets come from, given by whoever may read environment and files.
pub struct Secrets<'a> {
    /// The value of an environment variable.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a file.
    pub file: &'a dyn Fn(&str) -> std::io::Result<String>,
}

/// Reads a configuration. `name` is the file's name, for errors.
///
/// # Errors
/// Everything that is wrong with it, in the order of the lines.
pub fn read(name: &str, text: &str, secrets: &Secrets<'_>) -> Result<Settings, Vec<ConfigError>> {
    let (file, mut errors, text) = parse::file(name, text)?;
    match check::settings(name, &text, &file, secrets) {
        Ok(settings) if errors.is_empty() => return Ok(settings),
        Ok(_) => {}
        Err(more) => errors.extend(more),
    }
    errors.sort_by_key(|error| error.line);
    Err(errors)
}
