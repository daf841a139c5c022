use std::collections::BTreeMap;

use reveille_trace::{Event, Kind, Trace};
use serde_json::Value;

use crate::cast::mark;
use crate::cast::scan::{Scanned, scan};

/// A SIP message that somebody saw.
pub struct Said {
    /// The event.
    pub seq: u64,
    /// When, in microseconds.
    pub t_us: u64,
    /// It left the actor rather than reached it.
    pub sent: bool,
    /// The message.
    pub message: Scanned,
}

impl Said {
    /// The status, if it is a response to a request of this method that reached the actor.
    #[must_use]
    pub fn answer_to(&self, method: &str) -> Option<u16> {
        let ours = !self.sent && self.message.cseq_method() == Some(method);
        self.message.status().filter(|_| ours)
    }

    /// True for a request of this method that left the actor.
    #[must_use]
    pub fn asks(&self, method: &str) -> bool {
        self.sent && self.message.method() == Some(method)
    }

    /// The tag of the To header, empty if there is none.
    #[must_use]
    pub fn to_tag(&self) -> String {
        let to = self.message.header("to").unwrap_or_default();
        let tag = to.split(';').find_map(|part| part.trim().strip_prefix("tag="));
        tag.unwrap_or_default().to_owned()
    }
}

/// A JsonRTC frame that an app saw.
pub struct Framed {
    /// The event.
    pub seq: u64,
    /// Who.
    pub actor: String,
    /// It left the app rather than reached it.
    pub sent: bool,
    /// The frame.
    pub json: Value,
}

impl Framed {
    /// A member of `control` or `header`, as text.
    #[must_use]
    pub fn text(&self, part: &str, name: &str) -> &str {
        self.json[part][name].as_str().unwrap_or_default()
    }

    /// True for a `start` that gives an app a call.
    #[must_use]
    pub fn is_start(&self) -> bool {
        !self.sent
            && self.text("control", "type") == "request"
            && self.text("header", "action") == "start"
    }

    /// The mark of the call that a `start` gives.
    #[must_use]
    pub fn mark(&self) -> String {
        let sdp = self.json["payload"]["sdp"].as_str().unwrap_or_default();
        mark(self.text("header", "initiator"), sdp)
    }
}

/// A trace as the checks see it: calls by mark at their callers, frames at their apps.
pub struct View<'a> {
    /// Every event.
    pub events: &'a [Event],
    /// What each caller said and heard of each call, by caller and mark.
    pub calls: BTreeMap<(String, String), Vec<Said>>,
    /// What apps said and heard, in order.
    pub frames: Vec<Framed>,
}

impl<'a> View<'a> {
    /// Sorts a trace.
    #[must_use]
    pub fn new(trace: &'a Trace) -> Self {
        let mut view = Self { events: &trace.events, calls: BTreeMap::new(), frames: Vec::new() };
        for event in &trace.events {
            match event.kind {
                Kind::SipSent | Kind::SipReceived if is_caller(&event.actor) => view.add_sip(event),
                Kind::RtcSent | Kind::RtcReceived if event.actor != "gateway" => {
                    view.add_frame(event);
                }
                _ => {}
            }
        }
        view
    }

    fn add_sip(&mut self, event: &Event) {
        let Some(message) = scan(event.bytes()) else { return };
        let from = message.header("from").unwrap_or_default();
        let Some((_, user)) = from.split_once("sip:") else { return };
        let user = user.split('@').next().unwrap_or_default().to_owned();
        let (seq, t_us) = (event.seq, event.t_us);
        let sent = event.kind == Kind::SipSent;
        let call = self.calls.entry((event.actor.clone(), user)).or_default();
        call.push(Said { seq, t_us, sent, message });
    }

    fn add_frame(&mut self, event: &Event) {
        let Ok(json) = serde_json::from_slice(event.bytes()) else { return };
        let sent = event.kind == Kind::RtcSent;
        self.frames.push(Framed { seq: event.seq, actor: event.actor.clone(), sent, json });
    }
}

fn is_caller(actor: &str) -> bool {
    !["gateway", "registrar", "push", "world", "director"].contains(&actor)
}
