use std::sync::Arc;
use std::time::Duration;

use reveille_conformance::stage::Fault;
use reveille_scenarios::Weather;
use reveille_trace::{Draft, Kind};

use super::agenda::Event;
use super::chance::Chance;
use super::executor::{Executor, Fresh};
use super::links::Trouble;
use super::world::{Asks, WallClock};
use super::{ExpressStage, World};
use crate::fault::{Draws, Trap, micros};

/// The name of the host that cannot fail.
pub(super) const DIRECTOR: &str = "director";
/// The first host begins that much earlier than the others, which meet it ready, and they begin one
/// after the other.
const HEAD_START_US: u64 = 20_000;
const APART_US: u64 = 100;
/// Turns that all tasks together may take at one instant: far above what a play needs.
const TURNS: u64 = 10_000_000;

/// Performs the play of `stage`, whose last actor is the director.
pub(super) fn perform(stage: &ExpressStage, limit: Duration) -> Result<(), String> {
    let mut run = Run::new(stage);
    let played = run.play(limit);
    run.end();
    played
}

struct Run<'a> {
    stage: &'a ExpressStage,
    world: Arc<World>,
    executor: Executor,
    clocks: Vec<Arc<WallClock>>,
    power: Draws,
    over: bool,
}

impl<'a> Run<'a> {
    fn new(stage: &'a ExpressStage) -> Self {
        let mut clocks = Vec::new();
        for actor in &stage.actors {
            let place = stage.places.get(&actor.name).copied().unwrap_or_default();
            clocks.push(Arc::new(WallClock::ahead(place.ahead_ms)));
            stage.world.net(|net| net.add(&actor.name, place.nat.map(micros)));
        }
        let executor = Executor::new(Chance::new(stage.seed, "turns"));
        let power = Draws::new(stage.seed, &["power"]);
        let world = Arc::clone(&stage.world);
        Self { stage, world, executor, clocks, power, over: false }
    }

    fn director(&self) -> usize {
        self.stage.actors.len() - 1
    }

    fn play(&mut self, limit: Duration) -> Result<(), String> {
        self.begin(0);
        for (number, at) in (1..self.stage.actors.len()).zip(0..) {
            let at_us = HEAD_START_US + at * APART_US;
            self.world.net(|net| net.agenda.plan(at_us, Event::Begin(number)));
        }
        loop {
            self.instant()?;
            if self.over {
                return Ok(());
            }
            let (next, bites) = self.world.net(|net| {
                let next = net.agenda.pop();
                (next, std::mem::take(&mut net.links.bites))
            });
            for (fault, on) in bites {
                self.struck(fault, &on);
            }
            let Some((at_us, event)) = next else {
                return Err(
                    "the director waits for something that cannot happen any more".to_owned()
                );
            };
            if at_us >= micros(limit) {
                return Err(format!("the director had not ended after {limit:?}"));
            }
            self.world.go_to(at_us);
            match event {
                Event::Wake(waker) => waker.wake(),
                Event::Packet(packet) => self.world.timed(|net, now| net.pass(packet, now)),
                Event::Begin(number) => self.begin(number),
                Event::Start(number) => self.start(number),
            }
        }
    }

    /// Everything that happens without any time passing.
    fn instant(&mut self) -> Result<(), String> {
        for _ in 0..TURNS {
            if let Some(asks) = self.world.asks() {
                self.answer(asks)?;
            }
            if self.over {
                return Ok(());
            }
            let Some(turn) = self.executor.turn() else { return Ok(()) };
            let actor = &self.stage.actors[turn.actor];
            if let Some(what) = turn.panic {
                return Err(format!("{}: {what}", actor.name));
            }
            if let Some(trap) = actor.gate.sprung() {
                self.sprung(turn.actor, trap);
            }
        }
        let busy: Vec<_> = (0..self.stage.actors.len())
            .flat_map(|actor| self.executor.tasks(actor))
            .take(20)
            .collect();
        Err(format!("time stands still at {} us; tasks: {busy:?}", self.world.now()))
    }

    fn answer(&mut self, asks: Asks) -> Result<(), String> {
        let Asks { fresh, orders, stepped, troubles, ended } = asks;
        self.over |= ended;
        if let Some(trouble) = troubles.into_iter().next() {
            return Err(trouble);
        }
        for fresh in fresh {
            if !fresh.life.is_over() {
                self.executor.take_in(fresh);
            }
        }
        for number in stepped {
            self.struck("clock-step", &self.stage.actors[number].name);
        }
        orders.into_iter().try_for_each(|fault| self.strike(fault))
    }

    /// Begins the software of a host for its present generation.
    fn begin(&mut self, number: usize) {
        let actor = &self.stage.actors[number];
        let life = actor.gate.life();
        actor.gate.record(Draft::new(Kind::HostStarted).with("generation", life.generation()));
        let host = self.stage.host(number, &self.clocks[number]);
        let (world, name) = (Arc::clone(&self.world), actor.name.clone());
        let part = (actor.part)(host);
        let (alive, is_director) = (life.clone(), number == self.director());
        let future = Box::pin(async move {
            let ended = part.await;
            // What a process says in the instant of its crash is nobody's trouble.
            match ended {
                Err(why) if !alive.is_over() => {
                    world.ask(|asks| asks.troubles.push(format!("{name}: {why}")));
                }
                _ if is_director => world.ask(|asks| asks.ended = true),
                _ => {}
            }
        });
        self.executor.take_in(Fresh { actor: number, name: "main", life, future });
    }

