//! The loop's ends of every queue: where the core's outputs go.

use std::collections::{BTreeMap, VecDeque};

use reveille_gateway_core::io::{
    Claim, Commit, Flow, Input, Output, PushOutcome, PushRequest, Sink, SocketId, Transport,
};
use reveille_wire::sip::Method;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::admin::Pushes;
use crate::fabric::Work;
use crate::metrics::Wakes;
use crate::push::Class;
use crate::quota::Reached;
use crate::sip::keep::{self, Every, Kept};
use crate::sip::probe::{self, Probed};
use crate::sip::{SipOut, tcp, udp};
use crate::world::{Event, World};
use crate::ws::WsOut;

/// Commits that may wait for the fabric.
pub(crate) const COMMIT_QUEUE: usize = 16_384;
/// Below so many free places, peers are turned away: what is under way needs the rest.
const COMMIT_RESERVE: usize = 4_096;

/// A SIP connection.
struct Line {
    transport: Transport,
    peer: String,
    queue: mpsc::Sender<SipOut>,
    /// Set where we dialled.
    ours: Option<Ours>,
}

/// What there is to keep alive of a connection that we dialled.
struct Ours {
    pongs: watch::Receiver<u64>,
    kept: Option<watch::Sender<Every>>,
}

/// Every queue out of the loop.
pub(crate) struct Ports {
    world: World,
    udp: Vec<udp::Port>,
    /// Flows of UDP that are kept alive.
    probes: BTreeMap<Flow, watch::Sender<Every>>,
    lines: BTreeMap<u64, Line>,
    sockets: BTreeMap<SocketId, mpsc::Sender<WsOut>>,
    commits: mpsc::Sender<Work>,
    unanswered: usize,
    pushes: Pushes,
    wakes: Wakes,
    feedback: VecDeque<Input>,
    fault: Option<String>,
    /// When the log last told of a flood.
    warned_us: Option<u64>,
}

impl Ports {
    pub(crate) fn new(
        world: World,
        udp: Vec<udp::Port>,
        commits: mpsc::Sender<Work>,
        pushes: Pushes,
    ) -> Self {
        Self {
            world,
            udp,
            probes: BTreeMap::new(),
            lines: BTreeMap::new(),
            sockets: BTreeMap::new(),
            commits,
            unanswered: 0,
            pushes,
            wakes: Wakes::default(),
            feedback: VecDeque::new(),
            fault: None,
            warned_us: None,
        }
    }

    /// Books what the event says about queues; returns what the core must hear.
    pub(crate) fn admit(&mut self, event: Event) -> Vec<Input> {
        let inputs = self.book(event);
        self.world.metrics.sockets.set(self.sockets.len());
        self.world.metrics.connections.set(self.lines.len());
        for input in &inputs {
            self.count(input);
        }
        inputs
    }

    fn book(&mut self, event: Event) -> Vec<Input> {
        match event {
            Event::Input(input) if self.is_turned_away(&input) => Vec::new(),
            Event::Input(input) => vec![input],
            Event::SipOpened { connection, transport, peer, queue } => {
                self.lines.insert(connection, Line { transport, peer, queue, ours: None });
                Vec::new()
            }
            Event::SipClosed { connection } => self.forget_line(connection).into_iter().collect(),
            Event::WsOpened { socket, user, app, queue } => {
                self.sockets.insert(socket, queue);
                vec![Input::SocketOpened { socket, user, app }]
            }
            Event::WsClosed { socket, code } => {
                // A queue that was full has told the core already.
                let known = self.sockets.remove(&socket).is_some();
                known.then_some(Input::SocketClosed { socket, code }).into_iter().collect()
            }
            Event::Committed { commits, answers } => {
                self.unanswered = self.unanswered.saturating_sub(commits);
                answers
            }
            Event::Failed(why) => {
                self.fault = Some(why);
                Vec::new()
            }
            Event::Stop => vec![Input::Drain],
            // The loop answers it.
            Event::Ask(_) => Vec::new(),
        }
    }

