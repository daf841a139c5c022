/// A push service, or the token endpoint that goes with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Service {
    /// A plain webhook.
    #[default]
    Webhook,
    /// Apple's.
    Apns,
    /// Google's.
    Fcm,
    /// Google's token endpoint, which goes with `fcm`.
    OAuth,
    /// A browser's.
    WebPush,
}

impl Service {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Webhook, Self::Apns, Self::Fcm, Self::OAuth, Self::WebPush];

    /// Its name: `push = "apns"` of a phone, `push.apns` where a fault strikes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Apns => "apns",
            Self::Fcm => "fcm",
            Self::OAuth => "oauth",
            Self::WebPush => "webpush",
        }
    }

    /// The names of the failures that its documents list; empty where a status says all.
    #[must_use]
    pub const fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::Webhook | Self::WebPush => &[],
            Self::Apns => APNS,
            Self::Fcm => FCM,
            Self::OAuth => OAUTH,
        }
    }
}

/// The reasons of APNs that tell since when a token is dead.
pub(crate) const DATED: [&str; 2] = ["Unregistered", "ExpiredToken"];

const APNS: &[&str] = &[
    "BadCollapseId",
    "BadDeviceToken",
    "BadExpirationDate",
    "BadMessageId",
    "BadPriority",
    "BadTopic",
    "DeviceTokenNotForTopic",
    "DuplicateHeaders",
    "IdleTimeout",
    "InvalidPushType",
    "MissingDeviceToken",
    "MissingTopic",
    "PayloadEmpty",
    "TopicDisallowed",
    "BadCertificate",
    "BadCertificateEnvironment",
    "ExpiredProviderToken",
    "Forbidden",
    "InvalidProviderToken",
    "MissingProviderToken",
    "UnrelatedKeyIdInToken",
    "BadEnvironmentKeyIdInToken",
    "BadPath",
    "MethodNotAllowed",
    "ExpiredToken",
    "Unregistered",
    "PayloadTooLarge",
    "TooManyProviderTokenUpdates",
    "TooManyRequests",
    "InternalServerError",
    "ServiceUnavailable",
    "Shutdown",
];

/// FCM's error codes, then what stands in its answers without one.
const FCM: &[&str] = &[
    "UNSPECIFIED_ERROR",
    "INVALID_ARGUMENT",
    "UNREGISTERED",
    "SENDER_ID_MISMATCH",
    "QUOTA_EXCEEDED",
    "UNAVAILABLE",
    "INTERNAL",
    "THIRD_PARTY_AUTH_ERROR",
    "INVALID_REGISTRATION",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "NOT_FOUND",
    "BAD_GATEWAY",
];

const OAUTH: &[&str] = &[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "temporarily_unavailable",
];
