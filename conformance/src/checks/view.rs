use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use reveille_trace::{Event, Kind, Trace};
use serde_json::Value;

use super::placed::{self, Placed};
use super::pushed::{Push, pushes};
use super::texts::{self, Notice, Text};
use crate::cast::mark;
use crate::cast::scan::{Scanned, param, scan, uri};

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
    pub(super) fn of(event: &Event) -> Option<Self> {
        let sent = event.kind == Kind::SipSent;
        Some(Self { seq: event.seq, t_us: event.t_us, sent, message: scan(event.bytes())? })
    }

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

    /// True for a request of this method that reached the actor.
    #[must_use]
    pub fn hears(&self, method: &str) -> bool {
        !self.sent && self.message.method() == Some(method)
    }

    /// True for a response of the actor's to a request of this method, with such a status.
    #[must_use]
    pub fn says(&self, method: &str, status: RangeInclusive<u16>) -> bool {
        self.sent
            && self.is_of(method)
            && self.message.status().is_some_and(|s| status.contains(&s))
    }

    /// True for a request of this method, and for responses to one.
    #[must_use]
    pub fn is_of(&self, method: &str) -> bool {
        self.message.cseq_method() == Some(method)
    }

    /// True if it went by a stream: nobody sends a request again there.
    #[must_use]
    pub fn is_by_stream(&self) -> bool {
        let via = self.message.header("via").unwrap_or_default();
        !via.to_ascii_uppercase().contains("/UDP")
    }

    /// The tag of the To header, empty if there is none.
    #[must_use]
    pub fn to_tag(&self) -> String {
        self.message.header("to").and_then(|to| param(to, "tag")).unwrap_or_default()
    }
}

/// What a SIP user agent said and heard of one call.
pub struct Call {
    /// Who: the caller, or in [`View::called`] the one called.
    pub caller: String,
    /// The mark in the From user, or in the SDP.
    pub mark: String,
    /// In order, without what is about changes.
    pub said: Vec<Said>,
    /// What either side wanted changed, and what came of it: re-INVITE and UPDATE.
    pub changes: Vec<Said>,
}

impl Call {
    /// The first INVITE.
    #[must_use]
    pub fn invite(&self) -> Option<&Said> {
        self.said.iter().find(|said| said.message.method() == Some("INVITE"))
    }

    /// The first 100: the gateway took the call on.
    #[must_use]
    pub fn accepted(&self) -> Option<&Said> {
        self.said.iter().find(|said| said.answer_to("INVITE") == Some(100))
    }

    /// Final responses to the INVITE, with their status, in order.
    pub fn finals(&self) -> impl DoubleEndedIterator<Item = (&Said, u16)> {
        let all = self.said.iter().filter_map(|said| Some((said, said.answer_to("INVITE")?)));
        all.filter(|(_, status)| *status >= 200)
    }

    /// The first CANCEL.
    #[must_use]
    pub fn cancel(&self) -> Option<&Said> {
        self.said.iter().find(|said| said.asks("CANCEL"))
    }

    /// The Call-ID, empty if the call was never placed.
    #[must_use]
    pub fn id(&self) -> &str {
        self.invite().map_or("", |invite| invite.message.call_id())
    }

    /// Whom it is for, as `user@domain`.
    #[must_use]
    pub fn callee(&self) -> &str {
        let to = self.invite().and_then(|invite| invite.message.header("to"));
        to.map_or("", |to| uri(to).trim_start_matches("sip:"))
    }

    /// True if it was accepted before event `seq`, and neither ended nor cancelled by then.
    #[must_use]
    pub fn is_open_at(&self, seq: u64) -> bool {
        self.accepted().is_some_and(|said| said.seq < seq)
            && !self.finals().any(|(said, _)| said.seq < seq)
            && self.cancel().is_none_or(|said| said.seq > seq)
    }
}

/// A JsonRTC frame that an app saw.
pub struct Framed {
    /// The event.
    pub seq: u64,
    /// When, in microseconds.
    pub t_us: u64,
    /// Who.
    pub actor: String,
    /// It left the app rather than reached it.
    pub sent: bool,
    /// The frame.
    pub json: Value,
    /// It is a `start` that wants a call changed.
    pub is_change: bool,
}

impl Framed {
    pub(super) fn of(event: &Event) -> Option<Self> {
        let json = serde_json::from_slice(event.bytes()).ok()?;
        let (seq, t_us, actor) = (event.seq, event.t_us, event.actor.clone());
        let sent = event.kind == Kind::RtcSent;
        Some(Self { seq, t_us, actor, sent, json, is_change: false })
    }

    /// A member of `control` or `header`, as text.
    #[must_use]
    pub fn text(&self, part: &str, name: &str) -> &str {
        self.json[part][name].as_str().unwrap_or_default()
    }

    /// The subsession that it is about, empty if none.
    #[must_use]
    pub fn subsession(&self) -> &str {
        self.text("control", "subsession_id")
    }

    /// True for a frame of this action and this type that is not about a subscription.
    #[must_use]
    pub fn is(&self, action: &str, kind: &str) -> bool {
        !self.is_of_subscription()
            && self.text("header", "action") == action
            && self.text("control", "type") == kind
    }

