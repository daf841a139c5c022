//! The turmoil world keeps its promises: it repeats itself, its faults bite, and a sweep over the
//! crash points of a server finds the one that answers before it stores.
#![expect(clippy::unwrap_used, reason = "a test ends where something it needs fails")]

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reveille_conformance::stage::{Fault, Part, Stage as _};
use reveille_host::{Host, within};
use reveille_sim::fault::Trap;
use reveille_sim::turmoil::{Options, TurmoilStage, on_fresh_thread};
use reveille_trace::{Draft, Event, Kind, Recorder, Scribe};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn part<F>(play: impl Fn(Host) -> F + Send + Sync + 'static) -> Part
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    Arc::new(move |host| Box::pin(play(host)))
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn stage(seed: u64) -> (TurmoilStage, Recorder) {
    let recorder = Recorder::keeping();
    (TurmoilStage::new(seed, recorder.clone(), Options::default()), recorder)
}

fn count(recorder: &Recorder, kind: Kind) -> usize {
    recorder.events().iter().filter(|event| event.kind == kind).count()
}

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

/// What the peer of a host sees of `fault`: each as `what @ ms`.
fn seen(fault: impl Fn(String) -> Fault) -> (Vec<String>, Recorder) {
    let (mut stage, recorder) = stage(5);
    stage.enter(
        "victim",
        part(|host| async move {
            let mut listener =
                host.net.listen("0.0.0.0:7").await.map_err(|error| error.to_string())?;
            let mut streams = Vec::new();
            loop {
                streams.push(listener.accept().await.map_err(|error| error.to_string())?);
            }
        }),
    );
    let faults = stage.faults();
    let fault = fault("victim".into());
    let said = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&said);
    let director = part(move |host: Host| {
        let (faults, fault, told) = (Arc::clone(&faults), fault.clone(), Arc::clone(&told));
        async move {
            let say = |what: &str| told.lock().unwrap().push(what.to_owned());
            let mut stream = host.net.dial("victim:7").await.map_err(|error| error.to_string())?;
            host.sleep(ms(100)).await;
            faults.order(fault);
            match within(&*host.clock, ms(500), stream.read_u8()).await {
                None => say("silence"),
                Some(read) => say(&format!("{:?}", read.unwrap_err().kind())),
            }
            match within(&*host.clock, ms(100), host.net.dial("victim:7")).await {
                None => say("dial hangs"),
                Some(dialled) => say(&format!("{:?}", dialled.map(drop).unwrap_err().kind())),
            }
            // The victim is up again after this.
            host.sleep(ms(1000)).await;
            if stream.write_all(b"x").await.is_err() {
                say("write refused");
            }
            host.sleep(ms(100)).await;
            match within(&*host.clock, ms(500), stream.read_u8()).await {
                None => say("silence"),
                Some(read) => say(&format!("{:?}", read.unwrap_err().kind())),
            }
            say(if host.net.dial("victim:7").await.is_ok() { "up" } else { "down" });
            Ok(())
        }
    });
    stage.perform(director, ms(20_000)).unwrap();
    let said = said.lock().unwrap().clone();
    (said, recorder)
}

#[test]
fn a_peer_sees_a_killed_process_end_and_a_dead_machine_fall_silent() {
    let (crash, recorder) = seen(|host| Fault::Crash { host, down: ms(800) });
    assert_eq!(crash[..2], ["UnexpectedEof", "ConnectionRefused"], "{crash:?}");
    assert_eq!(crash.last().map(String::as_str), Some("up"), "{crash:?}");
    assert_eq!(count(&recorder, Kind::FaultStruck), 1);
    let (power, recorder) = seen(|host| Fault::PowerLoss { host, down: ms(800) });
    assert_eq!(power, ["silence", "dial hangs", "ConnectionReset", "up"]);
    assert_eq!(count(&recorder, Kind::FaultStruck), 1);
    let (restart, _) = seen(|host| Fault::Restart { host, down: ms(800) });
    assert_eq!(restart, crash);
}

