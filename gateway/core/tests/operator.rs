//! What an operator sees of a node, and what changes when the operator says so.

use std::sync::Arc;

use reveille_gateway_core::config::{Config, Secret, User};
use reveille_gateway_core::io::{Change, Flow, Input, Output, SocketId, Transport};
use reveille_gateway_core::node::Node;
use reveille_gateway_core::record::SessionId;
use reveille_gateway_core::survey::{CallState, Filter, MOST_LOOKED, State};
use reveille_trace::Timestamp;
use reveille_wire::sip::Message;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp { mono_us: 1, wall_us: 1_900_000_000_000_000 };

fn config(users: &[&str]) -> Config {
    let mut config = Config::new("example.com", "192.0.2.9:5060");
    for name in users {
        config.users.push(User {
            aor: format!("{name}@example.com"),
            username: (*name).to_owned(),
            secret: Secret("sesame".to_owned()),
        });
    }
    config
}

/// Feeds an input and acknowledges every commit; everything else that came out.
fn feed(node: &mut Node, input: Input) -> Vec<Output> {
    let (mut inputs, mut kept) = (vec![input], Vec::new());
    while let Some(input) = inputs.pop() {
        let mut out = Vec::new();
        node.handle(NOW, input, &mut out);
        for output in out {
            if let Output::Store(commit) = &output {
                let (session, token) = (commit.session.clone(), commit.token);
                inputs.insert(0, Input::Stored { session, token });
            }
            kept.push(output);
        }
    }
    kept
}

fn node(users: &[&str]) -> Node {
    let mut node = Node::new(Arc::new(config(users)), [7; 32]);
    feed(
        &mut node,
        Input::Started { sessions: Vec::new(), calls: Vec::new(), messages: Vec::new() },
    );
    node
}

fn ask_to_connect(node: &mut Node, socket: u64, user: &str) -> Vec<Output> {
    let opened = SocketId(socket);
    let (name, app) = (user.to_owned(), "phone".to_owned());
    feed(node, Input::SocketOpened { socket: opened, user: name, app });
    let text = json!({"control": {"type": "request", "sequence": 1},
        "header": {"action": "connect"}, "payload": {"deviceToken": format!("tok-{socket}")}});
    feed(node, Input::SocketText { socket: opened, text: text.to_string() })
}

fn connect(node: &mut Node, socket: u64, user: &str) -> String {
    let out = ask_to_connect(node, socket, user);
    let answer = out.iter().find_map(|output| match output {
        Output::Text { text, .. } => serde_json::from_str::<Value>(text).ok(),
        _ => None,
    });
    let answer = answer.expect("an answer");
    answer["control"]["session_id"].as_str().expect("an id").to_owned()
}

fn call(node: &mut Node, mark: &str) {
    let text = format!(
        "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{mark}\r\n\
        Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\n\
        Call-ID: {mark}\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@192.0.2.1>\r\n\
        Content-Length: 0\r\n\r\n"
    );
    let message = Box::new(Message::parse(text.as_bytes()).expect("sound"));
    let (local, peer) = (String::new(), "192.0.2.1:5060".to_owned());
    let flow = Flow { transport: Transport::Udp, local, peer, connection: None };
    feed(node, Input::Sip { flow, message });
}

fn close_codes(out: &[Output]) -> Vec<(u64, u16)> {
    let closes = out.iter().filter_map(|output| match output {
        Output::Close { socket, code, .. } => Some((socket.0, *code)),
        _ => None,
    });
    closes.collect()
}

