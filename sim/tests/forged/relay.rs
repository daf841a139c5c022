//! A stage with the push services, a relay before them that keeps what passes, and one of the
//! gateway's providers that sends a push. What was kept can be sent again, doctored.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use reveille_conformance::cast::push;
use reveille_conformance::player::Rig as _;
use reveille_conformance::stage::{Part, Stage as _};
use reveille_gateway_core::io::{PushId, PushOutcome, PushRequest};
use reveille_gateway_core::record::SessionId;
use reveille_gateway_driver::config::Settings;
use reveille_gateway_driver::push::PROVIDERS;
use reveille_host::{Host, Tasks};
use reveille_scenarios::Service;
use reveille_sim::target::{self, SimRig};
use reveille_sim::turmoil::{Options, TurmoilStage};
use reveille_trace::{Event, Kind, Recorder, Scribe, Trace};
use reveille_wire::push::WakePayload;
use tokio::sync::mpsc;

use super::forge::Captured;
use super::{SEED, first};

/// Where the push services are, behind the relay.
const SERVICES: &str = "services:9090";

/// What parts of a stage write, and the test reads.
type Shared<T> = Arc<Mutex<T>>;

/// What the push services saw of one request.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) events: Vec<Event>,
}

impl Replayed {
    /// The rule that the request breaks.
    pub(crate) fn rule(&self) -> Option<&str> {
        self.events.iter().find_map(|event| event.text("rule"))
    }
}

/// The push of a play, to be made once more.
pub(crate) struct Play {
    service: Service,
    request: PushRequest,
}

fn locked<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
struct Executor(Arc<dyn Tasks>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, future: F) {
        self.0.spawn("relay", Box::pin(future));
    }
}

/// Sends a request to the push services by a connection of its own.
async fn send(host: &Host, captured: Captured) -> Response<Incoming> {
    let stream = host.net.dial(SERVICES).await.expect("the services are there");
    let executor = Executor(Arc::clone(&host.tasks));
    let (mut sender, connection) =
        client::handshake(executor, TokioIo::new(stream)).await.expect("a handshake");
    host.tasks.spawn("relay", Box::pin(async move { drop(connection.await) }));
    let mut request = Request::post(format!("http://push:9090{}", captured.path))
        .body(Full::new(captured.body))
        .expect("a request");
    *request.headers_mut() = captured.headers;
    sender.send_request(request).await.expect("an answer")
}

/// Passes requests on, and keeps them.
async fn relay(host: Host, kept: Shared<Vec<Captured>>) -> Result<(), String> {
    let mut listener = host.net.listen("0.0.0.0:9090").await.map_err(|error| error.to_string())?;
    loop {
        let (stream, _) = listener.accept().await.map_err(|error| error.to_string())?;
        let (of, kept) = (host.clone(), Arc::clone(&kept));
        let pass = service_fn(move |request: Request<Incoming>| {
            let (host, kept) = (of.clone(), Arc::clone(&kept));
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(|body| body.to_bytes())?;
                let (path, headers) = (head.uri.path().to_owned(), head.headers);
                let captured = Captured { path, headers, body };
                locked(&kept).push(captured.clone());
                let (head, body) = send(&host, captured).await.into_parts();
                let body: Bytes = body.collect().await?.to_bytes();
                Ok::<_, hyper::Error>(Response::from_parts(head, Full::new(body)))
            }
        });
        let executor = Executor(Arc::clone(&host.tasks));
        let served = server::Builder::new(executor).serve_connection(TokioIo::new(stream), pass);
        host.tasks.spawn("relay", Box::pin(async move { drop(served.await) }));
    }
}

impl Play {
    /// The push of this trace.
    pub(crate) fn of(trace: &Trace, service: &str) -> Self {
        let received = first(trace, Kind::PushReceived);
        let body: serde_json::Value = serde_json::from_slice(received.bytes()).expect("JSON");
        let message = &body["message"]["data"];
        let payload = if message.is_null() { &body } else { message };
        let payload = WakePayload::from_json(payload.to_string().as_bytes()).expect("a payload");
        let service = Service::ALL.into_iter().find(|of| of.name() == service).expect("a service");
        let rig = target::settings(&["bob"]);
        let request = PushRequest {
            id: PushId { wake: 1, attempt: 1 },
            provider: service.name().to_owned(),
            session: SessionId::from(payload.session_id.clone()),
            application: SimRig(&rig).phone("bob", service).app_id,
            token: received.text("token").expect("a token").to_owned(),
            platform: None,
            payload,
            ttl_ms: 29_000,
            deadline_us: 0,
        };
        Self { service, request }
    }

