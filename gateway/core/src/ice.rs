//! ICE servers that apps are told of (D-10), with credentials of each app's own for TURN.

use serde_json::{Value, json};

use crate::config::Secret;

/// STUN or TURN servers with the same credentials.
#[derive(Debug, Clone)]
pub struct IceServer {
    /// `stun:`, `stuns:`, `turn:` and `turns:` URIs (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// The application that they are for; `None`: all of them.
    pub app: Option<String>,
    /// What lets an app in.
    pub access: Access,
}

/// What lets an app in at a TURN server.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nothing is asked for.
    Open,
    /// The same name and password for everybody.
    Fixed {
        /// The name.
        username: String,
        /// The password.
        credential: Secret,
    },
    /// A name that says when it ends and for whom it is, and its digest by a secret that the gateway
    /// shares with the server (draft-uberti-behave-turn-rest).
    Timed {
        /// The shared secret.
        secret: Secret,
        /// How long a password holds, in seconds.
        ttl_s: u64,
        /// The password of a name by the secret: HMAC-SHA1 in base64. Whoever configures the core
        /// brings it.
        password: fn(secret: &str, username: &str) -> String,
    },
}

impl IceServer {
    pub(crate) fn is_for(&self, app: &str) -> bool {
        self.app.as_deref().is_none_or(|of| of == app)
    }

    /// As an app hands it to its browser: a dictionary RTCIceServer.
    pub(crate) fn told(&self, user: &str, now_wall_us: u64) -> Value {
        let (username, credential) = match &self.access {
            Access::Open => return json!({"urls": self.urls}),
            Access::Fixed { username, credential } => (username.clone(), credential.0.clone()),
            Access::Timed { secret, ttl_s, password } => {
                let username = format!("{}:{user}", now_wall_us / 1_000_000 + ttl_s);
                let credential = password(&secret.0, &username);
                (username, credential)
            }
        };
        json!({"urls": self.urls, "username": username, "credential": credential})
    }

    /// How long what is told holds, in seconds; `None`: it does not end.
    pub(crate) const fn ttl_s(&self) -> Option<u64> {
        match self.access {
            Access::Timed { ttl_s, .. } => Some(ttl_s),
            Access::Open | Access::Fixed { .. } => None,
        }
    }
}
