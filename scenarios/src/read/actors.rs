use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::devices::{self, device};
use super::field::{FOREVER, Field, Table};
use super::findings::Findings;
use super::names::{Kind, Used, actor_name};
use crate::codes::Code;
use crate::device::Os;
use crate::problem::Problem;
use crate::scenario::{Actor, App, Early, OnCall, Place, Transport};
use crate::service::Service;

const ACTORS_MAX: usize = 32;

/// How long rings who nobody said anything of.
pub(crate) const ANSWER_AFTER: Duration = Duration::from_millis(500);

pub(super) const APPS: [(&str, App); 2] = [("sdk", App::Sdk), ("plain", App::Plain)];
pub(super) const SERVICES: [(&str, Service); 4] = [
    ("webhook", Service::Webhook),
    ("apns", Service::Apns),
    ("fcm", Service::Fcm),
    ("webpush", Service::WebPush),
];
pub(super) const TRANSPORTS: [(&str, Transport); 2] =
    [("udp", Transport::Udp), ("tcp", Transport::Tcp)];
const KINDS: [(&str, Kind); 2] = [("phone", Kind::Phone), ("sip-ua", Kind::Caller)];

/// The keys that say what is done with calls.
pub(super) const ON_CALL: [&str; 3] = ["answer-after", "decline", "ring"];

/// The keys that say where an actor stands.
const PLACE: [&str; 2] = ["clock", "nat"];

const PHONE: [&str; 10] = [
    "kind",
    "app",
    "push",
    "answer-after",
    "decline",
    "ring",
    devices::KEYS[0],
    devices::KEYS[1],
    devices::KEYS[2],
    devices::KEYS[3],
];
const CALLER: [&str; 6] = ["kind", "transport", "answer-after", "decline", "ring", "early"];
const EITHER: [&str; 12] = [
    "kind",
    "app",
    "push",
    "answer-after",
    "decline",
    "ring",
    "transport",
    "early",
    devices::KEYS[0],
    devices::KEYS[1],
    devices::KEYS[2],
    devices::KEYS[3],
];

const EARLY: [(&str, Early); 5] = [
    ("ringing", Early::Ringing),
    ("reliable-ringing", Early::ReliableRinging),
    ("media", Early::Media),
    ("reliable-media", Early::ReliableMedia),
    ("silence", Early::Silence),
];

const HOMES: [(&str, &str); 8] = [
    ("app", "to actors of kind `phone`"),
    (devices::KEYS[0], "to actors of kind `phone`"),
    (devices::KEYS[1], "to actors of kind `phone`"),
    (devices::KEYS[2], "to actors of kind `phone`"),
    (devices::KEYS[3], "to actors of kind `phone`"),
    ("push", "to actors of kind `phone`"),
    ("transport", "to actors of kind `sip-ua`"),
    ("early", "to actors of kind `sip-ua`"),
];

/// Who plays, and of which kind each is, well described or not.
#[derive(Default)]
pub(super) struct Cast<'t> {
    pub(super) actors: BTreeMap<String, Actor>,
    pub(super) kinds: BTreeMap<&'t str, Kind>,
    /// What wakes the phones that are well described; all services, if one is not.
    pub(super) services: BTreeSet<Service>,
    /// The operating system of each phone that is well described, if it has one.
    pub(super) systems: BTreeMap<&'t str, Option<Os>>,
    /// Where those stand that do not stand as usual.
    pub(super) places: BTreeMap<String, Place>,
}

pub(super) fn cast<'t>(top: &Table<'t>, f: &mut Findings<'_>) -> Cast<'t> {
    let mut cast = Cast::default();
    let section = top.needed("actors", "[actors]", f);
    let example = "bob = { kind = \"phone\" }";
    let Some(table) = section.and_then(|s| s.table("`[actors]`".into(), example, f)) else {
        return cast;
    };
    f.bound(table.entries.len(), ACTORS_MAX, "actors", table.span.clone());
    for (key, value) in table.entries {
        let name: &str = key.get_ref();
        actor_name(&Used { name, span: key.span() }, f);
        let field = Field { key: name, value, entry: false };
        let (kind, actor) = actor(name, field, f);
        let place = place(field, f);
        cast.places.extend(place.map(|place| (name.to_owned(), place)));
        cast.kinds.insert(name, kind);
        match &actor {
            Some(Actor::Phone { push, device, .. }) => {
                cast.services.extend([*push]);
                cast.systems.insert(name, device.map(|device| device.os));
            }
            Some(Actor::SipUa { .. }) => {}
            None => cast.services.extend(Service::ALL),
        }
        cast.actors.extend(actor.map(|actor| (name.to_owned(), actor)));
    }
    complete(&cast.kinds, &table, f);
    cast
}

