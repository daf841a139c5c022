use std::collections::BTreeMap;
use std::time::Duration;

use crate::device::{Device, DeviceAct};
use crate::expect::Expect;
use crate::message::Message;
use crate::service::Service;
use crate::sight::Sight;
use crate::weather::Weather;

/// One scenario, as its file says it. Names are resolved: every actor, call and host that a step or
/// an expectation names is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// The path under `scenarios/` without `.toml`.
    pub id: String,
    /// What happens, in one sentence.
    pub title: String,
    /// Ids of the requirements that it must decide.
    pub covers: Vec<String>,
    /// What a target must offer for it.
    pub needs: Vec<Need>,
    /// How the target is set for it.
    pub world: World,
    /// Who plays, by name.
    pub actors: BTreeMap<String, Actor>,
    /// Where hosts stand that do not stand as usual: of actors, and of `gateway`.
    pub places: BTreeMap<String, Place>,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// What should come of it.
    pub expects: Vec<Expect>,
    /// A fault that strikes at each of many points, one case for each.
    pub sweep: Option<Sweep>,
    /// How many seeds it is played with, from the first one on.
    pub seeds: u64,
}

/// What a target must offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A simulated world: virtual time, faults at the seam, the gateway's own events.
    Sim,
}

/// How the target is set. Absent: as it declares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct World {
    /// How long a call waits for its app; 5 s to 150 s.
    pub wake_budget: Option<Duration>,
    /// How long an app may ring.
    pub ring_deadline: Option<Duration>,
    /// The lifetime that the gateway asks the registrar for.
    pub registration: Option<Duration>,
    /// Whether calls whose offer is still to come are taken: `late-offer = "refused"`.
    pub late_offer: Option<bool>,
    /// Push payloads carry what they are for: `payload = "carries"`.
    pub payload_carries: bool,
    /// What the registrar does with calls that it passes on.
    pub proxy: Proxy,
    /// How many nodes of the gateway share one fabric, as hosts `gateway`, `gateway-2` and so on;
    /// absent: one, with a fabric of its own.
    pub nodes: Option<u32>,
}

/// What the registrar does with calls that it passes on: `proxy = ["challenges", "records-route"]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proxy {
    /// It challenges each with 407.
    pub challenges: bool,
    /// It stays in the way of each.
    pub records_route: bool,
}

/// Someone who plays. The gateway, the registrar and the push service are always there, as hosts
/// `gateway`, `registrar` and `push`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A phone with an app: `kind = "phone"`.
    Phone {
        /// Which of the cast's two apps.
        app: App,
        /// Which push service wakes it: `push = "apns"`.
        push: Service,
        /// What it does with a call that it alerts.
        on_call: OnCall,
        /// Its operating system; absent: one that keeps a push channel and does nothing else.
        device: Option<Device>,
    },
    /// A SIP user agent, which calls and is called: `kind = "sip-ua"`.
    SipUa {
        /// What it speaks.
        transport: Transport,
        /// What it does with a call, and with what others want changed in one.
        on_call: OnCall,
        /// What it says of a call before its answer.
        early: Early,
    },
}

/// Where a host stands. The default is an open network and a clock that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// `clock = "+5s"`, of the gateway `gateway-clock` in `[world]`: how far its clock is ahead, in
    /// milliseconds; behind, if negative.
    pub ahead_ms: i64,
    /// `nat = "60s"`: it stands behind an address translation that forgets what was silent so long.
    pub nat: Option<Duration>,
}

/// The app on a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum App {
    /// The house's client library: `"sdk"`.
    #[default]
    Sdk,
    /// The one written by hand against the protocol's documentation: `"plain"`.
    Plain,
}

/// What is done with a call, and with what the other side wants changed in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCall {
    /// Answers after this time: `answer-after = "500ms"`.
    Answer(Duration),
    /// Declines with this status: `decline = 603`.
    Decline(u16),
    /// Lets it ring: `ring = true`.
    Ring,
}

/// What a SIP user agent says of a call before its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Early {
    /// 180: `early = "ringing"`.
    #[default]
    Ringing,
    /// 180 until its PRACK: `early = "reliable-ringing"`.
    ReliableRinging,
    /// 183 with an SDP: `early = "media"`.
    Media,
    /// 183 with an SDP until its PRACK: `early = "reliable-media"`.
    ReliableMedia,
    /// Nothing: `early = "silence"`.
    Silence,
}

/// What carries SIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Datagrams.
    #[default]
    Udp,
    /// Streams.
    Tcp,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub head: Head,
    /// What.
    pub verb: Verb,
    /// Its line in the file, from 1.
    pub line: usize,
}

