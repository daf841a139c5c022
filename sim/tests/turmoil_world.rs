//! The turmoil world keeps its promises: it repeats itself, its faults bite, and a sweep over the
//! crash points of a server finds the one that answers before it stores.
#![expect(clippy::unwrap_used, reason = "a test ends where something it needs fails")]

mod play;

use std::sync::{Arc, Mutex};

use reveille_conformance::stage::{Fault, Stage as _};
use reveille_host::{Host, within};
use reveille_sim::SimStage as _;
use reveille_sim::fault::Trap;
use reveille_sim::turmoil::on_fresh_thread;
use reveille_trace::{Draft, Event, Kind, Recorder, Scribe};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use self::play::{count, ms, part, stage};

/// Stores each byte it reads at the end of a file, and answers with it.
async fn keeper(host: Host, store_first: bool) -> Result<(), String> {
    let mut listener = host.net.listen("0.0.0.0:7").await.map_err(|error| error.to_string())?;
    loop {
        let (mut stream, _from) = listener.accept().await.map_err(|error| error.to_string())?;
        let file = host.disk.open("kept").map_err(|error| error.to_string())?;
        let mut byte = [0];
        while stream.read_exact(&mut byte).await.is_ok() {
            let file = Arc::clone(&file);
            let store = move || {
                file.len().and_then(|end| file.write(end, &byte)).expect("the disk takes it");
                file.sync().expect("the disk keeps it");
            };
            if !store_first && stream.write_all(&byte).await.is_err() {
                break;
            }
            host.tasks.blocking(Box::new(store)).await;
            if store_first && stream.write_all(&byte).await.is_err() {
                break;
            }
        }
    }
}

/// Sends 1 to 5 to the keeper, and again after each loss, until all are answered.
async fn sender(host: Host, answered: Arc<Mutex<Vec<u8>>>) -> Result<(), String> {
    let mut next = 1;
    while next <= 5 {
        let Some(Ok(mut stream)) = within(&*host.clock, ms(500), host.net.dial("keeper:7")).await
        else {
            host.sleep(ms(50)).await;
            continue;
        };
        while next <= 5 {
            let exchange = async {
                stream.write_all(&[next]).await?;
                stream.read_u8().await
            };
            let Some(Ok(byte)) = within(&*host.clock, ms(500), exchange).await else { break };
            answered.lock().unwrap().push(byte);
            next += 1;
        }
    }
    host.sleep(ms(300)).await;
    Ok(())
}

/// Plays keeper and sender under `trap`; returns the lost bytes, the operations, the recorder.
fn kept(seed: u64, store_first: bool, trap: Option<Trap>) -> (Vec<u8>, u64, Recorder) {
    let (mut stage, recorder) = stage(seed);
    stage.enter("keeper", part(move |host| keeper(host, store_first)));
    if let Some(trap) = trap {
        assert!(stage.lay("keeper", trap));
    }
    let answered = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&answered);
    let played = stage.perform(part(move |host| sender(host, Arc::clone(&told))), ms(20_000));
    played.unwrap_or_else(|why| panic!("{trap:?}: {why}"));
    let durable = stage.disk("keeper").and_then(|disk| disk.durable("kept")).unwrap_or_default();
    let mut lost = answered.lock().unwrap().clone();
    lost.retain(|byte| !durable.contains(byte));
    (lost, stage.operations("keeper"), recorder)
}

#[test]
fn a_sweep_finds_no_loss_in_a_server_that_stores_first() {
    let (lost, operations, _) = kept(1, true, None);
    assert!(lost.is_empty() && operations >= 20, "{lost:?} {operations}");
    for at in 1..=operations {
        for after in [false, true] {
            let trap = Trap { at, after, silent: false, down: ms(100) };
            let (lost, _, recorder) = kept(1, true, Some(trap));
            assert_eq!(count(&recorder, Kind::FaultStruck), 1, "{at} {after}");
            assert_eq!(count(&recorder, Kind::HostStarted), 3, "{at} {after}");
            assert_eq!(lost, Vec::<u8>::new(), "{at} {after}");
        }
    }
}

