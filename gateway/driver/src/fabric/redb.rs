//! The embedded fabric: redb on a file of the host's disk. A batch is one transaction, and a
//! transaction that returned is durable.

use std::io;
use std::ops::Bound;
use std::sync::Arc;

use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata as _, StorageBackend,
    TableDefinition, TableError, WriteTransaction,
};
use reveille_gateway_core::io::{Change, Commit};
use reveille_gateway_core::record::{BadRecord, CallRecord, MessageRecord, SessionRecord};
use reveille_host::{DiskFile, Host};

use super::seal::{Place, Sealer, beside, choose};
use super::{CommitResult, Fabric, FabricError, FabricSettings, Records};

/// Session records by id.
const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
/// Call records by session id and subsession id.
const CALLS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("calls");
/// Message records by session id and subsession id.
const MESSAGES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("messages");
/// The highest epoch seen, by session id.
const EPOCHS: TableDefinition<'_, &str, u64> = TableDefinition::new("epochs");

/// What a record is called where it is sealed; never changed, or nothing opens.
const SESSION: &str = "session";
const CALL: &str = "call";
const MESSAGE: &str = "message";

/// Records are small and read once, at the start: a large cache would only cost memory.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Opens the file that the settings name.
pub(super) fn open(settings: &FabricSettings, host: &Host) -> Result<Box<dyn Fabric>, FabricError> {
    let path = &settings.path;
    let file = host
        .disk
        .open(path)
        .map_err(|error| FabricError::new(format!("cannot open {path}: {error}")))?;
    begin_anew_if_never_begun(&*file)
        .map_err(|error| FabricError::new(format!("cannot read {path}: {error}")))?;
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create_with_backend(File(file))
        .map_err(|error| FabricError::new(format!("{path} is no usable database: {error}")))?;
    let holds = holds_records(&database)?;
    let keys = choose(&settings.sealing, || beside(host, path, holds))?;
    let sealer = Sealer::new(keys, settings.sealing.clear, Arc::clone(&host.entropy));
    Ok(Box::new(Redb { database, sealer, stale: Vec::new() }))
}

/// True if anything is on record; a new file has no tables.
fn holds_records(database: &Database) -> Result<bool, FabricError> {
    let read = database.begin_read().map_err(unknown)?;
    let sessions = read.open_table(SESSIONS).and_then(|table| Ok(table.is_empty()?));
    let calls = read.open_table(CALLS).and_then(|table| Ok(table.is_empty()?));
    let messages = read.open_table(MESSAGES).and_then(|table| Ok(table.is_empty()?));
    let mut holds = false;
    for is_empty in [sessions, calls, messages] {
        holds |= match is_empty {
            Ok(is_empty) => !is_empty,
            Err(TableError::TableDoesNotExist(_)) => false,
            Err(error) => return Err(unknown(error)),
        };
    }
    Ok(holds)
}

/// Redb writes the first bytes of a new file last. A file that begins with zeros is one whose
/// creation was cut short, so nothing was ever stored in it.
fn begin_anew_if_never_begun(file: &dyn DiskFile) -> io::Result<()> {
    let mut start = [0; 9];
    let length = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(start.len());
    file.read(0, &mut start[..length])?;
    if length > 0 && start.iter().all(|byte| *byte == 0) {
        file.set_len(0)?;
        file.sync()?;
    }
    Ok(())
}

struct Redb {
    database: Database,
    sealer: Sealer,
    /// Rows that another key than the first had sealed when they were read.
    stale: Vec<Row>,
}

/// The row of a record: table, session id and subsession id.
struct Row(&'static str, String, String);

impl Row {
    fn of(place: Place<'_>) -> Self {
        Self(place.kind, place.session.to_owned(), place.subsession.to_owned())
    }

    fn place(&self) -> Place<'_> {
        Place { kind: self.0, session: &self.1, subsession: &self.2 }
    }
}

const fn place<'a>(kind: &'static str, session: &'a str, subsession: &'a str) -> Place<'a> {
    Place { kind, session, subsession }
}

