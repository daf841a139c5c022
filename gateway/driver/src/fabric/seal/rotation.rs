//! A whole database: what a stranger reads of it, how keys change, and a death in between.

use std::sync::Arc;

use redb::{Database, ReadableDatabase as _, TableDefinition};
use reveille_gateway_core::io::Change;
use reveille_gateway_core::record::{Device, Raw, SubscriptionRecord};
use reveille_host::Host;

use super::*;
use crate::fabric::battery::{call, commit, message, session};
use crate::fabric::mortal::Mortal;
use crate::fabric::{Fabric, FabricSettings, Records, open};

const SECRETS: [&str; 4] =
    ["token-of-the-phone", "credential-of-the-app", "words-of-the-message", "sdp-of-the-call"];

/// Settings for a database at this path.
fn settings(path: &str, keys: &[SealKey], clear: bool) -> FabricSettings {
    let (engine, path) = ("redb".to_owned(), path.to_owned());
    let sealing = Sealing { keys: keys.to_vec(), clear };
    FabricSettings { engine, path, sealing, ..FabricSettings::default() }
}

/// Puts a session with a call and a message, with a secret in each.
fn fill(fabric: &mut dyn Fabric, name: &str) {
    let mut record = session(name, 1);
    record.device = Some(Device {
        token: SECRETS[0].to_owned(),
        provider: "webhook".to_owned(),
        application: "a".to_owned(),
        usable: true,
        since_wall_us: 0,
        platform: None,
    });
    record.subscriptions.push(subscription());
    let mut held = call(name, "a", 1);
    held.invite = Raw(format!("INVITE\r\n\r\n{}", SECRETS[3]).into_bytes());
    let mut kept = message(name, "m", 2);
    kept.request = Raw(format!("MESSAGE\r\n\r\n{}", SECRETS[2]).into_bytes());
    let changes = vec![
        Change::PutSession(Box::new(record)),
        Change::PutCall(Box::new(held)),
        Change::PutMessage(Box::new(kept)),
    ];
    fabric.commit(&[commit(name, 1, 1, changes)]).expect("durable");
}

fn subscription() -> SubscriptionRecord {
    SubscriptionRecord {
        subsession: "w".to_owned(),
        correlation: None,
        target: format!("sip:voicemail@example.com;credential={}", SECRETS[1]),
        event: "message-summary".to_owned(),
        expires_s: 600,
        told: true,
        ending: false,
        latest: None,
        state: None,
    }
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|part| part == word.as_bytes())
}

struct Files {
    host: Host,
    _folder: tempfile::TempDir,
    path: String,
}

fn files() -> Files {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fabric.redb").to_string_lossy().into_owned();
    Files { host: reveille_host::real::host(), _folder: folder, path }
}

impl Files {
    fn open(&self, keys: &[SealKey], clear: bool) -> Result<Box<dyn Fabric>, FabricError> {
        open(&settings(&self.path, keys, clear), &self.host)
    }

    fn load(&self, keys: &[SealKey], clear: bool) -> Result<Records, String> {
        let loaded = self.open(keys, clear).and_then(|mut fabric| fabric.load());
        loaded.map_err(|error| error.to_string())
    }

    fn dump(&self) -> Vec<u8> {
        std::fs::read(&self.path).expect("the file")
    }

    fn key_file(&self) -> String {
        format!("{}.key", self.path)
    }
}

#[test]
fn a_dump_of_the_file_shows_no_token_no_credential_and_no_content() {
    for (keys, clear) in [(vec![], false), (vec![test_key("a", 1)], false), (vec![], true)] {
        let files = files();
        let mut fabric = files.open(&keys, clear).expect("it opens");
        fill(&mut *fabric, "s1");
        let journal = files.dump();
        fabric.load().expect("readable");
        drop(fabric);
        let tables = files.dump();
        for secret in SECRETS {
            assert_eq!(holds(&journal, secret), clear, "{secret} in the journal, with {keys:?}");
            assert_eq!(holds(&tables, secret), clear, "{secret}, with {keys:?}");
        }
        assert!(holds(&tables, "s1"), "the dump is one");
    }
}

#[test]
fn a_rotated_key_seals_anew_in_steps_and_the_old_one_may_go() {
    let files = files();
    let (old, new) = (test_key("old", 1), test_key("new", 2));
    let mut fabric = files.open(std::slice::from_ref(&old), false).expect("it opens");
    for name in ["s1", "s2", "s3"] {
        fill(&mut *fabric, name);
    }
    drop(fabric);
    let before = files.load(std::slice::from_ref(&old), false).expect("readable");
    let both = [new.clone(), old];
    let mut fabric = files.open(&both, false).expect("it opens");
    assert_eq!(fabric.load().as_ref(), Ok(&before));
    assert_eq!(fabric.stale(), 9);
    fill(&mut *fabric, "s3");
    let gone = vec![Change::DropMessage { subsession: "m".to_owned() }];
    fabric.commit(&[commit("s2", 2, 1, gone)]).expect("durable");
    fabric.reseal(4).expect("durable");
    assert_eq!(fabric.stale(), 5, "a step is bounded");
    drop(fabric);
    let said = files.load(std::slice::from_ref(&new), false).expect_err("too early");
    assert!(said.starts_with("the session record of `s1` is sealed by key `old`, which"), "{said}");
    let mut fabric = files.open(&both, false).expect("it opens");
    fabric.load().expect("readable");
    while fabric.stale() > 0 {
        fabric.reseal(2).expect("durable");
    }
    drop(fabric);
    let after = files.load(&[new], false).expect("the old key is not needed");
    assert_eq!(after.sessions, before.sessions);
    assert_eq!(after.calls, before.calls);
    let kept = before.messages.into_iter().filter(|message| message.session.as_str() != "s2");
    assert_eq!(after.messages, kept.collect::<Vec<_>>(), "what was dropped stays dropped");
}

