use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use reveille_host::Host;
use reveille_trace::Scribe;
use reveille_wire::push::{BadPayload, WakePayload};
use tokio::sync::mpsc;

use crate::connection::{self, Command};
use crate::session::Session;
use crate::state::{Event, SavedState};

/// Where the gateway is, and who the app is.
#[derive(Clone)]
pub struct Settings {
    /// `host:port` of the gateway's WebSocket.
    pub gateway: String,
    /// Path of the upgrade.
    pub path: String,
    /// User name for HTTP Basic.
    pub user: String,
    /// Secret for HTTP Basic.
    pub secret: String,
    /// The token from the push service.
    pub token: Option<String>,
    /// `ios`, `android` or `web`.
    pub platform: String,
    /// The push provider as the gateway names it.
    pub push_provider: String,
    /// The application at the push service.
    pub app_id: String,
    /// Sleep asked for where none is named, in seconds.
    pub ttl_s: Option<u64>,
    /// Seconds of silence after which it pings, without a call and with one. The gateway must allow
    /// more.
    pub ping_s: (u64, u64),
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}{}", self.user, self.gateway, self.path)
    }
}

impl Settings {
    /// An app named `app` (the last segment of the path) at `gateway`, without a push token.
    #[must_use]
    pub fn new(gateway: &str, app: &str, user: &str, secret: &str) -> Self {
        Self {
            gateway: gateway.to_owned(),
            path: format!("/ws/webrtc/{app}"),
            user: user.to_owned(),
            secret: secret.to_owned(),
            token: None,
            platform: "android".to_owned(),
            push_provider: "webhook".to_owned(),
            app_id: app.to_owned(),
            ttl_s: None,
            ping_s: (10, 3),
        }
    }

    /// Adds the push token and where it belongs.
    #[must_use]
    pub fn with_token(mut self, token: &str, push_provider: &str, app_id: &str) -> Self {
        self.token = Some(token.to_owned());
        push_provider.clone_into(&mut self.push_provider);
        app_id.clone_into(&mut self.app_id);
        self
    }
}

/// A running app. Dropping it ends the connection without a word.
#[derive(Clone)]
pub struct App {
    host: Host,
    commands: mpsc::UnboundedSender<Command>,
    saved: Arc<Mutex<SavedState>>,
}

/// What the app is told, in order.
pub struct Events(mpsc::UnboundedReceiver<Event>);

impl Events {
    /// The next event; `None` once the session is over.
    pub async fn recv(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// As [`recv`](Self::recv), for who waits for other things as well.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_recv(context)
    }
}

impl App {
    /// Connects, or comes back to the session that `saved` names. The app's own calls to the
    /// methods below are its only bound on what is queued.
    #[must_use]
    pub fn start(
        host: Host,
        scribe: Scribe,
        settings: Settings,
        saved: Option<SavedState>,
    ) -> (Self, Events) {
        let (commands, orders) = mpsc::unbounded_channel();
        let (events, told) = mpsc::unbounded_channel();
        let saved_now = Arc::new(Mutex::new(saved.clone().unwrap_or_default()));
        let session = Session::new(settings.clone(), saved);
        let tasks = Arc::clone(&host.tasks);
        let shared = Arc::clone(&saved_now);
        tasks.spawn(
            "app",
            Box::pin(connection::run(
                host.clone(),
                scribe,
                settings,
                session,
                orders,
                events,
                shared,
            )),
        );
        (Self { host, commands, saved: saved_now }, Events(told))
    }

    fn order(&self, command: Command) {
        // The session may be over already; the app learns that from its events.
        drop(self.commands.send(command));
    }

    /// Gives the gateway a new push token: now if connected, else with the next resume.
    pub fn set_device_token(&self, token: &str) {
        self.order(Command::Token(token.to_owned()));
    }

    /// Asks to sleep for `ttl_s` seconds; [`State::Hibernated`](crate::State::Hibernated) or
    /// [`Event::HibernateRefused`] follows.
    pub fn hibernate(&self, ttl_s: Option<u64>) {
        self.order(Command::Hibernate(ttl_s));
    }

    /// Sleeps by closing with the sleep code, without asking.
    pub fn sleep_by_close(&self) {
        self.order(Command::SleepByClose);
    }

