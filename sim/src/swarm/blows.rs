//! The safety phase: faults one after the other, each in a situation in which it bites, and traffic
//! around them.

use std::time::Duration;

use reveille_scenarios::{Feature, Service, Swarm, Verb, What};

use super::calls::End;
use super::score::sight;
use super::{Caller, Phone, Play, pushes};

/// What is done for one fault, from when to when, and whose peace it needs.
struct Scene {
    until_ms: u64,
    /// Whom no other traffic may disturb, or the fault might not bite.
    quiet: Option<String>,
}

/// Times in which a phone belongs to a scene.
type Quiet = Vec<(String, u64, u64)>;

/// How long before a scene its phone is left alone, so that its calls are over.
const PEACE_MS: u64 = 15_000;

impl Play {
    /// Draws all that happens while faults may strike. Returns when it should be over.
    pub(super) fn safety(&mut self, swarm: &Swarm) -> u64 {
        let first = self.phones[0].clone();
        self.sleep(0, &first);
        let span_ms = self.lot.time(swarm.span);
        let mut at_ms = self.lot.number(2_000, 10_000);
        let (mut quiet, mut left) = (Quiet::new(), self.lot.count(swarm.faults));
        let mut over_ms = at_ms;
        while left > 0 && (at_ms < span_ms || over_ms == at_ms) {
            let scene = self.scene(at_ms, left == 1);
            over_ms = scene.until_ms;
            if let Some(name) = scene.quiet {
                quiet.push((name, at_ms.saturating_sub(PEACE_MS), over_ms));
            }
            let faults = u64::try_from(left).unwrap_or(1);
            let room_ms = span_ms.saturating_sub(over_ms) / faults;
            at_ms = over_ms + self.lot.number(1_000, room_ms.max(2_000));
            left -= 1;
        }
        let wanted = self.lot.count(swarm.calls);
        self.around(wanted, over_ms, &quiet)
    }

    fn scene(&mut self, at_ms: u64, is_last: bool) -> Scene {
        let faults = self.features.iter().copied().filter(|feature| feature.is_fault());
        // A token that is called dead is not pushed to again, so that no later fate would bite.
        let faults: Vec<_> =
            faults.filter(|fault| is_last || *fault != Feature::PushRefused).collect();
        let fault = self.lot.one(&faults).unwrap_or(Feature::Restart);
        let (phone, caller) = (self.phone(), self.caller());
        match fault {
            Feature::AppKilled => self.killed(at_ms, &phone, &caller),
            Feature::WebSocketDropped => self.dropped(at_ms, &phone, &caller),
            Feature::Crash | Feature::PowerLoss | Feature::Restart => {
                self.felled(at_ms, fault, &phone, &caller)
            }
            Feature::Partition => self.parted(at_ms, &phone, &caller),
            Feature::AnswerLost => self.unheard(at_ms, &phone),
            _ => self.pushed(at_ms, fault, &phone, &caller),
        }
    }

    /// An app dies around a call; it is there, because its user has opened it, or a call rings it.
    fn killed(&mut self, at_ms: u64, phone: &Phone, caller: &Caller) -> Scene {
        let kill = Verb::KillApp { phone: phone.name.clone() };
        // A page that was lost comes back by itself: nobody pushes for it before its grace is over.
        let is_woken = phone.push != Service::WebPush && self.lot.is(1, 2);
        let patient = self.patient_caller().filter(|_| is_woken);
        let (call_ms, over_ms) = match patient {
            Some(caller) => {
                self.sleep(at_ms, phone);
                let call_ms = at_ms + self.lot.number(2_000, 4_000);
                let (mark, over_ms) = self.call_that(call_ms, &caller, phone, End::Answered);
                let alerted = sight(&phone.name, What::Alerted, &mark);
                let later_ms = self.lot.number(0, 300);
                self.score.seen(call_ms, alerted, later_ms, kill);
                (call_ms, over_ms)
            }
            None => {
                self.open(at_ms, phone);
                let call_ms = at_ms + self.lot.number(500, 3_000);
                let (_, over_ms) = self.call(call_ms, caller, phone);
                self.score.at(call_ms + self.lot.number(0, 3_000), kill);
                (call_ms, over_ms)
            }
        };
        if self.does(Feature::Open, 2) || phone.push == Service::WebPush {
            let open_ms = call_ms + self.lot.number(3_500, 9_000);
            self.open(open_ms, phone);
        }
        Scene { until_ms: over_ms.max(call_ms + 10_000), quiet: Some(phone.name.clone()) }
    }

    /// The radio drops an app that is connected.
    fn dropped(&mut self, at_ms: u64, phone: &Phone, caller: &Caller) -> Scene {
        self.open(at_ms, phone);
        let call_ms = at_ms + self.lot.number(2_000, 4_000);
        let (_, over_ms) = self.call(call_ms, caller, phone);
        let drop = Verb::DropWebSocket { phone: phone.name.clone() };
        self.score.at(call_ms + self.lot.number(0, 5_000), drop);
        Scene { until_ms: over_ms.max(call_ms + 8_000), quiet: Some(phone.name.clone()) }
    }

