//! A gateway that starts with a new key: what the old one sealed is sealed anew while it serves.

use std::time::Duration;

use reveille_gateway_core::config::{Config, Secret, User};
use reveille_gateway_core::io::{Change, Commit};
use reveille_gateway_core::record::{SessionId, SessionRecord};
use reveille_gateway_driver::Gateway;
use reveille_gateway_driver::config::Settings;
use reveille_gateway_driver::fabric::{self, SealKey};
use reveille_host::{Host, within};
use reveille_trace::{Kind, Recorder};
use tokio::sync::mpsc;

const LIMIT: Duration = Duration::from_secs(20);

/// A session that sleeps for longer than any test.
fn sleeper(nth: usize) -> SessionRecord {
    let id = format!("s{nth}");
    let text = format!(
        r#"{{"version":2,"id":"{id}","owner":"node-1","epoch":1,"user":"bob",
        "aor":"bob@example.com","app":"phone","contact":"c{nth}","instance":"urn:uuid:{nth}",
        "standing":{{"is":"asleep","until_wall_us":9000000000000000,"cause":"request"}},
        "ttl_s":600,"device":{{"token":"t{nth}","provider":"webhook","application":"a",
        "usable":true}},"last_out":1,"last_in":1,"unacknowledged":[],"last_arrival":0,
        "registered_until_wall_us":0,"supersedes":null}}"#
    );
    SessionRecord::decode(text.as_bytes()).expect("a record")
}

fn settings(path: &str, keys: &[SealKey]) -> Settings {
    let mut core = Config::new("example.com", "127.0.0.1:5060");
    core.users.push(User {
        aor: "bob@example.com".to_owned(),
        username: "bob".to_owned(),
        secret: Secret("sesame".to_owned()),
    });
    let mut settings = Settings::new(core);
    settings.fabric.engine = "redb".to_owned();
    settings.fabric.path = path.to_owned();
    settings.fabric.sealing.keys = keys.to_vec();
    settings
}

fn load(settings: &Settings, host: &Host) -> Result<usize, String> {
    let loaded = fabric::open(&settings.fabric, host).and_then(|mut fabric| fabric.load());
    loaded.map(|records| records.sessions.len()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_gateway_seals_anew_behind_its_work_and_says_when_the_old_key_may_go() {
    let host = reveille_host::real::host();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fabric").to_string_lossy().into_owned();
    let [old, new] =
        ["old", "new"].map(|id| SealKey::read(id, &SealKey::draw(&*host.entropy)).expect("a key"));
    let before = settings(&path, std::slice::from_ref(&old));
    let mut opened = fabric::open(&before.fabric, &host).expect("it opens");
    let put = |nth| Commit {
        session: SessionId::from(format!("s{nth}")),
        token: 1,
        epoch: 1,
        changes: vec![Change::PutSession(Box::new(sleeper(nth)))],
        urgent: false,
    };
    opened.commit(&(0..300).map(put).collect::<Vec<_>>()).expect("durable");
    opened.load().expect("the journal comes into the tables");
    drop(opened);

    let alone = settings(&path, std::slice::from_ref(&new));
    let refused = Gateway::start(host.clone(), alone.clone(), Recorder::passing()).await.err();
    let said = refused.expect("the old key is still needed").to_string();
    let begin = "fabric: the session record of `s0` is sealed by key `old`, which is not among";
    assert!(said.starts_with(begin), "{said}");

    let (told, mut notes) = mpsc::unbounded_channel();
    let recorder = Recorder::passing();
    recorder.listen(move |event| {
        if event.kind == Kind::Note {
            // Fails only once the test is over.
            let _over: bool = told.send(event.text("text").map(str::to_owned)).is_err();
        }
    });
    let running = Gateway::start(host.clone(), settings(&path, &[new, old]), recorder).await;
    let running = running.expect("it starts");
    let note = within(&*host.clock, LIMIT, notes.recv()).await.flatten().flatten();
    let wanted = "every record is sealed by the first key; the others may be dropped";
    assert_eq!(note.as_deref(), Some(wanted));
    running.stop();
    within(&*host.clock, LIMIT, running.stopped()).await.expect("in time").expect("orderly");
    assert_eq!(load(&alone, &host), Ok(300), "the new key is enough");
}
