//! The loop's ends of every queue: where the core's outputs go.

use std::collections::{BTreeMap, VecDeque};

use reveille_gateway_core::io::{
    Commit, Flow, Input, Output, PushOutcome, PushRequest, Sink, SocketId, Transport,
};
use reveille_wire::sip::Method;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::admin::Pushes;
use crate::metrics::Wakes;
use crate::quota::Reached;
use crate::sip::{SipOut, tcp};
use crate::world::{Event, World};
use crate::ws::WsOut;

/// Commits that may wait for the fabric.
pub(crate) const COMMIT_QUEUE: usize = 16_384;
/// Below so many free places, peers are turned away: what is under way needs the rest.
const COMMIT_RESERVE: usize = 4_096;

struct TcpPort {
    peer: String,
    queue: mpsc::Sender<SipOut>,
}

/// Every queue out of the loop.
pub(crate) struct Ports {
    world: World,
    udp: Vec<(String, mpsc::Sender<SipOut>)>,
    tcp: BTreeMap<u64, TcpPort>,
    sockets: BTreeMap<SocketId, mpsc::Sender<WsOut>>,
    commits: mpsc::Sender<Commit>,
    unanswered: usize,
    pushes: Pushes,
    wakes: Wakes,
    feedback: VecDeque<Input>,
    fault: Option<String>,
}

impl Ports {
    pub(crate) fn new(
        world: World,
        udp: Vec<(String, mpsc::Sender<SipOut>)>,
        commits: mpsc::Sender<Commit>,
        pushes: Pushes,
    ) -> Self {
        Self {
            world,
            udp,
            tcp: BTreeMap::new(),
            sockets: BTreeMap::new(),
            commits,
            unanswered: 0,
            pushes,
            wakes: Wakes::default(),
            feedback: VecDeque::new(),
            fault: None,
        }
    }

    /// Books what the event says about queues; returns what the core must hear.
    pub(crate) fn admit(&mut self, event: Event) -> Vec<Input> {
        let inputs = self.book(event);
        self.world.metrics.sockets.set(self.sockets.len());
        self.world.metrics.connections.set(self.tcp.len());
        for input in &inputs {
            self.count(input);
        }
        inputs
    }

    fn book(&mut self, event: Event) -> Vec<Input> {
        match event {
            Event::Input(input) if self.is_turned_away(&input) => Vec::new(),
            Event::Input(input) => vec![input],
            Event::TcpOpened { connection, peer, queue } => {
                self.tcp.insert(connection, TcpPort { peer, queue });
                Vec::new()
            }
            Event::TcpClosed { connection } => {
                self.tcp.remove(&connection);
                Vec::new()
            }
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
            Transport::Tcp => self.send_tcp(SipOut { flow, bytes }),
        };
        if let Some(message) = unsent {
            tracing::warn!(peer = message.flow.peer, "no room or no way for a SIP message");
            self.world.metrics.sip_unsent(message.flow.transport);
            self.feedback.push_back(Input::SipUnsent { flow: message.flow });
        }
    }

    fn send_udp(&self, message: SipOut) -> Option<SipOut> {
        let named = self.udp.iter().find(|(local, _)| *local == message.flow.local);
        match named.or_else(|| self.udp.first()) {
            Some((_, queue)) => back(queue.try_send(message)),
            None => Some(message),
        }
    }

    fn send_tcp(&mut self, message: SipOut) -> Option<SipOut> {
        let alive = message.flow.connection.filter(|number| self.tcp.contains_key(number));
        let by_peer = || {
            let mut ports = self.tcp.iter();
            ports.find(|(_, port)| port.peer == message.flow.peer).map(|(number, _)| *number)
        };
        let Some(number) = alive.or_else(by_peer) else { return self.dial(message) };
        let Some(port) = self.tcp.get(&number) else { return Some(message) };
        match port.queue.try_send(message) {
            Ok(()) => None,
            Err(TrySendError::Full(message)) => Some(message),
            Err(TrySendError::Closed(message)) => {
                self.tcp.remove(&number);
                self.dial(message)
            }
        }
    }

    /// A connection that is still to be made queues like one that stands.
    fn dial(&mut self, message: SipOut) -> Option<SipOut> {
        let peer = message.flow.peer.clone();
        let (connection, queue) = tcp::dial(&self.world, &peer);
        let unsent = back(queue.try_send(message));
        self.tcp.insert(connection, TcpPort { peer, queue });
        unsent
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
        match self.commits.try_send(commit) {
            Ok(()) => self.unanswered += 1,
            Err(_) => {
                let why = "the fabric does not keep up: no room for a commit; restart to recover";
                self.fault.get_or_insert_with(|| why.to_owned());
            }
        }
    }

