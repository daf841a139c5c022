use serde::{Deserialize, Serialize};

/// One instant, read on two clocks at once: deadlines run on the monotonic one and are stored as
/// wall time, since a monotonic reading means nothing to the process that comes after.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Timestamp {
    /// Microseconds since an origin that is fixed for the process (in simulation: for the run).
    pub mono_us: u64,
    /// Microseconds since 1970-01-01T00:00:00Z, as far as the host's clock knows.
    pub wall_us: u64,
}

impl Timestamp {
    /// This instant moved forward by `us` microseconds, on both clocks.
    #[must_use]
    pub const fn plus_us(self, us: u64) -> Self {
        Self { mono_us: self.mono_us.saturating_add(us), wall_us: self.wall_us.saturating_add(us) }
    }

    /// This instant moved forward by `ms` milliseconds, on both clocks.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        self.plus_us(ms.saturating_mul(1_000))
    }

    /// Microseconds from `earlier` to this instant on the monotonic clock; 0 if it is not later.
    #[must_use]
    pub const fn since_us(self, earlier: Self) -> u64 {
        self.mono_us.saturating_sub(earlier.mono_us)
    }
}
