//! A SIP caller: INVITE with its own client transactions (RFC 3261 17.1.1), ACK, CANCEL, BYE, over
//! UDP and TCP, several calls at once. The mark of a call stands in the From user and in the SDP's
//! `s=` line, so that whoever sees the call elsewhere can name it.

use std::time::Duration;

use reveille_host::Host;
use reveille_trace::{Draft, Kind, Scribe};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::scan::{Scanned, param, scan, uri};
use super::sip::{Arrival, Path, Sockets, Transport, now_us, request, response};

/// RFC 3261 17.1.1.1: the estimate of a round trip.
const T1: Duration = Duration::from_millis(500);
/// RFC 3261 17.1.2.1: the longest gap between retransmissions of a non-INVITE request.
const T2: Duration = Duration::from_secs(4);
/// RFC 3261: timers B and F.
const GIVE_UP: Duration = Duration::from_secs(32);

/// The name of the fault that loses an answer on its way; it strikes on a call's mark.
pub const LOST: &str = "lose-answer";

/// How a caller is set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// `address:port` to be reached at; port 0 takes any.
    #[serde(default = "default_listen")]
    pub listen: String,
    /// The host that Via and Contact name.
    pub advertise: String,
    /// `host:port` that requests are sent to.
    pub gateway: String,
    /// What they are sent over.
    #[serde(default)]
    pub transport: Transport,
    /// The domain of the From header.
    #[serde(default = "default_domain")]
    pub domain: String,
    /// Calls to place without being told to.
    #[serde(default, rename = "call")]
    pub calls: Vec<Call>,
}

fn default_listen() -> String {
    "0.0.0.0:5060".to_owned()
}

fn default_domain() -> String {
    "example.com".to_owned()
}

/// Where ACK and BYE within the dialog are addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InDialog {
    /// To the Contact of the 2xx (RFC 3261 12.2.1.1).
    #[default]
    Contact,
    /// To the URI first called, as SIPp's built-in caller does.
    RequestUri,
}

/// One call to place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Call {
    /// Its mark; unique at this caller.
    pub mark: String,
    /// The URI to call.
    pub to: String,
    /// Hang up that long after the answer; absent: only when told, or never.
    #[serde(default)]
    pub hang_up_after_ms: Option<u64>,
    /// Where ACK and BYE are addressed.
    #[serde(default)]
    pub in_dialog: InDialog,
    /// That many answers (2xx) are lost on their way: received, and not acted upon.
    #[serde(default)]
    pub lost_answers: u32,
}

/// What a caller can be told. Calls are named by their mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Place a call.
    Call(Call),
    /// Cancel it: at once if a provisional response has come, else when one comes (RFC 3261 9.1).
    Cancel(String),
    /// Send BYE, if it has been answered.
    HangUp(String),
    /// Send the INVITE once more, whatever the timers say.
    Retransmit(String),
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// INVITE sent, nothing came.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// 2xx came.
    Answered,
    /// Over: final response, BYE or silence.
    Ended,
}

/// A request that is repeated until it is answered (timers A/B, E/F).
struct Repeated {
    bytes: Vec<u8>,
    next: Option<Duration>,
    gap: Duration,
    ceiling: Duration,
    give_up: Duration,
}

struct Leg {
    call: Call,
    call_id: String,
    from: String,
    to: String,
    branch: String,
    invite: Vec<u8>,
    path: Path,
    phase: Phase,
    sending: Option<Repeated>,
    /// CANCEL or BYE under way.
    other: Option<Repeated>,
    cancel_wanted: bool,
    cancelled: bool,
    remote: String,
    ack: Option<Vec<u8>>,
    hang_up_at: Option<Duration>,
    cseq: u32,
}

struct Caller {
    host: Host,
    scribe: Scribe,
    settings: Settings,
    sockets: Sockets<Input>,
    legs: Vec<Leg>,
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
    let mut caller = Caller { host, scribe, settings, sockets, legs: Vec::new() };
    for call in calls {
        caller.place(call).await;
    }
    let mut more_commands = true;
    while more_commands || caller.legs.iter().any(Leg::is_busy) {
        let until = caller.legs.iter().filter_map(Leg::deadline).min();
        match super::next(&caller.host, &mut inbox, until).await {
            Some(Input::Socket(arrival)) => caller.arrived(arrival).await,
            Some(Input::Command(command)) => caller.told(command).await,
            Some(Input::NoMoreCommands) => more_commands = false,
            None => caller.tick().await,
        }
    }
    Ok(())
}

impl Leg {
    fn is_busy(&self) -> bool {
        self.phase != Phase::Ended || self.other.is_some()
    }

