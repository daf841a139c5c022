//! The core against models of what a stranger may see, under random inputs. The models are made from
//! RFC 3261 section 17 (with RFC 6026 and RFC 4320), the protocol of the app and the requirements,
//! and not from the core. A case is a list of small operations that mean something in every state,
//! so that whatever is left out of it leaves a case.
//!
//! `PROPTEST_CASES` sets the number of cases, `PROPTEST_RNG_SEED` other ones than those of each run.

mod bench;
mod cases;
mod clients;
mod held;
mod invite_server;
#[cfg(feature = "mutants")]
mod mutants;
mod phone;
mod pushes;
mod requests;
mod servers;
mod session;
mod sip;
mod transactions;
mod wake;
