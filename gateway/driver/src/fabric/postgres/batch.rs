//! A batch of commits: what it comes to is found first, and then written table by table.

use std::collections::{BTreeMap, BTreeSet};

use reveille_gateway_core::io::{Change, Commit};
use reveille_gateway_core::record::{CallRecord, MessageRecord, SessionRecord};

use super::super::index::{call_id, hash, of_session};
use super::super::{CommitResult, FabricError};
use super::{CALL, MESSAGE, SESSION, Sealed, Work, sealed, signed, unknown, unsigned};

/// By session and subsession; `None` for what is dropped.
type Owned<'a, T> = BTreeMap<(String, String), Option<&'a T>>;

/// What a batch comes to.
#[derive(Default)]
struct Outcome<'a> {
    /// Sessions that were dropped, with all that they had, before anything else is written.
    dropped: BTreeSet<String>,
    sessions: BTreeMap<String, &'a SessionRecord>,
    epochs: BTreeMap<String, u64>,
    calls: Owned<'a, CallRecord>,
    messages: Owned<'a, MessageRecord>,
}

impl<'a> Outcome<'a> {
    fn apply(&mut self, session: &str, change: &'a Change) {
        let key = |subsession: &String| (session.to_owned(), subsession.clone());
        match change {
            Change::PutSession(record) => {
                self.sessions.insert(session.to_owned(), record);
            }
            Change::DropSession => {
                self.dropped.insert(session.to_owned());
                self.sessions.remove(session);
                self.epochs.remove(session);
                self.calls.retain(|(of, _), _| of != session);
                self.messages.retain(|(of, _), _| of != session);
            }
            Change::PutCall(record) => {
                self.calls.insert(key(&record.subsession), Some(record));
            }
            Change::DropCall { subsession } => {
                self.calls.insert(key(subsession), None);
            }
            Change::PutMessage(record) => {
                self.messages.insert(key(&record.subsession), Some(record));
            }
            Change::DropMessage { subsession } => {
                self.messages.insert(key(subsession), None);
            }
        }
    }
}

/// Splits what is owned into what is written and what is dropped.
fn parted<'a, T>(owned: &Owned<'a, T>) -> (Vec<&'a T>, [Vec<String>; 2]) {
    let gone = owned.iter().filter(|(_, record)| record.is_none());
    let (sessions, subsessions) = gone.map(|(key, _)| key.clone()).unzip();
    (owned.values().copied().flatten().collect(), [sessions, subsessions])
}

