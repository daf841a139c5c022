//! The tables of the file, within one transaction.

use std::ops::Bound;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::super::FabricError;
use super::super::seal::{Place, Sealer};
use super::journal::{Kind, Pending};
use super::unknown;

/// Session records by id.
pub(super) const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
/// Call records by session id and subsession id.
pub(super) const CALLS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("calls");
/// Message records by session id and subsession id.
pub(super) const MESSAGES: TableDefinition<'_, (&str, &str), &[u8]> =
    TableDefinition::new("messages");
/// The highest epoch seen, by session id.
const EPOCHS: TableDefinition<'_, &str, u64> = TableDefinition::new("epochs");
/// Batches that the other tables do not hold yet, by their number.
pub(super) const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal");

/// A table of what belongs to a session, by session id and subsession id.
type Owned<'a> = redb::Table<'a, (&'static str, &'static str), &'static [u8]>;

pub(super) struct Tables<'a> {
    sealer: &'a mut Sealer,
    sessions: redb::Table<'a, &'static str, &'static [u8]>,
    calls: Owned<'a>,
    messages: Owned<'a>,
    epochs: redb::Table<'a, &'static str, u64>,
}

impl<'a> Tables<'a> {
    pub(super) fn open(
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

    /// Writes what the journal says of a session.
    pub(super) fn take_in(&mut self, session: &str, pending: &Pending) -> Result<(), FabricError> {
        if pending.dropped {
            self.drop_session(session).map_err(unknown)?;
        }
        if let Some(epoch) = pending.epoch {
            self.epochs.insert(session, epoch).map_err(unknown)?;
        }
        for ((kind, subsession), record) in &pending.rows {
            let place = Place { kind: kind.name(), session, subsession };
            let sealed = record.as_ref().map(|record| self.sealer.seal(place, record));
            self.put(*kind, session, subsession, sealed.as_deref()).map_err(unknown)?;
        }
        Ok(())
    }

    fn put(
        &mut self,
        kind: Kind,
        session: &str,
        subsession: &str,
        record: Option<&[u8]>,
    ) -> Result<(), redb::StorageError> {
        let key = (session, subsession);
        match (kind, record) {
            (Kind::Session, Some(bytes)) => self.sessions.insert(session, bytes).map(drop),
            (Kind::Session, None) => self.sessions.remove(session).map(drop),
            (Kind::Call, Some(bytes)) => self.calls.insert(key, bytes).map(drop),
            (Kind::Call, None) => self.calls.remove(key).map(drop),
            (Kind::Message, Some(bytes)) => self.messages.insert(key, bytes).map(drop),
            (Kind::Message, None) => self.messages.remove(key).map(drop),
        }
    }

    /// Seals a row anew, if it is still there and nobody has written it meanwhile.
    pub(super) fn reseal(&mut self, kind: Kind, place: Place<'_>) -> Result<(), FabricError> {
        let key = (place.session, place.subsession);
        let found = match kind {
            Kind::Session => self.sessions.get(place.session),
            Kind::Call => self.calls.get(key),
            Kind::Message => self.messages.get(key),
        };
        let found = found.map_err(unknown)?.map(|bytes| bytes.value().to_vec());
        let Some(old) = found.filter(|bytes| self.sealer.is_stale(bytes)) else { return Ok(()) };
        let record = self.sealer.open(place, &old)?;
        let anew = self.sealer.seal(place, &record);
        self.put(kind, place.session, place.subsession, Some(&anew)).map_err(unknown)
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

/// The epochs alone, for a transaction that writes no other table.
pub(super) struct Epochs<'a>(redb::Table<'a, &'static str, u64>);

impl<'a> Epochs<'a> {
    pub(super) fn open(transaction: &'a WriteTransaction) -> Result<Self, FabricError> {
        transaction.open_table(EPOCHS).map(Self).map_err(unknown)
    }

    /// The highest epoch that the table has for a session.
    pub(super) fn of(&self, session: &str) -> Result<u64, FabricError> {
        let found = self.0.get(session).map_err(unknown)?;
        Ok(found.map(|epoch| epoch.value()).unwrap_or_default())
    }
}
