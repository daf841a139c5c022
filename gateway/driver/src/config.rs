//! What the operator decides.

use crate::fabric::FabricSettings;
use crate::push::PushSettings;
use reveille_gateway_core::config::Config;

/// Everything a gateway is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the core is told.
    pub core: Config,
    /// `address:port` of each UDP socket for SIP.
    pub udp: Vec<String>,
    /// `address:port` of each TCP listener for SIP.
    pub tcp: Vec<String>,
    /// `address:port` where apps connect.
    pub websocket: Option<String>,
    /// The application of the path `/chat`.
    pub default_app: String,
    /// Origins that may connect; empty: all.
    pub origins: Vec<String>,
    /// WebSockets in all.
    pub most_sockets: usize,
    /// WebSockets from one address.
    pub most_sockets_per_ip: usize,
    /// Where records survive.
    pub fabric: FabricSettings,
    /// How devices are woken.
    pub push: PushSettings,
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
            websocket: Some(any()),
            default_app: "phone".to_owned(),
            origins: Vec::new(),
            most_sockets: 100_000,
            most_sockets_per_ip: 10_000,
            fabric: FabricSettings { engine: "memory".to_owned(), ..FabricSettings::default() },
            push: PushSettings::default(),
        }
    }
}
