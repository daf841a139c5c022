//! The pushes for one sleeping phone: when one must leave, and when none may. Times are
//! milliseconds.

use reveille_gateway_core::io::{PushId, PushOutcome, PushRequest};

const ATTEMPTS_MS: [u64; 3] = [0, 1_000, 3_000];
/// Between two wakes of a session.
const RATE_MS: u64 = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// No push in this episode.
    None,
    /// Sent, and no answer yet.
    Open(PushId),
    /// The service took it: that is all for this episode.
    Accepted,
    /// The next attempt, if there is one, comes not before this.
    Again(u64),
    /// The service will not take it.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Alive,
    /// The service refused it.
    Dead,
    /// It was refused, and a crash may have taken the word, or the word came when the wake was over:
    /// whether the gateway learns from such a late answer is its own affair.
    Unknown,
}

/// An episode is a time in which calls wait and no app is there.
#[derive(Debug, Clone)]
pub(crate) struct Pushes {
    last: Last,
    attempts: usize,
    first_at: u64,
    /// How much later than by the schedule an attempt may come: the service asked for it.
    moved: u64,
    /// A call came after the push of this episode was taken, or given up: a second one is allowed.
    joined: bool,
    /// There may be a call of which this model does not know.
    pub(crate) unsure: bool,
    /// When the latest wake of this process began to push.
    wake_at: Option<u64>,
    /// What the service answers is still to come for these.
    pub(crate) unanswered: Vec<PushId>,
    pub(crate) token: Token,
    /// Since when a push is owed.
    owed: Option<u64>,
}

impl Pushes {
    pub(crate) const fn new() -> Self {
        Self {
            last: Last::None,
            attempts: 0,
            first_at: 0,
            moved: 0,
            joined: false,
            unsure: false,
            wake_at: None,
            unanswered: Vec::new(),
            token: Token::Alive,
            owed: None,
        }
    }

    /// A new episode: the app is gone, or the first call came, or the app is silent.
    const fn begin(&mut self, now: u64) {
        self.last = Last::None;
        (self.attempts, self.moved, self.joined) = (0, 0, false);
        self.owed = Some(now);
    }

    /// The app has a further `start` to be silent about, which may be a cause of its own.
    pub(crate) const fn watch(&mut self) {
        self.joined = true;
    }

    /// A call waits for which a push is owed, unless one was made in this episode already.
    pub(crate) fn owe(&mut self, now: u64) {
        if self.last == Last::None {
            self.begin(now);
        } else {
            self.owed = Some(now);
        }
    }

    /// A further call waits in this episode.
    pub(crate) fn join(&mut self) {
        self.joined = matches!(self.last, Last::Accepted | Last::Over);
    }

    /// Nobody is to be woken any more.
    pub(crate) const fn end(&mut self) {
        self.owed = None;
        self.last = Last::None;
    }

    pub(crate) const fn is_owed(&self) -> bool {
        self.owed.is_some()
    }

    pub(crate) fn crash(&mut self, sure: bool) {
        if !sure && self.token == Token::Dead {
            self.token = Token::Unknown;
        }
        self.unanswered.clear();
        self.wake_at = None;
    }

    /// A push was seen. `wanted`: somebody waits for the app, and it is away or silent, at the
    /// earliest since `cause`.
    pub(crate) fn sees(
        &mut self,
        at: u64,
        push: &PushRequest,
        wanted: bool,
        cause: u64,
    ) -> Result<(), String> {
        if !wanted {
            return Err(format!("a push at {at} that wakes for nothing"));
        }
        if self.token == Token::Dead {
            return Err(format!("a push at {at} to a dead token"));
        }
        match self.last {
            Last::Accepted | Last::Over | Last::Open(_) if self.joined || self.unsure => {
                self.begin(at);
                return self.sees(at, push, wanted, cause);
            }
            Last::None => {
                if self.wake_at.is_some_and(|before| at < before + RATE_MS) {
                    return Err(format!(
                        "a wake at {at}, and the one before at {:?}",
                        self.wake_at
                    ));
                }
                // The schedule counts from the cause, however slow the disk is.
                let cause = self.owed.unwrap_or(at).min(cause);
                let from = self.wake_at.map_or(cause, |it| cause.max(it + RATE_MS));
                (self.first_at, self.wake_at) = (from.min(at), Some(at));
                self.moved = at - self.first_at;
            }
            Last::Again(earliest) => {
                let place = ATTEMPTS_MS.get(self.attempts).ok_or("a fourth attempt")?;
                if at < earliest.max(self.first_at + place) {
                    return Err(format!("an attempt at {at}, too early: {self:?}"));
                }
            }
            Last::Open(_) | Last::Accepted | Last::Over => {
                return Err(format!("another push at {at}: {self:?}"));
            }
        }
        self.attempts += 1;
        self.last = Last::Open(push.id);
        self.unanswered.push(push.id);
        Ok(())
    }

    /// The service answers; the last call that waits has time to `ends_at`. True if the calls that wait may end by it, and if they must at once.
    pub(crate) fn answered(
        &mut self,
        now: u64,
        id: PushId,
        outcome: &PushOutcome,
        ends_at: u64,
    ) -> (bool, bool) {
        self.unanswered.retain(|it| *it != id);
        let current = self.last == Last::Open(id);
        match outcome {
            PushOutcome::Refused { .. } => {
                if current {
                    (self.token, self.last) = (Token::Dead, Last::Over);
                } else if self.token == Token::Alive {
                    self.token = Token::Unknown;
                }
                (true, current)
            }
            _ if !current => (false, false),
            PushOutcome::Accepted => {
                self.last = Last::Accepted;
                (false, false)
            }
            PushOutcome::Failed { .. } => {
                self.last = Last::Over;
                (true, false)
            }
            PushOutcome::Transient { retry_after_ms, .. } => {
                let earliest = now + retry_after_ms.unwrap_or(0);
                let place = ATTEMPTS_MS.get(self.attempts).map_or(0, |it| self.first_at + it);
                self.moved = self.moved.max(earliest.saturating_sub(place));
                let due = earliest.max(place + self.moved);
                let more = self.attempts < ATTEMPTS_MS.len() && due < ends_at;
                self.last = if more { Last::Again(earliest) } else { Last::Over };
                (!more, false)
            }
        }
    }

    /// Everything up to `now` was seen, and somebody waits who is still worth a push.
    pub(crate) fn settled(&self, now: u64) -> Result<(), String> {
        let Some(owed) = self.owed.filter(|_| self.token == Token::Alive) else { return Ok(()) };
        let due = match self.last {
            Last::None => self.wake_at.map_or(owed, |it| owed.max(it + RATE_MS)),
            Last::Again(earliest) => match ATTEMPTS_MS.get(self.attempts) {
                Some(place) => earliest.max(self.first_at + place + self.moved),
                None => return Ok(()),
            },
            Last::Open(_) | Last::Accepted | Last::Over => return Ok(()),
        };
        if now >= due {
            Err(format!("at {now} a push is due since {due}: {self:?}"))
        } else {
            Ok(())
        }
    }
}
