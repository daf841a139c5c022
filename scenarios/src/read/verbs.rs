//! Verbs and their arguments, as [`Verb`] documents them.

use std::time::Duration;

use super::devices;
use super::field::{FOREVER, Field, Table};
use super::findings::Findings;
use super::names::{Names, Used};
use super::settings::DOWN;
use crate::codes::Code;
use crate::problem::Problem;
use crate::scenario::Verb;
use crate::words::quoted;

/// Each verb and the arguments that it can have.
pub(super) const VERBS: [(&str, &[&str]); 37] = [
    ("sleep", &["close-code"]),
    ("resume", &[]),
    ("call", &["from", "to", "hang-up-after", "lost-answers", "offer", "in-dialog"]),
    ("cancel", &["by"]),
    ("hangup", &["by"]),
    ("retransmit", &[]),
    ("message", &["from", "to", "content", "priority", "expires"]),
    ("subscribe", &["to"]),
    ("notify", &["by", "messages", "state"]),
    ("renegotiate", &["by", "method", "cseq"]),
    ("info", &["by"]),
    ("set", &["pushes", "answer-after", "decline", "ring", "early", "node"]),
    ("drop", &["what", "times"]),
    ("refuse", &["status", "reason", "retry-after", "age", "times"]),
    ("duplicate", &["times"]),
    ("delay", &["by", "times"]),
    ("break", &["how", "times"]),
    ("crash", &["down"]),
    ("power-loss", &["down"]),
    ("restart", &["down"]),
    ("partition", &["lasts"]),
    ("cut", &["lasts"]),
    ("storm", &["lasts", "delay", "jitter", "loss", "duplicate", "reorder", "bandwidth"]),
    ("outage", &["lasts"]),
    ("move", &[]),
    ("rebind", &[]),
    ("clock", &["by"]),
    ("background", &[]),
    ("foreground", &[]),
    ("force-stop", &[]),
    ("lock", &[]),
    ("unlock", &[]),
    ("airplane", &["lasts"]),
    ("doze", &["depth", "lasts"]),
    ("low-power", &[]),
    ("misbehave", &["how", "times"]),
    ("note", &[]),
];

const LOST_MAX: u32 = 100;
const NOTE_MAX: usize = 1_000;

/// Reads the verb of one step.
pub(super) struct Verbs<'s, 't> {
    pub(super) names: &'s Names<'t>,
    pub(super) at: usize,
    pub(super) step: &'s Table<'t>,
}

impl Verbs<'_, '_> {
    pub(super) fn read(&self, verb: Field<'_>, f: &mut Findings<'_>) -> Option<Verb> {
        let Some(text) = verb.string(example(verb.key), f) else {
            // What else is wrong with the step is found nevertheless.
            self.call(None, f);
            return None;
        };
        let used = Used { name: text, span: verb.span() };
        match verb.key {
            "sleep" => self.sleep(&used, f),
            "resume" => self.names.phone(&used, f).map(|phone| Verb::Resume { phone }),
            "call" => self.call(Some(text), f),
            "cancel" | "hangup" | "retransmit" | "renegotiate" | "info" => {
                self.within(verb.key, &used, f)
            }
            "message" => self.message(text, f),
            "subscribe" => self.subscribe(&used, f),
            "notify" => self.notify(&used, f),
            "set" => self.set(&used, f),
            "drop" => self.drop(&used, f),
            "refuse" | "duplicate" | "delay" | "break" => self.push(verb.key, &used, f),
            "crash" => self.crash(&used, f),
            "power-loss" => {
                let (host, down) = (self.names.host(&used, f), self.down(f));
                Some(Verb::PowerLoss { host: host?, down: down? })
            }
            "restart" => {
                let (host, down) = (self.names.host(&used, f), self.down(f));
                Some(Verb::Restart { host: host?, down: down? })
            }
            "partition" | "cut" | "storm" | "outage" | "move" | "rebind" | "clock" => {
                self.fault(verb, &used, f)
            }
            "note" => note(verb, text, f),
            _ => self.device(verb, &used, f),
        }
    }

    fn sleep(&self, who: &Used<'_>, f: &mut Findings<'_>) -> Option<Verb> {
        let phone = self.names.phone(who, f);
        let by_close = match self.step.field("close-code") {
            Some(code) => code.number(4001..=4001, f).map(|_| true),
            None => Some(false),
        };
        Some(Verb::Sleep { phone: phone?, by_close: by_close? })
    }

    pub(super) fn call(&self, mark: Option<&str>, f: &mut Findings<'_>) -> Option<Verb> {
        if mark.is_none() && self.step.field("call").is_none() {
            return None;
        }
        let (from, to) = self.both_parties(&["lost-answers", "offer", "in-dialog"], f);
        let hang_up_after = match self.step.field("hang-up-after") {
            Some(field) => field.duration(("0s", FOREVER), f).map(Some),
            None => Some(None),
        };
        let lost_answers = match self.step.field("lost-answers") {
            Some(field) => field.number(0..=LOST_MAX, f),
            None => Some(0),
        };
        let late_offer = match self.step.field("offer") {
            Some(field) => field.word(&[("late", true)], f),
            None => Some(false),
        };
        let to_request_uri = match self.step.field("in-dialog") {
            Some(field) => field.word(&[("request-uri", true)], f),
            None => Some(false),
        };
        Some(Verb::Call {
            mark: mark?.to_owned(),
            from: from?,
            to: to?,
            hang_up_after: hang_up_after?,
            lost_answers: lost_answers?,
            late_offer: late_offer?,
            to_request_uri: to_request_uri?,
        })
    }

