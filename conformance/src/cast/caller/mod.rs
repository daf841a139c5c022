//! A SIP user agent: it calls and is called, over UDP and TCP, several calls at once, with its own
//! transactions (RFC 3261 17, RFC 3262). The mark of a call stands in the SDP's `s=` line, and in the
//! From user of those that it places, so that whoever sees the call elsewhere can name it.

mod change;
mod incoming;
mod leg;
mod messages;
mod notifier;
mod outgoing;
mod settings;
#[cfg(test)]
mod tests;
mod within;

use std::collections::BTreeMap;
use std::time::Duration;

use reveille_host::Host;
use reveille_trace::{Draft, Kind, Scribe};
use tokio::sync::mpsc;

use super::phone::Conduct;
use super::scan::{Scanned, scan};
use super::sip::{Arrival, Path, Sockets, now_us, response};
use leg::Leg;
use messages::Text;
pub use messages::{Content, Message};
pub use notifier::Notice;
use notifier::Subscription;
pub use settings::{Call, Early, InDialog, Settings};

/// RFC 3261 17.1.1.1: the estimate of a round trip.
const T1: Duration = Duration::from_millis(500);
/// RFC 3261 17.1.2.1: the longest gap between retransmissions of a non-INVITE request.
const T2: Duration = Duration::from_secs(4);
/// RFC 3261: timers B and F.
const GIVE_UP: Duration = Duration::from_secs(32);

/// The name of the fault that loses an answer on its way; it strikes on a call's mark.
pub const LOST: &str = "lose-answer";

/// What a caller can be told. Calls are named by their mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Place a call.
    Call(Call),
    /// Send a message.
    Message(Message),
    /// Tell a subscriber what waits.
    Notify(Notice),
    /// Cancel what was asked last, the call or its change: at once if a provisional response has
    /// come, else when one comes (RFC 3261 9.1).
    Cancel(String),
    /// End it: BYE once it has been answered, and a refusal before.
    HangUp(String),
    /// End every call.
    HangUpAll,
    /// Send the INVITE or the MESSAGE once more, whatever the timers say.
    Retransmit(String),
    /// Want it changed: by re-INVITE, or by UPDATE.
    Change {
        /// Which call.
        mark: String,
        /// By UPDATE.
        update: bool,
        /// Under the CSeq of the request before.
        stale: bool,
    },
    /// Send INFO.
    Info(String),
    /// What becomes from now on of calls, and of what peers want changed in them.
    Conduct(Conduct),
    /// What is said from now on of a call before its answer.
    Early(Early),
    /// From now on requests go to this `host:port`, those of calls under way among them.
    Turn(String),
}

enum Input {
    Socket(Arrival),
    Command(Command),
    NoMoreCommands,
}

impl From<Arrival> for Input {
    fn from(arrival: Arrival) -> Self {
        Self::Socket(arrival)
    }
}

struct Caller {
    host: Host,
    scribe: Scribe,
    settings: Settings,
    sockets: Sockets<Input>,
    legs: Vec<Leg>,
    texts: Vec<Text>,
    subscriptions: Vec<Subscription>,
    /// How many messages wait for whom.
    waiting: BTreeMap<String, u16>,
}

/// Runs until no command can come any more and every call is over.
///
/// # Errors
/// The listening address cannot be opened.
pub async fn run(
    host: Host,
    scribe: Scribe,
    settings: Settings,
    commands: mpsc::Receiver<Command>,
) -> Result<(), String> {
    let (send, mut inbox) = mpsc::channel(super::INBOX);
    let transports = [settings.transport];
    let sockets =
        Sockets::open(host.clone(), scribe.clone(), &settings.listen, &transports, send.clone())
            .await?;
    let forward = super::forward(commands, send, Input::Command, Input::NoMoreCommands);
    host.tasks.spawn("caller-commands", Box::pin(forward));
    let calls = settings.calls.clone();
    let mut caller = Caller {
        host,
        scribe,
        settings,
        sockets,
        legs: Vec::new(),
        texts: Vec::new(),
        subscriptions: Vec::new(),
        waiting: BTreeMap::new(),
    };
    for call in calls {
        caller.place(call).await;
    }
    let mut more_commands = true;
    while more_commands || caller.is_busy() {
        let of_calls = caller.legs.iter().filter_map(Leg::deadline);
        let until = of_calls.chain(caller.repetitions()).min();
        match super::next(&caller.host, &mut inbox, until).await {
            Some(Input::Socket(arrival)) => caller.arrived(arrival).await,
            Some(Input::Command(command)) => caller.told(command).await,
            Some(Input::NoMoreCommands) => more_commands = false,
            None => caller.tick().await,
        }
    }
    Ok(())
}

impl Caller {
    fn now(&self) -> Duration {
        self.host.clock.now().mono
    }

    fn is_busy(&self) -> bool {
        self.legs.iter().any(Leg::is_busy) || self.texts.iter().any(Text::is_busy)
    }

    fn say(&self, call_id: &str, text: String) {
        let draft = Draft::new(Kind::Note).corr(call_id).with("text", text);
        self.scribe.note(now_us(&self.host), draft);
    }

