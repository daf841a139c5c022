//! The provider `webhook`: JSON over HTTP/2 with prior knowledge (RFC 9113 section 3.3), one kept
//! connection for each push service.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Method, Request, Response, Uri, body::Incoming};
use hyper_util::rt::TokioIo;
use reveille_gateway_core::io::{PushOutcome, PushRequest};
use reveille_host::{BoxFuture, Host, Tasks, within};
use reveille_wire::push::{self as wire, WakePayload};

use super::{Application, Push, PushSettings};

/// Where hop 8 of a call for a sleeping app happens.
pub(super) const PLACE: &str = "driver/push/webhook";
/// Longest answer that is read.
const MOST_ANSWER: usize = 4_096;

type Sender = SendRequest<Full<Bytes>>;

/// Makes the provider.
pub(super) fn make(host: &Host, settings: &PushSettings) -> Arc<dyn Push> {
    Arc::new(Webhook { host: host.clone(), settings: settings.clone(), kept: Mutex::default() })
}

struct Webhook {
    host: Host,
    settings: PushSettings,
    /// Live connections by `host:port`.
    kept: Mutex<BTreeMap<String, Sender>>,
}

impl Push for Webhook {
    fn body(&self, request: &PushRequest) -> Vec<u8> {
        // The payload's own writer bounds what a caller can make long.
        let bounded = WakePayload::from_json(request.payload.to_json().as_bytes());
        let body = wire::PushRequest {
            session_id: request.session.0.clone(),
            application: request.application.clone(),
            token: request.token.clone(),
            payload: bounded.unwrap_or_else(|_| request.payload.clone()),
        };
        serde_json::to_vec(&body).expect("a request is plain data with text keys")
    }

    fn send<'a>(&'a self, request: &'a PushRequest, body: Vec<u8>) -> BoxFuture<'a, PushOutcome> {
        Box::pin(async move {
            match self.attempt(request, body).await {
                Ok(outcome) => outcome,
                Err(Fault::Hopeless(why)) => PushOutcome::Refused { why },
                Err(Fault::Passing(why)) => PushOutcome::Transient { why, retry_after_ms: None },
            }
        })
    }
}

/// Why there is no answer to classify.
enum Fault {
    Hopeless(String),
    Passing(String),
}

impl Webhook {
    async fn attempt(&self, request: &PushRequest, body: Vec<u8>) -> Result<PushOutcome, Fault> {
        let application = self.application(&request.application).ok_or_else(|| {
            Fault::Hopeless(format!("no application `{}` is configured", request.application))
        })?;
        let (place, post) = post(application, body).map_err(Fault::Hopeless)?;
        let mut sender = self.connected(&place).await?;
        let work = async {
            let response = sender.send_request(post).await.map_err(|error| error.to_string())?;
            let (head, body) = response.into_parts();
            Ok::<_, String>(Response::from_parts(head, read_answer(body).await))
        };
        match within(&*self.host.clock, self.settings.request_limit, work).await {
            Some(Ok(response)) => Ok(classify(&response)),
            Some(Err(why)) => {
                self.forget(&place);
                Err(Fault::Passing(format!("the connection broke: {why}")))
            }
            None => {
                // A connection that answers nothing may be a dead path: the next attempt dials.
                self.forget(&place);
                Err(Fault::Passing("no answer in time".to_owned()))
            }
        }
    }

    fn application(&self, id: &str) -> Option<&Application> {
        let own = || self.settings.applications.iter().filter(|app| app.provider == "webhook");
        own().find(|app| app.id == id).or_else(|| own().find(|app| app.app == id))
    }

    /// The kept connection, or a new one.
    async fn connected(&self, place: &str) -> Result<Sender, Fault> {
        let kept = self.kept(|kept| kept.get(place).filter(|sender| !sender.is_closed()).cloned());
        if let Some(sender) = kept {
            return Ok(sender);
        }
        let work = async {
            let stream = self.host.net.dial(place).await.map_err(|error| error.to_string())?;
            let exec = Executor(Arc::clone(&self.host.tasks));
            handshake(exec, TokioIo::new(stream)).await.map_err(|error| error.to_string())
        };
        let made = within(&*self.host.clock, self.settings.connect_limit, work).await;
        let (sender, connection) = match made {
            Some(Ok(made)) => made,
            Some(Err(why)) => return Err(Fault::Passing(format!("no connection: {why}"))),
            None => return Err(Fault::Passing("no connection in time".to_owned())),
        };
        let driven = async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a push service ended");
            }
        };
        self.host.tasks.spawn("push-connection", Box::pin(driven));
        self.kept(|kept| kept.insert(place.to_owned(), sender.clone()));
        Ok(sender)
    }

    fn forget(&self, place: &str) {
        self.kept(|kept| kept.remove(place));
    }

    fn kept<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Sender>) -> T) -> T {
        act(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where to send the request, and the request.
fn post(
    application: &Application,
    body: Vec<u8>,
) -> Result<(String, Request<Full<Bytes>>), String> {
    let url = &application.url;
    let uri: Uri = url.parse().map_err(|error| format!("`{url}` is no URL: {error}"))?;
    let host = uri.host().ok_or_else(|| format!("`{url}` names no host"))?;
    let place = format!("{host}:{}", uri.port_u16().unwrap_or(80));
    let mut post =
        Request::builder().method(Method::POST).uri(uri).header("content-type", "application/json");
    if let Some(credential) = &application.credential {
        post = post.header("authorization", format!("Bearer {}", credential.0));
    }
    // The URL was read; only the credential can still be wrong, and it must not be shown.
    let post = post.body(Full::new(Bytes::from(body)));
    post.map(|post| (place, post)).map_err(|_| "the credential is no header value".to_owned())
}

/// The beginning of the answer, as text fit for a log.
async fn read_answer(body: Incoming) -> String {
    let Ok(read) = Limited::new(body, MOST_ANSWER).collect().await else { return String::new() };
    let text = String::from_utf8_lossy(&read.to_bytes()).trim().to_owned();
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// What an answer means for the device.
fn classify(response: &Response<String>) -> PushOutcome {
    let status = response.status();
    let why = match response.body().as_str() {
        "" => status.to_string(),
        said => format!("{status}: {said}"),
    };
    match status.as_u16() {
        200..300 => PushOutcome::Accepted,
        408 | 425 | 429 | 500.. => {
            let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
            let seconds: Option<u64> = asked.and_then(|value| value.trim().parse().ok());
            let retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
            PushOutcome::Transient { why, retry_after_ms }
        }
        _ => PushOutcome::Refused { why },
    }
}

/// Hyper's tasks run where all others do.
#[derive(Clone)]
struct Executor(Arc<dyn Tasks>);

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        let task = async move {
            future.await;
        };
        self.0.spawn("push-http2", Box::pin(task));
    }
}
