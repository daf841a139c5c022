use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use ::turmoil::{Builder, Sim};
use reveille_conformance::stage::Fault;
use reveille_trace::{Draft, Kind};

use super::world::Cut;
use super::{Actor, Boot, TurmoilStage};
use crate::EPOCH;
use crate::fault::{Draws, Trap, micros};

/// The name of the host that cannot fail.
pub(super) const DIRECTOR: &str = "director";
/// Segments and datagrams that wait at one socket: far above what a play sends in one tick.
const QUEUE: usize = 4096;

/// Performs the play of `stage` under `director`.
pub(super) fn perform(
    stage: &TurmoilStage,
    director: &Arc<Actor>,
    limit: Duration,
) -> Result<(), String> {
    // turmoil tells every packet in hex to whoever listens.
    let nobody = tracing::subscriber::NoSubscriber::default();
    tracing::subscriber::with_default(nobody, || {
        let mut run = Run::new(stage, director, limit);
        let played = run.play(limit);
        run.end();
        played
    })
}

struct Run<'a> {
    stage: &'a TurmoilStage,
    sim: Sim<'a>,
    over: Arc<AtomicBool>,
    starts: Vec<(Duration, Arc<Actor>)>,
    power: Draws,
    orders: u64,
}

impl<'a> Run<'a> {
    fn new(stage: &'a TurmoilStage, director: &Arc<Actor>, limit: Duration) -> Self {
        let options = &stage.options;
        let mut sim = Builder::new()
            .rng_seed(stage.seed)
            .epoch(UNIX_EPOCH + EPOCH)
            .tick_duration(options.tick)
            .min_message_latency(options.latency.0)
            .max_message_latency(options.latency.1.max(options.latency.0))
            .tcp_capacity(QUEUE)
            .udp_capacity(QUEUE)
            // This run keeps its own limit, so that it can say what it was waiting for.
            .simulation_duration(limit.saturating_add(Duration::from_secs(3600)))
            .build();
        let boot = Boot { seed: stage.seed, world: Arc::clone(&stage.world) };
        for actor in &stage.actors {
            let (boot, actor) = (boot.clone(), Arc::clone(actor));
            let name = actor.name.clone();
            sim.host(name.as_str(), move || {
                let (boot, actor) = (boot.clone(), Arc::clone(&actor));
                async move {
                    boot.software(actor).await;
                    pending().await
                }
            });
            let site = stage.sites.get(&name).copied().unwrap_or_default();
            let address = sim.lookup(name.as_str());
            stage.world.name(&name, address);
            stage.world.links.host(&name, address, site.nat, site.ahead_ms);
        }
        let over = Arc::new(AtomicBool::new(false));
        let (lead, ended) = (Arc::clone(director), Arc::clone(&over));
        sim.client(DIRECTOR, async move {
            boot.software(lead).await;
            ended.store(true, Ordering::Relaxed);
            Ok(())
        });
        stage.world.name(DIRECTOR, sim.lookup(DIRECTOR));
        let power = Draws::new(stage.seed, &["power"]);
        Self { stage, sim, over, starts: Vec::new(), power, orders: 0 }
    }

    fn play(&mut self, limit: Duration) -> Result<(), String> {
        while !self.over.load(Ordering::Relaxed) {
            if let Some(trouble) = self.stage.world.first_trouble() {
                return Err(trouble);
            }
            if self.sim.elapsed() >= limit {
                return Err(format!("the director had not ended after {limit:?}"));
            }
            self.between()?;
            self.stage.world.pause(None);
            let stepped = self.sim.step();
            self.stage.world.pause(Some(self.sim.elapsed()));
            stepped.map_err(|error| error.to_string())?;
        }
        self.stage.world.first_trouble().map_or(Ok(()), Err)
    }

