//! The second app: JsonRTC written out by hand, with neither the house's wire layer nor its client
//! library, so that a wrong member name on both sides of the house shows. It keeps its numbers as
//! the product's library does: the last inbound number is whatever the latest frame carried, nothing
//! is told apart as a duplicate, a provisional answer goes out before the app is told, and a resume
//! does not say which calls are still held.

mod calls;
mod messages;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{Either, select};
use futures_util::{SinkExt as _, StreamExt as _};
use reveille_host::{BoxStream, Host, within};
use reveille_trace::{Draft, Kind, Scribe};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use calls::Held;

use super::phone::{AppCommand, AppEvent, Settings};
use super::sip::now_us;

/// Keep-alive without and with a call.
const PING: (u64, u64) = (10, 3);
/// How often, and how long, a lost connection is dialled again.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// How long a dial with its upgrade, and a write, may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The close code that means sleep.
const SLEEP: u16 = 4001;

/// What outlives the process, as the product keeps it for hibernation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// The session; empty before the first connect.
    pub session_id: String,
    /// The number of the latest inbound frame.
    pub last_in: u64,
    /// The last number of our own.
    pub last_out: u64,
    /// What the gateway may lack, with its numbers: it waits for them, whoever the process is.
    pub unacknowledged: Vec<(u64, Value)>,
}

struct Plain {
    host: Host,
    scribe: Scribe,
    settings: Settings,
    saved: Arc<Mutex<Saved>>,
    now: Saved,
    calls: BTreeMap<String, Held>,
    /// The `send`s that were not answered.
    messages: BTreeMap<String, Value>,
    events: mpsc::Sender<AppEvent>,
    asked_to_sleep: bool,
    /// The connect on this socket is answered: what is numbered before waits for its turn.
    connected: bool,
    sockets: u64,
}

type Socket = WebSocketStream<BoxStream>;

enum End {
    Lost,
    Asleep,
    Over,
}

enum Woken {
    Command(Option<AppCommand>),
    Message(Option<Message>),
    Quiet,
}

/// Runs one process of the app: until it sleeps, is closed, gives up, or is killed, which is when
/// the sender of its commands goes.
pub async fn run(
    host: Host,
    scribe: Scribe,
    settings: Settings,
    saved: Arc<Mutex<Saved>>,
    mut commands: mpsc::Receiver<AppCommand>,
    events: mpsc::Sender<AppEvent>,
) {
    let now = saved.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut app = Plain {
        host,
        scribe,
        settings,
        saved,
        now,
        calls: BTreeMap::new(),
        messages: BTreeMap::new(),
        events,
        asked_to_sleep: false,
        connected: false,
        sockets: 0,
    };
    loop {
        let Some(mut socket) = app.connect(&commands).await else {
            app.state("failed");
            return app.tell(AppEvent::Over).await;
        };
        match app.serve(&mut socket, &mut commands).await {
            End::Lost => app.state("reconnecting"),
            End::Asleep => {
                app.state("hibernated");
                return app.tell(AppEvent::Asleep).await;
            }
            End::Over => return app.tell(AppEvent::Over).await,
        }
    }
}

impl Plain {
    fn note(&self, draft: Draft) {
        self.scribe.note(now_us(&self.host), draft);
    }

    fn state(&self, state: &'static str) {
        self.note(Draft::new(Kind::AppState).with("state", state));
    }

    async fn tell(&self, event: AppEvent) {
        // A phone that is gone needs no telling.
        drop(self.events.send(event).await);
    }

    fn save(&self) {
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = self.now.clone();
    }

    async fn connect(&mut self, commands: &mpsc::Receiver<AppCommand>) -> Option<Socket> {
        let since = self.host.clock.now().mono;
        loop {
            let what = match within(&*self.host.clock, LIMIT, self.dial()).await {
                Some(Ok(socket)) => {
                    self.sockets += 1;
                    self.note(Draft::new(Kind::WsOpened).with("socket", self.sockets));
                    return Some(socket);
                }
                Some(Err(what)) => what,
                None => "no answer within 10 s".to_owned(),
            };
            self.note(Draft::new(Kind::WsRefused).with("what", what));
            let tried = self.host.clock.now().mono.saturating_sub(since);
            if tried >= RETRY.1 || commands.is_closed() {
                return None;
            }
            self.host.sleep(RETRY.0).await;
        }
    }

