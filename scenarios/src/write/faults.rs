use std::time::Duration;

use super::line::Line;
use crate::duration::shown;
use crate::scenario::{Place, Verb};
use crate::weather::Weather;

/// What befalls hosts, links and clocks; nothing for another verb.
pub(super) fn fault(line: &mut Line, verb: &Verb) {
    match verb {
        Verb::Partition { a, b, lasts } => lasting(line, "partition", &format!("{a}--{b}"), *lasts),
        Verb::Cut { from, to, lasts } => lasting(line, "cut", &format!("{from}->{to}"), *lasts),
        Verb::Storm { a, b, weather: blows, lasts } => {
            lasting(line, "storm", &format!("{a}--{b}"), *lasts);
            weather(line, blows);
        }
        Verb::Outage { host, lasts } => lasting(line, "outage", host, *lasts),
        Verb::Move { who } => line.word("move", who),
        Verb::Rebind { who } => line.word("rebind", who),
        Verb::Clock { host, by_ms } => {
            line.word("clock", host);
            line.word("by", &shift(*by_ms));
        }
        _ => {}
    }
}

fn lasting(line: &mut Line, verb: &str, on: &str, lasts: Duration) {
    line.word(verb, on);
    line.time("lasts", lasts);
}

fn weather(line: &mut Line, weather: &Weather) {
    let Weather { delay, jitter, loss, duplicate, reorder, bandwidth } = weather;
    line.time_unless("delay", *delay, Duration::ZERO);
    line.time_unless("jitter", *jitter, Duration::ZERO);
    for (key, share) in [("loss", loss), ("duplicate", duplicate), ("reorder", reorder)] {
        line.word_if(key, (*share > 0).then(|| percent(*share)).as_deref());
    }
    line.word_if("bandwidth", bandwidth.map(rate).as_deref());
}

/// Thousandths as a percentage.
fn percent(share: u16) -> String {
    match share % 10 {
        0 => format!("{}%", share / 10),
        tenth => format!("{}.{tenth}%", share / 10),
    }
}

fn rate(bits: u64) -> String {
    let units = [("Mbit/s", 1_000_000), ("kbit/s", 1_000), ("bit/s", 1)];
    let unit = units.into_iter().find(|(_, unit)| bits.is_multiple_of(*unit));
    unit.map_or_else(String::new, |(name, unit)| format!("{}{name}", bits / unit))
}

/// How far a clock is set, with its sign.
pub(super) fn shift(by_ms: i64) -> String {
    let sign = if by_ms < 0 { '-' } else { '+' };
    format!("{sign}{}", shown(Duration::from_millis(by_ms.unsigned_abs())))
}

/// Where an actor stands.
pub(super) fn place(line: &mut Line, place: Place) {
    let Place { ahead_ms, nat } = place;
    line.word_if("clock", (ahead_ms != 0).then(|| shift(ahead_ms)).as_deref());
    line.time_if("nat", nat);
}
