//! The express world's network and clocks, as two hosts see them: what a fault looks like from outside.

#![expect(clippy::unwrap_used, reason = "a test ends where something it needs fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reveille_conformance::stage::{Fault, Faults, Part, Site, Stage as _};
use reveille_host::{BoxStream, Host, within};
use reveille_scenarios::Weather;
use reveille_sim::express::ExpressStage;
use reveille_trace::{Event, Kind, Recorder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn part<F>(play: impl Fn(Host) -> F + Send + Sync + 'static) -> Part
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    Arc::new(move |host| Box::pin(play(host)))
}

/// What is noted in a play.
#[derive(Clone)]
struct Notes<T>(Arc<Mutex<Vec<T>>>);

impl<T> Notes<T> {
    fn say(&self, what: T) {
        self.0.lock().unwrap().push(what);
    }
}

/// What was noted, and the events of the play.
type Played<T> = (Vec<T>, Vec<Event>);

struct Stand {
    host: Host,
    faults: Arc<dyn Faults>,
    stream: BoxStream,
}

/// A stage on which `victim` gives back every byte it reads, 5 ms away each way.
fn played<T, F>(
    site: Site,
    play: impl Fn(Stand, Notes<T>) -> F + Send + Sync + 'static,
) -> Played<T>
where
    T: Send + 'static + Clone,
    F: Future<Output = ()> + Send + 'static,
{
    let recorder = Recorder::keeping();
    let mut stage = ExpressStage::new(7, recorder.clone(), (ms(5), ms(5)));
    stage.place("victim", site);
    stage.enter(
        "victim",
        part(|host| async move {
            let mut listener = host.net.listen("0.0.0.0:7").await.map_err(|e| e.to_string())?;
            while let Ok((mut stream, _)) = listener.accept().await {
                let echo = async move {
                    let mut bytes = [0; 4096];
                    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                        if stream.write_all(&bytes[..read]).await.is_err() {
                            return;
                        }
                    }
                };
                host.tasks.spawn("echo", Box::pin(echo));
            }
            Ok(())
        }),
    );
    let (faults, said) = (stage.faults(), Notes(Arc::new(Mutex::new(Vec::new()))));
    let (play, told) = (Arc::new(play), said.clone());
    let director = part(move |host: Host| {
        let (faults, told, play) = (Arc::clone(&faults), told.clone(), Arc::clone(&play));
        async move {
            host.sleep(ms(100)).await;
            let stream = host.net.dial("victim:7").await.map_err(|error| error.to_string())?;
            play(Stand { host, faults, stream }, told).await;
            Ok(())
        }
    });
    stage.perform(director, Duration::from_secs(100_000)).unwrap();
    let said = said.0.lock().unwrap().clone();
    (said, recorder.events())
}

fn strikes(events: &[Event]) -> Vec<&str> {
    let struck = events.iter().filter(|event| event.kind == Kind::FaultStruck);
    struck.filter_map(|event| event.text("fault")).collect()
}

/// How long one byte takes there and back, in milliseconds; nothing if it never comes back.
async fn echo(host: &Host, stream: &mut BoxStream) -> Option<u64> {
    let began = host.clock.now().mono;
    stream.write_all(b"x").await.ok()?;
    let read = within(&*host.clock, Duration::from_secs(2_000), stream.read_u8()).await?;
    read.ok()?;
    u64::try_from((host.clock.now().mono - began).as_millis()).ok()
}

#[test]
fn a_byte_takes_two_latencies_and_idle_time_is_free() {
    let (took, events) = played(Site::default(), |mut at, told| async move {
        told.say(echo(&at.host, &mut at.stream).await);
        at.host.sleep(Duration::from_secs(86_400)).await;
        told.say(echo(&at.host, &mut at.stream).await);
    });
    assert_eq!(took, [Some(10), Some(10)]);
    assert!(events.len() < 10);
}

