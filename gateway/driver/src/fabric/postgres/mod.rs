//! A fabric on PostgreSQL, which several nodes share. The database is reached by a unix socket or on
//! this machine's loopback, without TLS: what leads further is for a tunnel or a pooler beside the
//! gateway. Records are sealed here, so that the database holds ids, epochs, hashes and lengths.

mod batch;
mod hands;
#[cfg(test)]
pub(super) mod server;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use postgres::config::Host as Place;
use postgres::{Client, Config, NoTls, Row, Transaction};
use reveille_gateway_core::io::{Claim, Claimed, Commit};
use reveille_gateway_core::record::{
    BadRecord, CallRecord, MessageRecord, SessionId, SessionRecord,
};
use reveille_host::Host;

use super::seal::{Place as Sealed, Sealer, choose};
use super::{CommitResult, Fabric, FabricError, FabricSettings, Member, Records};

const SCHEMA: &str = include_str!("schema.sql");
/// Nodes that start together make the tables one after the other; the number is anybody's.
const SCHEMA_LOCK: i64 = 0x7265_7665_696c_6c65;

/// What a record is called where it is sealed; never changed, or nothing opens.
const SESSION: &str = "session";
const CALL: &str = "call";
const MESSAGE: &str = "message";

struct Postgres {
    config: Config,
    /// Made by the first question: a thread that may block asks it.
    client: Option<Client>,
    sealer: Sealer,
    member: Option<Member>,
    /// Names this process among those that say they are the node.
    holder: String,
    has_lease: bool,
    /// What was lost and told.
    told: BTreeMap<String, i64>,
    /// Rows that another key than the first had sealed when they were read: table, session and
    /// subsession.
    stale: Vec<(&'static str, String, String)>,
}

/// Takes the settings; the database is asked later.
pub(super) fn open(settings: &FabricSettings, host: &Host) -> Result<Box<dyn Fabric>, FabricError> {
    let config = config(settings)?;
    let keys = choose(&settings.sealing, || {
        let what = "a database that nodes share has no key beside it; write fabric.keys, the same \
            for each node, or clear = true";
        Err(FabricError::new(what))
    })?;
    let mut bytes = [0; 16];
    host.entropy.fill(&mut bytes);
    let holder = bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ok: bool = write!(hex, "{byte:02x}").is_ok();
        hex
    });
    let sealer = Sealer::new(keys, settings.sealing.clear, std::sync::Arc::clone(&host.entropy));
    let (member, told, stale) = (settings.member.clone(), BTreeMap::new(), Vec::new());
    let has_lease = false;
    Ok(Box::new(Postgres { config, client: None, sealer, member, holder, has_lease, told, stale }))
}

/// What is wrong with the way to the database.
pub(crate) fn check(settings: &FabricSettings) -> Result<(), FabricError> {
    config(settings).map(drop)
}

/// How the database is reached.
fn config(settings: &FabricSettings) -> Result<Config, FabricError> {
    let words = &settings.database;
    let bad = |what: String| {
        let example = "host=/run/postgresql dbname=reveille user=reveille";
        FabricError::new(format!("fabric.database: {what}; write words like \"{example}\""))
    };
    let mut config: Config = words.parse().map_err(|error| bad(format!("{error}")))?;
    let near = |place: &Place| match place {
        Place::Unix(_) => true,
        Place::Tcp(name) => ["localhost", "127.0.0.1", "::1"].contains(&name.as_str()),
    };
    if config.get_hosts().is_empty() || !config.get_hosts().iter().all(near) {
        let what = "it is spoken to without TLS, so host must be the folder of a unix socket, \
            localhost, 127.0.0.1 or ::1";
        return Err(bad(what.to_owned()));
    }
    if config.get_password().is_some() {
        let what = "a password stands elsewhere: in password-file or password-env";
        return Err(bad(what.to_owned()));
    }
    if let Some(password) = &settings.password {
        config.password(&password.0);
    }
    let lease_ms = settings.member.as_ref().map_or(10_000, |member| member.lease_ms);
    let limit = Duration::from_millis(lease_ms);
    config.connect_timeout(limit).tcp_user_timeout(limit).application_name("reveille");
    // Each start after the first hears that every table is there.
    config.notice_callback(|notice| tracing::debug!(%notice, "the database remarks"));
    Ok(config)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn unknown(error: postgres::Error) -> FabricError {
    // The chain names what the database says.
    let mut what = format!("postgres: {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(because) = cause {
        // Writing to a String cannot fail.
        let _ok: bool = write!(what, ": {because}").is_ok();
        cause = because.source();
    }
    FabricError::new(what)
}

fn unreached(error: postgres::Error) -> FabricError {
    let FabricError { what } = unknown(error);
    let help = "see that the server runs, that fabric.database names it, and that it lets us in";
    FabricError::new(format!("{what}; {help}"))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn unreadable(bad: BadRecord) -> FabricError {
    FabricError::new(format!("postgres holds a record that this build cannot read: {bad}"))
}

const fn sealed<'a>(kind: &'static str, session: &'a str, subsession: &'a str) -> Sealed<'a> {
    Sealed { kind, session, subsession }
}

