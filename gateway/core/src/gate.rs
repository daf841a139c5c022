//! Where promises wait for the disk. Each session has one queue: what was promised first leaves
//! first, and nothing leaves before the commit that it rests on.

use std::collections::VecDeque;

/// The store tokens of one session, and what waits for them.
#[derive(Debug, Clone)]
pub(crate) struct Gate<P> {
    issued: u64,
    stored: u64,
    waiting: VecDeque<(u64, P)>,
    /// For each commit under way: the number up to which it acknowledges the app's frames.
    marks: VecDeque<(u64, u64)>,
    durable_in: u64,
}

impl<P> Gate<P> {
    /// A gate for a session whose record says `durable_in`.
    pub(crate) fn new(durable_in: u64) -> Self {
        let (waiting, marks) = (VecDeque::new(), VecDeque::new());
        Self { issued: 0, stored: 0, waiting, marks, durable_in }
    }

    /// A gate at which nothing waits, after so many commits.
    pub(crate) fn settled(issued: u64, durable_in: u64) -> Self {
        Self { issued, stored: issued, ..Self::new(durable_in) }
    }

    /// The number of the latest commit.
    pub(crate) const fn issued(&self) -> u64 {
        self.issued
    }

    /// True if nothing is under way and nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_settled() && self.waiting.is_empty() && self.marks.is_empty()
    }

    /// Numbers the next commit, which makes the app's frames up to `last_in` durable.
    pub(crate) fn issue(&mut self, last_in: u64) -> u64 {
        self.issued += 1;
        self.marks.push_back((self.issued, last_in));
        self.issued
    }

    /// True if nothing is under way.
    pub(crate) const fn is_settled(&self) -> bool {
        self.issued == self.stored
    }

    /// The app's frames up to this number are on disk.
    pub(crate) const fn durable_in(&self) -> u64 {
        self.durable_in
    }

    /// Takes a promise that rests on the latest commit, or on none. Gives it back if it may leave
    /// at once.
    pub(crate) fn pass(&mut self, promise: P, rests: bool) -> Option<P> {
        let token = if rests { self.issued } else { 0 };
        if token <= self.stored && self.waiting.is_empty() {
            return Some(promise);
        }
        self.waiting.push_back((token, promise));
        None
    }

    /// Everything up to `token` is durable.
    pub(crate) fn stored(&mut self, token: u64) {
        self.stored = self.stored.max(token.min(self.issued));
        while let Some((_, last_in)) = self.marks.pop_front_if(|(of, _)| *of <= self.stored) {
            self.durable_in = self.durable_in.max(last_in);
        }
    }

    /// Takes all that waits.
    pub(crate) fn take_waiting(&mut self) -> impl Iterator<Item = P> {
        std::mem::take(&mut self.waiting).into_iter().map(|(_, promise)| promise)
    }

    /// The next promise whose commit is durable.
    pub(crate) fn release(&mut self) -> Option<P> {
        let stored = self.stored;
        self.waiting.pop_front_if(|(token, _)| *token <= stored).map(|(_, promise)| promise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_waits_for_its_commit_and_for_those_before_it() {
        let mut gate = Gate::new(0);
        gate.issue(0);
        assert_eq!(gate.pass("hundred", true), None);
        assert_eq!(gate.pass("later, resting on nothing", false), None);
        assert_eq!(gate.release(), None);
        gate.stored(1);
        assert_eq!(gate.release(), Some("hundred"));
        assert_eq!(gate.release(), Some("later, resting on nothing"));
        assert_eq!(gate.pass("now", true), Some("now"));
    }

    #[test]
    fn a_token_from_the_future_releases_nothing_that_was_not_issued() {
        let mut gate = Gate::new(0);
        gate.issue(3);
        gate.stored(99);
        assert_eq!(gate.durable_in(), 3);
        gate.issue(4);
        assert_eq!(gate.pass("waits", true), None);
        assert_eq!(gate.release(), None);
    }
}
