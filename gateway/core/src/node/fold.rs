//! Sleepers in memory. A session that sleeps and has nothing to do is folded into a few hundred bytes,
//! and unfolded by whatever concerns it: a call, a deadline, its app. What is folded is what the
//! record holds and what the process must not forget of it; nothing here is ever written to disk.

use serde::{Deserialize, Serialize};

use super::Node;
use super::entry::{Dirty, Entry};
use crate::gate::Gate;
use crate::record::{
    Device, Gruu, SentFrame, SessionId, SessionRecord, SleepCause, Standing, VERSION,
};
use crate::registration::Registration;
use crate::session::{Link, Session};

/// A folded session, without its id.
#[derive(Serialize, Deserialize)]
struct Folded {
    /// `None`: this node.
    owner: Option<String>,
    epoch: u64,
    user: String,
    aor: String,
    app: String,
    contact: Name,
    instance: Name,
    until_wall_us: u64,
    cause: SleepCause,
    ttl_s: u64,
    device: Option<Device>,
    last_out: u64,
    last_in: u64,
    unacknowledged: Vec<SentFrame>,
    last_arrival: u64,
    registered_until_wall_us: u64,
    supersedes: Option<SessionId>,
    gruu: Gruu,
    untold: u32,
    woken_us: Option<u64>,
    registration: Option<Registration>,
    issued: u64,
    durable_in: u64,
    born: u64,
}

/// A name made of 128 bits, as most are.
#[derive(Serialize, Deserialize)]
enum Name {
    Hex(u128),
    Uuid(u128),
    Other(String),
}

impl Name {
    fn fold(text: String) -> Self {
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let bits = |digits: &str| u128::from_str_radix(digits, 16).ok();
        let hex = bits(&text).map(Self::Hex).filter(|name| name.to_text() == text);
        let uuid = text.strip_prefix("urn:uuid:").and_then(|_| {
            let digits = digits.get(digits.len().checked_sub(32)?..)?;
            bits(digits).map(Self::Uuid).filter(|name| name.to_text() == text)
        });
        hex.or(uuid).unwrap_or(Self::Other(text))
    }

    fn to_text(&self) -> String {
        match self {
            Self::Hex(bits) => format!("{bits:032x}"),
            Self::Uuid(bits) => {
                let hex = format!("{bits:032x}");
                let (a, b, c) = (&hex[..8], &hex[8..12], &hex[12..16]);
                format!("urn:uuid:{a}-{b}-{c}-{}-{}", &hex[16..20], &hex[20..])
            }
            Self::Other(text) => text.clone(),
        }
    }
}

impl Entry {
    /// True if nothing is under way: the session sleeps, and only its deadlines, its app or the
    /// network can begin something.
    fn is_idle(&self) -> bool {
        let record = &self.session.record;
        let sleeps = self.session.is_asleep() && self.session.link == Link::None && !self.over;
        let is_bare = self.calls.is_empty() && self.messages.is_empty() && self.errands.is_empty();
        let is_left_alone = self.knocks.is_empty();
        let is_quiet = self.subscriptions.is_empty()
            && record.subscriptions.is_empty()
            && record.sending.is_empty();
        let waits = self.wake.is_some() || self.asked_sleep.is_some() || self.joining.is_some();
        let is_written =
            self.dirty == Dirty::Clean && self.changes.is_empty() && self.gate.is_empty();
        sleeps && is_bare && is_left_alone && is_quiet && !waits && is_written
    }

    fn fold(self, node: &str) -> Box<[u8]> {
        let Self { session, woken_us, registration, gate, born, .. } = self;
        let Session { record, untold, .. } = session;
        let SessionRecord {
            owner,
            epoch,
            user,
            aor,
            app,
            contact,
            instance,
            standing,
            ttl_s,
            device,
            last_out,
            last_in,
            unacknowledged,
            last_arrival,
            registered_until_wall_us,
            supersedes,
            gruu,
            version: _,
            id: _,
            sending: _,
            subscriptions: _,
        } = record;
        let (until_wall_us, cause) = match standing {
            Standing::Asleep { until_wall_us, cause } => (until_wall_us, cause),
            Standing::Awake => unreachable!("only a sleeper is folded"),
        };
        let folded = Folded {
            owner: (owner != node).then_some(owner),
            epoch,
            user,
            aor,
            app,
            contact: Name::fold(contact),
            instance: Name::fold(instance),
            until_wall_us,
            cause,
            ttl_s,
            device,
            last_out,
            last_in,
            unacknowledged,
            last_arrival,
            registered_until_wall_us,
            supersedes,
            gruu,
            untold,
            woken_us,
            registration,
            issued: gate.issued(),
            durable_in: gate.durable_in(),
            born,
        };
        postcard::to_allocvec(&folded).expect("plain data").into_boxed_slice()
    }

