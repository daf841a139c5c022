//! Every deadline of a node in one table, by name, so that the trace can say which one came.

use std::collections::BTreeMap;

use crate::io::SocketId;
use crate::record::SessionId;
use crate::transaction::TransactionKey;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// RFC 3261 17.1.1: retransmits an INVITE.
    A,
    /// RFC 3261 17.1.1: gives up an INVITE without any response.
    B,
    /// RFC 3261 17.1.1: absorbs late failures of an INVITE.
    D,
    /// RFC 3261 17.1.2: retransmits a non-INVITE request.
    E,
    /// RFC 3261 17.1.2: gives up a non-INVITE request.
    F,
    /// RFC 3261 17.1.2: absorbs late responses.
    K,
    /// RFC 3261 17.2.1: retransmits a failure response.
    G,
    /// RFC 3261 17.2.1: gives up waiting for the ACK of a failure.
    H,
    /// RFC 3261 17.2.1: absorbs late ACKs.
    I,
    /// RFC 3261 17.2.2: absorbs late non-INVITE requests.
    J,
    /// RFC 6026 7.1: absorbs late INVITEs after a 2xx.
    L,
    /// RFC 6026 7.2: takes late 2xx of an INVITE.
    M,
    /// RFC 3261 13.3.1.4: repeats the 2xx until the ACK.
    Repeat2xx,
    /// RFC 3261 13.3.1.4: 64*T1 without an ACK.
    NoAck,
    /// End of the wake budget, later of the ring deadline; of a placed call: of the wait for an
    /// answer, later for the app's `complete`.
    CallDeadline,
    /// RFC 4028 section 10: a session is to be refreshed, or was not.
    SessionTimer,
    /// RFC 3311 5.2: an UPDATE that was given to the app is answered.
    Update,
    /// RFC 3261 13.3.1.1: repeats the provisional of a held call.
    Provisional,
    /// The sender of a message waited long enough for the app: 202.
    MessageWait,
    /// A message is kept no longer, or its sender can no longer repeat it.
    MessageEnd,
    /// RFC 4320 4.2: 100 for a non-INVITE request that is still unanswered.
    Trying,
    /// A request that waits for the app is answered without it.
    Knock,
    /// A subscription is to be refreshed, or its end to be taken for granted.
    Subscribe,
    /// Next push attempt.
    WakeAttempt,
    /// No frame came from the app after a `start`.
    StartSilence,
    /// A lost connection did not come back.
    Grace,
    /// The granted sleep is over.
    SleepEnd,
    /// The app did not close after a granted hibernate.
    CloseWait,
    /// An idle app is asked to sleep.
    AskSleep,
    /// Unacknowledged client frames, or lazily changed records, waited long enough.
    Acknowledge,
    /// Registration upstream is due again.
    Register,
    /// A socket said nothing for too long.
    Idle,
    /// The fabric does not say whose a session is.
    Claim,
}

impl Name {
    /// Every name.
    const ALL: [Self; 32] = [
        Self::A,
        Self::B,
        Self::D,
        Self::E,
        Self::F,
        Self::K,
        Self::G,
        Self::H,
        Self::I,
        Self::J,
        Self::L,
        Self::M,
        Self::Repeat2xx,
        Self::NoAck,
        Self::CallDeadline,
        Self::SessionTimer,
        Self::Update,
        Self::Provisional,
        Self::MessageWait,
        Self::MessageEnd,
        Self::Trying,
        Self::Subscribe,
        Self::WakeAttempt,
        Self::StartSilence,
        Self::Grace,
        Self::SleepEnd,
        Self::CloseWait,
        Self::AskSleep,
        Self::Acknowledge,
        Self::Register,
        Self::Idle,
        Self::Claim,
    ];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::D => "D",
            Self::E => "E",
            Self::F => "F",
            Self::K => "K",
            Self::G => "G",
            Self::H => "H",
            Self::I => "I",
            Self::J => "J",
            Self::L => "L",
            Self::M => "M",
            Self::Repeat2xx => "repeat-2xx",
            Self::NoAck => "no-ack",
            Self::CallDeadline => "call-deadline",
            Self::SessionTimer => "session-timer",
            Self::Update => "update",
            Self::Provisional => "provisional",
            Self::MessageWait => "message-wait",
            Self::MessageEnd => "message-end",
            Self::Trying => "trying",
            Self::Knock => "knock",
            Self::Subscribe => "subscribe",
            Self::WakeAttempt => "wake-attempt",
            Self::StartSilence => "start-silence",
            Self::Grace => "grace",
            Self::SleepEnd => "sleep-end",
            Self::CloseWait => "close-wait",
            Self::AskSleep => "ask-sleep",
            Self::Acknowledge => "acknowledge",
            Self::Register => "register",
            Self::Idle => "idle",
            Self::Claim => "claim",
        }
    }
}

