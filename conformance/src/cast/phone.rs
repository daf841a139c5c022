//! A phone: the operating system's part, which keeps the push channel and starts, kills and wakes
//! the app, and one of two apps: the house's client library, or one written by hand.

mod calls;
mod messages;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use reveille_client::{App, Event, Events, SavedState, State};
use reveille_host::{Host, within};
use reveille_trace::{Draft, Kind, Scribe};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

use super::plain;
use super::sip::now_us;

/// How often the push channel is dialled again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long dialling it may take.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// How long a woken app waits for a call before it sleeps again, if it does so by itself.
const STAY: Duration = Duration::from_secs(5);
/// The longest payload line.
const LINE_LIMIT: u64 = 16 * 1024;

/// How a phone is set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// `host:port` of the gateway's WebSocket.
    pub gateway: String,
    /// Path of the upgrade.
    #[serde(default = "default_path")]
    pub path: String,
    /// Who the app is in its frames: `bob@example.com`.
    pub address: String,
    /// User name for HTTP Basic.
    pub user: String,
    /// Secret for HTTP Basic.
    pub secret: String,
    /// `host:port` of the push service's channel for phones.
    pub push: String,
    /// The device token.
    pub token: String,
    /// The push provider as the gateway names it.
    #[serde(default = "default_provider")]
    pub provider: String,
    /// The application at the push service.
    #[serde(default = "default_app_id")]
    pub app_id: String,
    /// Which app.
    #[serde(default)]
    pub app: AppKind,
    /// Sleep asked for, in seconds.
    #[serde(default = "default_ttl")]
    pub ttl_s: u64,
    /// How it goes to sleep.
    #[serde(default)]
    pub sleep_by: SleepBy,
    /// Whether it goes to sleep by itself whenever it is connected and has no call.
    #[serde(default)]
    pub resleeps: bool,
    /// What it does with a call.
    #[serde(default)]
    pub conduct: Conduct,
}

fn default_path() -> String {
    "/ws/webrtc/app".to_owned()
}
fn default_provider() -> String {
    "webhook".to_owned()
}
fn default_app_id() -> String {
    "com.example.app".to_owned()
}
const fn default_ttl() -> u64 {
    3600
}

/// Which app runs on the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppKind {
    /// The house's client library.
    #[default]
    Sdk,
    /// The one of [`plain`].
    Plain,
}

/// How an app goes to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SleepBy {
    /// It asks, and closes when it is granted.
    #[default]
    Hibernate,
    /// It closes with the sleep code.
    Close,
}

/// What the app does with a call that it alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Conduct {
    /// Answers it.
    Answer {
        /// That many milliseconds after the alert.
        after_ms: u64,
    },
    /// Declines it.
    Decline {
        /// With this SIP status.
        status: u16,
    },
    /// Lets it ring.
    Ring,
}

impl Default for Conduct {
    fn default() -> Self {
        Self::Answer { after_ms: 0 }
    }
}

/// What a phone can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Go to sleep, in this way.
    Sleep(SleepBy),
    /// The user opens the app.
    Open,
    /// The operating system kills the app.
    Kill,
    /// The radio drops the app's connection.
    DropConnection,
    /// The user places a call, and opens the app for it.
    Place(Outgoing),
    /// The user sends a message of this mark to somebody, and opens the app for it.
    Send(String, String),
    /// The app subscribes to the messages that wait at this URI.
    Subscribe(String),
    /// The user ends the call of this mark.
    HangUpCall(String),
    /// The user wants a call changed.
    Change {
        /// Its mark.
        mark: String,
        /// By UPDATE.
        update: bool,
    },
    /// The user ends every call.
    HangUp,
    /// What becomes from now on of calls, and of what others want changed in them.
    Conduct(Conduct),
    /// Ignore pushes, or heed them again.
    IgnorePushes(bool),
    /// From now on connect to this `host:port`.
    Turn(String),
    /// The user signs out: the session ends.
    Close,
}

/// A call that a phone places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its mark; it stands in the SDP's `s=` line.
    pub mark: String,
    /// Whom to call.
    pub to: String,
    /// Hang up that long after the answer; absent: only when told.
    pub hang_up_after_ms: Option<u64>,
}

