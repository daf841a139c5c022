//! What every engine must do. Each test runs on every entry of [`ENGINES`].

use reveille_gateway_core::io::{Change, Commit, Flow, Transport};
use reveille_gateway_core::record::{
    Answer, CallRecord, Delivery, Gruu, MessageRecord, Phase, Raw, SessionId, SessionRecord, Side,
    Standing, VERSION,
};

use super::postgres::server::database;
use super::seal::test_key;
use super::{CommitResult, ENGINES, Fabric, FabricSettings, Records, Sealing, open};

/// Runs a test on every engine, however it seals; `reopen` closes the fabric and opens it on what it
/// left.
fn on_every_engine(test: impl Fn(&str, &mut dyn FnMut() -> Box<dyn Fabric>)) {
    let host = reveille_host::real::host();
    let beside = Sealing::default();
    let keys = Sealing { keys: vec![test_key("a", 1), test_key("b", 2)], clear: false };
    let clear = Sealing { keys: Vec::new(), clear: true };
    for (name, _) in ENGINES {
        // A database has no key beside it.
        let beside = Some(&beside).filter(|_| *name != "postgres");
        for sealing in beside.into_iter().chain([&keys, &clear]) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("fabric").to_string_lossy().into_owned();
            let (engine, sealing) = ((*name).to_owned(), sealing.clone());
            let mut settings =
                FabricSettings { engine, path, sealing, ..FabricSettings::default() };
            if *name == "postgres" {
                settings.database = database();
            }
            test(&format!("{name}, {settings:?}"), &mut || open(&settings, &host).expect(name));
        }
    }
}

pub(super) fn session(name: &str, epoch: u64) -> SessionRecord {
    SessionRecord {
        version: VERSION,
        id: SessionId::from(name.to_owned()),
        owner: "node-1".to_owned(),
        epoch,
        user: "bob".to_owned(),
        aor: "bob@example.com".to_owned(),
        app: "phone".to_owned(),
        contact: "c".to_owned(),
        instance: "urn:uuid:0".to_owned(),
        standing: Standing::Awake,
        ttl_s: 60,
        device: None,
        last_out: 1,
        last_in: 2,
        unacknowledged: Vec::new(),
        last_arrival: 0,
        registered_until_wall_us: 0,
        supersedes: None,
        sending: Vec::new(),
        subscriptions: Vec::new(),
        gruu: Gruu::default(),
    }
}

pub(super) fn call(of: &str, subsession: &str, arrival: u64) -> CallRecord {
    CallRecord {
        version: VERSION,
        session: SessionId::from(of.to_owned()),
        subsession: subsession.to_owned(),
        arrival,
        invite: Raw(b"INVITE \xff".to_vec()),
        flow: udp(),
        side: Side::Incoming,
        local_tag: "t".to_owned(),
        hold_code: Some(183),
        deadline_wall_us: 9,
        accepted_wall_us: 8,
        phase: Phase::Held,
        bye: None,
    }
}

pub(super) fn message(of: &str, subsession: &str, arrival: u64) -> MessageRecord {
    MessageRecord {
        version: VERSION,
        session: SessionId::from(of.to_owned()),
        subsession: subsession.to_owned(),
        arrival,
        request: Raw(b"MESSAGE \xff".to_vec()),
        flow: udp(),
        identity: "c 1 f".to_owned(),
        to_tag: "t".to_owned(),
        accepted_wall_us: 8,
        delivery: Delivery::Offered { sequence: 3, correlation: "s3".to_owned() },
        answer: Some(Answer { status: 202, response: Raw(b"SIP/2.0 202 \xff".to_vec()) }),
    }
}

fn udp() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.9:5060".to_owned(),
        peer: "192.0.2.1:5060".to_owned(),
        connection: None,
    }
}

pub(super) fn commit(of: &str, token: u64, epoch: u64, changes: Vec<Change>) -> Commit {
    Commit { session: SessionId::from(of.to_owned()), token, epoch, changes, urgent: false }
}

pub(super) fn put_session(name: &str, epoch: u64) -> Change {
    Change::PutSession(Box::new(session(name, epoch)))
}

pub(super) fn put_call(of: &str, subsession: &str, arrival: u64) -> Change {
    Change::PutCall(Box::new(call(of, subsession, arrival)))
}

pub(super) fn put_message(of: &str, subsession: &str, arrival: u64) -> Change {
    Change::PutMessage(Box::new(message(of, subsession, arrival)))
}

/// What an engine holds of these.
fn records(
    sessions: &[SessionRecord],
    calls: &[CallRecord],
    messages: &[MessageRecord],
) -> Records {
    let (sessions, calls) = (sessions.to_vec(), calls.to_vec());
    Records { sessions, calls, messages: messages.to_vec() }
}

use CommitResult::{Fenced, Stored};

