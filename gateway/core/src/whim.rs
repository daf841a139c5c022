//! Whims: places where a gateway may rightly behave in a rare way, so that a simulation sees the rare
//! way often. Compiled only under the feature `mutants`; each acts with the probability it is given,
//! which is none unless somebody asks, and tells when it acted.

use std::collections::BTreeMap;

use reveille_trace::{Draft, Kind};

/// A rare way that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whim {
    /// What rides with the next commit has one of its own.
    EarlyFlush,
    /// A registration is refreshed at half its time.
    EarlyRefresh,
    /// A call that is held hears its provisional again long before it must.
    EarlyProvisional,
    /// What an app says is acknowledged at once.
    EarlyAcknowledgement,
    /// A commit waits before it begins.
    SlowCommit,
    /// A batch holds one commit.
    SmallBatch,
    /// A push service has less time to answer.
    ShortPushLimit,
    /// A SIP message over a stream leaves in two pieces.
    SplitMessage,
}

impl Whim {
    /// Every whim.
    pub const ALL: [Self; 8] = [
        Self::EarlyFlush,
        Self::EarlyRefresh,
        Self::EarlyProvisional,
        Self::EarlyAcknowledgement,
        Self::SlowCommit,
        Self::SmallBatch,
        Self::ShortPushLimit,
        Self::SplitMessage,
    ];

    /// The place, as traces name it.
    #[must_use]
    pub const fn place(self) -> &'static str {
        match self {
            Self::EarlyFlush => "gateway.early-flush",
            Self::EarlyRefresh => "gateway.early-refresh",
            Self::EarlyProvisional => "gateway.early-provisional",
            Self::EarlyAcknowledgement => "gateway.early-acknowledgement",
            Self::SlowCommit => "gateway.slow-commit",
            Self::SmallBatch => "gateway.small-batch",
            Self::ShortPushLimit => "gateway.short-push-limit",
            Self::SplitMessage => "gateway.split-message",
        }
    }

    /// What is recorded when it acts.
    #[must_use]
    pub fn struck(self) -> Draft {
        Draft::new(Kind::FaultStruck).with("fault", "whim").with("on", self.place())
    }
}

/// Which whims act, and how often of a thousand times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whims(BTreeMap<Whim, u16>);

impl Whims {
    /// Every whim, so often of a thousand times.
    #[must_use]
    pub fn everywhere(per_mille: u16) -> Self {
        Whim::ALL.into_iter().fold(Self::default(), |whims, whim| whims.with(whim, per_mille))
    }

    /// The same with this one acting so often.
    #[must_use]
    pub fn with(mut self, whim: Whim, per_mille: u16) -> Self {
        self.0.insert(whim, per_mille);
        self
    }

    /// True if it acts now. Nothing is drawn for one that never does.
    pub fn acts(&self, whim: Whim, draw: impl FnOnce() -> u64) -> bool {
        let per_mille = self.0.get(&whim).copied().unwrap_or_default();
        per_mille > 0 && draw() % 1_000 < u64::from(per_mille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_not_asked_for_draws_nothing_and_one_of_all_times_always_acts() {
        let whims = Whims::default().with(Whim::EarlyFlush, 1_000).with(Whim::SlowCommit, 250);
        assert!(!whims.acts(Whim::SplitMessage, || panic!("drawn for nothing")));
        assert!(whims.acts(Whim::EarlyFlush, || 999));
        assert!(whims.acts(Whim::SlowCommit, || 7_249) && !whims.acts(Whim::SlowCommit, || 7_250));
    }

    #[test]
    fn each_has_a_place_of_its_own() {
        let places: std::collections::BTreeSet<_> = Whim::ALL.map(Whim::place).into();
        assert_eq!(places.len(), Whim::ALL.len());
    }
}
