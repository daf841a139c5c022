//! Puts the cast on a stage, each on a host of its own, and keeps a line to each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use reveille_host::{BoxFuture, Host};
use reveille_trace::Scribe;
use tokio::sync::mpsc;

use crate::cast::{INBOX, caller, phone, push, registrar};
use crate::stage::{Part, Stage};

/// A line to an actor; it is laid anew whenever the actor's host starts.
pub(super) struct Line<C>(Arc<Mutex<Option<mpsc::Sender<C>>>>);

impl<C> Clone for Line<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Line<C> {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    fn lay(&self) -> mpsc::Receiver<C> {
        let (send, receive) = mpsc::channel(INBOX);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(send);
        receive
    }

    /// Tells the actor.
    ///
    /// # Errors
    /// Its software is not running, or does not listen.
    pub(super) fn tell(&self, who: &str, command: C) -> Result<(), String> {
        let line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = line.as_ref().ok_or_else(|| format!("{who} has not started"))?;
        line.try_send(command).map_err(|_| format!("{who} takes no commands now"))
    }
}

/// Who plays.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Callers by name.
    pub callers: BTreeMap<String, caller::Settings>,
    /// Phones by name.
    pub phones: BTreeMap<String, phone::Settings>,
    /// The registrar, on host `registrar`.
    pub registrar: registrar::Settings,
    /// The push service, on host `push`.
    pub push: push::Settings,
}

/// Lines to everyone on stage.
#[derive(Clone)]
pub(super) struct Troupe {
    pub(super) callers: BTreeMap<String, Line<caller::Command>>,
    pub(super) phones: BTreeMap<String, Line<phone::Command>>,
    pub(super) registrar: Line<registrar::Command>,
    pub(super) push: Line<push::Command>,
}

type Run<S, C, F> = fn(Host, Scribe, S, mpsc::Receiver<C>) -> F;

fn enter<S, C, F>(stage: &mut dyn Stage, name: &str, settings: S, run: Run<S, C, F>) -> Line<C>
where
    S: Clone + Send + Sync + 'static,
    C: Send + 'static,
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let line = Line::new();
    let scribe = Scribe::new(stage.recorder(), name);
    let own = line.clone();
    let part: Part = Arc::new(move |host: Host| {
        let done = run(host, scribe.clone(), settings.clone(), own.lay());
        Box::pin(done) as BoxFuture<'static, _>
    });
    stage.enter(name, part);
    line
}

/// Everyone enters.
pub(super) fn enter_all(stage: &mut dyn Stage, cast: &Cast) -> Troupe {
    let registrar = enter(stage, "registrar", cast.registrar.clone(), registrar::run);
    let push = enter(stage, "push", cast.push.clone(), push::run);
    let mut callers = BTreeMap::new();
    for (name, settings) in &cast.callers {
        let line = enter(stage, name, settings.clone(), caller::run);
        callers.insert(name.clone(), line);
    }
    let mut phones = BTreeMap::new();
    for (name, settings) in &cast.phones {
        phones.insert(name.clone(), enter(stage, name, settings.clone(), phone::run));
    }
    Troupe { callers, phones, registrar, push }
}
