//! What befalls hosts, links and clocks.

use super::field::{FOREVER, Field};
use super::findings::Findings;
use super::names::{Kind, Used};
use super::verbs::{Verbs, wrong_target};
use crate::codes::Code;
use crate::scenario::Verb;
use crate::weather::Weather;
use std::time::Duration;

/// The longest that weather holds a packet up.
const LATE: (&str, &str) = ("0s", "10s");
/// A link that loses more is a partition.
const LOSS_MAX: u16 = 900;

impl Verbs<'_, '_> {
    pub(super) fn fault(
        &self,
        verb: Field<'_>,
        target: &Used<'_>,
        f: &mut Findings<'_>,
    ) -> Option<Verb> {
        match verb.key {
            "move" => self.moved(target, f).map(|who| Verb::Move { who }),
            "rebind" => self.moved(target, f).map(|who| Verb::Rebind { who }),
            "clock" => self.clock(target, f),
            "outage" => {
                let (host, lasts) = (self.names.host(target, f), self.lasts(f));
                Some(Verb::Outage { host: host?, lasts: lasts? })
            }
            "cut" => {
                let (ends, lasts) = (self.ends(verb, "->", target, f), self.lasts(f));
                let (from, to) = ends?;
                Some(Verb::Cut { from, to, lasts: lasts? })
            }
            "storm" => {
                let (ends, lasts) = (self.ends(verb, "--", target, f), self.lasts(f));
                let weather = self.weather(target, f);
                let (a, b) = ends?;
                Some(Verb::Storm { a, b, weather: weather?, lasts: lasts? })
            }
            _ => {
                let (ends, lasts) = (self.ends(verb, "--", target, f), self.lasts(f));
                let (a, b) = ends?;
                Some(Verb::Partition { a, b, lasts: lasts? })
            }
        }
    }

    /// The two different hosts of a link.
    fn ends(
        &self,
        verb: Field<'_>,
        between: &str,
        target: &Used<'_>,
        f: &mut Findings<'_>,
    ) -> Option<(String, String)> {
        let Some((a, b)) = target.name.split_once(between).filter(|(a, b)| a != b) else {
            wrong_target(verb.key, target, f);
            return None;
        };
        let end = |name: &str, at: usize, f: &mut Findings<'_>| {
            let span = verb.inside(&(at..at + name.len()), f.text);
            self.names.host(&Used { name, span }, f)
        };
        let (a, b) = (end(a, 0, f), end(b, a.len() + between.len(), f));
        Some((a?, b?))
    }

    fn lasts(&self, f: &mut Findings<'_>) -> Option<Duration> {
        let lasts = self.step.needed("lasts", "lasts = \"3s\"", f)?;
        lasts.duration(("1ms", FOREVER), f)
    }

    /// An actor: the hosts that are always there do not go anywhere.
    fn moved(&self, who: &Used<'_>, f: &mut Findings<'_>) -> Option<String> {
        (self.names.actor(who, &[], f) != Kind::Unclear).then(|| who.name.to_owned())
    }

    fn clock(&self, target: &Used<'_>, f: &mut Findings<'_>) -> Option<Verb> {
        let host = self.names.host(target, f);
        let by = self.step.needed("by", "by = \"-30s\"", f);
        let by_ms = by.and_then(|field| field.shift(f));
        Some(Verb::Clock { host: host?, by_ms: by_ms? })
    }

    /// What a storm does: at least one thing.
    fn weather(&self, target: &Used<'_>, f: &mut Findings<'_>) -> Option<Weather> {
        let late = |key, f: &mut Findings<'_>| match self.step.field(key) {
            Some(field) => field.duration(LATE, f),
            None => Some(Duration::ZERO),
        };
        let share = |key, most, f: &mut Findings<'_>| match self.step.field(key) {
            Some(field) => field.share(most, f),
            None => Some(0),
        };
        let (delay, jitter) = (late("delay", f), late("jitter", f));
        let (loss, duplicate) = (share("loss", LOSS_MAX, f), share("duplicate", 1_000, f));
        let reorder = share("reorder", 1_000, f);
        let bandwidth = match self.step.field("bandwidth") {
            Some(field) => field.bandwidth(f).map(Some),
            None => Some(None),
        };
        let weather = Weather {
            delay: delay?,
            jitter: jitter?,
            loss: loss?,
            duplicate: duplicate?,
            reorder: reorder?,
            bandwidth: bandwidth?,
        };
        if weather == Weather::default() {
            let problem = crate::problem::Problem::new(
                Code::MissingKey,
                target.span.clone(),
                "this storm does nothing to packets",
            );
            let help = "add one of `delay = \"200ms\"`, `jitter = \"50ms\"`, `loss = \"10%\"`, \
                        `duplicate = \"5%\"`, `reorder = \"5%\"` and `bandwidth = \"32kbit/s\"`";
            f.absent(problem.label("fair weather").help(help));
            return None;
        }
        Some(weather)
    }
}
