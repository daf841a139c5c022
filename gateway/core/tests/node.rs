//! The node, one situation at a time: what goes in, what must come out, and what must not.

use std::sync::Arc;

use reveille_gateway_core::config::{Config, Registrar, Secret, User};
use reveille_gateway_core::io::{
    Change, Commit, Flow, Input, Output, PushOutcome, PushRequest, SocketId, Transport,
};
use reveille_gateway_core::node::Node;
use reveille_trace::Timestamp;
use reveille_wire::sip::Message;
use serde_json::{Value, json};

/// A node with everything it said so far, sorted by where it went.
struct Rig {
    node: Node,
    now: Timestamp,
    commits: Vec<Commit>,
    sip: Vec<Message>,
    texts: Vec<(u64, Value)>,
    closes: Vec<(u64, u16)>,
    pushes: Vec<PushRequest>,
    hold_commits: bool,
}

fn udp() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.9:5060".to_owned(),
        peer: "192.0.2.1:5060".to_owned(),
        connection: None,
    }
}

fn config() -> Config {
    let mut config = Config::new("example.com", "192.0.2.9:5060");
    for name in ["bob", "eve"] {
        config.users.push(User {
            aor: format!("{name}@example.com"),
            username: name.to_owned(),
            secret: Secret(format!("secret of {name}")),
        });
    }
    config
}

impl Rig {
    fn new(config: Config) -> Self {
        let mut rig = Self {
            node: Node::new(Arc::new(config), [7; 32]),
            now: Timestamp { mono_us: 1, wall_us: 1_900_000_000_000_000 },
            commits: Vec::new(),
            sip: Vec::new(),
            texts: Vec::new(),
            closes: Vec::new(),
            pushes: Vec::new(),
            hold_commits: false,
        };
        rig.feed(Input::Started { sessions: Vec::new(), calls: Vec::new() });
        rig
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.node.handle(self.now, input, &mut out);
        for output in out {
            match output {
                Output::Sip { bytes, .. } => {
                    self.sip.push(Message::parse(&bytes).expect("well-formed SIP"));
                }
                Output::Text { socket, text } => {
                    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
                    self.texts.push((socket.0, value));
                }
                Output::Close { socket, code, .. } => self.closes.push((socket.0, code)),
                Output::Store(commit) => self.commits.push(commit),
                Output::Notify(request) => self.pushes.push(*request),
                Output::KeepAlive { .. } | Output::Trace(_) => {}
            }
        }
        if !self.hold_commits {
            self.commit_all();
        }
    }

    fn commit_all(&mut self) {
        for commit in std::mem::take(&mut self.commits) {
            self.feed(Input::Stored { session: commit.session, token: commit.token });
        }
    }

    fn wait_ms(&mut self, ms: u64) {
        let until = self.now.plus_ms(ms);
        while let Some(due_us) =
            self.node.next_deadline_us().filter(|due_us| *due_us <= until.mono_us)
        {
            self.now = self.now.plus_us(due_us.saturating_sub(self.now.mono_us));
            self.feed(Input::Tick);
        }
        self.now = until;
    }

    fn open(&mut self, socket: u64, user: &str) {
        let socket = SocketId(socket);
        self.feed(Input::SocketOpened { socket, user: user.to_owned(), app: "app".to_owned() });
    }

    fn say(&mut self, socket: u64, frame: &Value) {
        self.feed(Input::SocketText { socket: SocketId(socket), text: frame.to_string() });
    }

    fn connect(&mut self, socket: u64, user: &str, token: &str) -> String {
        self.open(socket, user);
        self.say(
            socket,
            &json!({"control": {"type": "request", "sequence": 1}, "header": {"action": "connect"},
                "payload": {"deviceToken": token}}),
        );
        let answer = self.last_text(socket);
        answer["control"]["session_id"].as_str().expect("a session id").to_owned()
    }

    fn sleep(&mut self, socket: u64, session: &str) {
        self.say(
            socket,
            &json!({"control": {"type": "request", "sequence": 2, "correlation_id": "c2",
                "session_id": session}, "header": {"action": "hibernate", "ttl": 3600}}),
        );
    }

