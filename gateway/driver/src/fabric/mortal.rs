use std::io;
use std::sync::{Arc, Mutex};

use reveille_host::{Disk, DiskFile};

/// A disk in memory that dies at an operation. What was written then survives if the process died,
/// and only what was synced if the power went.
#[derive(Debug, Clone, Default)]
pub(super) struct Mortal(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Operations until the death; `None`: it lives for ever.
    left: Option<usize>,
}

impl Mortal {
    fn operate<T>(&self, act: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        let mut content = self.0.lock().expect("sound");
        match &mut content.left {
            Some(0) => return Err(io::Error::other("dead")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(act(&mut content))
    }

    pub(super) fn dies_after(&self, operations: usize) {
        self.0.lock().expect("sound").left = Some(operations);
    }

    /// Comes back; true if it had died.
    pub(super) fn comes_back(&self, after_power_loss: bool) -> bool {
        let mut content = self.0.lock().expect("sound");
        if after_power_loss {
            content.cached = content.durable.clone();
        }
        content.left.take() == Some(0)
    }
}

impl Disk for Mortal {
    fn open(&self, _: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(self.clone()))
    }
}

impl DiskFile for Mortal {
    fn len(&self) -> io::Result<u64> {
        self.operate(|content| content.cached.len() as u64)
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).expect("small");
        self.operate(|content| into.copy_from_slice(&content.cached[from..from + into.len()]))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let from = usize::try_from(offset).expect("small");
        self.operate(|content| {
            content.cached.resize(content.cached.len().max(from + bytes.len()), 0);
            content.cached[from..from + bytes.len()].copy_from_slice(bytes);
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).expect("small");
        self.operate(|content| content.cached.resize(len, 0))
    }

    fn sync(&self) -> io::Result<()> {
        self.operate(|content| content.durable = content.cached.clone())
    }
}
