//! The session's socket: dialling, the WebSocket, keep-alive, coming back.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{Either, select};
use futures_util::{SinkExt, StreamExt};
use reveille_host::{BoxStream, Host, within};
use reveille_trace::{Draft, Kind, Scribe};
use reveille_wire::jsonrtc::{SUBPROTOCOL, close};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, protocol::WebSocketConfig};

use crate::app::Settings;
use crate::session::Session;
use crate::state::{Event, SavedState, State};

/// What the app may ask for.
#[derive(Debug)]
pub(crate) enum Command {
    Token(String),
    Hibernate(Option<u64>),
    SleepByClose,
    Resume,
    /// Subsession, target, SDP.
    Place(String, String, String),
    /// Subsession, SDP, and whether by UPDATE.
    Change(String, String, bool),
    /// Subsession, target, content.
    Send(String, String, String),
    /// Subsession, SIP status.
    AnswerMessage(String, u16),
    /// Subsession, target.
    Subscribe(String, String),
    Ring(String),
    Answer(String, String),
    Decline(String, u16, String),
    HangUp(String),
    Close,
    Drop,
}

/// Missed answers after which the link counts as dead.
const MISSES: u32 = 2;
/// How often, and for how long, a lost connection is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// A push for a session that believes itself connected says that the gateway does not: its link
/// has this long to show that it lives.
const PROBE: Duration = Duration::from_secs(2);
/// How long a dial and the upgrade may take.
const DIAL: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<BoxStream>;

/// How a connection ended, or why there is none.
enum End {
    /// The first connection, or a lost one: try (again).
    Lost,
    /// The app sleeps.
    Asleep,
    /// The sleep is over: come back.
    Wanted,
    /// It is over, and this is what the app is told.
    Over(State),
    /// It is over, and nobody listens.
    Silent,
}

struct Connection {
    host: Host,
    scribe: Scribe,
    settings: Settings,
    session: Session,
    orders: mpsc::UnboundedReceiver<Command>,
    events: mpsc::UnboundedSender<Event>,
    saved: Arc<Mutex<SavedState>>,
    sockets: u64,
}

pub(crate) async fn run(
    host: Host,
    scribe: Scribe,
    settings: Settings,
    session: Session,
    orders: mpsc::UnboundedReceiver<Command>,
    events: mpsc::UnboundedSender<Event>,
    saved: Arc<Mutex<SavedState>>,
) {
    let mut connection =
        Connection { host, scribe, settings, session, orders, events, saved, sockets: 0 };
    let mut end = connection.connect_and_serve().await;
    loop {
        // Told only here, when the socket of the connection that ended is closed and gone.
        end = match end {
            End::Silent => return,
            End::Over(state) => return connection.tell(Event::State(state)),
            End::Asleep => {
                connection.tell(Event::State(State::Hibernated));
                connection.sleep().await
            }
            End::Lost => {
                connection.tell(Event::State(State::Reconnecting));
                connection.connect_and_serve().await
            }
            End::Wanted => connection.connect_and_serve().await,
        };
    }
}

impl Connection {
    fn note(&self, draft: Draft) {
        let mono_us = self.host.clock.now().mono.as_micros();
        self.scribe.note(u64::try_from(mono_us).unwrap_or(u64::MAX), draft);
    }

    /// What outlives the process is known before anything that rests on it leaves.
    fn save(&self) {
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = self.session.saved().clone();
    }

    fn tell(&self, event: Event) {
        self.save();
        if let Event::State(state) = &event {
            self.note(Draft::new(Kind::AppState).with("state", state.name()));
        }
        // An app that stopped listening is told nothing.
        drop(self.events.send(event));
    }

    /// Asleep: no socket and no traffic, until the app wants to be back.
    async fn sleep(&mut self) -> End {
        self.session.slept();
        loop {
            match self.orders.recv().await {
                Some(Command::Resume) => return End::Wanted,
                Some(Command::Token(token)) => self.session.set_token(token),
                Some(Command::Place(id, target, sdp)) => {
                    // It is kept until the gateway has it, and leaves when the session is back.
                    drop(self.session.place(&id, &target, &sdp));
                    return End::Wanted;
                }
                Some(Command::Send(id, target, content)) => {
                    drop(self.session.send(&id, &target, &content));
                    return End::Wanted;
                }
                Some(Command::Subscribe(id, target)) => {
                    drop(self.session.subscribe(&id, &target));
                    return End::Wanted;
                }
                Some(Command::Close) => return End::Over(State::Closed),
                Some(_) => {}
                None => return End::Silent,
            }
        }
    }