    fn asleep(&mut self) -> String {
        let session = self.connect(1, "bob", "tok");
        self.sleep(1, &session);
        self.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
        session
    }

    fn resume(&mut self, socket: u64, user: &str, session: &str, extra: &Value) {
        self.open(socket, user);
        let mut header = json!({"action": "connect", "cslr": 2});
        for (name, value) in extra.as_object().expect("an object") {
            header[name] = value.clone();
        }
        self.say(
            socket,
            &json!({"control": {"type": "request", "session_id": session}, "header": header}),
        );
    }

    fn request(&mut self, method: &str, call: &str, to_tag: &str) {
        self.request_to(method, call, to_tag, "sip:bob@example.com");
    }

    fn request_to(&mut self, method: &str, call: &str, to_tag: &str, uri: &str) {
        self.request_with(method, call, to_tag, uri, "");
    }

    /// `fields` are whole lines.
    fn request_with(&mut self, method: &str, call: &str, to_tag: &str, uri: &str, fields: &str) {
        let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        let (branch, number) = match method {
            "INVITE" | "CANCEL" => ("i", 1),
            "ACK" if to_tag.is_empty() => ("i", 1),
            "ACK" => ("a", 1),
            _ => ("b", 2),
        };
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{call}{branch}\r\n\
             From: <sip:alice@example.com>;tag=f\r\nTo: <sip:bob@example.com>{to_tag}\r\n\
             Call-ID: {call}\r\nCSeq: {number} {method}\r\nContact: <sip:alice@192.0.2.1>\r\n\
             Max-Forwards: 70\r\n{fields}Content-Length: 0\r\n\r\n"
        );
        let message = Box::new(Message::parse(text.as_bytes()).expect("well-formed SIP"));
        self.feed(Input::Sip { flow: udp(), message });
    }

    fn last_text(&self, socket: u64) -> Value {
        let of_socket = |(at, text): &&(u64, Value)| *at == socket && text != "pong";
        self.texts.iter().rev().find(of_socket).expect("a text").1.clone()
    }

    fn starts(&self, socket: u64) -> Vec<Value> {
        let is_start = |(at, text): &&(u64, Value)| {
            *at == socket
                && text["control"]["type"] == "request"
                && text["header"]["action"] == "start"
        };
        self.texts.iter().filter(is_start).map(|(_, text)| text.clone()).collect()
    }

    fn statuses(&self, call: &str) -> Vec<u16> {
        let of_call = |message: &&Message| message.call_id() == Ok(call);
        self.sip.iter().filter(of_call).filter_map(Message::status).collect()
    }

    fn answer(&mut self, socket: u64, start: &Value, sequence: u64) {
        let control = &start["control"];
        self.say(
            socket,
            &json!({"control": {"type": "response", "package_type": "call", "sequence": sequence,
                "session_id": control["session_id"], "subsession_id": control["subsession_id"],
                "correlation_id": control["correlation_id"], "message_state": "final"},
                "header": {"action": "start"}, "payload": {"sdp": "v=0\r\n"}}),
        );
    }

    fn tag_of(&self, call: &str, status: u16) -> String {
        let is_it = |m: &&Message| m.call_id() == Ok(call) && m.status() == Some(status);
        let response = self.sip.iter().find(is_it).expect("the response");
        response.to().expect("a To").tag().expect("a tag").to_owned()
    }
}

#[test]
fn two_calls_for_one_sleeper_are_one_push_and_two_starts_in_order() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.request("INVITE", "two", "");
    assert_eq!(rig.pushes.len(), 1, "one push for both");
    assert_eq!(rig.pushes[0].payload.call_id.as_deref(), Some("one"));
    rig.resume(2, "bob", &session, &json!({}));
    let answer = rig.texts.iter().find(|(at, _)| *at == 2).expect("the resume is answered");
    assert_eq!(answer.1["header"]["pending"], 2);
    assert_eq!(answer.1["control"]["sequence"], Value::Null, "a resume's answer has no number");
    let numbers: Vec<_> =
        rig.starts(2).iter().map(|start| start["control"]["sequence"].as_u64()).collect();
    assert_eq!(numbers, [Some(3), Some(4)]);
    let starts = rig.starts(2);
    rig.answer(2, &starts[0], 3);
    assert_eq!(rig.statuses("one"), [100, 183, 200]);
    assert_eq!(rig.statuses("two"), [100, 183]);
}

