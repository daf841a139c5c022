use std::collections::BTreeMap;

use proptest::prelude::*;
use redb::ReadableTableMetadata as _;
use reveille_gateway_core::io::Change;

use super::super::battery::{call, commit, message, session};
use super::super::mortal::Mortal;
use super::super::seal::test_key;
use super::super::{Sealing, open};
use super::*;

/// The file, and what is opened on it.
struct Rig {
    settings: FabricSettings,
    bounds: Bounds,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn new(sessions: usize, bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fabric").to_string_lossy().into_owned();
        let sealing = Sealing { keys: vec![test_key("a", 1)], clear: false };
        let settings = FabricSettings { path, sealing, ..FabricSettings::default() };
        Self { settings, bounds: Bounds { sessions, bytes }, _folder: folder }
    }

    fn open(&self) -> Redb {
        open_within(&self.settings, &reveille_host::real::host(), self.bounds).unwrap()
    }
}

/// Rows in the journal, and calls in the table.
fn rows(redb: &Redb) -> (u64, u64) {
    let read = redb.database.begin_read().unwrap();
    let journal = read.open_table(JOURNAL).map_or(0, |table| table.len().unwrap());
    (journal, read.open_table(CALLS).map_or(0, |table| table.len().unwrap()))
}

fn put(name: &str, last_out: u64) -> Change {
    let mut record = session(name, 1);
    record.last_out = last_out;
    Change::PutSession(Box::new(record))
}

#[test]
fn a_call_that_is_over_soon_never_comes_into_a_table() {
    let rig = Rig::new(2, usize::MAX);
    let mut redb = rig.open();
    redb.load().unwrap();
    for (nth, name) in ["a", "b", "c", "d"].iter().enumerate() {
        let begins =
            [commit(name, 1, 1, vec![put(name, 1), Change::PutCall(Box::new(call(name, "x", 1)))])];
        redb.commit(&begins).unwrap();
        let ends = [commit(
            name,
            2,
            1,
            vec![put(name, 2), Change::DropCall { subsession: "x".to_owned() }],
        )];
        redb.commit(&ends).unwrap();
        let waiting = u64::try_from(nth + 1).unwrap().min(2);
        assert_eq!(rows(&redb), (2 * waiting, 0), "after {name}: what two sessions need is left");
    }
    drop(redb);
    let mut redb = rig.open();
    assert_eq!(redb.load().unwrap().sessions.len(), 4);
    assert_eq!(rows(&redb), (0, 0), "a start empties the journal");
}

#[test]
fn many_bytes_come_into_the_tables_before_many_sessions_do() {
    let rig = Rig::new(usize::MAX, 2_000);
    let mut redb = rig.open();
    redb.load().unwrap();
    let mut big = call("a", "x", 1);
    big.invite.0 = vec![0; 4_000];
    redb.commit(&[commit("a", 1, 1, vec![put("a", 1), Change::PutCall(Box::new(big))])]).unwrap();
    assert_eq!(rows(&redb), (0, 1));
    for (token, waits) in [(1, 1), (2, 2), (3, 3)] {
        redb.commit(&[commit("b", token, 1, vec![put("b", token)])]).unwrap();
        assert_eq!(
            rows(&redb),
            (waits, 1),
            "what came into the tables, or was replaced, waits not"
        );
    }
}

#[test]
fn a_row_of_the_journal_opens_at_its_own_number_only() {
    let rig = Rig::new(9, usize::MAX);
    let mut redb = rig.open();
    redb.commit(&[commit("a", 1, 1, vec![put("a", 1)])]).unwrap();
    redb.commit(&[commit("a", 2, 1, vec![put("a", 2)])]).unwrap();
    let begin = redb.database.begin_write().unwrap();
    {
        let mut table = begin.open_table(JOURNAL).unwrap();
        let first = table.get(0).unwrap().unwrap().value().to_vec();
        table.insert(1, first.as_slice()).unwrap();
    }
    begin.commit().unwrap();
    drop(redb);
    let refused =
        open_within(&rig.settings, &reveille_host::real::host(), rig.bounds).err().unwrap();
    assert!(refused.what.starts_with("row 1 of the journal: its seal"), "{refused}");
}

/// Three sessions, each with a call that begins and ends, one after the other: the journal holds one
/// session at most, so that nearly each batch takes another into the tables.
fn three_calls() -> Vec<Commit> {
    let of = |name: &&str| {
        let begins = vec![put(name, 1), Change::PutCall(Box::new(call(name, "x", 1)))];
        let more = vec![put(name, 2), Change::PutMessage(Box::new(message(name, "m", 2)))];
        let ends = vec![put(name, 3), Change::DropCall { subsession: "x".to_owned() }];
        [commit(name, 1, 1, begins), commit(name, 2, 2, more), commit(name, 3, 2, ends)]
    };
    ["a", "b", "c"]
        .iter()
        .flat_map(of)
        .chain([commit("a", 4, 2, vec![Change::DropSession])])
        .collect()
}

