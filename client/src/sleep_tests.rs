//! What an app says of sleep and of its token.

use serde_json::{Value, json};

use crate::app::Settings;
use crate::session::Session;
use crate::state::Event;

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn connected() -> Session {
    let settings = Settings::new("gateway:8080", "app", "bob", "s");
    let mut session = Session::new(settings.with_token("tok", "webhook", "com.example"), None);
    session.open();
    let connected = json!({"control": {"type": "response", "session_id": "S1", "sequence": 1,
        "ack_sequence": 1, "message_state": "final"},
        "header": {"action": "connect", "response_code": 200}});
    session.hear(&connected.to_string());
    session
}

#[test]
fn a_token_that_is_replaced_goes_with_the_next_resume() {
    let mut session = connected();
    session.set_token("another".to_owned());
    let resume = parse(&session.open());
    assert_eq!(resume["control"]["session_id"], "S1");
    assert_eq!(resume["payload"]["deviceToken"], "another");
    assert_eq!(parse(&session.open())["payload"], json!({}), "once");
}

#[test]
fn a_server_that_asks_for_sleep_is_granted_it_or_not() {
    let ask = json!({"control": {"type": "request", "package_type": "register", "session_id": "S1",
        "sequence": 2, "correlation_id": "s2"}, "header": {"action": "hibernate"}});
    let mut session = connected();
    let heard = session.hear(&ask.to_string());
    let answer = parse(&heard.say[0]);
    assert_eq!((&answer["control"]["type"], heard.close), (&json!("response"), None));
    assert_eq!(answer["control"]["correlation_id"], "s2");
    let complete = |code: u16| {
        json!({"control": {"type": "message", "package_type": "register", "session_id": "S1",
            "sequence": 3, "correlation_id": "s2"},
            "header": {"action": "complete", "response_code": code}})
        .to_string()
    };
    assert!(session.hear(&complete(200)).events.is_empty(), "the close follows");
    let heard = session.hear(&complete(491));
    assert!(matches!(heard.events[0], Event::HibernateRefused { code: 491, .. }));
    let mut session = connected();
    let start = json!({"control": {"type": "request", "package_type": "call", "session_id": "S1",
        "subsession_id": "one", "sequence": 2, "correlation_id": "s2"},
        "header": {"action": "start"}, "payload": {"sdp": "v=0"}});
    session.hear(&start.to_string());
    let answer = parse(&session.hear(&ask.to_string()).say[0]);
    assert_eq!(
        (&answer["control"]["type"], &answer["header"]["error_code"]),
        (&json!("error"), &json!(491))
    );
}

#[test]
fn the_second_answer_to_one_that_asked_twice_does_not_send_it_to_sleep_again() {
    let mut session = connected();
    session.hibernate(None);
    session.hibernate(None);
    let granted = |sequence: u64| {
        json!({"control": {"type": "response", "session_id": "S1", "sequence": sequence,
            "message_state": "final"}, "header": {"action": "hibernate", "ttl": 60}})
        .to_string()
    };
    assert_eq!(session.hear(&granted(2)).close, Some(4001));
    session.open();
    assert_eq!(session.hear(&granted(3)).close, None);
}
