//! Push plugins: what wakes a device. A provider is one file and one entry in [`PROVIDERS`].

mod answer;
mod apns;
mod application;
mod carried;
mod fcm;
mod http2;
mod keys;
mod public;
#[cfg(test)]
pub(crate) mod test_keys;
mod tls;
mod webhook;
mod webpush;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reveille_gateway_core::io::{Input, PushOutcome, PushRequest};
use reveille_host::{BoxFuture, Host};
use reveille_trace::{Draft, Kind};
use tokio::sync::{Semaphore, mpsc};

pub use application::{Apple, Application, Lack, PushType, Web};
use application::{Roster, lack_of_ca, lack_of_url};

pub(crate) use tls::host_time;

use crate::metrics::outcome_label;
use crate::world::{Event, World};

/// Requests that may wait for one provider.
const PUSH_QUEUE: usize = 1_024;

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

/// What the table knows of a provider.
#[derive(Debug, Clone, Copy)]
pub struct Provider {
    /// Makes it. An application with a lack is refused each push, and says why.
    pub make: fn(&Host, &PushSettings) -> Arc<dyn Push>,
    /// Everything that an application lacks to be woken by it.
    pub lacks: fn(&Application) -> Vec<Lack>,
}

/// Every provider.
pub const PROVIDERS: &[(&str, Provider)] = &[
    ("apns", Provider { make: apns::make, lacks: apns::lacks }),
    ("fcm", Provider { make: fcm::make, lacks: fcm::lacks }),
    ("webhook", Provider { make: webhook::make, lacks: webhook::lacks }),
    ("webpush", Provider { make: webpush::make, lacks: webpush::lacks }),
];

/// Starts every provider that an application uses; the queues to them, by name.
pub(crate) fn start(
    world: &World,
    settings: &PushSettings,
) -> BTreeMap<String, mpsc::Sender<PushRequest>> {
    let used = |name: &str| settings.applications.iter().any(|app| app.provider == name);
    let mut queues = BTreeMap::new();
    for (name, provider) in PROVIDERS.iter().filter(|(name, _)| used(name)) {
        let (queue, queued) = mpsc::channel(PUSH_QUEUE);
        let plugin = (provider.make)(&world.host, settings);
        let task = run(world.clone(), name, plugin, queued, settings.most_in_flight);
        world.host.tasks.spawn("push", Box::pin(task));
        queues.insert((*name).to_owned(), queue);
    }
    queues
}

/// Names the call, or the session and what happened if it is none, in 32 characters of base64url
/// that tell a push service nothing: later pushes of one call, and of any message of a session,
/// replace earlier ones, and no two calls share it.
fn mark_of(request: &PushRequest) -> String {
    let payload = &request.payload;
    let call = payload.subsession_id.as_ref().or(payload.call_id.as_ref());
    let call = call.filter(|_| payload.event == "call");
    let named = [request.session.as_str(), call.unwrap_or(&payload.event)];
    let text = named.map(|part| format!("{}:{part}", part.len())).concat();
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..24])
}

/// What is left of a request's time.
fn left_of(host: &Host, request: &PushRequest) -> Duration {
    Duration::from_micros(request.deadline_us).saturating_sub(host.clock.now().mono)
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
    if world.now().mono_us >= request.deadline_us {
        let why = "its time ran out before a place to send it was free".to_owned();
        tracing::warn!(wake = id.wake, attempt = id.attempt, provider = name, why, "push not sent");
        let outcome = PushOutcome::Transient { why, retry_after_ms: None };
        world.metrics.pushed(&request.application, name, &outcome);
        let _told: bool = world.tell(Event::Input(Input::Pushed { push: id, outcome })).await;
        return;
    }
    let body = carried::body(world, name, plugin, request);
    let call = request.payload.call_id.clone();
    let of_call = |draft: Draft| match &call {
        Some(call) => draft.corr(call.as_str()),
        None => draft,
    };
    // A hop is passed once; what follows a failure is a retry.
    if id.attempt == 1 {
        let place = format!("driver/push/{name}");
        world.note(|| of_call(Draft::new(Kind::Hop).with("hop", 8u8).with("where", place)));
    }
    world.note(|| {
        let draft = Draft::new(Kind::PushSent).raw(body.clone()).with("provider", name);
        of_call(draft.with("wake", id.wake).with("attempt", id.attempt))
    });
    let begun_us = world.now().mono_us;
    let outcome = plugin.send(request, body).await;
    world.metrics.pushed(&request.application, name, &outcome);
    world.metrics.push_took(world.now().mono_us.saturating_sub(begun_us));
    let word = outcome_label(&outcome);
    let why = match &outcome {
        PushOutcome::Accepted => "",
        PushOutcome::Refused { why, .. }
        | PushOutcome::Failed { why }
        | PushOutcome::Transient { why, .. } => why.as_str(),
    };
    if matches!(outcome, PushOutcome::Failed { .. }) {
        tracing::error!(provider = name, application = request.application, why, "push: mend this");
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
        of_call(draft.with("attempt", id.attempt).with("outcome", word).with("why", why))
    });
    // False only once the loop is gone.
    let _told: bool = world.tell(Event::Input(Input::Pushed { push: id, outcome })).await;
}