    /// True for what answers a request of this action: a response or an error.
    #[must_use]
    pub fn answers(&self, action: &str) -> bool {
        !self.sent && (self.is(action, "response") || self.is(action, "error"))
    }

    /// The code of a response or of an error.
    #[must_use]
    pub fn code(&self) -> u64 {
        let code = |name: &str| self.json["header"][name].as_u64();
        code("error_code").or_else(|| code("response_code")).unwrap_or(0)
    }

    /// True for a `start` that gives an app a call.
    #[must_use]
    pub fn is_start(&self) -> bool {
        !self.sent && !self.is_change && self.is("start", "request")
    }

    /// The mark of the call that a `start` gives.
    #[must_use]
    pub fn mark(&self) -> String {
        let sdp = self.json["payload"]["sdp"].as_str().unwrap_or_default();
        mark(self.text("header", "initiator"), sdp)
    }
}

/// From an app's close for sleep to its next socket; both ends are events.
pub struct Sleep {
    /// Who.
    pub actor: String,
    /// The close.
    pub from: u64,
    /// The next socket, or beyond the last event.
    pub until: u64,
}

/// A trace as the checks see it: calls at their callers, frames at their apps, requests at the push
/// service.
pub struct View<'a> {
    /// Every event.
    pub events: &'a [Event],
    /// Calls that SIP user agents placed, by caller and mark.
    pub calls: Vec<Call>,
    /// Calls that reached SIP user agents, by the one called and mark.
    pub called: Vec<Call>,
    /// Calls that apps placed, in order.
    pub placed: Vec<Placed>,
    /// Messages that SIP user agents sent, in order.
    pub texts: Vec<Text>,
    /// Messages that reached SIP user agents, in order.
    pub written: Vec<Text>,
    /// What SIP user agents told subscribers, in order.
    pub notices: Vec<Notice>,
    /// What apps said and heard, in order.
    pub frames: Vec<Framed>,
    /// What the push services were asked, in order.
    pub pushes: Vec<Push<'a>>,
    /// When apps slept.
    pub sleeps: Vec<Sleep>,
    /// Played over sockets, where time is not the harness's own.
    pub over_sockets: bool,
    /// The gateway's own events are there.
    pub sees_inside: bool,
}

impl<'a> View<'a> {
    /// Sorts a trace.
    #[must_use]
    pub fn new(trace: &'a Trace) -> Self {
        let mut said: BTreeMap<(&str, String), Vec<Said>> = BTreeMap::new();
        let mut frames = Vec::new();
        for event in &trace.events {
            match event.kind {
                Kind::SipSent | Kind::SipReceived if is_caller(&event.actor) => {
                    let Some(one) = Said::of(event) else { continue };
                    let call_id = one.message.call_id().to_owned();
                    said.entry((&event.actor, call_id)).or_default().push(one);
                }
                Kind::RtcSent | Kind::RtcReceived if event.actor != "gateway" => {
                    frames.extend(Framed::of(event));
                }
                _ => {}
            }
        }
        let (texts, written, notices) = texts::texts(&mut said);
        let (calls, called) = placed::calls(said);
        placed::mark_changes(&mut frames);
        Self {
            events: &trace.events,
            placed: placed::placed(&frames, &called),
            calls,
            called,
            texts,
            written,
            notices,
            frames,
            pushes: pushes(&trace.events),
            sleeps: sleeps(&trace.events),
            over_sockets: trace.manifest.world == "socket",
            sees_inside: trace.events.iter().any(|event| event.actor == "gateway"),
        }
    }

    /// The last event that a stranger to the gateway saw.
    #[must_use]
    pub fn end(&self) -> Option<&Event> {
        self.events.iter().rfind(|event| event.actor != "gateway")
    }

