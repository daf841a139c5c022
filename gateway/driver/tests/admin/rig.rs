//! A gateway with an operator's port, read from a text that a test may change, and small clients of
//! its ports.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reveille_gateway_driver::config::{self, ConfigError, Secrets, Settings, Source};
use reveille_gateway_driver::{Gateway, Running};
use reveille_host::{BoxStream, Host, Udp, within};
use reveille_trace::Recorder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

const LIMIT: Duration = Duration::from_secs(10);
pub(super) const TOKEN: &str = "a-token-of-the-operator";

/// The configuration of most tests: two users, one application, a token.
pub(super) const PLAIN: &str = r#"[sip]
udp = "127.0.0.1:0"
tcp = "127.0.0.1:0"
[websocket]
listen = "127.0.0.1:0"
[fabric]
engine = "memory"
[admin]
listen = "127.0.0.1:0"
token = "a-token-of-the-operator"
[[user]]
aor = "bob@example.com"
username = "bob"
secret = "secret of bob"
[[user]]
aor = "eve@example.com"
username = "eve"
secret = "secret of eve"
[[application]]
app = "phone"
provider = "webhook"
id = "com.example.phone"
url = "http://PUSH/hook/secret-path"
credential = "secret credential"
"#;

/// An answer of the operator's port.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(super) fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }
}

pub(super) struct Rig {
    pub(super) host: Host,
    pub(super) running: Running,
    pub(super) text: Arc<Mutex<String>>,
    pub(super) caller: Arc<dyn Udp>,
    pub(super) pushes: mpsc::Receiver<String>,
}

pub(super) fn load(text: &str) -> Result<Settings, Vec<ConfigError>> {
    let file = |path: &str| std::fs::read_to_string(path);
    config::read("gateway.toml", text, &Secrets { environment: &|_| None, file: &file })
}

impl Rig {
    /// `PUSH` in the text becomes the address of a push service that takes everything.
    pub(super) async fn start(text: &str) -> Self {
        let host = reveille_host::real::host();
        let (at, pushes) = push_service(&host).await;
        let text = Arc::new(Mutex::new(text.replace("PUSH", &at)));
        let kept = Arc::clone(&text);
        let source = Source::new(move || load(&kept.lock().expect("whole")));
        let mut settings = source.read().expect("sound");
        settings.source = Some(source);
        let running = Gateway::start(host.clone(), settings, Recorder::passing());
        let running = running.await.expect("it starts");
        let caller = host.net.udp("127.0.0.1:0").await.expect("a socket");
        Self { host, running, text, caller, pushes }
    }

    /// Changes the text that the gateway reads at the next reload.
    pub(super) fn write(&self, from: &str, to: &str) {
        let mut text = self.text.lock().expect("whole");
        assert!(text.contains(from), "{from} stands in the text");
        *text = text.replace(from, to);
    }