#[test]
fn what_is_put_is_there_after_reopening_and_in_order() {
    on_every_engine(|name, reopen| {
        let mut fabric = reopen();
        assert_eq!(fabric.load(), Ok(Records::default()), "{name}: empty at first");
        let batch = [
            commit("s2", 1, 1, vec![put_session("s2", 1), put_call("s2", "a", 2)]),
            commit("s1", 1, 1, vec![put_session("s1", 1), put_call("s1", "z", 1)]),
            commit("s2", 2, 1, vec![put_call("s2", "b", 1), put_message("s2", "n", 4)]),
            commit("s2", 3, 1, vec![put_message("s2", "o", 3)]),
            commit("s1", 2, 1, vec![put_message("s1", "z", 2)]),
        ];
        assert_eq!(fabric.commit(&batch), Ok(vec![Stored; 5]), "{name}");
        let wanted = records(
            &[session("s1", 1), session("s2", 1)],
            &[call("s1", "z", 1), call("s2", "b", 1), call("s2", "a", 2)],
            &[message("s1", "z", 2), message("s2", "o", 3), message("s2", "n", 4)],
        );
        assert_eq!(
            fabric.load(),
            Ok(wanted.clone()),
            "{name}: sessions by id, the rest by arrival"
        );
        drop(fabric);
        assert_eq!(reopen().load(), Ok(wanted), "{name}: the same after reopening");
    });
}

#[test]
fn changes_apply_in_order_and_the_last_one_holds() {
    on_every_engine(|name, reopen| {
        let mut fabric = reopen();
        let mut newer = session("s", 1);
        newer.last_out = 7;
        let changes = vec![
            put_session("s", 1),
            put_call("s", "a", 1),
            Change::DropCall { subsession: "a".to_owned() },
            put_call("s", "b", 2),
            put_message("s", "a", 3),
            Change::DropMessage { subsession: "a".to_owned() },
            put_message("s", "m", 4),
            Change::DropCall { subsession: "m".to_owned() },
            Change::DropMessage { subsession: "b".to_owned() },
            Change::PutSession(Box::new(newer.clone())),
        ];
        let absent = Change::DropCall { subsession: "never".to_owned() };
        let batch = [commit("s", 1, 1, changes), commit("s", 2, 1, vec![absent])];
        assert_eq!(fabric.commit(&batch), Ok(vec![Stored; 2]), "{name}");
        let left = fabric.load();
        let wanted = records(&[newer], &[call("s", "b", 2)], &[message("s", "m", 4)]);
        assert_eq!(left, Ok(wanted), "{name}: a call and a message of one name are two rows");
    });
}

#[test]
fn a_lower_epoch_is_fenced_and_writes_nothing() {
    on_every_engine(|name, reopen| {
        let mut fabric = reopen();
        let first = [commit("s", 1, 3, vec![put_session("s", 3)])];
        assert_eq!(fabric.commit(&first), Ok(vec![Stored]), "{name}");
        drop(fabric);
        let mut fabric = reopen();
        let batch = [
            commit("s", 2, 2, vec![put_call("s", "late", 1), put_message("s", "late", 2)]),
            commit("s", 3, 3, vec![put_call("s", "own", 2)]),
            commit("t", 1, 1, vec![put_session("t", 1)]),
        ];
        assert_eq!(fabric.commit(&batch), Ok(vec![Fenced, Stored, Stored]), "{name}");
        let left = fabric.load().expect(name);
        assert_eq!(left.calls, [call("s", "own", 2)], "{name}: nothing of the fenced commit");
        assert_eq!(left.messages, [], "{name}: nothing of the fenced commit");
        let raised = [commit("s", 4, 4, Vec::new()), commit("s", 4, 3, Vec::new())];
        assert_eq!(fabric.commit(&raised), Ok(vec![Stored, Fenced]), "{name}: an epoch only rises");
    });
}

#[test]
fn dropping_a_session_drops_its_calls_and_messages_and_no_others() {
    on_every_engine(|name, reopen| {
        let mut fabric = reopen();
        // One id begins with the other: a range over keys must not take both.
        let batch = [
            commit("s1", 1, 5, vec![put_session("s1", 5), put_call("s1", "a", 1)]),
            commit("s11", 1, 1, vec![put_session("s11", 1), put_call("s11", "b", 1)]),
            commit("s1", 2, 5, vec![put_message("s1", "m", 2)]),
            commit("s11", 2, 1, vec![put_message("s11", "m", 2)]),
            commit("s1", 3, 5, vec![Change::DropSession]),
        ];
        assert_eq!(fabric.commit(&batch), Ok(vec![Stored; 5]), "{name}");
        let kept = (call("s11", "b", 1), message("s11", "m", 2));
        let left = records(&[session("s11", 1)], &[kept.0], &[kept.1]);
        assert_eq!(fabric.load(), Ok(left), "{name}");
        let again = [commit("s1", 1, 1, vec![put_session("s1", 1)])];
        assert_eq!(fabric.commit(&again), Ok(vec![Stored]), "{name}: the epoch went with it");
    });
}

#[test]
fn a_commit_repeated_changes_nothing() {
    on_every_engine(|name, reopen| {
        let mut fabric = reopen();
        let batch = [commit("s", 1, 1, vec![put_session("s", 1), put_message("s", "a", 1)])];
        assert_eq!(fabric.commit(&batch), Ok(vec![Stored]), "{name}");
        let before = fabric.load();
        assert_eq!(fabric.commit(&batch), Ok(vec![Stored]), "{name}");
        assert_eq!(fabric.load(), before, "{name}");
    });
}
