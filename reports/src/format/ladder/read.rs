//! From events to rows.

use std::collections::{BTreeMap, BTreeSet};

use reveille_trace::{Event, Kind};

use super::label::{self, Label};
use super::lanes::{Lanes, Role};
use super::pair::{self, Message};
use super::row::{Mark, Row};
use crate::text::{ascii, clip};

/// A message that took at least this long says so.
const SLOW_US: u64 = 200_000;

/// The rows of a trace, and how many events of each kind are in none.
pub(super) struct Reading<'a> {
    pub(super) rows: Vec<Row<'a>>,
    pub(super) undrawn: BTreeMap<&'static str, usize>,
}

struct Reader<'a> {
    lanes: &'a Lanes,
    rows: Vec<Row<'a>>,
    drawn: BTreeSet<u64>,
    several_calls: bool,
    tokens: BTreeMap<&'a str, &'a str>,
    /// WebSocket events of a gateway, which an app tells too: which of them are still untold.
    sockets: Vec<&'a Event>,
}

/// Reads `events` into rows, in the order of time.
pub(super) fn rows<'a>(events: &'a [Event], lanes: &'a Lanes) -> Reading<'a> {
    let mut reader = Reader {
        lanes,
        rows: Vec::new(),
        drawn: BTreeSet::new(),
        several_calls: several_calls(events),
        tokens: BTreeMap::new(),
        sockets: Vec::new(),
    };
    for event in events.iter().filter(|event| event.kind == Kind::PushArrived) {
        if let Some(token) = event.text("token") {
            reader.tokens.insert(token, &event.actor);
        }
    }
    reader.sockets = events.iter().filter(|event| reader.is_gateways_socket(event)).collect();
    for message in pair::messages(events, lanes) {
        reader.message(&message);
    }
    for event in events {
        reader.event(event);
    }
    for event in std::mem::take(&mut reader.sockets) {
        reader.note(event, &socket_words(event).long);
    }
    reader.rows.sort_by_key(|row| (row.t_us, row.seqs.first().copied()));
    let mut undrawn = BTreeMap::new();
    for event in events.iter().filter(|event| !reader.drawn.contains(&event.seq)) {
        *undrawn.entry(event.kind.name()).or_default() += 1;
    }
    Reading { rows: reader.rows, undrawn }
}

fn several_calls(events: &[Event]) -> bool {
    let invites = events.iter().filter(|event| label::is_first_invite(event));
    invites.filter_map(|event| event.corr.as_deref()).collect::<BTreeSet<_>>().len() > 1
}

fn socket_words(event: &Event) -> Label {
    match event.kind {
        Kind::WsOpened => Label::plain("WS open"),
        Kind::WsClosed => match event.int("code") {
            Some(code) => Label::plain(&format!("WS close {code}")),
            None => Label::plain("WS lost"),
        },
        _ => {
            let why = event.int("status").map(|status| status.to_string());
            let why = why.or_else(|| event.text("what").map(str::to_owned)).unwrap_or_default();
            Label::new(&format!("WS refused {why}"), "WS refused")
        }
    }
}

impl<'a> Reader<'a> {
    fn is_gateways_socket(&self, event: &Event) -> bool {
        matches!(event.kind, Kind::WsOpened | Kind::WsClosed | Kind::WsRefused)
            && self.lanes.role(&event.actor) == Some(Role::Gateway)
    }

    fn push(&mut self, row: Row<'a>) {
        self.drawn.extend(&row.seqs);
        self.rows.push(row);
    }

    fn message(&mut self, message: &Message<'a>) {
        let Some(event) = message.event() else { return };
        let mut label = label::of(event);
        if self.several_calls
            && !label::is_register(event)
            && let Some(caller) = label::caller(event)
        {
            label = label.and(&caller);
        }
        if message.again {
            label = label.and("again");
        }
        if let (Some(sent), Some(received)) = (message.sent, message.received) {
            let took = received.t_us.saturating_sub(sent.t_us);
            if took >= SLOW_US {
                label = label.and(&format!("+{} s", crate::text::seconds(took)));
            }
        }
        let ends = [message.sent, message.received];
        let seqs = ends.iter().flatten().map(|event| event.seq).collect();
        let mark = self.arrow(message.from.as_deref(), message.to.as_deref(), label, message.lost);
        let Some(mark) = mark else { return };
        let mut row = Row::new(event.t_us, event.seq, mark);
        (row.seqs, row.bytes, row.registers) = (seqs, event.bytes(), is_plain_register(event));
        self.push(row);
    }

