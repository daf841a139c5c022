//! The way of a push from the loop to its provider, and of what came of it back to the loop.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reveille_gateway_core::io::{Input, PushOutcome, PushRequest};
use reveille_host::within;
use reveille_trace::{Draft, Kind};
use tokio::sync::Notify;

use super::circuit::{Pass, Way};
use super::lanes::{Account, Class, Lanes, Next};
use super::{Push, carried};
use crate::metrics::outcome_label;
use crate::world::{Event, World};

/// A service that did not take a push in this time, in microseconds, is to blame for it itself.
const LONG_US: u64 = 1_000_000;

/// How long a provider has that is given less for once.
const SHORT: Duration = Duration::from_secs(2);

/// The loop's end of the way to one provider. Dropped, what waits still leaves.
pub(crate) struct Queue(Arc<Counter>);

/// Where pushes wait and places are counted, with a bell for whoever serves.
struct Counter {
    name: &'static str,
    world: World,
    lanes: Mutex<Lanes>,
    bell: Notify,
}

/// A place among the requests under way; given back when dropped.
struct Place {
    counter: Arc<Counter>,
    class: Class,
}

/// One provider.
struct Desk {
    counter: Arc<Counter>,
    plugin: Arc<dyn Push>,
}

impl Queue {
    /// Starts a provider with so many places for these applications.
    pub(super) fn start(
        world: &World,
        name: &'static str,
        plugin: Arc<dyn Push>,
        (places, accounts): (usize, Vec<Account>),
    ) -> Self {
        let queue = Self::new(world, name, (places, accounts));
        let desk = Desk { counter: Arc::clone(&queue.0), plugin };
        world.host.tasks.spawn("push", Box::pin(desk.serve()));
        queue
    }

    fn new(world: &World, name: &'static str, all: (usize, Vec<Account>)) -> Self {
        let lanes = Mutex::new(Lanes::new(all.0, all.1));
        Self(Arc::new(Counter { name, world: world.clone(), lanes, bell: Notify::new() }))
    }

    /// A way that nobody serves.
    #[cfg(test)]
    pub(crate) fn stuck(world: &World) -> Self {
        Self::new(world, "webhook", (2, Vec::new()))
    }

    /// Takes a push. False: as many of its class wait as may.
    pub(crate) fn put(&self, request: PushRequest) -> bool {
        let class = Class::of(&request.payload.event);
        let now_us = self.0.world.now().mono_us;
        let taken = self.0.with(|lanes| lanes.put(request, now_us)).is_ok();
        if taken {
            self.0.world.metrics.push_waits(self.0.name, class);
            self.0.bell.notify_one();
        }
        taken
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.with(Lanes::close);
        self.0.bell.notify_one();
    }
}

impl Counter {
    fn with<T>(&self, act: impl FnOnce(&mut Lanes) -> T) -> T {
        act(&mut self.lanes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counter.with(|lanes| lanes.done(self.class));
        self.counter.bell.notify_one();
    }
}

impl Desk {
    async fn serve(self) {
        let desk = Arc::new(self);
        let Counter { world, bell, name, .. } = &*desk.counter;
        loop {
            let now_us = world.now().mono_us;
            match desk.counter.with(|lanes| lanes.next(now_us)) {
                Next::Push(class, batch) => {
                    world.metrics.push_leaves(name, class, batch.len());
                    let place = Place { counter: Arc::clone(&desk.counter), class };
                    let desk = Arc::clone(&desk);
                    let task = async move {
                        desk.attempt(batch).await;
                        drop(place);
                    };
                    world.host.tasks.spawn("push-attempt", Box::pin(task));
                }
                Next::At(at_us) => {
                    let left = Duration::from_micros(at_us.saturating_sub(now_us));
                    // Time is up, or something changed: either way it looks again.
                    let _rung: Option<()> = within(&*world.host.clock, left, bell.notified()).await;
                }
                Next::Later => bell.notified().await,
                Next::End => return,
            }
        }
    }

    /// One attempt of each push of a batch, recorded from both ends.
    async fn attempt(&self, batch: Vec<PushRequest>) {
        let world = &self.counter.world;
        let now_us = world.now().mono_us;
        let (late, batch): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|request| now_us >= request.deadline_us);
        for request in &late {
            let why = "its time ran out before a place to send it was free".to_owned();
            self.unsent(request, PushOutcome::Transient { why, retry_after_ms: None }).await;
        }
        let Some(first) = batch.first() else { return };
        let pass = match world.circuits.enter(self.way(first), now_us) {
            Ok(pass) => pass,
            Err(outcome) => {
                for request in &batch {
                    self.unsent(request, in_time(&outcome, request, now_us)).await;
                }
                return;
            }
        };
        let outcomes = self.send(&batch).await;
        if is_telling(&batch, &outcomes, now_us) {
            self.settle(pass, first, &outcomes);
        }
        for (request, outcome) in batch.iter().zip(outcomes) {
            self.told(request, outcome).await;
        }
    }

    /// Sends a batch, and times it.
    async fn send(&self, batch: &[PushRequest]) -> Vec<PushOutcome> {
        let Counter { world, name, .. } = &*self.counter;
        let body = |request| carried::body(world, name, &*self.plugin, request);
        let bodies: Vec<_> = batch.iter().map(body).collect();
        for (request, body) in batch.iter().zip(&bodies) {
            note_sent(world, name, request, body);
        }
        let begun_us = world.now().mono_us;
        let outcomes = self.answers(batch, bodies).await;
        assert_eq!(outcomes.len(), batch.len(), "each push has its own outcome");
        world.metrics.push_took(world.now().mono_us.saturating_sub(begun_us));
        outcomes
    }

