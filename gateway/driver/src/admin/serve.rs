//! The operator's port: from an accepted connection to the answer of its one request, whose body
//! nobody reads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use reveille_gateway_core::config::Secret;
use reveille_gateway_core::survey::{Page as Survey, State};
use reveille_host::{BoxStream, Listener, within};
use serde::Serialize;
use serde_json::json;

use super::operator::{Access, Refused};
use super::problem::{Answer, Problem, answer, json};
use super::query::{self, Query};
use super::routes::{self, Page};
use super::{Ask, Inside, list, view};
use crate::door::{Door, Pass};
use crate::http::is_same;
use crate::linger::linger;
use crate::metrics::{CONTENT_TYPE, Sight};

/// What can be asked, for machines.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// How long a connection may take, from accept to end.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest head of a request, and the most fields in it.
const MOST_HEAD: usize = 16 * 1_024;
const MOST_FIELDS: usize = 64;
/// Pause after a failed accept, such as for want of file descriptors.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the gateway ends.
pub(crate) async fn accept(inside: Arc<Inside>, mut listener: Box<dyn Listener>, door: Door) {
    let world = inside.world.clone();
    loop {
        let Some(got) = world.unless_stopped(listener.accept()).await else { return };
        let (stream, source) = match got {
            Ok(got) => got,
            Err(error) => {
                tracing::warn!(%error, "accept failed at the operator's port");
                world.host.sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        let Some(pass) = door.enter(source.ip()) else {
            world.metrics.connection_refused("admin");
            continue;
        };
        let task = connection(Arc::clone(&inside), stream, source, pass);
        world.host.tasks.spawn("admin", Box::pin(task));
    }
}

async fn connection(inside: Arc<Inside>, stream: BoxStream, source: SocketAddr, _pass: Pass) {
    let access = inside.access.get();
    let work = async {
        let mut stream = private(&access, stream).await?;
        let service = service_fn(|request| {
            let (inside, access) = (Arc::clone(&inside), Arc::clone(&access));
            async move { Ok::<_, std::convert::Infallible>(serve(&inside, &access, &request).await) }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.keep_alive(false).max_buf_size(MOST_HEAD).max_headers(MOST_FIELDS);
        builder.header_read_timeout(None);
        let served = builder.serve_connection(TokioIo::new(&mut stream), service).await;
        if served.is_err() {
            linger(&inside.world, &mut stream).await;
        }
        served.map_err(|error| error.to_string())
    };
    let clock = &inside.world.host.clock;
    match inside.world.unless_stopped(within(&**clock, LIMIT, work)).await {
        Some(Some(Err(why))) => tracing::debug!(%source, why, "the operator's connection broke"),
        Some(None) => tracing::info!(%source, "the operator's connection took too long"),
        Some(Some(Ok(()))) | None => {}
    }
}

async fn private(access: &Access, stream: BoxStream) -> Result<BoxStream, String> {
    match &access.acceptor {
        None => Ok(stream),
        Some(acceptor) => {
            let accepted = acceptor.accept(stream).await;
            accepted.map(|it| Box::new(it) as BoxStream).map_err(|error| error.to_string())
        }
    }
}

async fn serve(inside: &Inside, access: &Access, request: &Request<Incoming>) -> Answer {
    let (method, path) = (request.method(), request.uri().path());
    let found = routes::find(method, path);
    let route = found.as_ref().map_or("none", |(_, route, _)| route);
    let done = match found {
        Ok((page, _, id)) => match admit(access, page, request.headers()) {
            Ok(()) => show(inside, page, id, request.uri().query()).await,
            Err(problem) => Err(problem),
        },
        // Who may not get in is not told what there is.
        Err(problem) => {
            Err(admit(access, Page::OpenApi, request.headers()).err().unwrap_or(problem))
        }
    };
    let answer = done.unwrap_or_else(Problem::into_answer);
    tracing::debug!(%method, route, status = answer.status().as_u16(), "operator");
    answer
}

/// Who shows the token gets in. Where there is none only this machine reaches the port, but so do
/// the web pages that its browsers show: those name an origin, or a host that is none of ours.
fn admit(access: &Access, page: Page, headers: &HeaderMap) -> Result<(), Problem> {
    if page.is_open() {
        return Ok(());
    }
    let Some(Secret(token)) = &access.token else { return admit_local(headers) };
    let shown = headers.get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    let (scheme, shown) = shown.split_at(shown.len().min(7));
    if scheme.eq_ignore_ascii_case(b"Bearer ") && is_same(shown, token.as_bytes()) {
        return Ok(());
    }
    let what = "Authorization must be `Bearer` and the token of [admin] in the configuration";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, what);
    Err(problem.with_header("www-authenticate", "Bearer realm=\"reveille\""))
}

fn admit_local(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_ours = name == "localhost"
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if headers.contains_key(ORIGIN) || !is_ours {
        let what = "without a token only programs of this machine are let in, by the address of \
            the port and without Origin; write a token under [admin]";
        return Err(Problem::new(StatusCode::FORBIDDEN, what));
    }
    Ok(())
}

async fn show(
    inside: &Inside,
    page: Page,
    id: &str,
    query: Option<&str>,
) -> Result<Answer, Problem> {
    let query = query::read(query, page.parameters())?;
    let now_s = inside.world.now().wall_us / 1_000_000;
    match page {
        Page::Health => Ok(json(StatusCode::OK, &json!({"status": "alive"}))),
        Page::Ready => ready(inside).await,
        Page::Metrics => metrics(inside).await,
        Page::OpenApi => Ok(answer(StatusCode::OK, "application/json", OPENAPI.to_owned())),
        Page::Applications => {
            Ok(json(StatusCode::OK, &view::applications(&*inside.current().await)))
        }
        Page::Providers => {
            let troubled = inside.world.circuits.troubled(inside.world.now().mono_us);
            let current = inside.current().await;
            Ok(json(StatusCode::OK, &view::providers(&current, now_s, &troubled)))
        }
        Page::Sessions => list::sessions(inside, query).await.map(|page| shown(&page)),
        Page::Sleepers => list::sessions(inside, asleep(query)).await.map(|page| shown(&page)),
        Page::Calls => list::calls(inside, query).await.map(|page| shown(&page)),
        Page::Session => session(inside, id).await,
        Page::EndSession => end(inside, id).await,
        Page::Drain => drain(inside).await,
        Page::Reload => reload(inside).await,
    }
}

fn shown<T: Serialize>(page: &Survey<T>) -> Answer {
    let body = serde_json::to_value(page).expect("a survey is plain data with text keys");
    json(StatusCode::OK, &body)
}

fn asleep(mut query: Query) -> Query {
    query.filter.state = Some(State::Hibernated);
    query
}

fn silent() -> Problem {
    Problem::unavailable("the gateway's loop has not answered for 2 s; look at its log")
}

async fn ready(inside: &Inside) -> Result<Answer, Problem> {
    let ailment = || inside.world.health.ailment(inside.world.now().mono_us);
    if let Some(why) = ailment() {
        return Err(Problem::unavailable(why));
    }
    inside.ask(Ask::Ping).await.ok_or_else(silent)?;
    ailment().map_or_else(
        || Ok(json(StatusCode::OK, &json!({"status": "ready"}))),
        |why| Err(Problem::unavailable(why)),
    )
}

async fn metrics(inside: &Inside) -> Result<Answer, Problem> {
    let tally = list::tally(inside).await?;
    let health = &inside.world.health;
    let troubled = inside.world.circuits.troubled(inside.world.now().mono_us);
    let sight = Sight {
        troubled: troubled.into_iter().map(|(way, _)| way).collect(),
        sessions: tally.sessions,
        pending_calls: tally.pending_calls,
        draining: health.is_draining(),
        started_unix_s: health.started_unix_s(),
        resident_bytes: resident_bytes(),
    };
    Ok(answer(StatusCode::OK, CONTENT_TYPE, inside.world.metrics.text(&sight)))
}

/// The second number of `statm` counts pages in RAM. They have 4096 bytes where this runs.
fn resident_bytes() -> Option<u64> {
    const PAGE: u64 = 4_096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<u64>().ok()?.checked_mul(PAGE)
}

fn no_session() -> Problem {
    let what = "no such session; GET /admin/v1/sessions lists them";
    Problem::new(StatusCode::NOT_FOUND, what)
}

async fn session(inside: &Inside, id: &str) -> Result<Answer, Problem> {
    let id = query::decoded(id).ok_or_else(no_session)?;
    let found = inside.ask(|answer| Ask::Session { id, answer }).await.ok_or_else(silent)?;
    let (session, calls) = found.ok_or_else(no_session)?;
    Ok(json(StatusCode::OK, &json!({"session": session, "calls": calls})))
}

async fn end(inside: &Inside, id: &str) -> Result<Answer, Problem> {
    let id = query::decoded(id).ok_or_else(no_session)?;
    let known = inside.ask(|answer| Ask::End { id, answer }).await.ok_or_else(silent)?;
    if !known {
        return Err(no_session());
    }
    tracing::warn!("a session is ended by the operator");
    Ok(json(StatusCode::ACCEPTED, &json!({"status": "ending"})))
}

async fn drain(inside: &Inside) -> Result<Answer, Problem> {
    inside.ask(Ask::Drain).await.ok_or_else(silent)?;
    tracing::warn!("the operator drains the gateway");
    Ok(json(StatusCode::ACCEPTED, &json!({"status": "draining"})))
}

async fn reload(inside: &Inside) -> Result<Answer, Problem> {
    match inside.reload().await {
        Ok(told) => {
            let body = serde_json::to_value(&told).expect("plain data with text keys");
            Ok(json(StatusCode::OK, &body))
        }
        Err(why @ (Refused::NoFile | Refused::Identity(_))) => {
            Err(Problem::new(StatusCode::CONFLICT, why.to_string()))
        }
        Err(Refused::Silence) => Err(silent()),
        Err(Refused::Faults(faults)) => {
            let one = |fault: &crate::config::ConfigError| json!({"line": fault.line, "key": fault.key, "what": fault.what});
            let faults: Vec<_> = faults.iter().map(one).collect();
            let what = "the file has faults, and the old configuration still holds; mend them all";
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, what);
            Err(problem.with("faults", faults.into()))
        }
    }
}
