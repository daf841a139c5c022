//! Provider tokens: one for a team's key, used for a while and never made for a single push.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reveille_host::Reading;
use serde::Serialize;

use super::super::Application;
use super::super::keys::Key;

/// Apple refuses a token older than an hour; ours never comes near.
const RENEW_AT: Duration = Duration::from_secs(50 * 60);
/// Apple refuses tokens that are made more often.
const LEAST_GAP: Duration = Duration::from_secs(20 * 60);

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: u64,
}

/// A token to show.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) text: String,
    /// Numbers the tokens of a team.
    number: u64,
}

/// A token, and when it was made.
struct Minted {
    shown: Shown,
    at: Reading,
    /// The last one that was made because Apple called its predecessor stale, on the monotonic
    /// clock: a wrong clock would make it ask for ever.
    forced: Option<Duration>,
}

/// Whoever signs: a team and one of its keys.
pub(super) struct Team {
    id: String,
    key_id: String,
    key: Key,
    minted: Mutex<Option<Minted>>,
}

impl Team {
    /// The team of an application.
    pub(super) fn of(app: &Application) -> Result<Self, String> {
        let lack = "apns needs a signing key; write credential-file, the path of the .p8 file";
        let key = Key::es256(app.credential.as_ref().ok_or(lack)?)?;
        let (id, key_id) = (app.apple.team_id.clone(), app.apple.key_id.clone());
        Ok(Self { id, key_id, key, minted: Mutex::default() })
    }

    /// The token of this time.
    pub(super) fn token(&self, now: Reading) -> Shown {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        match &*minted {
            Some(current) if age(now, current.at) < RENEW_AT => current.shown.clone(),
            before => {
                let forced = before.as_ref().and_then(|before| before.forced);
                let number = before.as_ref().map_or(0, |before| before.shown.number);
                self.mint(&mut minted, now, number + 1, forced)
            }
        }
    }

    /// What to show after Apple called a token stale: the one that was made since, or a new one,
    /// which is made for this reason once in twenty minutes.
    pub(super) fn renewed(&self, now: Reading, refused: &Shown) -> Option<Shown> {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        let current = minted.as_ref()?;
        if current.shown.number != refused.number {
            return Some(current.shown.clone());
        }
        if current.forced.is_some_and(|at| now.mono.saturating_sub(at) < LEAST_GAP) {
            return None;
        }
        let number = current.shown.number + 1;
        Some(self.mint(&mut minted, now, number, Some(now.mono)))
    }

    fn mint(
        &self,
        minted: &mut Option<Minted>,
        now: Reading,
        number: u64,
        forced: Option<Duration>,
    ) -> Shown {
        let header = Header { alg: "ES256", kid: &self.key_id };
        let claims = Claims { iss: &self.id, iat: now.wall.as_secs() };
        let shown = Shown { text: self.key.token(&header, &claims), number };
        *minted = Some(Minted { shown: shown.clone(), at: now, forced });
        shown
    }
}

/// By whichever clock it is older: the wall clock may have been set meanwhile.
fn age(now: Reading, then: Reading) -> Duration {
    now.mono.saturating_sub(then.mono).max(now.wall.saturating_sub(then.wall))
}