#[cfg(feature = "mutants")]
#[test]
fn forgetting_the_second_pending_call_is_seen() {
    let mut config = config();
    config.defect = Some(reveille_gateway_core::mutant::Defect::ForgetsSecondPending);
    let mut rig = Rig::new(config);
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.request("INVITE", "two", "");
    rig.resume(2, "bob", &session, &json!({}));
    assert_eq!(rig.starts(2).len(), 1);
}

#[test]
fn nothing_leaves_before_its_record_is_stored() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.hold_commits = true;
    rig.request("INVITE", "one", "");
    assert_eq!((rig.statuses("one"), rig.pushes.len()), (vec![], 0));
    let put = |change: &Change| matches!(change, Change::PutCall(_));
    assert!(rig.commits.iter().any(|commit| commit.changes.iter().any(put)));
    rig.request("INVITE", "one", "");
    assert_eq!(rig.statuses("one"), [] as [u16; 0], "a resent INVITE is absorbed in silence");
    rig.commit_all();
    assert_eq!((rig.statuses("one"), rig.pushes.len()), (vec![100, 183], 1));
}

#[test]
fn a_retransmitted_invite_repeats_the_last_provisional_and_nothing_else() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("INVITE", "one", "");
    rig.request("INVITE", "one", "");
    rig.request("INVITE", "one", "");
    assert_eq!(rig.statuses("one"), [100, 183, 183, 183]);
    assert_eq!(rig.pushes.len(), 1);
}

#[test]
fn a_call_that_crosses_the_close_for_sleep_is_held_as_any_other() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    rig.request("INVITE", "one", "");
    assert_eq!(rig.statuses("one"), [100], "the app is there and was given it");
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
    assert_eq!(rig.statuses("one"), [100, 183], "now it is being woken");
    assert_eq!(rig.pushes.len(), 1);
    rig.wait_ms(2_000);
    assert_eq!(rig.statuses("one"), [100, 183], "once");
    rig.resume(2, "bob", &session, &json!({"subsessions": []}));
    assert_eq!(rig.starts(2).len(), 1);
}

#[test]
fn an_app_that_never_comes_ends_the_hold_with_one_480() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("INVITE", "one", "");
    let push = rig.pushes[0].id;
    rig.feed(Input::Pushed { push, outcome: PushOutcome::Accepted });
    rig.wait_ms(29_999);
    assert_eq!(rig.statuses("one"), [100, 183]);
    rig.wait_ms(1);
    assert_eq!(rig.statuses("one"), [100, 183, 480]);
    rig.request("ACK", "one", "");
    rig.wait_ms(60_000);
    assert_eq!(rig.statuses("one"), [100, 183, 480], "acknowledged, so not repeated");
    assert_eq!(rig.pushes.len(), 1, "an accepted push is not repeated");
}

#[test]
fn a_refused_push_ends_the_hold_at_once_and_the_token_is_not_used_again() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("INVITE", "one", "");
    let push = rig.pushes[0].id;
    let why = "410 gone".to_owned();
    rig.feed(Input::Pushed { push, outcome: PushOutcome::Refused { why } });
    assert_eq!(rig.statuses("one"), [100, 183, 480]);
    rig.request("INVITE", "two", "");
    assert_eq!((rig.statuses("two"), rig.pushes.len()), (vec![480], 1));
}

#[test]
fn a_push_that_cannot_be_sent_ends_the_hold_at_once_and_the_token_stays() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("INVITE", "one", "");
    let push = rig.pushes[0].id;
    let ends_us = rig.now.mono_us + rig.pushes[0].ttl_ms * 1_000;
    assert_eq!(rig.pushes[0].deadline_us, ends_us);
    let why = "403 InvalidProviderToken".to_owned();
    rig.feed(Input::Pushed { push, outcome: PushOutcome::Failed { why } });
    assert_eq!(rig.statuses("one"), [100, 183, 480]);
    rig.wait_ms(2_000);
    rig.request("INVITE", "two", "");
    assert_eq!((rig.statuses("two"), rig.pushes.len()), (vec![100, 183], 2));
}

