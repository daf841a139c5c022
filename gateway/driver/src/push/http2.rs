//! The room from which requests to push services leave: HTTP/2 (RFC 9113), one kept connection for
//! each authority, over TLS for `https` and with prior knowledge for `http`; and one more for calls.
//!
//! A service may allow few streams at once, and they share the window of their connection: on one of
//! their own, calls wait for no other push.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::header::HeaderValue;
use hyper::{Request, Uri, body::Incoming};
use hyper_util::rt::TokioIo;
use reveille_host::{BoxStream, Host, Tasks, within};
use rustls::ClientConfig;

use super::answer::Answer;
use super::proxy::{self, Proxy};
use super::{Application, Class, public, tls};

/// Longest answer that is read.
const MOST_ANSWER: usize = 16_384;
/// Connections that are kept: Web Push endpoints are chosen by clients.
const MOST_CONNECTIONS: usize = 512;
/// Connections that one request may be put on, where the service surely did not see it before.
const MOST_TRIES: usize = 3;

/// A request, ready to be repeated.
pub(super) type Post = Request<Full<Bytes>>;
type Sender = SendRequest<Full<Bytes>>;

/// A value of `authorization`: no debug output shows it, and no table of HPACK keeps it
/// (RFC 7541 section 7.1.3).
pub(super) fn authorization(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Silence {
    /// No attempt at this URL can succeed.
    Hopeless(String),
    /// Somebody on the way must be mended first; the URL is not to blame.
    Barred(String),
    /// The service, or the way to it, failed for now.
    Passing(String),
}

/// Why one try came to nothing.
enum Miss {
    /// The service surely did not process it: RFC 9113 sections 6.8 and 8.7.
    Unprocessed(String),
    Final(Silence),
}

/// Connections of one application to its push services.
pub(super) struct Room {
    host: Host,
    connect_limit: Duration,
    tls: Arc<ClientConfig>,
    proxy: Option<Proxy>,
    /// Only addresses of the public internet are dialled.
    public_only: bool,
    /// By authority, and whether for calls.
    places: Mutex<BTreeMap<(String, bool), Place>>,
}

/// One connection. Who dials holds the lock; whoever comes meanwhile waits for that connection.
type Place = Arc<tokio::sync::Mutex<Slot>>;

#[derive(Default)]
struct Slot {
    kept: Option<Sender>,
    /// Numbers the connections, so that a late failure forgets no successor.
    number: u64,
}

/// Where a URL leads.
struct Target {
    host: String,
    authority: String,
    secure: bool,
}

impl Target {
    fn of(uri: &Uri) -> Result<Self, String> {
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("the URL is neither http: nor https:".to_owned()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or("the URL names no host")?;
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { host: host.to_owned(), authority: format!("{host}:{port}"), secure })
    }
}

impl Room {
    /// An empty room for an application: it trusts its authorities (PEM), or the public ones, and goes
    /// through its proxy, if it has one.
    pub(super) fn new(
        host: &Host,
        connect_limit: Duration,
        app: &Application,
    ) -> Result<Self, String> {
        let (host, tls) = (host.clone(), tls::client(host, app.ca.as_deref())?);
        let (proxy, places) = (app.proxy.clone(), Mutex::default());
        Ok(Self { host, connect_limit, tls, proxy, public_only: false, places })
    }

    /// The same room, from which no private address is reached.
    pub(super) fn public_only(self) -> Self {
        Self { public_only: true, ..self }
    }

    /// Sends a request and reads the answer, which may take so long once there is a connection.
    /// What the service surely did not process is sent again at once on another connection.
    pub(super) async fn send(
        &self,
        class: Class,
        post: Post,
        limit: Duration,
    ) -> Result<Answer, Silence> {
        let target = Target::of(post.uri()).map_err(Silence::Hopeless)?;
        let mut last = String::new();
        for _ in 0..MOST_TRIES {
            let place = self.place(class, &target.authority);
            match self.try_once(&target, &place, post.clone(), limit).await {
                Ok(answer) => return Ok(answer),
                Err(Miss::Final(silence)) => return Err(silence),
                Err(Miss::Unprocessed(why)) => {
                    tracing::debug!(authority = target.authority, why, "a request starts anew");
                    last = why;
                }
            }
        }
        Err(Silence::Passing(format!("the connection broke: {last}")))
    }

    async fn try_once(
        &self,
        target: &Target,
        place: &Place,
        post: Post,
        limit: Duration,
    ) -> Result<Answer, Miss> {
        let passing = |why: String| Miss::Final(Silence::Passing(why));
        let connected =
            within(&*self.host.clock, self.connect_limit, self.connected(place, target));
        let (mut sender, number) = match connected.await {
            Some(made) => made.map_err(Miss::Final)?,
            None => return Err(passing("no connection in time".to_owned())),
        };
        let work = async {
            let response = sender.try_send_request(post).await.map_err(|mut failed| {
                let unsent = failed.take_message().is_some();
                told(&failed.into_error(), unsent)
            })?;
            let (head, body) = response.into_parts();
            let (status, headers) = (head.status.as_u16(), head.headers);
            let body = read(body).await;
            let is_whole = body.is_some();
            Ok(Answer { status, headers, body: body.unwrap_or_default(), is_whole })
        };
        match within(&*self.host.clock, limit, work).await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(miss)) => {
                forget(place, number).await;
                Err(miss)
            }
            None => {
                // A connection that answers nothing may be a dead path: the next attempt dials.
                forget(place, number).await;
                Err(passing("no answer in time".to_owned()))
            }
        }
    }

    fn place(&self, class: Class, authority: &str) -> Place {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (authority.to_owned(), class == Class::Call);
        if !places.contains_key(&name) && places.len() >= MOST_CONNECTIONS {
            // Requests under way keep the connection that they are on.
            places.pop_first();
        }
        Arc::clone(places.entry(name).or_default())
    }

    /// The kept connection, or a new one.
    async fn connected(&self, place: &Place, target: &Target) -> Result<(Sender, u64), Silence> {
        let mut slot = place.lock().await;
        if let Some(sender) = slot.kept.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((sender.clone(), slot.number));
        }
        let no_way = |why: String| Silence::Passing(format!("no connection: {why}"));
        let stream = self.stream(target).await?;
        let stream = if target.secure {
            tls::wrap(Arc::clone(&self.tls), &target.host, stream).await.map_err(no_way)?
        } else {
            stream
        };
        let sender = self.handshake(stream).await.map_err(|error| no_way(error.to_string()))?;
        slot.number += 1;
        slot.kept = Some(sender.clone());
        Ok((sender, slot.number))
    }

    /// The way to the service: straight, or through the proxy.
    async fn stream(&self, target: &Target) -> Result<BoxStream, Silence> {
        let no_way = |error: std::io::Error| Silence::Passing(format!("no connection: {error}"));
        let Some(proxy) = &self.proxy else {
            let at = self.address(target).await?;
            return self.host.net.dial(&at).await.map_err(no_way);
        };
        if self.public_only {
            public::judge_name(&target.host).map_err(Silence::Hopeless)?;
        }
        let stream = self.host.net.dial(&proxy.at).await.map_err(|error| {
            Silence::Passing(format!("no connection to the proxy {}: {error}", proxy.at))
        })?;
        proxy::tunnel(stream, proxy, &target.authority).await
    }

    /// What to dial. A name that must be public is resolved once, judged, and dialled as it was
    /// judged: a second look-up could answer otherwise.
    async fn address(&self, target: &Target) -> Result<String, Silence> {
        if !self.public_only {
            return Ok(target.authority.clone());
        }
        let found = self.host.net.resolve(&target.authority).await;
        let found = found.map_err(|error| Silence::Passing(format!("no address: {error}")))?;
        if public::is_public(found.ip()) {
            Ok(found.to_string())
        } else {
            Err(Silence::Hopeless(format!("{} is no address of the internet", found.ip())))
        }
    }

    async fn handshake(&self, stream: BoxStream) -> Result<Sender, hyper::Error> {
        let exec = Executor(Arc::clone(&self.host.tasks));
        let mut builder = Builder::new(exec);
        // One stream until SETTINGS say how many: Apple allows no more before the first push.
        builder.initial_max_send_streams(1);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let driven = async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a push service ended");
            }
        };
        self.host.tasks.spawn("push-connection", Box::pin(driven));
        Ok(sender)
    }

    /// Lets go of the connection to this URL's service: the next request looks it up anew.
    pub(super) async fn renew(&self, class: Class, uri: &Uri) {
        if let Ok(target) = Target::of(uri) {
            self.place(class, &target.authority).lock().await.kept = None;
        }
    }
}

