//! JsonRTC frames: JSON texts above WebSocket framing. Reading is tolerant where deployed apps
//! differ and strict where being tolerant would lose a call; writing is always the same way.

mod bounds;
pub mod close;
mod frame;
mod judge;
mod read;
mod remark;
mod text;

pub use frame::{Control, Frame, FrameType, Header, MessageState};
pub use judge::judge_text;
pub use read::{Bad, BadKind, Echo, Inbound, read};

/// The WebSocket subprotocol, exactly so.
pub const SUBPROTOCOL: &str = "webrtc.oracle.com";

/// Longest text of a frame, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;

/// Deepest nesting of arrays and objects in a frame.
pub const MAX_DEPTH: usize = 32;