/// An epoch as the database has it.
fn signed(epoch: u64) -> i64 {
    i64::try_from(epoch).unwrap_or(i64::MAX)
}

fn unsigned(epoch: i64) -> u64 {
    u64::try_from(epoch).unwrap_or_default()
}

/// A transaction, and what opens and seals in it.
struct Work<'a> {
    transaction: Transaction<'a>,
    sealer: &'a mut Sealer,
    stale: &'a mut Vec<(&'static str, String, String)>,
}

impl Postgres {
    fn begin(&mut self) -> Result<Work<'_>, FabricError> {
        if self.client.is_none() {
            let mut client = self.config.connect(NoTls).map_err(unreached)?;
            let mut transaction = client.transaction().map_err(unknown)?;
            let lock = transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&SCHEMA_LOCK]);
            lock.map_err(unknown)?;
            transaction.batch_execute(SCHEMA).map_err(unknown)?;
            transaction.commit().map_err(unknown)?;
            self.client = Some(client);
        }
        let client = self.client.as_mut().expect("it was just made");
        let transaction = client.transaction().map_err(unknown)?;
        Ok(Work { transaction, sealer: &mut self.sealer, stale: &mut self.stale })
    }

    fn node(&self) -> Option<String> {
        self.member.as_ref().map(|member| member.node.clone())
    }
}

impl Drop for Postgres {
    /// The client has a runtime of its own, which must not end on a thread of ours.
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let end = std::thread::Builder::new().spawn(move || drop(client));
            // Without a thread it ends with the process.
            let _ended: bool = end.is_ok();
        }
    }
}

impl Work<'_> {
    fn end(self) -> Result<(), FabricError> {
        self.transaction.commit().map_err(unknown)
    }

    fn open(&mut self, place: Sealed<'_>, bytes: &[u8]) -> Result<Vec<u8>, FabricError> {
        if self.sealer.is_stale(bytes) {
            let row = (place.kind, place.session.to_owned(), place.subsession.to_owned());
            self.stale.push(row);
        }
        self.sealer.open(place, bytes)
    }

    /// The record in a row of id and record.
    fn session(&mut self, row: &Row) -> Result<SessionRecord, FabricError> {
        let (id, bytes): (&str, &[u8]) = (row.get("id"), row.get("record"));
        let bytes = self.open(sealed(SESSION, id, ""), bytes)?;
        SessionRecord::decode(&bytes).map_err(unreadable)
    }

    /// What belongs to these sessions, by session and arrival.
    fn belongings(
        &mut self,
        ids: &[String],
    ) -> Result<(Vec<CallRecord>, Vec<MessageRecord>), FabricError> {
        let (mut calls, mut messages) = (Vec::new(), Vec::new());
        let asked = "SELECT session, subsession, record FROM calls WHERE session = ANY($1)";
        for row in self.transaction.query(asked, &[&ids]).map_err(unknown)? {
            let bytes = self.open(sealed(CALL, row.get(0), row.get(1)), row.get(2))?;
            calls.push(CallRecord::decode(&bytes).map_err(unreadable)?);
        }
        let asked = "SELECT session, subsession, record FROM messages WHERE session = ANY($1)";
        for row in self.transaction.query(asked, &[&ids]).map_err(unknown)? {
            let bytes = self.open(sealed(MESSAGE, row.get(0), row.get(1)), row.get(2))?;
            messages.push(MessageRecord::decode(&bytes).map_err(unreadable)?);
        }
        calls.sort_by(|a, b| (&a.session, a.arrival).cmp(&(&b.session, b.arrival)));
        messages.sort_by(|a, b| (&a.session, a.arrival).cmp(&(&b.session, b.arrival)));
        Ok((calls, messages))
    }

    fn records(&mut self, rows: &[Row]) -> Result<Records, FabricError> {
        let sessions = rows.iter().map(|row| self.session(row));
        let mut sessions: Vec<_> = sessions.collect::<Result<_, _>>()?;
        sessions.sort_by(|a, b| a.id.cmp(&b.id));
        let ids: Vec<_> = sessions.iter().map(|record| record.id.to_string()).collect();
        let (calls, messages) = self.belongings(&ids)?;
        Ok(Records { sessions, calls, messages })
    }
}