    fn via(&self, branch: &str) -> String {
        let Settings { transport, advertise, .. } = &self.settings;
        let port = self.sockets.port;
        format!("SIP/2.0/{} {advertise}:{port};branch={branch};rport", transport.name())
    }

    fn contact(&self, user: &str) -> String {
        let Settings { transport, advertise, .. } = &self.settings;
        let (port, transport) = (self.sockets.port, transport.name().to_ascii_lowercase());
        format!("<sip:{user}@{advertise}:{port};transport={transport}>")
    }

    fn branch(&self) -> String {
        format!("z9hG4bK{}", self.host.random_hex())
    }

    fn tag(&self) -> String {
        self.host.random_hex()[..16].to_owned()
    }

    async fn told(&mut self, command: Command) {
        match command {
            Command::Call(call) => self.place(call).await,
            Command::Message(message) => self.write(message).await,
            Command::Notify(notice) => self.notify(&notice).await,
            Command::Cancel(mark) => {
                let Some(at) = self.find(&mark) else { return };
                self.cancel(at).await;
            }
            Command::HangUp(mark) => {
                let Some(at) = self.find(&mark) else { return };
                self.hang_up(at).await;
            }
            Command::HangUpAll => {
                for at in 0..self.legs.len() {
                    self.hang_up(at).await;
                }
            }
            Command::Retransmit(mark) if self.is_text(&mark) => self.write_again(&mark).await,
            Command::Retransmit(mark) => {
                let Some(at) = self.find(&mark) else { return };
                let invite = self.legs[at].invite.clone();
                self.send(at, invite).await;
            }
            Command::Change { mark, update, stale } => {
                let Some(at) = self.find(&mark) else { return };
                self.change(at, update, stale).await;
            }
            Command::Info(mark) => {
                let Some(at) = self.find(&mark) else { return };
                self.info(at).await;
            }
            Command::Conduct(conduct) => self.settings.conduct = conduct,
            Command::Early(early) => self.settings.early = early,
            Command::Turn(gateway) => self.turn(&gateway),
        }
    }

    fn find(&self, mark: &str) -> Option<usize> {
        let found = self.legs.iter().rposition(|leg| leg.call.mark == mark);
        if found.is_none() {
            self.say("", format!("no call is marked {mark}"));
        }
        found
    }

    /// Sends on the leg's path; a stream that has ended is dialled anew (RFC 3261 18.1.1).
    async fn send(&mut self, at: usize, bytes: Vec<u8>) {
        if !self.legs[at].path.is_some_and(|path| self.sockets.is_open(path)) {
            let hop = self.legs[at].hop.clone();
            match self.sockets.path_to(&hop, self.settings.transport).await {
                Ok(path) => self.legs[at].path = Some(path),
                Err(what) => return self.say(&self.legs[at].call_id, what),
            }
        }
        let Some(path) = self.legs[at].path else { return };
        self.sockets.send(bytes, path).await;
    }

    async fn tick(&mut self) {
        let now = self.now();
        self.repeat_texts(now).await;
        self.repeat_notices(now).await;
        for at in 0..self.legs.len() {
            let (due, silent) = self.legs[at].due(now);
            for method in silent {
                self.say(&self.legs[at].call_id, format!("no answer to {method} within 32 s"));
            }
            for bytes in due {
                self.send(at, bytes).await;
            }
            if self.legs[at].hang_up_at.is_some_and(|when| when <= now) {
                self.bye(at).await;
            }
            self.tick_asked(at, now).await;
        }
    }

    async fn arrived(&mut self, arrival: Arrival) {
        let Some((bytes, path, _)) = self.sockets.took(arrival) else { return };
        let Some(message) = scan(&bytes) else { return };
        if self.settle(&message) {
            return;
        }
        let at = self.legs.iter().position(|leg| leg.call_id == message.call_id());
        match (message.status(), at) {
            (Some(status), Some(at)) => self.answered(at, status, &message).await,
            (Some(_), None) => {}
            (None, at) => self.asked(at, &message, path).await,
        }
    }

    /// A response to a request of ours.
    async fn answered(&mut self, at: usize, status: u16, message: &Scanned) {
        let leg = &self.legs[at];
        let number = message.cseq_number().unwrap_or_default();
        if leg.change.as_ref().is_some_and(|change| change.is_of(message)) {
            return self.change_answered(at, status, message).await;
        }
        if message.cseq_method() != Some("INVITE") {
            if status >= 200 {
                self.legs[at].other = None;
            }
            return;
        }
        if leg.is_placed && message.branch().as_deref() == Some(leg.branch.as_str()) {
            return self.call_answered(at, status, message).await;
        }
        // A 2xx of a change that was acknowledged comes again.
        if let (200..=299, Some(ack)) = (status, leg.acks.get(&number).cloned()) {
            self.send(at, ack).await;
        }
    }

    async fn reply(&mut self, message: &Scanned, status: u16, more: &[(&str, String)], path: Path) {
        let tag = self.tag();
        self.sockets.send(response(message, status, &tag, more), path).await;
    }
}

/// An SDP that names the call; `version` rises with each change of it (RFC 3264 8).
fn sdp(mark: &str, version: u32) -> String {
    format!(
        "v=0\r\no=- 1 {version} IN IP4 192.0.2.1\r\ns={mark}\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 49170 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )
}