    fn start(&mut self, number: usize) {
        let gate = &self.stage.actors[number].gate;
        gate.start();
        self.world.net(|net| net.power(number, true));
        self.begin(number);
    }

    fn find(&self, host: &str) -> Result<usize, String> {
        let found = self.stage.actors.iter().position(|actor| actor.name == host);
        found
            .filter(|number| *number != self.director())
            .ok_or_else(|| format!("a fault was ordered on {host}, which is no host that can fail"))
    }

    fn sprung(&mut self, number: usize, trap: Trap) {
        // The strike is recorded already, at its own instant.
        self.fall(number, trap.silent, trap.down);
    }

    /// The software of a host is gone, and with `silent` the power too.
    fn fall(&mut self, number: usize, silent: bool, down: Duration) {
        self.executor.kill(number);
        let actor = &self.stage.actors[number];
        actor.gate.stop(silent);
        if silent {
            actor.platter.lose_power(&mut self.power);
            self.world.net(|net| net.power(number, false));
        }
        let at = self.world.now() + micros(down);
        self.world.net(|net| net.agenda.plan(at, Event::Start(number)));
    }

    fn strike(&mut self, fault: Fault) -> Result<(), String> {
        let (name, on) = (fault.name(), fault.on());
        match fault {
            Fault::CrashAt { host, at, after, down } => {
                let trap = Trap { at, after, silent: false, down };
                self.stage.actors[self.find(&host)?].gate.lay(trap);
            }
            Fault::Partition { a, b, lasts } => {
                self.trouble((name, on), (&a, &b), true, None, lasts)?;
            }
            Fault::Cut { from, to, lasts } => {
                self.trouble((name, on), (&from, &to), false, None, lasts)?;
            }
            Fault::Outage { host, lasts } => {
                let host = self.find(&host)?;
                self.begin_trouble((name, on), (host, host), true, None, lasts);
            }
            Fault::Storm { a, b, weather, lasts } => {
                self.trouble((name, on), (&a, &b), true, Some(weather), lasts)?;
            }
            Fault::Crash { host, down } => self.fell(name, &host, down, true, false)?,
            Fault::PowerLoss { host, down } => self.fell(name, &host, down, true, true)?,
            // Its destructors still speak.
            Fault::Restart { host, down } => self.fell(name, &host, down, false, false)?,
            Fault::Move { host } => {
                let number = self.find(&host)?;
                if self.world.net(|net| net.move_on(number)) > 0 {
                    self.struck(name, &on);
                }
            }
            Fault::Rebind { host } => {
                let number = self.find(&host)?;
                if self.world.net(|net| net.rebind(number)) > 0 {
                    self.struck(name, &on);
                }
            }
            Fault::ClockStep { host, by_ms } => self.clocks[self.find(&host)?].step(by_ms),
        }
        Ok(())
    }

    fn trouble(
        &mut self,
        (fault, on): (&'static str, String),
        (a, b): (&str, &str),
        both_ways: bool,
        weather: Option<Weather>,
        lasts: Duration,
    ) -> Result<(), String> {
        let find = |name: &str| {
            let found = self.world.net(|net| net.machine(name));
            found.ok_or_else(|| format!("a {fault} was ordered on {name}, which is no host"))
        };
        let between = (find(a)?, find(b)?);
        if between.0 == between.1 {
            return Err(format!("a {fault} was ordered between {a} and itself"));
        }
        self.begin_trouble((fault, on), between, both_ways, weather, lasts);
        Ok(())
    }

    fn begin_trouble(
        &mut self,
        (fault, on): (&'static str, String),
        between: (usize, usize),
        both_ways: bool,
        weather: Option<Weather>,
        lasts: Duration,
    ) {
        let from_us = self.world.now();
        let until_us = from_us.saturating_add(micros(lasts));
        let bit = false;
        let trouble = Trouble { fault, on, between, both_ways, from_us, until_us, weather, bit };
        self.world.net(|net| {
            net.links.forget(from_us);
            net.links.trouble(trouble);
        });
    }

    /// Takes down a host that is up.
    fn fell(
        &mut self,
        fault: &'static str,
        host: &str,
        down: Duration,
        at_once: bool,
        silent: bool,
    ) -> Result<(), String> {
        let number = self.find(host)?;
        let actor = &self.stage.actors[number];
        if actor.gate.is_stopped() {
            return Ok(());
        }
        self.struck(fault, host);
        actor.gate.record(Draft::new(Kind::HostCrashed).with("goodbye", !silent));
        if at_once {
            actor.gate.stop(silent);
        }
        self.fall(number, silent, down);
        Ok(())
    }

    fn struck(&self, fault: &'static str, on: &str) {
        let draft = Draft::new(Kind::FaultStruck).with("fault", fault).with("on", on);
        self.stage.recorder.record("world", self.world.now(), draft);
    }

    /// Lets nobody speak while the world is taken down.
    fn end(&mut self) {
        for actor in &self.stage.actors {
            actor.gate.stop(true);
        }
        self.executor.end();
        drop(self.world.asks());
    }
}