async fn forget(place: &Place, number: u64) {
    let mut slot = place.lock().await;
    if slot.number == number {
        slot.kept = None;
    }
}

/// Streams above the last id of a GOAWAY, refused streams, and what never left were not processed.
/// Any other broken stream may have been.
fn told(error: &hyper::Error, unsent: bool) -> Miss {
    let cause = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    let refused = cause.is_some_and(|cause| {
        let refused = cause.is_reset() && cause.reason() == Some(h2::Reason::REFUSED_STREAM);
        cause.is_remote() && (cause.is_go_away() || refused)
    });
    let why = cause.map_or_else(|| error.to_string(), ToString::to_string);
    if unsent || refused {
        Miss::Unprocessed(why)
    } else {
        Miss::Final(Silence::Passing(format!("the connection broke: {why}")))
    }
}

/// The text of the answer; `None` if it is too long or breaks off.
async fn read(body: Incoming) -> Option<String> {
    let read = Limited::new(body, MOST_ANSWER).collect().await.ok()?;
    Some(String::from_utf8_lossy(&read.to_bytes()).into_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_is_shown_nowhere() {
        let value = authorization("Bearer sesame").expect("a value");
        assert_eq!(value.as_bytes(), b"Bearer sesame");
        let post = Request::builder().header("authorization", value).body(()).expect("a request");
        assert!(!format!("{post:?}").contains("sesame"), "{post:?}");
        assert!(authorization("Bearer\n").is_none());
    }
}