#[test]
fn a_cancelled_call_is_never_delivered() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.request("CANCEL", "one", "");
    let statuses = rig.statuses("one");
    assert_eq!(statuses[..2], [100, 183]);
    assert!(statuses.contains(&487) && statuses.contains(&200), "{statuses:?}");
    rig.resume(2, "bob", &session, &json!({}));
    assert_eq!(rig.starts(2).len(), 0);
    assert_eq!(rig.last_text(2)["header"]["pending"], 0, "a definite nothing");
    assert_eq!(rig.texts.iter().filter(|(at, _)| *at == 2).count(), 1);
}

#[test]
fn a_cancel_that_matches_nothing_is_answered_481() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("CANCEL", "none", "");
    assert_eq!(rig.statuses("none"), [481]);
}

#[test]
fn a_call_that_is_answered_acknowledged_and_hung_up_leaves_no_record() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 3);
    let tag = rig.tag_of("one", 200);
    assert_eq!(tag, rig.tag_of("one", 183), "one To tag");
    rig.wait_ms(600);
    assert_eq!(rig.statuses("one"), [100, 183, 200, 200], "repeated until the ACK");
    rig.request("ACK", "one", &tag);
    assert_eq!(rig.last_text(2)["header"]["action"], "complete");
    rig.wait_ms(8_000);
    assert_eq!(rig.statuses("one"), [100, 183, 200, 200]);
    rig.hold_commits = true;
    rig.request("BYE", "one", &tag);
    let drops = |change: &Change| matches!(change, Change::DropCall { .. });
    assert!(rig.commits.iter().any(|commit| commit.changes.iter().any(drops)));
    rig.commit_all();
    assert_eq!(rig.statuses("one"), [100, 183, 200, 200, 200]);
    assert_eq!(rig.last_text(2)["header"]["action"], "shutdown");
}

#[test]
fn a_caller_that_never_acknowledges_is_hung_up_after_64_t1() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 3);
    for _ in 0..11 {
        rig.say(2, &json!("ping"));
        rig.feed(Input::SocketText { socket: SocketId(2), text: "ping".to_owned() });
        rig.wait_ms(3_000);
    }
    let bye = rig.sip.iter().find(|message| message.is_request()).expect("a BYE");
    assert_eq!(bye.method().map(|method| method.as_str()), Some("BYE"));
    assert_eq!(bye.uri(), Some("sip:alice@192.0.2.1"));
    assert_eq!(bye.from().expect("a From").tag(), Some(rig.tag_of("one", 200).as_str()));
}

#[test]
fn a_socket_is_dead_after_three_pings_of_its_app_which_slow_down_when_the_call_is_over() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 3);
    let tag = rig.tag_of("one", 200);
    rig.request("ACK", "one", &tag);
    rig.request("BYE", "one", &tag);
    rig.wait_ms(29_000);
    assert_eq!(rig.closes, [], "idle again: 30 s from the last word");
    rig.wait_ms(1_000);
    assert_eq!(rig.closes.len(), 1);
}

#[test]
fn sleep_needs_a_token_and_no_call() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "");
    rig.sleep(1, &session);
    assert_eq!(rig.last_text(1)["header"]["error_code"], 400);
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    rig.request("INVITE", "one", "");
    assert_eq!(rig.starts(1).len(), 1, "an awake app gets the call at once");
    rig.sleep(1, &session);
    assert_eq!(rig.last_text(1)["header"]["error_code"], 491);
}

#[test]
fn sleep_is_granted_only_when_it_is_on_record() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    rig.hold_commits = true;
    rig.sleep(1, &session);
    assert_eq!(rig.last_text(1)["header"]["action"], "connect");
    rig.commit_all();
    assert_eq!(rig.last_text(1)["header"]["action"], "hibernate");
    assert_eq!(rig.last_text(1)["header"]["ttl"], 3_600);
    rig.hold_commits = false;
    rig.request("INVITE", "one", "");
    assert_eq!(rig.starts(1).len(), 0, "nothing goes to a socket that is about to close");
    assert_eq!(rig.pushes.len(), 1);
    rig.wait_ms(5_000);
    assert_eq!(rig.closes, [(1, 4002)], "an app that does not close is closed");
}

