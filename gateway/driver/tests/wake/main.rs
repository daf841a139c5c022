//! A call for a sleeping app through the whole gateway over the loopback, hop by hop, and once
//! more across a restart on the same fabric; and that whatever else peers send does it no harm.

mod hostile;
mod message;
mod secure;

use std::sync::Arc;
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
use reveille_gateway_core::config::{Config, Registrar, Secret, User};
use reveille_gateway_core::io::{Flow, Transport};
use reveille_gateway_driver::config::Settings;
use reveille_gateway_driver::push::Application;
use reveille_gateway_driver::{Gateway, Running};
use reveille_host::{BoxStream, Host, Udp, within};
use reveille_trace::{Kind, Recorder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

const LIMIT: Duration = Duration::from_secs(10);

/// A push service that accepts everything and hands on what it was asked.
async fn push_service(host: &Host) -> (String, mpsc::Receiver<Value>) {
    let mut listener = host.net.listen("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (asked, asks) = mpsc::channel(8);
    let tasks = host.tasks.clone();
    let accept = async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = asked.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let asked = asked.clone();
                async move {
                    let body = request.into_body().collect().await?.to_bytes();
                    let value = serde_json::from_slice(&body).expect("JSON");
                    asked.send(value).await.expect("the test listens");
                    Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::default()))
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
    (url, asks)
}

struct Rig {
    host: Host,
    settings: Settings,
    recorder: Recorder,
    pushes: mpsc::Receiver<Value>,
    caller: Arc<dyn Udp>,
    /// Set where apps connect by wss.
    secure: Option<TlsConnector>,
}

impl Rig {
    async fn new() -> Self {
        let host = reveille_host::real::host();
        let (url, pushes) = push_service(&host).await;
        let mut core = Config::new("example.com", "127.0.0.1:5060");
        for name in ["bob", "eve"] {
            core.users.push(User {
                aor: format!("{name}@example.com"),
                username: name.to_owned(),
                secret: Secret("sesame".to_owned()),
            });
        }
        let mut settings = Settings::new(core);
        settings.push.applications.push(Application {
            app: "phone".to_owned(),
            provider: "webhook".to_owned(),
            id: "com.example.phone".to_owned(),
            url,
            ..Application::default()
        });
        let caller = host.net.udp("127.0.0.1:0").await.expect("a socket");
        Self { host, settings, recorder: Recorder::keeping(), pushes, caller, secure: None }
    }

    async fn start(&self) -> Running {
        let (host, settings) = (self.host.clone(), self.settings.clone());
        Gateway::start(host, settings, self.recorder.clone()).await.expect("it starts")
    }

    async fn in_time<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        within(&*self.host.clock, LIMIT, work).await.expect(what)
    }

    async fn app(&self, running: &Running) -> App {
        self.app_of(running, "bob").await
    }

    async fn app_of(&self, running: &Running, user: &str) -> App {
        let at = running.ws.expect("a port").to_string();
        let mut stream = self.host.net.dial(&at).await.expect("it listens");
        if let Some(secure) = &self.secure {
            stream = secure::wrap(secure, stream).await;
        }
        let mut request = format!("ws://{at}/chat").into_client_request().expect("a request");
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:sesame")));
        let headers = request.headers_mut();
        headers.insert("Authorization", basic.parse().expect("a header"));
        headers.insert("Sec-WebSocket-Protocol", "webrtc.oracle.com".parse().expect("a header"));
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("let in");
        App { socket }
    }

    /// Connects an app, lets it sleep, and returns its session.
    async fn asleep(&self, running: &Running) -> String {
        let mut app = self.app(running).await;
        app.say(&json!({"control": {"type": "request", "sequence": 1},
            "header": {"action": "connect"}, "payload": {"deviceToken": "tok"}}))
            .await;
        let answer = self.in_time("the connect is answered", app.hear("connect")).await;
        let session = answer["control"]["session_id"].as_str().expect("an id").to_owned();
        app.say(&json!({"control": {"type": "request", "sequence": 2, "correlation_id": "c2",
            "session_id": session}, "header": {"action": "hibernate", "ttl": 3600}}))
            .await;
        self.in_time("sleep is granted", app.hear("hibernate")).await;
        let frame = CloseFrame { code: 4001.into(), reason: "".into() };
        app.socket.send(Message::Close(Some(frame))).await.expect("sent");
        self.in_time("the close is answered", async { while app.socket.next().await.is_some() {} })
            .await;
        session
    }

    /// Resumes, takes the call and answers it.
    async fn answer(&self, running: &Running, session: &str) {
        let _app = self.take_call(running, session).await;
        let text = self.in_time("the caller is answered", self.status("200")).await;
        assert!(text.ends_with("v=0\r\n"), "with the app's SDP: {text}");
    }

    async fn take_call(&self, running: &Running, session: &str) -> App {
        let mut app = self.app(running).await;
        app.say(&json!({"control": {"type": "request", "session_id": session},
            "header": {"action": "connect", "cslr": 2, "subsessions": []}}))
            .await;
        let resumed = self.in_time("the session is resumed", app.hear("connect")).await;
        let next = resumed["header"]["sslr"].as_u64().expect("the app's last number") + 1;
        let start = self.in_time("the call is delivered", app.hear("start")).await;
        let control = &start["control"];
        app.say(&json!({"control": {"type": "response", "package_type": "call", "sequence": next,
            "session_id": session, "subsession_id": control["subsession_id"],
            "correlation_id": control["correlation_id"], "message_state": "final"},
            "header": {"action": "start"}, "payload": {"sdp": "v=0\r\n"}}))
            .await;
        app
    }

    async fn invite(&self, running: &Running) {
        let own = self.caller.local_addr().expect("an address");
        let text = format!(
            "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKw;rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=f\r\n\
             To: <sip:bob@example.com>\r\nCall-ID: w1\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:alice@{own}>\r\nContent-Length: 0\r\n\r\n"
        );
        self.caller.send_to(text.as_bytes(), running.udp[0]).await.expect("sent");
    }

    /// The next response with this status; what comes before it is passed over.
    async fn status(&self, status: &str) -> String {
        let mut buffer = [0; 4_096];
        loop {
            let (length, _) = self.caller.recv_from(&mut buffer).await.expect("received");
            let text = String::from_utf8(buffer[..length].to_vec()).expect("text");
            if text.starts_with(&format!("SIP/2.0 {status} ")) {
                return text;
            }
        }
    }
}