#[test]
fn a_partition_is_felt_until_the_next_repetition() {
    let (took, events) = played(Site::default(), |mut at, told| async move {
        let (a, b) = ("director".to_owned(), "victim".to_owned());
        at.faults.order(Fault::Partition { a, b, lasts: ms(1_000) });
        at.host.sleep(ms(1)).await;
        told.say(echo(&at.host, &mut at.stream).await.unwrap());
    });
    // Sent at 0, and again after 200, 600 and 1,400 ms.
    assert_eq!(took, [1_400 + 10]);
    assert_eq!(strikes(&events), ["partition"]);
}

#[test]
fn a_cut_of_one_way_lets_the_other_pass() {
    let (heard, _) = played(Site::default(), |mut at, told| async move {
        let (from, to) = ("victim".to_owned(), "director".to_owned());
        at.faults.order(Fault::Cut { from, to, lasts: ms(500) });
        at.host.sleep(ms(1)).await;
        told.say(echo(&at.host, &mut at.stream).await.unwrap());
        told.say(echo(&at.host, &mut at.stream).await.unwrap());
    });
    // The answer leaves at 5 ms, and again 200 and 600 ms later.
    assert_eq!(heard, [5 + 600 + 5, 10]);
}

#[test]
fn a_storm_delays_a_stream_and_loses_nothing_of_it() {
    let (took, events) = played(Site::default(), |mut at, told| async move {
        let weather = Weather { loss: 500, ..Weather::default() };
        let (a, b) = ("director".to_owned(), "victim".to_owned());
        at.faults.order(Fault::Storm { a, b, weather, lasts: Duration::from_secs(600) });
        at.host.sleep(ms(1)).await;
        for _ in 0..20 {
            let took = echo(&at.host, &mut at.stream).await;
            told.say(took.expect("it comes in the end"));
        }
    });
    assert!(took.iter().any(|ms| *ms > 200) && took.contains(&10), "{took:?}");
    assert_eq!(strikes(&events), ["storm"]);
}

#[test]
fn a_killed_process_says_goodbye_and_a_machine_without_power_nothing() {
    let seen = |fault: fn(String) -> Fault| {
        let (seen, _) = played(Site::default(), move |mut at, told| async move {
            let say = |what: String| told.say(what);
            at.faults.order(fault("victim".to_owned()));
            match within(&*at.host.clock, ms(500), at.stream.read_u8()).await {
                None => say("silence".to_owned()),
                Some(read) => say(format!("{:?}", read.unwrap_err().kind())),
            }
            match within(&*at.host.clock, ms(100), at.host.net.dial("victim:7")).await {
                None => say("dial hangs".to_owned()),
                Some(dialled) => say(format!("{:?}", dialled.map(drop).unwrap_err().kind())),
            }
            at.host.sleep(ms(1_000)).await;
            // It is up again, and knows nothing of the connection.
            let spoken = at.stream.write_all(b"x").await;
            let read = within(&*at.host.clock, ms(500), at.stream.read_u8()).await;
            say(format!("{:?} {:?}", spoken.is_ok(), read.map(|read| read.unwrap_err().kind())));
            say(if at.host.net.dial("victim:7").await.is_ok() { "up" } else { "down" }.to_owned());
        });
        seen
    };
    let crash = seen(|host| Fault::Crash { host, down: ms(800) });
    assert_eq!(crash[..2], ["UnexpectedEof", "ConnectionRefused"], "{crash:?}");
    let power = seen(|host| Fault::PowerLoss { host, down: ms(800) });
    assert_eq!(power, ["silence", "dial hangs", "true Some(ConnectionReset)", "up"]);
    assert_eq!(crash.last(), power.last());
}