    fn drop(&self, target: &Used<'_>, f: &mut Findings<'_>) -> Option<Verb> {
        if let Some(phone) = part_of(target, ".websocket") {
            self.none_of(&["what", "times"], target, f);
            return self.names.phone(&phone, f).map(|phone| Verb::DropWebSocket { phone });
        }
        self.push("drop", target, f)
    }

    fn crash(&self, target: &Used<'_>, f: &mut Findings<'_>) -> Option<Verb> {
        if let Some(phone) = part_of(target, ".app") {
            self.none_of(&["down"], target, f);
            return self.names.phone(&phone, f).map(|phone| Verb::KillApp { phone });
        }
        let down = self.down(f);
        if target.name.contains('.') {
            wrong_target("crash", target, f);
            return None;
        }
        Some(Verb::Crash { host: self.names.host(target, f)?, down: down? })
    }

    fn down(&self, f: &mut Findings<'_>) -> Option<Duration> {
        match self.step.field("down") {
            Some(field) => field.duration(("0s", FOREVER), f),
            None => Some(DOWN),
        }
    }

    /// Finds arguments that the verb has, but not with this target.
    pub(super) fn none_of(&self, keys: &[&str], target: &Used<'_>, f: &mut Findings<'_>) {
        for stray in keys.iter().filter_map(|key| self.step.field(key)) {
            let message = format!("`{}` does not go with {}", stray.key, quoted(target.name));
            let problem = stray.problem(Code::UnknownKey, message).label("not here");
            f.push(problem.help(format!("leave `{}` out", stray.key)));
        }
    }
}

/// `bob.app` without its end is a phone.
fn part_of<'t>(target: &Used<'t>, end: &str) -> Option<Used<'t>> {
    let name = target.name.strip_suffix(end)?;
    Some(Used { name, span: target.span.clone() })
}

pub(super) fn wrong_target(verb: &str, target: &Used<'_>, f: &mut Findings<'_>) {
    let forms = match verb {
        "drop" => {
            "`push.webhook`, `push.apns`, `push.fcm`, `push.webpush` or a phone's `bob.websocket`"
        }
        "crash" => "a phone's `bob.app`, or a host such as `gateway`",
        "partition" | "storm" => {
            "two different hosts with `--` between them, as in `gateway--push`"
        }
        "cut" => "two different hosts with `->` between them, as in `bob->gateway`",
        "refuse" => "`push.webhook`, `push.apns`, `push.fcm`, `push.oauth` or `push.webpush`",
        _ => "`push.webhook`, `push.apns`, `push.fcm` or `push.webpush`",
    };
    let message = format!("`{verb}` cannot be done to {}", quoted(target.name));
    let problem = Problem::new(Code::WrongTarget, target.span.clone(), message);
    f.push(problem.label("not this").help(format!("`{verb}` takes {forms}")));
}

fn note(field: Field<'_>, text: &str, f: &mut Findings<'_>) -> Option<Verb> {
    let length = text.chars().count();
    if length == 0 || length > NOTE_MAX {
        let message = format!("a note has 1 to 1,000 characters, and this one has {length}");
        let problem = field.problem(Code::OutOfRange, message).label("out of range");
        f.push(problem.help("write a short remark, as in `note = \"the second call\"`"));
        return None;
    }
    Some(Verb::Note { text: text.to_owned() })
}

fn example(verb: &str) -> &'static str {
    match verb {
        "sleep" => "sleep = \"bob\"",
        "resume" => "resume = \"bob\"",
        "call" => "call = \"c1\"",
        "cancel" => "cancel = \"c1\"",
        "hangup" => "hangup = \"c1\"",
        "retransmit" => "retransmit = \"c1\"",
        "message" => "message = \"m1\"",
        "subscribe" => "subscribe = \"bob\"",
        "notify" => "notify = \"bob\"",
        "renegotiate" => "renegotiate = \"c1\"",
        "info" => "info = \"c1\"",
        "set" => "set = \"bob\"",
        "drop" => "drop = \"bob.websocket\"",
        "refuse" => "refuse = \"push.webhook\"",
        "duplicate" => "duplicate = \"push.webhook\"",
        "delay" => "delay = \"push.webhook\"",
        "break" => "break = \"push.apns\"",
        "crash" => "crash = \"gateway\"",
        "power-loss" => "power-loss = \"gateway\"",
        "restart" => "restart = \"gateway\"",
        "partition" => "partition = \"gateway--push\"",
        "cut" => "cut = \"bob->gateway\"",
        "storm" => "storm = \"bob--gateway\"",
        "outage" => "outage = \"bob\"",
        "move" => "move = \"bob\"",
        "rebind" => "rebind = \"bob\"",
        "clock" => "clock = \"gateway\"",
        _ => devices::example(verb).unwrap_or("note = \"the second call\""),
    }
}
