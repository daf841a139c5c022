//! Calls that apps place and changes of calls, as a view has them.

use std::collections::BTreeMap;

use super::view::{Call, Framed, Said, View};
use crate::cast::mark;
use crate::cast::scan::{param, uri};

/// A call that an app placed.
pub struct Placed {
    /// Which app.
    pub app: String,
    /// Its subsession.
    pub subsession: String,
    /// The mark in the SDP.
    pub mark: String,
    /// The correlation of its `start`.
    pub correlation: String,
    /// Its `start`, by event.
    pub seq: u64,
    /// When, in microseconds.
    pub t_us: u64,
    /// The offer.
    pub sdp: String,
    /// Where it is in [`View::called`], if it reached somebody.
    pub called: Option<usize>,
}

impl Placed {
    /// What the one called said and heard.
    pub fn leg<'a>(&self, view: &'a View<'_>) -> Option<&'a Call> {
        self.called.map(|at| &view.called[at])
    }

    /// The frames about it, in order.
    pub fn frames<'a>(&'a self, view: &'a View<'_>) -> impl Iterator<Item = &'a Framed> {
        let mine = |f: &&Framed| f.actor == self.app && f.subsession() == self.subsession;
        view.frames.iter().filter(mine)
    }

    /// What the app was told of its `start`: provisional, final and error.
    pub fn told<'a>(&'a self, view: &'a View<'_>) -> impl Iterator<Item = &'a Framed> {
        self.frames(view).filter(|f| f.answers("start") && self.is_of(f))
    }

    /// How it ended for the app: the final response or the error.
    pub fn outcome<'a>(&'a self, view: &'a View<'_>) -> Option<&'a Framed> {
        self.told(view).find(|f| f.code() >= 200)
    }

    /// The `shutdown` by which its app ended it.
    pub fn gave_up<'a>(&'a self, view: &'a View<'_>) -> Option<&'a Framed> {
        self.frames(view).find(|f| f.sent && f.text("header", "action") == "shutdown")
    }

    /// The `shutdown` by which its app ended it before it knew of an answer.
    pub fn withdrew<'a>(&'a self, view: &'a View<'_>) -> Option<&'a Framed> {
        self.gave_up(view).filter(|end| self.is_of(end))
    }

    fn is_of(&self, frame: &Framed) -> bool {
        frame.text("control", "correlation_id") == self.correlation
    }
}

/// Calls by who placed them: those of SIP user agents, and those that reached them.
pub(super) fn calls(said: BTreeMap<(&str, String), Vec<Said>>) -> (Vec<Call>, Vec<Call>) {
    let (mut calls, mut called) = (Vec::new(), Vec::new());
    for ((actor, _), said) in said {
        let Some(first) = said.iter().find(|said| begins(said)) else { continue };
        let from = first.message.header("from").unwrap_or_default();
        let initiator = uri(from).trim_start_matches("sip:");
        let offer = String::from_utf8_lossy(&first.message.body);
        let (mark, list) = match first.sent {
            true => (initiator.split('@').next().unwrap_or_default().to_owned(), &mut calls),
            false => (mark(initiator, &offer), &mut called),
        };
        let (begun, by_us) = (first.message.cseq_number(), first.sent);
        let (said, changes) = said.into_iter().partition(|said| {
            let method = said.message.cseq_method();
            let is_request = said.message.method().is_some();
            // Requests of ours and the responses to them are numbered by us.
            let ours = said.sent == is_request;
            let of_call = ours == by_us && said.message.cseq_number() == begun;
            match method {
                Some("INVITE" | "ACK" | "CANCEL") => of_call,
                Some("UPDATE") => false,
                _ => true,
            }
        });
        list.push(Call { caller: actor.to_owned(), mark, said, changes });
    }
    for list in [&mut calls, &mut called] {
        list.sort_by(|one, other| (&one.caller, &one.mark).cmp(&(&other.caller, &other.mark)));
    }
    (calls, called)
}

/// An INVITE that begins a call.
fn begins(said: &Said) -> bool {
    let to = said.message.header("to").unwrap_or_default();
    said.message.method() == Some("INVITE") && param(to, "tag").is_none()
}

/// A `start` under another correlation than the first one of its subsession wants a change.
pub(super) fn mark_changes(frames: &mut [Framed]) {
    let mut first: BTreeMap<(String, String), String> = BTreeMap::new();
    for frame in frames.iter_mut().filter(|f| f.is("start", "request")) {
        let of = frame.text("control", "correlation_id").to_owned();
        let key = (frame.actor.clone(), frame.subsession().to_owned());
        frame.is_change = *first.entry(key).or_insert_with(|| of.clone()) != of;
    }
}

pub(super) fn placed(frames: &[Framed], called: &[Call]) -> Vec<Placed> {
    let mut placed: Vec<Placed> = Vec::new();
    for frame in frames.iter().filter(|f| f.sent && f.is("start", "request") && !f.is_change) {
        let (app, subsession) = (frame.actor.clone(), frame.subsession().to_owned());
        if placed.iter().any(|known| known.app == app && known.subsession == subsession) {
            continue;
        }
        let mark = frame.mark();
        placed.push(Placed {
            app,
            subsession,
            called: called.iter().position(|call| call.mark == mark),
            mark,
            correlation: frame.text("control", "correlation_id").to_owned(),
            seq: frame.seq,
            t_us: frame.t_us,
            sdp: frame.json["payload"]["sdp"].as_str().unwrap_or_default().to_owned(),
        });
    }
    placed
}
