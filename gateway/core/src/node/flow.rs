//! The flow to the registrar, which sleeping apps share: what its 200 grants, how it is kept alive,
//! and what its end means (RFC 5626 sections 4.4 and 4.5).

use std::collections::BTreeSet;

use reveille_wire::sip::Message;

use super::Node;
use super::entry::Purpose;
use crate::config::Config;
use crate::io::{Flow, Output, Transport};
use crate::record::SessionId;
use crate::registration::{Granted, Registration};
use crate::timer::{Name, Owner};

/// RFC 5626 section 4.4.1: milliseconds between pings of a stream if no Flow-Timer is given, and
/// section 4.4.2: of UDP.
const STREAM_EVERY_MS: (u64, u64) = (95_000, 120_000);
const UDP_EVERY_MS: (u64, u64) = (24_000, 29_000);
/// Seconds of a Flow-Timer that are believed.
const FLOW_TIMER_S: (u64, u64) = (1, 86_400);
/// RFC 5626 section 4.5: a flow that stood so long has not failed before.
const STOOD_US: u64 = 120_000_000;
/// RFC 5626 section 4.5: base and bound of the back-off.
const BACK_OFF_MS: (u64, u64) = (30_000, 1_800_000);
/// Sessions come back over a new flow a hundred in a second, and all within a minute.
const SPREAD_MS: (u64, u64) = (10, 60_000);
/// Values of Service-Route that are kept.
const MOST_ROUTES: usize = 16;

/// A target that failed is tried first again after this time.
const PARDON_US: u64 = 600_000_000;
/// Targets that are known at once.
const MOST_TARGETS: usize = 32;

/// Where the registrar is, and how the flow to it fares.
#[derive(Debug, Clone, Default)]
pub(super) struct Upstream {
    targets: Vec<Flow>,
    current: usize,
    /// When the first target was left.
    left_us: u64,
    since_us: Option<u64>,
    failures: u32,
}

impl Upstream {
    pub(super) fn new(config: &Config) -> Self {
        let first = config.registrar.iter().map(|registrar| registrar.flow.clone());
        let targets = first.chain(config.registrar_others.iter().cloned()).collect();
        Self { targets, ..Self::default() }
    }

    /// Other targets than before, best first.
    pub(super) fn aim(&mut self, mut flows: Vec<Flow>) {
        flows.truncate(MOST_TARGETS);
        if !flows.is_empty() && flows != self.targets {
            (self.targets, self.current) = (flows, 0);
        }
    }

    /// The target of a request that leaves now.
    ///
    /// # Panics
    /// Without a registrar there is none, and nobody asks.
    pub(super) fn target(&mut self, now_us: u64) -> Flow {
        if self.current > 0 && now_us.saturating_sub(self.left_us) >= PARDON_US {
            self.current = 0;
        }
        self.targets.get(self.current).cloned().expect("a registrar has a target")
    }

    /// The first target, from the current one on, that is none of these.
    pub(super) fn other(&self, tried: &[Flow]) -> Option<Flow> {
        let (before, from) = self.targets.split_at(self.current.min(self.targets.len()));
        let is_new = |target: &&Flow| !tried.iter().any(|flow| is_same(target, flow));
        from.iter().chain(before).find(is_new).cloned()
    }

    /// The target of a request that these did not take.
    pub(super) fn target_but(&mut self, tried: &[Flow], now_us: u64) -> Flow {
        let current = self.target(now_us);
        self.other(tried).unwrap_or(current)
    }

    /// This target failed. All sessions move to the next one together, and only once.
    pub(super) fn fail(&mut self, flow: &Flow, now_us: u64) {
        if self.targets.get(self.current).is_some_and(|target| is_same(target, flow)) {
            self.left_us = if self.current == 0 { now_us } else { self.left_us };
            self.current = (self.current + 1) % self.targets.len().max(1);
        }
    }

    fn stands(&mut self, now_us: u64) {
        self.since_us.get_or_insert(now_us);
    }

    /// Milliseconds before the next flow is tried: none if the last one stood for long.
    fn lost(&mut self, now_us: u64) -> u64 {
        let stood = self.since_us.take().is_some_and(|since| now_us - since >= STOOD_US);
        if stood {
            self.failures = 0;
            return 0;
        }
        self.failures += 1;
        let (base, bound) = BACK_OFF_MS;
        base.saturating_mul(1 << self.failures.min(10)).min(bound)
    }
}

/// The same place by the same transport. What left UDP for its size went to that place as well.
fn is_same(target: &Flow, flow: &Flow) -> bool {
    let diverted = target.transport == Transport::Udp && flow.transport == Transport::Tcp;
    target.peer == flow.peer && (target.transport == flow.transport || diverted)
}

impl Node {
    /// The Route of requests that are sent for this session outside of dialogs (RFC 3608), in
    /// order; empty: none.
    #[must_use]
    pub fn service_route(&self, session: &SessionId) -> &[String] {
        self.registration(session).map_or(&[], Registration::service_route)
    }

    fn registration(&self, session: &SessionId) -> Option<&Registration> {
        self.entries.get(session).and_then(|entry| entry.registration.as_ref())
    }

