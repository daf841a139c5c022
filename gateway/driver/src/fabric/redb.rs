//! The embedded fabric: redb on a file of the host's disk. A batch is one transaction, and a
//! transaction that returned is durable.

use std::io;
use std::ops::Bound;
use std::sync::Arc;

use redb::{
    Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, WriteTransaction,
};
use reveille_gateway_core::io::{Change, Commit};
use reveille_gateway_core::record::{BadRecord, CallRecord, MessageRecord, SessionRecord};
use reveille_host::{DiskFile, Host};

use super::{CommitResult, Fabric, FabricError, FabricSettings, Records};

/// Session records by id.
const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
/// Call records by session id and subsession id.
const CALLS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("calls");
/// Message records by session id and subsession id.
const MESSAGES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("messages");
/// The highest epoch seen, by session id.
const EPOCHS: TableDefinition<'_, &str, u64> = TableDefinition::new("epochs");

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
    Ok(Box::new(Redb { database }))
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
        Tables::open(&begin)?;
        begin.commit().map_err(unknown)?;
        let read = self.database.begin_read().map_err(unknown)?;
        let mut sessions = Vec::new();
        for row in read.open_table(SESSIONS).map_err(unknown)?.iter().map_err(unknown)? {
            let (_, bytes) = row.map_err(unknown)?;
            let record = SessionRecord::decode(bytes.value());
            sessions.push(record.map_err(|bad| unreadable(&bad))?);
        }
        let mut calls = Vec::new();
        for row in read.open_table(CALLS).map_err(unknown)?.iter().map_err(unknown)? {
            let (_, bytes) = row.map_err(unknown)?;
            calls.push(CallRecord::decode(bytes.value()).map_err(|bad| unreadable(&bad))?);
        }
        calls.sort_by(|a, b| (&a.session, a.arrival).cmp(&(&b.session, b.arrival)));
        let mut messages = Vec::new();
        for row in read.open_table(MESSAGES).map_err(unknown)?.iter().map_err(unknown)? {
            let (_, bytes) = row.map_err(unknown)?;
            messages.push(MessageRecord::decode(bytes.value()).map_err(|bad| unreadable(&bad))?);
        }
        messages.sort_by(|a, b| (&a.session, a.arrival).cmp(&(&b.session, b.arrival)));
        Ok(Records { sessions, calls, messages })
    }

    fn commit(&mut self, batch: &[Commit]) -> Result<Vec<CommitResult>, FabricError> {
        let begin = self.database.begin_write().map_err(unknown)?;
        let mut results = Vec::with_capacity(batch.len());
        {
            let mut tables = Tables::open(&begin)?;
            for commit in batch {
                results.push(tables.apply(commit).map_err(unknown)?);
            }
        }
        begin.commit().map_err(unknown)?;
        Ok(results)
    }
}

/// A table of what belongs to a session, by session id and subsession id.
type Owned<'a> = redb::Table<'a, (&'static str, &'static str), &'static [u8]>;

struct Tables<'a> {
    sessions: redb::Table<'a, &'static str, &'static [u8]>,
    calls: Owned<'a>,
    messages: Owned<'a>,
    epochs: redb::Table<'a, &'static str, u64>,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Self, FabricError> {
        Ok(Self {
            sessions: transaction.open_table(SESSIONS).map_err(unknown)?,
            calls: transaction.open_table(CALLS).map_err(unknown)?,
            messages: transaction.open_table(MESSAGES).map_err(unknown)?,
            epochs: transaction.open_table(EPOCHS).map_err(unknown)?,
        })
    }

    fn apply(&mut self, commit: &Commit) -> Result<CommitResult, redb::StorageError> {
        let session = commit.session.0.as_str();
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
                    self.sessions.insert(session, record.encode().as_slice())?;
                }
                Change::DropSession => self.drop_session(session)?,
                Change::PutCall(record) => {
                    let key = (session, record.subsession.as_str());
                    self.calls.insert(key, record.encode().as_slice())?;
                }
                Change::DropCall { subsession } => {
                    self.calls.remove((session, subsession.as_str()))?;
                }
                Change::PutMessage(record) => {
                    let key = (session, record.subsession.as_str());
                    self.messages.insert(key, record.encode().as_slice())?;
                }
                Change::DropMessage { subsession } => {
                    self.messages.remove((session, subsession.as_str()))?;
                }
            }
        }
        Ok(CommitResult::Stored)
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