#[test]
fn pages_join_to_the_whole_list_and_one_look_is_bounded() {
    let mut node = node(&["bob", "eve"]);
    let many = MOST_LOOKED + 200;
    for socket in 0..u64::try_from(many).expect("few") {
        connect(&mut node, socket, if socket % 7 == 0 { "eve" } else { "bob" });
    }
    for (user, count) in [(None, many), (Some("eve"), many.div_ceil(7)), (Some("none"), 0)] {
        let filter = Filter { user: user.map(ToOwned::to_owned), ..Filter::default() };
        let (mut after, mut seen, mut looks) = (None, Vec::new(), 0);
        loop {
            let page = node.sessions(after.as_deref(), 450, &filter);
            assert!(page.items.len() <= 450);
            seen.extend(page.items.into_iter().map(|session| session.id));
            looks += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(looks >= 2, "one look does not pass {many} sessions");
        assert!(seen.is_sorted_by(|one, other| one < other), "each once, in order");
        assert_eq!(seen.len(), count, "{user:?}");
    }
    let first = node.tally(None);
    assert_eq!(first.sessions.values().sum::<u64>(), u64::try_from(MOST_LOOKED).expect("few"));
    let rest = node.tally(first.next.as_deref());
    assert_eq!(rest.sessions[&("phone".to_owned(), State::Active)], 200);
    assert_eq!(rest.next, None);
}

#[test]
fn a_session_is_shown_without_its_token_and_with_its_calls() {
    let mut node = node(&["bob"]);
    let id = connect(&mut node, 1, "bob");
    call(&mut node, "one");
    let (session, calls) = node.session(&id).expect("it is there");
    assert_eq!((session.state, session.pending_calls), (State::Active, 1));
    assert!(!format!("{session:?}").contains("tok-1"));
    // The first six bytes of `printf tok-1 | sha256sum`.
    assert_eq!(session.device.expect("a device").token_sha256, "65dcf16ea3df");
    assert_eq!((calls[0].call_id.as_str(), calls[0].state), ("one", CallState::Offered));
    assert_eq!(node.pending_calls(None, 10).items, calls);
    assert_eq!(node.tally(None).pending_calls, 1);
    let asleep = Filter { state: State::named("hibernated"), ..Filter::default() };
    assert!(node.sessions(None, 10, &asleep).items.is_empty());
    assert!(node.session("nobody").is_none());
}

#[test]
fn a_session_that_the_operator_ends_is_dropped_and_only_then_closed_with_1000() {
    let mut node = node(&["bob"]);
    let id = SessionId::from(connect(&mut node, 1, "bob"));
    call(&mut node, "one");
    let out = feed(&mut node, Input::EndSession { session: id.clone() });
    let at = |wanted: &dyn Fn(&Output) -> bool| out.iter().position(wanted);
    let dropped = at(
        &|output| matches!(output, Output::Store(commit) if commit.changes.contains(&Change::DropSession)),
    );
    let closed = at(&|output| matches!(output, Output::Close { code: 1000, .. }));
    assert!(dropped.is_some() && dropped < closed, "{out:?}");
    let refused = out.iter().any(
        |output| matches!(output, Output::Sip { bytes, .. } if bytes.starts_with(b"SIP/2.0 480 ")),
    );
    assert!(refused, "its caller hears 480");
    let late = Input::SocketClosed { socket: SocketId(1), code: None };
    assert!(feed(&mut node, late).iter().all(|output| matches!(output, Output::Trace(_))));
    let again = feed(&mut node, Input::EndSession { session: id });
    assert_eq!(again, [], "it is over");
}

#[test]
fn a_new_configuration_ends_the_sessions_of_users_that_are_no_more() {
    let mut node = node(&["bob", "eve"]);
    connect(&mut node, 1, "bob");
    connect(&mut node, 2, "eve");
    let next = Arc::new(config(&["bob", "ann"]));
    let out = feed(&mut node, Input::Configure(Arc::clone(&next)));
    assert_eq!(close_codes(&out), [(2, 1000)], "eve is no user any more, bob stays");
    assert_eq!(close_codes(&feed(&mut node, Input::Configure(next))), []);
    connect(&mut node, 3, "ann");
    let mut full = config(&["bob", "ann"]);
    full.most_sessions = 2;
    feed(&mut node, Input::Configure(Arc::new(full)));
    let out = ask_to_connect(&mut node, 4, "bob");
    let refused =
        |output: &Output| matches!(output, Output::Text { text, .. } if text.contains("no room"));
    assert!(out.iter().any(refused), "the new limit holds: {out:?}");
}

#[test]
fn what_cannot_change_while_the_node_runs_stays() {
    let mut node = node(&["bob"]);
    let mut next = config(&["bob"]);
    next.node = "another".to_owned();
    next.advertised = "192.0.2.77:5060".to_owned();
    feed(&mut node, Input::Configure(Arc::new(next)));
    let out = ask_to_connect(&mut node, 1, "bob");
    let owner = out.iter().find_map(|output| match output {
        Output::Store(commit) => commit.changes.iter().find_map(|change| match change {
            Change::PutSession(record) => Some(record.owner.clone()),
            _ => None,
        }),
        _ => None,
    });
    assert_eq!(owner.as_deref(), Some("node-1"));
}
