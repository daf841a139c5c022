//! A phone: the operating system's part, which keeps the push channel and starts, kills and wakes
//! the app, and one of two apps: the house's client library, or one written by hand.

mod calls;
mod channel;
mod messages;
mod orders;
pub mod os;
mod process;
mod settings;
mod system;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use reveille_client::SavedState;
use reveille_host::{Host, within};
use reveille_trace::{Draft, Kind, Scribe};
use tokio::sync::mpsc;

pub use orders::{AppCommand, AppEvent, Command, Outgoing};
pub use settings::{AppKind, Conduct, Settings, SleepBy};

use super::plain;
use super::sip::now_us;
use channel::push_channel;
use process::{Process, Told};

/// How long a woken app waits for a call before it sleeps again, if it does so by itself.
const STAY: Duration = Duration::from_secs(5);

enum Input {
    Push(String),
    Command(Command),
    NoMoreCommands,
    App(AppEvent),
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
    os: Option<os::Os>,
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
    let os = settings.os.clone().map(os::Os::new);
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
        os,
    };
    phone.launch();
    loop {
        let dues = phone.answers.iter().chain(&phone.hang_ups).map(|(at, _)| *at);
        let until = dues.chain(phone.sleepy_at).chain(phone.system_due()).min();
        match phone.next(&mut inbox, until).await {
            Some(Input::Push(payload)) => phone.pushed(&payload),
            Some(Input::Command(command)) => phone.told(command).await,
            Some(Input::App(event)) => phone.heard(event).await,
            Some(Input::NoMoreCommands) => {}
            None => {
                phone.answer_due().await;
                phone.hang_up_due().await;
                phone.sleep_due().await;
                phone.system(os::Input::Tick);
            }
        }
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

    async fn told(&mut self, command: Command) {
        self.struck(&command);
        match command {
            Command::Sleep(by) => self.sleep(by).await,
            Command::Open if self.os.is_some() => {
                self.system(os::Input::Order(os::Order::Foreground));
            }
            Command::Open => self.open(),
            Command::Kill => {
                self.end_process();
                self.note(Draft::new(Kind::AppState).with("state", "killed"));
                self.system(os::Input::Ended);
            }
            Command::Os(order) => self.system(os::Input::Order(order)),
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
        let Some((fault, part, _)) = command.fault() else { return };
        let bites = match command {
            Command::DropConnection => self.connected,
            // The operating system tells when.
            Command::Os(_) => false,
            _ => {
                let holds_app = self.os.as_ref().is_some_and(os::Os::holds_app);
                holds_app || !matches!(self.process, Process::None)
            }
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

    async fn heard(&mut self, event: AppEvent) {
        match event {
            AppEvent::Connected => {
                self.connected = true;
                // A woken app stays for the call that it was woken for.
                let stay = if self.launches == 1 { Duration::ZERO } else { STAY };
                self.sleepy_at = Some(self.host.clock.now().mono + stay);
                self.system(os::Input::Connected);
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
            AppEvent::Asleep => {
                self.end_process();
                self.system(os::Input::Slept);
            }
            AppEvent::Over => {
                self.end_process();
                self.system(os::Input::Ended);
            }
        }
    }

    async fn sleep_due(&mut self) {
        if self.sleepy_at.is_some_and(|at| at <= self.host.clock.now().mono) {
            self.sleepy_at = None;
            self.sleep_again().await;
        }
    }
}
