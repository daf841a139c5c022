//! The push service: requests over HTTP/2 with prior knowledge on one side, phones on a plain
//! channel of lines on the other, as an operating system keeps one. Between them a script says what
//! becomes of each request: accepted, refused, left unanswered, dropped, doubled or delayed.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use reveille_host::{BoxStream, Host, Tasks, within};
use reveille_trace::{Draft, Kind, Scribe};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

use super::sip::now_us;

/// The most bytes of one request's body.
const BODY_LIMIT: usize = 64 * 1024;
/// How many payloads wait for a phone that is away, and on a channel that is slow.
const WAITING: usize = 16;
/// The most tokens remembered.
const TOKENS: usize = 100_000;
/// How long a phone has for its first line, and a write to it may take.
const LINE_LIMIT: Duration = Duration::from_secs(10);

/// How a push service is set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// `address:port` for push requests.
    #[serde(default = "default_listen")]
    pub listen: String,
    /// `address:port` for phones.
    #[serde(default = "default_devices")]
    pub devices: String,
    /// What becomes of the first requests; all later ones are accepted.
    #[serde(default, rename = "answer")]
    pub answers: Vec<Answer>,
}

fn default_listen() -> String {
    "0.0.0.0:9090".to_owned()
}
fn default_devices() -> String {
    "0.0.0.0:9091".to_owned()
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// 200, and delivered.
    Accept,
    /// This status, and not delivered.
    Refuse {
        /// The status code.
        status: u16,
    },
    /// Never answered, and not delivered.
    Hang,
    /// 200, and dropped.
    Drop,
    /// 200, and delivered twice.
    Duplicate,
    /// 200 at once, delivered that much later.
    Delay {
        /// Milliseconds.
        delay_ms: u64,
    },
}

/// Where the faults of a push service strike.
pub const ON: &str = "push.webhook";

impl Answer {
    /// The name of the fault that it is, if it is one.
    #[must_use]
    pub const fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Accept => None,
            Self::Refuse { .. } => Some("refuse"),
            Self::Hang => Some("drop-request"),
            Self::Drop => Some("drop-delivery"),
            Self::Duplicate => Some("duplicate"),
            Self::Delay { .. } => Some("delay"),
        }
    }
}

/// What a push service can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// What becomes of the next requests, after those already scripted.
    Script(Vec<Answer>),
}

#[derive(Default)]
struct State {
    script: VecDeque<Answer>,
    phones: BTreeMap<String, mpsc::Sender<String>>,
    waiting: BTreeMap<String, VecDeque<String>>,
}

struct Service {
    host: Host,
    scribe: Scribe,
    state: Mutex<State>,
}

/// Runs for ever.
///
/// # Errors
/// One of the listening addresses cannot be opened.
pub async fn run(
    host: Host,
    scribe: Scribe,
    settings: Settings,
    commands: mpsc::Receiver<Command>,
) -> Result<(), String> {
    let failed = |on: &str, error| format!("cannot open {on}: {error}");
    let requests = host.net.listen(&settings.listen).await;
    let mut requests = requests.map_err(|error| failed(&settings.listen, error))?;
    let phones = host.net.listen(&settings.devices).await;
    let phones = phones.map_err(|error| failed(&settings.devices, error))?;
    let state = State { script: settings.answers.into(), ..State::default() };
    let service = Arc::new(Service { host: host.clone(), scribe, state: Mutex::new(state) });
    host.tasks.spawn("push-commands", Box::pin(obey(service.clone(), commands)));
    host.tasks.spawn("push-phones", Box::pin(accept_phones(service.clone(), phones)));
    loop {
        let (stream, _) = requests.accept().await.map_err(|error| error.to_string())?;
        host.tasks.spawn("push-connection", Box::pin(serve(service.clone(), stream)));
    }
}

async fn obey(service: Arc<Service>, mut commands: mpsc::Receiver<Command>) {
    while let Some(Command::Script(answers)) = commands.recv().await {
        service.state().script.extend(answers);
    }
}

/// Lets hyper run its streams as tasks of the host.
#[derive(Clone)]
struct Executor(Arc<dyn Tasks>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, future: F) {
        self.0.spawn("push-stream", Box::pin(future));
    }
}

async fn serve(service: Arc<Service>, stream: BoxStream) {
    let executor = Executor(service.host.tasks.clone());
    let own = service.clone();
    let answer = service_fn(move |request| {
        let service = own.clone();
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let builder = hyper::server::conn::http2::Builder::new(executor);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), answer).await {
        service.say(format!("push connection ended: {error}"));
    }
}

