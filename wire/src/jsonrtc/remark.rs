//! What is a frame and still strange: some receiver would not do what was asked.

use super::frame::{Frame, FrameType};

/// A remark at a member that is not looked up yet.
pub(super) struct Note {
    pub(super) at: &'static str,
    pub(super) rule: &'static str,
    pub(super) what: String,
    pub(super) status: Option<u16>,
}

/// Packages that the protocol names (1.8).
const PACKAGES: &[&str] = &[
    "register",
    "call",
    "message_notification",
    "messaging",
    "connect",
    "presence",
    "data_transfer",
    "authenticate",
    "all",
];

/// Seconds of sleep that are granted as asked (D-22).
const TTL: std::ops::RangeInclusive<u64> = 60..=604_800;

pub(super) fn notes(frame: &Frame) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |at, rule, status, what: &str| {
        notes.push(Note { at, rule, what: what.to_owned(), status });
    };
    if frame.control.kind == FrameType::Acknowledgement {
        match (frame.control.ack_sequence, frame.control.sequence) {
            (None, None) => note("control", "JsonRTC 2.1", None, "it confirms no number"),
            (None, Some(_)) => {
                let what = "no ack_sequence: sequence is read as the number that is confirmed";
                note("control.sequence", "JsonRTC 2.1", None, what);
            }
            _ => {}
        }
        return notes;
    }
    if !PACKAGES.contains(&frame.control.package.as_str()) {
        let what = "a custom package: who does not know it ignores the frame";
        note("control.package_type", "JsonRTC 1.8", None, what);
    }
    about_numbers(frame, &mut note);
    about_answers(frame, &mut note);
    about_action(frame, &mut note);
    notes
}

fn is_connect(frame: &Frame) -> bool {
    frame.header.action.as_deref() == Some("connect")
}

type Noting<'a> = dyn FnMut(&'static str, &'static str, Option<u16>, &str) + 'a;

fn about_numbers(frame: &Frame, note: &mut Noting<'_>) {
    match frame.control.sequence {
        Some(0) => {
            let what = "numbers begin at 1: it is dropped as one that came before";
            note("control.sequence", "JsonRTC 2.1", None, what);
        }
        None if !is_connect(frame) => {
            let what = "no sequence: it can be neither confirmed nor sent again";
            note("control", "JsonRTC 1.4", None, what);
        }
        _ => {}
    }
    if frame.control.package == "call" && frame.control.subsession_id.is_none() {
        note("control", "JsonRTC 1.4", None, "a frame of call without subsession_id");
    }
}

fn about_answers(frame: &Frame, note: &mut Noting<'_>) {
    let kind = frame.control.kind;
    if !matches!(kind, FrameType::Response | FrameType::Error) {
        return;
    }
    if frame.control.correlation_id.is_none() && !is_connect(frame) {
        note("control", "JsonRTC 1.4", None, "no correlation_id: it answers nothing");
    }
    match (kind, frame.control.message_state, frame.header.error_code) {
        (FrameType::Response, None, _) => {
            let what = "no message_state: final if it brings an SDP, else provisional";
            note("control", "JsonRTC 1.4", None, what);
        }
        (FrameType::Error, _, None) => {
            note("header", "JsonRTC 1.9", None, "an error without error_code");
        }
        (FrameType::Error, _, Some(500)) => {
            let what = "500 ends the whole session of a deployed app, whatever failed";
            note("header.error_code", "JsonRTC 1.9", None, what);
        }
        _ => {}
    }
}

fn about_action(frame: &Frame, note: &mut Noting<'_>) {
    let is_request = frame.control.kind == FrameType::Request;
    match frame.header.action.as_deref() {
        None => note("header", "JsonRTC 1.5", None, "no action: nobody knows what is asked"),
        Some("start") if is_request && frame.control.package == "call" => {
            let is_real = |sdp: &str| sdp.contains("m=") || sdp.contains("a=");
            if !frame.sdp().is_some_and(is_real) {
                let what = "a start without a real SDP: deployed apps refuse it";
                note("payload.sdp", "JsonRTC 1.8.2", Some(403), what);
            }
        }
        Some("hibernate") if frame.header.ttl.is_some_and(|ttl| !TTL.contains(&ttl)) => {
            let what = "ttl is cut to 60 up to 604800 seconds";
            note("header.ttl", "JsonRTC 4.5", None, what);
        }
        _ => {}
    }
}