#[test]
fn a_death_at_any_operation_loses_no_batch_that_was_durable_and_halves_none() {
    let batches = three_calls();
    let mut model = without_a_journal();
    let mut states = vec![model.load().unwrap()];
    for batch in &batches {
        model.commit(std::slice::from_ref(batch)).unwrap();
        states.push(model.load().unwrap());
    }
    let mut host = reveille_host::real::host();
    let settings = Rig::new(1, usize::MAX).settings;
    let bounds = Bounds { sessions: 1, bytes: usize::MAX };
    for power in [false, true] {
        for operations in 0.. {
            let disk = Mortal::default();
            host.disk = Arc::new(disk.clone());
            let mut redb = open_within(&settings, &host, bounds).unwrap();
            redb.load().unwrap();
            disk.dies_after(operations);
            let durable = batches
                .iter()
                .take_while(|batch| redb.commit(std::slice::from_ref(*batch)).is_ok())
                .count();
            drop(redb);
            let died = disk.comes_back(power);
            let left =
                open_within(&settings, &host, bounds).and_then(|mut redb| redb.load()).unwrap();
            let next = (durable + 1).min(batches.len());
            let whole = states[durable] == left || states[next] == left;
            assert!(whole, "{durable} durable, {operations} operations, power {power}: {left:?}");
            if !died {
                assert!(durable == batches.len() && operations > 30, "it died at each before");
                break;
            }
        }
    }
}

fn without_a_journal() -> Box<dyn Fabric> {
    let settings = FabricSettings { engine: "memory".to_owned(), ..FabricSettings::default() };
    open(&settings, &reveille_host::real::host()).unwrap()
}

/// What a random commit does.
#[derive(Debug, Clone)]
enum Deed {
    Put(u64),
    Call(u8),
    EndCall(u8),
    Message(u8),
    EndMessage(u8),
    End,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        any::<u8>().prop_map(|n| Deed::Put(n.into())),
        (0u8..3).prop_map(Deed::Call),
        (0u8..3).prop_map(Deed::EndCall),
        (0u8..3).prop_map(Deed::Message),
        (0u8..3).prop_map(Deed::EndMessage),
        Just(Deed::End),
    ];
    proptest::collection::vec(deed, 0..4)
}

fn change(name: &str, deed: &Deed) -> Change {
    match deed {
        Deed::Put(last_out) => put(name, *last_out),
        Deed::Call(n) => Change::PutCall(Box::new(call(name, &n.to_string(), u64::from(*n)))),
        Deed::EndCall(n) => Change::DropCall { subsession: n.to_string() },
        Deed::Message(n) => {
            Change::PutMessage(Box::new(message(name, &n.to_string(), u64::from(*n))))
        }
        Deed::EndMessage(n) => Change::DropMessage { subsession: n.to_string() },
        Deed::End => Change::DropSession,
    }
}

/// Every commit puts its session, as the core's do, and the end of a session is the last it says.
fn changes(name: &str, deeds: &[Deed]) -> Vec<Change> {
    let ends = deeds.iter().position(|deed| matches!(deed, Deed::End));
    let said = &deeds[..ends.map_or(deeds.len(), |end| end + 1)];
    std::iter::once(put(name, 0)).chain(said.iter().map(|deed| change(name, deed))).collect()
}

/// A commit: session, epoch and deeds.
type Said = (u8, u64, Vec<Deed>);

/// Batches of commits, and whether the process ends after each.
fn history() -> impl Strategy<Value = Vec<(Vec<Said>, bool)>> {
    let one = (0u8..5, 1u64..4, deeds());
    proptest::collection::vec(
        (proptest::collection::vec(one, 0..5), proptest::bool::weighted(0.3)),
        1..12,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn with_a_journal_it_holds_what_an_engine_without_one_holds(
        history in history(),
        sessions in 0usize..4,
        bytes in prop_oneof![Just(0usize), Just(500), Just(usize::MAX)],
    ) {
        let rig = Rig::new(sessions, bytes);
        let mut redb = rig.open();
        let mut model = without_a_journal();
        let mut tokens: BTreeMap<u8, u64> = BTreeMap::new();
        for (commits, ends) in history {
            let batch: Vec<_> = commits.iter().map(|(of, epoch, deeds)| {
                let token = tokens.entry(*of).or_default();
                *token += 1;
                let name = format!("s{of}");
                let changes = changes(&name, deeds);
                commit(&name, *token, *epoch, changes)
            }).collect();
            prop_assert_eq!(redb.commit(&batch), model.commit(&batch));
            if ends {
                drop(redb);
                redb = rig.open();
            }
        }
        drop(redb);
        prop_assert_eq!(rig.open().load(), model.load());
    }
}
