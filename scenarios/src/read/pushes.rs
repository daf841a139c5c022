//! Verbs on a push service: what becomes of the next requests to it.

use std::time::Duration;

use super::field::{FOREVER, Field};
use super::findings::Findings;
use super::names::Used;
use super::verbs::{Verbs, wrong_target};
use crate::codes::Code;
use crate::problem::Problem;
use crate::scenario::{Break, PushFate, Verb};
use crate::service::{DATED, Service};
use crate::words::quoted;

const REQUESTS_MAX: u32 = 10_000;

const BREAKS: [(&str, Break); 4] = [
    ("page", Break::Page),
    ("endless", Break::Endless),
    ("goaway", Break::GoAway),
    ("refused-stream", Break::RefusedStream),
];

/// The service of a target such as `push.apns`.
fn service(target: &str) -> Option<Service> {
    let name = target.strip_prefix("push.")?;
    Service::ALL.into_iter().find(|service| service.name() == name)
}

impl Verbs<'_, '_> {
    pub(super) fn push(&self, verb: &str, target: &Used<'_>, f: &mut Findings<'_>) -> Option<Verb> {
        // The token endpoint gives bearers, and delivers nothing that could be late or lost.
        let service = service(target.name).filter(|of| *of != Service::OAuth || verb == "refuse");
        match service {
            Some(service) => self.used(service, target, f),
            None => wrong_target(verb, target, f),
        }
        let fate = match verb {
            "drop" => self.dropped(f),
            "refuse" => self.refused(service, target, f),
            "duplicate" => Some(PushFate::Duplicated),
            "break" => {
                let how = self.step.needed("how", "how = \"page\"", f);
                how.and_then(|how| how.word(&BREAKS, f)).map(PushFate::Broken)
            }
            _ => {
                let by = self.step.needed("by", "by = \"3s\"", f);
                by.and_then(|by| by.duration(("0s", FOREVER), f)).map(PushFate::Delayed)
            }
        };
        let times = match self.step.field("times") {
            Some(field) => field.number(1..=REQUESTS_MAX, f),
            None => Some(1),
        };
        Some(Verb::Push { service: service?, fate: fate?, times: times? })
    }

    /// A fault at a service that wakes no phone of the file would never strike.
    fn used(&self, service: Service, target: &Used<'_>, f: &mut Findings<'_>) {
        let of = if service == Service::OAuth { Service::Fcm } else { service };
        if !self.names.actors_whole || self.names.services.contains(&of) {
            return;
        }
        let message = format!("no phone is woken by `{}`", of.name());
        let problem = Problem::new(Code::IdleService, target.span.clone(), message);
        let example = format!("bob = {{ kind = \"phone\", push = \"{}\" }}", of.name());
        f.push(problem.label("nobody asks it for anything").help(format!(
            "give a phone this service, as in `{example}`, or name the service that a phone has"
        )));
    }

    fn dropped(&self, f: &mut Findings<'_>) -> Option<PushFate> {
        let words =
            [("delivery", PushFate::DeliveryDropped), ("request", PushFate::RequestDropped)];
        match self.step.field("what") {
            Some(field) => field.word(&words, f),
            None => Some(PushFate::DeliveryDropped),
        }
    }

    /// A refusal by status, or by the name that the service's documents have for it.
    fn refused(
        &self,
        service: Option<Service>,
        target: &Used<'_>,
        f: &mut Findings<'_>,
    ) -> Option<PushFate> {
        let retry_after = match self.step.field("retry-after") {
            Some(field) => whole_seconds(field, f).map(Some),
            None => Some(None),
        };
        let reasons = service.map(Service::reasons).unwrap_or_default();
        if service.is_some() && reasons.is_empty() {
            self.none_of(&["reason", "age"], target, f);
        }
        let (status, reason) = (self.step.field("status"), self.step.field("reason"));
        if let (Some(first), Some(second)) = (status, reason) {
            let message = format!("this step has both `{}` and `{}`", first.key, second.key);
            let problem = second.problem(Code::OneAnswer, message).label("which of them?");
            f.push(problem.help("keep one: a documented reason has its status"));
        }
        let Some(reason) = reason.filter(|_| !reasons.is_empty()) else {
            self.none_of(&["age"], target, f);
            let status = self.step.needed("status", "status = 410", f);
            let status = status.and_then(|status| status.status(300..=599, f));
            return Some(PushFate::Refused { status: status?, retry_after: retry_after? });
        };
        let words: Vec<_> = reasons.iter().map(|reason| (*reason, *reason)).collect();
        let reason = reason.word(&words, f);
        let age = self.age(reason, f);
        Some(PushFate::Answered { reason: reason?, retry_after: retry_after?, age: age? })
    }

    /// How long the token has been dead.
    fn age(&self, reason: Option<&str>, f: &mut Findings<'_>) -> Option<Duration> {
        let Some(age) = self.step.field("age") else { return Some(Duration::ZERO) };
        if reason.is_some_and(|reason| !DATED.contains(&reason)) {
            let message = format!("{} tells no age", quoted(reason.unwrap_or_default()));
            let problem = age.problem(Code::UnknownKey, message).label("not here");
            f.push(problem.help("leave `age` out: `Unregistered` and `ExpiredToken` have one"));
        }
        whole_seconds(age, f)
    }
}

fn whole_seconds(field: Field<'_>, f: &mut Findings<'_>) -> Option<Duration> {
    let time = field.duration(("0s", "24h"), f)?;
    if time.subsec_nanos() == 0 {
        return Some(time);
    }
    let message = format!("`{}` is told in whole seconds", field.key);
    let problem = field.problem(Code::OutOfRange, message).label("a part of a second");
    f.push(problem.help(format!("write `{} = \"{}s\"`", field.key, time.as_secs() + 1)));
    None
}
