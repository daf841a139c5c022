//! What befalls hosts, links and clocks, and where hosts stand.

use std::time::Duration;

use reveille_scenarios::{Place, Verb, Weather};

use crate::made::Dice;

pub(crate) fn fault(dice: &mut Dice<'_>, host: String, who: String) -> Verb {
    let lasts = dice.time() + Duration::from_millis(1);
    match dice.below(7) {
        0 => Verb::Partition { a: host, b: "push".to_owned(), lasts },
        1 => Verb::Cut { from: host, to: "push".to_owned(), lasts },
        2 => Verb::Storm { a: host, b: "push".to_owned(), weather: weather(dice), lasts },
        3 => Verb::Outage { host, lasts },
        4 => Verb::Move { who },
        5 => Verb::Rebind { who },
        _ => Verb::Clock { host, by_ms: shift(dice) },
    }
}

fn weather(dice: &mut Dice<'_>) -> Weather {
    Weather {
        delay: dice.seconds(0, 10),
        jitter: Duration::from_millis(dice.below(10_000).into()),
        loss: 1 + dice.small(900),
        duplicate: dice.small(1_001),
        reorder: dice.small(1_001),
        bandwidth: dice.maybe(|dice| dice.one(&[1_000, 32_000, 2_000_000, 9_601, 1_000_000_000])),
    }
}

fn shift(dice: &mut Dice<'_>) -> i64 {
    let ms = i64::from(1 + dice.below(86_400_000));
    if dice.yes() { -ms } else { ms }
}

pub(crate) fn place(dice: &mut Dice<'_>) -> Place {
    let nat = Some(dice.seconds(1, 3_600));
    Place { ahead_ms: if dice.yes() { shift(dice) } else { 0 }, nat }
}

pub(crate) fn of_the_gateway(dice: &mut Dice<'_>) -> Place {
    Place { ahead_ms: shift(dice), nat: None }
}