struct App {
    socket: WebSocketStream<BoxStream>,
}

impl App {
    async fn say(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).await.expect("sent");
    }

    /// The next frame with this action that is no error.
    async fn hear(&mut self, action: &str) -> Value {
        self.next(|frame| {
            frame["header"]["action"] == action && frame["control"]["type"] != "error"
        })
        .await
    }

    async fn hear_error(&mut self) -> Value {
        self.next(|frame| frame["control"]["type"] == "error").await
    }

    async fn next(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.socket.next().await.expect("more").expect("sound");
            let Message::Text(text) = message else { continue };
            let frame: Value = serde_json::from_str(&text).expect("JSON");
            if is_wanted(&frame) {
                return frame;
            }
        }
    }

    /// The code with which the gateway closes.
    async fn close_code(&mut self) -> Option<u16> {
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

#[tokio::test]
async fn a_call_wakes_a_sleeping_app_in_ten_hops() {
    let mut rig = Rig::new().await;
    let running = rig.start().await;
    let session = rig.asleep(&running).await;
    rig.invite(&running).await;
    rig.in_time("the call is accepted", rig.status("100")).await;
    let push = within(&*rig.host.clock, LIMIT, rig.pushes.recv()).await.flatten().expect("a push");
    assert_eq!(
        (push["session_id"].as_str(), push["token"].as_str()),
        (Some(&*session), Some("tok"))
    );
    rig.answer(&running, &session).await;

    let of_call = |event: &reveille_trace::Event| {
        (event.kind == Kind::Hop && event.corr.as_deref() == Some("w1"))
            .then(|| (event.int("hop"), event.text("where").unwrap_or_default().to_owned()))
    };
    let mut hops: Vec<_> = rig.recorder.events().iter().filter_map(of_call).collect();
    // The disk and the push service answer in their own time; what each hop is does not change.
    hops.sort();
    let wanted = [
        "driver/sip",
        "wire::sip",
        "core/node",
        "core/transaction",
        "core/session",
        "driver/fabric",
        "core/wake",
        "driver/push/webhook",
        "core/session",
        "core/transaction",
    ];
    let wanted: Vec<_> = (1..).zip(wanted).map(|(hop, at)| (Some(hop), at.to_owned())).collect();
    assert_eq!(hops, wanted);
}

#[tokio::test]
async fn a_redb_file_is_closed_when_the_gateway_has_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rig = Rig::new().await;
    rig.settings.fabric.engine = "redb".to_owned();
    rig.settings.fabric.path = folder.path().join("fabric").to_string_lossy().into_owned();
    let first = rig.start().await;
    let session = rig.asleep(&first).await;
    rig.invite(&first).await;
    rig.in_time("the call is accepted", rig.status("100")).await;
    first.stop();
    assert_eq!(rig.in_time("it ends", first.stopped()).await, Ok(()));
    let second = rig.start().await;
    rig.answer(&second, &session).await;
}

#[tokio::test]
async fn a_session_is_registered_over_a_connection_that_the_gateway_dials() {
    let mut rig = Rig::new().await;
    let mut listener = rig.host.net.listen("127.0.0.1:0").await.expect("a port");
    let registrar = listener.local_addr().expect("an address").to_string();
    rig.settings.core.registrar = Some(Registrar {
        uri: "sip:example.com".to_owned(),
        flow: Flow {
            transport: Transport::Tcp,
            local: String::new(),
            peer: registrar,
            connection: None,
        },
        expires_s: 3_600,
    });
    let running = rig.start().await;
    let mut app = rig.app(&running).await;
    app.say(&json!({"control": {"type": "request", "sequence": 1},
        "header": {"action": "connect"}, "payload": {"deviceToken": "tok"}}))
        .await;
    let register = async {
        let (mut stream, _) = listener.accept().await.expect("dialled");
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            text.push(char::from(stream.read_u8().await.expect("more")));
        }
        assert!(text.starts_with("REGISTER sip:example.com SIP/2.0\r\n"), "{text}");
        let copied = |line: &&str| {
            ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Contact:"]
                .iter()
                .any(|name| line.starts_with(name))
        };
        let copied: Vec<_> = text.lines().filter(copied).collect();
        let copied = copied.join("\r\n");
        let answer =
            format!("SIP/2.0 200 OK\r\n{copied}\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("sent");
        stream
    };
    let _stream = rig.in_time("a REGISTER", register).await;
    let answer = rig.in_time("the connect is answered", app.hear("connect")).await;
    assert_eq!(answer["control"]["message_state"], "final", "{answer}");
}

#[tokio::test]
async fn a_call_outlives_the_gateway_that_accepted_it() {
    let rig = Rig::new().await;
    let first = rig.start().await;
    let session = rig.asleep(&first).await;
    rig.invite(&first).await;
    rig.in_time("the call is accepted", rig.status("100")).await;
    first.stop();
    assert_eq!(rig.in_time("it ends", first.stopped()).await, Ok(()));
    let second = rig.start().await;
    rig.answer(&second, &session).await;
}
