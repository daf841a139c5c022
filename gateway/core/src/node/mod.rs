//! The node: the only place that knows all the machines. It routes inputs to them, and their wishes
//! to the outside; every promise passes the gate in [`settle`].

mod answered;
mod app;
mod calling;
mod calls;
mod carried;
mod challenge;
mod claim;
mod configure;
mod entry;
mod errand;
mod failover;
mod flow;
mod fold;
mod fork;
mod forward;
mod gruu;
mod hands;
mod ice;
mod knocks;
mod large;
mod late_offer;
mod limits;
mod lost;
mod message_end;
mod messages;
mod notifications;
mod outgoing;
mod recover;
mod refer;
mod refresh;
mod reinvite;
mod sending;
mod settle;
mod sip;
mod sleep;
mod subscriptions;
mod survey;
mod target;
mod trickle;
mod update;
mod upstream;
mod waking;
#[cfg(feature = "mutants")]
mod whims;
mod within;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reveille_trace::{Draft, Kind, Timestamp};

use crate::census::Census;
use crate::config::Config;
use crate::dice::Dice;
use crate::io::{Flow, Input, Output, Records, Sink, SocketId};
use crate::record::SessionId;
use crate::timer::{Name, Owner, Timers};
use crate::transaction::{Act, Client, InviteServer, Server, TransactionKey};
use calling::Calling;
use entry::{Entry, Promise, Purpose};
use fork::Place;

/// A WebSocket, from upgrade to close.
#[derive(Debug, Clone)]
struct Socket {
    user: String,
    app: String,
    session: Option<SessionId>,
    bad_texts: u32,
    /// Connects that were refused for want of credentials (D-47).
    refused: u32,
    /// When it last said something, in monotonic microseconds.
    heard_us: u64,
}

/// An INVITE server transaction and what it belongs to.
#[derive(Debug, Clone)]
struct Invite {
    machine: InviteServer,
    flow: Flow,
    /// The calls that it is for: one for each device that is called.
    legs: Vec<Place>,
    /// The best failure that a leg came to so far. It dies with the process: then the caller of a
    /// call that nobody takes hears that of the last leg.
    best: Option<u16>,
    /// Finds a merged request: the same one by another path (RFC 3261 section 8.2.2.2).
    identity: String,
}

/// A gateway node. Feed it inputs; it fills a sink with outputs.
#[derive(Debug, Clone)]
pub struct Node {
    config: Arc<Config>,
    dice: Dice,
    now: Timestamp,
    timers: Timers,
    entries: BTreeMap<SessionId, Entry>,
    /// Sessions that sleep with nothing to do.
    sleepers: BTreeMap<SessionId, Box<[u8]>>,
    /// Sessions that this input concerned, to be folded if they have nothing to do.
    stirred: BTreeSet<SessionId>,
    /// Counts them by application.
    census: Census,
    /// Sessions by the user part of their Contact.
    contacts: BTreeMap<String, SessionId>,
    /// Sessions by their address of record.
    addresses: BTreeSet<(String, SessionId)>,
    sockets: BTreeMap<SocketId, Socket>,
    invites: BTreeMap<TransactionKey, Invite>,
    identities: BTreeMap<String, TransactionKey>,
    servers: BTreeMap<TransactionKey, (Server, Flow)>,
    clients: BTreeMap<String, (Client, Flow, Purpose)>,
    /// INVITEs of ours, by branch.
    calling: BTreeMap<String, Calling>,
    diverted: large::Diverted,
    /// Calls by SIP Call-ID.
    dialogs: BTreeMap<String, BTreeSet<(SessionId, String)>>,
    /// Subscriptions by SIP Call-ID.
    notified: BTreeMap<String, (SessionId, String)>,
    /// What waits for the fabric to say whose a session is.
    claims: claim::Claims,
    /// Signs what is handed on to other nodes; drawn when it is first needed.
    hand: Option<String>,
    wakes: BTreeMap<u64, SessionId>,
    /// The flow to the registrar, which all sessions share.
    upstream: flow::Upstream,
    last_wake: u64,
    last_errand: u64,
    /// Messages dropped by this process before their app had them.
    dropped_messages: u64,
    born: u64,
    draining: bool,
    /// Commits and deadlines are traced.
    heard: bool,
    /// Sessions that this input changed, and the promises it made, until they are settled.
    touched: BTreeSet<SessionId>,
    promises: Vec<(SessionId, bool, Promise)>,
    out: Vec<Output>,
}

