//! The turmoil world: every part on a host of its own, with a network that delays, and crashes
//! that strike at the seam.
//!
//! turmoil's own faults are coarse (a crash says goodbye, a partition breaks streams for ever), so
//! they are means here and never handed on: [`Fault`](reveille_conformance::stage::Fault) says what happens, [`crate::fault`] where.

mod datagrams;
mod links;
mod net;
mod run;
mod seam;
mod stream;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reveille_conformance::stage::{Faults, Part, Site, Stage};
use reveille_host::Host;
use reveille_trace::{Draft, Kind, Recorder};

use self::world::World;
use crate::EPOCH;
use crate::disk::Platter;
use crate::fault::{Draws, Gate, Life, Operation, Trap};
use crate::world::{LATENCY, SimStage};

/// How the world is set.
#[derive(Debug, Clone)]
pub struct Options {
    /// How far the network moves at once. 10 ms for scenarios, 1 ms to hunt races.
    pub tick: Duration,
    /// The shortest and the longest time of a message on a link; each is drawn by the seed.
    pub latency: (Duration, Duration),
}

impl Default for Options {
    fn default() -> Self {
        Self { tick: Duration::from_millis(10), latency: LATENCY }
    }
}

/// One host: what survives its crashes.
struct Actor {
    name: String,
    part: Part,
    gate: Arc<Gate>,
    platter: Platter,
    graves: Arc<net::Graveyard>,
}

/// A play in turmoil. Performed once.
pub struct TurmoilStage {
    seed: u64,
    recorder: Recorder,
    options: Options,
    world: Arc<World>,
    actors: Vec<Arc<Actor>>,
    sites: BTreeMap<String, Site>,
}

impl TurmoilStage {
    /// A stage whose every chance depends on `seed`.
    #[must_use]
    pub fn new(seed: u64, recorder: Recorder, options: Options) -> Self {
        let links = links::Links::new(seed, recorder.clone());
        let world = Arc::new(World::new(EPOCH, options.latency.0, links));
        Self { seed, recorder, options, world, actors: Vec::new(), sites: BTreeMap::new() }
    }

    /// How many seam operations `host` has done; 0 if there is no such host.
    #[must_use]
    pub fn operations(&self, host: &str) -> u64 {
        self.actor(host).map_or(0, |actor| actor.gate.operations())
    }

    fn actor(&self, name: &str) -> Option<&Arc<Actor>> {
        self.actors.iter().find(|actor| actor.name == name)
    }

    fn actor_for(&self, name: &str, part: Part) -> Arc<Actor> {
        let world = Arc::clone(&self.world);
        Arc::new(Actor {
            name: name.to_owned(),
            part,
            gate: Gate::new(name, self.recorder.clone(), move || world.now()),
            platter: Platter::default(),
            graves: Arc::default(),
        })
    }
}

impl Stage for TurmoilStage {
    fn enter(&mut self, name: &str, part: Part) {
        if self.actor(name).is_some() || name == run::DIRECTOR {
            return self.world.trouble(format!("{name}: there is a host of this name already"));
        }
        let actor = self.actor_for(name, part);
        self.actors.push(actor);
    }

    fn place(&mut self, name: &str, site: Site) {
        self.sites.insert(name.to_owned(), site);
    }

    fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    fn faults(&self) -> Arc<dyn Faults> {
        Arc::clone(&self.world) as Arc<dyn Faults>
    }

    fn perform(&mut self, director: Part, limit: Duration) -> Result<(), String> {
        let director = self.actor_for(run::DIRECTOR, director);
        run::perform(self, &director, limit)
    }
}

impl SimStage for TurmoilStage {
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

/// What a host's software needs each time it starts.
#[derive(Clone)]
struct Boot {
    seed: u64,
    world: Arc<World>,
}

impl Boot {
    fn host(&self, actor: &Actor, life: &Life, own: std::net::IpAddr) -> Host {
        let generation = life.generation().to_string();
        let draws = |what| Mutex::new(Draws::new(self.seed, &[what, &actor.name, &generation]));
        let (world, life) = (Arc::clone(&self.world), life.clone());
        let graves = Arc::clone(&actor.graves);
        Host {
            disk: actor.platter.mount(life.clone()),
            entropy: Arc::new(seam::SimEntropy(draws("entropy"))),
            tasks: Arc::new(seam::SimTasks {
                world: Arc::clone(&world),
                life: life.clone(),
                disk_time: draws("disk"),
            }),
            clock: Arc::new(seam::SimClock { world: Arc::clone(&world), life: life.clone() }),
            net: Arc::new(net::SimNet { world, life, graves, own }),
        }
    }

    /// The software of `actor` for its present generation. It never ends: turmoil stops a host
    /// whose software has, with all its tasks.
    async fn software(self, actor: Arc<Actor>) {
        if actor.gate.is_stopped() {
            // A machine whose process is gone: its kernel refuses what comes.
            return std::future::pending().await;
        }
        actor.graves.free_ports();
        let life = actor.gate.life();
        actor.gate.record(Draft::new(Kind::HostStarted).with("generation", life.generation()));
        let own = self.world.address(&actor.name).unwrap_or([0, 0, 0, 0].into());
        let host = self.host(&actor, &life, own);
        let (world, name) = (Arc::clone(&self.world), actor.name.clone());
        let part = (actor.part)(host);
        let alive = life.clone();
        let play = Box::pin(async move {
            // What a process says in the instant of its crash is nobody's trouble.
            if let Err(why) = part.await
                && !alive.is_over()
            {
                world.trouble(format!("{name}: {why}"));
            }
        });
        seam::watch(self.world, life, "main", play).await;
    }
}

/// Runs `play` on a thread of its own, so that nothing a thread remembers joins two runs.
///
/// # Panics
/// When `play` panics.
pub fn on_fresh_thread<T: Send>(play: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        scope.spawn(play).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
