//! The operator's port over real sockets: each endpoint, who gets in, and what orders do.

mod document;
mod exposition;
mod ice;
mod limits;
mod orders;
mod rates;
mod reload;
mod rig;
mod tls;
mod views;
