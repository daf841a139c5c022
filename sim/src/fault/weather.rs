//! What bad weather on a link does to each packet, in turmoil. Pure: a seed gives the same answers.
//! Express knows connections of its own, and draws beside them (`express/links.rs`).
//!
//! A datagram takes the same number of draws whatever becomes of it: with one figure of the weather
//! turned off, the others strike the same packets.

use std::time::Duration;

use reveille_scenarios::Weather;

use super::Draws;

/// So long after a segment was lost it is sent again; twice as long each further time (RFC 6298 5.5,
/// with the shortest time that kernels use).
const RETRANSMITTED: Duration = Duration::from_millis(200);
/// So often a segment is lost at most: a stream that lives gets through in the end.
const LOST_MAX: u32 = 10;
/// A datagram that finds a longer queue before it is lost.
const QUEUE_MAX: Duration = Duration::from_secs(1);
/// Who is overtaken is held back so long at least, and up to as long again four times.
const OVERTAKEN: Duration = Duration::from_millis(50);
/// A copy follows within this time.
const COPIED: Duration = Duration::from_millis(50);
/// What a packet carries besides its content, in bytes: IPv4 and UDP, or little less than TCP.
const HEADERS: usize = 28;

/// What weather did to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bite {
    /// It came later than without.
    Delayed,
    /// It came behind packets that were sent after it.
    Reordered,
    /// It came twice.
    Duplicated,
    /// It did not come; of a stream, it was sent again.
    Lost,
}

impl Bite {
    /// The field `how` of `fault.struck`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::Reordered => "reordered",
            Self::Duplicated => "duplicated",
            Self::Lost => "lost",
        }
    }
}

/// What becomes of one packet: by how much longer than usual each copy of it is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passage {
    /// The packet; nothing: it is lost.
    pub first: Option<Duration>,
    /// Its copy, if it comes twice.
    pub second: Option<Duration>,
    /// The worst that was done to it.
    pub bite: Option<Bite>,
}

impl Passage {
    /// The passage in fair weather.
    pub const FREE: Self = Self { first: Some(Duration::ZERO), second: None, bite: None };
}

/// The weather on one direction of a link, from an order until it clears.
#[derive(Debug, Clone)]
pub struct Gale {
    weather: Weather,
    until: Duration,
    draws: Draws,
    /// When the queue before the link has emptied.
    idle: Duration,
}

impl Gale {
    /// Weather that lasts until `until`, on a direction whose chances `draws` decides.
    #[must_use]
    pub const fn new(weather: Weather, until: Duration, draws: Draws) -> Self {
        Self { weather, until, draws, idle: Duration::ZERO }
    }

    /// When it clears.
    #[must_use]
    pub const fn until(&self) -> Duration {
        self.until
    }

    /// What becomes of a datagram of this content, in bytes, that leaves at `now`.
    pub fn datagram(&mut self, now: Duration, length: usize) -> Passage {
        if now >= self.until {
            return Passage::FREE;
        }
        let (lost, twice) = (self.hits(self.weather.loss), self.hits(self.weather.duplicate));
        let overtaken = self.hits(self.weather.reorder);
        let (late, behind) = (self.late(), self.within(OVERTAKEN * 4));
        let copied = Duration::from_millis(1) + self.within(COPIED);
        if lost || self.idle.saturating_sub(now) > QUEUE_MAX {
            return Passage { first: None, second: None, bite: Some(Bite::Lost) };
        }
        let back = if overtaken { OVERTAKEN + behind } else { Duration::ZERO };
        let first = self.queue(now, length) + late + back;
        let delayed = (!first.is_zero()).then_some(Bite::Delayed);
        let worse = overtaken.then_some(Bite::Reordered).max(twice.then_some(Bite::Duplicated));
        let second = twice.then(|| first + copied);
        Passage { first: Some(first), second, bite: delayed.max(worse) }
    }

    /// By how much later than usual a segment of this content, in bytes, comes that leaves at `now`.
    /// Its stream hands it out no sooner than what went before it.
    pub fn segment(&mut self, now: Duration, length: usize) -> Passage {
        if now >= self.until {
            return Passage::FREE;
        }
        let (mut again, mut wait, mut lost) = (Duration::ZERO, RETRANSMITTED, 0);
        while lost < LOST_MAX && now + again < self.until && self.hits(self.weather.loss) {
            (again, wait, lost) = (again + wait, wait * 2, lost + 1);
        }
        let first = self.queue(now, length) + again + self.late();
        let delayed = (!first.is_zero()).then_some(Bite::Delayed);
        let bite = if lost > 0 { Some(Bite::Lost) } else { delayed };
        Passage { first: Some(first), second: None, bite }
    }

    /// Puts a packet behind those before it: how long until it has left itself. What still waits
    /// when the weather clears leaves then.
    fn queue(&mut self, now: Duration, length: usize) -> Duration {
        let Some(bandwidth) = self.weather.bandwidth.filter(|bits| *bits > 0) else {
            return Duration::ZERO;
        };
        let nanos = (length + HEADERS) as u128 * 8 * 1_000_000_000 / u128::from(bandwidth);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.idle = self.idle.max(now).saturating_add(takes).min(self.until);
        self.idle.saturating_sub(now)
    }

    fn hits(&mut self, of_thousand: u16) -> bool {
        self.draws.below(1_000) < u64::from(of_thousand)
    }

