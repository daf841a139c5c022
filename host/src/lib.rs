//! Where code meets the world: network, clock, entropy, tasks and disk as small object-safe traits,
//! and their real implementation over tokio and the operating system. Simulated worlds implement
//! the same traits elsewhere; gateway, cast and app take a [`Host`] and nothing else.
//!
//! **Invariant:** no other crate that runs in simulation opens a socket, reads a clock, draws a
//! random bit, spawns a task or touches a file except through the traits here; and this crate knows
//! no other crate of the house.
#![warn(missing_docs)]

pub mod real;
mod seam;

pub use seam::{
    BoxFuture, BoxStream, Clock, Disk, DiskFile, Entropy, Host, Listener, Net, Reading, Stream,
    Tasks, Udp, within,
};