#[test]
fn a_session_of_another_user_is_not_resumed_and_nothing_is_told() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "eve", &session, &json!({}));
    assert_eq!(rig.last_text(2)["header"]["error_code"], 403);
    assert_eq!(rig.last_text(2)["control"]["session_id"], Value::Null);
    assert_eq!(rig.closes, [(2, 4003)]);
    assert_eq!(rig.starts(2).len(), 0);
}

#[test]
fn a_second_socket_takes_the_session_and_the_first_is_closed() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.resume(2, "bob", &session, &json!({}));
    rig.resume(3, "bob", &session, &json!({}));
    assert_eq!(rig.closes, [(2, 1001)]);
    rig.request("INVITE", "one", "");
    assert_eq!((rig.starts(2).len(), rig.starts(3).len()), (0, 1));
}

#[test]
fn an_app_killed_after_it_acknowledged_a_start_is_given_it_again_with_a_fresh_number() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    rig.feed(Input::SocketClosed { socket: SocketId(2), code: None });
    rig.resume(3, "bob", &session, &json!({"cslr": 3, "subsessions": []}));
    let (first, second) = (rig.starts(2)[0].clone(), rig.starts(3)[0].clone());
    assert_eq!(first["control"]["subsession_id"], second["control"]["subsession_id"]);
    assert_eq!(first["control"]["correlation_id"], second["control"]["correlation_id"]);
    assert_eq!(second["control"]["sequence"], 4);
}

#[test]
fn an_app_that_still_holds_the_call_is_not_given_it_again() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    let id = rig.starts(2)[0]["control"]["subsession_id"].clone();
    rig.feed(Input::SocketClosed { socket: SocketId(2), code: None });
    rig.resume(3, "bob", &session, &json!({"cslr": 2, "subsessions": []}));
    assert_eq!(rig.starts(3), rig.starts(2), "unacknowledged: the identical frame");
    rig.feed(Input::SocketClosed { socket: SocketId(3), code: None });
    rig.resume(4, "bob", &session, &json!({"cslr": 3, "subsessions": [id]}));
    assert_eq!(rig.starts(4).len(), 0);
}

#[test]
fn a_fresh_connect_of_the_same_device_takes_the_pending_calls_over() {
    let mut rig = Rig::new(config());
    let old = rig.asleep();
    rig.request("INVITE", "one", "");
    let new = rig.connect(2, "bob", "tok");
    assert_ne!(old, new);
    assert_eq!(rig.starts(2).len(), 1);
    let start = rig.starts(2)[0].clone();
    rig.answer(2, &start, 2);
    assert_eq!(rig.statuses("one"), [100, 183, 200]);
}

#[test]
fn a_gap_in_the_apps_numbers_is_an_error_and_a_duplicate_is_dropped() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    rig.say(
        1,
        &json!({"control": {"type": "request", "sequence": 4, "session_id": session},
        "header": {"action": "hibernate"}}),
    );
    assert_eq!(rig.last_text(1)["header"]["reason"], "sequence gap");
    assert_eq!(rig.last_text(1)["control"]["ack_sequence"], 1);
    rig.say(
        1,
        &json!({"control": {"type": "request", "sequence": 1, "session_id": session},
        "header": {"action": "hibernate"}}),
    );
    assert_eq!(rig.last_text(1)["control"]["type"], "acknowledgement");
}

#[test]
fn third_text_that_is_no_frame_closes_the_socket() {
    let mut rig = Rig::new(config());
    rig.connect(1, "bob", "tok");
    for _ in 0..3 {
        rig.feed(Input::SocketText { socket: SocketId(1), text: "{".to_owned() });
    }
    assert_eq!(rig.last_text(1)["header"]["error_code"], 400);
    assert_eq!(rig.closes, [(1, 1007)]);
}

