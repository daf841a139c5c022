use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::Job;
use crate::World;

/// Longer than any name a case can have.
const LONGEST: usize = 8_192;

/// What names one case so that it can be played again: `case@digest-seed`, and `-world` behind it
/// where the world is not turmoil.
///
/// The case is named as on the command line: a shipped scenario's id or the path of a file, and the
/// axes of its cell as `/axis=value`. The digest tells of a change of what the case was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The scenario's id or file, with the cell's axes.
    pub case: String,
    /// What it was made of.
    pub made_of: MadeOf,
    /// The seed.
    pub seed: u64,
    /// The world.
    pub world: World,
}

/// Digests of what a case is made of, each with digits of its own, so that a token alone says which
/// of them changed: two for the version, four for the scenario's text, one for the cell, and the world's
/// number. The latter two stand in the token in words as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeOf([String; 4]);

/// The parts of [`MadeOf`], and how many digits each has.
const PARTS: [(&str, usize); 4] =
    [("the version of Reveille", 2), ("the scenario's text", 4), ("the cell", 1), ("the world", 1)];

impl MadeOf {
    fn new(version: &str, sha256: &str, cell: &BTreeMap<String, String>, world: World) -> Self {
        let cell: String = cell.iter().map(|(axis, value)| format!("/{axis}={value}")).collect();
        // A digest of one digit would take some worlds for each other.
        let number = World::ALL.iter().position(|it| *it == world).unwrap_or_default();
        Self([short(version, 2), short(sha256, 4), short(&cell, 1), format!("{:x}", number % 16)])
    }

    /// Which parts differ in `other`, in words.
    #[must_use]
    pub fn differs(&self, other: &Self) -> Vec<&'static str> {
        let pairs = PARTS.iter().zip(self.0.iter().zip(&other.0));
        pairs.filter(|(_, (a, b))| a != b).map(|((name, _), _)| *name).collect()
    }
}

/// The first digits of a text's SHA-256, in hex.
fn short(text: &str, digits: usize) -> String {
    let hex: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..digits].to_owned()
}

impl Display for MadeOf {
    fn fmt(&self, into: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digits| into.write_str(digits))
    }
}

impl Token {
    /// The token of `job`.
    #[must_use]
    pub fn of(job: &Job) -> Self {
        let (piece, world) = (&job.piece, job.world);
        let made_of = MadeOf::new(env!("CARGO_PKG_VERSION"), &piece.sha256, &job.cell, world);
        Self { case: job.with_cell(&piece.called), made_of, seed: job.seed, world }
    }

    /// The command that plays the case again, as a shell takes it.
    #[must_use]
    pub fn command(&self) -> String {
        let token = self.to_string();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:+@".contains(c);
        let token = match token.chars().all(is_plain) {
            true => token,
            false => format!("'{}'", token.replace('\'', "'\\''")),
        };
        format!("reveille replay {token}")
    }
}

impl Display for Token {
    fn fmt(&self, into: &mut Formatter<'_>) -> fmt::Result {
        let Self { case, made_of, seed, world } = self;
        write!(into, "{case}@{made_of}-{seed}")?;
        if *world == World::default() { Ok(()) } else { write!(into, "-{world}") }
    }
}

/// Why a text is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what}; a token is `case@digest-seed`, as `wake/plain@1a2b3c4d-7`: copy it whole from the line \
         `reproduce with` of a report, or from `replay` in run.json"
)]
pub struct NoToken {
    what: String,
}

impl FromStr for Token {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let wrong = |what: String| NoToken { what };
        if text.len() > LONGEST {
            return Err(wrong(format!("a token has no more than {LONGEST} bytes")));
        }
        let halves = text.rsplit_once('@').filter(|(case, _)| !case.is_empty());
        let (case, rest) =
            halves.ok_or_else(|| wrong(format!("`{text}` names no case before an `@`")))?;
        let (digits, rest) = rest.split_once('-').unwrap_or((rest, ""));
        let made_of = parts(digits).ok_or_else(|| {
            wrong(format!("`{digits}` is no digest of eight digits in lower-case hex"))
        })?;
        let (seed, world) = match rest.split_once('-') {
            Some((seed, world)) => (seed, World::named(world).ok_or(world)),
            None => (rest, Ok(World::default())),
        };
        let worlds = || World::ALL.map(World::name).join(", ");
        let world =
            world.map_err(|name| wrong(format!("`{name}` is no world (there is {})", worlds())))?;
        let is_number = !seed.is_empty() && seed.bytes().all(|byte| byte.is_ascii_digit());
        let seed = seed.parse().ok().filter(|_| is_number);
        let seed = seed.ok_or_else(|| wrong(format!("`{rest}` begins with no seed")))?;
        Ok(Self { case: case.to_owned(), made_of, seed, world })
    }
}

