//! SIP messages (RFC 3261), lossless: every header keeps its order, spelling and raw bytes. Typed
//! views parse on demand; [`judge_datagram`] tells the malformed from the merely strange.

mod bounds;
mod challenge;
mod cursor;
mod framer;
mod header;
mod judge;
mod malformed;
mod message;
mod method;
mod name_addr;
mod params;
mod reason;
mod remark;
mod strict;
mod uri;
mod validate;
mod via;

pub use bounds::Bounds;
pub use challenge::Challenge;
pub use framer::{Frame, Framer};
pub use judge::judge_datagram;
pub use malformed::Malformed;
pub use message::{Message, StartLine};
pub use method::{CSeq, Method};
pub use name_addr::{Contact, NameAddr};
pub use params::Params;
pub use uri::Uri;
pub use via::Via;
