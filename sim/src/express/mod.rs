//! The express world: every host's tasks on one thread, a network in memory, and a clock that goes
//! from one event to the next, so that idle time costs nothing.
//!
//! It has its own executor instead of a paused tokio runtime: time is exact to the microsecond where
//! tokio's timers know milliseconds, tasks that could go on at one instant take turns in an order
//! that the seed draws where a runtime would always take the first, and a crash drops the tasks of
//! its host at once, where an aborted task of a runtime goes when its turn comes.

mod agenda;
mod chance;
mod executor;
mod links;
mod net;
mod run;
mod seam;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reveille_conformance::stage::{Faults, Part, Site as Place, Stage};
use reveille_host::Host;
use reveille_trace::Recorder;

use self::chance::Chance;
use self::net::Net;
use self::seam::Site;
use self::world::{WallClock, World};
use crate::disk::Platter;
use crate::fault::{Draws, Gate, Operation, Trap, micros};
use crate::world::SimStage;

/// One host: what survives its crashes.
struct Actor {
    name: String,
    part: Part,
    gate: Arc<Gate>,
    platter: Platter,
}

/// A play in the express world. Performed once.
pub struct ExpressStage {
    seed: u64,
    recorder: Recorder,
    world: Arc<World>,
    actors: Vec<Actor>,
    places: BTreeMap<String, Place>,
    /// What went wrong before the play.
    troubles: Vec<String>,
}

impl ExpressStage {
    /// A stage whose every chance depends on `seed`, on links of this shortest and longest latency.
    #[must_use]
    pub fn new(seed: u64, recorder: Recorder, latency: (Duration, Duration)) -> Self {
        let latency_us = (micros(latency.0), micros(latency.1));
        let net = Net::new(latency_us, Chance::new(seed, "links"));
        let world = Arc::new(World::new(net));
        let (actors, places, troubles) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { seed, recorder, world, actors, places, troubles }
    }

    fn actor(&self, name: &str) -> Option<&Actor> {
        self.actors.iter().find(|actor| actor.name == name)
    }

    fn add(&mut self, name: &str, part: Part) {
        let world = Arc::clone(&self.world);
        let now = move || Duration::from_micros(world.now());
        let gate = Gate::new(name, self.recorder.clone(), now);
        let (name, platter) = (name.to_owned(), Platter::default());
        self.actors.push(Actor { name, part, gate, platter });
    }

    /// What a host's software gets, each time it starts.
    fn host(&self, number: usize, dial: &Arc<WallClock>) -> Host {
        let actor = &self.actors[number];
        let life = actor.gate.life();
        let generation = life.generation().to_string();
        let draws = |what| Mutex::new(Draws::new(self.seed, &[what, &actor.name, &generation]));
        let site = Site { world: Arc::clone(&self.world), life: life.clone(), actor: number };
        Host {
            disk: actor.platter.mount(life),
            entropy: Arc::new(seam::ExpressEntropy(draws("entropy"))),
            tasks: Arc::new(seam::ExpressTasks { site: site.clone(), disk_time: draws("disk") }),
            clock: Arc::new(seam::ExpressClock { site: site.clone(), dial: Arc::clone(dial) }),
            net: Arc::new(seam::ExpressNet(site)),
        }
    }
}

impl Stage for ExpressStage {
    fn enter(&mut self, name: &str, part: Part) {
        if self.actor(name).is_some() || name == run::DIRECTOR {
            let what = format!("{name}: there is a host of this name already");
            return self.troubles.push(what);
        }
        self.add(name, part);
    }

    fn place(&mut self, name: &str, site: Place) {
        self.places.insert(name.to_owned(), site);
    }

    fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    fn faults(&self) -> Arc<dyn Faults> {
        Arc::clone(&self.world) as Arc<dyn Faults>
    }

    fn perform(&mut self, director: Part, limit: Duration) -> Result<(), String> {
        if let Some(trouble) = self.troubles.first() {
            return Err(trouble.clone());
        }
        self.add(run::DIRECTOR, director);
        run::perform(self, limit)
    }
}

impl SimStage for ExpressStage {
    fn lay(&self, host: &str, trap: Trap) -> bool {
        self.actor(host).map(|actor| actor.gate.lay(trap)).is_some()
    }

    fn log(&self, host: &str) -> Vec<Operation> {
        self.actor(host).map_or_else(Vec::new, |actor| actor.gate.log())
    }

    fn disk(&self, host: &str) -> Option<Platter> {
        self.actor(host).map(|actor| actor.platter.clone())
    }
}
