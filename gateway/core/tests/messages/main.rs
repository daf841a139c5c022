//! SIP MESSAGE for a session: one situation at a time, then every order and every crash.

#![expect(clippy::print_stdout, reason = "the size of what was enumerated is part of the result")]

mod carried;
mod disk;
mod every_order;
mod failover;
mod rig;
mod sending;
mod situations;
mod subscriptions;