    /// Everything that happens between two steps.
    fn between(&mut self) -> Result<(), String> {
        for actor in &self.stage.actors {
            if let Some(trap) = actor.gate.sprung() {
                // The strike is recorded already, at its own instant.
                self.sim.crash(actor.name.as_str());
                if trap.silent {
                    actor.platter.lose_power(&mut self.power);
                } else {
                    self.sim.bounce(actor.name.as_str());
                }
                self.starts.push((self.sim.elapsed() + trap.down, Arc::clone(actor)));
            }
        }
        for fault in self.stage.world.orders() {
            self.strike(fault)?;
        }
        self.heal();
        self.start();
        Ok(())
    }

    fn actor(&self, name: &str) -> Result<Arc<Actor>, String> {
        let found = self.stage.actor(name).map(Arc::clone);
        found
            .ok_or_else(|| format!("a fault was ordered on {name}, which is no host that can fail"))
    }

    fn strike(&mut self, fault: Fault) -> Result<(), String> {
        let name = fault.name();
        match fault {
            Fault::CrashAt { host, at, after, down } => {
                self.actor(&host)?.gate.lay(Trap { at, after, silent: false, down });
            }
            Fault::Partition { a, b, lasts } => {
                let on = format!("{a}--{b}");
                self.orders += 1;
                self.cut((name, on), &a, &b, lasts)?;
            }
            Fault::Outage { host, lasts } => {
                self.orders += 1;
                let others: Vec<_> = self.stage.actors.iter().map(|actor| &actor.name).collect();
                self.actor(&host)?;
                for other in others.into_iter().filter(|other| **other != host) {
                    self.cut((name, host.clone()), &host, other, lasts)?;
                }
            }
            Fault::Cut { .. } | Fault::Storm { .. } => self.spoil(fault)?,
            Fault::Move { host } => self.stage.world.links.shift(self.address(name, &host)?),
            Fault::Rebind { host } => {
                let (now, host) = (self.sim.elapsed(), self.address(name, &host)?);
                self.stage.world.links.rebind(host, now);
            }
            Fault::ClockStep { host, by_ms } => {
                self.address(name, &host)?;
                self.stage.world.links.step_clock(&host, by_ms);
            }
            Fault::Crash { host, down } => self.fell(name, &host, down, |run, actor| {
                actor.gate.stop(false);
                run.sim.crash(actor.name.as_str());
                run.sim.bounce(actor.name.as_str());
            })?,
            Fault::PowerLoss { host, down } => self.fell(name, &host, down, |run, actor| {
                actor.gate.stop(true);
                run.sim.crash(actor.name.as_str());
                actor.platter.lose_power(&mut run.power);
            })?,
            Fault::Restart { host, down } => self.fell(name, &host, down, |run, actor| {
                run.sim.crash(actor.name.as_str());
                actor.gate.stop(false);
                run.sim.bounce(actor.name.as_str());
            })?,
        }
        Ok(())
    }

    /// Takes down a host that is up; `how` decides who speaks while it falls.
    fn fell(
        &mut self,
        fault: &'static str,
        host: &str,
        down: Duration,
        how: impl FnOnce(&mut Self, &Actor),
    ) -> Result<(), String> {
        let actor = self.actor(host)?;
        if actor.gate.is_stopped() {
            return Ok(());
        }
        self.struck(fault, host);
        let goodbye = fault != "power-loss";
        actor.gate.record(Draft::new(Kind::HostCrashed).with("goodbye", goodbye));
        how(self, &actor);
        self.starts.push((self.sim.elapsed() + down, actor));
        Ok(())
    }

    fn struck(&self, fault: &'static str, on: &str) {
        let draft = Draft::new(Kind::FaultStruck).with("fault", fault).with("on", on);
        self.stage.recorder.record("world", micros(self.sim.elapsed()), draft);
    }

    fn address(&self, fault: &str, name: &str) -> Result<IpAddr, String> {
        let found = self.stage.world.address(name);
        found.ok_or_else(|| format!("a {fault} was ordered on {name}, which is no host"))
    }