/// What a push request must say.
struct Wanted {
    token: String,
    session: String,
    payload: String,
}

/// Reads a request's body.
///
/// # Errors
/// The member that is missing or of another type, and what to write.
fn read(body: &[u8]) -> Result<Wanted, String> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| format!("the body is no JSON: {error}; send one JSON object\n"))?;
    let text = |name: &str| match value.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(_) => Err(format!("`{name}` is no text; send a string that is not empty\n")),
        None => Err(format!("`{name}` is missing; send it as a string\n")),
    };
    let (session, _) = (text("session_id")?, text("application")?);
    let payload = match value.get("payload") {
        Some(payload @ Value::Object(_)) => payload.to_string(),
        Some(_) => return Err("`payload` is no object; send a JSON object\n".to_owned()),
        None => return Err("`payload` is missing; send a JSON object\n".to_owned()),
    };
    Ok(Wanted { token: text("token")?, session, payload })
}

fn reply(status: u16, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, draft: Draft) {
        self.scribe.note(now_us(&self.host), draft);
    }

    fn say(&self, text: String) {
        self.note(Draft::new(Kind::Note).with("text", text));
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::POST {
            return reply(405, "only POST is served here\n".to_owned());
        }
        let Ok(body) = Limited::new(request.into_body(), BODY_LIMIT).collect().await else {
            return reply(413, format!("the body is above {BODY_LIMIT} bytes or broke off\n"));
        };
        let body = body.to_bytes();
        let wanted = read(&body);
        let mut received = Draft::new(Kind::PushReceived).raw(body);
        if let Ok(Wanted { token, session, .. }) = &wanted {
            received = received.with("token", token.as_str()).with("session", session.as_str());
        }
        self.note(received);
        match wanted {
            Ok(wanted) => self.play(wanted).await,
            Err(what) => {
                self.note(Draft::new(Kind::PushAnswered).with("status", 400_u16));
                reply(400, what)
            }
        }
    }

    async fn play(self: &Arc<Self>, wanted: Wanted) -> Response<Full<Bytes>> {
        let answer = self.state().script.pop_front().unwrap_or(Answer::Accept);
        if let Some(fault) = answer.fault() {
            self.note(Draft::new(Kind::FaultStruck).with("fault", fault).with("on", ON));
        }
        let token = wanted.token.as_str();
        let status = match answer {
            Answer::Hang => {
                // The requester gives up first; hyper then drops this future with the stream.
                std::future::pending::<()>().await;
                200
            }
            Answer::Refuse { status } => status,
            Answer::Accept | Answer::Drop | Answer::Duplicate | Answer::Delay { .. } => 200,
        };
        let answered = Draft::new(Kind::PushAnswered).with("status", status);
        self.note(answered.with("token", token));
        match answer {
            Answer::Accept => self.deliver(token, &wanted.payload),
            Answer::Duplicate => {
                self.deliver(token, &wanted.payload);
                self.deliver(token, &wanted.payload);
            }
            Answer::Delay { delay_ms } => {
                let service = self.clone();
                let later = async move {
                    service.host.sleep(Duration::from_millis(delay_ms)).await;
                    service.deliver(&wanted.token, &wanted.payload);
                };
                self.host.tasks.spawn("push-later", Box::pin(later));
            }
            Answer::Drop => self.note(Draft::new(Kind::PushDropped).with("token", token)),
            Answer::Hang | Answer::Refuse { .. } => {}
        }
        reply(status, String::new())
    }

    /// Gives the payload to the phone, or keeps it until the phone is there.
    fn deliver(&self, token: &str, payload: &str) {
        let mut state = self.state();
        if let Some(phone) = state.phones.get(token)
            && phone.try_send(payload.to_owned()).is_ok()
        {
            return;
        }
        if !state.waiting.contains_key(token) && state.waiting.len() >= TOKENS {
            return;
        }
        let waiting = state.waiting.entry(token.to_owned()).or_default();
        if waiting.len() >= WAITING {
            waiting.pop_front();
        }
        waiting.push_back(payload.to_owned());
    }

    fn enrol(&self, token: &str) -> mpsc::Receiver<String> {
        let (send, receive) = mpsc::channel(WAITING);
        let mut state = self.state();
        for payload in state.waiting.remove(token).unwrap_or_default() {
            // As many wait at most as the channel holds.
            drop(send.try_send(payload));
        }
        if state.phones.len() < TOKENS {
            state.phones.insert(token.to_owned(), send);
        }
        receive
    }
}

