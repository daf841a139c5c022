//! The provider `webhook` against a small HTTP/2 server: what is asked, and what each answer means.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reveille_gateway_core::config::Secret;
use reveille_gateway_core::io::{PushId, PushOutcome, PushRequest};
use reveille_gateway_core::record::SessionId;
use reveille_gateway_driver::push::{Application, PROVIDERS, Push, PushSettings};
use reveille_host::Host;
use reveille_wire::push::WakePayload;
use serde_json::{Value, json};

/// What the server saw of a request: path, authorization, body.
type Seen = Arc<Mutex<Vec<(String, String, Value)>>>;

struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
    seen: Seen,
}

/// A server that answers `/{status}/{retry-after}`, hangs on `/hang` and breaks off on `/break`.
async fn server(host: &Host) -> Server {
    let mut listener = host.net.listen("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (connections, seen) = (Arc::new(AtomicUsize::new(0)), Seen::default());
    let (count, log, tasks) = (Arc::clone(&connections), Arc::clone(&seen), host.tasks.clone());
    let accept = async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let log = Arc::clone(&log);
            let serve = async move {
                let service = service_fn(move |request| answer(Arc::clone(&log), request));
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let work = builder.serve_connection(TokioIo::new(stream), service);
                let _broken_off: bool = work.await.is_err();
            };
            tasks.spawn("push-server-connection", Box::pin(serve));
        }
    };
    host.tasks.spawn("push-server", Box::pin(accept));
    Server { url, connections, seen }
}

async fn answer(log: Seen, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, String> {
    let path = request.uri().path().to_owned();
    let shown = request.headers().get("authorization").map_or("", |v| v.to_str().expect("text"));
    let shown = shown.to_owned();
    let body = request.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    let body = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    log.lock().expect("no panic").push((path.clone(), shown, body));
    let mut parts = path.trim_start_matches('/').split('/');
    match parts.next() {
        Some("hang") => std::future::pending().await,
        Some("break") => Err("broken off on purpose".to_owned()),
        status => {
            let status: u16 = status.and_then(|s| s.parse().ok()).expect("a status in the path");
            let mut response = Response::builder().status(status);
            if let Some(after) = parts.next() {
                response = response.header("retry-after", after);
            }
            Ok(response.body(Full::from("said so")).expect("a response"))
        }
    }
}

fn webhook(host: &Host, url: &str) -> Arc<dyn Push> {
    let application = Application {
        app: "phone".to_owned(),
        provider: "webhook".to_owned(),
        id: "com.example.phone".to_owned(),
        url: url.to_owned(),
        credential: Some(Secret("key".to_owned())),
        ..Application::default()
    };
    let settings = PushSettings {
        request_limit: Duration::from_millis(300),
        applications: vec![application],
        ..PushSettings::default()
    };
    let (_, provider) = PROVIDERS.iter().find(|(name, _)| *name == "webhook").expect("an entry");
    (provider.make)(host, &settings)
}

fn request(application: &str) -> PushRequest {
    PushRequest {
        id: PushId { wake: 1, attempt: 1 },
        provider: "webhook".to_owned(),
        session: SessionId::from("s1"),
        application: application.to_owned(),
        token: "device".to_owned(),
        platform: None,
        payload: WakePayload {
            session_id: "s1".to_owned(),
            event: "call".to_owned(),
            call_id: None,
            subsession_id: None,
            initiator: None,
            target: None,
            ttl_s: Some(30),
            incoming: None,
        },
        ttl_ms: 30_000,
        deadline_us: u64::MAX,
    }
}

async fn send(plugin: &dyn Push) -> PushOutcome {
    let request = request("com.example.phone");
    plugin.send(&request, plugin.body(&request)).await
}

#[tokio::test]
async fn the_request_carries_session_application_and_token() {
    let host = reveille_host::real::host();
    let server = server(&host).await;
    let plugin = webhook(&host, &format!("{}/200", server.url));
    assert_eq!(send(&*plugin).await, PushOutcome::Accepted);
    assert_eq!(send(&*plugin).await, PushOutcome::Accepted);
    assert_eq!(server.connections.load(Ordering::Relaxed), 1, "the connection is kept");
    let seen = server.seen.lock().expect("no panic").clone();
    let body = json!({
        "session_id": "s1", "application": "com.example.phone", "token": "device",
        "payload": { "session_id": "s1", "event": "call", "ttl_s": 30 },
    });
    assert_eq!(seen[0], ("/200".to_owned(), "Bearer key".to_owned(), body));
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    let host = reveille_host::real::host();
    let server = server(&host).await;
    for (path, wanted) in [
        ("200", "accepted"),
        ("202", "accepted"),
        ("400", "refused"),
        ("401", "refused"),
        ("403", "refused"),
        ("404", "refused"),
        ("410", "refused"),
        ("413", "refused"),
        ("429", "transient"),
        ("429/7", "transient 7000"),
        ("500", "transient"),
        ("503/1", "transient 1000"),
        ("503/soon", "transient"),
        ("hang", "transient"),
        ("break", "transient"),
    ] {
        let outcome = send(&*webhook(&host, &format!("{}/{path}", server.url))).await;
        let said = match &outcome {
            PushOutcome::Accepted => "accepted".to_owned(),
            PushOutcome::Refused { .. } => "refused".to_owned(),
            PushOutcome::Failed { .. } => "failed".to_owned(),
            PushOutcome::Transient { retry_after_ms: None, .. } => "transient".to_owned(),
            PushOutcome::Transient { retry_after_ms: Some(ms), .. } => format!("transient {ms}"),
        };
        assert_eq!(said, wanted, "{path}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_connection_that_hung_is_not_used_again() {
    let host = reveille_host::real::host();
    let server = server(&host).await;
    let plugin = webhook(&host, &format!("{}/hang", server.url));
    for _ in 0..2 {
        assert!(matches!(send(&*plugin).await, PushOutcome::Transient { .. }));
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn nobody_there_is_transient_and_an_unknown_application_is_refused() {
    let host = reveille_host::real::host();
    let listener = host.net.listen("127.0.0.1:0").await.expect("a port");
    let gone = listener.local_addr().expect("an address");
    drop(listener);
    let plugin = webhook(&host, &format!("http://{gone}/"));
    assert!(matches!(send(&*plugin).await, PushOutcome::Transient { .. }));
    let stranger = request("com.example.other");
    let outcome = plugin.send(&stranger, plugin.body(&stranger)).await;
    assert!(
        matches!(outcome, PushOutcome::Refused { why, .. } if why.contains("com.example.other"))
    );
}