/// The digits of the parts, if there are as many as there must be.
fn parts(digits: &str) -> Option<MadeOf> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != PARTS.iter().map(|(_, digits)| digits).sum::<usize>()
        || !digits.bytes().all(is_hex)
    {
        return None;
    }
    let mut rest = digits;
    Some(MadeOf(PARTS.map(|(_, digits)| {
        let (part, others) = rest.split_at(digits);
        rest = others;
        part.to_owned()
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(case: &str, version: &str, text: &str, world: World) -> Token {
        let cell = BTreeMap::from([("at".to_owned(), "3".to_owned())]);
        Token {
            case: case.to_owned(),
            made_of: MadeOf::new(version, text, &cell, world),
            seed: 7,
            world,
        }
    }

    #[test]
    fn a_token_reads_back_as_it_was_written() {
        for world in World::ALL {
            for case in ["wake/plain/at=3", "a b@c/it's-mine.toml", "x-1.toml/op=net.accept"] {
                let token = token(case, "0.1.0", "schema = 1", world);
                assert_eq!(token.to_string().parse(), Ok(token.clone()));
                let ends = format!("-7-{world}");
                assert_eq!(token.to_string().ends_with(&ends), world != World::default());
            }
        }
    }

    #[test]
    fn what_is_no_token_is_told_by_its_part() {
        let told = |text: &str| text.parse::<Token>().expect_err(text).what;
        assert!(told("wake/plain").contains("names no case"));
        assert!(told("@1a2b3c4d-1").contains("names no case"));
        for digest in ["1a2b3c4", "1a2b3c4d5", "1A2b3c4d", "1a2b3c4g", "\u{e9}2b3c4d"] {
            assert!(told(&format!("wake/plain@{digest}-1")).contains("no digest"), "{digest}");
        }
        for seed in ["", "+1", "x", "18446744073709551616"] {
            assert!(told(&format!("wake/plain@1a2b3c4d-{seed}")).contains("no seed"), "{seed}");
        }
        assert!(told("wake/plain@1a2b3c4d-1-moon").contains("no world (there is turmoil"));
        assert!(told(&"x".repeat(LONGEST + 1)).contains("no more than"));
    }

    #[test]
    fn a_token_alone_says_what_changed() {
        let of = |version, text| token("a", version, text, World::default()).made_of;
        let before = of("0.1.0", "x");
        assert_eq!(before.differs(&of("0.1.0", "x")), [""; 0]);
        assert_eq!(before.differs(&of("0.2.0", "x")), ["the version of Reveille"]);
        assert_eq!(before.differs(&of("0.1.0", "y")), ["the scenario's text"]);
        let other = MadeOf::new("0.1.0", "x", &BTreeMap::new(), World::default());
        assert_eq!(before.differs(&other), ["the cell"]);
        for (index, world) in World::ALL.into_iter().enumerate() {
            for other in &World::ALL[..index] {
                let [one, other] =
                    [world, *other].map(|world| token("a", "0.1.0", "x", world).made_of);
                assert_eq!(one.differs(&other), ["the world"]);
            }
        }
    }

    #[test]
    fn a_command_survives_a_shell() {
        let command = |case: &str| token(case, "0.1.0", "x", World::default()).command();
        assert!(
            command("wake/plain/op=net.send")
                .starts_with("reveille replay wake/plain/op=net.send@")
        );
        let quoted = command("it's mine.toml");
        assert!(quoted.starts_with("reveille replay 'it'\\''s mine.toml@"), "{quoted}");
    }
}
