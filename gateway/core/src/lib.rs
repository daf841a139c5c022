//! The reference gateway's core: pure machines for sessions, wakes, SIP transactions, dialogs and
//! registrations, which meet in [`node::Node`]. Time, random bits and everything that happens come
//! in as arguments; everything it wants done goes out through a [`io::Sink`].
//!
//! **Invariant:** nothing that promises something to the outside leaves before the record it rests
//! on is durable, and the core cannot tell a crash from an input that did not arrive. It has no
//! clock, no socket, no randomness and no task of its own.

/// True if the node carries this planted defect; constant false without the feature `mutants`.
#[cfg(feature = "mutants")]
macro_rules! planted {
    ($config:expr, $defect:ident) => {
        $config.defect == Some($crate::mutant::Defect::$defect)
    };
}
#[cfg(not(feature = "mutants"))]
macro_rules! planted {
    ($config:expr, $defect:ident) => {
        false
    };
}

/// True if the node follows this whim now; constant false without the feature `mutants`.
#[cfg(feature = "mutants")]
macro_rules! whim {
    ($node:expr, $whim:ident) => {
        $node.follows($crate::whim::Whim::$whim)
    };
}
#[cfg(not(feature = "mutants"))]
macro_rules! whim {
    ($node:expr, $whim:ident) => {
        false
    };
}

mod call;
mod census;
pub mod config;
mod dialog;
mod dice;
mod digest;
mod gate;
pub mod headers;
pub mod ice;
pub mod io;
mod message;
#[cfg(feature = "mutants")]
pub mod mutant;
pub mod node;
mod package;
pub mod record;
mod registration;
mod session;
mod session_timer;
mod summary;
pub mod survey;
pub mod tenancy;
mod timer;
pub mod transaction;
mod users;
mod wake;
#[cfg(feature = "mutants")]
pub mod whim;