    async fn dial(&self) -> Result<Socket, String> {
        let Settings { gateway, path, user, secret, .. } = &self.settings;
        let stream = self.host.net.dial(gateway).await.map_err(|error| error.to_string())?;
        let request = format!("ws://{gateway}{path}").into_client_request();
        let mut request = request.map_err(|error| error.to_string())?;
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")));
        let basic = HeaderValue::from_str(&basic).map_err(|error| error.to_string())?;
        request.headers_mut().insert("Authorization", basic);
        let protocol = HeaderValue::from_static("webrtc.oracle.com");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let upgraded = tokio_tungstenite::client_async(request, stream).await;
        upgraded.map(|(socket, _)| socket).map_err(|error| error.to_string())
    }

    async fn serve(
        &mut self,
        socket: &mut Socket,
        commands: &mut mpsc::Receiver<AppCommand>,
    ) -> End {
        self.connected = false;
        let connect = self.connect_frame();
        if !self.send(socket, connect).await {
            return End::Lost;
        }
        let mut misses = 0;
        loop {
            let seconds = if self.calls.is_empty() { PING.0 } else { PING.1 };
            let due = self.host.clock.now().mono + Duration::from_secs(seconds);
            let woken = {
                let command = pin!(commands.recv());
                let message = pin!(socket.next());
                let alarm = self.host.clock.sleep_until(due);
                match select(command, select(message, alarm)).await {
                    Either::Left((command, _)) => Woken::Command(command),
                    Either::Right((Either::Left((message, _)), _)) => {
                        Woken::Message(message.and_then(Result::ok))
                    }
                    Either::Right((Either::Right(_), _)) => Woken::Quiet,
                }
            };
            let end = match woken {
                // Killed: no goodbye.
                Woken::Command(None) => Some(End::Over),
                Woken::Command(Some(command)) => self.obey(socket, command).await,
                Woken::Message(message) => {
                    misses = 0;
                    self.heard(socket, message).await
                }
                Woken::Quiet => {
                    misses += 1;
                    let alive = misses < 3 && self.write(socket, Message::text("ping")).await;
                    (!alive).then_some(End::Lost)
                }
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    async fn write(&self, socket: &mut Socket, message: Message) -> bool {
        let sent = within(&*self.host.clock, LIMIT, socket.send(message)).await;
        matches!(sent, Some(Ok(())))
    }

    async fn send(&self, socket: &mut Socket, frame: Value) -> bool {
        let text = frame.to_string();
        let draft = Draft::new(Kind::RtcSent).raw(text.as_bytes()).with("socket", self.sockets);
        self.note(draft);
        self.write(socket, Message::text(text)).await
    }

    /// Gives the frame its number and keeps it until it is acknowledged.
    async fn number(&mut self, socket: &mut Socket, mut frame: Value) -> Option<End> {
        self.now.last_out += 1;
        frame["control"]["sequence"] = json!(self.now.last_out);
        self.now.unacknowledged.push((self.now.last_out, frame.clone()));
        self.save();
        let sent = !self.connected || self.send(socket, frame).await;
        (!sent).then_some(End::Lost)
    }

    fn connect_frame(&mut self) -> Value {
        let me = &self.settings.address;
        let token = json!({
            "deviceToken": self.settings.token,
            "capability": {"platform": "android", "push_provider": self.settings.provider,
                "app_id": self.settings.app_id}
        });
        if self.now.session_id.is_empty() {
            self.now.last_out = 1;
            return json!({
                "control": {"type": "request", "package_type": "register", "sequence": 1,
                    "version": "1.0"},
                "header": {"action": "connect", "initiator": me, "target": me},
                "payload": token
            });
        }
        let (low, high) = (self.now.unacknowledged.first(), self.now.unacknowledged.last());
        json!({
            "control": {"type": "request", "package_type": "register",
                "session_id": self.now.session_id, "version": "1.0"},
            "header": {"action": "connect", "initiator": me, "target": me,
                "cslr": self.now.last_in, "cslw": low.map(|(n, _)| n), "csuw": high.map(|(n, _)| n)}
        })
    }

    async fn obey(&mut self, socket: &mut Socket, command: AppCommand) -> Option<End> {
        match command {
            AppCommand::Hibernate(ttl_s) => {
                self.asked_to_sleep = true;
                let me = self.settings.address.clone();
                let frame = json!({
                    "control": {"type": "request", "package_type": "register",
                        "session_id": self.now.session_id, "ack_sequence": self.now.last_in,
                        "correlation_id": format!("c{}", self.now.last_out + 1), "version": "1.0"},
                    "header": {"action": "hibernate", "initiator": me, "target": me, "ttl": ttl_s},
                    "payload": {}
                });
                self.number(socket, frame).await
            }
            AppCommand::SleepByClose => Some(self.fall_asleep(socket).await),
            AppCommand::Drop => Some(End::Lost),
            AppCommand::Close => {
                self.close(socket, 1000, "Normal close").await;
                self.state("closed");
                Some(End::Over)
            }
            // The library has sent its provisional answer already.
            AppCommand::Ring(_) => None,
            AppCommand::Place(call, to, sdp) => self.place(socket, call, &to, &sdp).await,
            AppCommand::Send(id, to, content) => {
                self.send_message(socket, &id, &to, &content).await
            }
            AppCommand::AnswerMessage(id, code) => self.answer_message(socket, &id, code).await,
            AppCommand::Subscribe(id, to) => self.subscribe(socket, &id, &to).await,
            AppCommand::Change(call, sdp, update) => self.change(socket, &call, &sdp, update).await,
            AppCommand::Answer(call, sdp) => self.answer(socket, &call, &sdp).await,
            AppCommand::Decline(call, code) => self.decline(socket, &call, code, "declined").await,
            AppCommand::HangUp(call) => self.hang_up(socket, &call).await,
        }
    }

    async fn fall_asleep(&mut self, socket: &mut Socket) -> End {
        self.close(socket, SLEEP, "hibernate").await;
        self.save();
        End::Asleep
    }

    async fn close(&self, socket: &mut Socket, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        let closed = within(&*self.host.clock, LIMIT, socket.close(Some(frame))).await;
        let draft = Draft::new(Kind::WsClosed).with("socket", self.sockets).with("by", "app");
        self.note(draft.with("code", code));
        if matches!(closed, Some(Ok(()))) {
            // The peer's own close frame ends the handshake; its text is of no interest.
            let ended = |message: Option<_>| !matches!(message, Some(Ok(Message::Text(_))));
            let rest = async { while !ended(socket.next().await) {} };
            let _ended = within(&*self.host.clock, Duration::from_secs(2), rest).await;
        }
    }

    async fn heard(&mut self, socket: &mut Socket, message: Option<Message>) -> Option<End> {
        let text = match message {
            Some(Message::Text(text)) => text,
            Some(Message::Close(frame)) => {
                let code = frame.map(|frame| u16::from(frame.code));
                let draft = Draft::new(Kind::WsClosed).with("socket", self.sockets);
                let draft = draft.with("by", "gateway");
                self.note(code.map_or(draft.clone(), |code| draft.with("code", code)));
                return Some(match code {
                    Some(4001 | 4002) => End::Asleep,
                    Some(1000 | 1001 | 4003) => End::Over,
                    _ => End::Lost,
                });
            }
            None => {
                self.note(Draft::new(Kind::WsClosed).with("socket", self.sockets));
                return Some(End::Lost);
            }
            Some(_) => return None,
        };
        if text.as_str() == "pong" {
            return None;
        }
        let draft = Draft::new(Kind::RtcReceived).raw(text.as_bytes());
        self.note(draft.with("socket", self.sockets));
        let frame: Value = serde_json::from_str(text.as_str()).ok()?;
        let control = &frame["control"];
        if let Some(number) = control["sequence"].as_u64() {
            self.now.last_in = number;
        }
        if let Some(all) = control["ack_sequence"].as_u64() {
            self.now.unacknowledged.retain(|(number, _)| *number > all);
        }
        self.save();
        match (control["package_type"].as_str(), control["type"].as_str()) {
            (Some("call"), _) => self.about_call(socket, &frame).await,
            (Some("messaging"), Some("request")) => self.about_message(frame).await,
            (Some("messaging" | "message_notification"), _) => None,
            (_, Some("response" | "error")) => self.about_session(socket, &frame).await,
            _ => None,
        }
    }

    async fn about_session(&mut self, socket: &mut Socket, frame: &Value) -> Option<End> {
        let failed = frame["control"]["type"] == "error";
        match frame["header"]["action"].as_str() {
            Some("connect") if failed => Some(End::Over),
            Some("connect") => {
                let id = frame["control"]["session_id"].as_str().unwrap_or_default();
                if self.now.session_id != id {
                    self.now.last_out = 1;
                    id.clone_into(&mut self.now.session_id);
                    self.calls.clear();
                    self.now.unacknowledged.clear();
                }
                let have = frame["header"]["sslr"].as_u64().unwrap_or(0);
                self.now.unacknowledged.retain(|(number, _)| *number > have);
                self.save();
                self.connected = true;
                self.state("connected");
                self.tell(AppEvent::Connected).await;
                for (_, frame) in self.now.unacknowledged.clone() {
                    if !self.send(socket, frame).await {
                        return Some(End::Lost);
                    }
                }
                None
            }
            Some("hibernate") if failed => {
                self.asked_to_sleep = false;
                self.tell(AppEvent::SleepRefused).await;
                None
            }
            Some("hibernate") if self.asked_to_sleep => Some(self.fall_asleep(socket).await),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use reveille_trace::Recorder;
    use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

    use super::*;

    /// The server's end of one WebSocket, opened as a gateway would.
    async fn opened(listener: &mut Box<dyn reveille_host::Listener>) -> Socket {
        let (stream, _) = listener.accept().await.unwrap();
        #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let echo = |request: &Request, mut response: Response| {
            assert_eq!(request.headers()["Authorization"], "Basic Ym9iOnM=");
            let protocol = request.headers()["Sec-WebSocket-Protocol"].clone();
            response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
            Ok(response)
        };
        tokio_tungstenite::accept_hdr_async(stream, echo).await.unwrap()
    }

    async fn told(socket: &mut Socket) -> Value {
        let message = socket.next().await.unwrap().unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    async fn say(socket: &mut Socket, frame: Value) {
        socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    #[test]
    fn it_connects_sleeps_resumes_rings_and_answers() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let host = reveille_host::real::host();
            let mut listener = host.net.listen("127.0.0.1:0").await.unwrap();
            let text = format!(
                "gateway = '{}'\naddress = 'bob@example.com'\nuser = 'bob'\nsecret = 's'\n\
                 push = 'unused'\ntoken = 't'\napp = 'plain'",
                listener.local_addr().unwrap()
            );
            let settings: Settings = toml::from_str(&text).unwrap();
            let saved = Arc::<Mutex<Saved>>::default();
            let start = || {
                let (order, commands) = mpsc::channel(8);
                let (events, tell) = mpsc::channel(8);
                let scribe = Scribe::new(Recorder::keeping(), "bob");
                let (settings, saved) = (settings.clone(), saved.clone());
                let app = run(host.clone(), scribe, settings, saved, commands, events);
                host.tasks.spawn("app", Box::pin(app));
                (order, tell)
            };
            let (order, mut tell) = start();
            let mut socket = opened(&mut listener).await;
            let connect = told(&mut socket).await;
            assert_eq!(connect["control"]["sequence"], 1);
            assert_eq!(connect["payload"]["deviceToken"], "t");
            let answer = json!({"control": {"type": "response", "package_type": "register",
                "session_id": "S1", "sequence": 1, "ack_sequence": 1},
                "header": {"action": "connect", "response_code": 200}});
            say(&mut socket, answer).await;
            assert!(matches!(tell.recv().await, Some(AppEvent::Connected)));
            order.send(AppCommand::Hibernate(60)).await.unwrap();
            let sleep = told(&mut socket).await;
            assert_eq!(
                (&sleep["control"]["sequence"], &sleep["header"]["ttl"]),
                (&json!(2), &json!(60))
            );
            let granted = json!({"control": {"type": "response", "package_type": "register",
                "session_id": "S1", "sequence": 2, "ack_sequence": 2},
                "header": {"action": "hibernate", "response_code": 200, "ttl": 60}});
            say(&mut socket, granted).await;
            let close = socket.next().await.unwrap().unwrap();
            assert!(matches!(close, Message::Close(Some(frame)) if u16::from(frame.code) == SLEEP));
            while let Some(Ok(_)) = socket.next().await {}
            assert!(matches!(tell.recv().await, Some(AppEvent::Asleep)));

            let (order, mut tell) = start();
            let mut socket = opened(&mut listener).await;
            let resume = told(&mut socket).await;
            assert_eq!(resume["control"]["session_id"], "S1");
            assert!(resume["control"].get("sequence").is_none());
            assert_eq!(
                (&resume["header"]["cslr"], &resume["header"]["cslw"]),
                (&json!(2), &json!(null))
            );
            let resumed = json!({"control": {"type": "response", "package_type": "register",
                "session_id": "S1", "ack_sequence": 2},
                "header": {"action": "connect", "response_code": 200, "sslr": 2}});
            say(&mut socket, resumed).await;
            let ring = json!({"control": {"type": "request", "package_type": "call",
                "session_id": "S1", "subsession_id": "x", "sequence": 3, "correlation_id": "s3"},
                "header": {"action": "start", "initiator": "a@b", "target": "bob@example.com"},
                "payload": {"sdp": "v=0"}});
            say(&mut socket, ring).await;
            let ringing = told(&mut socket).await;
            assert_eq!(ringing["control"]["message_state"], "subsequent");
            assert_eq!(ringing["control"]["sequence"], 3);
            assert!(matches!(tell.recv().await, Some(AppEvent::Connected)));
            assert!(matches!(tell.recv().await, Some(AppEvent::Incoming { .. })));
            order.send(AppCommand::Answer("x".to_owned(), "v=0".to_owned())).await.unwrap();
            let answered = told(&mut socket).await;
            assert_eq!(answered["control"]["message_state"], "final");
            assert_eq!(answered["control"]["correlation_id"], "s3");
            assert_eq!(answered["payload"]["sdp"], "v=0");
            order.send(AppCommand::SleepByClose).await.unwrap();
            while let Some(Ok(_)) = socket.next().await {}
            assert!(matches!(tell.recv().await, Some(AppEvent::Asleep)));

            // The gateway has the first of the two only.
            let (order, _tell) = start();
            let mut socket = opened(&mut listener).await;
            let resume = told(&mut socket).await;
            let window = ["cslr", "cslw", "csuw"].map(|name| resume["header"][name].as_u64());
            assert_eq!(window, [Some(3), Some(3), Some(4)]);
            let resumed = json!({"control": {"type": "response", "package_type": "register",
                "session_id": "S1", "ack_sequence": 3},
                "header": {"action": "connect", "response_code": 200, "sslr": 3}});
            say(&mut socket, resumed).await;
            assert_eq!(told(&mut socket).await, answered, "it is said again, as it was");
            drop(order);
            assert!(!matches!(socket.next().await, Some(Ok(Message::Close(_)))));
        });
    }
}