    async fn connect_and_serve(&mut self) -> End {
        let since = self.host.clock.now().mono;
        loop {
            let dialled = within(&*self.host.clock, DIAL, self.dial()).await;
            if self.orders.is_closed() && self.orders.is_empty() {
                // The app was dropped meanwhile, and another may have its session by now.
                return End::Silent;
            }
            match dialled {
                Some(Ok(socket)) => return self.serve(socket).await,
                Some(Err(why)) => self.note(Draft::new(Kind::WsRefused).with("what", why)),
                None => {
                    let draft = Draft::new(Kind::WsRefused).with("what", "no answer within 10 s");
                    self.note(draft);
                }
            }
            if self.host.clock.now().mono - since >= RETRY.1 {
                return End::Over(State::Failed { why: "no connection for 60 s".to_owned() });
            }
            self.host.sleep(RETRY.0).await;
        }
    }

    async fn dial(&self) -> Result<Socket, String> {
        let stream = self.host.net.dial(&self.settings.gateway).await;
        let stream = stream.map_err(|error| format!("dial: {error}"))?;
        let request = self.upgrade().map_err(|error| format!("settings: {error}"))?;
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = 4 * 1024;
        let upgraded =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
        upgraded.map(|(socket, _)| socket).map_err(|error| format!("upgrade: {error}"))
    }