/// Whose deadline it is. Each sleeper has two deadlines, so it is kept small.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    InviteServer(TransactionKey),
    Server(TransactionKey),
    Client(Box<str>),
    Call(Box<(SessionId, String)>),
    Message(Box<(SessionId, String)>),
    Subscription(Box<(SessionId, String)>),
    Knock(Box<(SessionId, TransactionKey)>),
    Session(SessionId),
    Socket(SocketId),
    Claim(u64),
}

impl Owner {
    pub(crate) fn call(session: &SessionId, subsession: &str) -> Self {
        Self::Call(Box::new((session.clone(), subsession.to_owned())))
    }

    pub(crate) fn message(session: &SessionId, subsession: &str) -> Self {
        Self::Message(Box::new((session.clone(), subsession.to_owned())))
    }

    pub(crate) fn subscription(session: &SessionId, subsession: &str) -> Self {
        Self::Subscription(Box::new((session.clone(), subsession.to_owned())))
    }
}

/// The table: at most one deadline for each name and owner.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers {
    due: BTreeMap<(u64, u64), (Name, Owner)>,
    places: BTreeMap<(Name, Owner), (u64, u64)>,
    set: u64,
}

impl Timers {
    /// Sets the deadline, replacing an earlier one of the same name and owner.
    pub(crate) fn set(&mut self, name: Name, owner: Owner, at_us: u64) {
        self.set += 1;
        let place = (at_us, self.set);
        if let Some(old) = self.places.insert((name, owner.clone()), place) {
            self.due.remove(&old);
        }
        self.due.insert(place, (name, owner));
    }

    pub(crate) fn clear(&mut self, name: Name, owner: &Owner) {
        if let Some(place) = self.places.remove(&(name, owner.clone())) {
            self.due.remove(&place);
        }
    }

    /// Clears all of one owner.
    pub(crate) fn forget(&mut self, owner: &Owner) {
        for name in Name::ALL {
            self.clear(name, owner);
        }
    }

    /// Hands a deadline on to another owner.
    pub(crate) fn rename(&mut self, name: Name, from: &Owner, to: Owner) {
        if let Some(place) = self.places.get(&(name, from.clone())).copied() {
            self.clear(name, from);
            self.set(name, to, place.0);
        }
    }

    pub(crate) fn is_set(&self, name: Name, owner: &Owner) -> bool {
        self.places.contains_key(&(name, owner.clone()))
    }

    pub(crate) fn next_us(&self) -> Option<u64> {
        self.due.first_key_value().map(|((at_us, _), _)| *at_us)
    }

    /// Takes the earliest deadline that has come.
    pub(crate) fn take_due(&mut self, now_us: u64) -> Option<(Name, Owner)> {
        let (place, _) = self.due.first_key_value().filter(|((at_us, _), _)| *at_us <= now_us)?;
        let place = *place;
        let key = self.due.remove(&place)?;
        self.places.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_set_again_comes_once_and_at_the_later_time() {
        let mut timers = Timers::default();
        let owner = Owner::Socket(SocketId(1));
        timers.set(Name::Idle, owner.clone(), 10);
        timers.set(Name::Idle, owner.clone(), 20);
        assert_eq!(timers.take_due(10), None);
        assert_eq!(timers.take_due(20), Some((Name::Idle, owner)));
        assert_eq!(timers.take_due(99), None);
    }

    #[test]
    fn deadlines_of_one_instant_come_in_the_order_they_were_set() {
        let mut timers = Timers::default();
        for id in [3, 1, 2] {
            timers.set(Name::Idle, Owner::Socket(SocketId(id)), 5);
        }
        let order: Vec<_> = std::iter::from_fn(|| timers.take_due(5)).map(|(_, o)| o).collect();
        assert_eq!(order, [3, 1, 2].map(|id| Owner::Socket(SocketId(id))));
    }
}
