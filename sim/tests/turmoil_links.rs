//! What each fault of a link, an address or a clock looks like from both ends in the turmoil world:
//! it bites, it is told, it ends, and a seed decides it.

#![expect(clippy::unwrap_used, reason = "a test ends where something it needs fails")]

mod play;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reveille_conformance::stage::{Fault, Site, Stage as _};
use reveille_host::{BoxStream, Host, Udp, within};
use reveille_scenarios::Weather;
use reveille_sim::EPOCH;
use reveille_trace::{Kind, Recorder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};

use self::play::{count, ms, part, stage};

/// So many numbers are said each way, one in each beat.
const NUMBERS: u8 = 150;
const BEAT_MS: u64 = 20;
/// When the fault is ordered.
const ORDERED_MS: u64 = 1_000;

/// What one end heard: numbers with the milliseconds in which they came, and how its stream ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Heard {
    stream: Vec<(u8, u64)>,
    datagrams: Vec<(u8, u64)>,
    ended: Option<(String, u64)>,
    from: BTreeSet<IpAddr>,
}

impl Heard {
    fn longest_silence(&self) -> u64 {
        let times: Vec<_> = self.stream.iter().map(|(_, at)| *at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(u64::MAX)
    }

    fn numbers(&self) -> Vec<u8> {
        self.stream.iter().map(|(number, _)| *number).collect()
    }
}

type Notes = Arc<Mutex<BTreeMap<&'static str, Heard>>>;

fn now_ms(host: &Host) -> u64 {
    u64::try_from(host.clock.now().mono.as_millis()).unwrap()
}

fn note(notes: &Notes, who: &'static str, act: impl FnOnce(&mut Heard)) {
    act(notes.lock().unwrap().entry(who).or_default());
}

fn hear(host: &Host, notes: &Notes, who: &'static str, mut stream: ReadHalf<BoxStream>) {
    let (own, notes) = (host.clone(), Arc::clone(notes));
    let heard = async move {
        let ended = loop {
            match stream.read_u8().await {
                Ok(number) => {
                    note(&notes, who, |heard| heard.stream.push((number, now_ms(&own))));
                }
                Err(error) => break format!("{:?}", error.kind()),
            }
        };
        note(&notes, who, |heard| heard.ended = Some((ended, now_ms(&own))));
    };
    host.tasks.spawn("hear", Box::pin(heard));
}

fn listen(host: &Host, notes: &Notes, who: &'static str, socket: Arc<dyn Udp>, peer: &Peer) {
    let (own, notes, peer) = (host.clone(), Arc::clone(notes), Arc::clone(peer));
    let heard = async move {
        let mut byte = [0];
        while let Ok((_, from)) = socket.recv_from(&mut byte).await {
            *peer.lock().unwrap() = Some(from);
            note(&notes, who, |heard| {
                heard.datagrams.push((byte[0], now_ms(&own)));
                heard.from.insert(from.ip());
            });
        }
    };
    host.tasks.spawn("listen", Box::pin(heard));
}

/// Where the other end was heard last.
type Peer = Arc<Mutex<Option<SocketAddr>>>;

async fn say(
    host: &Host,
    mut stream: WriteHalf<BoxStream>,
    socket: &dyn Udp,
    peer: &Peer,
    quiet: (u8, u8),
) {
    for number in 0..NUMBERS {
        if !(quiet.0..quiet.1).contains(&number) {
            drop(stream.write_all(&[number]).await);
            let to = *peer.lock().unwrap();
            if let Some(to) = to {
                drop(socket.send_to(&[number], to).await);
            }
        }
        host.sleep(ms(BEAT_MS)).await;
    }
    host.sleep(ms(60_000)).await;
}

/// Both ends say numbers to each other by stream and datagram, and keep silent together in the beats
/// of `quiet`.
fn talk(seed: u64, fault: Option<Fault>, site: Site, quiet: (u8, u8)) -> (Heard, Heard, Recorder) {
    let (mut stage, recorder) = stage(seed);
    let notes = Notes::default();
    let own = Arc::clone(&notes);
    stage.enter(
        "gateway",
        part(move |host| {
            let notes = Arc::clone(&own);
            async move {
                let text = |error: std::io::Error| error.to_string();
                let socket = host.net.udp("0.0.0.0:9").await.map_err(text)?;
                let mut listener = host.net.listen("0.0.0.0:9").await.map_err(text)?;
                let peer = Peer::default();
                listen(&host, &notes, "gateway", Arc::clone(&socket), &peer);
                let (stream, _) = listener.accept().await.map_err(text)?;
                let (read, write) = split(stream);
                hear(&host, &notes, "gateway", read);
                say(&host, write, &*socket, &peer, quiet).await;
                Ok(())
            }
        }),
    );
    let own = Arc::clone(&notes);
    stage.place("phone", site);
    stage.enter(
        "phone",
        part(move |host| {
            let notes = Arc::clone(&own);
            async move {
                let text = |error: std::io::Error| error.to_string();
                let socket = host.net.udp("0.0.0.0:7").await.map_err(text)?;
                let stream = host.net.dial("gateway:9").await.map_err(text)?;
                let to = host.net.resolve("gateway:9").await.map_err(text)?;
                let peer: Peer = Arc::new(Mutex::new(Some(to)));
                listen(&host, &notes, "phone", Arc::clone(&socket), &Peer::default());
                let (read, write) = split(stream);
                hear(&host, &notes, "phone", read);
                say(&host, write, &*socket, &peer, quiet).await;
                Ok(())
            }
        }),
    );
    let faults = stage.faults();
    let director = part(move |host: Host| {
        let (faults, fault) = (Arc::clone(&faults), fault.clone());
        async move {
            host.sleep(ms(ORDERED_MS)).await;
            fault.into_iter().for_each(|fault| faults.order(fault));
            host.sleep(ms(12_000)).await;
            Ok(())
        }
    });
    stage.perform(director, ms(20_000)).unwrap();
    let mut notes = notes.lock().unwrap().clone();
    (notes.remove("phone").unwrap(), notes.remove("gateway").unwrap(), recorder)
}

fn struck(recorder: &Recorder) -> Vec<(String, String)> {
    let events = recorder.events();
    let struck = events.iter().filter(|event| event.kind == Kind::FaultStruck);
    let text = |event: &reveille_trace::Event, name| event.text(name).unwrap().to_owned();
    struck.map(|event| (text(event, "fault"), text(event, "on"))).collect()
}

fn all() -> Vec<u8> {
    (0..NUMBERS).collect()
}

const NEVER: (u8, u8) = (0, 0);

fn under(fault: Fault) -> (Heard, Heard, Recorder) {
    let named = (fault.name().to_owned(), fault.on());
    let (phone, gateway, recorder) = talk(3, Some(fault), Site::default(), NEVER);
    assert_eq!(struck(&recorder), [named], "it is told once");
    (phone, gateway, recorder)
}

fn ends() -> (String, String) {
    ("phone".to_owned(), "gateway".to_owned())
}

#[test]
fn without_a_fault_all_is_heard() {
    let (phone, gateway, recorder) = talk(3, None, Site::default(), NEVER);
    for heard in [&phone, &gateway] {
        assert_eq!(heard.numbers(), all());
        assert!(heard.datagrams.len() > 145 && heard.ended.is_none(), "{heard:?}");
        assert!(heard.longest_silence() < 100, "{heard:?}");
    }
    assert_eq!(struck(&recorder), []);
}

#[test]
fn a_cut_silences_one_direction_and_ends() {
    let (from, to) = ends();
    let (phone, gateway, _) = under(Fault::Cut { from, to, lasts: ms(600) });
    assert_eq!((gateway.numbers(), phone.numbers()), (all(), all()), "streams hold what they lost");
    assert!((550..750).contains(&gateway.longest_silence()), "{gateway:?}");
    assert!(phone.longest_silence() < 100, "the other direction is heard: {phone:?}");
    assert!((115..125).contains(&gateway.datagrams.len()), "{:?}", gateway.datagrams.len());
    assert!(phone.datagrams.len() > 145, "{:?}", phone.datagrams.len());
}

#[test]
fn an_outage_silences_all_links_of_a_host_under_one_name() {
    let (phone, gateway, _) = under(Fault::Outage { host: "phone".into(), lasts: ms(600) });
    for heard in [&phone, &gateway] {
        assert_eq!(heard.numbers(), all());
        assert!((500..800).contains(&heard.longest_silence()), "{heard:?}");
        assert!((110..130).contains(&heard.datagrams.len()), "{:?}", heard.datagrams.len());
    }
}

fn storm(weather: Weather) -> Fault {
    let (a, b) = ends();
    Fault::Storm { a, b, weather, lasts: ms(1_000) }
}

#[test]
fn a_storm_that_delays_delays_both_ways_and_clears() {
    let (phone, gateway, _) = under(storm(Weather { delay: ms(300), ..Weather::default() }));
    for heard in [&phone, &gateway] {
        assert_eq!(heard.numbers(), all());
        assert!((250..400).contains(&heard.longest_silence()), "{heard:?}");
        let late = |(number, at): &(u8, u64)| {
            *at >= ORDERED_MS + 700 && *at < ORDERED_MS + 950 && {
                let said = u64::from(*number) * BEAT_MS;
                at.saturating_sub(said) >= 300
            }
        };
        assert!(heard.datagrams.iter().any(late), "{heard:?}");
        let (_, last) = heard.stream.last().unwrap();
        assert!(*last < u64::from(NUMBERS) * BEAT_MS + 150, "it has cleared: {last}");
    }
}

#[test]
fn a_storm_that_loses_loses_datagrams_and_slows_streams() {
    let (phone, gateway, recorder) = under(storm(Weather { loss: 400, ..Weather::default() }));
    for heard in [&phone, &gateway] {
        assert_eq!(heard.numbers(), all(), "in order, nothing twice");
        assert!((115..142).contains(&heard.datagrams.len()), "{:?}", heard.datagrams.len());
        assert!(heard.longest_silence() >= 180, "{heard:?}");
    }
    let events = recorder.events();
    let told = events.iter().find(|event| event.kind == Kind::FaultStruck).unwrap();
    assert_eq!(told.text("how"), Some("lost"));
}

#[test]
fn a_storm_that_doubles_and_one_that_overtakes_touch_datagrams_only() {
    let (phone, gateway, _) = under(storm(Weather { duplicate: 500, ..Weather::default() }));
    for heard in [&phone, &gateway] {
        assert_eq!(heard.numbers(), all());
        assert!((160..185).contains(&heard.datagrams.len()), "{:?}", heard.datagrams.len());
    }
    let (phone, gateway, _) = under(storm(Weather { reorder: 200, ..Weather::default() }));
    for heard in [&phone, &gateway] {
        assert_eq!(heard.numbers(), all());
        // turmoil alone lets neighbours overtake each other, and no more.
        let behind = |pair: &[(u8, u64)]| pair[0].0 > pair[1].0.saturating_add(1);
        assert!(heard.datagrams.windows(2).any(behind), "{heard:?}");
        assert!(heard.datagrams.len() > 145);
    }
}

#[test]
fn a_narrow_link_queues() {
    let (_, gateway, _) = under(storm(Weather { bandwidth: Some(16_000), ..Weather::default() }));
    assert_eq!(gateway.numbers(), all());
    let latest =
        gateway.stream.iter().map(|(number, at)| at.saturating_sub(u64::from(*number) * BEAT_MS));
    assert!(
        latest.max() >= Some(300),
        "two packets of 232 bits in each 20 ms are 23 kbit/s: {gateway:?}"
    );
}

#[test]
fn who_moves_loses_its_streams_and_nobody_is_told() {
    let (phone, gateway, _) = under(Fault::Move { host: "phone".into() });
    let (how, at) = phone.ended.clone().unwrap();
    assert_eq!(how, "ConnectionAborted");
    assert!((ORDERED_MS..ORDERED_MS + 30).contains(&at), "{at}");
    assert_eq!(gateway.ended, None, "no FIN, no RST");
    let (_, last) = gateway.stream.last().unwrap();
    assert!(*last < ORDERED_MS + 50, "{last}");
    assert_eq!(gateway.from.len(), 2, "it is seen under its new address: {:?}", gateway.from);
    // It answers where it hears; what was under way to the old address is lost.
    assert!((140..150).contains(&phone.datagrams.len()), "{:?}", phone.datagrams.len());
    assert!(gateway.datagrams.len() > 145);
}

#[test]
fn a_forgotten_binding_is_silence_until_its_host_speaks_and_then_a_reset() {
    // Nobody speaks for a second after the fault.
    let quiet = (48, 100);
    let fault = Fault::Rebind { host: "phone".into() };
    let (phone, gateway, recorder) = talk(3, Some(fault), Site::default(), quiet);
    assert_eq!(struck(&recorder), [("rebind".into(), "phone".into())]);
    let (how, at) = phone.ended.clone().unwrap();
    assert_eq!(how, "ConnectionReset");
    assert!((2_030..2_150).contains(&at), "not before it speaks: {at}");
    assert_eq!(gateway.ended, None);
    assert!(gateway.numbers().iter().all(|number| *number < 100), "{gateway:?}");
    assert!(phone.numbers().iter().all(|number| *number < 100), "{phone:?}");
    // A datagram opens another binding.
    assert!(gateway.datagrams.iter().any(|(number, _)| *number > 140));
    assert!(phone.datagrams.iter().any(|(number, _)| *number > 140));
}

#[test]
fn a_binding_is_kept_by_traffic_and_forgotten_after_silence() {
    let behind = |nat| Site { nat: Some(ms(nat)), ..Site::default() };
    let (phone, gateway, recorder) = talk(3, None, behind(1_200), (51, 100));
    assert_eq!((phone.numbers().len(), struck(&recorder)), (101, vec![]), "{gateway:?}");
    let (phone, gateway, recorder) = talk(3, None, behind(800), (51, 100));
    assert_eq!(struck(&recorder), [("nat".into(), "phone".into())]);
    assert_eq!(phone.ended.unwrap().0, "ConnectionReset");
    assert!(gateway.numbers().iter().all(|number| *number < 100), "{gateway:?}");
    assert_eq!(gateway.ended, None);
}

const BETWEEN: Duration = Duration::from_millis(100);

/// The wall clock less the monotonic one, each 100 ms.
fn shifts(site: Site, fault: Option<Fault>) -> (Vec<i64>, Recorder) {
    let (mut stage, recorder) = stage(4);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    stage.place("gateway", site);
    stage.enter(
        "gateway",
        part(move |host: Host| {
            let told = Arc::clone(&told);
            async move {
                loop {
                    let now = host.clock.now();
                    let right = EPOCH + now.mono;
                    let shift = now.wall.saturating_sub(right);
                    let back = right.saturating_sub(now.wall);
                    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap();
                    told.lock().unwrap().push(ms(shift) - ms(back));
                    host.sleep(BETWEEN).await;
                }
            }
        }),
    );
    let faults = stage.faults();
    let director = part(move |host: Host| {
        let (faults, fault) = (Arc::clone(&faults), fault.clone());
        async move {
            host.sleep(ms(500)).await;
            fault.into_iter().for_each(|fault| faults.order(fault));
            host.sleep(ms(500)).await;
            Ok(())
        }
    });
    stage.perform(director, ms(5_000)).unwrap();
    let seen = seen.lock().unwrap().clone();
    (seen, recorder)
}

#[test]
fn a_clock_is_wrong_from_the_start_or_set_and_time_goes_on() {
    let ahead = Site { ahead_ms: 5_000, nat: None };
    let (seen, recorder) = shifts(ahead, None);
    assert!(seen.iter().all(|shift| *shift == 5_000) && seen.len() >= 9, "{seen:?}");
    assert_eq!(struck(&recorder), [], "where it stands is no fault");
    let back = Fault::ClockStep { host: "gateway".into(), by_ms: -3_600_000 };
    let (seen, recorder) = shifts(ahead, Some(back));
    assert_eq!(seen.first(), Some(&5_000));
    assert_eq!(seen.last(), Some(&-3_595_000));
    assert!(seen.len() >= 9, "what it sleeps is not what its clock says: {seen:?}");
    assert_eq!(struck(&recorder), [("clock-step".into(), "gateway".into())]);
}

#[test]
fn who_dials_through_a_cut_waits_for_its_end() {
    for (from, to) in [("phone", "gateway"), ("gateway", "phone")] {
        let (mut stage, recorder) = stage(5);
        stage.enter(
            "gateway",
            part(|host| async move {
                let text = |error: std::io::Error| error.to_string();
                let mut listener = host.net.listen("0.0.0.0:9").await.map_err(text)?;
                let mut streams = Vec::new();
                loop {
                    streams.push(listener.accept().await.map_err(text)?);
                }
            }),
        );
        let fault = Fault::Cut { from: from.into(), to: to.into(), lasts: ms(500) };
        let outcome = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&outcome);
        stage.enter(
            "phone",
            part(move |host: Host| {
                let told = Arc::clone(&told);
                async move {
                    host.sleep(ms(100)).await;
                    let soon = within(&*host.clock, ms(200), host.net.dial("gateway:9")).await;
                    told.lock().unwrap().push(soon.is_none());
                    let late = within(&*host.clock, ms(400), host.net.dial("gateway:9")).await;
                    told.lock().unwrap().push(late.is_some_and(|dialled| dialled.is_ok()));
                    told.lock().unwrap().push((500..600).contains(&now_ms(&host)));
                    Ok(())
                }
            }),
        );
        let faults = stage.faults();
        faults.order(fault);
        let director = part(|host: Host| async move {
            host.sleep(ms(1_000)).await;
            Ok(())
        });
        stage.perform(director, ms(2_000)).unwrap();
        assert_eq!(*outcome.lock().unwrap(), [true, true, true]);
        assert_eq!(struck(&recorder), [("cut".into(), format!("{from}->{to}"))]);
    }
}

