//! The plain wake as a play, and what must be true of every performance of it.

use std::time::Duration;

use reveille_conformance::cast::sip::Transport;
use reveille_conformance::cast::{caller, phone};
use reveille_conformance::player::{Cast, Script, Step, Verb, When, perform};
use reveille_conformance::stage::Stage;
use reveille_gateway_driver::config::Settings;
use reveille_scenarios::{Sight, What};
use reveille_sim::fault::Trap;
use reveille_sim::target;
use reveille_sim::turmoil::{Options, TurmoilStage, on_fresh_thread};
use reveille_trace::{Event, Kind, Recorder, Trace};

/// A performance, and how many seam operations the gateway did in it.
pub(crate) struct Played {
    pub(crate) trace: Trace,
    pub(crate) outcome: Result<(), String>,
    pub(crate) operations: Vec<&'static str>,
}

/// What is played, and how.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) trap: Option<Trap>,
    pub(crate) settings: Settings,
    pub(crate) cast: Cast,
    pub(crate) steps: Vec<Step>,
}

pub(crate) fn sight(actor: &str, what: What) -> Sight {
    Sight { actor: Some(actor.to_owned()), what, about: None, numbers: None, text: None }
}

pub(crate) fn heard(status: u16) -> Sight {
    Sight { numbers: Some((status, status)), ..sight("alice", What::Received) }
}

pub(crate) fn asleep() -> When {
    When::Seen(Sight { text: Some("hibernated".to_owned()), ..sight("bob", What::State) })
}

pub(crate) fn call(mark: &str) -> caller::Call {
    caller::Call {
        mark: mark.to_owned(),
        to: "sip:bob@example.com".to_owned(),
        hang_up_after_ms: Some(1_000),
        in_dialog: caller::InDialog::Contact,
        lost_answers: 0,
    }
}

pub(crate) fn alice(when: When, command: caller::Command) -> Step {
    Step { when, verb: Verb::Caller("alice".to_owned(), command) }
}

pub(crate) fn bob(when: When, command: phone::Command) -> Step {
    Step { when, verb: Verb::Phone("bob".to_owned(), command) }
}

impl Plan {
    /// Bob's phone sleeps, alice calls it.
    pub(crate) fn plain(seed: u64) -> Self {
        Self::with(phone::AppKind::Sdk, Transport::Udp, seed)
    }

    pub(crate) fn with(app: phone::AppKind, transport: Transport, seed: u64) -> Self {
        let settings = target::settings(&["bob"]);
        Self {
            seed,
            trap: None,
            cast: target::cast(&settings, app, transport),
            settings,
            steps: vec![
                bob(When::Now, phone::Command::Sleep(phone::SleepBy::Hibernate)),
                alice(asleep(), caller::Command::Call(call("c1"))),
            ],
        }
    }

    /// How bob's app treats calls.
    pub(crate) fn conduct(mut self, conduct: phone::Conduct) -> Self {
        self.cast.phones.values_mut().for_each(|phone| phone.conduct = conduct);
        self
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

pub(crate) fn play(plan: &Plan) -> Played {
    on_fresh_thread(|| {
        let recorder = Recorder::keeping();
        let mut stage = TurmoilStage::new(plan.seed, recorder.clone(), Options::default());
        target::enter(&mut stage, plan.settings.clone());
        if let Some(trap) = plan.trap {
            assert!(stage.lay("gateway", trap), "there is a gateway to crash");
        }
        let budget_ms = plan.settings.core.wake_budget_ms;
        let script = Script {
            id: "asleep/plain-wake".to_owned(),
            title: "A call wakes a sleeping phone and is answered".to_owned(),
            target: vec![("wake-budget-ms".to_owned(), budget_ms.to_string())],
            cast: plan.cast.clone(),
            steps: plan.steps.clone(),
            laid: plan.trap.iter().map(|trap| (trap.fault(), "gateway".to_owned())).collect(),
            patience: Duration::from_secs(70),
            limit: Duration::from_secs(200),
        };
        let outcome = perform(&script, &mut stage as &mut dyn Stage).map(|_| ());
        let operations = stage.log("gateway").iter().map(|operation| operation.what).collect();
        let trace = Trace { events: recorder.events(), ..Trace::default() };
        Played { trace, outcome, operations }
    })
}

fn text(event: &Event) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(event.bytes())
}

/// Responses to alice's INVITE: status and To tag, in order.
pub(crate) fn responses(trace: &Trace) -> Vec<(u16, String)> {
    let to_invite = |event: &&Event| {
        event.actor == "alice"
            && event.kind == Kind::SipReceived
            && text(event).lines().any(|line| line.starts_with("CSeq:") && line.ends_with("INVITE"))
    };
    let read = |event: &Event| {
        let text = text(event).into_owned();
        let status = text.split(' ').nth(1)?.parse().ok()?;
        let to = text.lines().find(|line| line.starts_with("To:"))?.to_owned();
        Some((status, to.split_once(";tag=").map_or("", |(_, tag)| tag).to_owned()))
    };
    trace.events.iter().filter(to_invite).filter_map(read).collect()
}

/// What is wrong with a performance in which nothing that was accepted may be lost.
pub(crate) fn loss(played: &Played) -> Option<String> {
    if let Err(broken) = &played.outcome {
        return Some(format!("the harness broke: {broken}"));
    }
    let responses = responses(&played.trace);
    let finals: Vec<_> = responses.iter().filter(|(status, _)| *status >= 200).collect();
    let Some((status, tag)) = finals.first() else {
        return Some(format!("alice was left without an answer: {responses:?}"));
    };
    if *status != 200 {
        return Some(format!("alice heard {status}"));
    }
    if finals.iter().any(|other| other != &finals[0]) {
        return Some(format!("alice heard two finals: {finals:?}"));
    }
    if responses.iter().any(|(status, other)| *status > 100 && other != tag) {
        return Some(format!("the To tag changed: {responses:?}"));
    }
    let alerts = played.trace.events.iter().filter(|event| event.kind == Kind::AppAlerted).count();
    if alerts != 1 {
        return Some(format!("bob's app alerted {alerts} times"));
    }
    None
}
