//! A fabric in memory: survives a gateway within the process, for tests and simulation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use reveille_gateway_core::io::{Change, Commit};
use reveille_gateway_core::record::{CallRecord, MessageRecord, SessionRecord};
use reveille_host::Host;

use super::{CommitResult, Fabric, FabricError, FabricSettings, Records};

/// What the engine holds. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    /// Session records, encoded: what comes back went through the format, as on a disk.
    sessions: BTreeMap<String, Vec<u8>>,
    /// Calls by session and subsession.
    calls: BTreeMap<(String, String), Vec<u8>>,
    /// Messages by session and subsession.
    messages: BTreeMap<(String, String), Vec<u8>>,
    epochs: BTreeMap<String, u64>,
}

/// Opens the memory that the settings carry.
pub(super) fn open(settings: &FabricSettings, _: &Host) -> Result<Box<dyn Fabric>, FabricError> {
    Ok(Box::new(settings.memory.clone()))
}

impl Fabric for Memory {
    fn load(&mut self) -> Result<Records, FabricError> {
        let shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bad = |bad: reveille_gateway_core::record::BadRecord| FabricError::new(bad.0);
        let sessions = shelf.sessions.values().map(|bytes| SessionRecord::decode(bytes));
        let sessions = sessions.collect::<Result<_, _>>().map_err(bad)?;
        let calls = shelf.calls.values().map(|bytes| CallRecord::decode(bytes));
        let mut calls: Vec<_> = calls.collect::<Result<_, _>>().map_err(bad)?;
        calls.sort_by(|a, b| (&a.session, a.arrival).cmp(&(&b.session, b.arrival)));
        let messages = shelf.messages.values().map(|bytes| MessageRecord::decode(bytes));
        let mut messages: Vec<_> = messages.collect::<Result<_, _>>().map_err(bad)?;
        messages.sort_by(|a, b| (&a.session, a.arrival).cmp(&(&b.session, b.arrival)));
        Ok(Records { sessions, calls, messages })
    }

    fn commit(&mut self, batch: &[Commit]) -> Result<Vec<CommitResult>, FabricError> {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(batch.iter().map(|commit| shelf.apply(commit)).collect())
    }
}

impl Shelf {
    fn apply(&mut self, commit: &Commit) -> CommitResult {
        let session = &commit.session.to_string();
        let seen = self.epochs.get(session).copied().unwrap_or_default();
        if commit.epoch < seen {
            return CommitResult::Fenced;
        }
        self.epochs.insert(session.clone(), commit.epoch);
        for change in &commit.changes {
            match change {
                Change::PutSession(record) => {
                    self.sessions.insert(session.clone(), record.encode());
                }
                Change::DropSession => {
                    self.sessions.remove(session);
                    self.calls.retain(|(owner, _), _| owner != session);
                    self.messages.retain(|(owner, _), _| owner != session);
                    self.epochs.remove(session);
                }
                Change::PutCall(record) => {
                    let key = (session.clone(), record.subsession.clone());
                    self.calls.insert(key, record.encode());
                }
                Change::DropCall { subsession } => {
                    self.calls.remove(&(session.clone(), subsession.clone()));
                }
                Change::PutMessage(record) => {
                    let key = (session.clone(), record.subsession.clone());
                    self.messages.insert(key, record.encode());
                }
                Change::DropMessage { subsession } => {
                    self.messages.remove(&(session.clone(), subsession.clone()));
                }
            }
        }
        CommitResult::Stored
    }
}
