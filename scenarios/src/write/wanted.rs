use std::time::Duration;

use crate::duration::{duration, shown};
use crate::expect::Wanted;
use crate::read::{predicate_alone, sight_alone};
use crate::sight::Sight;

/// An expectation in words.
pub(super) struct Said {
    pub(super) predicate: String,
    pub(super) after: Option<String>,
    pub(super) within: Option<String>,
}

/// The words of an expectation: its author's where these say what it means, else ours.
pub(super) fn worded(
    text: &str,
    wanted: &Wanted,
    after: Option<&Sight>,
    within: Option<Duration>,
) -> Said {
    let ours = || Said {
        predicate: wanted.to_string(),
        after: after.map(ToString::to_string),
        within: within.map(shown),
    };
    authors(text, wanted, after, within).unwrap_or_else(ours)
}

fn authors(
    text: &str,
    wanted: &Wanted,
    after: Option<&Sight>,
    within: Option<Duration>,
) -> Option<Said> {
    let (text, within) = match within {
        Some(time) => {
            let (text, word) = text.rsplit_once(" within ")?;
            (text, Some((duration(word) == Ok(time)).then(|| word.to_owned())?))
        }
        None => (text, None),
    };
    let (text, after) = match after {
        Some(sight) => {
            let (text, word) = text.rsplit_once(" after ")?;
            (text, Some((sight_alone(word).as_ref() == Some(sight)).then(|| word.to_owned())?))
        }
        None => (text, None),
    };
    (predicate_alone(text).as_ref() == Some(wanted)).then(|| Said {
        predicate: text.to_owned(),
        after,
        within,
    })
}
