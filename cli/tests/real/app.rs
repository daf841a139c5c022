//! An app on the house's client library that changes and ends calls itself, and tells the test of it.

use std::sync::mpsc;
use std::thread::JoinHandle;

use reveille_client::{Event, Settings, State};
use reveille_host::Host;
use reveille_trace::{Recorder, Scribe};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::bench::{Bench, PATIENCE};

const SDP: &str = "v=0\r\no=app 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 6002 RTP/AVP 0\r\n";

/// What the app does with a call that is established.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Ends it.
    HangsUp,
    /// Changes it, and ends it once that is agreed.
    ChangesAndHangsUp,
    /// Changes it, and leaves it to the other side to change it too and to end it.
    Changes,
}

impl Part {
    const fn changes(self) -> bool {
        matches!(self, Self::Changes | Self::ChangesAndHangsUp)
    }
}

/// What the test is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    Connected,
    Asleep,
    /// A push came.
    Pushed,
    /// A call came.
    Called,
    /// The change that the app wants is agreed.
    Changed,
    /// The other side wants a change, and has it.
    ChangedByPeer,
    /// It was refused what it wants.
    Refused,
    /// A call is over.
    Over,
}

enum Input {
    Event(Event),
    Push(String),
    Sleep,
    Stop,
}

/// An app that runs until it is dropped.
pub(crate) struct App {
    orders: UnboundedSender<Input>,
    moments: mpsc::Receiver<Moment>,
    thread: Option<JoinHandle<()>>,
}

impl App {
    #[expect(clippy::disallowed_methods, reason = "a test may wait for an app on a thread")]
    pub(crate) fn start(bench: &Bench, part: Part) -> Self {
        let (orders, inbox) = unbounded_channel();
        let (tell, moments) = mpsc::channel();
        let settings = Settings::new(&format!("127.0.0.1:{}", bench.ws), "app", "bob", "s")
            .with_token("tok-1", "webhook", "com.example.app");
        let devices = format!("127.0.0.1:{}", bench.devices);
        let own = orders.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let host = reveille_host::real::host();
            let app = Running { part, tell };
            runtime.expect("a runtime").block_on(app.run(host, settings, devices, own, inbox));
        });
        Self { orders, moments, thread: Some(thread) }
    }

    /// Has it go to sleep, and waits until it does.
    pub(crate) fn sleep(&self) {
        self.orders.send(Input::Sleep).expect("the app runs");
        self.wait_for(Moment::Asleep, 1);
    }

    /// Waits until this has come so many times; gives all that came meanwhile.
    pub(crate) fn wait_for(&self, moment: Moment, times: usize) -> Vec<Moment> {
        let mut seen = Vec::new();
        while seen.iter().filter(|other| **other == moment).count() < times {
            let next = self.moments.recv_timeout(PATIENCE);
            seen.push(next.unwrap_or_else(|_| panic!("{moment:?} did not come: {seen:?}")));
        }
        seen
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // It may have ended by itself, and then the test has failed already.
        drop(self.orders.send(Input::Stop));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

struct Running {
    part: Part,
    tell: mpsc::Sender<Moment>,
}

impl Running {
    async fn run(
        self,
        host: Host,
        settings: Settings,
        devices: String,
        own: UnboundedSender<Input>,
        mut inbox: tokio::sync::mpsc::UnboundedReceiver<Input>,
    ) {
        let scribe = Scribe::new(Recorder::passing(), "bob");
        let (app, mut events) = reveille_client::App::start(host.clone(), scribe, settings, None);
        let pushes = pushes(host.clone(), devices, own.clone());
        host.tasks.spawn("pushes", Box::pin(pushes));
        let pass = async move {
            while let Some(event) = events.recv().await {
                drop(own.send(Input::Event(event)));
            }
        };
        host.tasks.spawn("app-events", Box::pin(pass));
        while let Some(input) = inbox.recv().await {
            match input {
                Input::Stop => return,
                Input::Sleep => app.hibernate(Some(3_600)),
                Input::Push(payload) => {
                    self.say(Moment::Pushed);
                    app.wake(payload.as_bytes()).expect("a wake payload");
                }
                Input::Event(event) => self.heard(&app, event),
            }
        }
    }

    fn say(&self, moment: Moment) {
        // The test may have seen enough.
        let _enough: bool = self.tell.send(moment).is_err();
    }

    fn heard(&self, app: &reveille_client::App, event: Event) {
        match event {
            Event::State(State::Connected { .. }) => self.say(Moment::Connected),
            Event::State(State::Hibernated) => self.say(Moment::Asleep),
            // The call that is over is over here first: so it asks again.
            Event::HibernateRefused { .. } => app.hibernate(Some(3_600)),
            Event::Incoming(call) => {
                self.say(Moment::Called);
                app.ring(&call.subsession_id);
                app.answer(&call.subsession_id, SDP);
            }
            Event::CallEstablished { subsession_id } if self.part.changes() => {
                app.change(&subsession_id, SDP);
            }
            Event::CallEstablished { subsession_id } => self.hang_up(app, &subsession_id),
            Event::Changed { subsession_id, .. } => {
                self.say(Moment::Changed);
                if self.part == Part::ChangesAndHangsUp {
                    self.hang_up(app, &subsession_id);
                }
            }
            Event::ChangeAsked { subsession_id, .. } => {
                app.answer(&subsession_id, SDP);
                self.say(Moment::ChangedByPeer);
            }
            Event::CallEnded { .. } => self.say(Moment::Over),
            Event::State(_) | Event::ChangeRefused { .. } => self.say(Moment::Refused),
            _ => {}
        }
    }

    fn hang_up(&self, app: &reveille_client::App, subsession: &str) {
        app.hang_up(subsession);
        self.say(Moment::Over);
    }
}

/// The operating system's channel to the push service: a line for each push.
async fn pushes(host: Host, devices: String, inbox: UnboundedSender<Input>) {
    let mut stream = host.net.dial(&devices).await.expect("the push service is there");
    stream.write_all(b"{\"token\":\"tok-1\"}\n").await.expect("it listens");
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if inbox.send(Input::Push(line)).is_err() {
            return;
        }
    }
}
