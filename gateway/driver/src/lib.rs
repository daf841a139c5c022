//! The reference gateway's driver: sockets, WebSocket, fabric, push plugins and configuration around
//! the pure core. It turns bytes into the core's inputs and the core's outputs into bytes, and
//! keeps no opinion of its own about calls.
//!
//! **Invariant:** the run loop awaits nothing but its inbox and the core's next deadline; every
//! output goes into a bounded queue, and a queue that is full comes back to the core as an input.
//! Nothing here is global: any number of gateways live in one process and one thread.
#![warn(missing_docs)]

/// True if the gateway follows this whim now; constant false without the feature `mutants`.
#[cfg(feature = "mutants")]
macro_rules! whim {
    ($world:expr, $whim:ident) => {
        $world.follows(reveille_gateway_core::whim::Whim::$whim)
    };
}
#[cfg(not(feature = "mutants"))]
macro_rules! whim {
    ($world:expr, $whim:ident) => {
        false
    };
}

mod accept;
mod admin;
pub mod bearer;
pub mod config;
mod credentials;
pub mod dns;
mod door;
pub mod fabric;
mod gateway;
#[cfg(test)]
mod hasty;
mod head;
mod health;
mod http;
mod linger;
mod live;
mod metrics;
pub mod pace;
mod ports;
pub mod push;
mod quota;
mod run;
mod sip;
pub mod tls;
mod upgrade;
mod world;
mod ws;

pub use admin::{AdminSettings, Identity, Operator, Refused, Reloaded};
pub use gateway::{Gateway, Running, StartError, Stopper};
pub use head::judge_head;