#[test]
fn a_frame_with_a_wrong_member_is_refused_by_name_and_the_session_goes_on() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    for (number, frame, code, reason) in [
        (
            2,
            json!({"header": {"action": "hibernate", "ttl": "long"}}),
            400,
            "header.ttl: not a whole",
        ),
        (3, json!({"header": {"action": 7}}), 400, "header.action: not a string"),
        (4, json!({"header": []}), 400, "header: not an object"),
        (5, json!({"payload": 1}), 400, "payload: not an object"),
        (6, json!({"header": {"action": "fly"}}), 404, "no action \"fly\" of package \"register\""),
        (7, json!({"header": {"error_code": 7}}), 400, "header.error_code: not a status"),
    ] {
        let mut frame = frame;
        frame["control"] = json!({"type": "request", "sequence": number, "session_id": session,
            "correlation_id": format!("c{number}"), "ack_sequence": number - 1});
        rig.say(1, &frame);
        let answer = rig.last_text(1);
        assert_eq!(
            (&answer["control"]["type"], &answer["header"]["error_code"]),
            (&json!("error"), &json!(code))
        );
        let said = answer["header"]["reason"].as_str().expect("a reason");
        assert!(said.starts_with(reason), "{said}");
        assert_eq!(answer["control"]["correlation_id"], format!("c{number}"));
        assert_eq!(answer["control"]["ack_sequence"], number, "taken, so that the next is no gap");
    }
    assert!(rig.closes.is_empty(), "each of them was JSON");
    let again = json!({"control": {"type": 1, "sequence": 7}});
    rig.say(1, &again);
    assert_eq!(rig.last_text(1)["control"]["type"], "acknowledgement", "a duplicate");
    rig.say(1, &json!({"header": {}}));
    assert_eq!(
        rig.last_text(1)["header"]["reason"].as_str().map(|it| it.starts_with("control: ")),
        Some(true)
    );
}

#[test]
fn a_first_frame_that_is_none_is_told_why() {
    let mut rig = Rig::new(config());
    rig.open(1, "bob");
    rig.say(
        1,
        &json!({"control": {"type": "request", "sequence": 1, "correlation_id": "c1",
            "version": "2.0"}, "header": {"action": "connect"}}),
    );
    let answer = rig.last_text(1);
    assert_eq!(answer["header"]["error_code"], 400);
    assert_eq!(answer["control"]["correlation_id"], "c1");
    let said = answer["header"]["reason"].as_str().expect("a reason");
    assert!(said.starts_with("control.version: \"2.0\": this side speaks 1.0"), "{said}");
}

#[test]
fn an_app_that_never_acknowledges_is_closed_and_its_call_is_still_there() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    rig.request("INVITE", "one", "");
    let mut sequence = 1;
    while rig.closes.is_empty() {
        sequence += 1;
        assert!(sequence < 1_000, "it is closed at last");
        rig.say(
            1,
            &json!({"control": {"type": "request", "sequence": sequence, "session_id": session},
                "header": {"action": "fly"}}),
        );
    }
    assert_eq!(rig.closes, [(1, 1008)]);
    // 256 in all: the answer to the connect, the start, and the errors.
    assert_eq!(sequence, 256);
    rig.resume(2, "bob", &session, &json!({"cslr": 1}));
    let start = rig.starts(2)[0].clone();
    rig.say(
        2,
        &json!({"control": {"type": "acknowledgement", "ack_sequence": 256, "session_id": session}}),
    );
    rig.answer(2, &start, 256);
    assert_eq!(rig.statuses("one"), [100, 183, 200], "held between the two sockets");
}

#[test]
fn unknown_users_absent_users_and_required_extensions_are_refused_without_a_push() {
    let mut rig = Rig::new(config());
    rig.request_to("INVITE", "a", "", "sip:nobody@example.com");
    rig.request_to("INVITE", "b", "", "sip:eve@example.com");
    rig.request_to("OPTIONS", "c", "", "sip:eve@example.com");
    rig.request_to("MESSAGE", "d", "", "sip:eve@example.com");
    rig.request_to("NOSUCH", "e", "", "sip:eve@example.com");
    let all: Vec<_> = ["a", "b", "c", "d", "e"].iter().map(|call| rig.statuses(call)).collect();
    assert_eq!(all, [[404], [480], [480], [405], [501]]);
}

