//! The node, one situation at a time: what goes in, what must come out, and what must not.

mod asleep;
mod caller;
mod calls;
mod crashes;
mod failover;
mod forks;
mod frames;
mod gruu;
mod ice;
mod knocks;
mod late_offer;
mod lost;
mod outgoing;
mod register;
mod rig;
mod sessions;
mod within;
