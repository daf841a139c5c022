//! Where a configuration is read anew.

use std::fmt;
use std::sync::Arc;

use super::{ConfigError, Settings};

type Read = dyn Fn() -> Result<Settings, Vec<ConfigError>> + Send + Sync;

/// Reads the configuration as it is now. It may block.
#[derive(Clone)]
pub struct Source(Arc<Read>);

impl Source {
    /// A source that reads like this.
    pub fn new(
        read: impl Fn() -> Result<Settings, Vec<ConfigError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(read))
    }

    /// Reads it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(&self) -> Result<Settings, Vec<ConfigError>> {
        (self.0)()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}
