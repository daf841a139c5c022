//! Push plugins: what wakes a device. A provider is one file and one entry in [`PROVIDERS`].

pub mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reveille_gateway_core::config::Secret;
use reveille_gateway_core::io::{Input, PushOutcome, PushRequest};
use reveille_host::{BoxFuture, Host};
use reveille_trace::{Draft, Kind};
use tokio::sync::{Semaphore, mpsc};

use crate::world::{Event, World};

/// Requests that may wait for one provider.
const PUSH_QUEUE: usize = 1_024;

/// An application that can be woken.
#[derive(Debug, Clone)]
pub struct Application {
    /// The last segment of the WebSocket path.
    pub app: String,
    /// An entry of [`PROVIDERS`].
    pub provider: String,
    /// Identifying information of the application at the push service.
    pub id: String,
    /// Where the push service is.
    pub url: String,
    /// Shown to the push service as a bearer token, if there is one.
    pub credential: Option<Secret>,
}

/// How pushes are sent.
#[derive(Debug, Clone)]
pub struct PushSettings {
    /// How long connecting may take.
    pub connect_limit: Duration,
    /// How long a request may take.
    pub request_limit: Duration,
    /// Requests under way at once, for each provider.
    pub most_in_flight: usize,
    /// Every application.
    pub applications: Vec<Application>,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self {
            connect_limit: Duration::from_secs(3),
            request_limit: Duration::from_secs(5),
            most_in_flight: 64,
            applications: Vec::new(),
        }
    }
}

/// Reaches one push service.
pub trait Push: Send + Sync {
    /// The body that asks for this wake.
    fn body(&self, request: &PushRequest) -> Vec<u8>;
    /// Sends it, within the limits of the settings, and says what came of it.
    fn send<'a>(&'a self, request: &'a PushRequest, body: Vec<u8>) -> BoxFuture<'a, PushOutcome>;
}

/// Makes a provider.
pub type Make = fn(&Host, &PushSettings) -> Arc<dyn Push>;

/// Every provider.
pub const PROVIDERS: &[(&str, Make)] = &[("webhook", webhook::make)];

/// Starts every provider that an application uses; the queues to them, by name.
pub(crate) fn start(
    world: &World,
    settings: &PushSettings,
) -> BTreeMap<String, mpsc::Sender<PushRequest>> {
    let used = |name: &str| settings.applications.iter().any(|app| app.provider == name);
    let mut queues = BTreeMap::new();
    for (name, make) in PROVIDERS.iter().filter(|(name, _)| used(name)) {
        let (queue, queued) = mpsc::channel(PUSH_QUEUE);
        let plugin = make(&world.host, settings);
        let task = run(world.clone(), name, plugin, queued, settings.most_in_flight);
        world.host.tasks.spawn("push", Box::pin(task));
        queues.insert((*name).to_owned(), queue);
    }
    queues
}

async fn run(
    world: World,
    name: &'static str,
    plugin: Arc<dyn Push>,
    mut queued: mpsc::Receiver<PushRequest>,
    most_in_flight: usize,
) {
    let places = Arc::new(Semaphore::new(most_in_flight));
    while let Some(request) = queued.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (world_of_one, plugin) = (world.clone(), Arc::clone(&plugin));
        let task = async move {
            attempt(&world_of_one, name, &*plugin, &request).await;
            drop(place);
        };
        world.host.tasks.spawn("push-attempt", Box::pin(task));
    }
}

/// One attempt, recorded from both ends.
async fn attempt(world: &World, name: &'static str, plugin: &dyn Push, request: &PushRequest) {
    let id = request.id;
    let body = plugin.body(request);
    let call = request.payload.call_id.clone();
    let of_call = |draft: Draft| match &call {
        Some(call) => draft.corr(call.as_str()),
        None => draft,
    };
    // A hop is passed once; what follows a failure is a retry.
    if id.attempt == 1 {
        world
            .note(|| of_call(Draft::new(Kind::Hop).with("hop", 8u8).with("where", webhook::PLACE)));
    }
    world.note(|| {
        let draft = Draft::new(Kind::PushSent).raw(body.clone()).with("provider", name);
        of_call(draft.with("wake", id.wake).with("attempt", id.attempt))
    });
    let outcome = plugin.send(request, body).await;
    let (word, why) = match &outcome {
        PushOutcome::Accepted => ("accepted", ""),
        PushOutcome::Refused { why } => ("refused", why.as_str()),
        PushOutcome::Transient { why, .. } => ("transient", why.as_str()),
    };
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
        of_call(draft.with("attempt", id.attempt).with("outcome", word).with("why", why))
    });
    // False only once the loop is gone.
    let _told: bool = world.tell(Event::Input(Input::Pushed { push: id, outcome })).await;
}
