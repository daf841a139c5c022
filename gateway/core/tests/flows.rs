//! The flow to the registrar: what its 200 grants, what its end means for those who share it, and what
//! is too large for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reveille_gateway_core::config::{Config, Registrar, Secret, User};
use reveille_gateway_core::io::{Flow, Input, Output, SocketId, Transport};
use reveille_gateway_core::node::Node;
use reveille_gateway_core::record::SessionId;
use reveille_trace::Timestamp;
use reveille_wire::sip::{Message, Method};
use serde_json::{Value, json};

const SECOND_US: u64 = 1_000_000;

fn upstream(transport: Transport) -> Flow {
    let (local, peer) = (String::new(), "192.0.2.2:5060".to_owned());
    Flow { transport, local, peer, connection: None }
}

/// A node whose registrar is reached by `transport`, and what it said.
struct Rig {
    node: Node,
    now: Timestamp,
    registers: Vec<(u64, Message)>,
    /// The flow of each REGISTER.
    flows: Vec<Flow>,
    kept: Vec<(Flow, (u64, u64))>,
    sessions: Vec<SessionId>,
}

impl Rig {
    fn new(transport: Transport, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new("example.com", "192.0.2.9:5060");
        config.users.push(User {
            aor: "bob@example.com".to_owned(),
            username: "bob".to_owned(),
            secret: Secret("sesame".to_owned()),
        });
        config.registrar = Some(Registrar {
            uri: "sip:example.com".to_owned(),
            flow: upstream(transport),
            expires_s: 3_600,
        });
        change(&mut config);
        let mut rig = Self {
            node: Node::new(Arc::new(config), [7; 32]),
            now: Timestamp { mono_us: 1, wall_us: 1_900_000_000_000_000 },
            registers: Vec::new(),
            flows: Vec::new(),
            kept: Vec::new(),
            sessions: Vec::new(),
        };
        rig.feed(Input::Started { sessions: Vec::new(), calls: Vec::new(), messages: Vec::new() });
        rig
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut out = Vec::new();
            self.node.handle(self.now, input, &mut out);
            for output in out {
                match output {
                    Output::Sip { flow, bytes } => {
                        let message = Message::parse(&bytes).expect("well-formed SIP");
                        if message.method() == Some(&Method::REGISTER) {
                            self.flows.push(flow);
                            self.registers.push((self.now.mono_us, message));
                        }
                    }
                    Output::KeepAlive { flow, every_ms } => self.kept.push((flow, every_ms)),
                    Output::Store(commit) => {
                        let (session, token) = (commit.session, commit.token);
                        inputs.push(Input::Stored { session, token });
                    }
                    Output::Text { text, .. } => self.learn(&text),
                    Output::Claim(_)
                    | Output::Close { .. }
                    | Output::Notify(_)
                    | Output::Trace(_) => {}
                }
            }
        }
    }

    /// The session's name stands in the answer to its connect.
    fn learn(&mut self, text: &str) {
        let frame: Value = serde_json::from_str(text).expect("JSON");
        if let Some(id) = frame["control"]["session_id"].as_str() {
            self.sessions.push(SessionId::from(id.to_owned()));
        }
    }

    /// An app connects, and the registrar takes it with these headers more.
    fn join(&mut self, socket: u64, more: &[(&str, &str)]) -> SessionId {
        self.ask(socket);
        self.take(more);
        self.sessions.last().cloned().expect("the connect is answered")
    }

    /// The last REGISTER is answered 200.
    fn take(&mut self, more: &[(&str, &str)]) {
        let (_, register) = self.registers.last().expect("a REGISTER");
        let contact = register.header("Contact").expect("a Contact").to_owned();
        let gruu = "pub-gruu=\"sip:bob@example.com;gr=urn:uuid:7\"";
        let mut answer = register.reply(200, "OK", Some("r")).with("Expires", "3600");
        answer.push("Contact", format!("{contact};{gruu}"));
        for (name, value) in more {
            answer.push(name, *value);
        }
        self.hear(answer);
    }

    fn hear(&mut self, answer: Message) {
        let flow = Flow { connection: Some(1), ..upstream(Transport::Tcp) };
        self.feed(Input::Sip { flow, message: Box::new(answer) });
    }

    /// An app asks for a session.
    fn ask(&mut self, socket: u64) {
        let (user, app) = ("bob".to_owned(), "phone".to_owned());
        self.feed(Input::SocketOpened { socket: SocketId(socket), user, app });
        let connect = json!({"control": {"type": "request", "sequence": 1},
            "header": {"action": "connect"}, "payload": {"deviceToken": format!("tok{socket}")}});
        let text = connect.to_string();
        self.feed(Input::SocketText { socket: SocketId(socket), text });
    }

    /// The last REGISTER is answered so.
    fn reply(&mut self, status: u16) {
        let (_, register) = self.registers.last().expect("a REGISTER");
        self.hear(register.reply(status, "", Some("r")));
    }

    /// The peers of all REGISTERs so far.
    fn peers(&self) -> Vec<&str> {
        self.flows.iter().map(|flow| flow.peer.as_str()).collect()
    }

    /// An app connects, and the registrar challenges it; the credentials repeat a nonce this long.
    fn challenge(&mut self, nonce: usize) {
        self.ask(1);
        let (_, register) = self.registers.last().expect("a REGISTER");
        let value = format!("Digest realm=\"r\", nonce=\"{}\"", "n".repeat(nonce));
        self.hear(register.reply(401, "Unauthorized", Some("r")).with("WWW-Authenticate", value));
    }

    /// How the REGISTER with this index left: its flow's transport, its size, and its Via.
    fn left(&self, index: usize) -> (Transport, usize, String) {
        let register = &self.registers[index].1;
        let via = register.header("Via").expect("a Via").to_owned();
        (self.flows[index].transport, register.to_bytes().len(), via)
    }

    /// Lets time pass; every deadline comes at its instant.
    fn pass(&mut self, seconds: u64) {
        let until = self.now.mono_us + seconds * SECOND_US;
        while let Some(due) = self.node.next_deadline_us().filter(|due| *due <= until) {
            self.now.wall_us += due.saturating_sub(self.now.mono_us);
            self.now.mono_us = self.now.mono_us.max(due);
            self.feed(Input::Tick);
        }
        self.now.wall_us += until - self.now.mono_us;
        self.now.mono_us = until;
    }

    fn lose(&mut self, flow: Flow) {
        self.registers.clear();
        self.flows.clear();
        self.feed(Input::FlowLost { flow });
    }
}