impl Node {
    /// A node that knows nothing yet. `seed` is 32 bytes of fresh entropy: everything random that
    /// the node ever says is drawn from it.
    #[must_use]
    pub fn new(config: Arc<Config>, seed: [u8; 32]) -> Self {
        Self {
            upstream: flow::Upstream::new(&config),
            config,
            dice: Dice::new(seed),
            now: Timestamp::default(),
            timers: Timers::default(),
            entries: BTreeMap::new(),
            sleepers: BTreeMap::new(),
            stirred: BTreeSet::new(),
            census: Census::default(),
            contacts: BTreeMap::new(),
            addresses: BTreeSet::new(),
            sockets: BTreeMap::new(),
            invites: BTreeMap::new(),
            identities: BTreeMap::new(),
            servers: BTreeMap::new(),
            clients: BTreeMap::new(),
            calling: BTreeMap::new(),
            diverted: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            notified: BTreeMap::new(),
            claims: claim::Claims::default(),
            hand: None,
            wakes: BTreeMap::new(),
            last_wake: 0,
            last_errand: 0,
            dropped_messages: 0,
            born: 0,
            draining: false,
            heard: true,
            touched: BTreeSet::new(),
            promises: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Takes one input at `now` and puts what follows from it into `out`. It never fails: what goes
    /// wrong in the world is an input.
    pub fn handle(&mut self, now: Timestamp, input: Input, out: &mut impl Sink) {
        self.now = now;
        self.heard = out.hears_all();
        self.run_due();
        self.route(input);
        self.run_due();
        self.settle();
        self.fold_idle();
        for output in self.out.drain(..) {
            out.put(output);
        }
    }

    /// When the node wants to be called again with [`Input::Tick`] at the latest, in monotonic
    /// microseconds.
    #[must_use]
    pub fn next_deadline_us(&self) -> Option<u64> {
        self.timers.next_us()
    }

    fn route(&mut self, input: Input) {
        match input {
            Input::Started { sessions, calls, messages } => {
                self.recover(Records { sessions, calls, messages });
            }
            Input::Sip { flow, message } => self.on_sip(flow, &message),
            Input::SipUnsent { flow } => self.on_unsent(&flow),
            Input::Targets { flows } => self.upstream.aim(flows),
            Input::FlowLost { flow } => {
                self.on_flow_lost(&flow);
                self.leave_flow(&flow);
            }
            Input::SocketOpened { socket, user, app } => self.on_opened(socket, user, app),
            Input::SocketText { socket, text } => self.on_text(socket, &text),
            Input::SocketBinary { socket } => self.on_binary(socket),
            Input::SocketClosed { socket, code } => self.on_closed(socket, code),
            Input::Stored { session, token } => self.on_stored(&session, token),
            Input::Fenced { session, epoch } => self.on_fenced(&session, epoch),
            Input::Claimed { claim, outcome } => self.on_claimed(claim, outcome),
            Input::Adopted(records) => self.adopt(records),
            Input::Pushed { push, outcome } => self.on_pushed(push, &outcome),
            Input::AskSleep { session } => {
                self.unfold(&session);
                self.ask_to_sleep(&session);
            }
            Input::Tick => {}
            Input::Drain => self.on_drain(),
            Input::EndSession { session } => self.on_end_session(&session),
            Input::Configure(config) => self.on_configure(&config),
        }
    }

    /// Every deadline that has come, in order.
    fn run_due(&mut self) {
        while let Some((name, owner)) = self.timers.take_due(self.now.mono_us) {
            if self.heard {
                self.trace(Draft::new(Kind::TimerFired).with("timer", name.text()));
            }
            self.on_timer(name, owner);
        }
    }

    fn on_timer(&mut self, name: Name, owner: Owner) {
        match owner {
            Owner::InviteServer(key) => self.on_invite_timer(name, &key),
            Owner::Server(key) => self.on_server_timer(name, &key),
            Owner::Client(branch) => match name {
                Name::A | Name::B | Name::D | Name::M => self.on_calling_timer(name, &branch),
                _ => self.on_client_timer(name, &branch),
            },
            Owner::Call(call) => self.on_call_timer(name, &call.0, &call.1),
            Owner::Message(message) => match name {
                Name::MessageWait => self.on_message_wait(&message.0, &message.1),
                _ => self.on_message_end(&message.0, &message.1),
            },
            Owner::Subscription(of) => self.on_subscribe_due(&of.0, &of.1),
            Owner::Knock(knock) => self.on_knock_deadline(&knock.0, &knock.1),
            Owner::Session(session) => self.on_session_deadline(name, &session),
            Owner::Socket(socket) => self.on_idle(socket),
            Owner::Claim(claim) => self.on_claim_late(claim),
        }
    }

    fn on_call_timer(&mut self, name: Name, session: &SessionId, subsession: &str) {
        match name {
            Name::Repeat2xx => self.repeat_answer(session, subsession),
            Name::NoAck => self.on_no_ack(session, subsession),
            Name::SessionTimer => self.on_session_timer(session, subsession),
            Name::Update => self.on_update_deadline(session, subsession),
            Name::Provisional => self.repeat_provisional(session, subsession),
            _ => self.on_call_deadline(session, subsession),
        }
    }

    fn on_session_deadline(&mut self, name: Name, session: &SessionId) {
        self.unfold(session);
        match name {
            Name::WakeAttempt => self.step_wake(session),
            Name::StartSilence => self.on_start_silence(session),
            Name::Grace => self.on_grace_over(session),
            Name::SleepEnd => self.on_sleep_end(session),
            Name::CloseWait => self.on_close_wait(session),
            Name::AskSleep => self.ask_to_sleep(session),
            Name::Acknowledge => self.on_acknowledge_due(session),
            _ => self.register(session),
        }
    }

    fn on_invite_timer(&mut self, name: Name, key: &TransactionKey) {
        let mut acts = Vec::new();
        if let Some(invite) = self.invites.get_mut(key) {
            invite.machine.timer(name, &mut acts);
        }
        self.act_invite(key, acts);
    }

    fn on_server_timer(&mut self, name: Name, key: &TransactionKey) {
        let mut acts = Vec::new();
        if let Some((server, _)) = self.servers.get_mut(key) {
            server.timer(name, &mut acts);
        }
        self.act_server(key, acts);
    }

    /// Carries out what an INVITE server transaction asks for.
    fn act_invite(&mut self, key: &TransactionKey, acts: Vec<Act>) {
        let Some(flow) = self.invites.get(key).map(|invite| invite.flow.clone()) else { return };
        if self.act(&flow, &Owner::InviteServer(key.clone()), acts) {
            self.forget_invite(key);
        }
    }

    fn act_server(&mut self, key: &TransactionKey, acts: Vec<Act>) {
        let Some(flow) = self.servers.get(key).map(|(_, flow)| flow.clone()) else { return };
        if self.act(&flow, &Owner::Server(key.clone()), acts) {
            self.servers.remove(key);
        }
    }

    /// Carries out what a transaction asks for. True: it is over.
    fn act(&mut self, flow: &Flow, owner: &Owner, acts: Vec<Act>) -> bool {
        let mut is_over = false;
        for act in acts {
            match act {
                Act::Send(bytes) => self.out.push(Output::Sip { flow: flow.clone(), bytes }),
                Act::Arm(name, ms) => self.arm(name, owner.clone(), ms),
                Act::Disarm(name) => self.timers.clear(name, owner),
                Act::Over => is_over = true,
            }
        }
        is_over
    }

    fn forget_invite(&mut self, key: &TransactionKey) {
        if let Some(invite) = self.invites.remove(key) {
            self.identities.remove(&invite.identity);
            for (session, subsession) in invite.legs {
                self.on_transaction_over(&session, &subsession);
            }
        }
    }

    fn arm(&mut self, name: Name, owner: Owner, after_ms: u64) {
        self.timers.set(name, owner, self.now.mono_us.saturating_add(after_ms * 1_000));
    }

    fn trace(&mut self, draft: Draft) {
        self.out.push(Output::Trace(draft));
    }

    /// One of the ten hops of a call for a sleeping app.
    fn hop(&mut self, hop: u8, place: &'static str, call_id: &str) {
        let draft = Draft::new(Kind::Hop).corr(call_id).with("hop", hop).with("where", place);
        self.trace(draft);
    }

    /// Monotonic time at which the wall clock will show `wall_us`, clamped to `0..=most_ms` from
    /// now: a stored deadline means no more than that after a restart with another clock.
    fn mono_of_wall(&self, wall_us: u64, most_ms: u64) -> u64 {
        let left_us = wall_us.saturating_sub(self.now.wall_us).min(most_ms * 1_000);
        self.now.mono_us + left_us
    }
}