    fn count(&mut self, input: &Input) {
        match input {
            Input::SocketText { .. } => self.world.metrics.frame("in"),
            Input::SocketOpened { app, .. } => self.world.metrics.upgraded(app),
            Input::SipUnsent { flow } => self.world.metrics.sip_unsent(flow.transport),
            Input::Pushed { push, outcome } => {
                self.wakes.answered(push.wake, outcome, self.world.now().mono_us);
            }
            _ => {}
        }
    }

    /// From now on pushes go these ways. What waits in the old queues still leaves.
    pub(crate) fn replace_pushes(&mut self, pushes: Pushes) {
        self.pushes = pushes;
    }

    /// Texts of a socket that the loop gave up are late; and while the fabric is far behind, SIP
    /// requests are turned away, since no promise could be made of them now. Over UDP in silence:
    /// the sender repeats them, and one may be a repetition of a call on record. Over TCP nobody
    /// repeats, so a request is new and is told.
    fn is_turned_away(&mut self, input: &Input) -> bool {
        match input {
            Input::SocketText { socket, .. } | Input::SocketBinary { socket } => {
                !self.sockets.contains_key(socket)
            }
            Input::Sip { flow, message } if message.is_request() => {
                let late = self.commits.capacity() < COMMIT_RESERVE;
                if late {
                    tracing::warn!("the fabric is far behind: a SIP request is turned away");
                    self.world.metrics.sip_turned_away(flow.transport);
                }
                if late && flow.transport.is_reliable() && message.method() != Some(&Method::ACK) {
                    let reply = message.reply(503, "Service Unavailable", Some("overload"));
                    self.send_sip(flow.clone(), reply.with("Retry-After", "5").to_bytes());
                }
                late
            }
            _ => false,
        }
    }

    /// Once a second: a flood of requests is not to be one of lines.
    fn warn_of_flood(&mut self) {
        let now_us = self.world.now().mono_us;
        if self.warned_us.is_none_or(|at_us| now_us >= at_us + 1_000_000) {
            self.warned_us = Some(now_us);
            tracing::warn!(
                "as many SIP transactions as are kept: what begins something new hears 503 (RFC 3261 \
                 21.5.4)"
            );
        }
    }

    /// What a full queue has to say to the core.
    pub(crate) fn next_feedback(&mut self) -> Option<Input> {
        self.feedback.pop_front()
    }

    /// Why the gateway cannot go on.
    pub(crate) fn fault(&mut self) -> Option<String> {
        self.fault.take()
    }

    /// True when nobody is connected and nothing waits for the fabric.
    pub(crate) fn is_idle(&self) -> bool {
        self.sockets.is_empty() && self.unanswered == 0 && self.feedback.is_empty()
    }