const OUTBOUND: (&str, &str) = ("Require", "outbound");

#[test]
fn what_the_200_grants_is_kept_for_the_session_and_renewed() {
    let mut rig = Rig::new(Transport::Tcp, |_| {});
    let routes = ("Service-Route", "<sip:edge.example.com;lr>, <sip:core.example.com;lr>");
    let more = ("Service-Route", "<sip:third.example.com;lr>");
    let session = rig.join(1, &[routes, more]);
    let wanted =
        ["<sip:edge.example.com;lr>", "<sip:core.example.com;lr>", "<sip:third.example.com;lr>"];
    assert_eq!(rig.node.service_route(&session), wanted);
    assert_eq!(rig.node.public_gruu(&session), Some("sip:bob@example.com;gr=urn:uuid:7"));
    assert!(rig.registers[0].1.values("Supported").contains(&"gruu"));
    rig.pass(3_600);
    rig.take(&[]);
    assert_eq!(rig.node.service_route(&session), [""; 0], "the last 200 has none");
    assert_eq!(rig.node.service_route(&SessionId::from("other")), [""; 0]);
}

#[test]
fn a_flow_is_kept_alive_where_the_registrar_says_that_it_uses_it() {
    let mut rig = Rig::new(Transport::Tcp, |_| {});
    rig.join(1, &[]);
    assert_eq!(rig.kept, [], "nothing was agreed on");
    rig.join(2, &[OUTBOUND]);
    rig.join(3, &[OUTBOUND, ("Flow-Timer", "25")]);
    let flow = upstream(Transport::Tcp);
    assert_eq!(rig.kept, [(flow.clone(), (95_000, 120_000)), (flow, (20_000, 25_000))]);
}

