//! What every engine must do that several nodes may share. Each test runs on every entry of
//! [`SHARED`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reveille_gateway_core::io::{Change, Claim, Claimed, Key};
use reveille_gateway_core::record::{Device, Raw, SessionId, SessionRecord};
use reveille_host::{BoxFuture, Clock, Host, Reading};

use super::battery::{call, commit, put_call, put_message, session};
use super::postgres::server::{database, dump, lapse};
use super::seal::test_key;
use super::{CommitResult, Fabric, FabricSettings, Member, Records, SHARED, Sealing, open};

const LEASE_MS: u64 = 60_000;

/// A clock of a test's own: the memory's leases run by it.
struct Hands(Mutex<Duration>);

impl Clock for Hands {
    fn now(&self) -> Reading {
        let mono = *self.0.lock().expect("sound");
        Reading { mono, wall: mono }
    }

    fn sleep_until(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Nodes `a`, `b` and `c` over one engine.
struct Nodes {
    nodes: Vec<Box<dyn Fabric>>,
    hands: Arc<Hands>,
    engine: String,
    database: String,
}

impl Nodes {
    /// Lets every lease run out that is not renewed after this.
    fn lapse(&self) {
        *self.hands.0.lock().expect("sound") += Duration::from_millis(LEASE_MS + 1);
        if self.engine == "postgres" {
            lapse(&self.database);
        }
    }

    fn node(&mut self, name: char) -> &mut dyn Fabric {
        let at = "abc".find(name).expect("a node");
        &mut *self.nodes[at]
    }

    fn put(&mut self, name: char, token: u64, epoch: u64, changes: Vec<Change>) -> CommitResult {
        let of = match &changes[..] {
            [Change::PutSession(record), ..] => record.id.to_string(),
            _ => "s".to_owned(),
        };
        self.node(name).commit(&[commit(&of, token, epoch, changes)]).expect("an answer")[0]
    }

    fn claim(&mut self, name: char, key: Key, for_user: Option<&str>) -> Claimed {
        let for_user = for_user.map(ToOwned::to_owned);
        self.node(name).claim(&Claim { claim: 1, keys: vec![key], for_user }).expect("an answer")
    }
}

fn on_every_shared_engine(test: impl Fn(&str, Nodes)) {
    for engine in SHARED {
        let hands = Arc::new(Hands(Mutex::new(Duration::from_secs(1))));
        let real = reveille_host::real::host();
        let host = Host { clock: Arc::clone(&hands) as Arc<dyn Clock>, ..real };
        let sealing = Sealing { keys: vec![test_key("a", 1)], clear: false };
        let database = if *engine == "postgres" { database() } else { String::new() };
        let name = (*engine).to_owned();
        let settings =
            FabricSettings { engine: name, sealing, database, ..FabricSettings::default() };
        let nodes = ["a", "b", "c"].map(|node| {
            let address = format!("{node}:5060");
            let member = Some(Member { node: node.to_owned(), address, lease_ms: LEASE_MS });
            let settings = FabricSettings { member, ..settings.clone() };
            let mut fabric = open(&settings, &host).expect(engine);
            fabric.renew().expect(engine);
            fabric
        });
        let (engine_, database) = ((*engine).to_owned(), settings.database.clone());
        test(engine, Nodes { nodes: nodes.into(), hands, engine: engine_, database });
    }
}

fn owned(id: &str, owner: &str, epoch: u64) -> SessionRecord {
    let contact = format!("contact of {id}");
    SessionRecord { owner: owner.to_owned(), contact, ..session(id, epoch) }
}

fn put_owned(id: &str, owner: &str, epoch: u64) -> Change {
    Change::PutSession(Box::new(owned(id, owner, epoch)))
}

fn put_invite(of: &str, subsession: &str, call_id: &str) -> Change {
    let mut record = call(of, subsession, 1);
    let text = format!(
        "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n\
         From: <sip:a@b>;tag=f\r\nTo: <sip:bob@example.com>\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:a@b>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    record.invite = Raw(text.into_bytes());
    Change::PutCall(Box::new(record))
}

fn id(text: &str) -> SessionId {
    SessionId::from(text)
}

use CommitResult::{Fenced, Stored};

#[test]
fn each_node_loads_what_it_owns() {
    on_every_shared_engine(|name, mut nodes| {
        let mine = vec![put_owned("s", "a", 1), put_call("s", "x", 1), put_message("s", "m", 2)];
        assert_eq!(nodes.put('a', 1, 1, mine), Stored, "{name}");
        assert_eq!(nodes.put('b', 1, 1, vec![put_owned("t", "b", 1)]), Stored, "{name}");
        let a = nodes.node('a').load().expect(name);
        assert_eq!((a.sessions.len(), a.calls.len(), a.messages.len()), (1, 1, 1), "{name}");
        let b = nodes.node('b').load().expect(name);
        assert_eq!(b.sessions, [owned("t", "b", 1)], "{name}");
        assert_eq!((b.calls.len(), b.messages.len()), (0, 0), "{name}");
    });
}

#[test]
fn a_living_owner_is_named_and_a_dead_one_is_followed() {
    on_every_shared_engine(|name, mut nodes| {
        let mine = vec![put_owned("s", "a", 1), put_invite("s", "x", "call@one")];
        nodes.put('a', 1, 1, mine);
        let keys = [
            Key::Session(id("s")),
            Key::Contact("contact of s".to_owned()),
            Key::Call("call@one".to_owned()),
            Key::Address("bob@example.com".to_owned()),
        ];
        for key in keys.clone() {
            let there = Claimed::Elsewhere { address: "a:5060".to_owned() };
            assert_eq!(nodes.claim('b', key.clone(), None), there, "{name}");
            assert_eq!(nodes.claim('a', key, None), Claimed::Ours, "{name}");
        }
        for key in [Key::Call("call@two".to_owned()), Key::Contact("call@one".to_owned())] {
            assert_eq!(nodes.claim('b', key, None), Claimed::Nobody, "{name}");
        }
        nodes.lapse();
        for node in ['b', 'c'] {
            nodes.node(node).renew().expect(name);
        }
        let Claimed::Adopted(records) = nodes.claim('b', keys[2].clone(), None) else {
            panic!("{name}: the owner is dead");
        };
        assert_eq!(records.sessions, [owned("s", "b", 2)], "{name}");
        assert_eq!(records.calls.len(), 1, "{name}");
        assert_eq!(nodes.node('b').load(), Ok(records), "{name}: durable");
        for key in keys {
            let there = Claimed::Elsewhere { address: "b:5060".to_owned() };
            assert_eq!(nodes.claim('c', key, None), there, "{name}: taken once");
        }
    });
}

#[test]
fn an_app_takes_its_session_from_a_living_node_and_no_other_user_does() {
    on_every_shared_engine(|name, mut nodes| {
        nodes.put('a', 1, 1, vec![put_owned("s", "a", 1)]);
        let key = || Key::Session(id("s"));
        assert_eq!(nodes.claim('b', key(), Some("eve")), Claimed::Stranger, "{name}");
        assert_eq!(nodes.node('a').lost(), Ok(Vec::new()), "{name}");
        let taken = Records { sessions: vec![owned("s", "b", 2)], ..Records::default() };
        assert_eq!(nodes.claim('b', key(), Some("bob")), Claimed::Adopted(taken), "{name}");
        assert_eq!(nodes.node('a').lost(), Ok(vec![(id("s"), 1)]), "{name}");
        assert_eq!(nodes.node('b').lost(), Ok(Vec::new()), "{name}");
        let late = vec![put_owned("s", "a", 1), put_call("s", "late", 1)];
        assert_eq!(nodes.put('a', 2, 1, late), Fenced, "{name}");
        assert_eq!(nodes.put('b', 1, 2, vec![put_owned("s", "b", 2)]), Stored, "{name}");
        let b = nodes.node('b').load().expect(name);
        assert_eq!(b.calls, [], "{name}: nothing of the fenced commit");
        // Back again: the old loss does not stand against the new epoch.
        let back = nodes.claim('a', key(), Some("bob"));
        let records = Records { sessions: vec![owned("s", "a", 3)], ..Records::default() };
        assert_eq!(back, Claimed::Adopted(records), "{name}");
        assert_eq!(nodes.put('a', 1, 3, vec![put_owned("s", "a", 3)]), Stored, "{name}");
        assert_eq!(nodes.node('b').lost(), Ok(vec![(id("s"), 2)]), "{name}");
    });
}

#[test]
fn an_id_that_no_text_of_a_database_can_be_is_nobodys() {
    on_every_shared_engine(|name, mut nodes| {
        nodes.put('a', 1, 1, vec![put_owned("s", "a", 1)]);
        let odd = Key::Session(id("s\0"));
        assert_eq!(nodes.claim('b', odd, Some("bob")), Claimed::Nobody, "{name}");
        let there = Claimed::Elsewhere { address: "a:5060".to_owned() };
        assert_eq!(nodes.claim('b', Key::Session(id("s")), None), there, "{name}: it goes on");
    });
}

#[test]
fn what_was_lost_stays_lost_when_the_session_is_gone() {
    on_every_shared_engine(|name, mut nodes| {
        nodes.put('a', 1, 1, vec![put_owned("s", "a", 1)]);
        nodes.claim('b', Key::Session(id("s")), Some("bob"));
        let gone = [commit("s", 1, 2, vec![Change::DropSession])];
        assert_eq!(nodes.node('b').commit(&gone), Ok(vec![Stored]), "{name}");
        // Told, and told again: the node may not have heard while its commits were under way.
        assert_eq!(nodes.node('a').lost(), Ok(vec![(id("s"), 1)]), "{name}");
        assert_eq!(nodes.put('a', 9, 1, vec![put_owned("s", "a", 1)]), Fenced, "{name}");
        assert_eq!(nodes.node('a').lost(), Ok(Vec::new()), "{name}");
        assert_eq!(nodes.node('b').load(), Ok(Records::default()), "{name}");
    });
}

#[test]
fn the_dead_are_followed_a_few_at_a_time_and_where_calls_wait_first() {
    on_every_shared_engine(|name, mut nodes| {
        for (at, of) in ["s1", "s2", "s3", "s4"].into_iter().enumerate() {
            let call = [put_invite(of, "x", of)];
            let more = if at == 2 { &call[..] } else { &[] };
            let changes = [put_owned(of, "a", 5)].into_iter().chain(more.iter().cloned());
            assert_eq!(nodes.put('a', 1, 5, changes.collect()), Stored, "{name}");
        }
        nodes.put('c', 1, 1, vec![put_owned("t", "c", 1)]);
        assert_eq!(nodes.node('b').adopt(9), Ok(Records::default()), "{name}: all live");
        nodes.lapse();
        for node in ['b', 'c'] {
            nodes.node(node).renew().expect(name);
        }
        let first = nodes.node('b').adopt(1).expect(name);
        assert_eq!(first.sessions, [owned("s3", "b", 6)], "{name}");
        assert_eq!(first.calls.len(), 1, "{name}");
        let rest = nodes.node('b').adopt(2).expect(name);
        assert_eq!(rest.sessions.len(), 2, "{name}");
        let last = nodes.node('c').adopt(9).expect(name);
        assert_eq!(last.sessions.len(), 1, "{name}");
        assert_eq!(last.sessions[0].owner, "c", "{name}");
        assert_eq!(nodes.node('b').adopt(9), Ok(Records::default()), "{name}: nothing is left");
        // It was only slow: it hears what it lost.
        nodes.node('a').renew().expect(name);
        let lost: Vec<_> = nodes.node('a').lost().expect(name);
        assert_eq!(lost.len(), 4, "{name}");
        assert!(lost.iter().all(|(_, epoch)| *epoch == 5), "{name}");
        assert_eq!(nodes.node('a').load(), Ok(Records::default()), "{name}");
    });
}

#[test]
fn two_survivors_at_once_share_what_a_dead_node_left_and_its_last_words_are_fenced() {
    on_every_shared_engine(|name, mut nodes| {
        let ids: Vec<_> = (0..40).map(|number| format!("s{number:02}")).collect();
        for id in &ids {
            assert_eq!(nodes.put('a', 1, 1, vec![put_owned(id, "a", 1)]), Stored, "{name}");
        }
        nodes.lapse();
        for node in ['b', 'c'] {
            nodes.node(node).renew().expect(name);
        }
        let [a, b, c] = &mut nodes.nodes[..] else { panic!("three nodes") };
        let follow = |node: &mut Box<dyn Fabric>| {
            let batches = std::iter::from_fn(|| {
                let records = node.adopt(3).expect(name);
                Some(records.sessions).filter(|sessions| !sessions.is_empty())
            });
            batches.flatten().map(|record| record.id.to_string()).collect::<Vec<_>>()
        };
        // It was only slow, and writes on: what is stored was stored before it was taken.
        let linger = |node: &mut Box<dyn Fabric>| {
            let batch: Vec<_> =
                ids.iter().map(|id| commit(id, 2, 1, vec![put_owned(id, "a", 1)])).collect();
            node.commit(&batch).expect(name)
        };
        let (by_b, by_c) = std::thread::scope(|scope| {
            let (b, c) = (scope.spawn(|| follow(b)), scope.spawn(|| follow(c)));
            let _some_or_none: Vec<_> = linger(a);
            (b.join().expect("no panic"), c.join().expect("no panic"))
        });
        // Rows that another had locked are left for the next time.
        let late = nodes.node('b').adopt(99).expect(name).sessions;
        let late = late.into_iter().map(|record| record.id.to_string());
        let mut all: Vec<_> = by_b.into_iter().chain(by_c).chain(late).collect();
        all.sort();
        assert_eq!(all, ids, "{name}: each is taken once");
        let last = nodes.put('a', 3, 1, vec![put_owned("s00", "a", 1)]);
        assert_eq!(last, Fenced, "{name}");
        assert_eq!(nodes.node('a').load(), Ok(Records::default()), "{name}");
    });
}

#[test]
fn a_lease_that_is_given_up_is_over_at_once() {
    on_every_shared_engine(|name, mut nodes| {
        nodes.put('a', 1, 1, vec![put_owned("s", "a", 1)]);
        nodes.node('a').leave().expect(name);
        assert_eq!(nodes.node('b').adopt(9).expect(name).sessions, [owned("s", "b", 2)], "{name}");
    });
}

#[test]
fn a_dump_of_the_database_shows_no_token_no_address_and_no_call_id() {
    on_every_shared_engine(|name, mut nodes| {
        let device = Device {
            token: "tok-secret".to_owned(),
            provider: "webhook".to_owned(),
            application: "app".to_owned(),
            usable: true,
            since_wall_us: 0,
            platform: None,
        };
        let record = SessionRecord { device: Some(device), ..owned("s", "a", 1) };
        let changes = vec![
            Change::PutSession(Box::new(record)),
            put_invite("s", "x", "secret-call@one"),
            put_message("s", "m", 2),
        ];
        assert_eq!(nodes.put('a', 1, 1, changes), Stored, "{name}");
        let known = Key::Device { user: "bob".to_owned(), token: "tok-secret".to_owned() };
        assert_eq!(nodes.claim('a', known, Some("bob")), Claimed::Ours, "{name}");
        let other = Key::Device { user: "eve".to_owned(), token: "tok-secret".to_owned() };
        assert_eq!(nodes.claim('a', other, Some("eve")), Claimed::Nobody, "{name}");
        if name == "postgres" {
            let dump = dump(&nodes.database);
            assert!(dump.contains("a:5060"), "{dump}");
            for secret in ["tok-secret", "contact of s", "example.com", "secret-call", "bob"] {
                assert!(!dump.contains(secret), "{secret} in {dump}");
                let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
                assert!(!dump.contains(&hex), "{secret} in {dump}");
            }
        }
    });
}

#[test]
fn a_database_is_sealed_anew_by_another_key_and_the_old_one_may_go() {
    let settings = FabricSettings {
        engine: "postgres".to_owned(),
        database: database(),
        ..FabricSettings::default()
    };
    let by = |keys: &[(&str, u8)]| {
        let keys = keys.iter().map(|(id, bytes)| test_key(id, *bytes)).collect();
        let settings =
            FabricSettings { sealing: Sealing { keys, clear: false }, ..settings.clone() };
        open(&settings, &reveille_host::real::host()).expect("open")
    };
    let mut old = by(&[("old", 1)]);
    let changes = vec![put_owned("s", "a", 1), put_call("s", "x", 1), put_message("s", "m", 2)];
    assert_eq!(old.commit(&[commit("s", 1, 1, changes)]), Ok(vec![Stored]));
    let records = old.load().expect("readable");
    assert_eq!(old.stale(), 0);
    let mut both = by(&[("new", 2), ("old", 1)]);
    assert_eq!((both.load().as_ref(), both.stale()), (Ok(&records), 3));
    // Whoever was written or is gone meanwhile is left alone.
    let later = vec![put_owned("s", "a", 1), Change::DropCall { subsession: "x".to_owned() }];
    assert_eq!(both.commit(&[commit("s", 2, 1, later)]), Ok(vec![Stored]));
    for left in [1, 0] {
        assert_eq!((both.reseal(2), both.stale()), (Ok(()), left));
    }
    let records = Records { calls: Vec::new(), ..records };
    assert_eq!(by(&[("new", 2)]).load(), Ok(records));
}

#[test]
fn a_second_process_under_the_name_of_a_node_ends_the_first() {
    let settings = FabricSettings {
        engine: "postgres".to_owned(),
        sealing: Sealing { keys: vec![test_key("a", 1)], clear: false },
        database: database(),
        member: Some(Member {
            node: "a".to_owned(),
            address: "a:5060".to_owned(),
            lease_ms: LEASE_MS,
        }),
        ..FabricSettings::default()
    };
    let host = reveille_host::real::host();
    let mut first = open(&settings, &host).expect("open");
    assert_eq!((first.renew(), first.renew()), (Ok(()), Ok(())));
    let mut second = open(&settings, &host).expect("open");
    assert_eq!((second.renew(), second.renew()), (Ok(()), Ok(())));
    let error = first.renew().expect_err("the name is taken");
    assert!(error.what.contains("give each node a node.name of its own"), "{error}");
    first.leave().expect("it leaves nothing");
    assert_eq!(second.renew(), Ok(()));
}

#[test]
fn a_database_is_near_and_its_password_elsewhere() {
    let refusal = |database: &str| {
        let settings = FabricSettings {
            engine: "postgres".to_owned(),
            sealing: Sealing { keys: vec![test_key("a", 1)], clear: false },
            database: database.to_owned(),
            ..FabricSettings::default()
        };
        let host = reveille_host::real::host();
        open(&settings, &host).err().map(|error| error.what).unwrap_or_default()
    };
    assert_eq!(refusal("host=/run/postgresql user=r"), "");
    assert_eq!(refusal("host=localhost user=r"), "");
    let far = "without TLS, so host must be the folder of a unix socket, localhost, 127.0.0.1 or";
    for database in ["host=db.example.com user=r", "host=localhost,10.0.0.1", "user=r", ""] {
        assert!(refusal(database).contains(far), "{database}: {}", refusal(database));
    }
    let settings = FabricSettings {
        engine: "postgres".to_owned(),
        sealing: Sealing { keys: vec![test_key("a", 1)], clear: false },
        database: "host=/nowhere user=r".to_owned(),
        ..FabricSettings::default()
    };
    let mut absent = open(&settings, &reveille_host::real::host()).expect("sound words");
    let told = absent.load().expect_err("nobody is there").what;
    assert!(told.contains("/nowhere") || told.contains("No such file"), "{told}");
    assert!(told.contains("see that the server runs, that fabric.database names it"), "{told}");
    let told = refusal("host=localhost user=r password=p");
    assert!(told.contains("password-file or password-env"), "{told}");
    let told = refusal("host=localhost colour=red");
    assert!(told.contains("fabric.database: ") && told.contains("write words like"), "{told}");
}
