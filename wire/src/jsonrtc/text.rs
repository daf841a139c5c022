//! How a frame is written: its members in the order of their names.

use serde::Serialize;
use serde_json::{Map, Value};

use super::frame::{Frame, FrameType};

/// A frame is rarely longer.
const USUAL: usize = 512;

#[derive(Serialize)]
struct Written<'a> {
    control: Control<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a Map<String, Value>>,
}

#[derive(Serialize)]
struct Control<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ack_sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_state: Option<&'static str>,
    package_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subsession_id: Option<&'a str>,
    r#type: &'static str,
    version: &'static str,
}

impl Frame {
    /// The frame as text, always in the same order of members.
    #[must_use]
    pub fn to_text(&self) -> String {
        let control = &self.control;
        let header = self.header_json();
        let is_bare = control.kind == FrameType::Acknowledgement && header.is_empty();
        let written = Written {
            control: Control {
                ack_sequence: control.ack_sequence,
                correlation_id: control.correlation_id.as_deref(),
                message_state: control.message_state.map(|state| state.name()),
                package_type: &control.package,
                sequence: control.sequence,
                session_id: control.session_id.as_deref(),
                subsession_id: control.subsession_id.as_deref(),
                r#type: control.kind.name(),
                version: "1.0",
            },
            header: (!is_bare).then_some(&header),
            payload: (!is_bare).then_some(&self.payload),
        };
        let mut text = Vec::with_capacity(USUAL);
        serde_json::to_writer(&mut text, &written).expect("plain data with text keys");
        String::from_utf8(text).expect("JSON is UTF-8")
    }
}