    /// Hands in what a push brought, and comes back to the session if it sleeps.
    ///
    /// # Errors
    /// The bytes are no wake payload. The app comes back all the same: a push means that something
    /// waits, whatever became of its content.
    pub fn wake(&self, payload: &[u8]) -> Result<WakePayload, BadPayload> {
        self.order(Command::Resume);
        WakePayload::from_json(payload)
    }

    /// Comes back to the session, because the user opened the app.
    pub fn resume(&self) {
        self.order(Command::Resume);
    }

    /// Tells the caller that it rings.
    pub fn ring(&self, subsession_id: &str) {
        self.order(Command::Ring(subsession_id.to_owned()));
    }

    /// Places a call to `target` (`user@host`, a `sip:` URI or a telephone number) and says under
    /// which subsession its events will come: [`Event::Ringing`], [`Event::Progress`], then
    /// [`Event::Answered`] or [`Event::Refused`]. An app that sleeps comes back for it.
    #[must_use]
    pub fn call(&self, target: &str, sdp: &str) -> String {
        let subsession_id = uuid(&self.host.random_hex());
        self.order(Command::Place(subsession_id.clone(), target.to_owned(), sdp.to_owned()));
        subsession_id
    }

    /// Sends a message to `target` and says under which subsession [`Event::MessageAnswered`] will
    /// tell what became of it. An app that sleeps comes back for it.
    #[must_use]
    pub fn send(&self, target: &str, content: &str) -> String {
        let subsession_id = uuid(&self.host.random_hex());
        self.order(Command::Send(subsession_id.clone(), target.to_owned(), content.to_owned()));
        subsession_id
    }

    /// Accepts a message that came with 200, or refuses it with another SIP status.
    pub fn answer_message(&self, subsession_id: &str, code: u16) {
        self.order(Command::AnswerMessage(subsession_id.to_owned(), code));
    }

    /// Wants to know of the messages that wait at `target`, asleep too: [`Event::Subscribed`] and
    /// [`Event::MessagesWaiting`] come under the subsession that it gives.
    #[must_use]
    pub fn subscribe(&self, target: &str) -> String {
        let subsession_id = uuid(&self.host.random_hex());
        self.order(Command::Subscribe(subsession_id.clone(), target.to_owned()));
        subsession_id
    }

    /// Wants a call that stands changed to this offer; [`Event::Changed`] or
    /// [`Event::ChangeRefused`] follows.
    pub fn change(&self, subsession_id: &str, sdp: &str) {
        self.order(Command::Change(subsession_id.to_owned(), sdp.to_owned(), false));
    }

    /// As [`App::change`], by a SIP UPDATE.
    pub fn update(&self, subsession_id: &str, sdp: &str) {
        self.order(Command::Change(subsession_id.to_owned(), sdp.to_owned(), true));
    }

    /// Answers a call, or what the other side wants changed in it.
    pub fn answer(&self, subsession_id: &str, sdp: &str) {
        self.order(Command::Answer(subsession_id.to_owned(), sdp.to_owned()));
    }

    /// Declines a call, or what the other side wants changed in it, with a SIP status: 603, 486, ...
    pub fn decline(&self, subsession_id: &str, code: u16, reason: &str) {
        self.order(Command::Decline(subsession_id.to_owned(), code, reason.to_owned()));
    }

    /// Ends a call, answered or not.
    pub fn hang_up(&self, subsession_id: &str) {
        self.order(Command::HangUp(subsession_id.to_owned()));
    }

    /// Ends the session.
    pub fn close(&self) {
        self.order(Command::Close);
    }

    /// Drops the connection without a word and tries to come back, as a radio gap would.
    pub fn drop_connection(&self) {
        self.order(Command::Drop);
    }

    /// What resuming needs, as of now: each number of ours is in it before its frame leaves. Store it
    /// whenever an event came; with an older one a process goes on from what the gateway says it has.
    #[must_use]
    pub fn saved_state(&self) -> SavedState {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The text of a UUID of version 4 from 32 random hexadecimal digits (RFC 4122 section 4.4).
fn uuid(hex: &str) -> String {
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
