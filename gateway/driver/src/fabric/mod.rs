//! The fabric: where records survive the process. An engine is one file and one entry in
//! [`ENGINES`]; every entry passes the same battery of tests.

#[cfg(test)]
mod battery;
mod committer;
mod duty;
mod index;
pub mod memory;
#[cfg(test)]
mod mortal;
mod postgres;
mod redb;
mod reseal;
mod seal;
#[cfg(test)]
mod sharing;

use reveille_gateway_core::config::Secret;
pub use reveille_gateway_core::io::Records;
use reveille_gateway_core::io::{Claim, Claimed, Commit};
use reveille_gateway_core::record::SessionId;
use reveille_host::Host;

pub(crate) use committer::start;
pub(crate) use postgres::check as check_database;
pub use seal::{SealKey, Sealing};

/// What the fabric did with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitResult {
    /// It is durable.
    Stored,
    /// Another node owns the session under a higher epoch; nothing of the commit was written.
    Fenced,
}

/// The fabric cannot say what is durable. With an embedded engine the process ends and recovers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct FabricError {
    /// What went wrong.
    pub what: String,
}

impl FabricError {
    /// An error that says this.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// Keeps records. Calls may block; the driver runs them on [`Tasks::blocking`](reveille_host::Tasks::blocking).
pub trait Fabric: Send {
    /// Everything on record; of a shared engine what this node owns.
    ///
    /// # Errors
    /// The engine failed, or a record is not readable.
    fn load(&mut self) -> Result<Records, FabricError>;

    /// Makes a batch durable, all or nothing; on return it *is* durable. One answer for each
    /// commit. A commit is [`Fenced`](CommitResult::Fenced) if its epoch is lower than the highest
    /// that the fabric has seen for the session, by a commit or in a record. `DropSession` removes
    /// the session's calls, messages and epoch as well. Writing the same commit twice changes nothing.
    ///
    /// # Errors
    /// Whether the batch is durable is unknown.
    fn commit(&mut self, batch: &[Commit]) -> Result<Vec<CommitResult>, FabricError>;

    /// Renews this node's lease, which begins with the first. It runs out by the fabric's own clock.
    ///
    /// # Errors
    /// Whether the lease runs is unknown, or another process has it.
    fn renew(&mut self) -> Result<(), FabricError> {
        Ok(())
    }

    /// Ends this node's lease: what it owns is for the others at once.
    ///
    /// # Errors
    /// Whether it has ended is unknown.
    fn leave(&mut self) -> Result<(), FabricError> {
        Ok(())
    }

    /// Says whose a session is. Where it may be taken, this node becomes its owner under the next
    /// epoch, and the owner before it is told by [`lost`](Self::lost). All or nothing, and durable.
    ///
    /// # Errors
    /// Whose the session is now is unknown.
    fn claim(&mut self, _claim: &Claim) -> Result<Claimed, FabricError> {
        Ok(Claimed::Nobody)
    }

    /// Takes so many sessions at most of nodes whose lease has run out, as [`claim`](Self::claim)
    /// does; those with calls first.
    ///
    /// # Errors
    /// Whose they are now is unknown.
    fn adopt(&mut self, _most: usize) -> Result<Records, FabricError> {
        Ok(Records::default())
    }

    /// Sessions that other nodes took from this one, each with the epoch that was lost. Commits under
    /// that epoch are [`Fenced`](CommitResult::Fenced) even when the session is gone. Told at least
    /// once.
    ///
    /// # Errors
    /// They will be told again.
    fn lost(&mut self) -> Result<Vec<(SessionId, u64)>, FabricError> {
        Ok(Vec::new())
    }

    /// How many of the records that were loaded another key than the first has sealed, and that
    /// [`reseal`](Self::reseal) has not looked at.
    fn stale(&self) -> usize {
        0
    }

    /// Seals so many of them anew at most, all or none.
    ///
    /// # Errors
    /// Whether they are sealed anew is unknown.
    fn reseal(&mut self, _most: usize) -> Result<(), FabricError> {
        Ok(())
    }
}

/// What an engine needs to open.
#[derive(Debug, Clone, Default)]
pub struct FabricSettings {
    /// An entry of [`ENGINES`].
    pub engine: String,
    /// The file of an embedded engine.
    pub path: String,
    /// The words by which a database is reached, as libpq reads them.
    pub database: String,
    /// What a database asks for, if it does.
    pub password: Option<Secret>,
    /// How an engine that writes seals its records.
    pub sealing: Sealing,
    /// What the memory engine holds: a clone kept by a test outlives the gateway, and gateways that
    /// have clones share it.
    pub memory: memory::Memory,
    /// Who this node is among those that share the engine; `None`: nobody shares it.
    pub member: Option<Member>,
}

/// A node among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, which no other has.
    pub node: String,
    /// `host:port` at which it takes SIP from the others, by UDP and TCP.
    pub address: String,
    /// How long it owns its sessions after it last said that it lives.
    pub lease_ms: u64,
}

/// What the fabric is asked.
pub(crate) enum Work {
    /// To keep something.
    Commit(Commit),
    /// Whose a session is.
    Claim(Claim),
}

/// Opens an engine.
pub type Open = fn(&FabricSettings, &Host) -> Result<Box<dyn Fabric>, FabricError>;

/// Every engine.
pub const ENGINES: &[(&str, Open)] =
    &[("memory", memory::open), ("postgres", postgres::open), ("redb", redb::open)];

/// Engines that several nodes may share.
pub const SHARED: &[&str] = &["memory", "postgres"];

/// Opens the engine that the settings name.
///
/// # Errors
/// There is no such engine, or it does not open.
pub fn open(settings: &FabricSettings, host: &Host) -> Result<Box<dyn Fabric>, FabricError> {
    let entry = ENGINES.iter().find(|(name, _)| *name == settings.engine);
    let Some((_, open)) = entry else {
        let names: Vec<_> = ENGINES.iter().map(|(name, _)| *name).collect();
        let (asked, names) = (&settings.engine, names.join(", "));
        return Err(FabricError::new(format!("no engine `{asked}`; write one of: {names}")));
    };
    open(settings, host)
}