#[test]
fn what_is_required_is_named_as_unsupported_and_a_refused_method_meets_those_allowed() {
    let mut rig = Rig::new(config());
    rig.asleep();
    let bob = "sip:bob@example.com";
    let fields = "Require: 100rel, replaces\r\nRequire: x-y\r\n";
    rig.request_with("INVITE", "a", "", bob, fields);
    rig.request_with("OPTIONS", "b", "", bob, fields);
    rig.request_with("BYE", "c", "", bob, fields);
    for call in ["a", "b", "c"] {
        assert_eq!(rig.statuses(call), [420], "{call}");
        let answer = rig.sip.iter().find(|message| message.call_id() == Ok(call));
        let tags = answer.expect("an answer").values("Unsupported");
        assert_eq!(tags, ["100rel", "replaces", "x-y"], "{call}");
    }
    rig.request_with("MESSAGE", "d", "", bob, fields);
    rig.request_with("NOSUCH", "e", "", bob, "");
    for (call, status) in [("d", 405), ("e", 501)] {
        assert_eq!(rig.statuses(call), [status]);
        let answer = rig.sip.iter().find(|message| message.call_id() == Ok(call));
        let allowed = answer.expect("an answer").values("Allow");
        assert_eq!(allowed, ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS"], "{call}");
    }
    assert!(rig.pushes.is_empty());

    rig.request_with("INVITE", "f", "", bob, "Require:\r\n");
    rig.request_with("CANCEL", "f", "", bob, fields);
    assert_eq!(
        rig.statuses("f"),
        [100, 183, 487, 200],
        "nothing is required, and a CANCEL is a CANCEL"
    );
}

#[test]
fn registering_answers_the_challenge_and_the_app_hears_nothing_before() {
    let mut config = config();
    let flow = Flow { peer: "192.0.2.2:5060".to_owned(), ..udp() };
    let uri = "sip:example.com".to_owned();
    config.registrar = Some(Registrar { uri, flow, expires_s: 300 });
    let mut rig = Rig::new(config);
    rig.open(1, "bob");
    rig.say(
        1,
        &json!({"control": {"type": "request", "sequence": 1},
        "header": {"action": "connect"}, "payload": {"deviceToken": "tok"}}),
    );
    assert_eq!(rig.sip.len(), 1);
    assert!(rig.texts.is_empty());
    let challenge = "Digest realm=\"example.com\", nonce=\"n1\", qop=\"auth\"";
    let refused = rig.sip[0].reply(401, "Unauthorized", Some("r"));
    let refused = refused.with("WWW-Authenticate", challenge);
    rig.feed(Input::Sip { flow: udp(), message: Box::new(refused) });
    let again = rig.sip.last().expect("a second REGISTER").clone();
    let credentials = again.header("Authorization").expect("credentials").to_owned();
    assert!(credentials.contains("username=\"bob\"") && credentials.contains("nc=00000001"));
    assert!(!credentials.contains("secret of bob"));
    assert!(again.cseq().expect("a CSeq").number > rig.sip[0].cseq().expect("a CSeq").number);
    let contact = again.header("Contact").expect("a Contact").to_owned();
    let granted = again.reply(200, "OK", Some("r")).with("Contact", contact);
    rig.feed(Input::Sip { flow: udp(), message: Box::new(granted) });
    assert_eq!(rig.last_text(1)["header"]["response_code"], 200);
    let session = rig.last_text(1)["control"]["session_id"].as_str().expect("an id").to_owned();
    rig.sleep(1, &session);
    rig.feed(Input::SocketClosed { socket: SocketId(1), code: Some(4001) });
    let before = rig.sip.len();
    rig.wait_ms(181_000);
    assert!(rig.sip.len() > before, "the binding is refreshed while the app sleeps");
    assert!(rig.pushes.is_empty(), "and nobody is woken for it");
}