/// The host's file as redb wants it.
#[derive(Debug)]
struct File(Arc<dyn DiskFile>);

impl StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

fn unknown(error: impl std::fmt::Display) -> FabricError {
    FabricError::new(format!("redb: {error}"))
}

fn unreadable(bad: &BadRecord) -> FabricError {
    FabricError::new(format!("redb holds a record that this build cannot read: {}", bad.0))
}

impl Fabric for Redb {
    fn load(&mut self) -> Result<Records, FabricError> {
        // Opening the tables for writing makes them: a new file has none.
        let begin = self.database.begin_write().map_err(unknown)?;
        Tables::open(&begin, &mut self.sealer)?;
        begin.commit().map_err(unknown)?;
        let read = self.database.begin_read().map_err(unknown)?;
        let mut opening = Opening { sealer: &mut self.sealer, stale: Vec::new() };
        let mut sessions = Vec::new();
        for row in read.open_table(SESSIONS).map_err(unknown)?.iter().map_err(unknown)? {
            let (key, bytes) = row.map_err(unknown)?;
            let bytes = opening.open(place(SESSION, key.value(), ""), bytes.value())?;
            sessions.push(SessionRecord::decode(&bytes).map_err(|bad| unreadable(&bad))?);
        }
        let mut calls = Vec::new();
        for row in read.open_table(CALLS).map_err(unknown)?.iter().map_err(unknown)? {
            let (key, bytes) = row.map_err(unknown)?;
            let (session, subsession) = key.value();
            let bytes = opening.open(place(CALL, session, subsession), bytes.value())?;
            calls.push(CallRecord::decode(&bytes).map_err(|bad| unreadable(&bad))?);
        }
        calls.sort_by(|a, b| (&a.session, a.arrival).cmp(&(&b.session, b.arrival)));
        let mut messages = Vec::new();
        for row in read.open_table(MESSAGES).map_err(unknown)?.iter().map_err(unknown)? {
            let (key, bytes) = row.map_err(unknown)?;
            let (session, subsession) = key.value();
            let bytes = opening.open(place(MESSAGE, session, subsession), bytes.value())?;
            messages.push(MessageRecord::decode(&bytes).map_err(|bad| unreadable(&bad))?);
        }
        messages.sort_by(|a, b| (&a.session, a.arrival).cmp(&(&b.session, b.arrival)));
        self.stale = opening.stale;
        Ok(Records { sessions, calls, messages })
    }

    fn commit(&mut self, batch: &[Commit]) -> Result<Vec<CommitResult>, FabricError> {
        let begin = self.database.begin_write().map_err(unknown)?;
        let mut results = Vec::with_capacity(batch.len());
        {
            let mut tables = Tables::open(&begin, &mut self.sealer)?;
            for commit in batch {
                results.push(tables.apply(commit).map_err(unknown)?);
            }
        }
        begin.commit().map_err(unknown)?;
        Ok(results)
    }

    fn stale(&self) -> usize {
        self.stale.len()
    }

    fn reseal(&mut self, most: usize) -> Result<(), FabricError> {
        let rows = self.stale.split_off(self.stale.len().saturating_sub(most));
        let begin = self.database.begin_write().map_err(unknown)?;
        {
            let mut tables = Tables::open(&begin, &mut self.sealer)?;
            for row in &rows {
                tables.reseal(row.place())?;
            }
        }
        begin.commit().map_err(unknown)
    }
}

/// Opens records, and notes which of them another key than the first has sealed.
struct Opening<'a> {
    sealer: &'a mut Sealer,
    stale: Vec<Row>,
}

impl Opening<'_> {
    fn open(&mut self, place: Place<'_>, bytes: &[u8]) -> Result<Vec<u8>, FabricError> {
        if self.sealer.is_stale(bytes) {
            self.stale.push(Row::of(place));
        }
        self.sealer.open(place, bytes)
    }
}

/// A table of what belongs to a session, by session id and subsession id.
type Owned<'a> = redb::Table<'a, (&'static str, &'static str), &'static [u8]>;

