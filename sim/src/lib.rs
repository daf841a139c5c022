//! Simulated worlds: hosts, networks, disks and clocks that exist only in memory, on which a play is
//! performed with crashes, power losses and partitions, and comes out the same for the same seed.
//!
//! **Invariant:** nothing here reads a clock, draws a random bit or touches a machine: a seed and a
//! play decide every event. A fault that is reported to have struck has changed something.
#![warn(missing_docs)]

pub mod disk;
pub mod express;
pub mod fault;
mod pushes;
pub mod shrink;
pub mod suite;
pub mod swarm;
pub mod target;
pub mod turmoil;
mod world;

pub use world::{EPOCH, SimStage, World};
