//! A disk that a crash finds half written: what was not synced survives the death of a process and
//! not the loss of power, after which each write since the last sync is there, gone or torn.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use reveille_host::{Disk, DiskFile};

use crate::fault::{Draws, Life};

/// Pieces a write can tear into, in bytes: what a drive writes at once.
const SECTOR: usize = 512;
/// The largest file, in bytes. A length beyond it is a mistake of the software under test.
const LARGEST: u64 = 1 << 30;

#[derive(Debug)]
enum Change {
    Bytes { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Length(length) => to.resize(*length, 0),
            Self::Bytes { offset, bytes } => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(bytes);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    holder: Option<(u64, Weak<()>)>,
}

impl Content {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.cached);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    fn lose_power(&mut self, draws: &mut Draws) {
        for change in std::mem::take(&mut self.unsynced) {
            match (draws.below(3), &change) {
                (0, _) => {}
                (1, Change::Bytes { offset, bytes }) => {
                    for (index, piece) in bytes.chunks(SECTOR).enumerate() {
                        if draws.below(2) == 0 {
                            let offset = offset + index * SECTOR;
                            Change::Bytes { offset, bytes: piece.to_vec() }
                                .apply(&mut self.durable);
                        }
                    }
                }
                _ => change.apply(&mut self.durable),
            }
        }
        self.cached.clone_from(&self.durable);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The files of one host. They outlive its software.
#[derive(Debug, Clone, Default)]
pub struct Platter(Arc<Mutex<BTreeMap<String, Arc<Mutex<Content>>>>>);

impl Platter {
    /// The power goes: unsynced writes are kept, dropped or torn in sectors, as `draws` decide.
    /// Returns how many writes were unsynced.
    pub fn lose_power(&self, draws: &mut Draws) -> usize {
        let mut lost = 0;
        for content in lock(&self.0).values() {
            let mut content = lock(content);
            lost += content.unsynced.len();
            content.lose_power(draws);
        }
        lost
    }

    /// What is durable of the file at `path`.
    #[must_use]
    pub fn durable(&self, path: &str) -> Option<Vec<u8>> {
        lock(&self.0).get(path).map(|content| lock(content).durable.clone())
    }

    /// This disk as one generation of its host sees it.
    #[must_use]
    pub fn mount(&self, life: Life) -> Arc<dyn Disk> {
        Arc::new(Mount { platter: self.clone(), life })
    }
}

struct Mount {
    platter: Platter,
    life: Life,
}

impl Disk for Mount {
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let content = Arc::clone(lock(&self.platter.0).entry(path.to_owned()).or_default());
        let held = Arc::new(());
        {
            let mut content = lock(&content);
            if let Some((generation, holder)) = &content.holder
                && *generation == self.life.generation()
                && holder.strong_count() > 0
            {
                let what = format!("{path} is open already");
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
            }
            content.holder = Some((self.life.generation(), Arc::downgrade(&held)));
        }
        let life = self.life.clone();
        Ok(Arc::new(SimFile { content, life, ghost: Mutex::default(), _held: held }))
    }
}

/// One opening of a file. Once its generation is over it works on a copy of its own: the software
/// that is about to be dropped stays consistent with itself, and nothing it writes is ever found.
#[derive(Debug)]
struct SimFile {
    content: Arc<Mutex<Content>>,
    life: Life,
    ghost: Mutex<Option<Vec<u8>>>,
    _held: Arc<()>,
}

impl SimFile {
    fn look<T>(&self, act: impl FnOnce(&Vec<u8>) -> T) -> T {
        if self.life.is_over() {
            return self.haunt(|bytes| act(bytes));
        }
        act(&lock(&self.content).cached)
    }

    fn haunt<T>(&self, act: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut ghost = lock(&self.ghost);
        act(ghost.get_or_insert_with(|| lock(&self.content).cached.clone()))
    }

    fn change(&self, what: &'static str, change: Change) {
        let Some(ticket) = self.life.begin(what) else {
            return self.haunt(|bytes| change.apply(bytes));
        };
        lock(&self.content).change(change);
        // Its doer goes on in either case; if the life is over now, as a ghost.
        let _alive = self.life.end(ticket);
    }
}

fn place(offset: u64, length: usize) -> io::Result<usize> {
    let end = offset.checked_add(length as u64).filter(|end| *end <= LARGEST);
    end.and_then(|_end| usize::try_from(offset).ok()).ok_or_else(|| {
        let what = format!("{offset} + {length} is beyond the largest file, {LARGEST} bytes");
        io::Error::new(io::ErrorKind::FileTooLarge, what)
    })
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.look(|bytes| bytes.len() as u64))
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let offset = place(offset, into.len())?;
        self.look(|bytes| {
            let from = bytes.get(offset..offset + into.len());
            from.map(|from| into.copy_from_slice(from))
                .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
        })
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = place(offset, bytes.len())?;
        self.change("disk.write", Change::Bytes { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change("disk.set_len", Change::Length(place(len, 0)?));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let synced = self.life.operate("disk.sync", || lock(&self.content).sync());
        // A ghost is told that all is well; its answer cannot leave the host any more.
        synced.map_or(Ok(()), Ok)
    }
}