#[test]
fn records_in_clear_are_refused_then_taken_by_word_and_sealed() {
    let files = files();
    fill(&mut *files.open(&[], true).expect("it opens"), "s1");
    let keys = [test_key("new", 2)];
    let said = files.load(&keys, false).expect_err("refused");
    assert!(said.starts_with("row 0 of the journal is in clear"), "{said}");
    files.load(&[], true).expect("the journal comes into the tables");
    let said = files.load(&keys, false).expect_err("refused");
    assert!(said.starts_with("the session record of `s1` is in clear"), "{said}");
    let said = files.load(&[], false).expect_err("refused");
    assert!(said.contains(".key: the key is missing, and the database holds records;"), "{said}");
    let mut fabric = files.open(&keys, true).expect("it opens");
    fabric.load().expect("readable");
    assert_eq!(fabric.stale(), 3);
    fabric.reseal(9).expect("durable");
    drop(fabric);
    assert_eq!(files.load(&keys, false).expect("all sealed").sessions.len(), 1);
}

#[test]
fn the_key_beside_is_made_once_for_its_owner_and_missed_by_name() {
    use std::os::unix::fs::PermissionsExt as _;
    let files = files();
    fill(&mut *files.open(&[], false).expect("it opens"), "s1");
    let key = std::fs::read(files.key_file()).expect("a key was made");
    let mode = |path: &str| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode(&files.key_file()), mode(&files.path)), (0o600, 0o600));
    assert_eq!(files.load(&[], false).expect("the same key").sessions.len(), 1);
    assert_eq!(std::fs::read(files.key_file()).ok().as_ref(), Some(&key));
    let text = String::from_utf8(key.clone()).expect("text");
    let named = [test_key("new", 2), SealKey::read("first", &text).expect("a key")];
    assert_eq!(files.load(&named, false).expect("by its name").sessions.len(), 1);
    let said = files.load(&named[..1], false).expect_err("refused");
    assert!(said.contains("by key `first`") && said.ends_with("with .key behind)"), "{said}");
    for (text, wanted) in [
        ("", ".key: the key is missing, and the database holds records; put the file back"),
        ("\0\0\0\0", ".key: the key is missing"),
        ("sesame\n", ".key: `first`: no key; write 32 bytes in base64"),
    ] {
        std::fs::write(files.key_file(), text).expect("written");
        let said = files.load(&[], false).expect_err("refused");
        assert!(said.contains(wanted), "{said}");
        assert_eq!(std::fs::read_to_string(files.key_file()).ok().as_deref(), Some(text));
    }
    std::fs::write(files.key_file(), SealKey::draw(&*files.host.entropy)).expect("written");
    let said = files.load(&[], false).expect_err("refused");
    assert!(said.contains("its seal by key `first` does not open"), "{said}");
    std::fs::write(files.key_file(), key).expect("written");
    assert_eq!(files.load(&[], false).expect("all is well again").sessions.len(), 1);
}

#[test]
fn records_that_changed_places_in_the_file_are_refused() {
    const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
    let files = files();
    let keys = [test_key("a", 1)];
    let mut fabric = files.open(&keys, false).expect("it opens");
    fill(&mut *fabric, "s1");
    fill(&mut *fabric, "s2");
    fabric.load().expect("the journal comes into the tables");
    drop(fabric);
    let database = Database::open(&files.path).expect("a database");
    let read = database.begin_read().expect("a view").open_table(SESSIONS).expect("a table");
    let of = |name: &str| read.get(name).expect("readable").expect("a row").value().to_vec();
    let (first, second) = (of("s1"), of("s2"));
    let write = database.begin_write().expect("a change");
    let mut table = write.open_table(SESSIONS).expect("a table");
    table.insert("s1", second.as_slice()).expect("changed");
    table.insert("s2", first.as_slice()).expect("changed");
    drop(table);
    write.commit().expect("durable");
    drop((read, database));
    let said = files.load(&keys, false).expect_err("refused");
    assert!(said.starts_with("the session record of `s1`: its seal by key `a` does not"), "{said}");
}

#[test]
fn a_death_at_any_operation_of_the_pass_loses_nothing() {
    let (old, new) = (test_key("old", 1), test_key("new", 2));
    let keys = [new.clone(), old.clone()];
    let mut host = reveille_host::real::host();
    for power in [false, true] {
        for operations in 0.. {
            let disk = Mortal::default();
            host.disk = Arc::new(disk.clone());
            let open = |keys: &[SealKey]| open(&settings("f", keys, false), &host);
            let mut fabric = open(std::slice::from_ref(&old)).expect("it opens");
            fill(&mut *fabric, "s1");
            fill(&mut *fabric, "s2");
            let before = fabric.load();
            drop(fabric);
            let mut fabric = open(&keys).expect("it opens");
            fabric.load().expect("readable");
            disk.dies_after(operations);
            let done = (0..3).try_for_each(|_| fabric.reseal(2));
            drop(fabric);
            let died = disk.comes_back(power);
            let mut fabric = open(&keys).expect("it opens again");
            assert_eq!(fabric.load(), before, "after {operations} operations, power {power}");
            let left = fabric.stale();
            fabric.reseal(left).expect("the pass ends");
            drop(fabric);
            assert_eq!(open(std::slice::from_ref(&new)).and_then(|mut f| f.load()), before);
            if !died {
                assert!(done.is_ok() && operations > 10, "it died at every operation before");
                break;
            }
        }
    }
}
