use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::run::Case;

/// A run is shared among no more shards than this.
const MOST: u32 = 1_000;

/// One of the shards of a run: `3/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 1.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

impl Shard {
    /// True if the case of this name with this seed is played in this shard. Nothing but these two
    /// decides it, so that a case stays where it is when others are added.
    #[must_use]
    pub fn has(self, case: &str, seed: u64) -> bool {
        let digest = Sha256::digest(format!("{case}\n{seed}"));
        let hash = digest.iter().take(8).fold(0, |hash: u64, byte| hash << 8 | u64::from(*byte));
        hash % u64::from(self.of) == u64::from(self.number) - 1
    }
}

impl Display for Shard {
    fn fmt(&self, into: &mut Formatter<'_>) -> fmt::Result {
        write!(into, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no shard: write which of how many, as `3/8`; at most {MOST}");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let whole = |digits: &str| {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_number)
        };
        let (number, of) = (whole(number).ok_or_else(wrong)?, whole(of).ok_or_else(wrong)?);
        let fits = (1..=MOST).contains(&of) && (1..=of).contains(&number);
        if fits { Ok(Self { number, of }) } else { Err(wrong()) }
    }
}

/// What the record of a run says that holds some shards of the selection only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shards {
    /// How many shards there are.
    pub of: u32,
    /// Which of them are here.
    pub numbers: BTreeSet<u32>,
    /// How many cases all shards have together.
    pub cases: usize,
    /// What names all of these, here or not: [`Shards::digest`].
    pub selected: String,
    /// Where each case of this record stands among all, from 0.
    pub places: Vec<usize>,
}

impl Shards {
    /// A digest of cases by the commands that play them again, in their order.
    #[must_use]
    pub fn digest<'a>(replays: impl Iterator<Item = &'a str>) -> String {
        let mut hash = Sha256::new();
        for replay in replays {
            hash.update(replay);
            hash.update(b"\n");
        }
        hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a String takes every write");
            hex
        })
    }

    /// True if this can be the record of `cases`: each has a place of its own, and is of a shard that
    /// is here.
    #[must_use]
    pub fn fits(&self, cases: &[Case]) -> bool {
        let within = |number: &u32| (1..=self.of).contains(number);
        let rises = self.places.is_sorted_by(|one, next| one < next);
        let at_home = |case: &Case| {
            let (name, seed) = (&case.verdict.case, case.verdict.seed);
            self.numbers.iter().any(|number| Shard { number: *number, of: self.of }.has(name, seed))
        };
        (1..=MOST).contains(&self.of)
            && self.numbers.iter().all(within)
            && self.places.len() == cases.len()
            && rises
            && self.places.last().is_none_or(|last| *last < self.cases)
            && cases.iter().all(at_home)
    }

    /// The numbers of the shards that are not here.
    #[must_use]
    pub fn missing(&self) -> Vec<u32> {
        (1..=self.of).filter(|number| !self.numbers.contains(number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_in_one_shard_and_stays_there() {
        for of in 1..=8 {
            let mut filled = BTreeSet::new();
            for seed in 0..200 {
                let has = |number: &u32| Shard { number: *number, of }.has("wake/plain", seed);
                let home: Vec<_> = (1..=of).filter(has).collect();
                assert_eq!(home.len(), 1, "seed {seed} of {of}");
                filled.extend(home);
            }
            assert_eq!(filled.len(), usize::try_from(of).expect("it is small"), "of {of}");
        }
        let home = |case| (1..=8).find(|number| Shard { number: *number, of: 8 }.has(case, 1));
        // Whoever changes the rule moves the cases of everybody.
        assert_eq!((home("wake/plain"), home("wake/two-phones")), (Some(5), Some(3)));
    }

    #[test]
    fn a_shard_is_written_as_it_is_read() {
        for text in ["1/1", "3/8", "1000/1000"] {
            assert_eq!(text.parse::<Shard>().expect(text).to_string(), text);
        }
        for text in ["", "3", "0/8", "9/8", "1/0", "+1/8", "1/+8", "1/8/8", "1/1001", "-1/8"] {
            let told = text.parse::<Shard>().expect_err(text);
            assert!(told.contains("as `3/8`"), "{told}");
        }
    }
}
