//! The judge: requirements and the checks that decide them as pure functions of a trace; the cast
//! that plays everyone who is not the gateway; the player that performs a scenario with the cast.
//!
//! **Invariant:** nothing here knows the reference gateway. What is judged is reached through
//! sockets and seen through a trace.

pub mod cast;
pub mod checks;
pub mod player;
pub mod requirement;
pub mod stage;