    fn upgrade(&self) -> Result<Request<()>, String> {
        let url = format!("ws://{}{}", self.settings.gateway, self.settings.path);
        let mut request = url.into_client_request().map_err(|error| error.to_string())?;
        let basic = format!("{}:{}", self.settings.user, self.settings.secret);
        let basic = format!("Basic {}", STANDARD.encode(basic));
        let basic = HeaderValue::from_str(&basic).map_err(|error| error.to_string())?;
        request.headers_mut().insert("Authorization", basic);
        let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
        request.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol);
        Ok(request)
    }

    /// One connection, from its upgrade to its end.
    async fn serve(&mut self, mut socket: Socket) -> End {
        self.sockets += 1;
        self.note(Draft::new(Kind::WsOpened).with("socket", self.sockets));
        let first = self.session.open();
        let mut end = self.say(&mut socket, first).await;
        let (mut active, mut misses, mut probe) = (self.host.clock.now().mono, 0, None);
        while end.is_none() {
            let (quiet_s, busy_s) = self.settings.ping_s;
            let interval_s = if self.session.is_busy() { busy_s } else { quiet_s };
            let interval = Duration::from_secs(interval_s);
            let due = probe.unwrap_or(self.host.clock.now().mono + interval);
            let alarm = self.host.clock.sleep_until(due);
            let heard = {
                let order = pin!(self.orders.recv());
                let message = pin!(socket.next());
                match select(order, select(message, alarm)).await {
                    Either::Left((order, _)) => Woken::Order(order),
                    Either::Right((Either::Left((message, _)), _)) => Woken::Message(message),
                    Either::Right((Either::Right(_), _)) => Woken::Quiet,
                }
            };
            end = match heard {
                Woken::Order(Some(Command::Resume)) => {
                    probe = probe.or(Some(self.host.clock.now().mono + PROBE));
                    self.ping(&mut socket).await
                }
                Woken::Order(order) => self.obey(&mut socket, order).await,
                Woken::Quiet if probe.is_some() => Some(self.lost(None)),
                Woken::Message(message) => {
                    (active, misses, probe) = (self.host.clock.now().mono, 0, None);
                    self.take(&mut socket, message).await
                }
                Woken::Quiet => {
                    let silent = self.host.clock.now().mono.saturating_sub(active);
                    misses += u32::from(silent > interval.mul_f64(1.2));
                    if misses >= MISSES {
                        Some(self.lost(None))
                    } else {
                        self.ping(&mut socket).await
                    }
                }
            };
        }
        end.unwrap_or(End::Silent)
    }

    async fn ping(&mut self, socket: &mut Socket) -> Option<End> {
        if let Some(text) = self.session.acknowledgement() {
            let end = self.say(socket, text).await;
            if end.is_some() {
                return end;
            }
        }
        self.say(socket, "ping".to_owned()).await
    }

    async fn say(&mut self, socket: &mut Socket, text: String) -> Option<End> {
        let draft = Draft::new(Kind::RtcSent).with("socket", self.sockets).raw(text.as_bytes());
        self.note(draft);
        self.save();
        match socket.send(Message::text(text)).await {
            Ok(()) => None,
            Err(_) => Some(self.lost(None)),
        }
    }

    fn lost(&self, code: Option<u16>) -> End {
        let mut draft = Draft::new(Kind::WsClosed).with("socket", self.sockets).with("by", "peer");
        if let Some(code) = code {
            draft = draft.with("code", code);
        }
        self.note(draft);
        match code {
            Some(close::HIBERNATE | close::HIBERNATED_BY_SERVER) => End::Asleep,
            Some(close::HANDOVER) => {
                let why = "another device or socket has the session".to_owned();
                End::Over(State::Failed { why })
            }
            Some(close::NORMAL) => End::Over(State::Closed),
            Some(_) | None => End::Lost,
        }
    }

    async fn take<E>(
        &mut self,
        socket: &mut Socket,
        message: Option<Result<Message, E>>,
    ) -> Option<End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| u16::from(frame.code));
                return Some(self.lost(code));
            }
            Some(Ok(_)) => return None,
            Some(Err(_)) | None => return Some(self.lost(None)),
        };
        let draft = Draft::new(Kind::RtcReceived).with("socket", self.sockets);
        self.note(draft.raw(text.as_bytes()));
        let heard = self.session.hear(text.as_str());
        let mut failed = false;
        for event in heard.events {
            failed |= matches!(event, Event::State(State::Failed { .. }));
            self.tell(event);
        }
        for text in heard.say {
            let end = self.say(socket, text).await;
            if end.is_some() {
                return end;
            }
        }
        match heard.close {
            Some(code) => Some(self.close(socket, code, failed).await),
            None => None,
        }
    }

    async fn close(&mut self, socket: &mut Socket, code: u16, failed: bool) -> End {
        let reason = if code == close::HIBERNATE { "hibernate" } else { "Normal close" };
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        // The other side may be gone already; either way this connection is over.
        drop(socket.close(Some(frame)).await);
        let draft = Draft::new(Kind::WsClosed).with("socket", self.sockets).with("code", code);
        self.note(draft.with("by", "app"));
        match code {
            close::HIBERNATE => End::Asleep,
            // What failed was told when it failed.
            _ if failed => End::Silent,
            _ => End::Over(State::Closed),
        }
    }

    async fn obey(&mut self, socket: &mut Socket, order: Option<Command>) -> Option<End> {
        let text = match order {
            None => return Some(End::Silent),
            Some(Command::Resume) => None,
            Some(Command::Token(token)) => {
                // A token travels with a connect only: come back with it.
                self.session.set_token(token);
                return Some(self.lost(None));
            }
            Some(Command::Hibernate(ttl_s)) => Some(self.session.hibernate(ttl_s)),
            Some(Command::SleepByClose) => {
                return Some(self.close(socket, close::HIBERNATE, false).await);
            }
            Some(Command::Place(id, to, sdp)) => Some(self.session.place(&id, &to, &sdp)),
            Some(Command::Change(id, sdp, update)) => self.session.change(&id, &sdp, update),
            Some(Command::Send(id, to, content)) => Some(self.session.send(&id, &to, &content)),
            Some(Command::AnswerMessage(id, code)) => self.session.answer_message(&id, code),
            Some(Command::Subscribe(id, to)) => Some(self.session.subscribe(&id, &to)),
            Some(Command::Ring(id)) => self.session.ring(&id),
            Some(Command::Answer(id, sdp)) => self.session.answer(&id, &sdp),
            Some(Command::Decline(id, code, reason)) => self.session.decline(&id, code, &reason),
            Some(Command::HangUp(id)) => self.session.hang_up(&id),
            Some(Command::Close) => return Some(self.close(socket, close::NORMAL, false).await),
            Some(Command::Drop) => return Some(self.lost(None)),
        };
        match text.filter(|_| self.session.is_connected()) {
            Some(text) => self.say(socket, text).await,
            None => None,
        }
    }
}

/// What ended a wait.
enum Woken<M> {
    Order(Option<Command>),
    Message(M),
    Quiet,
}
