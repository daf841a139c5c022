//! How much of a peer's bytes is looked at before they are refused.

/// Upper bounds, checked before anything is allocated for what exceeds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Octets of a whole message. The default is what a UDP length field can say (RFC 3261 18.1.1).
    pub max_message: usize,
    /// Octets of one header line with its folds, and of the start line.
    pub max_header: usize,
    /// Number of header lines.
    pub max_headers: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { max_message: 65_535, max_header: 8 * 1024, max_headers: 256 }
    }
}