#[cfg(test)]
mod tests {
    use reveille_gateway_core::io::PushId;
    use reveille_gateway_core::record::SessionId;
    use reveille_trace::{Recorder, Scribe};
    use reveille_wire::push::WakePayload;
    use tokio::sync::watch;

    use super::*;

    struct Taking;

    impl Push for Taking {
        fn body(&self, _: &PushRequest) -> Vec<u8> {
            b"body".to_vec()
        }

        fn send<'a>(&'a self, _: &'a PushRequest, body: Vec<u8>) -> BoxFuture<'a, PushOutcome> {
            assert_eq!(body, b"body");
            Box::pin(std::future::ready(PushOutcome::Accepted))
        }
    }

    fn request(session: &str, subsession: Option<&str>) -> PushRequest {
        PushRequest {
            id: PushId { wake: 1, attempt: 1 },
            provider: "taking".to_owned(),
            session: SessionId::from(session.to_owned()),
            application: String::new(),
            token: String::new(),
            payload: WakePayload {
                session_id: session.to_owned(),
                event: "call".to_owned(),
                call_id: None,
                subsession_id: subsession.map(ToOwned::to_owned),
                initiator: None,
                target: None,
                ttl_s: None,
                incoming: None,
            },
            ttl_ms: 1,
            deadline_us: 0,
        }
    }

    #[tokio::test]
    async fn what_waited_too_long_is_not_sent() {
        let host = reveille_host::real::host();
        let (inbox, mut events) = mpsc::channel(1);
        let (_stop, stopping) = watch::channel(false);
        let recorder = Recorder::keeping();
        let scribe = Scribe::new(recorder.clone(), "gateway");
        let world = World::new(host, scribe, inbox, stopping);
        for (deadline_us, sent) in [(0, false), (u64::MAX, true)] {
            let request = PushRequest { deadline_us, ..request("s", None) };
            attempt(&world, "taking", &Taking, &request).await;
            let Some(Event::Input(Input::Pushed { outcome, .. })) = events.recv().await else {
                panic!("the loop is told");
            };
            assert_eq!(outcome == PushOutcome::Accepted, sent);
            assert_eq!(recorder.events().iter().any(|event| event.kind == Kind::PushSent), sent);
        }
    }

    #[test]
    fn a_mark_names_one_call_of_one_session() {
        let marks = [
            mark_of(&request("s", Some("u"))),
            mark_of(&request("s", Some("v"))),
            mark_of(&request("su", None)),
            mark_of(&request("s", None)),
            mark_of(&request("s", Some("ucall"))),
        ];
        for (at, mark) in marks.iter().enumerate() {
            assert_eq!(mark.len(), 32);
            assert!(!marks[..at].contains(mark), "{marks:?}");
        }
        assert_eq!(marks[0], mark_of(&request("s", Some("u"))));
        let of_message = |subsession| {
            let mut request = request("s", Some(subsession));
            request.payload.event = "message".to_owned();
            mark_of(&request)
        };
        assert_eq!(of_message("u"), of_message("v"), "a burst of messages is one notice");
        assert!(!marks.contains(&of_message("u")));
    }
}