/// What becomes of a dial that the victim has not accepted when `fault` comes.
fn unaccepted(fault: Fault) -> String {
    let (mut stage, _) = stage(12);
    stage.enter(
        "victim",
        part(|host| async move {
            let _listener =
                host.net.listen("0.0.0.0:7").await.map_err(|error| error.to_string())?;
            std::future::pending().await
        }),
    );
    let faults = stage.faults();
    let outcome = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&outcome);
    let director = part(move |host: Host| {
        let (faults, fault, told) = (Arc::clone(&faults), fault.clone(), Arc::clone(&told));
        async move {
            let late = host.clone();
            host.tasks.spawn(
                "late",
                Box::pin(async move {
                    late.sleep(ms(100)).await;
                    faults.order(fault);
                }),
            );
            *told.lock().unwrap() =
                match within(&*host.clock, ms(400), host.net.dial("victim:7")).await {
                    None => "silence".to_owned(),
                    Some(dialled) => format!("{:?}", dialled.map(drop).unwrap_err().kind()),
                };
            Ok(())
        }
    });
    stage.perform(director, ms(1000)).unwrap();
    outcome.lock().unwrap().clone()
}

#[test]
fn a_dial_that_waits_to_be_accepted_hears_of_a_kill_and_not_of_a_power_loss() {
    let host = || "victim".to_owned();
    assert_eq!(unaccepted(Fault::Crash { host: host(), down: ms(800) }), "ConnectionRefused");
    assert_eq!(unaccepted(Fault::PowerLoss { host: host(), down: ms(800) }), "silence");
}

#[test]
fn nothing_of_a_host_runs_after_its_crash() {
    let (mut stage, recorder) = stage(10);
    let scribe = Scribe::new(recorder.clone(), "twin");
    let twin = part(move |host| {
        let scribe = scribe.clone();
        async move {
            let (tell, told) = tokio::sync::oneshot::channel();
            host.tasks.spawn(
                "second",
                Box::pin(async move {
                    if told.await.is_ok() {
                        scribe.note(0, Draft::new(Kind::Note));
                    }
                }),
            );
            let socket = host.net.udp("0.0.0.0:9").await.map_err(|error| error.to_string())?;
            let own = socket.local_addr().map_err(|error| error.to_string())?;
            let _told = tell.send(());
            socket.send_to(b"x", own).await.map_err(|error| error.to_string())
        }
    });
    stage.enter("twin", twin);
    // The first operation spawns the second task, the second sends.
    assert!(stage.lay("twin", Trap { at: 2, after: false, silent: false, down: ms(10_000) }));
    let idle = part(|host: Host| async move {
        host.sleep(ms(100)).await;
        Ok(())
    });
    stage.perform(idle, ms(1000)).unwrap();
    assert_eq!(stage.log("twin").last().map(|operation| operation.what), Some("udp.send"));
    assert_eq!(count(&recorder, Kind::HostCrashed), 1);
    assert_eq!(count(&recorder, Kind::Note), 0);
}

/// A part whose end, when it comes in order, speaks: a destructor spawns, writes and syncs.
#[test]
fn a_restart_lets_destructors_speak_and_a_crash_does_not() {
    struct Last(Host, Arc<dyn reveille_host::DiskFile>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.tasks.spawn("late", Box::pin(async {}));
            self.1.write(0, b"bye").expect("the disk takes it");
            self.1.sync().expect("the disk keeps it");
        }
    }
    let outcome = |fault: Fault| {
        let (mut stage, _) = stage(11);
        let polite = part(|host| async move {
            let file = host.disk.open("f").map_err(|error| error.to_string())?;
            let _last = Last(host.clone(), file);
            std::future::pending().await
        });
        stage.enter("polite", polite);
        let faults = stage.faults();
        let director = part(move |host: Host| {
            let (faults, fault) = (Arc::clone(&faults), fault.clone());
            async move {
                host.sleep(ms(50)).await;
                faults.order(fault);
                host.sleep(ms(100)).await;
                Ok(())
            }
        });
        stage.perform(director, ms(1000)).unwrap();
        stage.disk("polite").and_then(|disk| disk.durable("f")).unwrap_or_default()
    };
    let host = || "polite".to_owned();
    assert_eq!(outcome(Fault::Restart { host: host(), down: ms(20) }), b"bye");
    assert_eq!(outcome(Fault::Crash { host: host(), down: ms(20) }), b"");
    assert_eq!(outcome(Fault::PowerLoss { host: host(), down: ms(20) }), b"");
}

