//! What the network does besides what turmoil does: cuts of one direction, storms, addresses that
//! change, translations that forget. Streams and sockets ask here before and after each packet.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use reveille_scenarios::Weather;
use reveille_trace::{Draft, Kind, Recorder};

use crate::fault::{Bite, Draws, Gale, Passage, micros};

/// The addresses of hosts that never moved, as turmoil gives them out.
const HOME: [u8; 2] = [192, 168];
/// The first byte of the addresses of those that did; the second counts how often.
const AWAY: u8 = 10;

/// A direction of a link that carries nothing.
struct OneWay {
    way: (IpAddr, IpAddr),
    until: Duration,
    on: String,
    told: bool,
}

struct Storm {
    way: (IpAddr, IpAddr),
    there: Gale,
    back: Gale,
    on: String,
    told: bool,
}

/// Where a host is at present.
#[derive(Debug, Clone, Default)]
struct Standing {
    name: String,
    moves: u8,
    rebinds: u32,
    rebound: Duration,
    nat: Option<Duration>,
    /// When each local port sent its last datagram.
    spoke: BTreeMap<u16, Duration>,
    owes_move: bool,
    owes_rebind: bool,
    told_nat: bool,
}

#[derive(Default)]
struct State {
    one_ways: Vec<OneWay>,
    storms: Vec<Storm>,
    hosts: BTreeMap<IpAddr, Standing>,
    clocks: BTreeMap<String, Time>,
    /// Streams that wait, by their number: whose, and how to wake them.
    waiting: BTreeMap<u64, (IpAddr, Waker)>,
    streams: u64,
    orders: u64,
}

/// How far a host's wall clock is ahead, and whether a step of it was not seen yet.
#[derive(Debug, Clone, Copy, Default)]
struct Time {
    ahead_ms: i64,
    owes: bool,
}

/// Which addresses and bindings a stream was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Born {
    moves: u8,
    rebinds: u32,
}

/// Why nothing passes a stream any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// Its host has another address.
    Moved,
    /// Its host's bindings were forgotten at once.
    Rebound,
    /// Its own was, after a silence.
    Silent,
}

pub(super) struct Links {
    seed: u64,
    recorder: Recorder,
    state: Mutex<State>,
}