/// Somebody has to call, and somebody has to be called.
fn complete(kinds: &BTreeMap<&str, Kind>, table: &Table<'_>, f: &mut Findings<'_>) {
    let lacks = |kind| !kinds.values().any(|k| *k == kind || *k == Kind::Unclear);
    let parts = [
        (Kind::Phone, Code::NoPhone, "phone", "bob = { kind = \"phone\" }"),
        (Kind::Caller, Code::NoCaller, "caller", "alice = { kind = \"sip-ua\" }"),
    ];
    for (kind, code, what, example) in parts {
        if lacks(kind) {
            let message = format!("no actor is a {what}");
            let problem = Problem::new(code, table.span.clone(), message);
            let problem = problem.label(format!("a {what} is missing"));
            f.absent(problem.help(format!("add `{example}` under `[actors]`")));
        }
    }
}

fn actor(name: &str, field: Field<'_>, f: &mut Findings<'_>) -> (Kind, Option<Actor>) {
    let title = format!("actor {}", crate::words::quoted(name));
    let Some(table) = field.table(title, "bob = { kind = \"phone\" }", f) else {
        return (Kind::Unclear, None);
    };
    let kind = table.needed("kind", "kind = \"phone\"", f).and_then(|k| k.word(&KINDS, f));
    match kind {
        Some(Kind::Phone) => (Kind::Phone, phone(&table, f)),
        Some(Kind::Caller) => (Kind::Caller, sip_ua(&table, f)),
        _ => {
            table.only(&[&EITHER[..], &PLACE].concat(), &[], f);
            (Kind::Unclear, None)
        }
    }
}

fn phone(table: &Table<'_>, f: &mut Findings<'_>) -> Option<Actor> {
    table.only(&[&PHONE[..], &PLACE].concat(), &HOMES, f);
    let app = match table.field("app") {
        Some(field) => field.word(&APPS, f),
        None => Some(App::default()),
    };
    let said = table.field("push");
    let push = match said {
        Some(field) => field.word(&SERVICES, f),
        None => Some(Service::default()),
    };
    let device = device(table, f);
    let push = match device {
        Some(Some(device)) => devices::service(device.os, said, push, f),
        Some(None) | None => push,
    };
    let on_call = on_call(table, f).unwrap_or(Some(OnCall::Answer(ANSWER_AFTER)));
    let device = device.map_or(Some(None), |device| device.map(Some));
    Some(Actor::Phone { app: app?, push: push?, on_call: on_call?, device: device? })
}

fn sip_ua(table: &Table<'_>, f: &mut Findings<'_>) -> Option<Actor> {
    table.only(&[&CALLER[..], &PLACE].concat(), &HOMES, f);
    let transport = match table.field("transport") {
        Some(field) => field.word(&TRANSPORTS, f),
        None => Some(Transport::default()),
    };
    let on_call = on_call(table, f).unwrap_or(Some(OnCall::Answer(ANSWER_AFTER)));
    let early = early(table, f).unwrap_or(Some(Early::default()));
    Some(Actor::SipUa { transport: transport?, on_call: on_call?, early: early? })
}

/// Where an actor stands; nothing: as usual.
fn place(field: Field<'_>, f: &mut Findings<'_>) -> Option<Place> {
    let entries = field.value.get_ref().as_table()?;
    let table = Table { entries, span: field.span(), name: String::new() };
    let ahead_ms = table.field("clock").and_then(|field| field.shift(f)).unwrap_or_default();
    let nat = table.field("nat").and_then(|field| field.duration(("1s", FOREVER), f));
    let place = Place { ahead_ms, nat };
    (place != Place::default()).then_some(place)
}

/// What is said of calls before their answer, with the nothings of [`on_call`].
pub(super) fn early(table: &Table<'_>, f: &mut Findings<'_>) -> Option<Option<Early>> {
    table.field("early").map(|field| field.word(&EARLY, f))
}

/// What is done with calls; outer nothing: no key says so, inner nothing: it says it wrongly.
pub(super) fn on_call(table: &Table<'_>, f: &mut Findings<'_>) -> Option<Option<OnCall>> {
    let mut said: Vec<_> = ON_CALL.iter().filter_map(|key| table.field(key)).collect();
    said.sort_by_key(|field| field.span().start);
    if let [first, second, ..] = said[..] {
        let message = format!("{} has both `{}` and `{}`", table.name, first.key, second.key);
        let problem = second.problem(Code::OneBehaviour, message).label("the second of them");
        f.push(problem.help("keep the one that is meant"));
    }
    let all: Vec<_> = said.iter().map(|field| one_on_call(*field, f)).collect();
    all.first().copied()
}

fn one_on_call(field: Field<'_>, f: &mut Findings<'_>) -> Option<OnCall> {
    match field.key {
        "answer-after" => field.duration(("0s", FOREVER), f).map(OnCall::Answer),
        "decline" => field.status(300..=699, f).map(OnCall::Decline),
        _ => field.truth(f).map(|()| OnCall::Ring),
    }
}