impl Work<'_> {
    pub(super) fn commit(
        &mut self,
        batch: &[Commit],
        node: Option<&str>,
    ) -> Result<Vec<CommitResult>, FabricError> {
        let ids: BTreeSet<_> = batch.iter().map(|commit| commit.session.to_string()).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        // In one order by all nodes, so that none waits for another that waits for it.
        let asked = "SELECT id, epoch FROM sessions WHERE id = ANY($1) ORDER BY id FOR UPDATE";
        let rows = self.transaction.query(asked, &[&ids]).map_err(unknown)?;
        let mut seen: BTreeMap<String, u64> =
            rows.iter().map(|row| (row.get(0), unsigned(row.get(1)))).collect();
        let asked = "SELECT session, epoch FROM lost WHERE node = $1 AND session = ANY($2)";
        let rows = self.transaction.query(asked, &[&node, &ids]).map_err(unknown)?;
        let lost: BTreeMap<String, u64> =
            rows.iter().map(|row| (row.get(0), unsigned(row.get(1)))).collect();
        let (mut outcome, mut results) = (Outcome::default(), Vec::with_capacity(batch.len()));
        for commit in batch {
            let id = commit.session.to_string();
            let known = seen.get(&id).copied().unwrap_or_default();
            if commit.epoch < known || lost.get(&id).is_some_and(|lost| commit.epoch <= *lost) {
                results.push(CommitResult::Fenced);
                continue;
            }
            if commit.epoch > known {
                seen.insert(id.clone(), commit.epoch);
                outcome.epochs.insert(id.clone(), commit.epoch);
            }
            for change in &commit.changes {
                outcome.apply(&id, change);
                if matches!(change, Change::DropSession) {
                    seen.remove(&id);
                }
            }
            results.push(CommitResult::Stored);
        }
        self.write(&outcome, &seen)?;
        Ok(results)
    }

    fn write(
        &mut self,
        outcome: &Outcome<'_>,
        seen: &BTreeMap<String, u64>,
    ) -> Result<(), FabricError> {
        if !outcome.dropped.is_empty() {
            let dropped: Vec<_> = outcome.dropped.iter().collect();
            for said in [
                "DELETE FROM sessions WHERE id = ANY($1)",
                "DELETE FROM calls WHERE session = ANY($1)",
                "DELETE FROM messages WHERE session = ANY($1)",
            ] {
                self.transaction.execute(said, &[&dropped]).map_err(unknown)?;
            }
        }
        self.write_sessions(outcome, seen)?;
        self.write_calls(&outcome.calls)?;
        self.write_messages(&outcome.messages)
    }

    fn write_sessions(
        &mut self,
        outcome: &Outcome<'_>,
        seen: &BTreeMap<String, u64>,
    ) -> Result<(), FabricError> {
        if !outcome.epochs.is_empty() {
            let (ids, epochs): (Vec<_>, Vec<_>) =
                outcome.epochs.iter().map(|(id, epoch)| (id, signed(*epoch))).unzip();
            let said = "UPDATE sessions SET epoch = new.epoch
                FROM UNNEST($1::text[], $2::bigint[]) AS new (id, epoch) WHERE sessions.id = new.id";
            self.transaction.execute(said, &[&ids, &epochs]).map_err(unknown)?;
        }
        if outcome.sessions.is_empty() {
            return Ok(());
        }
        let (mut owners, mut epochs, mut records) = (Vec::new(), Vec::new(), Vec::new());
        let (mut contacts, mut aors, mut devices) = (Vec::new(), Vec::new(), Vec::new());
        for (id, record) in &outcome.sessions {
            owners.push(&record.owner);
            epochs.push(signed(seen.get(id).copied().unwrap_or(record.epoch)));
            let (contact, aor, device) = of_session(record);
            contacts.push(contact);
            aors.push(aor);
            devices.push(device);
            records.push(self.sealer.seal(sealed(SESSION, id, ""), &record.encode()));
        }
        let ids: Vec<_> = outcome.sessions.keys().collect();
        let said = "INSERT INTO sessions (id, owner, epoch, contact, aor, device, record)
            SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[],
                $6::text[], $7::bytea[])
            ON CONFLICT (id) DO UPDATE SET owner = EXCLUDED.owner, epoch = EXCLUDED.epoch,
                contact = EXCLUDED.contact, aor = EXCLUDED.aor, device = EXCLUDED.device,
                record = EXCLUDED.record";
        let all: [&(dyn postgres::types::ToSql + Sync); 7] =
            [&ids, &owners, &epochs, &contacts, &aors, &devices, &records];
        self.transaction.execute(said, &all).map_err(unknown).map(drop)
    }

    fn write_calls(&mut self, calls: &Owned<'_, CallRecord>) -> Result<(), FabricError> {
        let (put, gone) = parted(calls);
        self.drop_owned("calls", &gone)?;
        if put.is_empty() {
            return Ok(());
        }
        let (mut sessions, mut subsessions) = (Vec::new(), Vec::new());
        let (mut call_ids, mut records) = (Vec::new(), Vec::new());
        for record in put {
            let id = record.session.to_string();
            call_ids.push(call_id(record).map(|id| hash(&["call", &id])));
            let place = sealed(CALL, &id, &record.subsession);
            records.push(self.sealer.seal(place, &record.encode()));
            subsessions.push(&record.subsession);
            sessions.push(id);
        }
        let said = "INSERT INTO calls (session, subsession, call_id, record)
            SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bytea[])
            ON CONFLICT (session, subsession) DO UPDATE SET call_id = EXCLUDED.call_id,
                record = EXCLUDED.record";
        let done = self.transaction.execute(said, &[&sessions, &subsessions, &call_ids, &records]);
        done.map_err(unknown).map(drop)
    }

    fn write_messages(&mut self, messages: &Owned<'_, MessageRecord>) -> Result<(), FabricError> {
        let (put, gone) = parted(messages);
        self.drop_owned("messages", &gone)?;
        if put.is_empty() {
            return Ok(());
        }
        let (mut sessions, mut subsessions, mut records) = (Vec::new(), Vec::new(), Vec::new());
        for record in put {
            let id = record.session.to_string();
            let place = sealed(MESSAGE, &id, &record.subsession);
            records.push(self.sealer.seal(place, &record.encode()));
            subsessions.push(&record.subsession);
            sessions.push(id);
        }
        let said = "INSERT INTO messages (session, subsession, record)
            SELECT * FROM UNNEST($1::text[], $2::text[], $3::bytea[])
            ON CONFLICT (session, subsession) DO UPDATE SET record = EXCLUDED.record";
        let done = self.transaction.execute(said, &[&sessions, &subsessions, &records]);
        done.map_err(unknown).map(drop)
    }

    fn drop_owned(&mut self, table: &str, gone: &[Vec<String>; 2]) -> Result<(), FabricError> {
        if gone[0].is_empty() {
            return Ok(());
        }
        let said = format!(
            "DELETE FROM {table} USING UNNEST($1::text[], $2::text[]) AS gone (of, id)
             WHERE session = gone.of AND subsession = gone.id"
        );
        self.transaction.execute(&said, &[&gone[0], &gone[1]]).map_err(unknown).map(drop)
    }

    /// Seals a row anew, if it is still there and nobody has written it meanwhile.
    pub(super) fn reseal(&mut self, place: Sealed<'_>) -> Result<(), FabricError> {
        let (table, row) = match place.kind {
            CALL => ("calls", "session = $1 AND subsession = $2"),
            MESSAGE => ("messages", "session = $1 AND subsession = $2"),
            _ => ("sessions", "id = $1 AND $2 = ''"),
        };
        let key: [&(dyn postgres::types::ToSql + Sync); 2] = [&place.session, &place.subsession];
        let asked = format!("SELECT record FROM {table} WHERE {row} FOR UPDATE");
        let found = self.transaction.query_opt(&asked, &key).map_err(unknown)?;
        let old: Option<Vec<u8>> = found.map(|row| row.get(0));
        let Some(old) = old.filter(|bytes| self.sealer.is_stale(bytes)) else { return Ok(()) };
        let record = self.sealer.open(place, &old)?;
        let anew = self.sealer.seal(place, &record);
        let said = format!("UPDATE {table} SET record = $3 WHERE {row}");
        let done = self.transaction.execute(&said, &[key[0], key[1], &anew]);
        done.map_err(unknown).map(drop)
    }
}
