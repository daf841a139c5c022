//! How a push is to be treated by the phone that gets it, as its sender says.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a phone's operating system is told of a push besides its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manner {
    /// It is to be given at once: FCM's HIGH, priority 10 of APNs, urgency `high` of Web Push.
    pub urgent: bool,
    /// Of which kind it is.
    pub kind: PushKind,
}

/// What a push is for. Only APNs tells kinds apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PushKind {
    /// A call that rings.
    Voip,
    /// Something to show.
    Alert,
    /// Something that shows nothing.
    Background,
    /// Something for the app.
    #[default]
    Data,
}

impl Manner {
    /// That of a data message.
    pub(super) const fn data(urgent: bool) -> Self {
        Self { urgent, kind: PushKind::Data }
    }

    /// That of APNs, whose default is an alert of priority 10.
    pub(super) fn apns(push_type: Option<&str>, priority: Option<&str>) -> Self {
        let kind = match push_type {
            Some("voip") => PushKind::Voip,
            Some("background") => PushKind::Background,
            _ => PushKind::Alert,
        };
        Self { urgent: priority.is_none_or(|priority| priority == "10"), kind }
    }
}

/// A line for a phone that wants to know how a push is to be treated, and how long it is good for.
pub(super) fn labelled(payload: &str, manner: Manner, left_ms: Option<u64>) -> String {
    let manner = serde_json::to_string(&manner).expect("a manner is plain data");
    let left = left_ms.map_or_else(|| "null".to_owned(), |left| left.to_string());
    format!("{{\"manner\":{manner},\"left-ms\":{left},\"payload\":{payload}}}")
}

/// What such a line says: the payload, its manner, and for how many milliseconds it is good.
#[must_use]
pub fn read_labelled(line: &str) -> Option<(String, Manner, Option<u64>)> {
    let mut value: Value = serde_json::from_str(line).ok()?;
    let manner = serde_json::from_value(value.get_mut("manner")?.take()).ok()?;
    let left_ms = value.get("left-ms").and_then(Value::as_u64);
    Some((value.get("payload")?.to_string(), manner, left_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_as_it_was_written_and_leaves_the_payload_as_it_is() {
        let payload = r#"{"aps":{"sound":"default"},"call_id":"c1","session_id":"S"}"#;
        let manner = Manner::apns(Some("voip"), None);
        let line = labelled(payload, manner, Some(29_000));
        let read = Some((payload.to_owned(), manner, Some(29_000)));
        assert_eq!(read_labelled(&line), read);
        let endless = labelled(payload, Manner::data(false), None);
        assert_eq!(read_labelled(&endless).map(|(_, _, left)| left), Some(None));
        for broken in ["", "{}", payload, "{\"manner\":{\"urgent\":1}}"] {
            assert_eq!(read_labelled(broken), None, "{broken}");
        }
    }

    #[test]
    fn apple_has_an_alert_of_priority_ten_where_nothing_is_said() {
        let rings = Manner::apns(Some("voip"), Some("10"));
        assert_eq!(rings, Manner { urgent: true, kind: PushKind::Voip });
        let told = Manner::apns(None, None);
        assert_eq!(told, Manner { urgent: true, kind: PushKind::Alert });
        let quiet = Manner::apns(Some("background"), Some("5"));
        assert_eq!(quiet, Manner { urgent: false, kind: PushKind::Background });
    }
}
