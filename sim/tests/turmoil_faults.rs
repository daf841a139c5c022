//! What each fault of the turmoil world looks like to a stranger, and that the world tells of what
//! broke.

#![expect(clippy::unwrap_used, reason = "a test ends where something it needs fails")]

mod play;

use std::sync::{Arc, Mutex};

use reveille_conformance::stage::{Fault, Stage as _};
use reveille_host::{Host, within};
use reveille_sim::SimStage as _;
use reveille_sim::fault::Trap;
use reveille_trace::{Draft, Kind, Recorder, Scribe};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use self::play::{count, ms, part, stage};

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
    stage.enter("keeper", part(|_host| std::future::pending()));
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
    let (mut stage, _) = play::stage(9);
    let why = stage.perform(part(|_host| std::future::pending()), ms(1000)).unwrap_err();
    assert_eq!(why, "the director had not ended after 1s");
    let (mut stage, _) = play::stage(9);
    stage.faults().order(Fault::Crash { host: "nobody".into(), down: ms(1) });
    let why = stage.perform(part(|_host| std::future::pending()), ms(1000)).unwrap_err();
    assert!(why.contains("nobody"), "{why}");
}