/// When a step is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// With the step before: no head.
    Now,
    /// That long after the first step could be taken: `at = "10s"`.
    At(Duration),
    /// That long after the step before: `wait = "2s"`.
    Wait(Duration),
    /// Once this is seen; it is searched from the start of the play: `when = "alice.received(c1, 100)"`.
    When(Sight),
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// `sleep = "bob"`; with `close-code = 4001` by the close alone, without asking first.
    Sleep {
        /// Who.
        phone: String,
        /// Without asking.
        by_close: bool,
    },
    /// `resume = "bob"`: the user opens the app.
    Resume {
        /// Who.
        phone: String,
    },
    /// `call = "c1", from = "alice", to = "bob"`: from a SIP user agent to a phone, or the other way.
    Call {
        /// The call's mark.
        mark: String,
        /// Who places it.
        from: String,
        /// Who is called.
        to: String,
        /// `hang-up-after = "1s"`: BYE that long after the answer; absent: never by itself.
        hang_up_after: Option<Duration>,
        /// `lost-answers = 1`: that many 2xx are lost before the caller acts on one.
        lost_answers: u32,
        /// `offer = "late"`: the INVITE brings none, and the ACK answers that of the 2xx.
        late_offer: bool,
        /// `in-dialog = "request-uri"`: ACK and BYE go where the INVITE went, not to the Contact.
        to_request_uri: bool,
    },
    /// `cancel = "c1"`: its caller gives up. `by = "alice"`: she takes back what she asked last.
    Cancel {
        /// The call.
        mark: String,
        /// Who does; absent: who placed it.
        by: Option<String>,
    },
    /// `hangup = "c1"`: its caller ends it, or with `by = "bob"` the other side. `hangup = "bob"`: the
    /// actor ends every call.
    HangUp {
        /// A call's mark or an actor.
        who: String,
        /// Who ends the call; absent: who placed it.
        by: Option<String>,
    },
    /// `renegotiate = "c1"`, by its caller or with `by = "bob"` by the other side: a new offer, by
    /// re-INVITE or with `method = "update"` by UPDATE.
    Renegotiate {
        /// The call.
        mark: String,
        /// Who wants it; absent: who placed it.
        by: Option<String>,
        /// By UPDATE.
        update: bool,
        /// `cseq = "lower"`: under a number that was used before, which only the SIP side can do.
        stale: bool,
    },
    /// `info = "c1", by = "alice"`: the SIP side sends INFO.
    Info {
        /// The call.
        mark: String,
        /// Who does; absent: who placed it.
        by: Option<String>,
    },
    /// `message = "m1"`.
    Message(Message),
    /// `subscribe = "bob", to = "alice"`: the app wants to know of the messages that wait for it there
    /// (message-summary).
    Subscribe {
        /// Whose app.
        phone: String,
        /// The notifier, a SIP user agent.
        to: String,
    },
    /// `notify = "bob", by = "alice", messages = 3`: the notifier tells the subscriber how many wait.
    Notify {
        /// The subscriber.
        phone: String,
        /// The notifier.
        by: String,
        /// How many.
        messages: u16,
        /// `state = "terminated"`: and ends the subscription.
        ends: bool,
    },
    /// `retransmit = "c1"`: the INVITE once more, whatever the timers say; of a message the MESSAGE.
    Retransmit {
        /// The call or message.
        mark: String,
    },
    /// `set = "bob"` with `pushes = "ignored"` or `"heeded"`.
    SetPushes {
        /// Who.
        phone: String,
        /// Whether pushes are ignored.
        ignored: bool,
    },
    /// `set = "bob"` with `answer-after`, `decline` or `ring`.
    SetOnCall {
        /// Who.
        who: String,
        /// What it does from now on with calls, and with what others want changed in them.
        on_call: OnCall,
    },
    /// `set = "alice"` with `early`.
    SetEarly {
        /// Which SIP user agent.
        who: String,
        /// What it says of calls from now on before their answer.
        early: Early,
    },
    /// `set = "bob"` with `node = 2`: to which node of the gateway the actor turns from now on, a SIP
    /// user agent also with what it has still to say of its calls.
    SetNode {
        /// Who.
        who: String,
        /// Which, from 1.
        node: u32,
    },
    /// `crash = "bob.app"`: the operating system kills the app.
    KillApp {
        /// Who.
        phone: String,
    },
    /// `drop = "bob.websocket"`: the app's connection is lost.
    DropWebSocket {
        /// Who.
        phone: String,
    },
    /// A verb on a phone that has an operating system.
    Device {
        /// Whose.
        phone: String,
        /// What.
        act: DeviceAct,
    },
    /// A verb on `push.webhook`, `push.apns`, `push.fcm`, `push.oauth` or `push.webpush`: what
    /// becomes of the next requests to it.
    Push {
        /// Which.
        service: Service,
        /// What.
        fate: PushFate,
        /// `times = 2`: of how many requests.
        times: u32,
    },
    /// `crash = "gateway", down = "1s"`: the process dies and its peers notice.
    Crash {
        /// The host.
        host: String,
        /// How long it stays down.
        down: Duration,
    },
    /// `power-loss = "gateway", down = "1s"`: silence, and unsynced writes are gone.
    PowerLoss {
        /// The host.
        host: String,
        /// How long it stays down.
        down: Duration,
    },
    /// `restart = "gateway", down = "1s"`: orderly, with goodbyes.
    Restart {
        /// The host.
        host: String,
        /// How long it stays down.
        down: Duration,
    },
    /// `partition = "gateway--push", lasts = "3s"`.
    Partition {
        /// One end.
        a: String,
        /// The other.
        b: String,
        /// How long.
        lasts: Duration,
    },
    /// `cut = "bob->gateway", lasts = "3s"`: the link carries nothing in this direction.
    Cut {
        /// Who is not heard.
        from: String,
        /// By whom.
        to: String,
        /// How long.
        lasts: Duration,
    },
    /// `storm = "bob--gateway", lasts = "10s"` with one or more of `delay`, `jitter`, `loss`,
    /// `duplicate`, `reorder` and `bandwidth`.
    Storm {
        /// One end.
        a: String,
        /// The other.
        b: String,
        /// What the link does to packets.
        weather: Weather,
        /// How long.
        lasts: Duration,
    },
    /// `outage = "bob", lasts = "20s"`: no link of the host carries anything.
    Outage {
        /// The host.
        host: String,
        /// How long.
        lasts: Duration,
    },
    /// `move = "bob"`: the actor has another address; its connections end, and nobody is told.
    Move {
        /// Who.
        who: String,
    },
    /// `rebind = "bob"`: the address translation before the actor forgets it.
    Rebind {
        /// Who.
        who: String,
    },
    /// `clock = "gateway", by = "-30s"`: the host's clock is set.
    Clock {
        /// The host.
        host: String,
        /// Ahead by so many milliseconds, or back.
        by_ms: i64,
    },
    /// `note = "text"`: a remark in the trace, and a point in time.
    Note {
        /// The remark.
        text: String,
    },
}

