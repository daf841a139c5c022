use reveille_gateway_core::io::PushId;
use reveille_host::{BoxFuture, Clock, Reading};
use reveille_trace::{Recorder, Scribe};
use tokio::sync::{mpsc, watch};

use super::super::lanes::Batch;
use super::super::tests::request;
use super::super::{CircuitRule, PushSettings};
use super::*;

/// A clock that stands until it is set; who sleeps is woken by a change.
#[derive(Default)]
struct Hand(watch::Sender<Duration>);

impl Clock for Hand {
    fn now(&self) -> Reading {
        let mono = *self.0.borrow();
        Reading { mono, wall: mono }
    }

    fn sleep_until(&self, mono: Duration) -> BoxFuture<'static, ()> {
        let mut told = self.0.subscribe();
        Box::pin(async move {
            let _set: bool = told.wait_for(|now| *now >= mono).await.is_ok();
        })
    }
}

/// What was asked, and what is to come of it; without an answer it is never answered.
#[derive(Default)]
struct Service {
    asked: Mutex<Vec<Vec<u64>>>,
    answer: Mutex<Option<PushOutcome>>,
}

impl Service {
    fn says(&self, outcome: PushOutcome) {
        *self.answer.lock().expect("no panic") = Some(outcome);
    }

    fn asked(&self) -> Vec<Vec<u64>> {
        self.asked.lock().expect("no panic").clone()
    }
}

struct Plugin(Arc<Service>);

impl Push for Plugin {
    fn body(&self, request: &PushRequest) -> Vec<u8> {
        request.payload.event.clone().into_bytes()
    }

    fn send<'a>(&'a self, request: &'a PushRequest, body: Vec<u8>) -> BoxFuture<'a, PushOutcome> {
        Box::pin(async move {
            let all = self.send_all(std::slice::from_ref(request), vec![body]).await;
            all.into_iter().next().expect("one")
        })
    }

    fn send_all<'a>(
        &'a self,
        requests: &'a [PushRequest],
        bodies: Vec<Vec<u8>>,
    ) -> BoxFuture<'a, Vec<PushOutcome>> {
        let wakes: Vec<_> = requests.iter().map(|request| request.id.wake).collect();
        self.0.asked.lock().expect("no panic").push(wakes);
        Box::pin(async move {
            let answer = self.0.answer.lock().expect("no panic").clone();
            let Some(first) = answer else { return std::future::pending().await };
            // Each outcome is another one, so that none can stand for two.
            let others = bodies.iter().enumerate().skip(1);
            let others = others.map(|(nth, _)| PushOutcome::refused(format!("410 {nth}")));
            std::iter::once(first).chain(others).collect()
        })
    }
}

/// A provider at work, and the loop that hears of it.
struct Stage {
    clock: Arc<Hand>,
    service: Arc<Service>,
    queue: Queue,
    recorder: Recorder,
    told: mpsc::Receiver<Event>,
    world: World,
    _stop: watch::Sender<bool>,
}

fn stage(batch: Batch) -> Stage {
    let clock = Arc::new(Hand::default());
    let host = reveille_host::real::host();
    let host = reveille_host::Host { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..host };
    let (inbox, told) = mpsc::channel(20_000);
    let (stop, stopping) = watch::channel(false);
    let recorder = Recorder::keeping();
    let world = World::new(host, Scribe::new(recorder.clone(), "gateway"), inbox, stopping);
    world.circuits.learn(CircuitRule { failures: 3, open: Duration::from_secs(5) });
    let service = Arc::new(Service::default());
    let plugin = Arc::new(Plugin(Arc::clone(&service)));
    let account = Account { app: "phone".to_owned(), id: "com.example.phone".to_owned(), batch };
    let places = PushSettings::default().most_in_flight;
    let queue = Queue::start(&world, "webhook", plugin, (places, vec![account]));
    Stage { clock, service, queue, recorder, told, world, _stop: stop }
}

fn push(wake: u64, event: &str) -> PushRequest {
    let mut push = request("s", None);
    push.id = PushId { wake, attempt: 1 };
    push.application = "phone".to_owned();
    push.payload.event = event.to_owned();
    PushRequest { deadline_us: u64::MAX, ..push }
}

impl Stage {
    /// What the loop is told next, within some turns of everybody.
    async fn outcome(&mut self) -> (u64, PushOutcome) {
        for _ in 0..1_000 {
            match self.told.try_recv() {
                Ok(Event::Input(Input::Pushed { push, outcome })) => return (push.wake, outcome),
                Ok(_) => panic!("the loop is told of pushes only"),
                Err(_) => tokio::task::yield_now().await,
            }
        }
        panic!("the loop is told nothing");
    }