    fn send_sip(&mut self, flow: Flow, bytes: Vec<u8>) {
        let unsent = match flow.transport {
            Transport::Udp => self.send_udp(SipOut { flow, bytes }),
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                self.send_line(SipOut { flow, bytes })
            }
        };
        if let Some(message) = unsent {
            tracing::warn!(peer = message.flow.peer, "no room or no way for a SIP message");
            self.world.metrics.sip_unsent(message.flow.transport);
            self.feedback.push_back(Input::SipUnsent { flow: message.flow });
        }
    }

    fn send_udp(&self, message: SipOut) -> Option<SipOut> {
        match self.udp_port(&message.flow) {
            Some(port) => back(port.queue.try_send(message)),
            None => Some(message),
        }
    }

    /// The socket that the flow names, so that a response leaves by the port that its request came to
    /// (RFC 3581 section 4); else the first.
    fn udp_port(&self, flow: &Flow) -> Option<&udp::Port> {
        let named = self.udp.iter().find(|port| port.local == flow.local);
        named.or_else(|| self.udp.first())
    }

    /// By the connection that is named, else by one to the peer, else by a new one where one can be
    /// made from here.
    fn send_line(&mut self, message: SipOut) -> Option<SipOut> {
        let named = message.flow.connection.filter(|number| self.lines.contains_key(number));
        let Some(number) = named.or_else(|| self.line_to(&message.flow)) else {
            return self.dial(message);
        };
        let Some(line) = self.lines.get(&number) else { return Some(message) };
        match line.queue.try_send(message) {
            Ok(()) => None,
            Err(TrySendError::Full(message)) => Some(message),
            Err(TrySendError::Closed(message)) => {
                let lost = self.forget_line(number);
                self.feedback.extend(lost);
                self.dial(message)
            }
        }
    }

    /// A connection to this peer by this transport. Over TLS only one that we dialled: who dialled us
    /// from that address has not proved a name.
    fn line_to(&self, flow: &Flow) -> Option<u64> {
        let fits = |line: &Line| {
            line.transport == flow.transport
                && line.peer == flow.peer
                && (line.ours.is_some() || !flow.transport.is_secure())
        };
        self.lines.iter().find(|(_, line)| fits(line)).map(|(number, _)| *number)
    }

    /// A connection that is still to be made queues like one that stands.
    fn dial(&mut self, message: SipOut) -> Option<SipOut> {
        let (transport, peer) = (message.flow.transport, message.flow.peer.clone());
        if !transport.is_dialled() {
            return Some(message);
        }
        let tcp::Dialled { connection, queue, pongs } = tcp::dial(&self.world, transport, &peer);
        let unsent = back(queue.try_send(message));
        let ours = Some(Ours { pongs, kept: None });
        self.lines.insert(connection, Line { transport, peer, queue, ours });
        unsent
    }

    /// Forgets a connection; the core hears of one that we dialled.
    fn forget_line(&mut self, connection: u64) -> Option<Input> {
        let line = self.lines.remove(&connection).filter(|line| line.ours.is_some())?;
        let (transport, peer, local) = (line.transport, line.peer, String::new());
        Some(Input::FlowLost { flow: Flow { transport, local, peer, connection: None } })
    }

    fn keep_alive(&mut self, flow: Flow, every: Every) {
        if flow.transport == Transport::Udp {
            return self.probe(flow, every);
        }
        let found =
            self.line_to(&flow).and_then(|number| Some((number, self.lines.get_mut(&number)?)));
        let Some((connection, line)) = found else {
            return self.feedback.push_back(Input::FlowLost { flow });
        };
        let Some(ours) = &mut line.ours else { return };
        match &ours.kept {
            Some(kept) => {
                kept.send_if_modified(|before| std::mem::replace(before, every) != every);
            }
            None => {
                let (queue, pongs) = (line.queue.downgrade(), ours.pongs.clone());
                let kept = Kept { connection, flow, queue, pongs };
                ours.kept = Some(keep::start(&self.world, kept, every));
            }
        }
    }

    fn probe(&mut self, flow: Flow, every: Every) {
        if let Some(told) = self.probes.get(&flow).filter(|told| !told.is_closed()) {
            told.send_if_modified(|before| std::mem::replace(before, every) != every);
            return;
        }
        let Some(port) = self.udp_port(&flow) else { return };
        let (queue, asked) = (port.queue.downgrade(), port.asked.clone());
        let probed = Probed { flow: flow.clone(), queue, asked };
        self.probes.insert(flow, probe::start(&self.world, probed, every));
    }

    fn send_ws(&mut self, socket: SocketId, out: WsOut) {
        let last = matches!(out, WsOut::Close { .. });
        let Some(queue) = self.sockets.get(&socket) else { return };
        if queue.try_send(out).is_err() {
            self.sockets.remove(&socket);
            tracing::warn!(socket = socket.0, "the app does not read: its socket is given up");
            self.feedback.push_back(Input::SocketClosed { socket, code: None });
        } else if last {
            tracing::debug!(socket = socket.0, "closing");
        }
    }

    /// The wake goes on when the rate allows.
    fn over_rate(&self, application: &str, reached: &Reached) -> PushOutcome {
        let Reached { limit, holder, wait_us } = reached;
        self.world.metrics.limit_reached(application, limit);
        let why = format!("{holder} has reached its limit of {limit}");
        PushOutcome::Transient { why, retry_after_ms: Some(wait_us.div_ceil(1_000)) }
    }

    fn store(&mut self, commit: Commit) {
        match self.commits.try_send(Work::Commit(commit)) {
            Ok(()) => self.unanswered += 1,
            Err(_) => {
                let why = "the fabric does not keep up: no room for a commit; restart to recover";
                self.fault.get_or_insert_with(|| why.to_owned());
            }
        }
    }

    /// Where there is no room, the core gives up waiting.
    fn claim(&self, claim: Claim) {
        if self.commits.try_send(Work::Claim(claim)).is_err() {
            tracing::warn!("the fabric is far behind: it is not asked whose a session is");
        }
    }

    fn push(&mut self, request: PushRequest) {
        let id = request.id;
        self.wakes.asked(&self.world.metrics, &request, self.world.now().mono_us);
        let application = request.application.clone();
        let provider = request.provider.clone();
        let (class, now_us) = (Class::of(&request.payload.event), self.world.now().mono_us);
        let allowed = self.world.quota.push(&application, class, id.wake, now_us);
        let outcome = match (allowed, self.pushes.get(&provider)) {
            (Err(reached), _) => self.over_rate(&application, &reached),
            (Ok(()), None) => {
                PushOutcome::refused(format!("no push provider `{provider}` is configured"))
            }
            (Ok(()), Some(queue)) if queue.put(request) => return,
            (Ok(()), Some(_)) => PushOutcome::Transient {
                why: "the queue to the push provider is full".to_owned(),
                retry_after_ms: None,
            },
        };
        tracing::warn!(wake = id.wake, attempt = id.attempt, ?outcome, "push not sent");
        self.world.metrics.pushed(&application, &provider, &outcome);
        self.feedback.push_back(Input::Pushed { push: id, outcome });
    }
}

