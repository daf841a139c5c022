//! The app's process: it is started, ends, and is told things, whichever of the two apps it is.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use reveille_client::{App, Event, Events, State};
use tokio::sync::mpsc;

use super::{AppCommand, AppEvent, AppKind, Phone, os};
use crate::cast::{INBOX, plain};

pub(super) enum Process {
    None,
    Plain(mpsc::Sender<AppCommand>),
    Sdk(App),
}

/// What the app's process tells.
pub(super) enum Told {
    Plain(mpsc::Receiver<AppEvent>),
    Sdk(Events),
}

impl Told {
    /// The next thing it tells; `None` when it has ended.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<AppEvent>> {
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

impl Phone {
    /// The user opens the app for something: it is there at once.
    pub(super) fn open(&mut self) {
        if matches!(self.process, Process::None) {
            self.launch();
            self.system(os::Input::Started);
        }
    }

    pub(super) fn launch(&mut self) {
        self.launches += 1;
        self.connected = false;
        let (host, scribe) = (self.host.clone(), self.scribe.clone());
        match self.settings.app {
            AppKind::Plain => {
                let (send, commands) = mpsc::channel(INBOX);
                let (events, told) = mpsc::channel(INBOX);
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
                settings.ping_s.0 = own.ping_s;
                if let Some(os) = &own.os {
                    os.system.name().clone_into(&mut settings.platform);
                }
                let (app, told) = App::start(host, scribe, settings, self.sdk.clone());
                self.told = Some(Told::Sdk(told));
                self.process = Process::Sdk(app);
            }
        }
    }

    /// The process is gone, and with it what it had in memory.
    pub(super) fn end_process(&mut self) {
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

    pub(super) async fn order(&self, command: AppCommand) {
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
