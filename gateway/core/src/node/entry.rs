use std::collections::BTreeMap;

use reveille_wire::sip::Message;

use super::errand::Errand;
use super::knocks::Knock;
use super::subscriptions::Subscription;
use crate::call::Call;
use crate::gate::Gate;
use crate::io::{Change, Flow, SocketId};
use crate::message::InstantMessage;
use crate::record::SessionId;
use crate::registration::Registration;
use crate::session::Session;
use crate::transaction::TransactionKey;
use crate::wake::Wake;

/// Something that leaves only when the record it rests on is durable.
#[derive(Debug, Clone)]
pub(super) enum Promise {
    /// A response to an INVITE. `subsession` names its call.
    Respond { key: TransactionKey, status: u16, bytes: Vec<u8>, subsession: String },
    /// The final response of a non-INVITE transaction.
    Reply { key: TransactionKey, bytes: Vec<u8> },
    /// A frame to the app.
    Text { socket: SocketId, text: String, hop: Option<String> },
    /// The end of a WebSocket.
    Close { socket: SocketId, code: u16, reason: &'static str },
    /// A push attempt.
    Push { wake: u64, attempt: u32 },
    /// The INVITE of a call that the app placed, or of its re-INVITE.
    Invite { subsession: String },
    /// A request of ours within a dialog.
    Ask { flow: Flow, within: Box<Within> },
    /// A message outside all transactions: an ACK of ours.
    Sip { flow: Flow, bytes: Vec<u8> },
    /// A request that an app waits for, by its number.
    Errand(u64),
    /// The record of the session that this one took the place of may go.
    DropSuperseded(SessionId),
}

/// What a client transaction is for.
#[derive(Debug, Clone)]
pub(super) enum Purpose {
    /// REGISTER for this session.
    Register(SessionId),
    /// A request that this session's app waits for, by its number.
    Errand(SessionId, u64),
    /// A request within a dialog.
    Within(Box<Within>),
    /// Nobody waits for the answer.
    Unheard,
}

/// A request of ours within a dialog, and what hangs on its answer.
#[derive(Debug, Clone)]
pub(super) struct Within {
    pub(super) place: (SessionId, String),
    /// Whose secret answers a challenge.
    pub(super) user: String,
    pub(super) request: Message,
    pub(super) asked: Asked,
    /// How often the secret was shown.
    pub(super) shown: u8,
}

/// What a request within a dialog is for. The correlation id is that of the app's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// The end.
    Bye,
    /// A refresh of the session.
    Refresh,
    /// Something that nobody waits for.
    Info,
    /// An UPDATE of the app.
    Update { correlation: Option<String> },
    /// A PRACK, for the app or in its place.
    Prack { correlation: Option<String> },
}

/// How much of a session's record must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dirty {
    /// Nothing changed.
    Clean,
    /// It changed, but nothing rests on it: it rides with the next commit.
    Lazy,
    /// Write it now, after what others wait for.
    Soon,
    /// Write it now: somebody waits.
    Urgent,
}

/// A fresh connect that waits for the registrar.
#[derive(Debug, Clone)]
pub(super) struct Joining {
    pub(super) socket: SocketId,
    pub(super) correlation: Option<String>,
    /// The app's own answer to the registrar's challenge, which goes before the user's secret.
    pub(super) credentials: Option<String>,
}

/// A session and all that belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) session: Session,
    pub(super) calls: BTreeMap<String, Call>,
    pub(super) messages: BTreeMap<String, InstantMessage>,
    /// The SIP side of the subscriptions in the record, by subsession.
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    /// Requests that wait for the app.
    pub(super) knocks: BTreeMap<TransactionKey, Knock>,
    /// Until when the app is woken for what a subscription has come to, in monotonic microseconds.
    pub(super) news_until_us: u64,
    /// Requests of ours under way.
    pub(super) errands: BTreeMap<u64, Errand>,
    pub(super) wake: Option<Wake>,
    /// When the last wake began, in monotonic microseconds.
    pub(super) woken_us: Option<u64>,
    pub(super) registration: Option<Registration>,
    /// The app was asked to sleep under this correlation id, and has not answered.
    pub(super) asked_sleep: Option<String>,
    /// Set until the first registration of a fresh connect succeeded.
    pub(super) joining: Option<Joining>,
    pub(super) gate: Gate<Promise>,
    pub(super) dirty: Dirty,
    pub(super) changes: Vec<Change>,
    /// The session is over: its record is being dropped and its contact unregistered.
    pub(super) over: bool,
    /// Rises with each session of this process: the newest of a user is called.
    pub(super) born: u64,
}

impl Entry {
    pub(super) fn new(session: Session, born: u64) -> Self {
        let durable_in = session.record.last_in;
        Self {
            session,
            calls: BTreeMap::new(),
            messages: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            knocks: BTreeMap::new(),
            news_until_us: 0,
            errands: BTreeMap::new(),
            wake: None,
            woken_us: None,
            registration: None,
            asked_sleep: None,
            joining: None,
            gate: Gate::new(durable_in),
            dirty: Dirty::Clean,
            changes: Vec::new(),
            over: false,
            born,
        }
    }

    /// True if calls can be given to this session.
    pub(super) const fn is_live(&self) -> bool {
        self.joining.is_none() && !self.over
    }

    pub(super) fn mark(&mut self, dirty: Dirty) {
        self.dirty = self.dirty.max(dirty);
    }

    /// Undecided calls by arrival.
    pub(super) fn pending(&self) -> Vec<String> {
        let mut pending: Vec<_> = self.calls.values().filter(|call| call.is_undecided()).collect();
        pending.sort_by_key(|call| call.record.arrival);
        pending.into_iter().map(|call| call.record.subsession.clone()).collect()
    }

    pub(super) fn has_pending(&self) -> bool {
        self.calls.values().any(Call::is_undecided)
    }

    /// True if something waits for what the app says.
    pub(super) fn awaits_app(&self) -> bool {
        self.calls.values().any(|call| self.is_awaiting(call))
    }

    fn is_awaiting(&self, call: &Call) -> bool {
        call.awaits_app() || self.is_knocked_at(&call.record.subsession)
    }

    /// Calls that wait for what the app says, by arrival.
    pub(super) fn awaiting(&self) -> Vec<String> {
        let mut awaiting: Vec<_> =
            self.calls.values().filter(|call| self.is_awaiting(call)).collect();
        awaiting.sort_by_key(|call| call.record.arrival);
        awaiting.into_iter().map(|call| call.record.subsession.clone()).collect()
    }

    /// Notes that this call's record changed.
    pub(super) fn put_call(&mut self, subsession: &str, dirty: Dirty) {
        if let Some(call) = self.calls.get(subsession) {
            self.changes.push(Change::PutCall(Box::new(call.record.clone())));
            self.mark(dirty);
        }
    }
}