impl Links {
    pub(super) fn new(seed: u64, recorder: Recorder) -> Self {
        Self { seed, recorder, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn struck(&self, now: Duration, fault: &str, on: &str, how: Option<Bite>) {
        let draft = Draft::new(Kind::FaultStruck).with("fault", fault).with("on", on);
        let draft = match how {
            Some(how) => draft.with("how", how.name()),
            None => draft,
        };
        self.recorder.record("world", micros(now), draft);
    }

    pub(super) fn host(&self, name: &str, at: IpAddr, nat: Option<Duration>, ahead_ms: i64) {
        let mut state = self.state();
        let standing = Standing { name: name.to_owned(), nat, ..Standing::default() };
        state.hosts.insert(at, standing);
        state.clocks.insert(name.to_owned(), Time { ahead_ms, owes: false });
    }

    pub(super) fn cut(&self, way: (IpAddr, IpAddr), until: Duration, on: String) {
        self.state().one_ways.push(OneWay { way, until, on, told: false });
    }

    pub(super) fn storm(
        &self,
        way: (IpAddr, IpAddr),
        weather: Weather,
        until: Duration,
        on: String,
    ) {
        let mut state = self.state();
        state.orders += 1;
        let order = state.orders.to_string();
        let gale =
            |side| Gale::new(weather, until, Draws::new(self.seed, &["storm", &order, side]));
        let (there, back) = (gale("there"), gale("back"));
        state.storms.push(Storm { way, there, back, on, told: false });
    }

    /// Gives the host another address. Whoever waits at its streams learns of it.
    pub(super) fn shift(&self, host: IpAddr) {
        let woken: Vec<Waker> = {
            let mut state = self.state();
            if let Some(standing) = state.hosts.get_mut(&host) {
                standing.moves = standing.moves.saturating_add(1);
                standing.owes_move = true;
            }
            let its = state.waiting.values().filter(|(whose, _)| *whose == host);
            its.map(|(_, waker)| waker.clone()).collect()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    pub(super) fn rebind(&self, host: IpAddr, now: Duration) {
        if let Some(standing) = self.state().hosts.get_mut(&host) {
            standing.rebinds += 1;
            standing.rebound = now;
            standing.owes_rebind = true;
        }
    }

    pub(super) fn step_clock(&self, host: &str, by_ms: i64) {
        let mut state = self.state();
        let time = state.clocks.entry(host.to_owned()).or_default();
        time.ahead_ms = time.ahead_ms.saturating_add(by_ms);
        time.owes = true;
    }

    /// How far this host's clock is ahead, in milliseconds, for one that reads it now.
    pub(super) fn ahead_ms(&self, host: &str, now: Duration) -> i64 {
        let mut state = self.state();
        let Some(time) = state.clocks.get_mut(host) else { return 0 };
        let (ahead_ms, owes) = (time.ahead_ms, std::mem::take(&mut time.owes));
        drop(state);
        if owes {
            self.struck(now, "clock-step", host, None);
        }
        ahead_ms
    }

    /// The address that others see of this host.
    pub(super) fn shown(&self, host: IpAddr) -> IpAddr {
        let moves = self.state().hosts.get(&host).map_or(0, |standing| standing.moves);
        match host {
            IpAddr::V4(home) if moves > 0 => {
                let [_, _, c, d] = home.octets();
                IpAddr::V4(Ipv4Addr::new(AWAY, moves, c, d))
            }
            _ => host,
        }
    }

    /// The host that is seen under this address at present, as turmoil knows it.
    pub(super) fn behind(&self, shown: IpAddr) -> Option<IpAddr> {
        let IpAddr::V4(address) = shown else { return Some(shown) };
        let host = match address.octets() {
            [AWAY, _, c, d] => IpAddr::V4(Ipv4Addr::new(HOME[0], HOME[1], c, d)),
            _ => shown,
        };
        (self.shown(host) == shown).then_some(host)
    }

    /// Says that what was sent from, or to, a host that moved met its new address.
    pub(super) fn met_move(&self, host: IpAddr, now: Duration) {
        self.owed(host, now, "move", |standing| std::mem::take(&mut standing.owes_move));
    }

    fn owed(
        &self,
        host: IpAddr,
        now: Duration,
        fault: &str,
        owes: impl FnOnce(&mut Standing) -> bool,
    ) {
        let told = {
            let mut state = self.state();
            let standing = state.hosts.get_mut(&host);
            standing.and_then(|standing| owes(standing).then(|| standing.name.clone()))
        };
        if let Some(name) = told {
            self.struck(now, fault, &name, None);
        }
    }

    /// Until when nothing comes from `from` to `to`, if that is cut now; whoever asks has something
    /// that would have come.
    pub(super) fn cut_until(&self, from: IpAddr, to: IpAddr, now: Duration) -> Option<Duration> {
        self.meet(from, to, now, |cut| cut.until > now)
    }

    /// True if a datagram that was sent at `sent` and is looked at now met a cut on its way.
    pub(super) fn loses(&self, from: IpAddr, to: IpAddr, sent: Duration, now: Duration) -> bool {
        self.meet(from, to, now, |cut| cut.until > sent).is_some()
    }

    fn meet(
        &self,
        from: IpAddr,
        to: IpAddr,
        now: Duration,
        is_met: impl Fn(&OneWay) -> bool,
    ) -> Option<Duration> {
        let mut state = self.state();
        let mut news = Vec::new();
        let mut until = None;
        for cut in state.one_ways.iter_mut().filter(|cut| cut.way == (from, to) && is_met(cut)) {
            until = until.max(Some(cut.until));
            if !std::mem::replace(&mut cut.told, true) {
                news.push(cut.on.clone());
            }
        }
        drop(state);
        news.iter().for_each(|on| self.struck(now, "cut", on, None));
        until
    }

    /// What becomes of a datagram in all storms on its way.
    pub(super) fn datagram(&self, way: (IpAddr, IpAddr), now: Duration, length: usize) -> Passage {
        self.pass(way, now, |gale| gale.datagram(now, length))
    }

    /// What becomes of a segment of a stream.
    pub(super) fn segment(&self, way: (IpAddr, IpAddr), now: Duration, length: usize) -> Duration {
        let passage = self.pass(way, now, |gale| gale.segment(now, length));
        passage.first.unwrap_or_default()
    }

    fn pass(
        &self,
        (from, to): (IpAddr, IpAddr),
        now: Duration,
        ask: impl Fn(&mut Gale) -> Passage,
    ) -> Passage {
        let mut whole = Passage::FREE;
        let mut news = Vec::new();
        let mut state = self.state();
        for storm in &mut state.storms {
            let gale = match storm.way {
                way if way == (from, to) => &mut storm.there,
                way if way == (to, from) => &mut storm.back,
                _ => continue,
            };
            let passage = ask(gale);
            if let Some(how) = passage.bite
                && !std::mem::replace(&mut storm.told, true)
            {
                news.push((storm.on.clone(), how));
            }
            whole = behind(whole, passage);
        }
        drop(state);
        news.iter().for_each(|(on, how)| self.struck(now, "storm", on, Some(*how)));
        whole
    }

    pub(super) fn born(&self, host: IpAddr) -> Born {
        let state = self.state();
        let standing = state.hosts.get(&host);
        standing.map_or(Born { moves: 0, rebinds: 0 }, |standing| Born {
            moves: standing.moves,
            rebinds: standing.rebinds,
        })
    }

    /// Why nothing passes a stream of this host that was made so, and over which something passed
    /// last at `passed`; at `now` something wants to.
    pub(super) fn lost(
        &self,
        host: IpAddr,
        born: Born,
        passed: Duration,
        now: Duration,
    ) -> Option<Lost> {
        let state = self.state();
        let standing = state.hosts.get(&host)?;
        if standing.moves != born.moves {
            return Some(Lost::Moved);
        }
        if standing.rebinds != born.rebinds {
            return Some(Lost::Rebound);
        }
        let silent = standing.nat.is_some_and(|nat| now.saturating_sub(passed) > nat);
        silent.then_some(Lost::Silent)
    }

    /// Says that a packet met a stream that is lost.
    pub(super) fn met(&self, host: IpAddr, lost: Lost, now: Duration) {
        match lost {
            Lost::Moved => self.met_move(host, now),
            Lost::Rebound => {
                self.owed(host, now, "rebind", |standing| {
                    std::mem::take(&mut standing.owes_rebind)
                });
            }
            Lost::Silent => self.owed(host, now, "nat", |standing| {
                !std::mem::replace(&mut standing.told_nat, true)
            }),
        }
    }

    /// A datagram leaves this port of the host.
    pub(super) fn speaks(&self, host: IpAddr, port: u16, now: Duration) {
        if let Some(standing) = self.state().hosts.get_mut(&host)
            && (standing.nat.is_some() || standing.rebinds > 0)
        {
            standing.spoke.insert(port, now);
        }
        self.met_move(host, now);
    }

    /// True if a datagram that was sent at `sent` finds no binding to this port of the host.
    pub(super) fn is_shut(&self, host: IpAddr, port: u16, sent: Duration, now: Duration) -> bool {
        let lost = {
            let state = self.state();
            let Some(standing) = state.hosts.get(&host) else { return false };
            let spoke = standing.spoke.get(&port).copied();
            let open = |nat: Duration| spoke.is_some_and(|spoke| sent.saturating_sub(spoke) <= nat);
            if standing.rebinds > 0 && spoke.is_none_or(|spoke| spoke < standing.rebound) {
                Some(Lost::Rebound)
            } else {
                standing.nat.is_some_and(|nat| !open(nat)).then_some(Lost::Silent)
            }
        };
        if let Some(lost) = lost {
            self.met(host, lost, now);
        }
        lost.is_some()
    }

    /// A number for a stream.
    pub(super) fn number(&self) -> u64 {
        let mut state = self.state();
        state.streams += 1;
        state.streams
    }

    /// A stream of this host waits, and wants to know when the host moves. Wakers are let go of where
    /// nothing is locked: whose they were may ask here while it goes.
    pub(super) fn wait(&self, stream: u64, host: IpAddr, waker: &Waker) {
        let mut state = self.state();
        let known = state.waiting.get(&stream).is_some_and(|(_, old)| old.will_wake(waker));
        let old = if known { None } else { state.waiting.insert(stream, (host, waker.clone())) };
        drop(state);
        drop(old);
    }

    pub(super) fn forget(&self, stream: u64) {
        let old = self.state().waiting.remove(&stream);
        drop(old);
    }
}

/// A passage through one storm, and then through another.
fn behind(one: Passage, other: Passage) -> Passage {
    let (Some(a), Some(b)) = (one.first, other.first) else {
        return Passage { first: None, second: None, bite: Some(Bite::Lost) };
    };
    let second = match (one.second, other.second) {
        (Some(copy), _) => Some(copy + b),
        (None, copy) => copy.map(|copy| copy + a),
    };
    Passage { first: Some(a + b), second, bite: one.bite.max(other.bite) }
}
