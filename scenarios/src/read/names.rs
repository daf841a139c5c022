//! Who and what the names of a file stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::findings::Findings;
use crate::codes::Code;
use crate::device::Os;
use crate::problem::Problem;
use crate::service::Service;
use crate::words::{nearest, quoted, suggest};

/// The hosts that are always there.
pub(super) const HOSTS: [&str; 3] = ["gateway", "registrar", "push"];

/// Names that no actor can have.
const RESERVED: [&str; 5] = ["gateway", "registrar", "push", "world", "director"];

const NAME_MAX: usize = 32;

/// What an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Phone,
    Caller,
    /// It is named, but badly described.
    Unclear,
}

/// A name where it is used.
#[derive(Debug, Clone)]
pub(super) struct Used<'t> {
    pub(super) name: &'t str,
    pub(super) span: Range<usize>,
}

/// Which step places a call; one without number is known, but comes after no step.
pub(super) type Calls<'t> = BTreeMap<&'t str, usize>;

/// The actors and calls of a file.
pub(super) struct Names<'t> {
    pub(super) actors: BTreeMap<&'t str, Kind>,
    /// How many nodes the gateway has.
    pub(super) nodes: u32,
    /// The push services that wake its phones.
    pub(super) services: BTreeSet<Service>,
    /// The operating system of each phone that is well described, if it has one.
    pub(super) systems: BTreeMap<&'t str, Option<Os>>,
    pub(super) calls: Calls<'t>,
    /// Those of them that are messages.
    pub(super) messages: BTreeSet<&'t str>,
    /// Between whom each call is.
    pub(super) parties: BTreeMap<&'t str, [&'t str; 2]>,
    /// Whether all actors can be known; else no name is called unknown.
    pub(super) actors_whole: bool,
    /// Whether all calls can be known.
    pub(super) calls_whole: bool,
}

