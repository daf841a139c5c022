//! The gateway's transports over the loopback: TLS and who is let in by it, SIP in WebSockets, flows
//! that are kept alive, and requests that are too large for UDP.

mod certificates;
mod dns;
mod keep;
mod large;
mod registrar;
mod stun;
mod tls;
mod udp;
mod websocket;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use reveille_gateway_core::config::{Config, Registrar, Secret, User};
use reveille_gateway_core::io::{Flow, Transport};
use reveille_gateway_driver::config::Settings;
use reveille_gateway_driver::tls::Identity;
use reveille_gateway_driver::{AdminSettings, Gateway, Running};
use reveille_host::{BoxStream, Host, within};
use reveille_trace::{Kind, Recorder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

const LIMIT: Duration = Duration::from_secs(10);

const OPTIONS: &str = "OPTIONS sip:example.com SIP/2.0\r\n\
    Via: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKa;rport\r\nMax-Forwards: 70\r\n\
    From: <sip:alice@example.com>;tag=1\r\nTo: <sip:example.com>\r\nCall-ID: c1\r\n\
    CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

struct Rig {
    host: Host,
    running: Running,
    recorder: Recorder,
}

impl Rig {
    async fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut core = Config::new("example.com", "127.0.0.1:5060");
        core.users.push(User {
            aor: "bob@example.com".to_owned(),
            username: "bob".to_owned(),
            secret: Secret("sesame".to_owned()),
        });
        let mut settings = Settings::new(core);
        change(&mut settings);
        let (host, recorder) = (reveille_host::real::host(), Recorder::keeping());
        let running = Gateway::start(host.clone(), settings, recorder.clone());
        let running = running.await.expect("the gateway starts");
        Self { host, running, recorder }
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> T {
        within(&*self.host.clock, LIMIT, work).await.expect("within ten seconds")
    }

    async fn dial(&self, at: &impl ToString) -> BoxStream {
        self.in_time(self.host.net.dial(&at.to_string())).await.expect("it listens")
    }

    /// SIP that was sent or received, as text.
    fn sip(&self, kind: Kind) -> Vec<String> {
        let events = self.recorder.events();
        let of_kind = events.iter().filter(|event| event.kind == kind);
        of_kind
            .filter_map(|e| Some(String::from_utf8_lossy(&e.raw.as_ref()?.0).into_owned()))
            .collect()
    }

    /// What a counter stands at, as the operator sees it.
    async fn counted(&self, sample: &str) -> u32 {
        let mut stream = self.dial(&self.running.admin.expect("a port")).await;
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("sent");
        let mut page = String::new();
        self.in_time(stream.read_to_string(&mut page)).await.expect("a page");
        let value = page.lines().find_map(|line| line.strip_prefix(sample));
        let value = value.unwrap_or_else(|| panic!("no {sample} in {page}"));
        value.trim().parse().expect("a number")
    }

    /// An app of bob's, connected and asking for a session.
    async fn app(&self) -> WebSocketStream<BoxStream> {
        let at = self.running.ws.expect("a port");
        let stream = self.dial(&at).await;
        let mut request = format!("ws://{at}/chat").into_client_request().expect("a request");
        let code = STANDARD.encode("bob:sesame");
        let headers = request.headers_mut();
        headers.insert("Authorization", format!("Basic {code}").parse().expect("a header"));
        headers.insert("Sec-WebSocket-Protocol", "webrtc.oracle.com".parse().expect("a header"));
        let work = tokio_tungstenite::client_async(request, stream);
        let (mut socket, _) = self.in_time(work).await.expect("let in");
        let connect = json!({"control": {"type": "request", "sequence": 1},
            "header": {"action": "connect"}, "payload": {"deviceToken": "tok"}});
        socket.send(Message::text(connect.to_string())).await.expect("sent");
        socket
    }

    /// What the app is answered.
    async fn answer(&self, app: &mut WebSocketStream<BoxStream>) -> Value {
        let message = self.in_time(app.next()).await.expect("an answer").expect("sound");
        serde_json::from_str(message.to_text().expect("text")).expect("JSON")
    }
}

/// Sends sessions to this registrar.
fn register_at(settings: &mut Settings, transport: Transport, peer: &impl ToString) {
    settings.core.registrar = Some(Registrar {
        uri: "sip:example.com".to_owned(),
        flow: Flow { transport, local: String::new(), peer: peer.to_string(), connection: None },
        expires_s: 3_600,
    });
}

/// The next message of a stream that has no body, with what was before it.
async fn head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") || text.trim().is_empty() {
        text.push(char::from(stream.read_u8().await.expect("more")));
    }
    text
}

/// The 200 to a request, with these lines more.
fn ok(request: &str, more: &str) -> String {
    let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Contact:"];
    let is_copied = |line: &&str| copied.iter().any(|name| line.starts_with(name));
    let lines: Vec<_> = request.lines().filter(is_copied).collect();
    let lines = lines.join("\r\n");
    format!("SIP/2.0 200 OK\r\n{lines}\r\n{more}Expires: 3600\r\nContent-Length: 0\r\n\r\n")
}

/// Opens the operator's port.
fn watch(settings: &mut Settings) {
    let listen = "127.0.0.1:0".to_owned();
    settings.admin = Some(AdminSettings { listen, token: None, identity: None });
}

/// Settings of a port that speaks TLS as `localhost`.
fn speak_tls(settings: &mut Settings, identity: Identity) {
    settings.tls = vec!["127.0.0.1:0".to_owned()];
    settings.secure.sip = Some(identity);
}
