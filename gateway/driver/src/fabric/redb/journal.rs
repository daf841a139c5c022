//! The journal. A batch is one row of it, written from end to end, instead of a row here and there for
//! each record; what it says is kept in memory, and comes into the tables when many sessions have
//! changed since. A call writes its session and itself eight times in a few seconds: most of that is
//! over before it costs more than the journal's row, and a call that is over never comes into a table.
//!
//! Nothing depends on memory: at a start the rows that are left are read into it again, in order.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use reveille_gateway_core::io::{Change, Commit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Begins each row, so that one in clear looks like a record in clear: an empty map.
const MARK: u8 = 0x80;

/// The table of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Kind {
    Session,
    Call,
    Message,
}

impl Kind {
    /// What a record is called where it is sealed; never changed, or nothing opens.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Call => "call",
            Self::Message => "message",
        }
    }
}

/// Bytes that are copied at once and not one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Octets<'a>(Cow<'a, [u8]>);

impl Serialize for Octets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'a, 'de: 'a> Deserialize<'de> for Octets<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(|bytes| Self(Cow::Borrowed(bytes)))
    }
}

/// A row that is written to its end, whole slices at a time.
struct Row<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Row<'_> {
    type Output = ();

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// One thing that a commit does.
#[derive(Debug, Serialize, Deserialize)]
enum Step<'a> {
    Epoch(u64),
    Put(Kind, &'a str, #[serde(borrow)] Octets<'a>),
    Drop(Kind, &'a str),
    DropSession,
}

/// What a commit does, and to which session.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Part<'a> {
    session: &'a str,
    #[serde(borrow)]
    steps: Vec<Step<'a>>,
}

impl<'a> Part<'a> {
    /// What this commit does; `raises` if its epoch is new.
    pub(super) fn of(commit: &'a Commit, raises: bool) -> Self {
        let epoch = raises.then_some(Step::Epoch(commit.epoch));
        let steps = epoch.into_iter().chain(commit.changes.iter().map(Step::of)).collect();
        Self { session: commit.session.as_str(), steps }
    }
}

impl<'a> Step<'a> {
    fn of(change: &'a Change) -> Self {
        let octets = |record: Vec<u8>| Octets(Cow::Owned(record));
        match change {
            Change::PutSession(record) => Self::Put(Kind::Session, "", octets(record.encode())),
            Change::DropSession => Self::DropSession,
            Change::PutCall(record) => {
                Self::Put(Kind::Call, &record.subsession, octets(record.encode()))
            }
            Change::DropCall { subsession } => Self::Drop(Kind::Call, subsession),
            Change::PutMessage(record) => {
                Self::Put(Kind::Message, &record.subsession, octets(record.encode()))
            }
            Change::DropMessage { subsession } => Self::Drop(Kind::Message, subsession),
        }
    }
}

/// What the tables do not say yet of one session.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// The first row of the journal that says something of it.
    since: u64,
    /// Whatever the tables hold of it is to go first.
    pub(super) dropped: bool,
    pub(super) epoch: Option<u64>,
    /// `None`: to be removed.
    pub(super) rows: BTreeMap<(Kind, String), Option<Vec<u8>>>,
    bytes: usize,
}

impl Pending {
    fn take(&mut self, step: Step<'_>) {
        match step {
            Step::Epoch(epoch) => self.epoch = Some(epoch),
            Step::Put(kind, subsession, record) => {
                self.put(kind, subsession, Some(record.0.into_owned()));
            }
            Step::Drop(kind, subsession) => self.put(kind, subsession, None),
            Step::DropSession => {
                self.rows.clear();
                (self.dropped, self.epoch, self.bytes) = (true, None, 0);
            }
        }
    }

    fn put(&mut self, kind: Kind, subsession: &str, record: Option<Vec<u8>>) {
        let size = |record: &Option<Vec<u8>>| record.as_ref().map_or(0, Vec::len);
        self.bytes += size(&record);
        let before = self.rows.insert((kind, subsession.to_owned()), record);
        self.bytes -= before.as_ref().map_or(0, size);
    }
}

/// How much may wait in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) sessions: usize,
    pub(super) bytes: usize,
}

/// What the journal holds, and what it comes to.
#[derive(Debug)]
pub(super) struct Journal {
    bounds: Bounds,
    pending: BTreeMap<String, Pending>,
    /// The sessions that wait, longest first.
    order: VecDeque<String>,
    bytes: usize,
    /// The number of the oldest row, and of the next.
    first: u64,
    next: u64,
}

impl Journal {
    pub(super) fn new(bounds: Bounds) -> Self {
        let (pending, order) = (BTreeMap::new(), VecDeque::new());
        Self { bounds, pending, order, bytes: 0, first: 0, next: 0 }
    }

    /// The number of the next row.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// The highest epoch seen for a session; `None`: the tables know it.
    pub(super) fn epoch(&self, session: &str) -> Option<u64> {
        let pending = self.pending.get(session)?;
        pending.epoch.or_else(|| pending.dropped.then_some(0))
    }

    /// Takes a part of the row under way; appends it to what will be the row.
    pub(super) fn take(&mut self, part: Part<'_>, row: &mut Vec<u8>) {
        if part.steps.is_empty() {
            return;
        }
        if row.is_empty() {
            row.push(MARK);
        }
        postcard::serialize_with_flavor(&part, Row(row)).expect("plain data");
        self.apply(part);
    }

    fn apply(&mut self, part: Part<'_>) {
        let since = self.next;
        if !self.pending.contains_key(part.session) {
            self.order.push_back(part.session.to_owned());
            let fresh = Pending { since, ..Pending::default() };
            self.pending.insert(part.session.to_owned(), fresh);
        }
        let Some(pending) = self.pending.get_mut(part.session) else { return };
        self.bytes -= pending.bytes;
        for step in part.steps {
            pending.take(step);
        }
        self.bytes += pending.bytes;
    }

    /// The row under way is whole.
    pub(super) const fn close_row(&mut self) {
        self.next += 1;
    }

    /// Takes a row that was found in the file.
    ///
    /// # Errors
    /// It is not what a row is.
    pub(super) fn read(&mut self, number: u64, row: &[u8]) -> Result<(), String> {
        if self.next == 0 {
            self.first = number;
        }
        self.next = number;
        let Some((&MARK, mut rest)) = row.split_first() else {
            return Err(format!("row {number} of the journal begins with no {MARK:#x}"));
        };
        while !rest.is_empty() {
            let (part, left) = postcard::take_from_bytes(rest)
                .map_err(|error| format!("row {number} of the journal: {error}"))?;
            self.apply(part);
            rest = left;
        }
        self.next = number + 1;
        Ok(())
    }

    /// The session that has waited longest, if more waits than should.
    pub(super) fn overdue(&mut self) -> Option<(String, Pending)> {
        let is_full = self.order.len() > self.bounds.sessions || self.bytes > self.bounds.bytes;
        if is_full { self.oldest() } else { None }
    }

    /// The session that has waited longest.
    pub(super) fn oldest(&mut self) -> Option<(String, Pending)> {
        let session = self.order.pop_front()?;
        let pending = self.pending.remove(&session)?;
        self.bytes -= pending.bytes;
        Some((session, pending))
    }

    /// The rows that the tables hold whole by now; they count as removed.
    pub(super) fn done(&mut self) -> std::ops::Range<u64> {
        let oldest = self.order.front().and_then(|session| self.pending.get(session));
        let kept = oldest.map_or(self.next, |pending| pending.since);
        let done = self.first..kept;
        self.first = kept;
        done
    }
}
