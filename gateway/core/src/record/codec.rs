//! How records become bytes: MessagePack with the names of the fields, so that a later build may add
//! one and an earlier one skips it. SIP messages are most of a record, and stand in it as they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CallRecord, MessageRecord, SessionRecord, VERSION};

/// Few records are longer.
const USUAL: usize = 1_536;

/// The last version in JSON.
const JSON: u16 = 2;

/// Bytes. In JSON they are text behind a `t` where they are UTF-8, else base64 behind a `b`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Raw(pub Vec<u8>);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(&self.0);
        }
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.collect_str(&format_args!("t{text}")),
            Err(_) => serializer.collect_str(&format_args!("b{}", STANDARD.encode(&self.0))),
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What is buffered for the sake of a tag no longer knows its format: it tells by its kind.
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl Visitor<'_> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes, or text that begins with t (text) or b (base64)")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Raw, E> {
        Ok(Raw(bytes.to_vec()))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Raw, E> {
        match text.split_at_checked(1) {
            Some(("t", rest)) => Ok(Raw(rest.as_bytes().to_vec())),
            Some(("b", rest)) => STANDARD.decode(rest).map(Raw).map_err(E::custom),
            Some(_) | None => Err(E::custom("bytes must begin with t (text) or b (base64)")),
        }
    }
}

/// Why a record could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord(pub String);

impl std::fmt::Display for BadRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadRecord {}

/// True if bytes begin as a record does, of any version.
#[must_use]
pub fn is_record(bytes: &[u8]) -> bool {
    // A map: of JSON, of up to 15 fields, of up to 65,535.
    matches!(bytes.first(), Some(b'{' | 0x80..=0x8f | 0xde))
}

fn read<'de, T: Deserialize<'de>>(name: &str, bytes: &'de [u8]) -> Result<T, BadRecord> {
    let bad = |error: String| BadRecord(format!("not a {name} record: {error}"));
    if bytes.first() == Some(&b'{') {
        return serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()));
    }
    rmp_serde::from_slice(bytes).map_err(|error| bad(error.to_string()))
}

macro_rules! encoded {
    ($($record:ty),+) => {$(
        impl $record {
            /// The bytes that go into the fabric.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                let mut bytes = Vec::with_capacity(USUAL);
                let written = rmp_serde::encode::write_named(&mut bytes, self);
                written.expect("a record is plain data with text keys");
                bytes
            }

            /// Reads bytes from the fabric.
            ///
            /// # Errors
            /// [`BadRecord`] says what is wrong: not a record, or of a version that is not read.
            pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
                let mut record: Self = read(stringify!($record), bytes)?;
                let found = record.version;
                if !(JSON..=VERSION).contains(&found) {
                    return Err(BadRecord(format!(
                        "record of version {found}: this build reads {JSON} to {VERSION}"
                    )));
                }
                record.version = VERSION;
                Ok(record)
            }
        }
    )+};
}
encoded!(SessionRecord, CallRecord, MessageRecord);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::record::{Dialog, Phase};

    /// A call as the version before wrote it.
    fn written_before(phase: &Value) -> Value {
        json!({"version": 2, "session": "s1", "subsession": "c1", "arrival": 7,
            "invite": "tINVITE sip:bob@x SIP/2.0\r\n\r\n",
            "flow": {"transport": "udp", "local": "10.0.0.1:5060", "peer": "10.0.0.2:5060",
                "connection": null},
            "local_tag": "t", "hold_code": 183, "deadline_wall_us": 9, "accepted_wall_us": 8,
            "phase": phase})
    }

    fn dialog() -> Value {
        json!({"local": "<sip:bob@x>", "local_tag": "t", "remote": "<sip:a@x>", "remote_tag": "u",
            "target": "sip:a@10.0.0.2", "routes": [], "local_cseq": 1, "remote_cseq": 2,
            "refresh": {"interval_s": 90, "by_us": true, "until_wall_us": 5}})
    }

    fn phases() -> Vec<Value> {
        let flow = json!({"transport": "tls", "local": "a:1", "peer": "b:2", "connection": 4});
        let peer = json!({"by": "peer", "invite": "b/w==", "flow": flow, "correlation": "c",
            "decided": {"response": "tSIP/2.0 200 OK\r\n\r\n", "at_wall_us": 3}});
        vec![
            json!({"is": "held"}),
            json!({"is": "offered", "sequence": 3, "correlation": "c", "rung_wall_us": null}),
            json!({"is": "decided", "status": 200, "response": "b/v8=", "at_wall_us": 4,
                "correlation": null}),
            json!({"is": "placed", "correlation": "c", "cancelled": true}),
            json!({"is": "answered", "correlation": "c", "dialog": dialog()}),
            json!({"is": "confirmed", "dialog": dialog(), "ack": "tACK", "exchange": peer}),
        ]
    }

    #[test]
    fn every_phase_comes_back_and_is_read_from_the_version_before() {
        for phase in phases() {
            let before = written_before(&phase).to_string();
            let record = CallRecord::decode(before.as_bytes()).unwrap();
            assert_eq!(record.version, VERSION, "{before}");
            assert_eq!(CallRecord::decode(&record.encode()).unwrap(), record, "{before}");
        }
        let decided = written_before(&phases().remove(2)).to_string();
        let phase = CallRecord::decode(decided.as_bytes()).unwrap().phase;
        assert!(matches!(phase, Phase::Decided { response, .. } if response.0 == [0xfe, 0xff]));
    }

    #[test]
    fn messages_stand_in_a_record_as_they_are() {
        let before = written_before(&json!({"is": "held"})).to_string();
        let mut record = CallRecord::decode(before.as_bytes()).unwrap();
        record.invite = Raw(b"INVITE\r\n\"\\\xff".to_vec());
        let bytes = record.encode();
        assert!(bytes.windows(11).any(|part| part == record.invite.0), "{bytes:?}");
        assert!(is_record(&bytes) && is_record(before.as_bytes()) && !is_record(&[1]));
    }

    #[test]
    fn a_field_of_a_later_build_is_skipped_and_one_of_an_earlier_build_may_be_missing() {
        let mut later = dialog();
        later["later"] = json!([1, {"a": null}]);
        later.as_object_mut().unwrap().remove("refresh");
        let read: Dialog =
            rmp_serde::from_slice(&rmp_serde::to_vec_named(&later).unwrap()).unwrap();
        assert_eq!((read.refresh, read.local_tag.as_str()), (None, "t"));
    }

    #[test]
    fn another_version_is_refused_by_its_number_and_rubbish_by_what_it_should_be() {
        let mut record = written_before(&json!({"is": "held"}));
        record["version"] = json!(4);
        let later = rmp_serde::to_vec_named(&record).unwrap();
        let said = CallRecord::decode(&later).unwrap_err();
        assert_eq!(said.0, "record of version 4: this build reads 2 to 3");
        for rubbish in [&b"{"[..], b"", b"\x81", &later[..later.len() - 1], b"\xde\xff\xff"] {
            let said = CallRecord::decode(rubbish).unwrap_err();
            assert!(said.0.starts_with("not a CallRecord record: "), "{said}");
        }
    }
}