    pub(super) async fn in_time<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        within(&*self.host.clock, LIMIT, work).await.unwrap_or_else(|| panic!("{what}: too late"))
    }

    /// Bytes to the operator's port, and all that comes back.
    pub(super) async fn raw(&self, request: &str) -> String {
        self.raw_at(&self.running.admin.expect("a port").to_string(), request).await
    }

    /// Bytes to a port, and all that comes back.
    pub(super) async fn raw_at(&self, at: &str, request: &str) -> String {
        let mut stream = self.host.net.dial(at).await.expect("it listens");
        self.in_time(request, async {
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut bytes = Vec::new();
            // Who is turned away unheard may see a reset; what counts is what was said.
            let _reset: bool = stream.read_to_end(&mut bytes).await.is_err();
            String::from_utf8_lossy(&bytes).into_owned()
        })
        .await
    }

    pub(super) async fn ask_as(&self, method: &str, target: &str, fields: &str) -> Reply {
        let at = self.running.admin.expect("a port");
        let text = format!("{method} {target} HTTP/1.1\r\nHost: {at}\r\n{fields}\r\n");
        Reply::read(&self.raw(&text).await)
    }

    /// Asks with the token.
    pub(super) async fn ask(&self, method: &str, target: &str) -> Reply {
        self.ask_as(method, target, &format!("Authorization: Bearer {TOKEN}\r\n")).await
    }

    pub(super) async fn get(&self, target: &str) -> Value {
        let reply = self.ask("GET", target).await;
        assert_eq!(reply.status, 200, "{target}: {reply:?}");
        reply.json()
    }

    pub(super) async fn upgrade(&self, path: &str, user: &str, secret: &str) -> Result<App, u16> {
        let at = self.running.ws.expect("a port").to_string();
        let stream = self.host.net.dial(&at).await.expect("it listens");
        let mut request = format!("ws://{at}{path}").into_client_request().expect("a request");
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")));
        let headers = request.headers_mut();
        headers.insert("Authorization", basic.parse().expect("a header"));
        headers.insert("Sec-WebSocket-Protocol", "webrtc.oracle.com".parse().expect("a header"));
        let work = tokio_tungstenite::client_async(request, stream);
        match self.in_time("an upgrade", work).await {
            Ok((socket, _)) => Ok(App { socket }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) async fn app(&self, user: &str) -> App {
        let app = self.upgrade("/ws/webrtc/phone", user, &format!("secret of {user}")).await;
        app.unwrap_or_else(|status| panic!("let in, not {status}"))
    }

    /// An app with a session; its id.
    pub(super) async fn connect(&self, user: &str, token: &str) -> (App, String) {
        let mut app = self.app(user).await;
        app.say(&json!({"control": {"type": "request", "sequence": 1},
            "header": {"action": "connect"}, "payload": {"deviceToken": token}}))
            .await;
        let answer = self.in_time("the connect is answered", app.hear("connect")).await;
        let session = answer["control"]["session_id"].as_str().expect("an id").to_owned();
        (app, session)
    }

    /// An app that went to sleep; its session.
    pub(super) async fn asleep(&self, user: &str, token: &str) -> String {
        let (mut app, session) = self.connect(user, token).await;
        app.say(&json!({"control": {"type": "request", "sequence": 2, "correlation_id": "c2",
            "session_id": session}, "header": {"action": "hibernate", "ttl": 3600}}))
            .await;
        self.in_time("sleep is granted", app.hear("hibernate")).await;
        let frame = CloseFrame { code: 4001.into(), reason: "".into() };
        app.socket.send(Message::Close(Some(frame))).await.expect("sent");
        self.in_time("its end", async { while app.socket.next().await.is_some() {} }).await;
        session
    }

    /// Calls a user; the first response to it.
    pub(super) async fn call(&self, user: &str, mark: &str) -> String {
        let own = self.caller.local_addr().expect("an address");
        let text = format!(
            "INVITE sip:{user}@example.com SIP/2.0\r\n\
             Via: SIP/2.0/UDP {own};branch=z9hG4bK{mark};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@example.com>;tag=f\r\nTo: <sip:{user}@example.com>\r\n\
             Call-ID: {mark}\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@{own}>\r\n\
             Content-Length: 0\r\n\r\n"
        );
        self.caller.send_to(text.as_bytes(), self.running.udp[0]).await.expect("sent");
        self.status("").await
    }

    /// The next SIP message whose status begins like this.
    pub(super) async fn status(&self, status: &str) -> String {
        let mut buffer = [0; 4_096];
        let work = async {
            loop {
                let (length, _) = self.caller.recv_from(&mut buffer).await.expect("received");
                let text = String::from_utf8(buffer[..length].to_vec()).expect("text");
                if text.starts_with(&format!("SIP/2.0 {status}")) {
                    return text;
                }
            }
        };
        self.in_time("a response", work).await
    }
}

pub(super) struct App {
    pub(super) socket: WebSocketStream<BoxStream>,
}

impl App {
    pub(super) async fn say(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).await.expect("sent");
    }

    /// The next frame with this action.
    pub(super) async fn hear(&mut self, action: &str) -> Value {
        loop {
            let message = self.socket.next().await.expect("more").expect("sound");
            let Message::Text(text) = message else { continue };
            let frame: Value = serde_json::from_str(&text).expect("JSON");
            if frame["header"]["action"] == action {
                return frame;
            }
        }
    }

    /// The code with which the gateway closes.
    pub(super) async fn close_code(&mut self) -> Option<u16> {
        while let Some(Ok(message)) = self.socket.next().await {
            if let Message::Close(frame) = message {
                // Our half of the handshake, which the gateway waits for.
                let _gone: bool = self.socket.flush().await.is_err();
                return frame.map(|frame| frame.code.into());
            }
        }
        None
    }
}

/// A push service that takes everything, but for the first push to `/away-first`, and hands on the
/// credential that it was shown.
async fn push_service(host: &Host) -> (String, mpsc::Receiver<String>) {
    let mut listener = host.net.listen("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address").to_string();
    let (shown, shows) = mpsc::channel(64);
    let (tasks, is_back) = (host.tasks.clone(), Arc::new(AtomicBool::new(false)));
    let accept = async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (shown, is_back) = (shown.clone(), Arc::clone(&is_back));
            let service = service_fn(move |request: Request<Incoming>| {
                let shown = shown.clone();
                let is_away =
                    request.uri().path() == "/away-first" && !is_back.swap(true, Ordering::Relaxed);
                async move {
                    let credential = request.headers().get("authorization").cloned();
                    request.into_body().collect().await?;
                    let credential = credential.map(|it| it.to_str().expect("text").to_owned());
                    shown.send(credential.unwrap_or_default()).await.expect("the test listens");
                    let mut answer = Response::new(Full::<Bytes>::default());
                    if is_away {
                        *answer.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
                    }
                    Ok::<_, hyper::Error>(answer)
                }
            });
            let work = async move {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ended: bool =
                    builder.serve_connection(TokioIo::new(stream), service).await.is_err();
            };
            tasks.spawn("push-service", Box::pin(work));
        }
    };
    host.tasks.spawn("push-service-accept", Box::pin(accept));
    (at, shows)
}