    fn unfold(bytes: &[u8], id: &SessionId, node: &str) -> Self {
        let folded: Folded = postcard::from_bytes(bytes).expect("this process folded it");
        let record = SessionRecord {
            version: VERSION,
            id: id.clone(),
            owner: folded.owner.unwrap_or_else(|| node.to_owned()),
            epoch: folded.epoch,
            user: folded.user,
            aor: folded.aor,
            app: folded.app,
            contact: folded.contact.to_text(),
            instance: folded.instance.to_text(),
            standing: Standing::Asleep { until_wall_us: folded.until_wall_us, cause: folded.cause },
            ttl_s: folded.ttl_s,
            device: folded.device,
            last_out: folded.last_out,
            last_in: folded.last_in,
            unacknowledged: folded.unacknowledged,
            last_arrival: folded.last_arrival,
            registered_until_wall_us: folded.registered_until_wall_us,
            supersedes: folded.supersedes,
            sending: Vec::new(),
            subscriptions: Vec::new(),
            gruu: folded.gruu,
        };
        let mut session = Session::new(record, Link::None);
        session.untold = folded.untold;
        let mut entry = Self::new(session, folded.born);
        entry.woken_us = folded.woken_us;
        entry.registration = folded.registration;
        entry.gate = Gate::settled(folded.issued, folded.durable_in);
        entry
    }
}

impl Node {
    /// Something concerns this session: it is unfolded, if it was folded.
    pub(super) fn unfold(&mut self, session: &SessionId) {
        if let Some(bytes) = self.sleepers.remove(session) {
            let entry = Entry::unfold(&bytes, session, &self.config.node);
            self.entries.insert(session.clone(), entry);
            self.stirred.insert(session.clone());
        }
    }

    /// A copy of a folded session, to be looked at.
    pub(super) fn look_at(&self, id: &SessionId, bytes: &[u8]) -> Entry {
        Entry::unfold(bytes, id, &self.config.node)
    }

    /// The sessions of an address of record.
    pub(super) fn sessions_of(&self, aor: &str) -> impl Iterator<Item = &SessionId> {
        let from = (aor.to_owned(), SessionId::from(""));
        let of = aor.to_owned();
        self.addresses.range(from..).take_while(move |(it, _)| *it == of).map(|(_, id)| id)
    }

    /// Unfolds every session of an address of record.
    pub(super) fn unfold_address(&mut self, aor: &str) {
        let sessions: Vec<_> = self.sessions_of(aor).cloned().collect();
        for session in sessions {
            self.unfold(&session);
        }
    }

    /// Folds what this input stirred and left with nothing to do.
    pub(super) fn fold_idle(&mut self) {
        while let Some(session) = self.stirred.pop_first() {
            if self.entries.get(&session).is_some_and(Entry::is_idle)
                && let Some(entry) = self.entries.remove(&session)
            {
                let bytes = entry.fold(&self.config.node);
                self.sleepers.insert(session, bytes);
            }
        }
    }

    /// Sessions that this node holds, folded or not.
    pub(super) fn count(&self) -> usize {
        self.entries.len() + self.sleepers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were() {
        for text in [
            "0123456789abcdef0123456789abcdef",
            "00000000000000000000000000000000",
            "urn:uuid:01234567-89ab-4def-8123-456789abcdef",
            "urn:uuid:0",
            "ABCDEF6789abcdef0123456789abcdef",
            "bob",
            "",
        ] {
            assert_eq!(Name::fold(text.to_owned()).to_text(), text);
        }
        assert!(matches!(Name::fold("0123456789abcdef0123456789abcdef".to_owned()), Name::Hex(_)));
        let uuid = "urn:uuid:01234567-89ab-4def-8123-456789abcdef".to_owned();
        assert!(matches!(Name::fold(uuid), Name::Uuid(_)));
    }
}