struct Tables<'a> {
    sealer: &'a mut Sealer,
    sessions: redb::Table<'a, &'static str, &'static [u8]>,
    calls: Owned<'a>,
    messages: Owned<'a>,
    epochs: redb::Table<'a, &'static str, u64>,
}

impl<'a> Tables<'a> {
    fn open(
        transaction: &'a WriteTransaction,
        sealer: &'a mut Sealer,
    ) -> Result<Self, FabricError> {
        Ok(Self {
            sealer,
            sessions: transaction.open_table(SESSIONS).map_err(unknown)?,
            calls: transaction.open_table(CALLS).map_err(unknown)?,
            messages: transaction.open_table(MESSAGES).map_err(unknown)?,
            epochs: transaction.open_table(EPOCHS).map_err(unknown)?,
        })
    }

    fn apply(&mut self, commit: &Commit) -> Result<CommitResult, redb::StorageError> {
        let session = commit.session.as_str();
        let seen = self.epochs.get(session)?.map(|epoch| epoch.value()).unwrap_or_default();
        if commit.epoch < seen {
            return Ok(CommitResult::Fenced);
        }
        if commit.epoch > seen {
            self.epochs.insert(session, commit.epoch)?;
        }
        for change in &commit.changes {
            match change {
                Change::PutSession(record) => {
                    let bytes = self.sealer.seal(place(SESSION, session, ""), &record.encode());
                    self.sessions.insert(session, bytes.as_slice())?;
                }
                Change::DropSession => self.drop_session(session)?,
                Change::PutCall(record) => {
                    let key = (session, record.subsession.as_str());
                    let bytes = self.sealer.seal(place(CALL, key.0, key.1), &record.encode());
                    self.calls.insert(key, bytes.as_slice())?;
                }
                Change::DropCall { subsession } => {
                    self.calls.remove((session, subsession.as_str()))?;
                }
                Change::PutMessage(record) => {
                    let key = (session, record.subsession.as_str());
                    let bytes = self.sealer.seal(place(MESSAGE, key.0, key.1), &record.encode());
                    self.messages.insert(key, bytes.as_slice())?;
                }
                Change::DropMessage { subsession } => {
                    self.messages.remove((session, subsession.as_str()))?;
                }
            }
        }
        Ok(CommitResult::Stored)
    }

    /// Seals a row anew, if it is still there and nobody has written it meanwhile.
    fn reseal(&mut self, place: Place<'_>) -> Result<(), FabricError> {
        let key = (place.session, place.subsession);
        let found = match place.kind {
            CALL => self.calls.get(key),
            MESSAGE => self.messages.get(key),
            _ => self.sessions.get(place.session),
        };
        let found = found.map_err(unknown)?.map(|bytes| bytes.value().to_vec());
        let Some(old) = found.filter(|bytes| self.sealer.is_stale(bytes)) else { return Ok(()) };
        let record = self.sealer.open(place, &old)?;
        let anew = self.sealer.seal(place, &record);
        let put = match place.kind {
            CALL => self.calls.insert(key, anew.as_slice()).map(drop),
            MESSAGE => self.messages.insert(key, anew.as_slice()).map(drop),
            _ => self.sessions.insert(place.session, anew.as_slice()).map(drop),
        };
        put.map_err(unknown)
    }

    fn drop_session(&mut self, session: &str) -> Result<(), redb::StorageError> {
        self.sessions.remove(session)?;
        self.epochs.remove(session)?;
        drop_owned(&mut self.calls, session)?;
        drop_owned(&mut self.messages, session)
    }
}

/// Removes the rows of one session.
fn drop_owned(table: &mut Owned<'_>, session: &str) -> Result<(), redb::StorageError> {
    let from = Bound::Included((session, ""));
    let mut owned = Vec::new();
    for row in table.range::<(&str, &str)>((from, Bound::Unbounded))? {
        let (key, _) = row?;
        let (owner, subsession) = key.value();
        if owner != session {
            break;
        }
        owned.push(subsession.to_owned());
    }
    for subsession in owned {
        table.remove((session, subsession.as_str()))?;
    }
    Ok(())
}