impl Fabric for Postgres {
    fn load(&mut self) -> Result<Records, FabricError> {
        let node = self.node();
        self.stale.clear();
        let mut work = self.begin()?;
        let asked = "SELECT id, record FROM sessions WHERE $1::text IS NULL OR owner = $1";
        let rows = work.transaction.query(asked, &[&node]).map_err(unknown)?;
        let records = work.records(&rows)?;
        work.end()?;
        Ok(records)
    }

    fn commit(&mut self, batch: &[Commit]) -> Result<Vec<CommitResult>, FabricError> {
        let node = self.node();
        let mut work = self.begin()?;
        let results = work.commit(batch, node.as_deref())?;
        work.end()?;
        Ok(results)
    }

    fn renew(&mut self) -> Result<(), FabricError> {
        let Some(member) = self.member.clone() else { return Ok(()) };
        let (holder, had_lease) = (self.holder.clone(), self.has_lease);
        let mut work = self.begin()?;
        let is_held = work.renew(&member, &holder, had_lease)?;
        work.end()?;
        self.has_lease = true;
        if is_held {
            return Ok(());
        }
        let node = &member.node;
        Err(FabricError::new(format!(
            "another process runs as node `{node}`; give each node a node.name of its own"
        )))
    }

    fn leave(&mut self) -> Result<(), FabricError> {
        let (node, holder) = (self.node(), self.holder.clone());
        let mut work = self.begin()?;
        let said = "UPDATE leases SET until = '-infinity' WHERE node = $1 AND holder = $2";
        work.transaction.execute(said, &[&node, &holder]).map_err(unknown)?;
        work.end()
    }

    fn claim(&mut self, claim: &Claim) -> Result<Claimed, FabricError> {
        let Some(node) = self.node() else { return Ok(Claimed::Nobody) };
        let mut work = self.begin()?;
        let claimed = work.claim(claim, &node)?;
        work.end()?;
        Ok(claimed)
    }

    fn adopt(&mut self, most: usize) -> Result<Records, FabricError> {
        let Some(node) = self.node() else { return Ok(Records::default()) };
        let mut work = self.begin()?;
        let records = work.adopt(most, &node)?;
        work.end()?;
        Ok(records)
    }

    fn lost(&mut self) -> Result<Vec<(SessionId, u64)>, FabricError> {
        let Some(node) = self.node() else { return Ok(Vec::new()) };
        let told = std::mem::take(&mut self.told);
        let mut work = self.begin()?;
        let lost = work.lost(&node, &told)?;
        work.end()?;
        self.told.clone_from(&lost);
        Ok(lost.into_iter().map(|(id, epoch)| (SessionId::from(id), unsigned(epoch))).collect())
    }

    fn stale(&self) -> usize {
        self.stale.len()
    }

    fn reseal(&mut self, most: usize) -> Result<(), FabricError> {
        let rows = self.stale.split_off(self.stale.len().saturating_sub(most));
        let mut work = self.begin()?;
        for (kind, session, subsession) in &rows {
            work.reseal(sealed(kind, session, subsession))?;
        }
        work.end()
    }
}
