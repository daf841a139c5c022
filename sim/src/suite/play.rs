use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use reveille_conformance::checks;
use reveille_conformance::player;
use reveille_gateway_driver::config::Settings;
use reveille_scenarios::{Actor, Expect};
use reveille_trace::{
    Case, Event, Finding, Manifest, Observed, Recorder, SCHEMA, Span, Trace, Verdict,
};

use super::{Job, Played};
use crate::SimStage;
use crate::fault::Operation;
use crate::target::{self, SimRig};

/// Plays one case and judges it: the checks of all requirements that its trace speaks of, those it
/// covers in any case, and the scenario's own expectations.
#[must_use]
pub fn play(job: &Job) -> Played {
    play_with(job, |_| {})
}

/// As [`play`], with the gateway set in another way: for planted defects and for studies.
#[must_use]
pub fn play_with(job: &Job, set: impl FnOnce(&mut Settings)) -> Played {
    let job = &job.drawn();
    let mut settings = settings(job);
    set(&mut settings);
    let (trace, expects, outcome) = job.world.perform(|| perform(job, &settings));
    let findings = match outcome {
        // A check that panics is a defect of the judge, and costs this case alone.
        Ok(()) => catch_unwind(AssertUnwindSafe(|| judged(job, &trace, &expects)))
            .unwrap_or_else(|panic| vec![broken(told(&*panic), &trace.events)]),
        Err(what) => vec![broken(what, &trace.events)],
    };
    let length_us = trace.events.last().map_or(0, |event| event.t_us);
    let verdict = Verdict::of(&job.name(), job.seed, findings, trace.digest(), length_us);
    let case = Case {
        scenario: job.piece.scenario.id.clone(),
        title: job.piece.scenario.title.clone(),
        cell: job.cell.clone(),
        faults: checks::planned_faults(&trace),
        met: checks::met(&trace),
        replay: trace.manifest.replay.clone(),
        events: None,
        seeds: None,
        verdict,
    };
    Played { case, trace: Some(trace) }
}

/// Performs a case without judging it, with the gateway and the script set in another way: for
/// benchmarks. The recorder decides what is kept.
///
/// # Errors
/// What broke in the harness.
pub fn rehearse(
    job: &Job,
    recorder: &Recorder,
    set: impl FnOnce(&mut Settings, &mut player::Script) + Send,
) -> Result<(), String> {
    job.world.perform(|| {
        let mut settings = settings(job);
        let (mut script, _) = player::script(&job.piece.scenario, &SimRig(&settings));
        set(&mut settings, &mut script);
        let mut stage = job.world.stage(job.seed, recorder.clone(), job.is_calm);
        target::enter_nodes(&mut *stage, &settings, job.piece.scenario.world.nodes);
        player::perform(&script, &mut *stage).map(drop)
    })
}

/// What `host` does at its seam in a performance of `job`.
pub(super) fn operations(job: &Job, host: &str) -> Vec<Operation> {
    job.world.perform(|| {
        let mut stage = job.world.stage(job.seed, Recorder::passing(), job.is_calm);
        let (settings, rig_settings) = (settings(job), settings(job));
        target::enter_nodes(&mut *stage, &settings, job.piece.scenario.world.nodes);
        let (script, _) = player::script(&job.piece.scenario, &SimRig(&rig_settings));
        // A harness that breaks here breaks again in the case without a fault, and is told there.
        drop(player::perform(&script, &mut *stage));
        stage.log(host)
    })
}

fn settings(job: &Job) -> Settings {
    let scenario = &job.piece.scenario;
    let phones = scenario.actors.iter().filter(|(_, is)| matches!(is, Actor::Phone { .. }));
    let names: Vec<_> = phones.map(|(name, _)| name.as_str()).collect();
    let mut settings = target::settings(&names);
    target::adjust(&mut settings, &scenario.world);
    settings
}

type Performed = (Trace, Vec<Expect>, Result<(), String>);

fn perform(job: &Job, settings: &Settings) -> Performed {
    let recorder = Recorder::keeping();
    let mut stage = job.world.stage(job.seed, recorder.clone(), job.is_calm);
    let (mut script, expects) = player::script(&job.piece.scenario, &SimRig(settings));
    target::enter_nodes(&mut *stage, settings, job.piece.scenario.world.nodes);
    let outcome = lay(job, &mut script, &*stage);
    let outcome = outcome.and_then(|()| player::perform(&script, &mut *stage).map(|_| ()));
    let trace = Trace { manifest: manifest(job), events: recorder.events() };
    (trace, expects, outcome)
}

/// Lays the trap of a sweep, before the cast enters: only the gateway is there.
fn lay(job: &Job, script: &mut player::Script, stage: &dyn SimStage) -> Result<(), String> {
    let (Some(trap), Some(sweep)) = (job.trap, &job.piece.scenario.sweep) else { return Ok(()) };
    script.laid.push((trap.fault(), sweep.on.clone()));
    if stage.lay(&sweep.on, trap) {
        return Ok(());
    }
    Err(format!(
        "a sweep strikes the gateway; {} is no host that is there before the play",
        sweep.on
    ))
}

fn manifest(job: &Job) -> Manifest {
    Manifest {
        schema: SCHEMA,
        reveille: env!("CARGO_PKG_VERSION").to_owned(),
        scenario: job.piece.scenario.id.clone(),
        scenario_sha256: job.piece.sha256.clone(),
        world: job.world.name().to_owned(),
        seed: Some(job.seed),
        replay: job.replay(),
        settings: job.cell.clone(),
    }
}

fn judged(job: &Job, trace: &Trace, expects: &[Expect]) -> Vec<Finding> {
    let covers: Vec<_> = job.piece.scenario.covers.iter().map(String::as_str).collect();
    let mut findings: Vec<_> = player::unplayed(&trace.events).into_iter().collect();
    findings.extend(checks::judge(trace, &covers));
    findings.extend(player::judge(&trace.events, expects));
    findings
}

/// What a panic of the judge says.
fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the judge panicked: {}", text.unwrap_or("without a word"))
}

fn broken(what: String, events: &[Event]) -> Finding {
    let last = events.last().map(|event| event.seq);
    Finding {
        requirement: "harness".to_owned(),
        level: "MUST".to_owned(),
        observed: Observed::Error,
        expected: "the play can be performed".to_owned(),
        actual: what,
        evidence: last.map(|at| Span { first: at, last: at }),
    }
}
