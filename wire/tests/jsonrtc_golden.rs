//! The frames in `golden/jsonrtc`, written from the description of the protocol: read, they mean
//! what they say; built, they are the same JSON.

use std::fs;

use reveille_wire::jsonrtc::{self, BadKind, Frame, FrameType, Inbound, MessageState, read};
use serde_json::{Value, json};

fn golden(name: &str) -> Value {
    let path = format!("{}/golden/jsonrtc/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).expect("the golden frame is there");
    serde_json::from_str(&text).expect("a golden frame is JSON")
}

fn frame(name: &str) -> Frame {
    match read(&golden(name).to_string()) {
        Ok(Inbound::Frame(frame)) => *frame,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_golden_frame_is_written_as_it_was_read() {
    for name in [
        "connect-request",
        "connect-response",
        "hibernate-request",
        "hibernate-response",
        "resume-request",
        "resume-response",
        "start-request",
        "start-ringing",
        "start-declined",
        "acknowledgement",
    ] {
        let back: Value = serde_json::from_str(&frame(name).to_text()).expect("JSON");
        assert_eq!(back, golden(name), "{name}");
    }
}

#[test]
fn members_mean_what_they_say() {
    let connect = frame("connect-request");
    assert_eq!((connect.control.kind, connect.control.sequence), (FrameType::Request, Some(1)));
    assert_eq!(connect.device_token(), Some("tok-42"));
    let resume = frame("resume-request");
    assert_eq!((resume.header.cslr, resume.control.sequence), (Some(2), None));
    assert_eq!(resume.subsessions(), Some(vec!["7b0c".to_owned()]));
    assert_eq!(frame("resume-response").header.sslr, Some(2));
    assert_eq!(frame("hibernate-response").header.ttl, Some(3_600));
    assert!(!frame("start-ringing").is_final());
    assert_eq!(frame("start-declined").header.error_code, Some(603));
    assert_eq!(frame("start-request").sdp(), Some("v=0\r\n"));
}

fn with(change: impl Fn(&mut Value)) -> Result<Inbound, jsonrtc::Bad> {
    let mut value = golden("start-ringing");
    change(&mut value);
    read(&value.to_string())
}

fn read_frame(change: impl Fn(&mut Value)) -> Frame {
    match with(change) {
        Ok(Inbound::Frame(frame)) => *frame,
        other => panic!("{other:?}"),
    }
}

#[test]
fn deployed_dialects_are_read() {
    let numeric = read_frame(|v| v["control"]["session_id"] = json!(42));
    assert_eq!(numeric.control.session_id.as_deref(), Some("42"));
    let initial = read_frame(|v| v["control"]["message_state"] = json!("initial"));
    assert_eq!(initial.control.message_state, Some(MessageState::Subsequent));
    let silent = read_frame(|v| {
        v["control"]["message_state"] = Value::Null;
        v["payload"]["sdp"] = json!("v=0");
    });
    assert!(silent.is_final(), "an SDP makes it final where nothing says so");
    let none = read_frame(|v| v["control"]["version"] = Value::Null);
    assert_eq!(none.control.version, None);
    let empty = read_frame(|v| v["header"]["cslw"] = Value::Null);
    assert_eq!(empty.header.cslw, None);
    let bare = read("{\"control\":{\"type\":\"message\"}}").expect("the least frame");
    assert!(matches!(bare, Inbound::Frame(frame) if frame.control.package == "register"));
    let token = read_frame(|v| v["header"]["device_token"] = json!("t"));
    assert_eq!(token.device_token(), Some("t"));
}

#[test]
fn the_two_words_that_are_no_json() {
    assert_eq!(read("ping"), Ok(Inbound::Ping));
    assert_eq!(read("pong"), Ok(Inbound::Pong));
    assert_eq!(read("PING").map_err(|bad| bad.kind), Err(BadKind::NotJson));
}

#[test]
fn what_is_no_frame_says_where_and_what() {
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let long = format!("{{\"control\":\"{}\"}}", "x".repeat(70_000));
    for (text, at) in [
        ("{", "line 1 column 1"),
        ("[]", "text"),
        ("{}", "control"),
        ("{\"control\":7}", "control"),
        ("{\"control\":{\"type\":\"shout\"}}", "control.type"),
        ("{\"control\":{\"type\":\"request\",\"sequence\":-1}}", "control.sequence"),
        ("{\"control\":{\"type\":\"request\",\"version\":\"2.0\"}}", "control.version"),
        ("{\"control\":{\"type\":\"error\"},\"header\":{\"error_code\":7}}", "header.error_code"),
        ("{\"control\":{\"type\":\"request\",\"type\":\"error\"}}", "line 1 column 35"),
        ("{\"control\":{\"type\":\"request\"}} x", "line 1 column 32"),
        (deep.as_str(), "line 1 column 33"),
        (long.as_str(), "text"),
    ] {
        let bad = read(text).expect_err(&text[..text.len().min(60)]);
        assert_eq!(bad.at, at, "{bad}");
    }
}

#[test]
fn a_frame_that_is_none_still_says_whom_to_answer() {
    let bad = with(|v| v["header"]["error_code"] = json!("no")).expect_err("a word for a code");
    assert_eq!(bad.kind, BadKind::Invalid);
    assert_eq!(bad.echo.package.as_deref(), Some("call"));
    assert_eq!(bad.echo.action.as_deref(), Some("start"));
    assert_eq!(bad.echo.correlation_id.as_deref(), Some("s3"));
    assert_eq!(bad.echo.subsession_id, frame("start-ringing").control.subsession_id);
    assert_eq!(bad.echo.sequence, Some(3));
    let empty = read("{\"control\":[],\"header\":7}").expect_err("no frame");
    assert_eq!(*empty.echo, jsonrtc::Echo::default());
}