#[test]
fn udp_is_kept_alive_only_if_the_operator_wants_stun() {
    for (stun, wanted) in [(false, 0), (true, 1)] {
        let mut rig = Rig::new(Transport::Udp, |config| config.stun = stun);
        rig.join(1, &[OUTBOUND]);
        assert_eq!(rig.kept.len(), wanted);
    }
}

#[test]
fn a_flow_that_stood_is_replaced_at_once_by_all_who_shared_it_but_not_in_one_instant() {
    let mut rig = Rig::new(Transport::Tcp, |_| {});
    for socket in 1..=200 {
        rig.join(socket, &[OUTBOUND]);
    }
    rig.join(999, &[]);
    rig.pass(121);
    rig.lose(upstream(Transport::Udp));
    rig.pass(5);
    assert!(rig.registers.is_empty(), "another flow");
    rig.lose(upstream(Transport::Tcp));
    let before = rig.now.mono_us;
    rig.pass(4);
    let mut instants = BTreeMap::new();
    for (at, register) in &rig.registers {
        *instants.entry(*at).or_insert(0) += 1;
        assert_eq!(register.cseq().expect("a CSeq").number, 2);
        assert!(register.header("Contact").expect("a Contact").contains("reg-id=1"));
    }
    assert_eq!(rig.registers.len(), 200, "all who shared it, and nobody else");
    assert!(instants.values().all(|count| *count < 10), "{instants:?}");
    assert!(instants.keys().all(|at| at - before <= 2 * SECOND_US));
}

#[test]
fn who_is_awake_and_who_sleeps_come_back_over_a_new_flow_alike() {
    let mut rig = Rig::new(Transport::Tcp, |_| {});
    let sleeper = rig.join(1, &[OUTBOUND]);
    let sleep = json!({"control": {"type": "request", "sequence": 2, "session_id": sleeper.as_str()},
        "header": {"action": "hibernate"}});
    rig.feed(Input::SocketText { socket: SocketId(1), text: sleep.to_string() });
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
    rig.join(2, &[OUTBOUND]);
    rig.lose(upstream(Transport::Tcp));
    rig.pass(62);
    let from = |(_, register): &(u64, Message)| register.header("From").map(ToOwned::to_owned);
    let froms: BTreeSet<_> = rig.registers.iter().map(from).collect();
    assert_eq!((rig.registers.len(), froms.len()), (2, 2));
}

#[test]
fn a_flow_that_dies_young_is_replaced_after_a_back_off() {
    let mut rig = Rig::new(Transport::Tcp, |_| {});
    rig.join(1, &[OUTBOUND]);
    rig.pass(119);
    rig.lose(upstream(Transport::Tcp));
    rig.pass(29);
    assert!(rig.registers.is_empty(), "30 to 60 s");
    rig.pass(32);
    assert_eq!(rig.registers.len(), 1);
    rig.lose(upstream(Transport::Tcp));
    rig.pass(59);
    assert!(rig.registers.is_empty(), "60 to 120 s; the request on the dead flow is forgotten");
    rig.pass(62);
    assert_eq!(rig.registers.len(), 1);
}

/// The nonce with which the second REGISTER is just as large as may go by UDP.
fn fitting_nonce() -> usize {
    let mut rig = Rig::new(Transport::Udp, |_| {});
    rig.challenge(1);
    1_301 - rig.left(1).1
}

