//! The links between machines: how long a packet takes, and what befalls it on the way.

use std::collections::BTreeMap;

use reveille_scenarios::Weather;

use super::chance::Chance;

/// Time within one machine, in microseconds.
const WITHIN_US: u64 = 30;
/// Bytes that wait before a narrow link; a datagram that comes on top is lost.
const QUEUE: u64 = 64 * 1024;

/// Something that is wrong with links for a while.
pub(super) struct Trouble {
    /// The name and place under which it is told when it bites.
    pub(super) fault: &'static str,
    pub(super) on: String,
    /// From the first to the second; a storm and a partition also the other way. One machine twice:
    /// all its links.
    pub(super) between: (usize, usize),
    pub(super) both_ways: bool,
    pub(super) from_us: u64,
    pub(super) until_us: u64,
    /// Absent: nothing passes.
    pub(super) weather: Option<Weather>,
    pub(super) bit: bool,
}

impl Trouble {
    const fn is_of(&self, from: usize, to: usize) -> bool {
        let (a, b) = self.between;
        if a == b {
            return from != to && (from == a || to == a);
        }
        (a == from && b == to) || (self.both_ways && a == to && b == from)
    }
}

/// What becomes of one datagram: how long each copy takes, in microseconds. None: it is lost.
pub(super) struct Fate {
    pub(super) copies: Vec<u64>,
}

pub(super) struct Links {
    latency_us: (u64, u64),
    chance: Chance,
    troubles: Vec<Trouble>,
    /// Until when a narrow link is busy, by direction.
    busy: BTreeMap<(usize, usize), u64>,
    /// When the last datagram of a direction arrives: only a storm lets a later one overtake it.
    last: BTreeMap<(usize, usize), u64>,
    /// Troubles that have bitten and are not told yet.
    pub(super) bites: Vec<(&'static str, String)>,
}

impl Links {
    pub(super) const fn new(latency_us: (u64, u64), chance: Chance) -> Self {
        Self {
            latency_us,
            chance,
            troubles: Vec::new(),
            busy: BTreeMap::new(),
            last: BTreeMap::new(),
            bites: Vec::new(),
        }
    }

    pub(super) fn trouble(&mut self, trouble: Trouble) {
        self.troubles.push(trouble);
    }

    /// The time of a message on an undisturbed link: mostly near the least, sometimes near the most.
    pub(super) fn latency_us(&mut self, from: usize, to: usize) -> u64 {
        if from == to {
            return WITHIN_US;
        }
        let (least, most) = self.latency_us;
        let drawn = self.chance.below(1 << 16);
        let square = (drawn * drawn) >> 16;
        let fourth = (square * square) >> 16;
        least + ((most.saturating_sub(least) * fourth) >> 16)
    }

    /// The time of a segment, whether it is lost or not.
    pub(super) fn takes_us(&mut self, from: usize, to: usize, bytes: usize, now: u64) -> u64 {
        let mut takes = self.latency_us(from, to);
        for at in 0..self.troubles.len() {
            if let Some(weather) = self.weather(at, from, to, now) {
                takes += self.slowed(at, weather, (from, to), bytes, now);
            }
        }
        takes
    }

    /// What the weather of a trouble adds to a packet's time.
    fn slowed(
        &mut self,
        at: usize,
        weather: Weather,
        way: (usize, usize),
        bytes: usize,
        now: u64,
    ) -> u64 {
        let us = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut more = us(weather.delay) + self.chance.below(us(weather.jitter).saturating_add(1));
        if let Some(bandwidth) = weather.bandwidth.filter(|bandwidth| *bandwidth > 0) {
            let busy = self.busy.entry(way).or_insert(now);
            *busy = (*busy).max(now) + (bytes as u64).saturating_mul(8_000_000) / bandwidth;
            more += *busy - now;
        }
        if more > 0 {
            self.bite(at);
        }
        more
    }

    fn weather(&self, at: usize, from: usize, to: usize, now: u64) -> Option<Weather> {
        let trouble = &self.troubles[at];
        let now_is_in = (trouble.from_us..trouble.until_us).contains(&now);
        trouble.weather.filter(|_| now_is_in && trouble.is_of(from, to))
    }

    /// True if a packet sent at `sent` met a cut before `now`.
    pub(super) fn cuts(&mut self, from: usize, to: usize, sent: u64, now: u64) -> bool {
        let met = |trouble: &Trouble| {
            let (began, ended) = (trouble.from_us <= now, trouble.until_us <= sent);
            trouble.weather.is_none() && trouble.is_of(from, to) && began && !ended
        };
        let Some(at) = self.troubles.iter().position(met) else { return false };
        self.bite(at);
        true
    }

    /// True if a segment that was sent at `sent` is not there at `now`.
    pub(super) fn loses(&mut self, from: usize, to: usize, sent: u64, now: u64) -> bool {
        self.cuts(from, to, sent, now) || self.drowns(from, to, sent)
    }

    fn drowns(&mut self, from: usize, to: usize, now: u64) -> bool {
        for at in 0..self.troubles.len() {
            let Some(weather) = self.weather(at, from, to, now) else { continue };
            if self.chance.below(1_000) < u64::from(weather.loss) {
                self.bite(at);
                return true;
            }
        }
        false
    }

    /// What becomes of a datagram.
    pub(super) fn fate(&mut self, from: usize, to: usize, bytes: usize, now: u64) -> Fate {
        let mut fate = Fate { copies: vec![self.latency_us(from, to)] };
        let mut overtaken = false;
        if self.drowns(from, to, now) {
            fate.copies.clear();
            return fate;
        }
        for at in 0..self.troubles.len() {
            let Some(weather) = self.weather(at, from, to, now) else { continue };
            let backlog = self.busy.get(&(from, to)).map_or(0, |busy| busy.saturating_sub(now));
            let waits =
                weather.bandwidth.map_or(0, |rate| backlog.saturating_mul(rate) / 8_000_000);
            if waits > QUEUE {
                self.bite(at);
                fate.copies.clear();
                return fate;
            }
            let more = self.slowed(at, weather, (from, to), bytes, now);
            fate.copies.iter_mut().for_each(|takes| *takes += more);
            if self.chance.below(1_000) < u64::from(weather.reorder) {
                self.bite(at);
                overtaken = true;
                let later = 3 * self.latency_us.1;
                fate.copies.iter_mut().for_each(|takes| *takes += later);
            }
            if self.chance.below(1_000) < u64::from(weather.duplicate) {
                self.bite(at);
                let again = fate.copies[0] + self.latency_us(from, to);
                fate.copies.push(again);
            }
        }
        if !overtaken {
            let last = self.last.entry((from, to)).or_insert(0);
            fate.copies[0] = fate.copies[0].max(last.saturating_sub(now));
            *last = now + fate.copies[0];
        }
        fate
    }

    fn bite(&mut self, at: usize) {
        let trouble = &mut self.troubles[at];
        if !std::mem::replace(&mut trouble.bit, true) {
            self.bites.push((trouble.fault, trouble.on.clone()));
        }
    }

    /// Forgets what is over, so that what passes later need not look at it.
    pub(super) fn forget(&mut self, now: u64) {
        // A packet that is long under way may still have met it.
        const LONG_US: u64 = 10_000_000;
        self.troubles.retain(|trouble| trouble.until_us.saturating_add(LONG_US) > now);
    }
}
