//! Swarms: from the bounds of a file and a seed to a scenario, as anybody could have written it. A
//! mask is drawn first, because what is always there hides what else could go wrong; then who plays;
//! then a *safety* phase, in which faults strike among calls, and a *liveness* phase, in which they
//! have stopped and each phone must ring.
//!
//! **Invariant:** the scenario depends on the file's meaning and the seed alone, and it reads back from
//! its own text: nothing in it is more than a file can say.

mod blows;
mod calls;
mod liveness;
mod lot;
mod pushes;
mod score;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reveille_scenarios::{
    Actor, Early, Feature, Need, OnCall, Scenario, Service, Swarm, Transport, World,
};

use self::lot::Lot;
use self::score::Score;

const PHONES: [&str; 4] = ["bob", "carol", "dave", "erin"];
const CALLERS: [&str; 4] = ["alice", "frank", "grace", "heidi"];

/// A phone of a play.
#[derive(Clone)]
struct Phone {
    name: String,
    push: Service,
}

/// A SIP user agent of a play.
#[derive(Clone)]
struct Caller {
    name: String,
    transport: Transport,
}

/// A play while it is drawn.
struct Play {
    lot: Lot,
    score: Score,
    features: Vec<Feature>,
    phones: Vec<Phone>,
    callers: Vec<Caller>,
    wake_budget_ms: u64,
    ring_deadline_ms: u64,
    /// Services that were told what becomes of a push.
    fated: BTreeSet<Service>,
    /// The one that may have called a token dead.
    refused: Option<Service>,
}

/// What all scenarios of a swarm have in common: what they are, and neither who plays nor what happens.
#[must_use]
pub fn head(swarm: &Swarm) -> Scenario {
    Scenario {
        id: swarm.id.clone(),
        title: swarm.title.clone(),
        covers: swarm.covers.clone(),
        needs: vec![Need::Sim],
        world: World::default(),
        actors: BTreeMap::new(),
        places: BTreeMap::new(),
        steps: Vec::new(),
        expects: Vec::new(),
        sweep: None,
        seeds: swarm.seeds,
    }
}

/// The scenario that `seed` draws.
#[must_use]
pub fn scenario(swarm: &Swarm, seed: u64) -> Scenario {
    let mut lot = Lot::new(&swarm.id, seed);
    let features = mask(swarm, &mut lot);
    let (phones, mut actors) = phones(swarm, &mut lot);
    let (callers, others) = callers(swarm, &mut lot);
    actors.extend(others);
    let wake_budget_ms = lot.time(swarm.wake_budget);
    let ring_deadline_ms = lot.time(swarm.ring_deadline);
    let score = Score::default();
    let mut play = Play {
        lot,
        score,
        features,
        phones,
        callers,
        wake_budget_ms,
        ring_deadline_ms,
        fated: BTreeSet::new(),
        refused: None,
    };
    let over_ms = play.safety(swarm);
    let expects = play.liveness(over_ms);
    Scenario {
        world: World {
            wake_budget: Some(Duration::from_millis(wake_budget_ms)),
            ring_deadline: Some(Duration::from_millis(ring_deadline_ms)),
            ..World::default()
        },
        actors,
        steps: play.score.steps(),
        expects,
        seeds: 1,
        ..head(swarm)
    }
}

/// Each feature is off with even chances; one fault stays.
fn mask(swarm: &Swarm, lot: &mut Lot) -> Vec<Feature> {
    let (faults, traffic): (Vec<_>, Vec<_>) =
        swarm.features.iter().partition(|feature| feature.is_fault());
    let on = traffic.into_iter().filter(|_| lot.is(1, 2)).collect::<Vec<_>>();
    on.into_iter().chain(lot.some(&faults)).collect()
}

type Actors = BTreeMap<String, Actor>;

fn phones(swarm: &Swarm, lot: &mut Lot) -> (Vec<Phone>, Actors) {
    let (apps, services) = (lot.some(&swarm.apps), lot.some(&swarm.push));
    let (mut phones, mut actors) = (Vec::new(), Actors::new());
    for name in PHONES.into_iter().take(lot.count(swarm.phones)) {
        let (app, push) = (lot.one(&apps), lot.one(&services));
        let (app, push) = (app.unwrap_or_default(), push.unwrap_or_default());
        let on_call = OnCall::Answer(Duration::from_millis(lot.number(0, 3_000)));
        phones.push(Phone { name: name.to_owned(), push });
        actors.insert(name.to_owned(), Actor::Phone { app, push, on_call, device: None });
    }
    (phones, actors)
}

fn callers(swarm: &Swarm, lot: &mut Lot) -> (Vec<Caller>, Actors) {
    let transports = lot.some(&swarm.transports);
    let (mut callers, mut actors) = (Vec::new(), Actors::new());
    for name in CALLERS.into_iter().take(lot.count(swarm.callers)) {
        let transport = lot.one(&transports).unwrap_or_default();
        let on_call = OnCall::Answer(Duration::from_millis(lot.number(0, 2_000)));
        callers.push(Caller { name: name.to_owned(), transport });
        let early = Early::default();
        actors.insert(name.to_owned(), Actor::SipUa { transport, on_call, early });
    }
    (callers, actors)
}

impl Play {
    fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// True in one of `of` times, if the feature is on.
    fn does(&mut self, feature: Feature, of: u64) -> bool {
        self.has(feature) && self.lot.is(1, of)
    }

    fn phone(&mut self) -> Phone {
        self.lot.one(&self.phones).expect("a swarm has a phone")
    }

    fn caller(&mut self) -> Caller {
        self.lot.one(&self.callers).expect("a swarm has a caller")
    }
}

#[cfg(test)]
mod tests;
