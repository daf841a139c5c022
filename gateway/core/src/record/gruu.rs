use serde::{Deserialize, Serialize};

/// URIs that reach one session from anywhere, as the registrar made them with the binding (RFC 5627
/// section 4.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gruu {
    /// The address of record with the instance in `gr`.
    pub public: Option<String>,
    /// One that says nothing of whom it reaches.
    pub temporary: Option<String>,
}

impl Gruu {
    /// True if the registrar made none.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.public.is_none() && self.temporary.is_none()
    }
}
