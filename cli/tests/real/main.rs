//! The gateway as a process among processes, over real sockets: SIPp calls, a phone sleeps.

mod app;
mod bench;
mod both_sides;
mod kill;
mod nodes;
mod reload;
mod sipp;
mod storms;
mod wake;
