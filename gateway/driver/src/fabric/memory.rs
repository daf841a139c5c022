//! A fabric in memory: survives a gateway within the process, for tests and simulation. Gateways of
//! one process may share it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reveille_gateway_core::io::{Change, Claim, Claimed, Commit, Key};
use reveille_gateway_core::record::{
    BadRecord, CallRecord, MessageRecord, SessionId, SessionRecord,
};
use reveille_host::{Clock, Host};

use super::index::call_id;
use super::{CommitResult, Fabric, FabricError, FabricSettings, Member, Records};

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
    /// Address, and the end of the lease, by node.
    leases: BTreeMap<String, (String, u64)>,
    /// Epochs that nodes lost, by node and session.
    lost: BTreeMap<(String, String), u64>,
}

/// The memory as one gateway sees it.
struct Engine {
    memory: Memory,
    member: Option<Member>,
    /// All hosts of a simulation have one; it is the fabric's own clock.
    clock: Arc<dyn Clock>,
    /// What was lost and told.
    told: BTreeMap<String, u64>,
}

/// Opens the memory that the settings carry.
pub(super) fn open(settings: &FabricSettings, host: &Host) -> Result<Box<dyn Fabric>, FabricError> {
    let (memory, member) = (settings.memory.clone(), settings.member.clone());
    Ok(Box::new(Engine { memory, member, clock: Arc::clone(&host.clock), told: BTreeMap::new() }))
}

impl Engine {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.memory.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.clock.now().mono.as_micros()).unwrap_or(u64::MAX)
    }
}

fn bad(bad: BadRecord) -> FabricError {
    FabricError::new(bad.0)
}

impl Fabric for Engine {
    fn load(&mut self) -> Result<Records, FabricError> {
        let node = self.member.as_ref().map(|member| member.node.as_str());
        self.shelf().read(|record| node.is_none_or(|node| record.owner == node))
    }

    fn commit(&mut self, batch: &[Commit]) -> Result<Vec<CommitResult>, FabricError> {
        let node = self.member.as_ref().map(|member| member.node.as_str());
        let mut shelf = self.shelf();
        Ok(batch.iter().map(|commit| shelf.apply(commit, node)).collect())
    }

