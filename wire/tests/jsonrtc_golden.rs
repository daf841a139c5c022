//! The frames in `golden/jsonrtc`, written from the description of the protocol: read, they mean
//! what they say; built, they are the same JSON.

use std::fs;

use reveille_wire::Answer;
use reveille_wire::jsonrtc::{
    self, BadKind, Frame, FrameType, Inbound, MessageState, judge_text, read,
};
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
        ("{\"control\":{\"type\":\"request\",\"session_id\":\"a\\u0000\"}}", "control.session_id"),
        ("{\"control\":{\"type\":\"request\",\"subsession_id\":\"\\t\"}}", "control.subsession_id"),
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

/// The rule, the line, and what stands at the offset of the only refusal.
fn refusal(text: &str) -> (&'static str, usize, String) {
    let judgement = judge_text(text.as_bytes());
    let [refusal] = &judgement.refusals[..] else { panic!("{text}: {judgement}") };
    assert_eq!(refusal.answer, Answer::Status(400), "{judgement}");
    let at: String = text[refusal.offset..].chars().take(8).collect();
    (refusal.rule, refusal.line, at)
}

#[test]
fn a_refusal_points_into_the_text() {
    let spread = "{\n \"control\": {\"type\": \"request\",\n  \"sequence\": \"2\"}}";
    assert_eq!(refusal(spread), ("JsonRTC 1.4, 1.5", 3, "\"2\"}}".to_owned()));
    let version = "{\"control\":{\"type\":\"request\",\"version\":\"2.0\"}}";
    assert_eq!(refusal(version), ("JsonRTC 1.4", 1, "\"2.0\"}}".to_owned()));
    assert_eq!(refusal("{\"control\": {}}"), ("JsonRTC 1.4", 1, "{}}".to_owned()));
    assert_eq!(refusal("{\"control\": 7}"), ("JsonRTC 1.3", 1, "7}".to_owned()));
    assert_eq!(refusal("{\n\n\"a\" 1}"), ("JsonRTC 1.3", 3, "1}".to_owned()));
    assert_eq!(refusal("PING").0, "JsonRTC 1.3");
}

#[test]
fn some_texts_close_the_connection() {
    let answer = |text: &[u8]| judge_text(text).refusals.first().map(|refusal| refusal.answer);
    assert_eq!(answer(b"{\"control\":\xff}"), Some(Answer::Close(1007)));
    assert_eq!(answer(&vec![b' '; 65_537]), Some(Answer::Close(1009)));
    assert_eq!(answer(b"ping"), None);
    assert_eq!(judge_text(b"ping").summary, "ping, the keep-alive of the app");
}

#[test]
fn the_golden_frames_are_accepted_and_summed_up() {
    let judged = |name: &str| judge_text(golden(name).to_string().as_bytes());
    let judgement = judged("start-request");
    assert_eq!(
        judgement.summary, "request of call, action start, sequence 3, ack 2, sdp 5 bytes",
        "{judgement}"
    );
    for name in ["connect-request", "resume-response", "start-ringing", "acknowledgement"] {
        let judgement = judged(name);
        assert_eq!((&judgement.refusals[..], &judgement.remarks[..]), (&[][..], &[][..]), "{name}");
    }
}

#[test]
fn the_merely_strange_frame_is_named_and_not_refused() {
    let remarks = |control: &str, rest: &str| -> Vec<_> {
        let text = format!("{{\"control\":{{{control}}}{rest}}}");
        let judgement = judge_text(text.as_bytes());
        assert!(!judgement.is_refused(), "{judgement}");
        judgement.remarks.iter().map(|remark| (remark.rule, remark.status)).collect()
    };
    let start =
        "\"type\":\"request\",\"package_type\":\"call\",\"subsession_id\":\"7\",\"sequence\":4";
    let offerless = remarks(start, ",\"header\":{\"action\":\"start\"}");
    assert_eq!(offerless, [("JsonRTC 1.8.2", Some(403))]);
    let custom = "\"type\":\"message\",\"package_type\":\"x\",\"sequence\":0";
    let action = ",\"header\":{\"action\":\"notify\"}";
    assert_eq!(remarks(custom, action), [("JsonRTC 1.8", None), ("JsonRTC 2.1", None)]);
    assert_eq!(remarks("\"type\":\"acknowledgement\"", ""), [("JsonRTC 2.1", None)]);
    let fatal = "\"type\":\"error\",\"sequence\":4,\"correlation_id\":\"s3\"";
    let code = ",\"header\":{\"action\":\"start\",\"error_code\":500}";
    assert_eq!(remarks(fatal, code), [("JsonRTC 1.9", None)]);
    assert_eq!(remarks(fatal, &code.replace("500", "480")), []);
    assert_eq!(remarks(fatal, ",\"header\":{\"action\":\"start\"}"), [("JsonRTC 1.9", None)]);
    let sleep = ",\"header\":{\"action\":\"hibernate\",\"ttl\":5}";
    assert_eq!(remarks("\"type\":\"request\",\"sequence\":2", sleep), [("JsonRTC 4.5", None)]);
    let silent = "\"type\":\"response\",\"package_type\":\"call\"";
    let answer = ",\"header\":{\"action\":\"start\"}";
    assert_eq!(remarks(silent, answer).len(), 4, "number, subsession, correlation and state");
    assert_eq!(remarks("\"type\":\"request\",\"sequence\":1", ""), [("JsonRTC 1.5", None)]);
}
