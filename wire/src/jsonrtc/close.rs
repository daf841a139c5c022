//! WebSocket close codes and what they mean between app and gateway.

/// End of the session.
pub const NORMAL: u16 = 1000;
/// Another socket or device has the session now.
pub const HANDOVER: u16 = 1001;
/// A binary message came.
pub const BINARY: u16 = 1003;
/// The third text that was no frame, or text that was no UTF-8 (RFC 6455 section 8.1).
pub const NOT_TEXT: u16 = 1007;
/// Three failed rounds of credentials.
pub const CHALLENGES: u16 = 1008;
/// Too many frames that the app never acknowledged: it does not listen, and keeping more for it
/// would have no end.
pub const DEAF: u16 = 1008;
/// A message above the bound (RFC 6455 section 7.4.1).
pub const TOO_BIG: u16 = 1009;
/// The node stops: come back, to any node.
pub const NODE_STOPS: u16 = 1012;
/// The app sleeps.
pub const HIBERNATE: u16 = 4001;
/// Sleep was granted and the app did not close.
pub const HIBERNATED_BY_SERVER: u16 = 4002;
/// The session belongs to another user.
pub const WRONG_USER: u16 = 4003;