/// A keeper whose power goes a while after it began; the sender then stops at once.
fn power_lost(store_first: bool, at: u64, seed: u64) -> Vec<u8> {
    let (mut stage, recorder) = stage(seed);
    stage.enter("keeper", part(move |host| keeper(host, store_first)));
    let faults = stage.faults();
    let answered = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&answered);
    let director = part(move |host: Host| {
        let (faults, told) = (Arc::clone(&faults), Arc::clone(&told));
        async move {
            let told = sender(host.clone(), told);
            let limit = within(&*host.clock, ms(at), told);
            limit.await;
            faults.order(Fault::PowerLoss { host: "keeper".into(), down: ms(50) });
            host.sleep(ms(200)).await;
            Ok(())
        }
    });
    stage.perform(director, ms(20_000)).unwrap();
    assert_eq!(count(&recorder, Kind::FaultStruck), 1);
    let durable = stage.disk("keeper").and_then(|disk| disk.durable("kept")).unwrap_or_default();
    let mut lost = answered.lock().unwrap().clone();
    lost.retain(|byte| !durable.contains(byte));
    lost
}

#[test]
fn a_sweep_catches_a_server_that_answers_first() {
    let (_, operations, _) = kept(1, false, None);
    let caught = (1..=operations).any(|at| {
        let trap = Trap { at, after: true, silent: false, down: ms(100) };
        !kept(1, false, Some(trap)).0.is_empty()
    });
    assert!(caught, "no crash point of {operations} lost an answered byte");
}

#[test]
fn a_power_loss_at_any_time_loses_no_byte_that_was_stored_first() {
    for at in (10..400).step_by(10) {
        assert_eq!(power_lost(true, at, at), Vec::<u8>::new(), "power lost after {at} ms");
    }
}

#[test]
fn a_sweep_of_operations_under_power_loss_tells_the_two_servers_apart() {
    for (store_first, loses) in [(true, false), (false, true)] {
        let (_, operations, _) = kept(1, store_first, None);
        let lost = (1..=operations).flat_map(|at| [(at, false), (at, true)]).any(|(at, after)| {
            let trap = Trap { at, after, silent: true, down: ms(100) };
            !kept(1, store_first, Some(trap)).0.is_empty()
        });
        assert_eq!(lost, loses, "store first: {store_first}");
    }
}

/// Everything a world has, once: datagrams, a stream, a disk, randomness, and a crash.
fn everything(seed: u64) -> Vec<Event> {
    on_fresh_thread(|| {
        let (mut stage, recorder) = stage(seed);
        let scribe = Scribe::new(recorder.clone(), "keeper");
        stage.enter(
            "keeper",
            part(move |host| {
                let scribe = scribe.clone();
                async move {
                    let now = host.clock.now().mono.as_micros();
                    scribe.note(
                        now.try_into().unwrap(),
                        Draft::new(Kind::Note).with("text", host.random_hex()),
                    );
                    keeper(host, true).await
                }
            }),
        );
        stage.enter(
            "echo",
            part(|host| async move {
                let socket = host.net.udp("0.0.0.0:9").await.map_err(|error| error.to_string())?;
                let mut bytes = [0; 64];
                while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
                    socket
                        .send_to(&bytes[..length], from)
                        .await
                        .map_err(|error| error.to_string())?;
                }
                Ok(())
            }),
        );
        stage.faults().order(Fault::CrashAt {
            host: "keeper".into(),
            at: 9,
            after: true,
            down: ms(40),
        });
        let scribe = Scribe::new(recorder.clone(), "director");
        let director = part(move |host: Host| {
            let scribe = scribe.clone();
            async move {
                let note = |text: String| {
                    let now = host.clock.now().mono.as_micros().try_into().unwrap();
                    scribe.note(now, Draft::new(Kind::Note).with("text", text));
                };
                let socket = host.net.udp("0.0.0.0:0").await.unwrap();
                let echo = host.net.resolve("echo:9").await.unwrap();
                for _ in 0..5 {
                    socket.send_to(host.random_hex().as_bytes(), echo).await.unwrap();
                    let mut bytes = [0; 64];
                    let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
                    note(format!("{from} {}", String::from_utf8_lossy(&bytes[..length])));
                }
                let answered = Arc::new(Mutex::new(Vec::new()));
                sender(host.clone(), Arc::clone(&answered)).await?;
                note(format!("{:?}", answered.lock().unwrap()));
                Ok(())
            }
        });
        stage.perform(director, ms(20_000)).unwrap();
        recorder.events()
    })
}

#[test]
fn a_seed_repeats_its_run_and_another_seed_does_not() {
    let first = everything(3);
    assert_eq!(first, everything(3));
    let other = everything(4);
    assert_ne!(first, other);
    let drawn = |events: &[Event]| -> Vec<String> {
        let keeper = events.iter().filter(|event| event.actor == "keeper");
        keeper.filter_map(|event| event.text("text").map(str::to_owned)).collect()
    };
    let texts = drawn(&first);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_ne!(texts[0], texts[1], "a restarted host draws other bytes");
    assert_ne!(texts[0], drawn(&other)[0], "another seed draws other bytes");
}