    /// Lets everybody do what there is to do.
    async fn settle(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    fn set(&self, seconds: u64) {
        self.clock.0.send_replace(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn what_waited_too_long_is_not_sent() {
    let mut stage = stage(Batch::default());
    stage.service.says(PushOutcome::Accepted);
    for (deadline_us, sent) in [(0, false), (u64::MAX, true)] {
        assert!(stage.queue.put(PushRequest { deadline_us, ..push(1, "call") }));
        let (_, outcome) = stage.outcome().await;
        assert_eq!(outcome == PushOutcome::Accepted, sent);
        let events = stage.recorder.events();
        assert_eq!(events.iter().any(|event| event.kind == Kind::PushSent), sent);
    }
}

#[tokio::test]
async fn ten_thousand_refreshes_that_wait_do_not_delay_a_call() {
    let stage = stage(Batch::default());
    assert!((0..10_000).all(|wake| stage.queue.put(push(wake, "refresh"))));
    stage.settle().await;
    let before = stage.service.asked();
    assert_eq!(before.len(), 48, "the service answers none of them");
    assert!(stage.queue.put(push(10_000, "call")));
    stage.settle().await;
    let after = stage.service.asked();
    assert_eq!(after[before.len()..], [[10_000]], "it leaves next, and no time has passed");
}

#[tokio::test]
async fn a_service_that_fails_is_left_alone_and_found_again_by_one() {
    let mut stage = stage(Batch::default());
    stage.service.says(PushOutcome::Transient { why: "503".to_owned(), retry_after_ms: None });
    for wake in 1..=4 {
        assert!(stage.queue.put(push(wake, "call")));
        let (told, outcome) = stage.outcome().await;
        let PushOutcome::Transient { why, retry_after_ms } = outcome else { panic!("transient") };
        let open = why.starts_with("the circuit is open after 3 failures in a row: 503");
        assert_eq!((told, open), (wake, wake == 4), "{why}");
        assert_eq!(retry_after_ms, (wake == 4).then_some(5_000));
    }
    assert_eq!(stage.service.asked().len(), 3, "the fourth was not sent");
    // One whose life ends before is not told to wait beyond it.
    assert!(stage.queue.put(PushRequest { deadline_us: 4_000_000, ..push(5, "call") }));
    let (_, outcome) = stage.outcome().await;
    assert!(matches!(outcome, PushOutcome::Transient { retry_after_ms: None, .. }));
    stage.set(5);
    stage.service.says(PushOutcome::Accepted);
    assert!(stage.queue.put(push(6, "call")));
    assert_eq!(stage.outcome().await, (6, PushOutcome::Accepted));
    assert!(stage.world.circuits.troubled(5_000_000).is_empty(), "it is back");
    assert_eq!(stage.service.asked().len(), 4);
}

#[tokio::test]
async fn a_push_that_had_no_time_says_nothing_of_its_service() {
    let mut stage = stage(Batch::default());
    stage
        .service
        .says(PushOutcome::Transient { why: "no answer".to_owned(), retry_after_ms: None });
    for (wake, deadline_us) in [(1, 999_999), (2, 1), (3, 999_999), (4, 1_000_000), (5, 9_000_000)]
    {
        assert!(stage.queue.put(PushRequest { deadline_us, ..push(wake, "call") }));
        stage.outcome().await;
    }
    assert!(stage.world.circuits.troubled(0).is_empty(), "two are not three");
    assert!(stage.queue.put(push(6, "call")));
    stage.outcome().await;
    assert_eq!(stage.world.circuits.troubled(0).len(), 1);
}

#[tokio::test]
async fn each_push_of_a_batch_has_its_own_outcome_and_none_waits_for_ever() {
    let mut stage = stage(Batch { size: 3, linger_us: 20_000 });
    stage.service.says(PushOutcome::Accepted);
    for wake in 1..=4 {
        assert!(stage.queue.put(push(wake, "message")));
    }
    for wanted in [
        (1, PushOutcome::Accepted),
        (2, PushOutcome::refused("410 1".to_owned())),
        (3, PushOutcome::refused("410 2".to_owned())),
    ] {
        assert_eq!(stage.outcome().await, wanted);
    }
    stage.settle().await;
    assert_eq!(stage.service.asked(), [[1, 2, 3]], "the fourth waits for others");
    stage.set(1);
    assert_eq!(stage.outcome().await, (4, PushOutcome::Accepted));
    let sent = stage.recorder.events();
    let sent = sent.iter().filter(|event| event.kind == Kind::PushSent);
    assert_eq!(sent.count(), 4, "each push is recorded");
}

#[tokio::test]
async fn what_waits_when_the_way_is_replaced_still_leaves() {
    let mut stage = stage(Batch { size: 9, linger_us: 1_000_000 });
    stage.service.says(PushOutcome::Accepted);
    assert!(stage.queue.put(push(1, "message")));
    stage.settle().await;
    assert!(stage.service.asked().is_empty());
    let other = Queue::stuck(&stage.world);
    drop(std::mem::replace(&mut stage.queue, other));
    assert_eq!(stage.outcome().await, (1, PushOutcome::Accepted));
}
