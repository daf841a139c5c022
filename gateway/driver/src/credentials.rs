//! Names and secrets of the users, as HTTP Basic shows them.

use std::collections::BTreeMap;

use reveille_gateway_core::config::User;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

type Digest = [u8; SHA256_OUTPUT_LEN];

/// Users by name, each with a digest of its secret: digests of all secrets are equally long, and are
/// compared in one time.
pub(crate) struct Credentials(BTreeMap<String, Digest>);

impl Credentials {
    /// Of two users with one name the first holds.
    pub(crate) fn new(users: &[User]) -> Self {
        let mut all = BTreeMap::new();
        for user in users {
            all.entry(user.username.clone()).or_insert_with(|| digest_of(user.secret.0.as_bytes()));
        }
        Self(all)
    }

    /// The user of this name, if the secret is theirs. A name that nobody has costs what a wrong
    /// secret costs.
    pub(crate) fn proved(&self, name: &[u8], secret: &[u8]) -> Option<&str> {
        let name = std::str::from_utf8(name).unwrap_or_default();
        let found = self.0.get_key_value(name);
        let kept = found.map_or([0; SHA256_OUTPUT_LEN], |(_, kept)| *kept);
        let same = is_same(&digest_of(secret), &kept);
        found.filter(|_| same).map(|(name, _)| name.as_str())
    }

    /// The user of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&str> {
        self.0.get_key_value(name).map(|(name, _)| name.as_str())
    }
}

fn digest_of(secret: &[u8]) -> Digest {
    let found = digest(&SHA256, secret);
    found.as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// Compares in one time, whatever differs.
fn is_same(shown: &Digest, kept: &Digest) -> bool {
    shown.iter().zip(kept).fold(0, |differ, (one, other)| differ | (one ^ other)) == 0
}

#[cfg(test)]
mod tests {
    use reveille_gateway_core::config::Secret;

    use super::*;

    fn user(username: &str, secret: &str) -> User {
        let aor = format!("{username}@example.com");
        User { aor, username: username.to_owned(), secret: Secret(secret.to_owned()) }
    }

    #[test]
    fn a_user_is_proved_by_the_own_secret_and_by_no_other() {
        let all = [user("bob", "sesame"), user("alice", "open"), user("bob", "later")];
        let users = Credentials::new(&all);
        let proved = |name: &str, secret: &str| users.proved(name.as_bytes(), secret.as_bytes());
        assert_eq!(proved("bob", "sesame"), Some("bob"));
        assert_eq!(proved("alice", "open"), Some("alice"));
        for (name, secret) in [
            ("bob", "open"),
            ("bob", "later"),
            ("bob", "sesamf"),
            ("bob", "sesame1"),
            ("bob", ""),
            ("eve", "sesame"),
            ("eve", ""),
            ("", ""),
            ("Bob", "sesame"),
        ] {
            assert_eq!(proved(name, secret), None, "{name}:{secret}");
        }
        assert_eq!(users.proved(b"\xff", b"sesame"), None);
        assert_eq!((users.named("alice"), users.named("eve")), (Some("alice"), None));
    }
}