    fn push(&mut self, request: PushRequest) {
        let id = request.id;
        self.wakes.asked(&self.world.metrics, &request, self.world.now().mono_us);
        let application = request.application.clone();
        let provider = request.provider.clone();
        let allowed = self.world.quota.push(&application, id.wake, self.world.now().mono_us);
        let outcome = match (allowed, self.pushes.get(&provider)) {
            (Err(reached), _) => self.over_rate(&application, &reached),
            (Ok(()), None) => {
                PushOutcome::refused(format!("no push provider `{provider}` is configured"))
            }
            (Ok(()), Some(queue)) if queue.try_send(request).is_ok() => return,
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
    fn put(&mut self, output: Output) {
        match output {
            Output::Sip { flow, bytes } => self.send_sip(flow, bytes),
            Output::Text { socket, text } => {
                self.world.metrics.frame("out");
                self.send_ws(socket, WsOut::Text(text));
            }
            Output::Close { socket, code, reason } => {
                self.send_ws(socket, WsOut::Close { code, reason });
            }
            Output::Store(commit) => self.store(commit),
            Output::Notify(request) => self.push(*request),
            Output::Trace(draft) => {
                if let (Some(limit), Some(app)) = (draft.text("limit"), draft.text("app")) {
                    self.world.metrics.limit_reached(app, limit);
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
    use reveille_trace::{Recorder, Scribe};
    use tokio::sync::watch;

    use super::*;

    /// Ports whose queues hold one each, and the ends that nobody reads.
    struct Stuck {
        ports: Ports,
        ends: (mpsc::Receiver<Event>, mpsc::Receiver<SipOut>, mpsc::Receiver<PushRequest>),
        _stop: watch::Sender<bool>,
        commits: mpsc::Receiver<Commit>,
    }

    fn stuck() -> Stuck {
        let (inbox, events) = mpsc::channel(1);
        let (stop, stopping) = watch::channel(false);
        let scribe = Scribe::new(Recorder::passing(), "gateway");
        let world = World::new(reveille_host::real::host(), scribe, inbox, stopping);
        let (udp, sip) = mpsc::channel(1);
        let (push, requests) = mpsc::channel(1);
        let (commit, commits) = mpsc::channel(1);
        let udp = vec![("192.0.2.9:5060".to_owned(), udp)];
        let pushes = BTreeMap::from([("webhook".to_owned(), push)]);
        let ports = Ports::new(world, udp, commit, pushes);
        Stuck { ports, ends: (events, sip, requests), _stop: stop, commits }
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
            session: SessionId("s".to_owned()),
            application: String::new(),
            token: String::new(),
            payload: reveille_wire::push::WakePayload {
                session_id: "s".to_owned(),
                event: "call".to_owned(),
                call_id: None,
                subsession_id: None,
                initiator: None,
                target: None,
                ttl_s: None,
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

    #[test]
    fn a_full_push_queue_is_transient_and_an_unknown_provider_refused() {
        let mut stuck = stuck();
        stuck.ports.put(push(1, "webhook"));
        assert!(stuck.ports.next_feedback().is_none(), "the first has room");
        stuck.ports.put(push(2, "webhook"));
        let Some(Input::Pushed { push: id, outcome }) = stuck.ports.next_feedback() else {
            panic!("the second has no room and says so");
        };
        assert_eq!(id.attempt, 2);
        assert!(matches!(outcome, PushOutcome::Transient { .. }));
        stuck.ports.put(push(3, "pigeon"));
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
            let session = SessionId("s".to_owned());
            Output::Store(Commit { session, token, epoch: 1, changes: Vec::new(), urgent: true })
        };
        stuck.ports.put(commit(1));
        assert_eq!(stuck.ports.fault(), None);
        assert!(!stuck.ports.is_idle(), "a commit waits");
        stuck.ports.put(commit(2));
        assert!(stuck.ports.fault().is_some_and(|why| why.contains("does not keep up")));
        assert_eq!(stuck.commits.try_recv().map(|commit| commit.token), Ok(1));
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
        let (connection, peer) = (3, flow().peer);
        stuck.ports.admit(Event::TcpOpened { connection, peer, queue });
        let tcp = Flow { transport: Transport::Tcp, connection: Some(connection), ..flow() };
        assert!(stuck.ports.admit(event(tcp)).is_empty());
        let told = sent.try_recv().expect("an answer over TCP");
        assert!(told.bytes.starts_with(b"SIP/2.0 503 "));
    }
}
