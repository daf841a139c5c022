//! The gateway as a process among processes, over real sockets: SIPp calls, a phone sleeps.

mod bench;
mod kill;
mod sipp;
mod wake;