    /// What came of a batch, in the provider's own time or for once in less.
    async fn answers(&self, batch: &[PushRequest], bodies: Vec<Vec<u8>>) -> Vec<PushOutcome> {
        let world = &self.counter.world;
        let work = self.plugin.send_all(batch, bodies);
        if !whim!(world, ShortPushLimit) {
            return work.await;
        }
        let none = || PushOutcome::Transient { why: "no answer".to_owned(), retry_after_ms: None };
        let answers = within(&*world.host.clock, SHORT, work).await;
        answers.unwrap_or_else(|| batch.iter().map(|_| none()).collect())
    }

    fn way(&self, request: &PushRequest) -> Way {
        let app = self.counter.with(|lanes| lanes.app(request));
        Way { provider: self.counter.name, app, service: self.plugin.service(request) }
    }

    /// A batch shows that its service is there if one of it does.
    fn settle(&self, pass: Pass, first: &PushRequest, outcomes: &[PushOutcome]) {
        let world = &self.counter.world;
        let is_passing = |outcome: &&PushOutcome| matches!(outcome, PushOutcome::Transient { .. });
        let sign = outcomes.iter().find(|outcome| !is_passing(outcome)).or(outcomes.first());
        let Some(sign) = sign else { return };
        if world.circuits.settle(pass, sign, world.now().mono_us) {
            let (provider, application) = (self.counter.name, &first.application);
            tracing::error!(provider, application, ?sign, "push: the circuit opens");
            world.metrics.circuit_opened(application, provider);
        }
    }

    /// Tells of a push that did not leave.
    async fn unsent(&self, request: &PushRequest, outcome: PushOutcome) {
        let Counter { world, name, .. } = &*self.counter;
        let id = request.id;
        let why = why(&outcome);
        tracing::warn!(wake = id.wake, attempt = id.attempt, provider = name, why, "push not sent");
        world.metrics.pushed(&request.application, name, &outcome);
        // False only once the loop is gone.
        let _told: bool = world.tell(Event::Input(Input::Pushed { push: id, outcome })).await;
    }

    /// Tells of a push that left.
    async fn told(&self, request: &PushRequest, outcome: PushOutcome) {
        let Counter { world, name, .. } = &*self.counter;
        let id = request.id;
        world.metrics.pushed(&request.application, name, &outcome);
        let (word, why) = (outcome_label(&outcome), why(&outcome));
        if matches!(outcome, PushOutcome::Failed { .. }) {
            let application = &request.application;
            tracing::error!(provider = name, application, why, "push: mend this");
        }
        tracing::info!(
            wake = id.wake,
            attempt = id.attempt,
            provider = name,
            outcome = word,
            why,
            "push"
        );
        world.note(|| {
            let draft = Draft::new(Kind::PushOutcome).with("wake", id.wake);
            let draft = draft.with("attempt", id.attempt).with("outcome", word).with("why", why);
            of_call(request, draft)
        });
        // False only once the loop is gone.
        let _told: bool = world.tell(Event::Input(Input::Pushed { push: id, outcome })).await;
    }
}

/// False of failures for which the pushes' own lives may have been too short: they say nothing of the
/// service.
fn is_telling(batch: &[PushRequest], outcomes: &[PushOutcome], begun_us: u64) -> bool {
    let is_long = |request: &PushRequest| request.deadline_us >= begun_us + LONG_US;
    let is_passing = |outcome: &PushOutcome| matches!(outcome, PushOutcome::Transient { .. });
    batch.iter().all(is_long) || !outcomes.iter().all(is_passing)
}

/// The wait that is asked for, if the push would still be of use after it: else the core's own times
/// hold.
fn in_time(outcome: &PushOutcome, request: &PushRequest, now_us: u64) -> PushOutcome {
    let left_us = request.deadline_us.saturating_sub(now_us);
    match outcome {
        PushOutcome::Transient { why, retry_after_ms: Some(ms) } if ms * 1_000 >= left_us => {
            PushOutcome::Transient { why: why.clone(), retry_after_ms: None }
        }
        outcome => outcome.clone(),
    }
}

fn why(outcome: &PushOutcome) -> &str {
    match outcome {
        PushOutcome::Accepted => "",
        PushOutcome::Refused { why, .. }
        | PushOutcome::Failed { why }
        | PushOutcome::Transient { why, .. } => why,
    }
}

fn of_call(request: &PushRequest, draft: Draft) -> Draft {
    match &request.payload.call_id {
        Some(call) => draft.corr(call.as_str()),
        None => draft,
    }
}

fn note_sent(world: &World, name: &str, request: &PushRequest, body: &[u8]) {
    let id = request.id;
    // A hop is passed once; what follows a failure is a retry.
    if id.attempt == 1 {
        let place = format!("driver/push/{name}");
        let draft = || Draft::new(Kind::Hop).with("hop", 8u8).with("where", place);
        world.note(|| of_call(request, draft()));
    }
    world.note(|| {
        let draft = Draft::new(Kind::PushSent).raw(body.to_vec()).with("provider", name);
        of_call(request, draft.with("wake", id.wake).with("attempt", id.attempt))
    });
}