#[test]
fn a_request_above_1300_bytes_leaves_udp_and_one_of_1300_does_not() {
    let nonce = fitting_nonce();
    for (nonce, size, transport) in
        [(nonce, 1_300, Transport::Udp), (nonce + 1, 1_301, Transport::Tcp)]
    {
        let mut rig = Rig::new(Transport::Udp, |_| {});
        rig.challenge(nonce);
        let (by, length, via) = rig.left(1);
        assert_eq!((by, length), (transport, size));
        assert!(via.starts_with(&format!("SIP/2.0/{} ", transport.via_name())), "{via}");
        let before = rig.registers.len();
        rig.pass(10);
        assert_eq!(rig.registers.len() > before, transport == Transport::Udp, "repeated over UDP");
        rig.take(&[]);
        assert_eq!(rig.sessions.len(), 1, "the answer finds it");
    }
}

#[test]
fn where_tcp_is_refused_the_same_request_goes_by_udp_and_stays_there() {
    let mut rig = Rig::new(Transport::Udp, |_| {});
    rig.challenge(2_000);
    let by_tcp = rig.flows[1].clone();
    assert_eq!(by_tcp, upstream(Transport::Tcp));
    rig.feed(Input::SipUnsent { flow: by_tcp });
    let ((by, length, via), (_, before, first)) = (rig.left(2), rig.left(1));
    assert_eq!((by, length), (Transport::Udp, before));
    assert_eq!(via, first.replace("SIP/2.0/TCP", "SIP/2.0/UDP"), "the same transaction");
    rig.pass(1);
    assert_eq!(rig.left(3).0, Transport::Udp, "repeated as over UDP");
    let flow = rig.flows[2].clone();
    rig.feed(Input::SipUnsent { flow });
    rig.pass(5);
    assert_eq!(rig.registers.len(), 4, "a second failure is one");
}

#[test]
fn over_streams_size_does_not_matter() {
    let mut rig = Rig::new(Transport::Tls, |_| {});
    rig.challenge(2_000);
    let (by, _, via) = rig.left(1);
    assert!(by == Transport::Tls && via.starts_with("SIP/2.0/TLS "), "{via}");
}

const FIRST: &str = "192.0.2.2:5060";
const SECOND: &str = "192.0.2.3:5060";

/// A registrar that is reached at two places.
fn two(transport: Transport) -> Rig {
    Rig::new(transport, |config| {
        let other = Flow { peer: SECOND.to_owned(), ..upstream(transport) };
        config.registrar_others.push(other);
        config.idle_limit_ms = (3_600_000, 3_600_000);
    })
}

#[test]
fn a_target_that_refuses_by_503_or_cannot_be_reached_is_followed_by_the_next() {
    for unsent in [false, true] {
        let mut rig = two(Transport::Tcp);
        rig.ask(1);
        match unsent {
            true => rig.feed(Input::SipUnsent { flow: upstream(Transport::Tcp) }),
            false => rig.reply(503),
        }
        assert_eq!(rig.peers(), [FIRST, SECOND], "at once");
        let branch = |index: usize| rig.registers[index].1.via().expect("a Via").branch;
        assert_ne!(branch(0), branch(1), "another transaction");
        let call_id = |index: usize| rig.registers[index].1.call_id().expect("one").to_owned();
        assert_eq!(call_id(0), call_id(1), "of the same registration");
        rig.take(&[]);
        assert_eq!(rig.sessions.len(), 1, "the app is let in");
        rig.ask(2);
        assert_eq!(rig.peers(), [FIRST, SECOND, SECOND], "the next session goes there first");
    }
}

#[test]
fn a_silent_target_is_followed_by_the_next_but_not_one_that_said_anything() {
    let mut rig = two(Transport::Udp);
    rig.ask(1);
    rig.pass(31);
    assert!(rig.peers().iter().all(|peer| *peer == FIRST));
    rig.pass(2);
    assert_eq!(rig.peers().last(), Some(&SECOND));

    let mut rig = two(Transport::Udp);
    rig.ask(1);
    rig.reply(100);
    rig.pass(35);
    assert!(rig.peers().iter().all(|peer| *peer == FIRST), "{:?}", rig.peers());
    rig.ask(2);
    rig.reply(500);
    assert!(rig.peers().iter().all(|peer| *peer == FIRST), "another failure is an answer");
}

