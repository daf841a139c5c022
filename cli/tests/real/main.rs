//! The gateway as a process among processes, over real sockets: SIPp calls, a phone sleeps.

mod bench;
mod kill;
mod nodes;
mod reload;
mod sipp;
mod storms;
mod wake;
