//! A trace told line by line: each fact in the words of scenarios, each step, each fault.

use std::collections::BTreeMap;

use reveille_conformance::player::Facts;
use reveille_scenarios::What;
use reveille_trace::{Event, Kind, Trace};

use crate::exit::Stop;

/// One line: the event's number, its time, and what it was.
pub(crate) struct Line {
    pub(crate) seq: u64,
    pub(crate) t_us: u64,
    pub(crate) text: String,
}

impl Line {
    pub(crate) fn shown(&self) -> String {
        let Self { seq, t_us, text } = self;
        let clean = text.chars().map(|c| if c.is_control() { '?' } else { c });
        let clean: String = clean.collect();
        format!("{:>6} {:>6}.{:03}  {clean}\n", seq, t_us / 1_000_000, t_us / 1_000 % 1_000)
    }
}

/// Everything that a stranger to the gateway sees happen, and what was done to it.
pub(crate) fn lines(trace: &Trace) -> Vec<Line> {
    let mut facts = Facts::default();
    let owners = owners(&trace.events);
    let outside = trace.events.iter().filter(|event| !is_target(&event.actor));
    let told = outside.filter_map(|event| {
        let text = told(event).or_else(|| {
            let mut fact = facts.read(event)?;
            if matches!(fact.what, What::PushSent | What::PushAnswered | What::PushDropped)
                && let Some(owner) = owners.get(fact.about.as_str())
            {
                owner.clone_into(&mut fact.about);
            }
            if fact.what == What::PushArrived {
                fact.about.clone_from(&fact.actor);
            }
            Some(fact.sight().to_string())
        })?;
        Some(Line { seq: event.seq, t_us: event.t_us, text })
    });
    told.collect()
}

/// The gateway, and its further nodes.
fn is_target(actor: &str) -> bool {
    actor == "gateway" || actor.starts_with("gateway-")
}

/// Whose a push token is, where a push with it arrived or its app told it.
fn owners(events: &[Event]) -> BTreeMap<&str, String> {
    let arrived = events.iter().filter(|event| event.kind == Kind::PushArrived);
    arrived.filter_map(|event| Some((event.text("token")?, event.actor.clone()))).collect()
}

/// What is no fact, and done to the play or said of it.
fn told(event: &Event) -> Option<String> {
    let text = |name: &str| event.text(name).unwrap_or_default();
    match event.kind {
        Kind::Step => {
            let words = [text("verb"), text("call"), text("on")];
            let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
            Some(format!("step {}: {}", event.int("step").unwrap_or(0) + 1, words.join(" ")))
        }
        Kind::FaultStruck => Some(format!("fault: {} on {}", text("fault"), text("on"))),
        Kind::Note => Some(format!("{} remarks: {}", event.actor, text("text"))),
        _ => None,
    }
}

/// Where the telling ends: an event by its number, or the first fact that is so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Number(u64),
    Fact { actor: String, word: String, about: Vec<String> },
}

impl Until {
    pub(crate) fn read(text: &str) -> Result<Self, Stop> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        fact(text).ok_or_else(|| {
            Stop::bad_file(format!(
                "`{text}` is no event: write its number, as `88`, or a fact in the words of scenarios, \
                 as `bob.alerted(c1)` or `alice.final(c1)`"
            ))
        })
    }

    /// True if it has come with this line. A number has come with the first line that is not before
    /// it; a fact that says less than the line is still this fact.
    pub(crate) fn is_come(&self, line: &Line) -> bool {
        let Self::Fact { actor, word, about } = self else {
            return matches!(self, Self::Number(number) if line.seq >= *number);
        };
        let Some(Self::Fact { actor: who, word: what, about: of }) = fact(&line.text) else {
            return false;
        };
        // Scenarios know one user of the registrar, and say the status alone.
        let of =
            if word == "registered" { &of[of.len().saturating_sub(about.len())..] } else { &of };
        let is_final = word == "final" && what == "received";
        let status = of.get(1).and_then(|status| status.parse().ok()).unwrap_or(0_u16);
        *actor == who
            && (*word == what || is_final && status >= 200)
            && about.len() <= of.len()
            && about.iter().zip(of).all(|(want, have)| want == have)
    }
}

/// `actor.word(about, ...)`.
fn fact(text: &str) -> Option<Until> {
    let (actor, rest) = text.trim().split_once('.')?;
    let (word, rest) = rest.split_once('(')?;
    let about = rest.strip_suffix(')')?.split(',').map(str::trim).filter(|part| !part.is_empty());
    let is_name = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !name.is_empty() && name.chars().all(fits)
    };
    let (actor, word) = (actor.trim(), word.trim());
    (is_name(actor) && is_name(word)).then(|| Until::Fact {
        actor: actor.to_owned(),
        word: word.to_owned(),
        about: about.map(ToOwned::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn come(until: &str, text: &str) -> bool {
        let until = Until::read(until).unwrap_or_else(|stop| panic!("{}", stop.text));
        until.is_come(&Line { seq: 7, t_us: 0, text: text.to_owned() })
    }

    #[test]
    fn an_event_is_named_by_its_number_or_in_the_words_of_scenarios() {
        assert!(come("bob.alerted(c1)", "bob.alerted(c1)"));
        assert!(come(" bob . alerted( c1 )", "bob.alerted(c1)"));
        assert!(come("alice.received(c1)", "alice.received(c1, 100)"));
        assert!(come("alice.received(c1,180)", "alice.received(c1, 180)"));
        assert!(come("alice.final(c1)", "alice.received(c1, 200)"));
        assert!(come("bob.state()", "bob.state(connected)"));
        assert!(come("registrar.registered(200)", "registrar.registered(bob, 200)"));
        assert!(come("registrar.registered(bob, 200)", "registrar.registered(bob, 200)"));
        assert!(!come("registrar.registered(401)", "registrar.registered(bob, 200)"));
        assert!(!come("alice.final(c1)", "alice.received(c1, 183)"));
        assert!(!come("alice.final(c2)", "alice.received(c1, 200)"));
        assert!(!come("bob.alerted(c1)", "carol.alerted(c1)"));
        assert!(!come("bob.delivered(c1)", "bob.alerted(c1)"));
        assert!(!come("bob.alerted(c1, c2)", "bob.alerted(c1)"));
        assert!(!come("bob.alerted(c1)", "world remarks: bob.alerted(c1)"));
        assert!(come("7", "anything") && come("6", "anything") && !come("8", "anything"));
    }

    #[test]
    fn what_names_no_event_is_told() {
        for text in ["", "bob", "bob.alerted", "bob.alerted(c1", "b b.alerted(c1)", "-1", ".(c1)"] {
            let told = Until::read(text).expect_err(text).text;
            assert!(told.contains("as `bob.alerted(c1)`"), "{told}");
        }
    }
}