/// Sends a numbered datagram and a byte each 20 ms across a partition; returns what came.
#[test]
fn a_partition_holds_streams_and_loses_datagrams() {
    let (mut stage, recorder) = stage(6);
    let came = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let told = Arc::clone(&came);
    stage.enter(
        "sink",
        part(move |host| {
            let told = Arc::clone(&told);
            async move {
                let socket = host.net.udp("0.0.0.0:9").await.map_err(|error| error.to_string())?;
                let datagrams = Arc::clone(&told);
                host.tasks.spawn(
                    "datagrams",
                    Box::pin(async move {
                        let mut byte = [0];
                        while socket.recv_from(&mut byte).await.is_ok() {
                            datagrams.lock().unwrap().0.push(byte[0]);
                        }
                    }),
                );
                let mut listener = host.net.listen("0.0.0.0:9").await.map_err(|e| e.to_string())?;
                let (mut stream, _) = listener.accept().await.map_err(|error| error.to_string())?;
                while let Ok(byte) = stream.read_u8().await {
                    told.lock().unwrap().1.push(byte);
                }
                Ok(())
            }
        }),
    );
    let faults = stage.faults();
    let director = part(move |host: Host| {
        let faults = Arc::clone(&faults);
        async move {
            let mut stream = host.net.dial("sink:9").await.map_err(|error| error.to_string())?;
            let socket = host.net.udp("0.0.0.0:0").await.map_err(|error| error.to_string())?;
            let sink = host.net.resolve("sink:9").await.map_err(|error| error.to_string())?;
            for number in 0..50 {
                if number == 20 {
                    let (a, b) = ("director".into(), "sink".into());
                    faults.order(Fault::Partition { a, b, lasts: ms(200) });
                }
                stream.write_all(&[number]).await.map_err(|error| error.to_string())?;
                socket.send_to(&[number], sink).await.map_err(|error| error.to_string())?;
                host.sleep(ms(20)).await;
            }
            host.sleep(ms(100)).await;
            Ok(())
        }
    });
    stage.perform(director, ms(20_000)).unwrap();
    let (datagrams, bytes) = came.lock().unwrap().clone();
    assert_eq!(bytes, (0..50).collect::<Vec<u8>>());
    assert!((36..=42).contains(&datagrams.len()), "{datagrams:?}");
    assert!(datagrams.contains(&0) && datagrams.contains(&49), "{datagrams:?}");
    assert_eq!(count(&recorder, Kind::FaultStruck), 1);
    let (a, b) = ("director".into(), "sink".into());
    let ordered = Fault::Partition { a, b, lasts: ms(200) };
    let events = recorder.events();
    let struck = events.iter().find(|event| event.kind == Kind::FaultStruck).unwrap();
    assert_eq!(struck.text("fault"), Some(ordered.name()));
    assert_eq!(struck.text("on"), Some(ordered.on().as_str()));
}

#[test]
fn a_fault_that_meets_nothing_does_not_claim_to_have_struck() {
    let (a, b) = ("director".to_owned(), "keeper".to_owned());
    let (mut stage, recorder) = stage(8);
    stage.enter("keeper", part(|host| keeper(host, true)));
    stage.faults().order(Fault::Partition { a, b, lasts: ms(100) });
    let at = 1_000_000;
    stage.faults().order(Fault::CrashAt { host: "keeper".into(), at, after: true, down: ms(1) });
    let idle = part(|host: Host| async move {
        host.sleep(ms(500)).await;
        Ok(())
    });
    stage.perform(idle, ms(1000)).unwrap();
    assert_eq!(count(&recorder, Kind::FaultStruck), 0);
}

#[test]
fn what_breaks_in_the_harness_is_told() {
    let (mut stage, _) = stage(9);
    stage.enter(
        "bad",
        part(|host| async move {
            host.tasks.spawn("worse", Box::pin(async { panic!("on purpose") }));
            std::future::pending().await
        }),
    );
    let idle = part(|host: Host| async move {
        host.sleep(ms(500)).await;
        Ok(())
    });
    let why = stage.perform(idle, ms(1000)).unwrap_err();
    assert_eq!(why, "bad: task worse panicked: on purpose");
    let (mut stage, _) = self::stage(9);
    let why = stage.perform(part(|_host| std::future::pending()), ms(1000)).unwrap_err();
    assert_eq!(why, "the director had not ended after 1s");
    let (mut stage, _) = self::stage(9);
    stage.faults().order(Fault::Crash { host: "nobody".into(), down: ms(1) });
    let why = stage.perform(part(|_host| std::future::pending()), ms(1000)).unwrap_err();
    assert!(why.contains("nobody"), "{why}");
}
