//! redb on the disk that crashes: what it acknowledged is there after the power was lost.
#![expect(clippy::unwrap_used, reason = "a test ends where something it needs fails")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redb::{Database, ReadableDatabase as _, StorageBackend, TableDefinition};
use reveille_host::DiskFile;
use reveille_sim::disk::Platter;
use reveille_sim::fault::{Draws, Gate, Life, Trap};
use reveille_trace::Recorder;

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");

#[derive(Debug)]
struct OnDisk(Arc<dyn DiskFile>);

impl StorageBackend for OnDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

fn open(platter: &Platter, life: Life) -> Database {
    let file = platter.mount(life).open("records.redb").unwrap();
    Database::builder().create_with_backend(OnDisk(file)).unwrap()
}

fn put(database: &Database, key: u64) {
    let write = database.begin_write().unwrap();
    {
        let mut table = write.open_table(TABLE).unwrap();
        table.insert(key, vec![key.to_le_bytes()[0]; 700].as_slice()).unwrap();
    }
    write.commit().unwrap();
}

fn keys(database: &Database) -> Vec<u64> {
    let read = database.begin_read().unwrap();
    match read.open_table(TABLE) {
        Ok(table) => table.range(0..).unwrap().map(|row| row.unwrap().0.value()).collect(),
        Err(redb::TableError::TableDoesNotExist(_)) => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

fn gate() -> Arc<Gate> {
    Gate::new("store", Recorder::passing(), || Duration::ZERO)
}

#[test]
fn redb_loses_no_acknowledged_record_in_200_power_losses() {
    let (gate, platter) = (gate(), Platter::default());
    let mut draws = Draws::new(7, &["test"]);
    let (mut acknowledged, mut next, mut unsynced) = (Vec::new(), 0, 0);
    for _ in 0..200 {
        let at = gate.operations() + 1 + draws.below(60);
        gate.lay(Trap { at, after: draws.below(2) == 0, silent: true, down: Duration::ZERO });
        let life = gate.life();
        let database = open(&platter, life.clone());
        if !life.is_over() {
            let found = keys(&database);
            let lost: Vec<_> = acknowledged.iter().filter(|key| !found.contains(key)).collect();
            assert!(lost.is_empty(), "lost {lost:?} of {} records", acknowledged.len());
        }
        while !life.is_over() {
            put(&database, next);
            if !life.is_over() {
                acknowledged.push(next);
            }
            next += 1;
        }
        drop(database);
        unsynced += platter.lose_power(&mut draws);
        gate.start();
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    assert!(unsynced > 200, "the power losses had {unsynced} writes to spoil");
}

#[test]
fn an_unsynced_write_survives_its_process_and_not_always_the_power() {
    let mut outcomes = [0; 3];
    for seed in 0..300 {
        let (gate, platter) = (gate(), Platter::default());
        let file = platter.mount(gate.life()).open("f").unwrap();
        file.write(0, &[1; 1024]).unwrap();
        file.sync().unwrap();
        file.write(0, &[2; 1024]).unwrap();
        gate.stop(false);
        file.write(0, &[3; 1024]).unwrap();
        gate.start();
        let mut bytes = [0; 1024];
        let again = platter.mount(gate.life()).open("f").unwrap();
        again.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, [2; 1024], "the page cache outlives the process, a ghost does not write");
        platter.lose_power(&mut Draws::new(seed, &["power"]));
        again.read(0, &mut bytes).unwrap();
        let kept = bytes.iter().filter(|byte| **byte == 2).count();
        assert!(bytes.iter().all(|byte| *byte == 1 || *byte == 2));
        outcomes[kept / 512] += 1;
    }
    assert!(outcomes.iter().all(|times| *times > 30), "gone, torn, kept: {outcomes:?}");
}

#[test]
fn a_file_has_one_owner_and_an_end() {
    let (gate, platter) = (gate(), Platter::default());
    let disk = platter.mount(gate.life());
    let file = disk.open("f").unwrap();
    assert_eq!(disk.open("f").unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    assert_eq!(file.read(0, &mut [0]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(file.write(u64::MAX, b"x").unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    drop(file);
    assert!(disk.open("f").unwrap().is_empty().unwrap());
}