    fn deadline(&self) -> Option<Duration> {
        let repeated = [&self.sending, &self.other].into_iter().flatten();
        let repeated = repeated.map(|r| r.next.map_or(r.give_up, |next| next.min(r.give_up)));
        repeated.chain(self.hang_up_at).min()
    }
}

impl Repeated {
    fn new(bytes: Vec<u8>, now: Duration, transport: Transport, ceiling: Duration) -> Self {
        let next = (transport == Transport::Udp).then_some(now + T1);
        Self { bytes, next, gap: T1, ceiling, give_up: now + GIVE_UP }
    }

    /// True if it is due; the next time is set.
    fn due(&mut self, now: Duration) -> bool {
        let due = self.next.is_some_and(|next| next <= now);
        if due {
            self.gap = (self.gap * 2).min(self.ceiling);
            self.next = Some(now + self.gap);
        }
        due
    }
}

impl Caller {
    fn now(&self) -> Duration {
        self.host.clock.now().mono
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

    fn branch(&self) -> String {
        format!("z9hG4bK{}", self.host.random_hex())
    }

    async fn place(&mut self, call: Call) {
        let call_id = self.host.random_hex();
        let to = self.settings.gateway.clone();
        let path = match self.sockets.path_to(&to, self.settings.transport).await {
            Ok(path) => path,
            Err(what) => return self.say(&call_id, what),
        };
        let tag = self.host.random_hex();
        let branch = self.branch();
        let from = format!("<sip:{}@{}>;tag={}", call.mark, self.settings.domain, &tag[..16]);
        let to = format!("<{}>", call.to);
        let Settings { advertise, .. } = &self.settings;
        let contact = format!(
            "<sip:{}@{advertise}:{};transport={}>",
            call.mark,
            self.sockets.port,
            self.settings.transport.name().to_ascii_lowercase()
        );
        let headers = [
            ("Via", self.via(&branch)),
            ("Max-Forwards", "70".to_owned()),
            ("From", from.clone()),
            ("To", to.clone()),
            ("Call-ID", call_id.clone()),
            ("CSeq", "1 INVITE".to_owned()),
            ("Contact", contact),
            ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS".to_owned()),
            ("Content-Type", "application/sdp".to_owned()),
        ];
        let invite = request("INVITE", &call.to, &headers, offer(&call.mark).as_bytes());
        self.sockets.send(invite.clone(), path).await;
        let transport = self.settings.transport;
        let sending = Repeated::new(invite.clone(), self.now(), transport, GIVE_UP);
        self.legs.push(Leg {
            remote: call.to.clone(),
            call,
            call_id,
            from,
            to,
            branch,
            invite,
            path,
            phase: Phase::Calling,
            sending: Some(sending),
            other: None,
            cancel_wanted: false,
            cancelled: false,
            ack: None,
            hang_up_at: None,
            cseq: 1,
        });
    }

    async fn told(&mut self, command: Command) {
        match command {
            Command::Call(call) => self.place(call).await,
            Command::Cancel(mark) => {
                let Some(at) = self.find(&mark) else { return };
                self.legs[at].cancel_wanted = true;
                self.cancel_if_due(at).await;
            }
            Command::HangUp(mark) => {
                let Some(at) = self.find(&mark) else { return };
                self.bye(at).await;
            }
            Command::Retransmit(mark) => {
                let Some(at) = self.find(&mark) else { return };
                let invite = self.legs[at].invite.clone();
                self.send(at, invite).await;
            }
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
        if !self.sockets.is_open(self.legs[at].path) {
            let gateway = self.settings.gateway.clone();
            match self.sockets.path_to(&gateway, self.settings.transport).await {
                Ok(path) => self.legs[at].path = path,
                Err(what) => return self.say(&self.legs[at].call_id, what),
            }
        }
        self.sockets.send(bytes, self.legs[at].path).await;
    }

    fn in_call(&self, at: usize, method: &str, target: &str, branch: &str, cseq: u32) -> Vec<u8> {
        let leg = &self.legs[at];
        let headers = [
            ("Via", self.via(branch)),
            ("Max-Forwards", "70".to_owned()),
            ("From", leg.from.clone()),
            ("To", leg.to.clone()),
            ("Call-ID", leg.call_id.clone()),
            ("CSeq", format!("{cseq} {method}")),
        ];
        request(method, target, &headers, b"")
    }

    async fn cancel_if_due(&mut self, at: usize) {
        let leg = &self.legs[at];
        if !leg.cancel_wanted || leg.cancelled || leg.phase != Phase::Proceeding {
            return;
        }
        let to = format!("<{}>", leg.call.to);
        let (target, branch) = (leg.call.to.clone(), leg.branch.clone());
        // CANCEL repeats the INVITE's To, without the tag of a provisional (RFC 3261 9.1).
        let kept = std::mem::replace(&mut self.legs[at].to, to);
        let cancel = self.in_call(at, "CANCEL", &target, &branch, 1);
        self.legs[at].to = kept;
        self.legs[at].cancelled = true;
        self.repeat(at, cancel).await;
    }

    async fn bye(&mut self, at: usize) {
        self.legs[at].hang_up_at = None;
        if self.legs[at].phase != Phase::Answered {
            return;
        }
        self.legs[at].phase = Phase::Ended;
        self.legs[at].cseq += 1;
        let target = self.legs[at].remote.clone();
        let bye = self.in_call(at, "BYE", &target, &self.branch(), self.legs[at].cseq);
        self.repeat(at, bye).await;
    }

    async fn repeat(&mut self, at: usize, bytes: Vec<u8>) {
        let repeated = Repeated::new(bytes.clone(), self.now(), self.settings.transport, T2);
        self.legs[at].other = Some(repeated);
        self.send(at, bytes).await;
    }

    async fn tick(&mut self) {
        let now = self.now();
        for at in 0..self.legs.len() {
            let leg = &mut self.legs[at];
            let mut due = Vec::new();
            let mut silent = None;
            for slot in [&mut leg.sending, &mut leg.other] {
                let Some(repeated) = slot else { continue };
                if repeated.give_up <= now {
                    silent = scan(&repeated.bytes).and_then(|m| m.method().map(str::to_owned));
                    *slot = None;
                } else if repeated.due(now) {
                    due.push(repeated.bytes.clone());
                }
            }
            if let Some(method) = silent {
                if method == "INVITE" {
                    leg.phase = Phase::Ended;
                }
                let call_id = leg.call_id.clone();
                self.say(&call_id, format!("no answer to {method} within 32 s"));
            }
            for bytes in due {
                self.send(at, bytes).await;
            }
            if self.legs[at].hang_up_at.is_some_and(|when| when <= now) {
                self.bye(at).await;
            }
        }
    }

    async fn arrived(&mut self, arrival: Arrival) {
        let Some((bytes, path, _)) = self.sockets.took(arrival) else { return };
        let Some(message) = scan(&bytes) else { return };
        let at = self.legs.iter().position(|leg| leg.call_id == message.call_id());
        match (message.status(), at) {
            (Some(status), Some(at)) => self.answered(at, status, &message).await,
            (Some(_), None) => {}
            (None, at) => self.asked(at, &message, path).await,
        }
    }

    async fn asked(&mut self, at: Option<usize>, message: &Scanned, path: Path) {
        let status = match (message.method(), at) {
            (Some("ACK") | None, _) => return,
            (Some("BYE" | "OPTIONS" | "UPDATE"), Some(_)) | (Some("OPTIONS"), None) => 200,
            (Some("BYE" | "CANCEL" | "UPDATE"), None) => 481,
            (Some(_), _) => 501,
        };
        if let (Some("BYE"), Some(at)) = (message.method(), at) {
            self.legs[at].phase = Phase::Ended;
            self.legs[at].hang_up_at = None;
        }
        let tag = self.host.random_hex();
        self.sockets.send(response(message, status, &tag[..16], &[]), path).await;
    }

    async fn answered(&mut self, at: usize, status: u16, message: &Scanned) {
        let now = self.now();
        let leg = &mut self.legs[at];
        if message.cseq_method() != Some("INVITE") {
            if status >= 200 {
                leg.other = None;
            }
            return;
        }
        if message.branch().as_deref() != Some(leg.branch.as_str()) {
            return;
        }
        if let Some(to) = message.header("to").filter(|to| param(to, "tag").is_some()) {
            leg.to = to.to_owned();
        }
        leg.sending = None;
        match status {
            100..=199 => {
                if leg.phase == Phase::Calling {
                    leg.phase = Phase::Proceeding;
                }
                self.cancel_if_due(at).await;
            }
            200..=299 if leg.call.lost_answers > 0 => {
                leg.call.lost_answers -= 1;
                let struck = Draft::new(Kind::FaultStruck).with("fault", LOST);
                let struck = struck.with("on", leg.call.mark.as_str());
                self.scribe.note(now_us(&self.host), struck);
            }
            200..=299 => {
                if leg.phase != Phase::Ended {
                    leg.phase = Phase::Answered;
                    let after = leg.call.hang_up_after_ms.map(Duration::from_millis);
                    leg.hang_up_at = leg.hang_up_at.or(after.map(|after| now + after));
                }
                self.acknowledge_answer(at, message).await;
            }
            _ => {
                leg.phase = Phase::Ended;
                // The ACK of a refusal belongs to the INVITE's transaction (RFC 3261 17.1.1.3).
                let (target, branch) = (leg.call.to.clone(), leg.branch.clone());
                let ack = self.in_call(at, "ACK", &target, &branch, 1);
                self.send(at, ack).await;
            }
        }
    }

    async fn acknowledge_answer(&mut self, at: usize, message: &Scanned) {
        let contact = message.header("contact").map(|value| uri(value).to_owned());
        let leg = &mut self.legs[at];
        if leg.call.in_dialog == InDialog::Contact
            && let Some(contact) = contact.filter(|uri| !uri.is_empty())
        {
            leg.remote = contact;
        }
        if leg.ack.is_none() {
            let target = leg.remote.clone();
            let ack = self.in_call(at, "ACK", &target, &self.branch(), 1);
            self.legs[at].ack = Some(ack);
        }
        let ack = self.legs[at].ack.clone().unwrap_or_default();
        self.send(at, ack).await;
        // Hung up before this 2xx crossed a CANCEL: a call nobody wants any more ends with BYE.
        if self.legs[at].cancel_wanted {
            self.bye(at).await;
        }
    }
}

/// An offer that names the call.
fn offer(mark: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns={mark}\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 49170 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reveille_trace::Recorder;

    use super::*;

    fn settings(port: u16, transport: Transport) -> Settings {
        Settings {
            listen: "127.0.0.1:0".to_owned(),
            advertise: "127.0.0.1".to_owned(),
            gateway: format!("127.0.0.1:{port}"),
            transport,
            domain: default_domain(),
            calls: Vec::new(),
        }
    }

    fn call() -> Command {
        Command::Call(Call {
            mark: "c1".to_owned(),
            to: "sip:bob@example.com".to_owned(),
            hang_up_after_ms: Some(0),
            in_dialog: InDialog::Contact,
            lost_answers: 0,
        })
    }

    /// A callee in the raw: answers each datagram by what `script` says to its method.
    async fn callee(
        socket: Arc<dyn reveille_host::Udp>,
        script: fn(&str, usize) -> &'static [u16],
        heard: mpsc::Sender<String>,
    ) {
        let mut buffer = vec![0; 65536];
        let mut seen = 0;
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let message = scan(&buffer[..length]).unwrap();
            let method = message.method().unwrap().to_owned();
            heard.send(message.start.clone()).await.unwrap();
            seen += 1;
            for status in script(&method, seen) {
                let contact = ("Contact", "<sip:there@127.0.0.1>".to_owned());
                let bytes = response(&message, *status, "there", &[contact]);
                // 487 answers the INVITE, though CANCEL brought it about.
                let text = String::from_utf8(bytes).unwrap();
                let bytes = match *status {
                    487 => text.replace("CSeq: 1 CANCEL", "CSeq: 1 INVITE").into_bytes(),
                    _ => text.into_bytes(),
                };
                socket.send_to(&bytes, from).await.unwrap();
            }
        }
    }

    fn play(
        script: fn(&str, usize) -> &'static [u16],
        commands: Vec<Command>,
        expected: usize,
    ) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let host = reveille_host::real::host();
            let socket = host.net.udp("127.0.0.1:0").await.unwrap();
            let port = socket.local_addr().unwrap().port();
            let (heard, mut hear) = mpsc::channel(64);
            host.tasks.spawn("callee", Box::pin(callee(socket, script, heard)));
            let (send, receive) = mpsc::channel(8);
            for command in commands {
                send.send(command).await.unwrap();
            }
            drop(send);
            let scribe = Scribe::new(Recorder::keeping(), "alice");
            run(host, scribe, settings(port, Transport::Udp), receive).await.unwrap();
            let mut lines = Vec::new();
            while lines.len() < expected {
                lines.push(hear.recv().await.unwrap());
            }
            lines
        })
    }

    #[test]
    fn a_call_is_answered_acknowledged_and_hung_up() {
        let script = |method: &str, _| match method {
            "INVITE" => &[100, 183, 180, 200][..],
            "BYE" => &[200],
            _ => &[],
        };
        let lines = play(script, vec![call()], 3);
        assert_eq!(
            lines,
            [
                "INVITE sip:bob@example.com SIP/2.0",
                "ACK sip:there@127.0.0.1 SIP/2.0",
                "BYE sip:there@127.0.0.1 SIP/2.0",
            ]
        );
    }

    #[test]
    fn a_cancel_waits_for_a_provisional_and_silence_is_filled_with_retransmissions() {
        // The first INVITE is ignored; the one sent again by timer A gets its 100.
        let script = |method: &str, seen| match (method, seen) {
            ("INVITE", 2) => &[100][..],
            ("CANCEL", _) => &[200, 487],
            _ => &[],
        };
        let lines = play(script, vec![call(), Command::Cancel("c1".to_owned())], 4);
        let methods: Vec<_> = lines.iter().map(|l| l.split(' ').next().unwrap()).collect();
        assert_eq!(methods, ["INVITE", "INVITE", "CANCEL", "ACK"]);
    }
}