#[test]
fn once_all_targets_failed_the_app_is_told_and_the_first_is_next() {
    let mut rig = two(Transport::Tcp);
    rig.ask(1);
    rig.reply(503);
    rig.reply(503);
    assert_eq!(rig.peers(), [FIRST, SECOND], "nobody is asked twice");
    assert_eq!(rig.sessions.len(), 0);
    rig.ask(2);
    assert_eq!(rig.peers(), [FIRST, SECOND, FIRST]);
}

#[test]
fn another_registrar_is_shown_no_answer_to_the_challenge_of_the_first() {
    let mut rig = two(Transport::Tcp);
    rig.challenge(1);
    assert!(rig.registers[1].1.header("Authorization").is_some());
    rig.reply(503);
    assert_eq!(rig.peers(), [FIRST, FIRST, SECOND]);
    assert!(rig.registers[2].1.header("Authorization").is_none());
    let value = "Digest realm=\"r\", nonce=\"m\"";
    let refused = rig.registers[2].1.reply(401, "", Some("r")).with("WWW-Authenticate", value);
    rig.hear(refused);
    assert!(rig.registers[3].1.header("Authorization").is_some(), "and answers its own");
}

#[test]
fn ten_minutes_later_the_first_target_is_tried_again() {
    let mut rig = two(Transport::Tcp);
    rig.ask(1);
    rig.reply(503);
    rig.take(&[]);
    for (seconds, wanted) in [(599, SECOND), (1, FIRST)] {
        rig.pass(seconds);
        rig.ask(seconds);
        assert_eq!(rig.peers().last(), Some(&wanted), "after {seconds} s more");
        rig.take(&[]);
    }
}

#[test]
fn a_lost_flow_that_cannot_be_made_anew_is_made_to_the_next_target() {
    let mut rig = two(Transport::Tcp);
    rig.join(1, &[OUTBOUND]);
    rig.pass(121);
    rig.lose(upstream(Transport::Tcp));
    rig.pass(1);
    assert_eq!(rig.peers(), [FIRST], "the same target first");
    // The dial fails: the driver tells of the connection, then of the message.
    rig.feed(Input::FlowLost { flow: upstream(Transport::Tcp) });
    rig.feed(Input::SipUnsent { flow: upstream(Transport::Tcp) });
    rig.pass(1);
    assert_eq!(rig.peers(), [FIRST, SECOND]);
    rig.take(&[OUTBOUND]);
    let second = Flow { peer: SECOND.to_owned(), ..upstream(Transport::Tcp) };
    assert_eq!(rig.kept.last().map(|(flow, _)| flow), Some(&second), "and kept alive");
}

#[test]
fn what_is_found_out_about_targets_takes_the_place_of_the_configuration() {
    let mut rig = two(Transport::Tcp);
    let third = Flow { peer: "192.0.2.4:5070".to_owned(), ..upstream(Transport::Udp) };
    rig.feed(Input::Targets { flows: vec![third] });
    rig.feed(Input::Targets { flows: Vec::new() });
    rig.ask(1);
    assert_eq!((rig.peers(), rig.left(0).0), (vec!["192.0.2.4:5070"], Transport::Udp));
    assert!(rig.left(0).2.starts_with("SIP/2.0/UDP "));
}

#[test]
fn two_sessions_that_one_target_refuses_move_to_the_next_together() {
    let mut rig = two(Transport::Tcp);
    rig.ask(1);
    rig.ask(2);
    for index in 0..2 {
        let refused = rig.registers[index].1.reply(503, "", Some("r"));
        rig.hear(refused);
    }
    assert_eq!(rig.peers(), [FIRST, FIRST, SECOND, SECOND]);
}
