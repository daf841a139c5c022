//! What is wrong with a peer's bytes: the place, the rule, and what to write instead.

use std::fmt;

/// Rule for a start line that names another protocol version; the only one answered with 505.
pub(super) const VERSION_RULE: &str = "RFC 3261 21.5.6";

/// A violation that obliges the receiver to refuse or discard the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Document and section, e.g. `RFC 3261 20.16`.
    pub rule: &'static str,
    /// Octets from the start of the datagram, or of the message on a stream. Inside a folded header
    /// it counts from the header's value with every fold read as one space.
    pub offset: usize,
    /// What was found and what to write instead.
    pub what: String,
}

impl Malformed {
    pub(super) fn new(rule: &'static str, offset: usize, what: impl Into<String>) -> Self {
        Self { rule, offset, what: what.into() }
    }

    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.offset += by;
        self
    }

    /// The status that answers a request with this fault: 505 for a foreign version, else 400.
    #[must_use]
    pub fn status(&self) -> u16 {
        if self.rule == VERSION_RULE { 505 } else { 400 }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {} ({})", self.offset, self.what, self.rule)
    }
}

impl std::error::Error for Malformed {}

/// A piece of a peer's text fit for an error: at most 40 characters, controls escaped.
pub(super) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        short.push_str("...");
    }
    short
}