    /// The ends of a link.
    fn ends(&self, fault: &str, a: &str, b: &str) -> Result<(IpAddr, IpAddr), String> {
        let between = (self.address(fault, a)?, self.address(fault, b)?);
        if between.0 == between.1 {
            return Err(format!("a {fault} was ordered between {a} and itself"));
        }
        Ok(between)
    }

    /// Cuts one direction of a link, or lets it storm.
    fn spoil(&self, fault: Fault) -> Result<(), String> {
        let (name, on, now) = (fault.name(), fault.on(), self.sim.elapsed());
        match fault {
            Fault::Cut { from, to, lasts } => {
                let way = self.ends(name, &from, &to)?;
                self.stage.world.links.cut(way, now + lasts, on);
            }
            Fault::Storm { a, b, weather, lasts } => {
                let way = self.ends(name, &a, &b)?;
                self.stage.world.links.storm(way, weather, now + lasts, on);
            }
            _ => {}
        }
        Ok(())
    }

    fn cut(
        &mut self,
        (fault, on): (&'static str, String),
        a: &str,
        b: &str,
        lasts: Duration,
    ) -> Result<(), String> {
        let between = self.ends(fault, a, b)?;
        self.sim.hold(a, b);
        let (until, order) = (self.sim.elapsed() + lasts, self.orders);
        let (a, b) = (a.to_owned(), b.to_owned());
        let (bit, healed, told) = (false, false, false);
        let cut = Cut { fault, on, order, a, b, between, until, bit, healed, told };
        self.stage.world.cuts(|cuts| cuts.push(cut));
        Ok(())
    }

    /// Tells of cuts that bit, and lets go of links whose last cut is over.
    fn heal(&self) {
        let now = self.sim.elapsed();
        let held = self.held();
        let (mut told, mut heals) = (Vec::new(), Vec::new());
        self.stage.world.cuts(|cuts| {
            for cut in cuts.iter_mut().filter(|cut| !cut.healed) {
                cut.bit |= held.iter().any(|(a, b)| cut.is_of(*a, *b));
                if cut.until <= now {
                    cut.healed = true;
                    heals.push(cut.clone());
                }
            }
            heals.retain(|over| {
                !cuts.iter().any(|cut| !cut.healed && cut.is_of(over.between.0, over.between.1))
            });
            let bit = cuts.iter().filter(|cut| cut.bit && !cut.told);
            let mut news: Vec<_> = bit.map(|cut| (cut.order, cut.fault, cut.on.clone())).collect();
            news.dedup_by_key(|(order, ..)| *order);
            for cut in cuts.iter_mut() {
                cut.told |= news.iter().any(|(order, ..)| *order == cut.order);
            }
            told = news;
        });
        for (_, fault, on) in told {
            self.struck(fault, &on);
        }
        for cut in heals {
            self.sim.release(cut.a.as_str(), cut.b.as_str());
        }
    }

    /// The links with messages on them, and so with held ones where a cut is.
    fn held(&self) -> Vec<(IpAddr, IpAddr)> {
        let mut held = Vec::new();
        if self.stage.world.cuts(|cuts| cuts.iter().all(|cut| cut.healed)) {
            return held;
        }
        self.sim.links(|links| {
            for mut link in links {
                let pair = link.pair();
                if link.next().is_some() {
                    held.push(pair);
                }
            }
        });
        held
    }

    fn start(&mut self) {
        let now = self.sim.elapsed();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.starts).into_iter().partition(|(at, _)| *at <= now);
        self.starts = later;
        for (_, actor) in due {
            actor.graves.forget_streams();
            actor.gate.start();
            self.sim.bounce(actor.name.as_str());
        }
    }

    /// Lets nobody speak while the world is taken down.
    fn end(self) {
        for actor in &self.stage.actors {
            actor.gate.stop(true);
        }
        drop(self.sim);
        for actor in &self.stage.actors {
            actor.graves.forget_streams();
            actor.graves.free_ports();
        }
    }
}
