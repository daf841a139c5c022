//! An HTTP/2 server that remembers what it was asked and answers by a function.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reveille_host::{BoxStream, Host};
use ring::signature::{UnparsedPublicKey, VerificationAlgorithm};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Takes a header away, so that what is left can be compared as a whole.
    pub(super) fn take(&mut self, name: &str) -> String {
        self.headers.remove(name).unwrap_or_else(|| panic!("no header {name}: {self:?}"))
    }
}

/// An answer: status, `Retry-After`, body.
pub(super) type Reply = (u16, Option<u64>, String);
type Replies = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

pub(super) fn reply(status: u16) -> Reply {
    (status, None, String::new())
}

pub(super) fn because(status: u16, reason: &str) -> Reply {
    (status, None, format!("{{\"reason\":\"{reason}\"}}"))
}

pub(super) struct Server {
    pub(super) url: String,
    /// The certificate of an `https` server, in PEM.
    pub(super) certificate: Option<String>,
    pub(super) connections: Arc<AtomicUsize>,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(super) async fn plain(
        host: &Host,
        replies: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start(host, None, Arc::new(replies)).await
    }

    /// A server named `localhost`, whose certificate nobody signed.
    pub(super) async fn tls(
        host: &Host,
        replies: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate");
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::start(host, Some((acceptor, made.cert.pem())), Arc::new(replies)).await
    }

    async fn start(host: &Host, tls: Option<(TlsAcceptor, String)>, replies: Replies) -> Self {
        let mut listener = host.net.listen("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let url = match &tls {
            Some(_) => format!("https://localhost:{port}"),
            None => format!("http://127.0.0.1:{port}"),
        };
        let (acceptor, certificate) = tls.unzip();
        let (connections, log) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let (count, seen, tasks) = (Arc::clone(&connections), Arc::clone(&log), host.tasks.clone());
        let accept = async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let work = serve(stream, acceptor.clone(), Arc::clone(&seen), Arc::clone(&replies));
                tasks.spawn("push-server-connection", Box::pin(work));
            }
        };
        host.tasks.spawn("push-server", Box::pin(accept));
        Self { url, certificate, connections, log }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.log.lock().expect("no panic").clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn serve(
    stream: BoxStream,
    acceptor: Option<TlsAcceptor>,
    seen: Arc<Mutex<Vec<Seen>>>,
    replies: Replies,
) {
    let stream: BoxStream = match acceptor {
        None => stream,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => Box::new(stream),
            Err(_) => return,
        },
    };
    speak(stream, seen, replies).await;
}

async fn speak(stream: BoxStream, seen: Arc<Mutex<Vec<Seen>>>, replies: Replies) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (seen, replies) = (Arc::clone(&seen), Arc::clone(&replies));
        async move {
            let asked = read(request).await;
            seen.lock().expect("no panic").push(asked.clone());
            let (status, retry_after, body) = replies(&asked);
            let mut response = Response::builder().status(status);
            if let Some(seconds) = retry_after {
                response = response.header("retry-after", seconds);
            }
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).expect("a response"))
        }
    });
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _broken_off: bool = builder.serve_connection(TokioIo::new(stream), service).await.is_err();
}

async fn read(request: Request<Incoming>) -> Seen {
    let (head, body) = request.into_parts();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()));
    Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: body.collect().await.expect("a body").to_bytes().to_vec(),
    }
}

/// Header and claims of a JSON Web Token whose signature this key made.
pub(super) fn verified(
    token: &str,
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
) -> (Value, Value) {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let (header, claims) = signed.split_once('.').expect("three parts");
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let key = UnparsedPublicKey::new(algorithm, key);
    key.verify(signed.as_bytes(), &bytes(signature)).expect("the key's signature");
    let json = |part: &str| serde_json::from_slice(&bytes(part)).expect("JSON");
    (json(header), json(claims))
}