    /// An arrow; a note where one end is unknown; nothing where both are.
    fn arrow(
        &self,
        from: Option<&str>,
        to: Option<&str>,
        label: Label,
        lost: bool,
    ) -> Option<Mark> {
        let lane = |actor: Option<&str>| actor.and_then(|actor| self.lanes.lane(actor));
        let (start, end) = (lane(from), lane(to));
        match (start, end) {
            (Some(from_lane), Some(to_lane)) if from_lane != to_lane => {
                let mut label = label;
                for (lane, actor) in [(from_lane, from), (to_lane, to)] {
                    if let (true, Some(actor)) = (self.lanes.is_shared(lane), actor) {
                        label = label.and(&clip(&ascii(actor), 16));
                    }
                }
                Some(Mark::Arrow { from: from_lane, to: to_lane, label, lost })
            }
            (Some(lane), Some(_)) if from == to => {
                Some(Mark::Note { lane, text: format!("[handed on: {}]", label.short) })
            }
            (Some(lane), _) => {
                let end = if lost { " x" } else { "" };
                Some(Mark::Note { lane, text: format!("[sent {}{end}]", label.short) })
            }
            (None, Some(lane)) => Some(Mark::Note { lane, text: format!("[got {}]", label.short) }),
            (None, None) => None,
        }
    }

    fn event(&mut self, event: &'a Event) {
        match event.kind {
            Kind::WsOpened | Kind::WsClosed | Kind::WsRefused => self.socket(event),
            Kind::PushAnswered => {
                let status = event.int("status").unwrap_or_default().to_string();
                let reason = event.text("reason").map_or(String::new(), |name| format!(" {name}"));
                let label = Label::new(&format!("{status}{reason} (push)"), &status);
                self.between(event, Role::Push, Role::Gateway, label);
            }
            Kind::PushBearer => {
                let status = event.int("status").unwrap_or_default().to_string();
                let label = Label::new(&format!("{status} bearer"), &status);
                self.between(event, Role::Push, Role::Gateway, label);
            }
            Kind::PushArrived => self.between(event, Role::Push, Role::Phone, Label::plain("push")),
            Kind::PushDropped => self.dropped(event),
            Kind::PushHeld => self.note(event, &said("push held:", event.text("why"))),
            Kind::OsState => {
                let what = event.text("what").unwrap_or("system");
                self.note(event, &said(&format!("{what}:"), event.text("state")));
            }
            Kind::AppState => self.app_state(event),
            Kind::AppAlerted => self.note(event, &said("alerts", event.text("call"))),
            Kind::AppCallEnded => self.note(event, &said("ended:", event.text("why"))),
            Kind::SipBroken => self.note(event, &said("broken SIP:", event.text("rule"))),
            Kind::HostCrashed => self.host(event, "crashed", false),
            Kind::HostStarted if event.int("generation") != Some(0) => {
                self.host(event, "started", true);
            }
            Kind::Step => self.step(event),
            Kind::FaultStruck => {
                let on = event.text("on").unwrap_or(&event.actor);
                let fault = event.text("fault").unwrap_or("fault");
                self.band(event, &format!("fault: {fault} on {on}"), '#');
            }
            Kind::Stall => {
                let us = u64::try_from(event.int("stall_us").unwrap_or_default()).unwrap_or(0);
                let late = crate::text::seconds(us);
                self.band(event, &format!("the harness was {late} s late"), '!');
            }
            Kind::Note => {
                let text = event.text("text").unwrap_or_default();
                self.band(event, &format!("{} remarks: {text}", event.actor), ' ');
            }
            _ => {}
        }
    }

