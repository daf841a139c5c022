//! Performs a script on a stage: the cast enters, phones register, steps are taken when they are
//! due, and the play ends when nothing is under way any more.

mod beside;
mod devices;
mod expect;
mod facts;
mod faults;
mod parties;
mod rig;
mod troupe;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reveille_host::{BoxFuture, Host, within};
use reveille_scenarios::{Sight, What};
use reveille_trace::{Draft, Event, Kind, Scribe};
use tokio::sync::Notify;

pub use expect::{judge, unplayed};
pub use facts::{Fact, Facts};
pub use rig::{Rig, script};
pub use troupe::Cast;

use crate::cast::sip::now_us;
use crate::cast::{caller, phone, push, registrar};
use crate::stage::{Fault, Faults, Part, Site, Stage};
use troupe::Troupe;

/// How long phones have to register before the first step.
const SET_UP: Duration = Duration::from_secs(60);
/// How long nothing must happen for the play to be over.
const QUIET: Duration = Duration::from_secs(5);

/// When a step is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// With the step before.
    Now,
    /// That long after the first step could be taken.
    At(Duration),
    /// That long after the step before.
    Wait(Duration),
    /// Once this has been seen; it is searched from the start of the play.
    Seen(Sight),
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// A caller is told something.
    Caller(String, caller::Command),
    /// A phone is told something.
    Phone(String, phone::Command),
    /// The registrar is told something.
    Registrar(registrar::Command),
    /// The push service is told something.
    Push(push::Command),
    /// A phone is told that its radio is off, and the world cuts it off. A link that carries nothing
    /// meanwhile is none that was not cut, so that the cuts are not planned as faults of their own.
    Airplane {
        /// Who.
        phone: String,
        /// What it is told.
        command: phone::Command,
        /// From whom.
        cuts: Vec<Fault>,
    },
    /// The world does something.
    Fault(Fault),
    /// Nothing: a point in time, with a remark for the trace.
    Pause(String),
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub when: When,
    /// What.
    pub verb: Verb,
}

/// What is performed.
#[derive(Debug, Clone)]
pub struct Script {
    /// The scenario's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Resolved properties of the target, for the head of the trace.
    pub target: Vec<(String, String)>,
    /// Who plays.
    pub cast: Cast,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// Where hosts stand that do not stand as usual.
    pub sites: BTreeMap<String, Site>,
    /// Faults that were laid in the world before the play: what, and on whom.
    pub laid: Vec<(&'static str, String)>,
    /// The longest that one trigger is waited for, and the drain at the end.
    pub patience: Duration,
    /// The longest that the whole may take.
    pub limit: Duration,
}

/// What the director knows; the recorder's listener writes it.
#[derive(Clone, Default)]
struct Seen {
    facts: Arc<Mutex<Vec<Fact>>>,
    /// Told of each new fact, so that nobody has to look when there is nothing new.
    news: Arc<Notify>,
}

impl Seen {
    fn add(&self, fact: Fact) {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).push(fact);
        self.news.notify_one();
    }

