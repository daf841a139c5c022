use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::field::{FOREVER, Field, Table};
use super::findings::Findings;
use super::names::{Kind, Used, actor_name};
use crate::codes::Code;
use crate::problem::Problem;
use crate::scenario::{Actor, App, Early, OnCall, Transport};
use crate::service::Service;

const ACTORS_MAX: usize = 32;

/// How long rings who nobody said anything of.
const ANSWER_AFTER: Duration = Duration::from_millis(500);

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

const PHONE: [&str; 6] = ["kind", "app", "push", "answer-after", "decline", "ring"];
const CALLER: [&str; 6] = ["kind", "transport", "answer-after", "decline", "ring", "early"];
const EITHER: [&str; 8] =
    ["kind", "app", "push", "answer-after", "decline", "ring", "transport", "early"];

const EARLY: [(&str, Early); 5] = [
    ("ringing", Early::Ringing),
    ("reliable-ringing", Early::ReliableRinging),
    ("media", Early::Media),
    ("reliable-media", Early::ReliableMedia),
    ("silence", Early::Silence),
];

const HOMES: [(&str, &str); 4] = [
    ("app", "to actors of kind `phone`"),
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
        let (kind, actor) = actor(name, Field { key: name, value, entry: false }, f);
        cast.kinds.insert(name, kind);
        match &actor {
            Some(Actor::Phone { push, .. }) => cast.services.extend([*push]),
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
            table.only(&EITHER, &[], f);
            (Kind::Unclear, None)
        }
    }
}

fn phone(table: &Table<'_>, f: &mut Findings<'_>) -> Option<Actor> {
    table.only(&PHONE, &HOMES, f);
    let app = match table.field("app") {
        Some(field) => field.word(&APPS, f),
        None => Some(App::default()),
    };
    let push = match table.field("push") {
        Some(field) => field.word(&SERVICES, f),
        None => Some(Service::default()),
    };
    let on_call = on_call(table, f).unwrap_or(Some(OnCall::Answer(ANSWER_AFTER)));
    Some(Actor::Phone { app: app?, push: push?, on_call: on_call? })
}

fn sip_ua(table: &Table<'_>, f: &mut Findings<'_>) -> Option<Actor> {
    table.only(&CALLER, &HOMES, f);
    let transport = match table.field("transport") {
        Some(field) => field.word(&TRANSPORTS, f),
        None => Some(Transport::default()),
    };
    let on_call = on_call(table, f).unwrap_or(Some(OnCall::Answer(ANSWER_AFTER)));
    let early = early(table, f).unwrap_or(Some(Early::default()));
    Some(Actor::SipUa { transport: transport?, on_call: on_call?, early: early? })
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