impl Names<'_> {
    /// What kind of actor a name stands for; `also` are names that would do here too.
    pub(super) fn actor(&self, used: &Used<'_>, also: &[&str], f: &mut Findings<'_>) -> Kind {
        if let Some(kind) = self.actors.get(used.name) {
            return *kind;
        }
        if self.actors_whole {
            let known: Vec<_> = self.actors.keys().copied().chain(also.iter().copied()).collect();
            let there_is = if also.is_empty() { "the actors are" } else { "there are" };
            let message = format!("no actor is named {}", quoted(used.name));
            let problem = Problem::new(Code::UnknownActor, used.span.clone(), message);
            f.push(problem.label("unknown actor").help(suggest(used.name, &known, there_is)));
        }
        Kind::Unclear
    }

    pub(super) fn phone(&self, used: &Used<'_>, f: &mut Findings<'_>) -> Option<String> {
        self.of_kind(used, Kind::Phone, f)
    }

    pub(super) fn caller(&self, used: &Used<'_>, f: &mut Findings<'_>) -> Option<String> {
        self.of_kind(used, Kind::Caller, f)
    }

    fn of_kind(&self, used: &Used<'_>, wanted: Kind, f: &mut Findings<'_>) -> Option<String> {
        let found = self.actor(used, &[], f);
        if found == Kind::Unclear || found == wanted {
            return (found == wanted).then(|| used.name.to_owned());
        }
        let (a, b) = match wanted {
            Kind::Phone => ("a sip-ua", "phone"),
            _ => ("a phone", "sip-ua"),
        };
        let right: Vec<_> =
            self.actors.iter().filter(|(_, k)| **k == wanted).map(|(name, _)| *name).collect();
        let message = format!("{} is {a}, and this place needs a {b}", quoted(used.name));
        let problem = Problem::new(Code::WrongActor, used.span.clone(), message);
        let help = match right.is_empty() {
            true => format!("the file has no {b}"),
            false => suggest(used.name, &right, &format!("each {b} of the file:")),
        };
        f.push(problem.label(format!("no {b}")).help(help));
        None
    }

    pub(super) fn host(&self, used: &Used<'_>, f: &mut Findings<'_>) -> Option<String> {
        let others: Vec<_> = (2..=self.nodes).map(|node| format!("gateway-{node}")).collect();
        let others: Vec<_> = others.iter().map(String::as_str).collect();
        let known = |name| HOSTS.contains(&name) || self.actors.contains_key(name);
        if known(used.name) || others.contains(&used.name) {
            return Some(used.name.to_owned());
        }
        if self.actors_whole {
            let hosts = HOSTS.into_iter().chain(others).chain(self.actors.keys().copied());
            let hosts: Vec<_> = hosts.collect();
            let message = format!("no host is named {}", quoted(used.name));
            let problem = Problem::new(Code::UnknownHost, used.span.clone(), message);
            f.push(problem.label("unknown host").help(suggest(used.name, &hosts, "the hosts are")));
        }
        None
    }

    /// A call that a step before this one places; an expectation comes after all steps.
    pub(super) fn call(&self, used: &Used<'_>, at: usize, f: &mut Findings<'_>) -> Option<String> {
        let placed = self.calls.get(used.name);
        if placed.is_some_and(|step| *step < at) {
            return Some(used.name.to_owned());
        }
        let name = quoted(used.name);
        let problem = |m: String| Problem::new(Code::UnknownCall, used.span.clone(), m);
        if placed.is_some() {
            let problem = problem(format!("call {name} is placed by no earlier step"));
            f.push(
                problem.label("not placed yet").help("put this step after the one that places it"),
            );
        } else if self.calls_whole {
            let known: Vec<_> = self.calls.keys().copied().collect();
            let help = match known.is_empty() {
                true => "place it in an earlier step: `{ call = \"c1\", from = …, to = … }`".into(),
                false => suggest(used.name, &known, "the calls placed are"),
            };
            f.push(
                problem(format!("no step places a call {name}")).label("unknown call").help(help),
            );
        }
        None
    }

    /// A call's mark or an actor.
    pub(super) fn call_or_actor(
        &self,
        used: &Used<'_>,
        at: usize,
        f: &mut Findings<'_>,
    ) -> Option<String> {
        let calls = self.calls.keys().copied();
        let likely_actor = nearest(used.name, self.actors.keys().copied().chain(calls))
            .is_some_and(|likely| self.actors.contains_key(likely));
        if likely_actor && !self.calls.contains_key(used.name) {
            let known = self.actor(used, &[], f) != Kind::Unclear;
            return known.then(|| used.name.to_owned());
        }
        self.call(used, at, f)
    }
}

/// Whether this can name an actor; says why not.
pub(super) fn actor_name(used: &Used<'_>, f: &mut Findings<'_>) {
    if RESERVED.contains(&used.name) || used.name.starts_with("gateway-") {
        let message = format!("no actor can be named {}", quoted(used.name));
        let problem = Problem::new(Code::ReservedName, used.span.clone(), message);
        f.push(problem.label("reserved").help("give the actor another name, such as `bob`"));
    }
    well_formed(used, "an actor", "desk-phone", f);
}

/// Whether this can mark a call; says why not.
pub(super) fn call_mark(used: &Used<'_>, actors: &BTreeMap<&str, Kind>, f: &mut Findings<'_>) {
    if actors.contains_key(used.name) {
        let message = format!("{} is an actor, and cannot mark a call too", quoted(used.name));
        let problem = Problem::new(Code::BadName, used.span.clone(), message);
        f.push(problem.label("an actor's name").help("give the call a mark of its own: `c1`"));
    }
    well_formed(used, "a call", "c1", f);
}

fn well_formed(used: &Used<'_>, what: &str, example: &str, f: &mut Findings<'_>) {
    let name = used.name;
    let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_MAX {
        "it is longer than 32 bytes"
    } else if !name.bytes().all(sound) {
        "it has more than lower-case letters, digits and hyphens"
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        "it does not begin with a letter"
    } else if name.ends_with('-') || name.contains("--") {
        "its hyphens do not stand alone between letters and digits"
    } else {
        return;
    };
    let message = format!("{} cannot name {what}: {reason}", quoted(name));
    let problem = Problem::new(Code::BadName, used.span.clone(), message).label("not a name");
    f.push(problem.help(format!("write a name such as `{example}`")));
}
