//! The embedded fabric: redb on a file of the host's disk. A batch is one transaction, and a
//! transaction that returned is durable. It writes the batch into the journal, and into the tables
//! what has waited there long enough.

mod journal;
mod tables;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use journal::{Bounds, Journal, Kind, Part};
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata as _, StorageBackend,
    TableError, WriteTransaction,
};
use reveille_gateway_core::io::Commit;
use reveille_gateway_core::record::{BadRecord, CallRecord, MessageRecord, SessionRecord};
use reveille_host::{DiskFile, Host};

use super::seal::{Place, ROW, Sealer, beside, choose};
use super::{CommitResult, Fabric, FabricError, FabricSettings, Records};
use tables::{CALLS, Epochs, JOURNAL, MESSAGES, SESSIONS, Tables};

/// Records are small and read once, at the start: a large cache would only cost memory.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// What may wait in the journal before it comes into the tables: about half a second of all that one
/// core can wake.
const BOUNDS: Bounds = Bounds { sessions: 1_024, bytes: 4 * 1024 * 1024 };

/// Opens the file that the settings name.
pub(super) fn open(settings: &FabricSettings, host: &Host) -> Result<Box<dyn Fabric>, FabricError> {
    open_within(settings, host, BOUNDS).map(|redb| Box::new(redb) as Box<dyn Fabric>)
}

fn open_within(
    settings: &FabricSettings,
    host: &Host,
    bounds: Bounds,
) -> Result<Redb, FabricError> {
    let path = &settings.path;
    let file = host
        .disk
        .open(path)
        .map_err(|error| FabricError::new(format!("cannot open {path}: {error}")))?;
    let anew = begin_anew_if_never_begun(&*file)
        .map_err(|error| FabricError::new(format!("cannot read {path}: {error}")))?;
    if anew {
        tracing::warn!(path, "the file begins with zeros: it was never begun, and is begun anew");
    }
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create_with_backend(File(file))
        .map_err(|error| FabricError::new(format!("{path} is no usable database: {error}")))?;
    let holds = holds_records(&database)?;
    let keys = choose(&settings.sealing, || beside(host, path, holds))?;
    let sealer = Sealer::new(keys, settings.sealing.clear, Arc::clone(&host.entropy));
    let mut redb = Redb { database, sealer, journal: Journal::new(bounds), stale: Vec::new() };
    redb.read_journal()?;
    Ok(redb)
}

