//! The node, one situation at a time: what goes in, what must come out, and what must not.

mod asleep;
mod calls;
mod forks;
mod frames;
mod outgoing;
mod register;
mod rig;
mod sessions;
