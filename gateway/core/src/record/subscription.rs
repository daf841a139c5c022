use serde::{Deserialize, Serialize};

use super::Raw;

/// The body of a NOTIFY.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// Its Content-Type.
    pub content_type: String,
    /// The body as it came.
    pub body: Raw,
}

/// A subscription of an app. Its SIP dialog belongs to one process; every start subscribes afresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionRecord {
    /// The subsession that the app chose.
    pub subsession: String,
    /// Correlation id of the app's `start`.
    pub correlation: Option<String>,
    /// URI of the notifier.
    pub target: String,
    /// The event package.
    pub event: String,
    /// Lifetime asked for, in seconds.
    pub expires_s: u32,
    /// The app was told that the subscription stands.
    pub told: bool,
    /// The app has ended it.
    pub ending: bool,
    /// The latest state that the app has not seen, if it was away: later ones replace it.
    pub latest: Option<Notified>,
    /// Names the latest state that was kept or given, so that one which only comes again is no news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}