/// True if anything is on record; a new file has no tables.
fn holds_records(database: &Database) -> Result<bool, FabricError> {
    let read = database.begin_read().map_err(unknown)?;
    let sessions = read.open_table(SESSIONS).and_then(|table| Ok(table.is_empty()?));
    let calls = read.open_table(CALLS).and_then(|table| Ok(table.is_empty()?));
    let messages = read.open_table(MESSAGES).and_then(|table| Ok(table.is_empty()?));
    let journal = read.open_table(JOURNAL).and_then(|table| Ok(table.is_empty()?));
    let mut holds = false;
    for is_empty in [sessions, calls, messages, journal] {
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
fn begin_anew_if_never_begun(file: &dyn DiskFile) -> io::Result<bool> {
    let mut start = [0; 9];
    let length = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(start.len());
    file.read(0, &mut start[..length])?;
    let anew = length > 0 && start.iter().all(|byte| *byte == 0);
    if anew {
        file.set_len(0)?;
        file.sync()?;
    }
    Ok(anew)
}

struct Redb {
    database: Database,
    sealer: Sealer,
    journal: Journal,
    /// Rows that another key than the first had sealed when they were read.
    stale: Vec<Row>,
}

/// The row of a record: table, session id and subsession id.
struct Row(Kind, String, String);

impl Row {
    fn place(&self) -> Place<'_> {
        Place { kind: self.0.name(), session: &self.1, subsession: &self.2 }
    }
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

impl Redb {
    /// The answer to each commit, and the row that all of them make.
    fn journalled(
        &mut self,
        begin: &WriteTransaction,
        batch: &[Commit],
    ) -> Result<(Vec<CommitResult>, Vec<u8>), FabricError> {
        let epochs = Epochs::open(begin)?;
        let (mut results, mut row) = (Vec::with_capacity(batch.len()), Vec::new());
        for commit in batch {
            let session = commit.session.as_str();
            let seen = match self.journal.epoch(session) {
                Some(seen) => seen,
                None => epochs.of(session)?,
            };
            if commit.epoch < seen {
                results.push(CommitResult::Fenced);
                continue;
            }
            self.journal.take(Part::of(commit, commit.epoch > seen), &mut row);
            results.push(CommitResult::Stored);
        }
        Ok((results, row))
    }

    fn write_row(&mut self, begin: &WriteTransaction, row: &[u8]) -> Result<(), FabricError> {
        let number = self.journal.next();
        let sealed = seal_row(&mut self.sealer, number, row);
        let mut rows = begin.open_table(JOURNAL).map_err(unknown)?;
        rows.insert(number, sealed.as_slice()).map_err(unknown)?;
        self.journal.close_row();
        Ok(())
    }

    /// What waits longest comes into the tables, until no more waits than may, and the rows of the
    /// journal that nothing needs any more go.
    fn come_into_tables(&mut self, begin: &WriteTransaction) -> Result<(), FabricError> {
        let Some(mut next) = self.journal.overdue() else { return Ok(()) };
        {
            let mut tables = Tables::open(begin, &mut self.sealer)?;
            loop {
                tables.take_in(&next.0, &next.1)?;
                match self.journal.overdue() {
                    Some(more) => next = more,
                    None => break,
                }
            }
        }
        self.forget_rows(begin)
    }

    fn forget_rows(&mut self, begin: &WriteTransaction) -> Result<(), FabricError> {
        let mut rows = begin.open_table(JOURNAL).map_err(unknown)?;
        for number in self.journal.done() {
            rows.remove(number).map_err(unknown)?;
        }
        Ok(())
    }

    /// The rows that another process left.
    fn read_journal(&mut self) -> Result<(), FabricError> {
        let read = self.database.begin_read().map_err(unknown)?;
        let rows = match read.open_table(JOURNAL) {
            Ok(rows) => rows,
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(unknown(error)),
        };
        for row in rows.iter().map_err(unknown)? {
            let (number, sealed) = row.map_err(unknown)?;
            let number = number.value();
            let row = open_row(&mut self.sealer, number, sealed.value())?;
            self.journal.read(number, &row).map_err(FabricError::new)?;
        }
        Ok(())
    }

    /// All that waits comes into the tables, which are made if there are none.
    fn empty_journal(&mut self) -> Result<(), FabricError> {
        let begin = self.database.begin_write().map_err(unknown)?;
        {
            let mut tables = Tables::open(&begin, &mut self.sealer)?;
            while let Some((session, pending)) = self.journal.oldest() {
                tables.take_in(&session, &pending)?;
            }
        }
        self.forget_rows(&begin)?;
        begin.commit().map_err(unknown)
    }
}

/// Seals a row of the journal at its number.
fn seal_row(sealer: &mut Sealer, number: u64, row: &[u8]) -> Vec<u8> {
    sealer.seal(Place { kind: ROW, session: &number.to_string(), subsession: "" }, row)
}

fn open_row(sealer: &mut Sealer, number: u64, sealed: &[u8]) -> Result<Vec<u8>, FabricError> {
    sealer.open(Place { kind: ROW, session: &number.to_string(), subsession: "" }, sealed)
}

impl Fabric for Redb {
    fn load(&mut self) -> Result<Records, FabricError> {
        self.empty_journal()?;
        let read = self.database.begin_read().map_err(unknown)?;
        let mut opening = Opening { sealer: &mut self.sealer, stale: Vec::new() };
        let mut sessions = Vec::new();
        for row in read.open_table(SESSIONS).map_err(unknown)?.iter().map_err(unknown)? {
            let (key, bytes) = row.map_err(unknown)?;
            let bytes = opening.open(Kind::Session, key.value(), "", bytes.value())?;
            sessions.push(SessionRecord::decode(&bytes).map_err(|bad| unreadable(&bad))?);
        }
        let mut calls = Vec::new();
        for row in read.open_table(CALLS).map_err(unknown)?.iter().map_err(unknown)? {
            let (key, bytes) = row.map_err(unknown)?;
            let (session, subsession) = key.value();
            let bytes = opening.open(Kind::Call, session, subsession, bytes.value())?;
            calls.push(CallRecord::decode(&bytes).map_err(|bad| unreadable(&bad))?);
        }
        calls.sort_by(|a, b| (&a.session, a.arrival).cmp(&(&b.session, b.arrival)));
        let mut messages = Vec::new();
        for row in read.open_table(MESSAGES).map_err(unknown)?.iter().map_err(unknown)? {
            let (key, bytes) = row.map_err(unknown)?;
            let (session, subsession) = key.value();
            let bytes = opening.open(Kind::Message, session, subsession, bytes.value())?;
            messages.push(MessageRecord::decode(&bytes).map_err(|bad| unreadable(&bad))?);
        }
        messages.sort_by(|a, b| (&a.session, a.arrival).cmp(&(&b.session, b.arrival)));
        self.stale = opening.stale;
        Ok(Records { sessions, calls, messages })
    }

    fn commit(&mut self, batch: &[Commit]) -> Result<Vec<CommitResult>, FabricError> {
        let begin = self.database.begin_write().map_err(unknown)?;
        let (results, row) = self.journalled(&begin, batch)?;
        if row.is_empty() {
            begin.abort().map_err(unknown)?;
            return Ok(results);
        }
        self.write_row(&begin, &row)?;
        self.come_into_tables(&begin)?;
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
                tables.reseal(row.0, row.place())?;
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
    fn open(
        &mut self,
        kind: Kind,
        session: &str,
        subsession: &str,
        bytes: &[u8],
    ) -> Result<Vec<u8>, FabricError> {
        if self.sealer.is_stale(bytes) {
            self.stale.push(Row(kind, session.to_owned(), subsession.to_owned()));
        }
        self.sealer.open(Place { kind: kind.name(), session, subsession }, bytes)
    }
}
