use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::{Event, Kind, Raw, Value};

/// An event before it has its place in the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    kind: Kind,
    corr: Option<String>,
    cause: Option<u64>,
    raw: Option<Raw>,
    /// In the order they were said. Most drafts have two or three, and of a server nobody keeps them.
    fields: Vec<(Cow<'static, str>, Value)>,
}

impl Draft {
    /// An event of this kind, with nothing else said yet.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self { kind, corr: None, cause: None, raw: None, fields: Vec::new() }
    }

    /// Joins the event to a call.
    #[must_use]
    pub fn corr(mut self, corr: impl Into<String>) -> Self {
        self.corr = Some(corr.into());
        self
    }

    /// Names the event that led to this one.
    #[must_use]
    pub const fn cause(mut self, seq: u64) -> Self {
        self.cause = Some(seq);
        self
    }

    /// Attaches the raw bytes.
    #[must_use]
    pub fn raw(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw = Some(Raw(bytes.into()));
        self
    }

    /// Adds a field, or says it anew.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((Cow::Borrowed(name), value.into()));
        self
    }

    /// What kind of event this is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The call that the event is joined to.
    #[must_use]
    pub fn joined(&self) -> Option<&str> {
        self.corr.as_deref()
    }

    /// A field that is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.fields.iter().rfind(|(it, _)| it == name) {
            Some((_, Value::Text(text))) => Some(text),
            _ => None,
        }
    }
}

/// Called with each event as it is recorded, in order.
type Listener = Box<dyn Fn(&Event) + Send>;

#[derive(Default)]
struct Tape {
    events: Vec<Event>,
    listeners: Vec<Listener>,
    keep: bool,
    next: u64,
}

/// Where a run's events are gathered. Clones share one tape.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Tape>>);

impl Recorder {
    /// A recorder that keeps every event, for a run that ends.
    #[must_use]
    pub fn keeping() -> Self {
        Self(Arc::new(Mutex::new(Tape { keep: true, ..Tape::default() })))
    }

    /// A recorder that keeps nothing and only tells its listeners: for a server that runs for ever.
    #[must_use]
    pub fn passing() -> Self {
        Self::default()
    }

    /// Calls `listener` with every event from now on. It must not record.
    pub fn listen(&self, listener: impl Fn(&Event) + Send + 'static) {
        self.tape(|tape| tape.listeners.push(Box::new(listener)));
    }

    /// Records that `actor` saw `draft` at `t_us`; returns the event's number.
    pub fn record(&self, actor: &str, t_us: u64, draft: Draft) -> u64 {
        self.tape(|tape| {
            let seq = tape.next;
            tape.next += 1;
            if !tape.keep && tape.listeners.is_empty() {
                return seq;
            }
            let Draft { kind, corr, cause, raw, fields } = draft;
            let fields = fields.into_iter().collect();
            let event =
                Event { seq, t_us, actor: actor.to_owned(), kind, corr, cause, raw, fields };
            for listener in &tape.listeners {
                listener(&event);
            }
            if tape.keep {
                tape.events.push(event);
            }
            seq
        })
    }

    /// Every event so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.tape(|tape| tape.events.clone())
    }

    /// True if somebody keeps or hears events, so that drafting one is worth the work.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.tape(|tape| tape.keep || !tape.listeners.is_empty())
    }

    fn tape<T>(&self, act: impl FnOnce(&mut Tape) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One actor's pen: a recorder that knows its actor's name.
#[derive(Clone)]
pub struct Scribe {
    recorder: Recorder,
    actor: Arc<str>,
}

impl Scribe {
    /// A pen for `actor`.
    #[must_use]
    pub fn new(recorder: Recorder, actor: &str) -> Self {
        Self { recorder, actor: Arc::from(actor) }
    }

    /// Records `draft` at `t_us` microseconds since the start of the run.
    pub fn note(&self, t_us: u64, draft: Draft) -> u64 {
        self.recorder.record(&self.actor, t_us, draft)
    }

    /// The actor's name.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// True if somebody keeps or hears events.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.recorder.is_heard()
    }
}
