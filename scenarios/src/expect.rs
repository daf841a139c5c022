use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::sight::Sight;

/// What should be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// `alice.received(c1, 180)`: it is seen at least once.
    Seen(Sight),
    /// `never bob.alerted(c1)`: it is never seen.
    Never(Sight),
    /// `count(push.sent(bob)) == 1`, also `<=` and `>=`: it is seen that often, both ends included.
    Count(Sight, usize, usize),
    /// `alice.final(c1) in [200, 480]`, `alice.final(c1) == 200`: the first such fact has one of
    /// these statuses.
    FirstIn(Sight, Vec<u16>),
}

/// As a scenario would write it.
impl Display for Wanted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seen(sight) => write!(f, "{sight}"),
            Self::Never(sight) => write!(f, "never {sight}"),
            Self::Count(sight, least, most) if least == most => {
                write!(f, "count({sight}) == {least}")
            }
            Self::Count(sight, least, usize::MAX) => write!(f, "count({sight}) >= {least}"),
            Self::Count(sight, _, most) => write!(f, "count({sight}) <= {most}"),
            Self::FirstIn(sight, statuses) => match statuses[..] {
                [status] => write!(f, "{sight} == {status}"),
                _ => write!(f, "{sight} in {statuses:?}"),
            },
        }
    }
}

/// One expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// `MUST`, `SHOULD` or `MAY`.
    pub level: String,
    /// The predicate as it was written, with its `after` and `within`.
    pub text: String,
    /// What should be so.
    pub wanted: Wanted,
    /// Only what comes after the first of these counts.
    pub after: Option<Sight>,
    /// It counts for that long only: since `after`; else since the call it names was first sent;
    /// else since the start of the run.
    pub within: Option<Duration>,
    /// Why it should be so, in the author's words.
    pub why: Option<String>,
    /// Its line in the file, from 1.
    pub line: usize,
}
