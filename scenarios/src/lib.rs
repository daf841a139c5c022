//! Scenario files: what happens, who plays, and what should come of it. One scenario for each file,
//! TOML, one step for each line. The shipped ones are part of the program.
//!
//! **Invariant:** a file is read whole or not at all. Whatever is wrong with it is found in one
//! pass, and each finding says where it is, which rule it breaks and what to write instead.
#![warn(missing_docs)]

mod codes;
mod device;
mod duration;
mod expect;
mod message;
mod problem;
mod read;
mod scenario;
mod service;
mod shipped;
mod sight;
mod swarm;
mod weather;
mod words;
mod write;

pub use codes::CODES;
pub use device::{Bucket, Device, DeviceAct, Misstep, Os, Permission};
pub use expect::{Expect, Wanted};
pub use message::{Content, Message};
pub use problem::{Overview, Problem, Report};
pub use read::{is_swarm, read, read_against, read_swarm};
pub use scenario::{
    Actor, App, Break, Early, Head, Need, OnCall, Place, Point, Proxy, PushFate, Scenario, Step,
    Sweep, SweepFault, Transport, Verb, World,
};
pub use service::Service;
pub use shipped::{shipped, swarms};
pub use sight::{Sight, What};
pub use swarm::{Between, Feature, Swarm};
pub use weather::Weather;
pub use write::write;