#[test]
fn a_moved_host_loses_its_connections_and_nobody_tells_their_peers() {
    let (seen, events) = played(Site::default(), |mut at, told| async move {
        at.faults.order(Fault::Move { host: "victim".to_owned() });
        at.host.sleep(ms(1)).await;
        let silent = within(&*at.host.clock, Duration::from_secs(60), async {
            at.stream.write_all(b"x").await.unwrap();
            at.stream.read_u8().await
        });
        told.say(format!("{:?}", silent.await.is_none()));
        let again = at.host.net.dial("victim:7").await;
        told.say(format!("{:?}", again.is_ok()));
    });
    assert_eq!(seen, ["true", "true"], "silence, and a name that is found again");
    assert_eq!(strikes(&events), ["move"]);
}

#[test]
fn an_address_translation_forgets_who_was_silent() {
    let site = Site { nat: Some(Duration::from_secs(60)), ..Site::default() };
    let (seen, events) = played(site, |mut at, told| async move {
        at.host.sleep(Duration::from_secs(50)).await;
        told.say(echo(&at.host, &mut at.stream).await);
        at.host.sleep(Duration::from_secs(70)).await;
        told.say(echo(&at.host, &mut at.stream).await);
    });
    assert_eq!(seen, [Some(10), None], "what comes from outside is lost");
    assert_eq!(strikes(&events), ["nat"]);
}

#[test]
fn a_writer_waits_for_a_reader_that_does_not_read() {
    let (written, _) = played(Site::default(), |mut at, told| async move {
        // The victim gives everything back, and nobody takes it.
        let block = [0; 16 * 1024];
        let mut written = 0;
        while let Some(Ok(more)) =
            within(&*at.host.clock, Duration::from_secs(10), at.stream.write(&block)).await
        {
            written += more;
        }
        told.say(written);
    });
    let kib = written[0] / 1024;
    assert!((256..=3 * 256).contains(&kib), "{kib} KiB were taken");
}

#[test]
fn a_clock_that_is_set_is_told_when_somebody_looks() {
    let recorder = Recorder::keeping();
    let mut stage = ExpressStage::new(7, recorder.clone(), (ms(5), ms(5)));
    let readings = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&readings);
    stage.place("watch", Site { ahead_ms: 1_000, nat: None });
    stage.enter(
        "watch",
        part(move |host: Host| {
            let seen = Arc::clone(&seen);
            async move {
                for _ in 0..2 {
                    let now = host.clock.now();
                    seen.lock().unwrap().push((now.mono, now.wall));
                    host.sleep(Duration::from_secs(10)).await;
                }
                Ok(())
            }
        }),
    );
    let faults = stage.faults();
    let director = part(move |host: Host| {
        let faults = Arc::clone(&faults);
        async move {
            host.sleep(Duration::from_secs(5)).await;
            faults.order(Fault::ClockStep { host: "watch".to_owned(), by_ms: -3_600_000 });
            host.sleep(Duration::from_secs(10)).await;
            Ok(())
        }
    });
    stage.perform(director, Duration::from_secs(60)).unwrap();
    let seen = readings.lock().unwrap().clone();
    assert_eq!(seen[1].0 - seen[0].0, Duration::from_secs(10), "monotonic time goes on");
    assert_eq!(seen[0].1 - seen[1].1, Duration::from_secs(3_590));
    assert_eq!(strikes(&recorder.events()), ["clock-step"]);
}

#[test]
fn nothing_that_can_still_happen_is_an_error_and_a_panic_is_told() {
    let perform = |director: Part| {
        let recorder = Recorder::keeping();
        let mut stage = ExpressStage::new(7, recorder, (ms(5), ms(5)));
        stage.perform(director, Duration::from_secs(60)).unwrap_err()
    };
    let waits = perform(part(|_host| std::future::pending()));
    assert!(waits.contains("cannot happen"), "{waits}");
    let panics = perform(part(|host: Host| async move {
        host.tasks.spawn("mishap", Box::pin(async { panic!("ouch") }));
        host.sleep(ms(10)).await;
        Ok(())
    }));
    assert!(panics.contains("mishap panicked: ouch"), "{panics}");
}
