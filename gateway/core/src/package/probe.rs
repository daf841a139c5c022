//! A custom package of the tests: what a package must bring, and no more. No build has it.

use std::sync::Arc;

use reveille_trace::Timestamp;
use reveille_wire::jsonrtc::{Frame, MessageState};
use serde_json::{Value, json};

use super::Package;
use crate::config::{Config, Secret, User};
use crate::io::{Input, Output, SocketId};
use crate::node::Node;

pub(super) const PACKAGE: Package = Package {
    name: "probe",
    take: |node, session, action, frame| {
        if action != "echo" {
            return false;
        }
        let mut answer = Frame::response("probe", "echo", MessageState::Final);
        answer.control.correlation_id.clone_from(&frame.control.correlation_id);
        answer.payload.clone_from(&frame.payload);
        node.send(session, answer);
        true
    },
};

/// Feeds an input with every commit durable at once; returns the texts to the app.
fn feed(node: &mut Node, input: Input) -> Vec<Value> {
    let (mut out, mut texts, mut inputs) = (Vec::new(), Vec::new(), vec![input]);
    while let Some(input) = inputs.pop() {
        node.handle(Timestamp::default(), input, &mut out);
        for output in out.drain(..) {
            match output {
                Output::Store(commit) => {
                    let (session, token) = (commit.session, commit.token);
                    inputs.push(Input::Stored { session, token });
                }
                Output::Text { text, .. } => texts.push(serde_json::from_str(&text).unwrap()),
                _ => {}
            }
        }
    }
    texts
}

#[test]
fn a_package_answers_by_numbered_frames_and_an_action_it_lacks_is_refused() {
    let mut config = Config::new("example.com", "192.0.2.9:5060");
    config.users.push(User {
        aor: "bob@example.com".to_owned(),
        username: "bob".to_owned(),
        secret: Secret("sesame".to_owned()),
    });
    let mut node = Node::new(Arc::new(config), [1; 32]);
    let socket = SocketId(1);
    let (user, app) = ("bob".to_owned(), "app".to_owned());
    feed(&mut node, Input::SocketOpened { socket, user, app });
    let mut ask = |package: &str, action: &str, sequence: u64| {
        let frame = json!({"control": {"type": "request", "package_type": package,
            "sequence": sequence, "correlation_id": "c1"},
            "header": {"action": action}, "payload": {"x": 1}});
        feed(&mut node, Input::SocketText { socket, text: frame.to_string() }).remove(0)
    };
    ask("register", "connect", 1);
    let answer = ask("probe", "echo", 2);
    assert_eq!(answer["payload"], json!({"x": 1}));
    assert_eq!(answer["control"]["sequence"], 2);
    assert_eq!(answer["control"]["correlation_id"], "c1");
    assert_eq!(ask("probe", "shout", 3)["header"]["error_code"], 404);
    let stranger = ask("nosuch", "echo", 4);
    assert_eq!(stranger["header"]["error_code"], 404);
    let reason = stranger["header"]["reason"].as_str().unwrap();
    assert!(reason.contains("\"echo\" of package \"nosuch\""), "{reason}");
}
