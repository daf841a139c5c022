//! The users of the configuration, found by name without a look at all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use crate::config::User;

/// Users in the order they are written, found by username and by whom callers ask for. Of two with
/// one username the first holds.
#[derive(Debug, Clone, Default)]
pub struct Users {
    all: Vec<User>,
    /// Where in `all` a username stands.
    by_username: BTreeMap<String, usize>,
    /// The user parts of all addresses of record.
    parts: BTreeSet<String>,
}

impl Users {
    /// One user more.
    pub fn push(&mut self, user: User) {
        self.by_username.entry(user.username.clone()).or_insert(self.all.len());
        if let Some((part, _)) = user.aor.split_once('@') {
            self.parts.insert(part.to_owned());
        }
        self.all.push(user);
    }

    /// The user of this username.
    #[must_use]
    pub fn named(&self, username: &str) -> Option<&User> {
        self.by_username.get(username).and_then(|at| self.all.get(*at))
    }

    /// True if an address of record has this user part.
    #[must_use]
    pub fn is_called(&self, part: &str) -> bool {
        self.parts.contains(part)
    }
}

impl Deref for Users {
    type Target = [User];

    fn deref(&self) -> &[User] {
        &self.all
    }
}

impl Extend<User> for Users {
    fn extend<T: IntoIterator<Item = User>>(&mut self, users: T) {
        users.into_iter().for_each(|user| self.push(user));
    }
}

impl FromIterator<User> for Users {
    fn from_iter<T: IntoIterator<Item = User>>(users: T) -> Self {
        let mut all = Self::default();
        all.extend(users);
        all
    }
}

impl From<Vec<User>> for Users {
    fn from(users: Vec<User>) -> Self {
        users.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn user(username: &str, aor: &str) -> User {
        let (aor, username) = (aor.to_owned(), username.to_owned());
        User { aor, username, secret: Secret("sesame".to_owned()) }
    }

    #[test]
    fn users_are_found_by_username_and_by_the_user_part_of_their_address() {
        let mut users = Users::from(vec![user("b", "bob@x"), user("a", "alice@x")]);
        users.extend([user("b", "later@x"), user("c", "nobody")]);
        let aor = |name: &str| users.named(name).map(|user| user.aor.as_str());
        assert_eq!(
            ["b", "a", "c", "d"].map(aor),
            [Some("bob@x"), Some("alice@x"), Some("nobody"), None]
        );
        let called = ["bob", "alice", "later", "nobody", "b", "bob@x"];
        let called = called.map(|part| users.is_called(part));
        assert_eq!(called, [true, true, true, false, false, false]);
        let order: Vec<_> = users.iter().map(|user| user.username.as_str()).collect();
        assert_eq!(order, ["b", "a", "b", "c"], "in the order they came");
    }
}
