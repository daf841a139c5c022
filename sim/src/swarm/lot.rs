use std::time::Duration;

use reveille_scenarios::Between;

use crate::fault::Draws;

/// What a seed decides, draw after draw.
pub(super) struct Lot(Draws);

impl Lot {
    /// The draws of `seed` for the file of this id.
    pub(super) fn new(id: &str, seed: u64) -> Self {
        Self(Draws::new(seed, &["swarm", id]))
    }

    /// A number within these bounds, both included.
    pub(super) fn number(&mut self, least: u64, most: u64) -> u64 {
        let width = most.saturating_sub(least).saturating_add(1);
        least.saturating_add(self.0.below(width))
    }

    pub(super) fn count(&mut self, bounds: Between<u32>) -> usize {
        let number = self.number(bounds.least.into(), bounds.most.into());
        usize::try_from(number).unwrap_or(usize::MAX)
    }

    /// A time in whole milliseconds.
    pub(super) fn time(&mut self, bounds: Between<Duration>) -> u64 {
        self.number(ms(bounds.least), ms(bounds.most))
    }

    /// True so many times in `of`.
    pub(super) fn is(&mut self, times: u64, of: u64) -> bool {
        self.0.below(of) < times
    }

    /// One of these, if there is any.
    pub(super) fn one<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let at = usize::try_from(self.0.below(of.len() as u64)).unwrap_or(0);
        of.get(at).cloned()
    }

    /// Those of these that are on, each with even chances, and at least one.
    pub(super) fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        let some: Vec<_> = of.iter().filter(|_| self.is(1, 2)).cloned().collect();
        if some.is_empty() { self.one(of).into_iter().collect() } else { some }
    }
}

pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
