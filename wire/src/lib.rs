//! What is said: SIP messages, JsonRTC frames and push payloads, between bytes and values. No IO,
//! no clock, no state.
//!
//! **Invariant:** no input makes it panic or allocate beyond its bounds; whatever it builds it
//! reads back; and a SIP message that it read and nobody changed is written back byte for byte.
#![warn(missing_docs)]

pub mod jsonrtc;
mod judgement;
pub mod push;
pub mod sip;

pub use judgement::{Answer, Judgement, Refusal, Remark};