impl Command {
    /// The name of the fault that it is, and the part of the phone it strikes, if it is one.
    #[must_use]
    pub const fn fault(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Kill => Some(("crash", "app")),
            Self::DropConnection => Some(("drop", "websocket")),
            Self::Sleep(_)
            | Self::Open
            | Self::Place(_)
            | Self::Send(..)
            | Self::Subscribe(_)
            | Self::HangUpCall(_)
            | Self::Change { .. }
            | Self::HangUp
            | Self::Conduct(_)
            | Self::IgnorePushes(_)
            | Self::Turn(_)
            | Self::Close => None,
        }
    }
}

/// What an app can be told by its phone.
#[derive(Debug, Clone)]
pub enum AppCommand {
    /// Ask to sleep that many seconds.
    Hibernate(u64),
    /// Close with the sleep code.
    SleepByClose,
    /// Lose the connection and come back.
    Drop,
    /// End the session.
    Close,
    /// Say that it rings.
    Ring(String),
    /// Place a call under this subsession: to whom, and with which SDP.
    Place(String, String, String),
    /// Send a message under this subsession: to whom, and what.
    Send(String, String, String),
    /// Answer a message with a status.
    AnswerMessage(String, u16),
    /// Subscribe under this subsession to the messages that wait at this URI.
    Subscribe(String, String),
    /// Want a call changed: with which SDP, and whether by UPDATE.
    Change(String, String, bool),
    /// Answer a call, or what was asked in it, with an SDP.
    Answer(String, String),
    /// Decline a call, or what was asked in it, with a status.
    Decline(String, u16),
    /// End a call.
    HangUp(String),
}

/// What an app tells its phone.
#[derive(Debug, Clone)]
pub enum AppEvent {
    /// Connected or resumed.
    Connected,
    /// A call comes in.
    Incoming {
        /// Its subsession.
        call: String,
        /// Who calls.
        initiator: String,
        /// The offer, or nothing.
        sdp: String,
    },
    /// A message comes in, under this subsession.
    Message(String),
    /// A call that was placed is answered.
    Answered(String),
    /// The other side wants a call changed.
    ChangeAsked(String),
    /// It does not any more.
    ChangeCancelled(String),
    /// A call is over.
    Ended {
        /// Its subsession.
        call: String,
        /// Why.
        why: String,
    },
    /// Sleep was refused.
    SleepRefused,
    /// Asleep: the process has ended.
    Asleep,
    /// The session is over: the process has ended.
    Over,
}

enum Input {
    Push(String),
    Command(Command),
    NoMoreCommands,
    App(AppEvent),
}

enum Process {
    None,
    Plain(mpsc::Sender<AppCommand>),
    Sdk(App),
}

/// What the app's process tells.
enum Told {
    Plain(mpsc::Receiver<AppEvent>),
    Sdk(Events),
}

impl Told {
    /// The next thing it tells; `None` when it has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<AppEvent>> {
        match self {
            Self::Plain(events) => events.poll_recv(context),
            Self::Sdk(events) => loop {
                let Some(event) = ready!(events.poll_recv(context)) else {
                    return Poll::Ready(None);
                };
                if let Some(event) = translate(event) {
                    return Poll::Ready(Some(event));
                }
            },
        }
    }
}

struct Phone {
    host: Host,
    scribe: Scribe,
    settings: Settings,
    process: Process,
    told: Option<Told>,
    launches: u64,
    connected: bool,
    ignores: bool,
    /// Marks of the calls it holds, by subsession.
    calls: BTreeMap<String, String>,
    answers: Vec<(Duration, String)>,
    /// Calls that wait for the other side's answer, with what then becomes of them.
    placed: BTreeMap<String, Outgoing>,
    hang_ups: Vec<(Duration, String)>,
    /// When it goes to sleep, if nothing keeps it awake.
    sleepy_at: Option<Duration>,
    plain: Arc<Mutex<plain::Saved>>,
    sdk: Option<SavedState>,
}

