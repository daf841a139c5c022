//! One battery for every engine of the table.

use reveille_gateway_core::io::{Change, Commit, Flow, Transport};
use reveille_gateway_core::record::{
    CallRecord, Phase, Raw, SessionId, SessionRecord, Standing, VERSION,
};
use reveille_gateway_driver::fabric::{self, CommitResult, ENGINES, Fabric, FabricSettings};

fn session(id: &str, last_out: u64) -> SessionRecord {
    SessionRecord {
        version: VERSION,
        id: SessionId(id.to_owned()),
        owner: "node-1".to_owned(),
        epoch: 1,
        user: "bob".to_owned(),
        aor: "bob@example.com".to_owned(),
        app: "app".to_owned(),
        contact: "c".to_owned(),
        instance: "urn:uuid:0".to_owned(),
        standing: Standing::Awake,
        ttl_s: 60,
        device: None,
        last_out,
        last_in: 0,
        unacknowledged: Vec::new(),
        last_arrival: 0,
        registered_until_wall_us: 0,
        supersedes: None,
    }
}

fn call(session: &str, subsession: &str, arrival: u64) -> CallRecord {
    CallRecord {
        version: VERSION,
        session: SessionId(session.to_owned()),
        subsession: subsession.to_owned(),
        arrival,
        invite: Raw(b"INVITE \xff\x00".to_vec()),
        flow: Flow {
            transport: Transport::Udp,
            local: String::new(),
            peer: "192.0.2.1:5060".to_owned(),
            connection: None,
        },
        to_tag: "t".to_owned(),
        hold_code: Some(183),
        deadline_wall_us: 1,
        accepted_wall_us: 0,
        phase: Phase::Held,
    }
}

fn commit(id: &str, token: u64, epoch: u64, changes: Vec<Change>) -> Commit {
    Commit { session: SessionId(id.to_owned()), token, epoch, changes, urgent: true }
}

fn put(id: &str, last_out: u64) -> Change {
    Change::PutSession(Box::new(session(id, last_out)))
}

fn put_call(id: &str, subsession: &str, arrival: u64) -> Change {
    Change::PutCall(Box::new(call(id, subsession, arrival)))
}

/// Runs a test on a fresh fabric of each engine; `reopen` closes and opens it again.
fn on_each(test: impl Fn(&mut dyn FnMut() -> Box<dyn Fabric>)) {
    for (engine, _) in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fabric.redb").to_string_lossy().into_owned();
        let host = reveille_host::real::host();
        let settings = FabricSettings { engine: (*engine).to_owned(), path, ..Default::default() };
        eprintln!("engine {engine}");
        test(&mut || fabric::open(&settings, &host).expect("the engine opens"));
    }
}

#[test]
fn what_was_stored_is_there_after_a_restart_in_order() {
    on_each(|open| {
        let mut fabric = open();
        assert_eq!(fabric.load().expect("an empty fabric"), (vec![], vec![]));
        let first =
            commit("b", 1, 1, vec![put("b", 1), put_call("b", "z", 1), put_call("b", "a", 2)]);
        let second = commit("a", 1, 1, vec![put("a", 7)]);
        let results = fabric.commit(&[first, second]).expect("stored");
        assert_eq!(results, [CommitResult::Stored; 2]);
        drop(fabric);
        let (sessions, calls) = open().load().expect("readable");
        assert_eq!(sessions, [session("a", 7), session("b", 1)]);
        assert_eq!(calls, [call("b", "z", 1), call("b", "a", 2)]);
    });
}

#[test]
fn the_last_write_holds_and_a_repeated_one_changes_nothing() {
    on_each(|open| {
        let mut fabric = open();
        let write = commit("a", 2, 1, vec![put("a", 2), put_call("a", "x", 1)]);
        fabric.commit(&[commit("a", 1, 1, vec![put("a", 1)]), write.clone()]).expect("stored");
        fabric.commit(&[write]).expect("stored again");
        let (sessions, calls) = fabric.load().expect("readable");
        assert_eq!((sessions, calls), (vec![session("a", 2)], vec![call("a", "x", 1)]));
    });
}

#[test]
fn dropping_a_session_takes_its_calls_and_nobody_elses() {
    on_each(|open| {
        let mut fabric = open();
        let all = ["a", "ab", "b"].map(|id| {
            commit(id, 1, 1, vec![put(id, 1), put_call(id, "x", 1), put_call(id, "y", 2)])
        });
        fabric.commit(&all).expect("stored");
        fabric.commit(&[commit("a", 2, 1, vec![Change::DropSession])]).expect("stored");
        let subsession = "x".to_owned();
        fabric.commit(&[commit("b", 2, 1, vec![Change::DropCall { subsession }])]).expect("stored");
        let (sessions, calls) = fabric.load().expect("readable");
        assert_eq!(sessions, [session("ab", 1), session("b", 1)]);
        assert_eq!(calls, [call("ab", "x", 1), call("ab", "y", 2), call("b", "y", 2)]);
    });
}

#[test]
fn an_owner_of_an_older_epoch_is_fenced_after_a_restart_too() {
    on_each(|open| {
        let mut fabric = open();
        fabric.commit(&[commit("a", 1, 3, vec![put("a", 3)])]).expect("stored");
        drop(fabric);
        let mut fabric = open();
        let late = commit("a", 9, 2, vec![put("a", 99), put_call("a", "x", 1)]);
        let other = commit("b", 1, 1, vec![put("b", 1)]);
        let results = fabric.commit(&[late, other]).expect("an answer");
        assert_eq!(results, [CommitResult::Fenced, CommitResult::Stored]);
        let (sessions, calls) = fabric.load().expect("readable");
        assert_eq!((sessions, calls), (vec![session("a", 3), session("b", 1)], vec![]));
    });
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "not a database, but long enough to be looked at".repeat(400))
        .expect("written");
    let path = path.to_string_lossy().into_owned();
    let settings = FabricSettings { engine: "redb".to_owned(), path, ..Default::default() };
    let host = reveille_host::real::host();
    let error = fabric::open(&settings, &host).err().expect("refused").to_string();
    assert!(error.contains("notes.txt"), "{error}");
}