    fn facts<T>(&self, ask: impl FnOnce(&Vec<Fact>) -> T) -> T {
        ask(&self.facts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True once `sight` is among the facts; `looked` of them were looked at before.
    fn shows(&self, sight: &Sight, looked: &mut usize) -> bool {
        self.facts(|facts| {
            let found = facts[*looked..].iter().any(|fact| fact.is(sight));
            *looked = facts.len();
            found
        })
    }
}

struct Director {
    host: Host,
    scribe: Scribe,
    script: Script,
    troupe: Troupe,
    faults: Arc<dyn Faults>,
    seen: Seen,
    /// Calls that were placed: by whom, and under which mark.
    placed: Mutex<Vec<(String, String)>>,
}

/// Performs `script`. The target's own hosts must have entered `stage` before.
///
/// # Errors
/// What broke in the harness, or a phone that could not register: nothing can be shown then.
pub fn perform(script: &Script, stage: &mut dyn Stage) -> Result<Vec<Event>, String> {
    let recorder = stage.recorder();
    let seen = Seen::default();
    let own = seen.clone();
    let reader = Mutex::new(Facts::default());
    recorder.listen(move |event| {
        let fact = reader.lock().unwrap_or_else(PoisonError::into_inner).read(event);
        if let Some(fact) = fact {
            own.add(fact);
        }
    });
    let scribe = Scribe::new(recorder.clone(), "world");
    head(&scribe, script);
    for (host, site) in &script.sites {
        stage.place(host, *site);
    }
    let troupe = troupe::enter_all(stage, &script.cast);
    let (script_, faults) = (script.clone(), stage.faults());
    let part: Part = Arc::new(move |host| {
        let director = Director {
            host,
            scribe: scribe.clone(),
            script: script_.clone(),
            troupe: troupe.clone(),
            faults: Arc::clone(&faults),
            seen: seen.clone(),
            placed: Mutex::default(),
        };
        Box::pin(director.direct()) as BoxFuture<'static, _>
    });
    stage.perform(part, script.limit)?;
    Ok(recorder.events())
}

fn head(scribe: &Scribe, script: &Script) {
    let scenario = Draft::new(Kind::Scenario).with("id", script.id.as_str());
    let scenario = scenario.with("title", script.title.as_str());
    scribe.note(0, scenario.with("steps", script.steps.len()));
    for (name, value) in &script.target {
        let draft = Draft::new(Kind::Target).with("name", name.as_str());
        scribe.note(0, draft.with("value", value.as_str()));
    }
    for (fault, on) in planned(script) {
        scribe.note(0, Draft::new(Kind::FaultPlanned).with("fault", fault).with("on", on));
    }
}

/// Every fault of the script, by the name and the place under which it will strike.
fn planned(script: &Script) -> Vec<(&'static str, String)> {
    let mut planned = script.laid.clone();
    for step in &script.steps {
        match &step.verb {
            Verb::Fault(fault) => planned.push((fault.name(), fault.on())),
            Verb::Push(push::Command::Script { service, answers }) => {
                let faults = answers.iter().filter_map(push::Answer::fault);
                planned.extend(faults.map(|fault| (fault, push::place(*service).to_owned())));
            }
            Verb::Phone(name, command) | Verb::Airplane { phone: name, command, .. } => {
                let fault = command.fault().into_iter().flat_map(|(fault, part, times)| {
                    (0..times).map(move |_| (fault, format!("{name}.{part}")))
                });
                planned.extend(fault);
            }
            Verb::Caller(_, caller::Command::Call(call)) => {
                let lost = (0..call.lost_answers).map(|_| (caller::LOST, call.mark.clone()));
                planned.extend(lost);
            }
            Verb::Caller(..) | Verb::Registrar(_) | Verb::Pause(_) => {}
        }
    }
    planned
}

impl Director {
    fn now(&self) -> Duration {
        self.host.clock.now().mono
    }

    async fn direct(self) -> Result<(), String> {
        self.set_up().await?;
        let start = self.now();
        for (index, step) in self.script.steps.iter().enumerate() {
            match &step.when {
                When::Now => {}
                When::At(at) => self.host.clock.sleep_until(start + *at).await,
                When::Wait(time) => self.host.sleep(*time).await,
                When::Seen(sight) => {
                    if !self.sees(sight, self.script.patience).await {
                        self.say(format!(
                            "step {} never became due: {sight} was not seen",
                            index + 1
                        ));
                        continue;
                    }
                }
            }
            self.take(index, &step.verb)?;
        }
        self.drain().await;
        Ok(())
    }

    fn say(&self, text: String) {
        self.scribe.note(now_us(&self.host), Draft::new(Kind::Note).with("text", text));
    }

    async fn sees(&self, sight: &Sight, limit: Duration) -> bool {
        let mut looked = 0;
        self.wait_for(limit, || self.seen.shows(sight, &mut looked)).await
    }

    /// Asks at each new fact whether it is done.
    async fn wait_for(&self, limit: Duration, mut done: impl FnMut() -> bool) -> bool {
        let until = self.now() + limit;
        while !done() {
            let left = until.saturating_sub(self.now());
            if left.is_zero()
                || within(&*self.host.clock, left, self.seen.news.notified()).await.is_none()
            {
                return done();
            }
        }
        true
    }

    async fn set_up(&self) -> Result<(), String> {
        for name in self.script.cast.phones.keys() {
            let connected = Sight {
                actor: Some(name.clone()),
                what: What::State,
                about: None,
                numbers: None,
                text: Some("connected".to_owned()),
            };
            if !self.sees(&connected, SET_UP).await {
                return Err(format!("{name} did not connect and register within 60 s"));
            }
        }
        Ok(())
    }

    fn take(&self, index: usize, verb: &Verb) -> Result<(), String> {
        let (word, on, call) = described(verb);
        let draft = Draft::new(Kind::Step).with("step", index).with("verb", word).with("on", on);
        self.scribe.note(now_us(&self.host), draft.with("call", call));
        let unknown =
            |name: &str| format!("step {} names {name}, who is not in the cast", index + 1);
        match verb {
            Verb::Caller(name, command) => {
                let line = self.troupe.callers.get(name).ok_or_else(|| unknown(name))?;
                match command {
                    caller::Command::Call(call) => self.place(name, &call.mark),
                    caller::Command::Message(message) => self.place(name, &message.mark),
                    _ => {}
                }
                line.tell(name, command.clone())
            }
            Verb::Phone(name, command) => {
                let line = self.troupe.phones.get(name).ok_or_else(|| unknown(name))?;
                match command {
                    phone::Command::Place(call) => self.place(name, &call.mark),
                    phone::Command::Send(mark, _) => self.place(name, mark),
                    _ => {}
                }
                line.tell(name, command.clone())
            }
            Verb::Airplane { phone: name, command, cuts } => {
                let line = self.troupe.phones.get(name).ok_or_else(|| unknown(name))?;
                cuts.iter().for_each(|cut| self.faults.order(cut.clone()));
                line.tell(name, command.clone())
            }
            Verb::Registrar(command) => self.troupe.registrar.tell("registrar", *command),
            Verb::Push(command) => self.troupe.push.tell("push", command.clone()),
            Verb::Fault(fault) => {
                self.faults.order(fault.clone());
                Ok(())
            }
            Verb::Pause(remark) => {
                if !remark.is_empty() {
                    self.say(remark.clone());
                }
                Ok(())
            }
        }
    }

    fn place(&self, by: &str, mark: &str) {
        let mut placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        placed.push((by.to_owned(), mark.to_owned()));
    }

    /// Waits until every call has its final response and nothing has happened for a while.
    async fn drain(&self) {
        let mut open = self.placed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut looked = 0;
        let done = || {
            self.seen.facts(|facts| {
                for fact in &facts[looked..] {
                    if fact.what == What::Received && fact.number >= 200 {
                        open.retain(|(by, mark)| fact.actor != *by || fact.about != *mark);
                    }
                }
                looked = facts.len();
            });
            open.is_empty()
        };
        if !self.wait_for(self.script.patience, done).await {
            self.say("the play ended with a call that has no final response".to_owned());
        }
        let mut heard = usize::MAX;
        for _ in 0..12 {
            let now = self.seen.facts(Vec::len);
            if now == heard {
                return;
            }
            heard = now;
            self.host.sleep(QUIET).await;
        }
    }
}

/// The verb's word, whom it is about, and the call it names.
fn described(verb: &Verb) -> (&'static str, String, String) {
    let (word, on, call) = match verb {
        Verb::Caller(on, command) => match command {
            caller::Command::Call(call) => ("call", on.as_str(), call.mark.as_str()),
            caller::Command::Cancel(mark) => ("cancel", on.as_str(), mark.as_str()),
            caller::Command::HangUp(mark) => ("hangup", on.as_str(), mark.as_str()),
            caller::Command::Retransmit(mark) => ("retransmit", on.as_str(), mark.as_str()),
            caller::Command::Message(message) => ("message", on.as_str(), message.mark.as_str()),
            caller::Command::Notify(_) => ("notify", on.as_str(), ""),
            caller::Command::HangUpAll => ("hangup", on.as_str(), ""),
            caller::Command::Change { mark, .. } => ("renegotiate", on.as_str(), mark.as_str()),
            caller::Command::Info(mark) => ("info", on.as_str(), mark.as_str()),
            caller::Command::Conduct(_) | caller::Command::Early(_) | caller::Command::Turn(_) => {
                ("set", on.as_str(), "")
            }
        },
        Verb::Phone(on, command) | Verb::Airplane { phone: on, command, .. } => {
            (phone_word(command), on.as_str(), phone_call(command))
        }
        Verb::Registrar(registrar::Command::Forget) => ("forget", "registrar", ""),
        Verb::Registrar(registrar::Command::Refuse { .. }) => ("refuse", "registrar", ""),
        Verb::Push(push::Command::Script { service, .. }) => ("answers", push::place(*service), ""),
        Verb::Fault(fault) => return (fault.name(), fault.on(), String::new()),
        Verb::Pause(_) => ("note", "", ""),
    };
    (word, on.to_owned(), call.to_owned())
}

const fn phone_word(command: &phone::Command) -> &'static str {
    match command {
        phone::Command::Sleep(_) => "sleep",
        phone::Command::Open => "open",
        phone::Command::Kill => "kill",
        phone::Command::DropConnection => "drop",
        phone::Command::Place(_) => "call",
        phone::Command::Send(..) => "message",
        phone::Command::Subscribe(_) => "subscribe",
        phone::Command::Change { .. } => "renegotiate",
        phone::Command::HangUp | phone::Command::HangUpCall(_) => "hangup",
        phone::Command::Conduct(_) | phone::Command::Turn(_) => "set",
        phone::Command::IgnorePushes(_) => "ignore-pushes",
        phone::Command::Close => "close",
        phone::Command::Os(order) => order.word(),
    }
}

/// The call that a phone's command names.
const fn phone_call(command: &phone::Command) -> &str {
    match command {
        phone::Command::Place(call) => call.mark.as_str(),
        phone::Command::Send(mark, _) => mark.as_str(),
        phone::Command::Change { mark, .. } | phone::Command::HangUpCall(mark) => mark.as_str(),
        _ => "",
    }
}