/// Runs for ever. The app is started at once.
///
/// # Errors
/// None so far; the signature is that of the cast.
pub async fn run(
    host: Host,
    scribe: Scribe,
    settings: Settings,
    commands: mpsc::Receiver<Command>,
) -> Result<(), String> {
    let (send, mut inbox) = mpsc::channel(super::INBOX);
    let channel = push_channel(host.clone(), settings.clone(), send.clone());
    host.tasks.spawn("phone-push", Box::pin(channel));
    let forward = super::forward(commands, send, Input::Command, Input::NoMoreCommands);
    host.tasks.spawn("phone-commands", Box::pin(forward));
    let mut phone = Phone {
        host,
        scribe,
        settings,
        process: Process::None,
        told: None,
        launches: 0,
        connected: false,
        ignores: false,
        calls: BTreeMap::new(),
        answers: Vec::new(),
        placed: BTreeMap::new(),
        hang_ups: Vec::new(),
        sleepy_at: None,
        plain: Arc::default(),
        sdk: None,
    };
    phone.launch();
    loop {
        let dues = phone.answers.iter().chain(&phone.hang_ups).map(|(at, _)| *at);
        let until = dues.chain(phone.sleepy_at).min();
        match phone.next(&mut inbox, until).await {
            Some(Input::Push(payload)) => phone.pushed(&payload),
            Some(Input::Command(command)) => phone.told(command).await,
            Some(Input::App(event)) => phone.heard(event).await,
            Some(Input::NoMoreCommands) => {}
            None => {
                phone.answer_due().await;
                phone.hang_up_due().await;
                phone.sleep_due().await;
            }
        }
    }
}

/// Keeps the operating system's own connection to the push service.
async fn push_channel(host: Host, settings: Settings, inbox: mpsc::Sender<Input>) {
    while !inbox.is_closed() {
        let dialled = within(&*host.clock, DIAL_LIMIT, host.net.dial(&settings.push)).await;
        if let Some(Ok(mut stream)) = dialled {
            let hello = format!("{}\n", serde_json::json!({"token": settings.token}));
            let said = within(&*host.clock, DIAL_LIMIT, stream.write_all(hello.as_bytes())).await;
            let mut reader = BufReader::new(stream);
            loop {
                if !matches!(said, Some(Ok(()))) {
                    break;
                }
                let mut line = String::new();
                let read = (&mut reader).take(LINE_LIMIT).read_line(&mut line).await;
                if !matches!(read, Ok(1..)) || !line.ends_with('\n') {
                    break;
                }
                if inbox.send(Input::Push(line.trim_end().to_owned())).await.is_err() {
                    return;
                }
            }
        }
        host.sleep(AGAIN).await;
    }
}

impl Phone {
    fn note(&self, draft: Draft) {
        self.scribe.note(now_us(&self.host), draft);
    }

    /// The next input, or `None` at `until`. What the app told before anything else: who is told to
    /// open an app that has just gone to sleep must know that it has.
    async fn next(
        &mut self,
        inbox: &mut mpsc::Receiver<Input>,
        until: Option<Duration>,
    ) -> Option<Input> {
        let (clock, told) = (Arc::clone(&self.host.clock), &mut self.told);
        let input = poll_fn(|context| {
            if let Some(of) = told {
                match of.poll(context) {
                    Poll::Ready(Some(event)) => return Poll::Ready(Some(Input::App(event))),
                    Poll::Ready(None) => *told = None,
                    Poll::Pending => {}
                }
            }
            inbox.poll_recv(context)
        });
        match until {
            // The push channel holds a sender, so that the inbox cannot run dry.
            None => input.await,
            Some(at) => {
                let left = at.saturating_sub(clock.now().mono);
                within(&*clock, left, input).await.flatten()
            }
        }
    }