    /// The gateway goes down around a call.
    fn felled(&mut self, at_ms: u64, fault: Feature, phone: &Phone, caller: &Caller) -> Scene {
        if self.lot.is(2, 3) {
            self.sleep(at_ms, phone);
        } else {
            self.open(at_ms, phone);
        }
        let call_ms = at_ms + self.lot.number(1_000, 3_000);
        let (_, over_ms) = self.call(call_ms, caller, phone);
        self.beside(call_ms, phone);
        // Most of what could go wrong does so within a second.
        let after_ms = self.lot.one(&[100, 1_000, 5_000]).unwrap_or(1_000);
        let blow_ms = call_ms + self.lot.number(0, after_ms);
        let down_ms = self.lot.number(0, 4_000);
        let (host, down) = ("gateway".to_owned(), Duration::from_millis(down_ms));
        let verb = match fault {
            Feature::Crash => Verb::Crash { host, down },
            Feature::PowerLoss => Verb::PowerLoss { host, down },
            _ => Verb::Restart { host, down },
        };
        self.score.at(blow_ms, verb);
        Scene { until_ms: over_ms.max(blow_ms + down_ms + 10_000), quiet: None }
    }

    /// A link is cut before something wants to pass over it.
    fn parted(&mut self, at_ms: u64, phone: &Phone, caller: &Caller) -> Scene {
        let lasts_ms = self.lot.number(2_000, 8_000);
        let cut_ms = at_ms + self.lot.number(3_000, 5_000);
        let then_ms = cut_ms + self.lot.number(10, 300);
        let name = phone.name.as_str();
        let places = self.does(Feature::Placed, 3);
        let (link, quiet) = if places {
            self.open(at_ms, phone);
            let links = [(name, "gateway"), ("gateway", "registrar")];
            (self.lot.one(&links), Some(name.to_owned()))
        } else {
            self.sleep(at_ms, phone);
            let links = [(caller.name.as_str(), "gateway"), ("gateway", "push"), (name, "push")];
            (self.lot.one(&links), Some(name.to_owned()))
        };
        let (a, b) = link.unwrap_or((name, "gateway"));
        let lasts = Duration::from_millis(lasts_ms);
        self.score.at(cut_ms, Verb::Partition { a: a.to_owned(), b: b.to_owned(), lasts });
        let over_ms = if places {
            self.placed(then_ms, phone, caller)
        } else {
            self.call(then_ms, caller, phone).1
        };
        Scene { until_ms: over_ms.max(cut_ms + lasts_ms + 8_000), quiet }
    }

    /// An answer that is lost goes again.
    fn unheard(&mut self, at_ms: u64, phone: &Phone) -> Scene {
        let caller = self.caller();
        self.open(at_ms, phone);
        let call_ms = at_ms + self.lot.number(2_000, 4_000);
        let lost = u32::try_from(self.lot.number(1, 3)).unwrap_or(1);
        let (_, over_ms) = self.call_that(call_ms, &caller, phone, End::Answered);
        self.score.lose_answers(lost);
        Scene { until_ms: over_ms + 6_000, quiet: Some(phone.name.clone()) }
    }

    /// The push for a call to a sleeping phone meets a fate.
    fn pushed(&mut self, at_ms: u64, kind: Feature, phone: &Phone, caller: &Caller) -> Scene {
        self.sleep(at_ms, phone);
        let fate = pushes::fate(kind, phone.push, &mut self.lot);
        self.fated.insert(phone.push);
        let call_ms = at_ms + self.lot.number(2_000, 4_000);
        self.score.at(call_ms, Verb::Push { service: phone.push, fate, times: 1 });
        let (_, over_ms) = self.call(call_ms + 20, caller, phone);
        self.beside(call_ms + 20, phone);
        if self.does(Feature::Open, 2) {
            let open_ms = call_ms + self.lot.number(500, 8_000);
            self.open(open_ms, phone);
        }
        let held_ms = call_ms + self.wake_budget_ms;
        if kind == Feature::PushRefused {
            self.refused = Some(phone.push);
            self.open(held_ms + 500, phone);
        }
        Scene { until_ms: over_ms.max(held_ms) + 2_000, quiet: Some(phone.name.clone()) }
    }

    /// A second call right beside the first one.
    fn beside(&mut self, call_ms: u64, phone: &Phone) {
        if self.does(Feature::Burst, 2) {
            let caller = self.caller();
            let second_ms = call_ms + self.lot.number(0, 800);
            self.call(second_ms, &caller, phone);
        }
    }

    /// Traffic of those whom no scene needs, until so many calls are placed. Returns when all is over.
    fn around(&mut self, wanted: usize, over_ms: u64, quiet: &Quiet) -> u64 {
        let mut until_ms = over_ms;
        for _ in 0..wanted.saturating_mul(2) {
            let (phone, caller) = (self.phone(), self.caller());
            let at_ms = self.lot.number(1_000, over_ms);
            let is_its = |(name, from, to): &(String, u64, u64)| {
                *name == phone.name && (*from..*to).contains(&at_ms)
            };
            if quiet.iter().any(is_its) {
                continue;
            }
            if self.score.calls() < wanted as u64 {
                let places = self.does(Feature::Placed, 3);
                let ends_ms = match places {
                    true => self.placed(at_ms, &phone, &caller),
                    false => self.call(at_ms, &caller, &phone).1,
                };
                until_ms = until_ms.max(ends_ms);
            }
            match self.lot.number(0, 3) {
                0 => {
                    let sleep_ms = at_ms + self.lot.number(0, 12_000);
                    self.sleep(sleep_ms, &phone);
                }
                1 if self.has(Feature::Open) => self.open(at_ms, &phone),
                2 => self.message(at_ms, &caller, &phone),
                _ => {}
            }
        }
        self.at_least_three(until_ms)
    }

    /// Calls that find their phones as they are, until there are three.
    fn at_least_three(&mut self, mut until_ms: u64) -> u64 {
        while self.score.calls() < 3 {
            let (phone, caller) = (self.phone(), self.caller());
            until_ms = self.call(until_ms + 2_000, &caller, &phone).1;
        }
        until_ms
    }
}
