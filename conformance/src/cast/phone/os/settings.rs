use serde::{Deserialize, Serialize};

/// A phone's operating system, and how it treats the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Which.
    pub system: System,
    /// The bucket of App Standby.
    #[serde(default)]
    pub bucket: Bucket,
    /// Whether the app may show notifications.
    #[serde(default)]
    pub permission: Permission,
    /// How long the app takes to start from nothing; absent: within the range of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_start_ms: Option<u64>,
}

/// Which operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// Apple's.
    Ios,
    /// Google's.
    Android,
    /// A browser, and a page in it.
    Web,
}

impl System {
    /// The platform as an app tells it to its gateway.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ios => "ios",
            Self::Android => "android",
            Self::Web => "web",
        }
    }
}

/// A bucket of Android's App Standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bucket {
    /// In use.
    #[default]
    Active,
    /// In regular use.
    WorkingSet,
    /// Often used, but not every day.
    Frequent,
    /// Seldom used.
    Rare,
    /// It used too much.
    Restricted,
}

/// Whether the app may show notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// The user said yes.
    #[default]
    Granted,
    /// The user said no.
    Denied,
    /// The system has not asked; it does when the app comes to the front.
    Unasked,
}
