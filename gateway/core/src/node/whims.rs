//! Where this node follows a whim.

use super::Node;
use crate::whim::Whim;

impl Node {
    /// True if it follows this whim now, which is told.
    pub(super) fn follows(&mut self, whim: Whim) -> bool {
        let Self { config, dice, .. } = self;
        let acts = config.whims.acts(whim, || dice.between(0, 999));
        if acts {
            self.trace(whim.struck());
        }
        acts
    }
}
