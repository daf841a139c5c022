//! The gateway as a process among processes, over real sockets: SIPp calls, a phone sleeps.

mod bench;
mod kill;
mod reload;
mod sipp;
mod storms;
mod wake;