    /// The app's side of a socket is drawn; the gateway's side of the same thing is the same row.
    fn socket(&mut self, event: &'a Event) {
        if self.is_gateways_socket(event) {
            return;
        }
        let other = self.sockets.iter().position(|other| {
            let user = other.text("user").filter(|user| self.lanes.lane(user).is_some());
            other.kind == event.kind && user.is_none_or(|user| user == event.actor)
        });
        let gateway = other.map(|at| self.sockets.remove(at));
        let by_app = event.kind == Kind::WsOpened || event.text("by") == Some("app");
        let (name, label) = (self.lanes.first(Role::Gateway), socket_words(event));
        let (from, to) =
            if by_app { (Some(event.actor.as_str()), name) } else { (name, Some(&*event.actor)) };
        let Some(mark) = self.arrow(from, to, label, false) else { return };
        let mut row = Row::new(event.t_us, event.seq, mark);
        row.seqs.extend(gateway.map(|event| event.seq));
        self.push(row);
        if event.kind == Kind::WsOpened {
            self.turn(event, true);
        }
    }

    fn between(&mut self, event: &'a Event, from: Role, to: Role, label: Label) {
        let name = |role| {
            if self.lanes.role(&event.actor) == Some(role) {
                Some(event.actor.as_str())
            } else {
                self.lanes.first(role)
            }
        };
        let Some(mark) = self.arrow(name(from), name(to), label, false) else { return };
        let mut row = Row::new(event.t_us, event.seq, mark);
        row.bytes = event.bytes();
        self.push(row);
    }

    fn dropped(&mut self, event: &'a Event) {
        let owner = event.text("token").and_then(|token| self.tokens.get(token).copied());
        let to = owner.or_else(|| self.lanes.only(Role::Phone));
        let mark = self.arrow(Some(&event.actor), to, Label::plain("push"), true);
        if let Some(mark) = mark {
            self.push(Row::new(event.t_us, event.seq, mark));
        }
    }

    fn app_state(&mut self, event: &'a Event) {
        let state = event.text("state").unwrap_or_default();
        let up = matches!(state, "connected" | "reconnecting");
        self.note(event, state);
        self.turn(event, up);
    }

    fn host(&mut self, event: &'a Event, word: &str, up: bool) {
        if self.lanes.lane(&event.actor).is_none() {
            return self.band(event, &format!("{} {word}", event.actor), '#');
        }
        self.note(event, word);
        self.turn(event, up);
    }

    fn turn(&mut self, event: &Event, up: bool) {
        if let (Some(lane), Some(row)) = (self.lanes.lane(&event.actor), self.rows.last_mut())
            && !self.lanes.is_shared(lane)
        {
            row.turns = Some((lane, up));
        }
    }

    fn note(&mut self, event: &'a Event, text: &str) {
        if let Some(lane) = self.lanes.lane(&event.actor) {
            let who = if self.lanes.is_shared(lane) {
                format!("{} ", event.actor)
            } else {
                String::new()
            };
            let text = format!("[{}]", ascii(&format!("{who}{text}")));
            self.push(Row::new(event.t_us, event.seq, Mark::Note { lane, text }));
        }
    }

    fn step(&mut self, event: &'a Event) {
        let verb = event.text("verb").unwrap_or("step");
        let on = event.text("on").unwrap_or_default();
        let text = said(verb, event.text("call"));
        match self.lanes.lane(on) {
            Some(lane) if !self.lanes.is_shared(lane) => {
                let mark = Mark::Note { lane, text: format!("({})", ascii(&text)) };
                self.push(Row::new(event.t_us, event.seq, mark));
            }
            _ => self.band(event, &format!("({text} {on})"), ' '),
        }
    }

    fn band(&mut self, event: &'a Event, text: &str, fill: char) {
        let text = ascii(text);
        self.push(Row::new(event.t_us, event.seq, Mark::Band { text, fill }));
    }
}

fn said(word: &str, more: Option<&str>) -> String {
    match more.filter(|more| !more.is_empty()) {
        Some(more) => format!("{word} {more}"),
        None => word.to_owned(),
    }
}

/// A refresh that went as it should; what did not is worth its own rows.
fn is_plain_register(event: &Event) -> bool {
    label::is_register(event) && label::status(event).is_none_or(|s| matches!(s, 100 | 200 | 401))
}