    /// What the gateway sends for it.
    pub(crate) fn captured(&self) -> Vec<Captured> {
        let (kept, _) = self.perform(SEED, Vec::new());
        kept
    }

    /// What the push services see of these requests, each sent after the gateway's own.
    pub(crate) fn replayed(&self, requests: Vec<Captured>) -> Vec<Replayed> {
        // Another seed, or a salt of this performance's would be one of the other's.
        let (_, replayed) = self.perform(SEED + 1, requests);
        replayed
    }

    fn perform(&self, seed: u64, requests: Vec<Captured>) -> (Vec<Captured>, Vec<Replayed>) {
        let recorder = Recorder::keeping();
        let mut stage = TurmoilStage::new(seed, recorder.clone(), Options::default());
        let settings = target::settings(&["bob"]);
        stage.enter("services", services(self.service, &settings, &recorder));
        let kept: Shared<Vec<Captured>> = Arc::default();
        let own = Arc::clone(&kept);
        stage.enter("push", Arc::new(move |host| Box::pin(relay(host, Arc::clone(&own)))));
        let seen: Shared<Vec<Replayed>> = Arc::default();
        let director = self.director(settings, recorder, (Arc::clone(&kept), requests), &seen);
        stage.perform(director, Duration::from_secs(600)).expect("it is performed");
        (std::mem::take(&mut *locked(&kept)), std::mem::take(&mut *locked(&seen)))
    }

    /// Lets the gateway's provider send the push, then sends the requests one after another.
    fn director(
        &self,
        settings: Settings,
        recorder: Recorder,
        (kept, requests): (Shared<Vec<Captured>>, Vec<Captured>),
        seen: &Shared<Vec<Replayed>>,
    ) -> Part {
        let (seen, wanted) = (Arc::clone(seen), self.request.clone());
        Arc::new(move |host: Host| {
            let (settings, recorder) = (settings.clone(), recorder.clone());
            let (kept, requests) = (Arc::clone(&kept), requests.clone());
            let (seen, wanted) = (Arc::clone(&seen), wanted.clone());
            Box::pin(async move {
                let (_, provider) =
                    PROVIDERS.iter().find(|(name, _)| *name == wanted.provider).expect("an entry");
                let plugin = (provider.make)(&host, &settings.push);
                let ends = host.clock.now().mono + Duration::from_millis(wanted.ttl_ms);
                let deadline_us = u64::try_from(ends.as_micros()).expect("a time");
                let request = PushRequest { deadline_us, ..wanted };
                let outcome = plugin.send(&request, plugin.body(&request)).await;
                assert_eq!(outcome, PushOutcome::Accepted);
                for request in requests {
                    let request = with_bearer(request, &locked(&kept));
                    let before = recorder.events().len();
                    drop(send(&host, request).await);
                    let events = recorder.events().split_off(before);
                    locked(&seen).push(Replayed { events });
                }
                Ok(())
            })
        })
    }
}

/// A request of FCM with the bearer of this performance, if it has any: each draws its own.
fn with_bearer(mut request: Captured, kept: &[Captured]) -> Captured {
    let fresh = kept.iter().find(|own| own.path == request.path);
    let bearer = fresh.and_then(|own| own.headers.get("authorization"));
    let is_bearer = |value: &hyper::header::HeaderValue| value.as_bytes().starts_with(b"Bearer ");
    let own = request.headers.get_mut("authorization").filter(|value| is_bearer(value));
    if let (Some(own), Some(bearer)) = (own, bearer) {
        own.clone_from(bearer);
    }
    request
}

/// The push services, which know bob's phone and forgive another provider token.
fn services(service: Service, settings: &Settings, recorder: &Recorder) -> Part {
    let mut own = SimRig(settings).push(&[("bob", service)]);
    if let Some(apns) = &mut own.apns {
        apns.renew_min_s = 0;
    }
    let scribe = Scribe::new(recorder.clone(), "push");
    Arc::new(move |host| {
        let (scribe, own) = (scribe.clone(), own.clone());
        Box::pin(async move {
            let (_line, commands) = mpsc::channel(1);
            push::run(host, scribe, own, commands).await
        })
    })
}