    fn launch(&mut self) {
        self.launches += 1;
        self.connected = false;
        let (host, scribe) = (self.host.clone(), self.scribe.clone());
        match self.settings.app {
            AppKind::Plain => {
                let (send, commands) = mpsc::channel(super::INBOX);
                let (events, told) = mpsc::channel(super::INBOX);
                let saved = Arc::clone(&self.plain);
                let app = plain::run(host, scribe, self.settings.clone(), saved, commands, events);
                self.host.tasks.spawn("app", Box::pin(app));
                self.told = Some(Told::Plain(told));
                self.process = Process::Plain(send);
            }
            AppKind::Sdk => {
                let own = &self.settings;
                let name = own.path.rsplit('/').next().unwrap_or("app");
                let mut settings =
                    reveille_client::Settings::new(&own.gateway, name, &own.user, &own.secret)
                        .with_token(&own.token, &own.provider, &own.app_id);
                settings.path.clone_from(&own.path);
                settings.ttl_s = Some(own.ttl_s);
                let (app, told) = App::start(host, scribe, settings, self.sdk.clone());
                self.told = Some(Told::Sdk(told));
                self.process = Process::Sdk(app);
            }
        }
    }

    /// The process is gone, and with it what it had in memory.
    fn end_process(&mut self) {
        if let Process::Sdk(app) = &self.process {
            self.sdk = Some(app.saved_state());
        }
        self.process = Process::None;
        self.told = None;
        self.connected = false;
        self.calls.clear();
        self.answers.clear();
        self.placed.clear();
        self.hang_ups.clear();
        self.sleepy_at = None;
    }

    async fn order(&self, command: AppCommand) {
        match (&self.process, command) {
            (Process::None, _) => {}
            (Process::Plain(app), command) => {
                // An app that has just ended says so by its last event.
                drop(app.send(command).await);
            }
            (Process::Sdk(app), AppCommand::Hibernate(ttl_s)) => app.hibernate(Some(ttl_s)),
            (Process::Sdk(app), AppCommand::SleepByClose) => app.sleep_by_close(),
            (Process::Sdk(app), AppCommand::Drop) => app.drop_connection(),
            (Process::Sdk(app), AppCommand::Close) => app.close(),
            (Process::Sdk(app), AppCommand::Change(call, sdp, update)) => match update {
                true => app.update(&call, &sdp),
                false => app.change(&call, &sdp),
            },
            // Its library names the calls that it places.
            (Process::Sdk(_), AppCommand::Place(..)) => {}
            (Process::Sdk(_), AppCommand::Send(..) | AppCommand::Subscribe(..)) => {}
            (Process::Sdk(app), AppCommand::AnswerMessage(id, code)) => {
                app.answer_message(&id, code);
            }
            (Process::Sdk(app), AppCommand::Ring(call)) => app.ring(&call),
            (Process::Sdk(app), AppCommand::Answer(call, sdp)) => app.answer(&call, &sdp),
            (Process::Sdk(app), AppCommand::Decline(call, code)) => {
                app.decline(&call, code, "declined");
            }
            (Process::Sdk(app), AppCommand::HangUp(call)) => app.hang_up(&call),
        }
    }

    async fn told(&mut self, command: Command) {
        self.struck(&command);
        match command {
            Command::Sleep(by) => self.sleep(by).await,
            Command::Open => {
                if matches!(self.process, Process::None) {
                    self.launch();
                }
            }
            Command::Kill => {
                self.end_process();
                self.note(Draft::new(Kind::AppState).with("state", "killed"));
            }
            Command::DropConnection => self.order(AppCommand::Drop).await,
            Command::Place(outgoing) => self.place(outgoing).await,
            Command::Send(mark, to) => self.send(mark, to).await,
            Command::Subscribe(to) => self.subscribe(to).await,
            Command::HangUpCall(mark) => self.hang_up(&mark).await,
            Command::Change { mark, update } => self.change(&mark, update).await,
            Command::HangUp => {
                for call in std::mem::take(&mut self.calls).into_keys() {
                    self.order(AppCommand::HangUp(call)).await;
                }
                self.sleep_again().await;
            }
            Command::Conduct(conduct) => self.settings.conduct = conduct,
            Command::IgnorePushes(ignores) => self.ignores = ignores,
            Command::Turn(gateway) => self.settings.gateway = gateway,
            Command::Close => self.order(AppCommand::Close).await,
        }
    }