    fn late(&mut self) -> Duration {
        self.weather.delay + self.within(self.weather.jitter)
    }

    /// A time up to this one, in microseconds.
    fn within(&mut self, longest: Duration) -> Duration {
        let micros = super::micros(longest);
        Duration::from_micros(self.draws.below(micros.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOR_LONG: Duration = Duration::from_secs(1_000_000);

    fn gale(weather: Weather) -> Gale {
        Gale::new(weather, FOR_LONG, Draws::new(7, &["gale"]))
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn datagrams(weather: Weather, count: u64) -> Vec<Passage> {
        let mut gale = gale(weather);
        (0..count).map(|n| gale.datagram(ms(20 * n), 100)).collect()
    }

    fn bitten(passages: &[Passage], bite: Bite) -> usize {
        passages.iter().filter(|passage| passage.bite == Some(bite)).count()
    }

    #[test]
    fn fair_weather_does_nothing_and_takes_no_notice() {
        assert!(datagrams(Weather::default(), 100).iter().all(|one| *one == Passage::FREE));
        let mut over = Gale::new(
            Weather { loss: 1_000, delay: ms(5), ..Weather::default() },
            ms(10),
            Draws::new(7, &["gale"]),
        );
        assert_eq!(over.datagram(ms(9), 1).first, None);
        assert_eq!(
            (over.datagram(ms(10), 1), over.segment(ms(10), 1)),
            (Passage::FREE, Passage::FREE)
        );
    }

    #[test]
    fn each_figure_strikes_as_often_as_it_says() {
        let near = |count: usize, wanted: usize| count.abs_diff(wanted) < 60;
        let fair = Weather::default();
        let lost = datagrams(Weather { loss: 100, ..fair }, 5_000);
        assert!(
            near(bitten(&lost, Bite::Lost), 500) && lost.iter().all(|one| one.second.is_none())
        );
        let twice = datagrams(Weather { duplicate: 50, ..fair }, 5_000);
        assert!(near(bitten(&twice, Bite::Duplicated), 250));
        assert!(twice.iter().all(|one| one.second.is_none_or(|at| Some(at) > one.first)));
        let behind = datagrams(Weather { reorder: 50, ..fair }, 5_000);
        assert!(near(bitten(&behind, Bite::Reordered), 250));
        let held = |one: &Passage| one.bite.is_none() || one.first >= Some(OVERTAKEN);
        assert!(behind.iter().all(held));
        let late = datagrams(Weather { delay: ms(200), jitter: ms(50), ..fair }, 500);
        let span = |one: &Passage| one.first >= Some(ms(200)) && one.first <= Some(ms(250));
        assert!(late.iter().all(span) && bitten(&late, Bite::Delayed) == 500);
        assert!(late.iter().any(|one| one.first != late[0].first), "jitter is drawn");
    }

    #[test]
    fn one_figure_turned_off_leaves_what_the_others_strike() {
        let rough = Weather { loss: 100, duplicate: 100, jitter: ms(30), ..Weather::default() };
        let (with, without) = (datagrams(rough, 300), datagrams(Weather { loss: 0, ..rough }, 300));
        for (with, without) in with.iter().zip(&without) {
            assert!(with.bite == Some(Bite::Lost) || with == without, "{with:?} {without:?}");
        }
        assert_ne!(with, without);
    }

    #[test]
    fn a_stream_gets_what_it_lost_later_and_never_twice() {
        let mut gale = gale(Weather { loss: 500, duplicate: 1_000, ..Weather::default() });
        let passages: Vec<_> = (0..200).map(|n| gale.segment(ms(20 * n), 100)).collect();
        assert!((70..130).contains(&bitten(&passages, Bite::Lost)));
        for passage in &passages {
            let sums: Vec<_> =
                (0..=LOST_MAX).map(|lost| RETRANSMITTED * ((1 << lost) - 1)).collect();
            assert!(passage.first.is_some_and(|late| sums.contains(&late)), "{passage:?}");
            assert_eq!(passage.second, None);
        }
        let all = Weather { loss: 1_000, ..Weather::default() };
        let mut storm = Gale::new(all, ms(500), Draws::new(7, &["gale"]));
        assert_eq!(
            storm.segment(ms(0), 1).first,
            Some(ms(600)),
            "sent at 0, 200 and, when it is over, 600"
        );
    }

    #[test]
    fn what_does_not_fit_waits_and_a_long_queue_loses_datagrams() {
        let narrow = Weather { bandwidth: Some(32_000), ..Weather::default() };
        let mut link = gale(narrow);
        // 372 bytes and 28 of headers are 3,200 bits: a tenth of a second.
        let waits: Vec<_> = (0..12).map(|_| link.datagram(ms(0), 372).first).collect();
        let wanted: Vec<_> = (1..=11).map(|n| Some(ms(100 * n))).chain([None]).collect();
        assert_eq!(waits, wanted, "the last one found 1.1 s before it");
        assert_eq!(link.segment(ms(0), 372).first, Some(ms(1_200)), "streams wait");
        assert_eq!(link.datagram(ms(5_000), 372).first, Some(ms(100)), "the queue has emptied");
        let mut clears = Gale::new(narrow, ms(150), Draws::new(7, &["gale"]));
        let waits: Vec<_> = (0..3).map(|_| clears.segment(ms(0), 372).first).collect();
        assert_eq!(waits, [Some(ms(100)), Some(ms(150)), Some(ms(150))]);
    }
}