async fn accept_phones(service: Arc<Service>, mut listener: Box<dyn reveille_host::Listener>) {
    while let Ok((stream, from)) = listener.accept().await {
        let task = phone(service.clone(), stream, from);
        service.host.tasks.spawn("push-phone", Box::pin(task));
    }
}

async fn phone(service: Arc<Service>, stream: BoxStream, from: SocketAddr) {
    let (read, mut write) = tokio::io::split(stream);
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(4096));
    let first = within(&*service.host.clock, LINE_LIMIT, reader.read_line(&mut line)).await;
    let value: Value = serde_json::from_str(&line).unwrap_or_default();
    let (Some(Ok(_)), Some(token)) = (first, value.get("token").and_then(Value::as_str)) else {
        return service.say(format!("phone {from} gave no line like {{\"token\":\"...\"}}"));
    };
    let mut payloads = service.enrol(token);
    while let Some(payload) = payloads.recv().await {
        let line = format!("{payload}\n");
        let limit = LINE_LIMIT;
        let sent = within(&*service.host.clock, limit, write.write_all(line.as_bytes())).await;
        if !matches!(sent, Some(Ok(()))) {
            service.deliver(token, &payload);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use reveille_trace::Recorder;

    use super::*;

    const GOOD: &str = r#"{"session_id":"S1","application":"demo","token":"t","payload":{"a":1}}"#;

    async fn post(host: &Host, to: &str, body: &'static str) -> u16 {
        let stream = host.net.dial(to).await.unwrap();
        let executor = Executor(host.tasks.clone());
        let built = hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await;
        let (mut send, connection) = built.unwrap();
        host.tasks.spawn("connection", Box::pin(async move { drop(connection.await) }));
        let request = Request::post("http://push/").body(Full::new(Bytes::from(body))).unwrap();
        send.send_request(request).await.unwrap().status().as_u16()
    }

    #[test]
    fn scripted_answers_come_in_order_and_a_phone_gets_what_was_accepted() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let host = reveille_host::real::host();
            let mut requests = host.net.listen("127.0.0.1:0").await.unwrap();
            let mut phones = host.net.listen("127.0.0.1:0").await.unwrap();
            let to = requests.local_addr().unwrap().to_string();
            let state = State {
                script: [Answer::Refuse { status: 503 }, Answer::Drop, Answer::Duplicate].into(),
                ..State::default()
            };
            let recorder = Recorder::keeping();
            let scribe = Scribe::new(recorder.clone(), "push");
            let service =
                Arc::new(Service { host: host.clone(), scribe, state: Mutex::new(state) });
            let own = service.clone();
            let accept = async move {
                while let Ok((stream, _)) = requests.accept().await {
                    own.host.tasks.spawn("connection", Box::pin(serve(own.clone(), stream)));
                }
            };
            host.tasks.spawn("accept", Box::pin(accept));
            assert_eq!(post(&host, &to, r#"{"session_id":"S1","application":"demo"}"#).await, 400);
            assert_eq!(post(&host, &to, GOOD).await, 503);
            assert_eq!(post(&host, &to, GOOD).await, 200);
            assert_eq!(post(&host, &to, GOOD).await, 200);

            let address = phones.local_addr().unwrap().to_string();
            let (dialled, accepted) = tokio::join!(host.net.dial(&address), phones.accept());
            let (stream, from) = accepted.unwrap();
            host.tasks.spawn("phone", Box::pin(phone(service.clone(), stream, from)));
            let mut dialled = dialled.unwrap();
            dialled.write_all(b"{\"token\":\"t\"}\n").await.unwrap();
            let mut lines = BufReader::new(dialled).lines();
            for _ in 0..2 {
                assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("{\"a\":1}"));
            }
            let kinds: Vec<_> = recorder.events().iter().map(|event| event.kind).collect();
            assert_eq!(kinds.iter().filter(|kind| **kind == Kind::PushDropped).count(), 1);
            assert_eq!(kinds.iter().filter(|kind| **kind == Kind::PushReceived).count(), 4);
        });
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = |name: &str| {
            let mut value: Value = serde_json::from_str(GOOD).unwrap();
            value.as_object_mut().unwrap().remove(name);
            read(value.to_string().as_bytes()).err().unwrap()
        };
        for name in ["session_id", "application", "token", "payload"] {
            assert!(without(name).contains(name));
        }
    }
}
