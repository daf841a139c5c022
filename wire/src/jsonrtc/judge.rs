use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::frame::Frame;
use super::read::{Bad, BadKind, Inbound, decode, read};
use super::remark::notes;
use super::{MAX_TEXT, close};
use crate::judgement::{Answer, Judgement, Refusal, Remark, line_of};

/// Judges the payload of one WebSocket text message for itself. The first thing that is wrong is
/// told: what a member means depends on those before it.
#[must_use]
pub fn judge_text(text: &[u8]) -> Judgement {
    let refused = |summary: String, rule, offset, what, answer| {
        let refusal = Refusal { rule, offset, line: line_of(text, offset), what, answer };
        Judgement { summary, refusals: vec![refusal], remarks: Vec::new() }
    };
    let utf8 = match std::str::from_utf8(text) {
        Ok(utf8) => utf8,
        Err(error) => {
            let summary = format!("{} bytes that are no UTF-8", text.len());
            let what = "no UTF-8; send text as UTF-8".to_owned();
            let answer = Answer::Close(close::NOT_TEXT);
            return refused(summary, "RFC 6455 8.1", error.valid_up_to(), what, answer);
        }
    };
    match read(utf8) {
        Ok(Inbound::Ping) => accepted("ping, the keep-alive of the app".to_owned(), Vec::new()),
        Ok(Inbound::Pong) => accepted("pong, the answer to a ping".to_owned(), Vec::new()),
        Ok(Inbound::Frame(frame)) => accepted(summary(&frame), remarks(utf8, &frame)),
        Err(bad) => {
            let summary = format!("{} bytes that are no frame", text.len());
            let what = match bad.kind {
                BadKind::Invalid => format!("{}: {}", bad.at, bad.what),
                BadKind::NotJson => bad.what.clone(),
            };
            let is_long = text.len() > MAX_TEXT;
            let answer = if is_long { Answer::Close(close::TOO_BIG) } else { Answer::Status(400) };
            refused(summary, bad.rule, place_of(utf8, &bad), what, answer)
        }
    }
}

const fn accepted(summary: String, remarks: Vec<Remark>) -> Judgement {
    Judgement { summary, refusals: Vec::new(), remarks }
}

fn summary(frame: &Frame) -> String {
    let control = &frame.control;
    let mut words = format!("{} of {}", control.kind.name(), brief(&control.package));
    if let Some(action) = &frame.header.action {
        words.push_str(&format!(", action {}", brief(action)));
    }
    for (name, number) in [("sequence", control.sequence), ("ack", control.ack_sequence)] {
        if let Some(number) = number {
            words.push_str(&format!(", {name} {number}"));
        }
    }
    match frame.sdp() {
        Some(sdp) => words.push_str(&format!(", sdp {} bytes", sdp.len())),
        None => words.push_str(&format!(", {} payload members", frame.payload.len())),
    }
    words
}

/// At most 40 characters, controls escaped.
fn brief(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

fn remarks(text: &str, frame: &Frame) -> Vec<Remark> {
    let remark = |note: super::remark::Note| {
        let offset = member_place(text, note.at);
        let line = line_of(text.as_bytes(), offset);
        Remark { rule: note.rule, offset, line, what: note.what, status: note.status }
    };
    notes(frame).into_iter().map(remark).collect()
}

fn place_of(text: &str, bad: &Bad) -> usize {
    if text.len() > MAX_TEXT {
        return MAX_TEXT;
    }
    match decode(text) {
        Err(error) if bad.kind == BadKind::NotJson => {
            let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
            let before: usize = lines.map(str::len).sum();
            (before + error.column().saturating_sub(1)).min(text.len())
        }
        _ => member_place(text, &bad.at),
    }
}

/// Where the value of a member begins, or of the innermost one around it that is there.
fn member_place(text: &str, path: &str) -> usize {
    let mut around = text;
    for name in path.split('.') {
        match member(around, name) {
            Some(value) => around = value,
            None => break,
        }
    }
    around.as_ptr().addr().saturating_sub(text.as_ptr().addr())
}

fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let members: BTreeMap<String, &'a RawValue> = serde_json::from_str(object).ok()?;
    members.get(name).map(|value| value.get())
}
