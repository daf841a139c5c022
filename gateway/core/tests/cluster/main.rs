//! Two nodes over one fabric: each order in which a session may change hands.

mod hands;
mod orders;
mod pair;
mod sleepers;