    /// A fault strikes an app that runs, and a connection that stands.
    fn struck(&self, command: &Command) {
        let Some((fault, part)) = command.fault() else { return };
        let bites = match command {
            Command::DropConnection => self.connected,
            _ => !matches!(self.process, Process::None),
        };
        if bites {
            let on = format!("{}.{part}", self.scribe.actor());
            self.note(Draft::new(Kind::FaultStruck).with("fault", fault).with("on", on));
        }
    }

    async fn sleep(&self, by: SleepBy) {
        let command = match by {
            SleepBy::Hibernate => AppCommand::Hibernate(self.settings.ttl_s),
            SleepBy::Close => AppCommand::SleepByClose,
        };
        self.order(command).await;
    }

    async fn sleep_again(&self) {
        if self.settings.resleeps && self.connected && self.calls.is_empty() {
            self.sleep(self.settings.sleep_by).await;
        }
    }

    fn pushed(&mut self, payload: &str) {
        let draft = Draft::new(Kind::PushArrived).raw(payload.as_bytes());
        self.note(draft.with("token", self.settings.token.as_str()));
        if !self.ignores && matches!(self.process, Process::None) {
            self.launch();
        }
    }

    async fn heard(&mut self, event: AppEvent) {
        match event {
            AppEvent::Connected => {
                self.connected = true;
                // A woken app stays for the call that it was woken for.
                let stay = if self.launches == 1 { Duration::ZERO } else { STAY };
                self.sleepy_at = Some(self.host.clock.now().mono + stay);
                self.sleep_due().await;
            }
            AppEvent::Incoming { call, initiator, sdp } => self.alert(call, &initiator, &sdp).await,
            AppEvent::Message(message) => self.take_message(message).await,
            AppEvent::Answered(call) => self.answered(call).await,
            AppEvent::ChangeAsked(call) => self.asked(call).await,
            AppEvent::ChangeCancelled(call) => {
                self.answers.retain(|(_, waiting)| *waiting != call);
            }
            AppEvent::Ended { call, why } => {
                self.forget(&call, why);
                self.sleep_again().await;
            }
            AppEvent::SleepRefused => {
                self.sleepy_at = Some(self.host.clock.now().mono + STAY);
            }
            AppEvent::Asleep | AppEvent::Over => self.end_process(),
        }
    }

    async fn sleep_due(&mut self) {
        if self.sleepy_at.is_some_and(|at| at <= self.host.clock.now().mono) {
            self.sleepy_at = None;
            self.sleep_again().await;
        }
    }
}

fn translate(event: Event) -> Option<AppEvent> {
    Some(match event {
        Event::State(State::Connected { .. }) => AppEvent::Connected,
        Event::State(State::Hibernated) => AppEvent::Asleep,
        Event::State(State::Failed { .. } | State::Closed) => AppEvent::Over,
        Event::State(State::Reconnecting)
        | Event::CallEstablished { .. }
        | Event::Ringing { .. }
        | Event::Progress { .. }
        | Event::Changed { .. }
        | Event::ChangeRefused { .. }
        | Event::MessageAnswered { .. }
        | Event::Subscribed { .. }
        | Event::MessagesWaiting { .. }
        | Event::SubscriptionEnded { .. } => return None,
        Event::Message(message) => AppEvent::Message(message.subsession_id),
        Event::Answered { subsession_id, .. } => AppEvent::Answered(subsession_id),
        Event::Refused { subsession_id, code, reason } => {
            AppEvent::Ended { call: subsession_id, why: format!("{code} {reason}") }
        }
        Event::ChangeAsked { subsession_id, .. } => AppEvent::ChangeAsked(subsession_id),
        Event::ChangeCancelled { subsession_id } => AppEvent::ChangeCancelled(subsession_id),
        Event::Incoming(call) => AppEvent::Incoming {
            call: call.subsession_id,
            initiator: call.initiator,
            sdp: call.sdp.unwrap_or_default(),
        },
        Event::CallEnded { subsession_id, why } => AppEvent::Ended { call: subsession_id, why },
        Event::HibernateRefused { .. } => AppEvent::SleepRefused,
    })
}
