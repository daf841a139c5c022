//! How a phone is set up: its app, and what both do by themselves.

use serde::{Deserialize, Serialize};

use super::os;

/// How a phone is set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// `host:port` of the gateway's WebSocket.
    pub gateway: String,
    /// Path of the upgrade.
    #[serde(default = "default_path")]
    pub path: String,
    /// Who the app is in its frames: `bob@example.com`.
    pub address: String,
    /// User name for HTTP Basic.
    pub user: String,
    /// Secret for HTTP Basic.
    pub secret: String,
    /// `host:port` of the push service's channel for phones.
    pub push: String,
    /// The device token.
    pub token: String,
    /// The push provider as the gateway names it.
    #[serde(default = "default_provider")]
    pub provider: String,
    /// The application at the push service.
    #[serde(default = "default_app_id")]
    pub app_id: String,
    /// Which app.
    #[serde(default)]
    pub app: AppKind,
    /// Sleep asked for, in seconds.
    #[serde(default = "default_ttl")]
    pub ttl_s: u64,
    /// Seconds of silence after which the house's client library pings when it has no call.
    #[serde(default = "default_ping")]
    pub ping_s: u64,
    /// How it goes to sleep.
    #[serde(default)]
    pub sleep_by: SleepBy,
    /// Whether it goes to sleep by itself whenever it is connected and has no call.
    #[serde(default)]
    pub resleeps: bool,
    /// What it does with a call.
    #[serde(default)]
    pub conduct: Conduct,
    /// Its operating system; absent: one that keeps the push channel and does nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<os::Settings>,
}

fn default_path() -> String {
    "/ws/webrtc/app".to_owned()
}
fn default_provider() -> String {
    "webhook".to_owned()
}
fn default_app_id() -> String {
    "com.example.app".to_owned()
}
const fn default_ttl() -> u64 {
    3600
}
const fn default_ping() -> u64 {
    10
}

/// Which app runs on the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppKind {
    /// The house's client library.
    #[default]
    Sdk,
    /// The one of [`plain`].
    Plain,
}

/// How an app goes to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SleepBy {
    /// It asks, and closes when it is granted.
    #[default]
    Hibernate,
    /// It closes with the sleep code.
    Close,
}

/// What the app does with a call that it alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Conduct {
    /// Answers it.
    Answer {
        /// That many milliseconds after the alert.
        after_ms: u64,
    },
    /// Declines it.
    Decline {
        /// With this SIP status.
        status: u16,
    },
    /// Lets it ring.
    Ring,
}

impl Default for Conduct {
    fn default() -> Self {
        Self::Answer { after_ms: 0 }
    }
}