fn back(sent: Result<(), TrySendError<SipOut>>) -> Option<SipOut> {
    match sent {
        Ok(()) => None,
        Err(TrySendError::Full(message) | TrySendError::Closed(message)) => Some(message),
    }
}

impl Sink for Ports {
    fn hears_all(&self) -> bool {
        self.world.scribe.is_heard()
    }

    fn put(&mut self, output: Output) {
        match output {
            Output::Sip { flow, bytes } => self.send_sip(flow, bytes),
            Output::KeepAlive { flow, every_ms } => self.keep_alive(flow, every_ms),
            Output::Text { socket, text } => {
                self.world.metrics.frame("out");
                self.send_ws(socket, WsOut::Text(text));
            }
            Output::Close { socket, code, reason } => {
                self.send_ws(socket, WsOut::Close { code, reason });
            }
            Output::Store(commit) => self.store(commit),
            Output::Claim(claim) => self.claim(claim),
            Output::Notify(request) => self.push(*request),
            Output::Trace(draft) => {
                match (draft.text("limit"), draft.text("app")) {
                    (Some(limit), Some(app)) => self.world.metrics.limit_reached(app, limit),
                    (Some(_), None) => self.warn_of_flood(),
                    (None, _) => {}
                }
                if Wakes::concerns(&draft) {
                    self.wakes.traced(&self.world.metrics, &draft, self.world.now().mono_us);
                }
                self.world.note(|| draft);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use reveille_gateway_core::io::PushId;
    use reveille_gateway_core::record::SessionId;
    use reveille_trace::{Draft, Kind, Recorder, Scribe};

    use super::*;
    use crate::push::Queue;

    /// Ports whose queues nobody reads; those of SIP and commits hold one each.
    struct Stuck {
        ports: Ports,
        ends: (mpsc::Receiver<Event>, mpsc::Receiver<SipOut>),
        _stop: watch::Sender<bool>,
        commits: mpsc::Receiver<Work>,
    }

    fn stuck() -> Stuck {
        let (inbox, events) = mpsc::channel(1);
        let (stop, stopping) = watch::channel(false);
        let scribe = Scribe::new(Recorder::passing(), "gateway");
        let world = World::new(reveille_host::real::host(), scribe, inbox, stopping);
        let (udp, sip) = mpsc::channel(1);
        let (commit, commits) = mpsc::channel(1);
        let local = "192.0.2.9:5060".to_owned();
        let udp = vec![udp::Port { local, queue: udp, asked: probe::Asked::default() }];
        let pushes = BTreeMap::from([("webhook".to_owned(), Queue::stuck(&world))]);
        let ports = Ports::new(world, udp, commit, pushes);
        Stuck { ports, ends: (events, sip), _stop: stop, commits }
    }

    #[test]
    fn a_flood_is_told_of_and_not_by_each_of_its_requests() {
        let Stuck { mut ports, ends: _ends, _stop, commits: _commits } = stuck();
        let limit = || Draft::new(Kind::Note).with("limit", "transactions");
        ports.put(Output::Trace(limit().with("app", "phone")));
        assert_eq!(ports.warned_us, None, "that is an application's");
        ports.put(Output::Trace(limit()));
        let told = ports.warned_us;
        assert!(told.is_some());
        ports.put(Output::Trace(limit()));
        assert_eq!(ports.warned_us, told, "within a second");
    }

    fn flow() -> Flow {
        Flow {
            transport: Transport::Udp,
            local: String::new(),
            peer: "192.0.2.1:5060".to_owned(),
            connection: None,
        }
    }

    fn push(attempt: u32, provider: &str) -> Output {
        Output::Notify(Box::new(PushRequest {
            id: PushId { wake: 1, attempt },
            provider: provider.to_owned(),
            session: SessionId::from("s"),
            application: String::new(),
            token: String::new(),
            platform: None,
            payload: reveille_wire::push::WakePayload {
                session_id: "s".to_owned(),
                event: "call".to_owned(),
                call_id: None,
                subsession_id: None,
                initiator: None,
                target: None,
                ttl_s: None,
                incoming: None,
            },
            ttl_ms: 1,
            deadline_us: 1_000,
        }))
    }

    #[test]
    fn a_full_sip_queue_is_an_input() {
        let mut stuck = stuck();
        let sip = || Output::Sip { flow: flow(), bytes: vec![1] };
        stuck.ports.put(sip());
        assert!(stuck.ports.next_feedback().is_none(), "the first has room");
        stuck.ports.put(sip());
        let back = stuck.ports.next_feedback();
        assert!(matches!(back, Some(Input::SipUnsent { flow: unsent }) if unsent == flow()));
    }

    #[tokio::test]
    async fn the_end_of_a_connection_is_told_where_we_dialled_it() {
        let mut stuck = stuck();
        let (transport, peer) = (Transport::Tcp, "127.0.0.1:1".to_owned());
        let flow = Flow { transport, local: String::new(), peer: peer.clone(), connection: None };
        stuck.ports.put(Output::Sip { flow: flow.clone(), bytes: vec![b'x'] });
        let (&ours, _) = stuck.ports.lines.first_key_value().expect("dialled");
        let (connection, queue) = (ours + 1, mpsc::channel(1).0);
        stuck.ports.admit(Event::SipOpened { connection, transport, peer, queue });
        assert!(stuck.ports.admit(Event::SipClosed { connection }).is_empty(), "the peer's");
        let told = stuck.ports.admit(Event::SipClosed { connection: ours });
        assert!(matches!(&told[..], [Input::FlowLost { flow: lost }] if *lost == flow));
        assert!(stuck.ports.admit(Event::SipClosed { connection: ours }).is_empty(), "once");
    }

    #[test]
    fn a_flow_that_is_gone_before_it_is_to_be_kept_is_lost() {
        let mut stuck = stuck();
        let flow = Flow { transport: Transport::Tcp, ..flow() };
        stuck.ports.put(Output::KeepAlive { flow: flow.clone(), every_ms: (1, 2) });
        let told = stuck.ports.next_feedback();
        assert!(matches!(told, Some(Input::FlowLost { flow: lost }) if lost == flow));
    }

    #[test]
    fn over_tls_only_who_we_dialled_is_the_peer() {
        let mut stuck = stuck();
        let flow = |transport| Flow { transport, ..flow() };
        for (connection, transport) in [(1, Transport::Tls), (2, Transport::Tcp)] {
            let (peer, queue) = (flow(transport).peer, mpsc::channel(1).0);
            stuck.ports.admit(Event::SipOpened { connection, transport, peer, queue });
        }
        assert_eq!(stuck.ports.line_to(&flow(Transport::Tcp)), Some(2));
        assert_eq!(stuck.ports.line_to(&flow(Transport::Tls)), None, "it proved no name");
        let (_told, pongs) = watch::channel(0);
        let line = stuck.ports.lines.get_mut(&1).expect("it is there");
        line.ours = Some(Ours { pongs, kept: None });
        assert_eq!(stuck.ports.line_to(&flow(Transport::Tls)), Some(1));
    }

    #[test]
    fn a_full_push_queue_is_transient_and_an_unknown_provider_refused() {
        let mut stuck = stuck();
        for attempt in 0..1_024 {
            stuck.ports.put(push(attempt, "webhook"));
            assert!(stuck.ports.next_feedback().is_none(), "{attempt} has room");
        }
        stuck.ports.put(push(1_024, "webhook"));
        let Some(Input::Pushed { push: id, outcome }) = stuck.ports.next_feedback() else {
            panic!("one more has no room and says so");
        };
        assert_eq!(id.attempt, 1_024);
        assert!(matches!(outcome, PushOutcome::Transient { .. }));
        stuck.ports.put(push(1, "pigeon"));
        let back = stuck.ports.next_feedback();
        let refused = PushOutcome::refused("no push provider `pigeon` is configured".to_owned());
        assert!(matches!(back, Some(Input::Pushed { outcome, .. }) if outcome == refused));
    }

    #[test]
    fn a_socket_that_does_not_read_is_closed_once() {
        let mut stuck = stuck();
        let (queue, _unread) = mpsc::channel(1);
        let socket = SocketId(7);
        let (user, app) = ("bob".to_owned(), "phone".to_owned());
        let opened = stuck.ports.admit(Event::WsOpened { socket, user, app, queue });
        assert!(matches!(opened[..], [Input::SocketOpened { .. }]));
        for _ in 0..3 {
            stuck.ports.put(Output::Text { socket, text: "x".to_owned() });
        }
        let back = stuck.ports.next_feedback();
        assert!(matches!(back, Some(Input::SocketClosed { socket: SocketId(7), code: None })));
        assert!(stuck.ports.next_feedback().is_none());
        let late = Input::SocketText { socket, text: "late".to_owned() };
        assert!(stuck.ports.admit(Event::Input(late)).is_empty());
        assert!(
            stuck.ports.admit(Event::WsClosed { socket, code: None }).is_empty(),
            "told already"
        );
    }

    #[test]
    fn a_fabric_without_roomends_the_gateway() {
        let mut stuck = stuck();
        let commit = |token| {
            let session = SessionId::from("s");
            Output::Store(Commit { session, token, epoch: 1, changes: Vec::new(), urgent: true })
        };
        stuck.ports.put(commit(1));
        assert_eq!(stuck.ports.fault(), None);
        assert!(!stuck.ports.is_idle(), "a commit waits");
        stuck.ports.put(commit(2));
        assert!(stuck.ports.fault().is_some_and(|why| why.contains("does not keep up")));
        assert!(matches!(stuck.commits.try_recv(), Ok(Work::Commit(commit)) if commit.token == 1));
    }

    #[test]
    fn a_late_fabric_turns_requests_away_and_tells_those_who_do_not_repeat() {
        let text = "BYE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bKa\r\n\
            From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n\r\n";
        let message = reveille_wire::sip::Message::parse(text.as_bytes()).expect("sound");
        let mut stuck = stuck();
        let event =
            |flow: Flow| Event::Input(Input::Sip { flow, message: Box::new(message.clone()) });
        assert!(stuck.ports.admit(event(flow())).is_empty());
        assert!(stuck.ports.next_feedback().is_none());
        assert!(stuck.ends.1.try_recv().is_err(), "silence over UDP");

        let (queue, mut sent) = mpsc::channel(1);
        let (connection, transport, peer) = (3, Transport::Tcp, flow().peer);
        stuck.ports.admit(Event::SipOpened { connection, transport, peer, queue });
        let tcp = Flow { transport: Transport::Tcp, connection: Some(connection), ..flow() };
        assert!(stuck.ports.admit(event(tcp)).is_empty());
        let told = sent.try_recv().expect("an answer over TCP");
        assert!(told.bytes.starts_with(b"SIP/2.0 503 "));
    }
}
