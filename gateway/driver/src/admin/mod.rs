//! The operator's port: health, metrics, a look at what there is, and orders. HTTP/1.1, one request
//! a connection, each bounded in size and time; `openapi.json` says what can be asked.

mod ask;
mod list;
mod operator;
mod problem;
mod query;
mod reload;
mod routes;
mod serve;
mod tls;
mod view;

use reveille_gateway_core::config::Secret;

pub(crate) use ask::{Ask, Pushes};
pub(crate) use operator::Inside;
pub use operator::{Operator, Refused};
pub use reload::Reloaded;
#[cfg(test)]
pub(crate) use reload::is_live;
pub(crate) use serve::accept;
pub use tls::Identity;

/// What operators need to get in.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    /// `address:port`.
    pub listen: String,
    /// What a request must show as a bearer token; `None` only where nobody else reaches the port.
    pub token: Option<Secret>,
    /// Who the port is; `None`: plain HTTP.
    pub identity: Option<Identity>,
}