/// What becomes of one push request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushFate {
    /// `refuse = "push.webhook", status = 410`.
    Refused {
        /// The status.
        status: u16,
        /// `retry-after = "5s"`: what the service asks to wait.
        retry_after: Option<Duration>,
    },
    /// `refuse = "push.apns", reason = "Unregistered"`.
    Answered {
        /// One of the service's [`reasons`](Service::reasons).
        reason: &'static str,
        /// `retry-after = "5s"`: what the service asks to wait.
        retry_after: Option<Duration>,
        /// `age = "1h"`: how long the token has been dead, of the reasons that tell it.
        age: Duration,
    },
    /// `drop = "push.webhook", what = "request"`: never answered, never delivered.
    RequestDropped,
    /// `drop = "push.webhook"`, or with `what = "delivery"`: accepted, never delivered.
    DeliveryDropped,
    /// `duplicate = "push.webhook"`: accepted, delivered twice.
    Duplicated,
    /// `delay = "push.webhook", by = "3s"`: accepted at once, delivered that much later.
    Delayed(Duration),
    /// `break = "push.apns", how = "page"`: the answer, or the connection, is not what it should be.
    Broken(Break),
}

/// How an answer or its connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Status 200 with a page of HTML, as a proxy would answer, and nothing is delivered: `"page"`.
    Page,
    /// Status 200 and a body that never ends, and nothing is delivered: `"endless"`.
    Endless,
    /// The answer is right, and the connection ends by GOAWAY after it: `"goaway"`.
    GoAway,
    /// The stream is reset before anything of it was processed: `"refused-stream"`.
    RefusedStream,
}

/// A fault that strikes at each of many points of the faultless run, before and after each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// What.
    pub fault: SweepFault,
    /// The host: the gateway.
    pub on: String,
    /// How long it then stays down.
    pub down: Duration,
    /// At which of its operations.
    pub points: Vec<Point>,
}

/// What a sweep does at each point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepFault {
    /// The process dies and its peers notice.
    Crash,
    /// Silence, and unsynced writes are gone.
    PowerLoss,
}

/// A kind of operation at the seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// Something is written, synced or handed to the disk.
    Store,
    /// Something leaves: a datagram, bytes of a stream, a dial, a FIN.
    Send,
    /// Something comes: a datagram, a connection.
    Receive,
    /// A task begins.
    Spawn,
}
