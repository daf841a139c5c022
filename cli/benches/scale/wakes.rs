//! Calls for sleepers: how many a second one core wakes, and what the gateway adds to each.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::LocalSet;

use super::caller::{Caller, Outcome};
use super::figures::{Times, disk};
use super::gateway::{Gateway, Ports, cpu_s};
use super::phone::{self, Moments};
use super::{Options, push};

/// A call that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(35);

/// A session is not woken more often than every two seconds, so that many phones take turns.
const MANY: usize = 8_000;

#[derive(Default)]
struct Tally {
    calls: Vec<Outcome>,
    moments: Vec<Moments>,
    lost: u64,
}

pub(crate) async fn run(options: &Options) {
    println!("\ncalls for sleeping phones, each woken by a push, answered, hung up, asleep again");
    for engine in ["redb", "memory"] {
        LocalSet::new().run_until(measure(engine, options)).await;
    }
}

async fn measure(engine: &str, options: &Options) {
    let phones = options.phones.unwrap_or(MANY);
    let gateway = Gateway::start(engine, Ports { registrar: None, ..Ports::free() }, phones);
    let sync = disk(gateway.folder());
    let bench = Bench::start(&gateway, phones).await;
    bench.phase(options.seconds.min(2), options.in_flight, None).await;
    let (used, own, begun) = (gateway.cpu_s(), cpu_s("self"), Instant::now());
    let full = bench.phase(options.seconds, options.in_flight, None).await;
    let seconds = begun.elapsed().as_secs_f64();
    let (used, own) = (gateway.cpu_s() - used, cpu_s("self") - own);
    let calls = full.calls.len();
    #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
    let count = calls as f64;
    let rate = count / seconds;
    println!(
        "\nfabric {engine} (a forced write of 4 KiB takes {:.3} ms)",
        sync.as_secs_f64() * 1e3
    );
    println!(
        "  as fast as it goes, {} in flight: {rate:.0} wakes/s, {} lost, {:.0} us of the gateway's CPU \
         per wake ({:.0} % of its core; load side {:.0} %{})",
        options.in_flight,
        full.lost,
        used / count * 1e6,
        used / seconds * 100.0,
        own / seconds * 100.0,
        if own > used { ": the load side saturates first" } else { "" }
    );
    let again = bench.caller.repeated.get();
    if again > 0 {
        println!("  {again} INVITEs were sent again: datagrams were lost between the cores");
    }
    if !gateway.pinned {
        println!("  not pinned: no taskset here");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small positive rate"
    )]
    let paced = options.rate.unwrap_or((rate / 2.0) as u64).max(1);
    let calm = bench.phase(options.seconds, options.in_flight * 4, Some(paced)).await;
    let added = calm.moments.iter().map(|m| m.started.duration_since(m.resumed)).collect();
    println!("  at {paced} wakes/s, {} calls, {} lost:", calm.calls.len(), calm.lost);
    println!("    app attached to its start     {}", Times::new(added).shown());
    let trying = calm.calls.iter().map(|call| call.trying).collect();
    println!("    INVITE to 100                 {}", Times::new(trying).shown());
    let answered = calm.calls.iter().map(|call| call.answered).collect();
    println!("    INVITE to the phone's answer  {}", Times::new(answered).shown());
}

struct Bench {
    caller: Rc<Caller>,
    /// Phones that sleep, by user.
    asleep: Rc<tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>>,
    moments: Rc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Moments>>>,
}

impl Bench {
    async fn start(gateway: &Gateway, count: usize) -> Self {
        let (rested, asleep) = mpsc::unbounded_channel();
        let (measured, moments) = mpsc::unbounded_channel();
        let mut tokens = BTreeMap::new();
        for mut phone in phone::asleep(&gateway.ports.web, 0, count, count).await {
            let (wake, mut woken) = mpsc::unbounded_channel();
            tokens.insert(phone.token.clone(), wake);
            let (rested, measured) = (rested.clone(), measured.clone());
            rested.send(phone.user.clone()).expect("the bench runs");
            tokio::task::spawn_local(async move {
                while woken.recv().await.is_some() {
                    match phone.take_call().await {
                        Ok(moments) => {
                            let _over: bool = measured.send(moments).is_err();
                            let _over: bool = rested.send(phone.user.clone()).is_err();
                        }
                        Err(error) => println!("  {}: {error}", phone.user),
                    }
                }
            });
        }
        tokio::task::spawn_local(push::serve(gateway.ports.push.clone(), Arc::new(tokens)));
        Self {
            caller: Caller::start(&gateway.ports.sip).await,
            asleep: Rc::new(tokio::sync::Mutex::new(asleep)),
            moments: Rc::new(tokio::sync::Mutex::new(moments)),
        }
    }

    /// Calls sleepers for so long: at most `in_flight` at once, `rate` a second if it is given.
    async fn phase(&self, seconds: u64, in_flight: usize, rate: Option<u64>) -> Tally {
        let until = Instant::now() + Duration::from_secs(seconds);
        let (room, begun) = (Arc::new(Semaphore::new(in_flight)), Instant::now());
        let (done, mut ended) = mpsc::unbounded_channel();
        let (mut placed, mut asleep) = (0_u32, self.asleep.lock().await);
        while Instant::now() < until {
            if let Some(rate) = rate {
                let due =
                    begun + Duration::from_secs(1) * placed / u32::try_from(rate).unwrap_or(1);
                tokio::time::sleep_until(due.into()).await;
            }
            let permit = Arc::clone(&room).acquire_owned().await.expect("the room stays open");
            let Some(user) = asleep.recv().await else { break };
            let (caller, done) = (Rc::clone(&self.caller), done.clone());
            placed += 1;
            tokio::task::spawn_local(async move {
                let outcome = tokio::time::timeout(PATIENCE, caller.call(&user)).await;
                drop(permit);
                let _over: bool = done.send(outcome.ok().flatten()).is_err();
            });
        }
        drop((done, asleep));
        let mut tally = Tally::default();
        while let Some(outcome) = ended.recv().await {
            match outcome {
                Some(outcome) if outcome.status == 200 => tally.calls.push(outcome),
                Some(_) | None => tally.lost += 1,
            }
        }
        let mut moments = self.moments.lock().await;
        while let Ok(one) = moments.try_recv() {
            tally.moments.push(one);
        }
        tally
    }
}
