//! The fabric: where records survive the process. An engine is one file and one entry in
//! [`ENGINES`]; every entry passes the same battery of tests.

#[cfg(test)]
mod battery;
mod committer;
pub mod memory;
#[cfg(test)]
mod mortal;
mod redb;
mod reseal;
mod seal;

use reveille_gateway_core::io::Commit;
use reveille_gateway_core::record::{CallRecord, MessageRecord, SessionRecord};
use reveille_host::Host;

pub(crate) use committer::start;
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

/// Everything on record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Sessions by id.
    pub sessions: Vec<SessionRecord>,
    /// Calls by session and arrival.
    pub calls: Vec<CallRecord>,
    /// Messages by session and arrival.
    pub messages: Vec<MessageRecord>,
}

/// Keeps records. Calls may block; the driver runs them on [`Tasks::blocking`](reveille_host::Tasks::blocking).
pub trait Fabric: Send {
    /// Everything on record.
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
    /// How an embedded engine seals its records.
    pub sealing: Sealing,
    /// What the memory engine holds: a clone kept by a test outlives the gateway.
    pub memory: memory::Memory,
}

/// Opens an engine.
pub type Open = fn(&FabricSettings, &Host) -> Result<Box<dyn Fabric>, FabricError>;

/// Every engine.
pub const ENGINES: &[(&str, Open)] = &[("memory", memory::open), ("redb", redb::open)];

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