    fn renew(&mut self) -> Result<(), FabricError> {
        if let Some(member) = &self.member {
            let until_us = self.now_us() + member.lease_ms * 1_000;
            self.shelf().leases.insert(member.node.clone(), (member.address.clone(), until_us));
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), FabricError> {
        if let Some(member) = &self.member {
            self.shelf().leases.remove(&member.node);
        }
        Ok(())
    }

    fn claim(&mut self, claim: &Claim) -> Result<Claimed, FabricError> {
        let Some(member) = &self.member else { return Ok(Claimed::Nobody) };
        let mut shelf = self.shelf();
        let mut found = None;
        for key in &claim.keys {
            if found.is_none() {
                found = shelf.find(key)?;
            }
        }
        let Some(record) = found else { return Ok(Claimed::Nobody) };
        if claim.for_user.as_ref().is_some_and(|user| *user != record.user) {
            return Ok(Claimed::Stranger);
        }
        if record.owner == member.node {
            return Ok(Claimed::Ours);
        }
        let owner = shelf.leases.get(&record.owner).filter(|(_, until)| *until > self.now_us());
        match owner {
            Some((address, _)) if claim.for_user.is_none() => {
                Ok(Claimed::Elsewhere { address: address.clone() })
            }
            _ => shelf.give(vec![record], &member.node).map(Claimed::Adopted),
        }
    }

    fn adopt(&mut self, most: usize) -> Result<Records, FabricError> {
        let Some(member) = &self.member else { return Ok(Records::default()) };
        let now_us = self.now_us();
        let mut shelf = self.shelf();
        let lives =
            |node: &String| shelf.leases.get(node).is_some_and(|(_, until)| *until > now_us);
        let all = shelf.read(|record| record.owner != member.node && !lives(&record.owner))?;
        let (busy, idle): (Vec<_>, Vec<_>) = all
            .sessions
            .into_iter()
            .partition(|record| all.calls.iter().any(|call| call.session == record.id));
        shelf.give(busy.into_iter().chain(idle).take(most).collect(), &member.node)
    }

    fn lost(&mut self) -> Result<Vec<(SessionId, u64)>, FabricError> {
        let Some(member) = &self.member else { return Ok(Vec::new()) };
        let told = std::mem::take(&mut self.told);
        let mut shelf = self.shelf();
        shelf.lost.retain(|(node, session), epoch| {
            *node != member.node || told.get(session) != Some(epoch)
        });
        let ours = shelf.lost.iter().filter(|((node, _), _)| *node == member.node);
        let ours: BTreeMap<_, _> = ours.map(|((_, id), epoch)| (id.clone(), *epoch)).collect();
        drop(shelf);
        self.told.clone_from(&ours);
        Ok(ours.into_iter().map(|(id, epoch)| (SessionId::from(id), epoch)).collect())
    }
}

impl Shelf {
    /// The sessions that are wanted, and what belongs to them.
    fn read(&self, wanted: impl Fn(&SessionRecord) -> bool) -> Result<Records, FabricError> {
        let sessions = self.sessions.values().map(|bytes| SessionRecord::decode(bytes));
        let mut sessions: Vec<_> = sessions.collect::<Result<_, _>>().map_err(bad)?;
        sessions.retain(wanted);
        let is_theirs =
            |id: &SessionId| sessions.binary_search_by(|record| record.id.cmp(id)).is_ok();
        let calls = self.calls.values().map(|bytes| CallRecord::decode(bytes));
        let mut calls: Vec<_> = calls.collect::<Result<_, _>>().map_err(bad)?;
        calls.retain(|call| is_theirs(&call.session));
        calls.sort_by(|a, b| (&a.session, a.arrival).cmp(&(&b.session, b.arrival)));
        let messages = self.messages.values().map(|bytes| MessageRecord::decode(bytes));
        let mut messages: Vec<_> = messages.collect::<Result<_, _>>().map_err(bad)?;
        messages.retain(|message| is_theirs(&message.session));
        messages.sort_by(|a, b| (&a.session, a.arrival).cmp(&(&b.session, b.arrival)));
        Ok(Records { sessions, calls, messages })
    }

    fn find(&self, key: &Key) -> Result<Option<SessionRecord>, FabricError> {
        let all = self.read(|_| true)?;
        let by_call = |id: &String| all.calls.iter().find(|it| call_id(it).as_ref() == Some(id));
        let called = match key {
            Key::Call(id) => by_call(id).map(|call| &call.session),
            _ => None,
        };
        let fits = |record: &&SessionRecord| match key {
            Key::Session(id) => record.id == *id,
            Key::Contact(contact) => record.contact == *contact,
            Key::Address(aor) => record.aor == *aor,
            Key::Device { user, token } => {
                record.user == *user && record.device.as_ref().is_some_and(|it| it.token == *token)
            }
            Key::Call(_) => called == Some(&record.id),
        };
        Ok(all.sessions.iter().find(fits).cloned())
    }

    /// Makes a node the owner of these sessions.
    fn give(&mut self, records: Vec<SessionRecord>, node: &str) -> Result<Records, FabricError> {
        let mut ids = Vec::new();
        for mut record in records {
            let id = record.id.to_string();
            let seen = self.epochs.get(&id).copied().unwrap_or_default().max(record.epoch);
            let before = std::mem::replace(&mut record.owner, node.to_owned());
            self.lost.insert((before, id.clone()), seen);
            record.epoch = seen + 1;
            self.epochs.insert(id.clone(), record.epoch);
            self.sessions.insert(id, record.encode());
            ids.push(record.id);
        }
        self.read(|record| ids.contains(&record.id))
    }

    fn apply(&mut self, commit: &Commit, node: Option<&str>) -> CommitResult {
        let session = &commit.session.to_string();
        let seen = self.epochs.get(session).copied().unwrap_or_default();
        let lost = node.and_then(|node| self.lost.get(&(node.to_owned(), session.clone())));
        if commit.epoch < seen || lost.is_some_and(|lost| commit.epoch <= *lost) {
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
