//! What messages and subscriptions mean to a script.

use std::collections::{BTreeMap, BTreeSet};

use reveille_scenarios::What;
use reveille_trace::{Event, Kind};
use serde_json::Value;

use crate::cast::scan::{Scanned, param, uri};
use crate::cast::{message_mark, user};

/// The marks of messages and the peers of subscriptions, as each actor knows them: by Call-ID or by
/// subsession.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    known: BTreeMap<(String, String), String>,
    /// What an actor was told of already: a repetition says nothing new.
    told: BTreeSet<(String, String)>,
}

type Told = Option<(What, String, u16)>;

impl Marks {
    /// True the first time.
    fn is_first(&mut self, event: &Event, of: String) -> bool {
        self.told.insert((event.actor.clone(), of))
    }

    /// A message that is sent has its mark in the From user or its text; one that is received too.
    pub(super) fn sip(&mut self, event: &Event, message: &Scanned) -> Told {
        let sent = event.kind == Kind::SipSent;
        let from = uri(message.header("from")?);
        let key = (event.actor.clone(), message.call_id().to_owned());
        let branch = message.branch().unwrap_or_default();
        match (message.method(), message.status(), message.cseq_method()?) {
            (Some("MESSAGE"), ..) => {
                let mark = message_mark(from, &String::from_utf8_lossy(&message.body));
                self.known.insert(key, mark.clone());
                if sent {
                    return Some((What::Sent, mark, 0));
                }
                self.is_first(event, branch).then_some((What::Delivered, mark, 0))
            }
            (None, Some(status), "MESSAGE") if !sent => {
                Some((What::Received, self.known.get(&key)?.clone(), status))
            }
            (Some("SUBSCRIBE"), ..) if !sent => {
                let begins = message.header("to").is_some_and(|to| param(to, "tag").is_none());
                let is_new = begins && self.is_first(event, branch);
                is_new.then(|| (What::Subscribed, user(from).to_owned(), 0))
            }
            _ => None,
        }
    }

    pub(super) fn rtc(&mut self, event: &Event, frame: &Value) -> Told {
        let text = |part: &str, name: &str| frame[part][name].as_str().unwrap_or_default();
        let sent = event.kind == Kind::RtcSent;
        let subsession = text("control", "subsession_id").to_owned();
        let key = (event.actor.clone(), subsession.clone());
        let code = |name: &str| frame["header"][name].as_u64().and_then(|c| u16::try_from(c).ok());
        match (text("header", "action"), text("control", "type")) {
            ("send", "request") => {
                let content = frame["payload"]["content"].as_str().unwrap_or_default();
                let mark = message_mark(text("header", "initiator"), content);
                self.known.insert(key, mark.clone());
                let what = if sent { What::Sent } else { What::Delivered };
                let number = frame["control"]["sequence"].as_u64().unwrap_or_default();
                let of = format!("{subsession} {number}");
                (sent || self.is_first(event, of)).then_some((what, mark, 0))
            }
            ("send", "response" | "error") if !sent => {
                let status = code("error_code").or_else(|| code("response_code")).unwrap_or(0);
                Some((What::Received, self.known.get(&key)?.clone(), status))
            }
            ("start", "request") if sent => {
                self.known.insert(key, user(text("header", "target")).to_owned());
                None
            }
            ("start", "response") if !sent => {
                Some((What::Subscribed, self.known.get(&key)?.clone(), 0))
            }
            ("notify", _) if !sent => {
                let number = frame["control"]["sequence"].as_u64().unwrap_or_default();
                let new = frame["payload"]["voice_message"].as_str().unwrap_or_default();
                let new = new.split('/').next().and_then(|new| new.parse().ok()).unwrap_or(0);
                let by = user(text("header", "initiator")).to_owned();
                self.is_first(event, format!("{subsession} {number}")).then_some((
                    What::Notified,
                    by,
                    new,
                ))
            }
            _ => None,
        }
    }
}