    /// A REGISTER was accepted: keeps what the response grants, and the flow it came by alive.
    pub(super) fn on_granted(&mut self, session: &SessionId, way: Flow, response: &Message) {
        self.note_gruu(session, response);
        let flow = is_by_flow(response).then_some(way);
        let granted = Granted { service_route: service_route(response), by_flow: flow.clone() };
        let entry = self.entries.get_mut(session);
        let Some(registration) = entry.and_then(|entry| entry.registration.as_mut()) else {
            return;
        };
        registration.grant(granted);
        registration.tried.clear();
        let Some(flow) = flow else { return };
        self.upstream.stands(self.now.mono_us);
        if flow.transport != Transport::Udp || self.config.stun {
            let every_ms = every_ms(flow.transport, flow_timer_s(response));
            self.out.push(Output::KeepAlive { flow, every_ms });
        }
    }

    /// The flow to the registrar is dead: whoever is called by it registers over a new one, soon,
    /// but not all in one instant. If it could not even be made, the next target has its turn.
    pub(super) fn on_flow_lost(&mut self, flow: &Flow) {
        let by_flow = |it: &&SessionId| self.registration(it).is_some_and(|it| it.is_by(flow));
        let mut hit: BTreeSet<_> = self.entries.keys().filter(by_flow).cloned().collect();
        let folded = self.sleepers.iter().filter(|(id, bytes)| {
            let entry = self.look_at(id, bytes);
            entry.registration.as_ref().is_some_and(|registration| registration.is_by(flow))
        });
        hit.extend(folded.map(|(id, _)| id.clone()));
        if hit.is_empty() {
            return;
        }
        let before = self.upstream.current;
        if self.upstream.since_us.is_none() {
            self.upstream.fail(flow, self.now.mono_us);
        }
        let others = self.upstream.current > before;
        let wait_ms = if others { 0 } else { self.upstream.lost(self.now.mono_us) };
        let wait_ms = wait_ms * self.dice.between(50, 100) / 100;
        let count = u64::try_from(hit.len()).unwrap_or(u64::MAX);
        let spread_ms = count.saturating_mul(SPREAD_MS.0).min(SPREAD_MS.1);
        self.forget_registers(&hit);
        for session in hit {
            let after_ms = wait_ms + self.dice.between(0, spread_ms);
            self.arm(Name::Register, Owner::Session(session), after_ms);
        }
    }

    /// A REGISTER on its way over a dead flow gets no answer; the next one takes its place.
    fn forget_registers(&mut self, sessions: &BTreeSet<SessionId>) {
        let dead = |purpose: &Purpose| match purpose {
            Purpose::Register(session) => sessions.contains(session),
            _ => false,
        };
        let clients = self.clients.iter().filter(|(_, (_, _, purpose))| dead(purpose));
        let branches: Vec<_> = clients.map(|(branch, _)| branch.clone()).collect();
        for branch in branches {
            self.drop_client(&branch);
        }
    }
}

fn service_route(response: &Message) -> Vec<String> {
    let values = response.values("Service-Route");
    values.into_iter().take(MOST_ROUTES).map(ToOwned::to_owned).collect()
}

/// RFC 5626 sections 4.2.1 and 6: `outbound` is required of us, or a Flow-Timer is given.
fn is_by_flow(response: &Message) -> bool {
    let outbound = |tag: &&str| tag.eq_ignore_ascii_case("outbound");
    response.values("Require").iter().any(outbound) || response.header("Flow-Timer").is_some()
}

fn flow_timer_s(response: &Message) -> Option<u64> {
    let given = response.header("Flow-Timer")?.trim().parse::<u64>().ok()?;
    (FLOW_TIMER_S.0..=FLOW_TIMER_S.1).contains(&given).then_some(given)
}

/// 80 to 100 per cent of a Flow-Timer, else what the RFC advises.
fn every_ms(transport: Transport, flow_timer_s: Option<u64>) -> (u64, u64) {
    match flow_timer_s {
        Some(seconds) => (seconds * 800, seconds * 1_000),
        None if transport == Transport::Udp => UDP_EVERY_MS,
        None => STREAM_EVERY_MS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_timer_is_used_from_eighty_per_cent_and_a_senseless_one_is_not() {
        let every = |timer: &str| {
            let response = Message::response(200, "OK").with("Flow-Timer", timer);
            every_ms(Transport::Tcp, flow_timer_s(&response))
        };
        assert_eq!(every("60"), (48_000, 60_000));
        for senseless in ["0", "soon", "99999999999999999999", "100000"] {
            assert_eq!(every(senseless), STREAM_EVERY_MS, "{senseless}");
        }
        assert_eq!(every_ms(Transport::Udp, None), (24_000, 29_000));
    }

    #[test]
    fn a_flow_that_fails_young_is_replaced_later_each_time_and_one_that_stood_at_once() {
        let mut flow = Upstream::default();
        let mut now_us = 0;
        let mut wait = |flow: &mut Upstream, stood_us: u64| {
            flow.stands(now_us);
            now_us += stood_us;
            flow.lost(now_us) / 1_000
        };
        assert_eq!(wait(&mut flow, STOOD_US), 0);
        let young: Vec<_> = (0..7).map(|_| wait(&mut flow, STOOD_US - 1)).collect();
        assert_eq!(young, [60, 120, 240, 480, 960, 1_800, 1_800]);
        assert_eq!((wait(&mut flow, STOOD_US), wait(&mut flow, 1)), (0, 60));
    }
}