    /// A number from the target's properties at the head of the trace.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<u64> {
        let is_it = |event: &&Event| event.kind == Kind::Target && event.text("name") == Some(name);
        self.events.iter().find(is_it)?.text("value")?.parse().ok()
    }

    /// The declared wake budget in microseconds.
    #[must_use]
    pub fn budget_us(&self) -> Option<u64> {
        self.target("wake-budget-ms").map(|ms| ms.saturating_mul(1_000))
    }

    /// True if a fault took effect that may have kept the gateway away or taken packets. What a push
    /// service answers is none, nor is an answer that its caller ignored.
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        self.events.iter().any(is_blow)
    }

    /// True if a fault took effect between these two events.
    #[must_use]
    pub fn is_struck_between(&self, from: u64, to: u64) -> bool {
        let between = |event: &Event| (from..=to).contains(&event.seq);
        self.events.iter().any(|event| is_blow(event) && between(event))
    }

    /// True if a fault took effect between these two events that may have come between the gateway
    /// and this one: at the gateway, at the one, or on a link of either's that the other needs.
    #[must_use]
    pub fn is_parted_between(&self, who: &str, from: u64, to: u64) -> bool {
        let between = |event: &Event| (from..=to).contains(&event.seq);
        self.events.iter().any(|event| is_blow(event) && between(event) && parts(event, who))
    }

    /// True if a link was cut before this time: what was sent over it may not have arrived.
    #[must_use]
    pub fn is_cut_before(&self, at_us: u64) -> bool {
        let is_cut = |event: &Event| {
            is_blow(event) && event.text("fault").is_some_and(|fault| SILENT.contains(&fault))
        };
        self.events.iter().any(|event| is_cut(event) && event.t_us <= at_us)
    }

    /// Each `start` that gave an app the call of this mark.
    pub fn starts<'b>(&'b self, mark: &'b str) -> impl Iterator<Item = &'b Framed> {
        self.frames.iter().filter(move |frame| frame.is_start() && frame.mark() == mark)
    }

    /// Requests that name this call.
    pub fn pushes_for<'b>(&'b self, call: &'b Call) -> impl Iterator<Item = &'b Push<'a>> {
        self.pushes.iter().filter(move |push| {
            push.payload.is_object() && !call.id().is_empty() && push.says("call_id") == call.id()
        })
    }

    /// The apps that a user of this address connected with.
    #[must_use]
    pub fn apps(&self, address: &str) -> Vec<&str> {
        let mut apps: Vec<_> = self
            .frames
            .iter()
            .filter(|f| !f.sent && f.is("connect", "response"))
            .filter(|f| f.text("header", "initiator") == address)
            .map(|f| f.actor.as_str())
            .collect();
        apps.sort_unstable();
        apps.dedup();
        apps
    }

    /// True if somebody placed a call, or sent a message or a NOTIFY, under this Call-ID.
    #[must_use]
    pub fn is_known(&self, id: &str) -> bool {
        let mut calls = self.calls.iter().chain(&self.called);
        calls.any(|call| call.id() == id)
            || self.texts.iter().any(|text| text.id == id)
            || self.notices.iter().any(|notice| notice.id == id)
    }

    /// SIP user agents that told subscribers something.
    #[must_use]
    pub fn notifiers(&self) -> BTreeSet<&str> {
        self.notices.iter().map(|notice| notice.by.as_str()).collect()
    }

    /// The token that an app gave last.
    #[must_use]
    pub fn token_of(&self, app: &str) -> Option<&str> {
        let given = self.frames.iter().filter(|f| f.sent && f.actor == app);
        given.filter_map(super::jsonrtc_session::token).next_back()
    }

    /// When a sleep ended, in microseconds.
    #[must_use]
    pub fn opened_us(&self, sleep: &Sleep) -> u64 {
        let opened = self.events.iter().find(|event| event.seq == sleep.until);
        opened.map_or(u64::MAX, |event| event.t_us)
    }

    /// True if this user has an app, and each of them sleeps at event `seq`.
    #[must_use]
    pub fn sleeps_at(&self, address: &str, seq: u64) -> bool {
        let apps = self.apps(address);
        let sleeps = |app: &&str| {
            self.sleeps.iter().any(|s| s.actor == **app && s.from < seq && seq < s.until)
        };
        !apps.is_empty() && apps.iter().all(sleeps)
    }

    /// The first socket that one of this user's apps opened after event `seq`.
    #[must_use]
    pub fn opened_after(&self, address: &str, seq: u64) -> Option<&Event> {
        let apps = self.apps(address);
        self.events.iter().find(|event| {
            event.seq > seq && event.kind == Kind::WsOpened && apps.contains(&event.actor.as_str())
        })
    }
}

fn sleeps(events: &[Event]) -> Vec<Sleep> {
    let mut sleeps: Vec<Sleep> = Vec::new();
    for event in events.iter().filter(|event| event.actor != "gateway") {
        let actor = &event.actor;
        match event.kind {
            Kind::WsClosed if matches!(event.int("code"), Some(4001 | 4002)) => {
                sleeps.push(Sleep { actor: actor.clone(), from: event.seq, until: u64::MAX });
            }
            Kind::WsOpened => {
                if let Some(sleep) = sleeps.iter_mut().rfind(|sleep| sleep.actor == *actor) {
                    sleep.until = sleep.until.min(event.seq);
                }
            }
            _ => {}
        }
    }
    sleeps
}

fn is_caller(actor: &str) -> bool {
    !["gateway", "registrar", "push", "world", "director"].contains(&actor)
}

/// Faults after which what one end said may never have come to the other.
const SILENT: [&str; 7] = ["partition", "cut", "storm", "outage", "move", "rebind", "nat"];

/// A fault of the world, which may take time from the target. What the cast does on purpose (a push
/// refused, an app killed, an answer lost) takes none, and no clock that is set: deadlines run on
/// monotonic time.
fn is_blow(event: &Event) -> bool {
    let is_clock = event.text("fault") == Some("clock-step");
    event.kind == Kind::FaultStruck && event.actor == "world" && !is_clock
}

/// True if the fault is at the gateway or at this one, or on a link between such.
fn parts(event: &Event, who: &str) -> bool {
    let on = event.text("on").unwrap_or_default();
    let its = |host: &str| host == who || host.starts_with("gateway");
    match on.split_once("--").or_else(|| on.split_once("->")) {
        Some((a, b)) => its(a) && its(b),
        None => its(on),
    }
}