#[test]
fn a_seed_decides_all_of_it() {
    let rough = Weather {
        delay: ms(20),
        jitter: ms(100),
        loss: 200,
        duplicate: 100,
        reorder: 100,
        bandwidth: Some(64_000),
    };
    let heard = |seed| {
        let (phone, gateway, recorder) = talk(seed, Some(storm(rough)), Site::default(), NEVER);
        (phone, gateway, recorder.events())
    };
    assert_eq!(heard(1), heard(1));
    assert_ne!(heard(1).0, heard(2).0);
}

#[test]
fn a_fault_of_a_link_that_meets_nothing_does_not_claim_to_have_struck() {
    let (mut stage, recorder) = stage(8);
    for name in ["phone", "gateway"] {
        stage.enter(name, part(|_host| std::future::pending()));
    }
    let (a, b) = ends();
    let weather = Weather { delay: ms(5), ..Weather::default() };
    let faults = stage.faults();
    faults.order(Fault::Cut { from: a.clone(), to: b.clone(), lasts: ms(100) });
    faults.order(Fault::Storm { a: a.clone(), b, weather, lasts: ms(100) });
    faults.order(Fault::Outage { host: a.clone(), lasts: ms(100) });
    faults.order(Fault::Move { host: a.clone() });
    faults.order(Fault::Rebind { host: a.clone() });
    faults.order(Fault::ClockStep { host: a, by_ms: 1 });
    let idle = part(|host: Host| async move {
        host.sleep(ms(500)).await;
        Ok(())
    });
    stage.perform(idle, ms(1000)).unwrap();
    assert_eq!(count(&recorder, Kind::FaultStruck), 0);
}

#[test]
fn a_fault_on_nobody_is_told() {
    let (mut stage, _) = stage(9);
    stage.faults().order(Fault::Move { host: "nobody".into() });
    let why = stage.perform(part(|_host| std::future::pending()), ms(1000)).unwrap_err();
    assert_eq!(why, "a move was ordered on nobody, which is no host");
}
