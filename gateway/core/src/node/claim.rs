//! Several nodes over one fabric. What names a session that is not here is asked of the fabric: it
//! says who owns it, or makes this node its owner. What asked waits for the answer, and not for long.

use std::collections::BTreeMap;

use reveille_wire::jsonrtc::Frame;
use reveille_wire::sip::{Message, Method, Uri};

use super::Node;
use super::app::is_connect;
use crate::io::{Claim, Claimed, Flow, Key, Output, SocketId};
use crate::record::SessionId;
use crate::timer::{Name, Owner};
use crate::transaction::TransactionKey;

/// What waits at most; who comes beyond is told to come again.
const MOST_WAITING: usize = 256;
/// How long the fabric may take. Who waits longer is told to come again.
const WAIT_MS: u64 = 3_000;
/// Frames behind a connect that waits; those beyond are missed by their numbers.
const MOST_LATER: usize = 16;
/// Requests that begin something, of whom a session is asked for by its Contact or address.
const FRESH: [Method; 4] = [Method::INVITE, Method::MESSAGE, Method::OPTIONS, Method::REFER];

/// What waits for the fabric, by claim.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims {
    waiting: BTreeMap<u64, Waiting>,
    last: u64,
}

#[derive(Debug, Clone)]
enum Waiting {
    Request {
        flow: Flow,
        message: Box<Message>,
    },
    /// With what its app said since, in order.
    Connect {
        socket: SocketId,
        frame: Box<Frame>,
        later: Vec<Frame>,
    },
}

impl Node {
    /// Asks whose the session is that a connect names, if it is not here; for a fresh one, whose the
    /// session is that its device had before, which it takes the place of. True if the frame waits.
    pub(super) fn ask_for_session(&mut self, socket: SocketId, frame: &Frame) -> bool {
        let id = frame.control.session_id.clone().map(SessionId::from);
        let is_here = id
            .as_ref()
            .is_some_and(|id| self.sleepers.contains_key(id) || self.entries.contains_key(id));
        let asks = self.config.cluster.is_some() && !self.draining && !is_here;
        let Some(known) = self.sockets.get(&socket).filter(|_| asks) else { return false };
        let user = known.user.clone();
        let device = frame.device_token().map(ToOwned::to_owned);
        let device = device.map(|token| Key::Device { user: user.clone(), token });
        let keys: Vec<_> = id.map(Key::Session).into_iter().chain(device).collect();
        if keys.is_empty() {
            return false;
        }
        if self.claims.waiting.len() >= MOST_WAITING {
            self.put_off(socket, frame);
            return true;
        }
        let waiting =
            Waiting::Connect { socket, frame: Box::new(frame.clone()), later: Vec::new() };
        self.ask(keys, Some(user), waiting);
        true
    }

    /// True if the frame waits behind a connect that waits.
    pub(super) fn waits_behind_connect(&mut self, socket: SocketId, frame: &Frame) -> bool {
        for waiting in self.claims.waiting.values_mut() {
            if let Waiting::Connect { socket: at, later, .. } = waiting
                && *at == socket
            {
                if later.len() < MOST_LATER {
                    later.push(frame.clone());
                }
                return true;
            }
        }
        false
    }

    /// Asks whose the session is that a request is for, if it is not here. True if the request
    /// waits, or another like it does.
    pub(super) fn ask_for_request(&mut self, flow: &Flow, message: &Message) -> bool {
        if self.config.cluster.is_none() {
            return false;
        }
        let keys = self.keys_of_absent(message);
        if keys.is_empty() {
            return false;
        }
        let same = |it: &Waiting| match it {
            Waiting::Request { message: other, .. } => {
                other.method() == message.method()
                    && TransactionKey::of(other) == TransactionKey::of(message)
            }
            Waiting::Connect { .. } => false,
        };
        if self.claims.waiting.values().any(same) {
            return true;
        }
        if self.claims.waiting.len() >= MOST_WAITING {
            self.turn_away(flow, message);
            return true;
        }
        let waiting = Waiting::Request { flow: flow.clone(), message: Box::new(message.clone()) };
        self.ask(keys, None, waiting);
        true
    }

    fn ask(&mut self, keys: Vec<Key>, for_user: Option<String>, waiting: Waiting) {
        self.claims.last += 1;
        let claim = self.claims.last;
        self.claims.waiting.insert(claim, waiting);
        self.arm(Name::Claim, Owner::Claim(claim), WAIT_MS);
        self.out.push(Output::Claim(Claim { claim, keys, for_user }));
    }

    /// What names the session that a request is for, if nothing here does; else nothing.
    fn keys_of_absent(&self, request: &Message) -> Vec<Key> {
        let (Some(method), Some(key)) = (request.method(), TransactionKey::of(request)) else {
            return Vec::new();
        };
        let uri = request.uri().and_then(|uri| Uri::parse(uri).ok());
        let user = uri.as_ref().and_then(|uri| uri.user.clone()).unwrap_or_default();
        let is_within = request.to().is_ok_and(|to| to.tag().is_some());
        // A node that drains begins nothing. What follows a call comes to it all the same, though
        // the app took the call to another node.
        let is_fresh = !is_within && !self.draining && FRESH.contains(method);
        let is_here = self.invites.contains_key(&key)
            || self.servers.contains_key(&key)
            || (self.contacts.contains_key(&user) && !self.is_strange_ack(request))
            || (is_within && self.is_within_known(request));
        let hangs_on = is_within || [Method::CANCEL, Method::ACK].contains(method);
        if is_here || !(is_fresh || hangs_on) {
            return Vec::new();
        }
        let mut keys = Vec::new();
        if is_token(&user) {
            keys.push(Key::Contact(user.clone()));
        }
        match request.call_id() {
            Ok(call_id) if hangs_on => keys.push(Key::Call(call_id.to_owned())),
            _ => {}
        }
        if let Some(uri) = uri.filter(|_| is_fresh && keys.is_empty()) {
            keys = self.addresses_of_absent(&uri, &user);
        }
        keys
    }

    fn is_within_known(&self, request: &Message) -> bool {
        let call_id = request.call_id().unwrap_or_default();
        let is_here = self.notified.contains_key(call_id) || self.dialog_of(request).is_some();
        is_here && !self.is_strange_ack(request)
    }

    /// The ACK of an answer that was not given here: another node has the session by now. All else
    /// that comes for it here rests on a commit, which says so.
    fn is_strange_ack(&self, request: &Message) -> bool {
        let place = self.dialog_of(request).filter(|_| request.method() == Some(&Method::ACK));
        let call = place
            .as_ref()
            .and_then(|(session, subsession)| self.entries.get(session)?.calls.get(subsession));
        call.is_some_and(crate::call::Call::is_undecided)
    }

    /// The addresses of record of a user of ours none of whose sessions is here.
    fn addresses_of_absent(&self, uri: &Uri, user: &str) -> Vec<Key> {
        let host = uri.host.to_ascii_lowercase();
        let ours = self.config.domains.contains(&host) || self.is_own_address(&host, uri.port);
        let aors: Vec<_> = self.config.domains.iter().map(|at| format!("{user}@{at}")).collect();
        let is_here = aors.iter().any(|aor| self.sessions_of(aor).next().is_some());
        if !ours || is_here || !self.config.users.is_called(user) {
            return Vec::new();
        }
        aors.into_iter().map(Key::Address).collect()
    }

    /// The fabric has said whose the session is. An answer that comes too late still counts where it
    /// made this node the owner.
    pub(super) fn on_claimed(&mut self, claim: u64, outcome: Claimed) {
        self.timers.clear(Name::Claim, &Owner::Claim(claim));
        let waiting = self.claims.waiting.remove(&claim);
        let mut address = None;
        let mut is_stranger = false;
        match outcome {
            Claimed::Adopted(records) => self.adopt(records),
            Claimed::Elsewhere { address: at } => address = Some(at),
            Claimed::Stranger => is_stranger = true,
            Claimed::Nobody | Claimed::Ours => {}
        }
        match (waiting, address) {
            (Some(Waiting::Request { flow, message }), Some(address)) => {
                self.hand_on(&flow, &message, &address);
            }
            (Some(Waiting::Request { flow, message }), None) => self.on_any_request(flow, &message),
            (Some(Waiting::Connect { socket, frame, .. }), _) if is_stranger => {
                self.refuse_stranger(socket, &frame);
            }
            (Some(Waiting::Connect { socket, frame, .. }), Some(_)) => self.put_off(socket, &frame),
            (Some(Waiting::Connect { socket, frame, later }), None) => {
                for frame in std::iter::once(*frame).chain(later) {
                    self.on_frame_of(socket, &frame);
                }
            }
            (None, _) => {}
        }
    }

    /// A frame that waited: the connect, or what came behind it.
    fn on_frame_of(&mut self, socket: SocketId, frame: &Frame) {
        let Some(known) = self.sockets.get(&socket) else { return };
        match known.session.clone() {
            Some(session) => self.on_frame(&session, socket, frame),
            None if is_connect(frame) => self.on_connect_frame(socket, frame),
            None => {}
        }
    }

    /// The fabric has not said in time whose the session is.
    pub(super) fn on_claim_late(&mut self, claim: u64) {
        match self.claims.waiting.remove(&claim) {
            Some(Waiting::Request { flow, message }) => self.turn_away(&flow, &message),
            Some(Waiting::Connect { socket, frame, .. }) => self.put_off(socket, &frame),
            None => {}
        }
    }

    /// Without a transaction: nothing is known of whoever this is for.
    pub(super) fn turn_away(&mut self, flow: &Flow, request: &Message) {
        if request.method() != Some(&Method::ACK) {
            let reply = request.reply(503, Message::reason_phrase(503), Some("later"));
            let bytes = reply.with("Retry-After", "5").to_bytes();
            self.out.push(Output::Sip { flow: flow.clone(), bytes });
        }
    }

    /// The app may ask again on its socket: its session is not lost.
    fn put_off(&mut self, socket: SocketId, frame: &Frame) {
        let mut error = Frame::error("register", "connect", 503, "come again: the fabric is slow");
        error.control.correlation_id.clone_from(&frame.control.correlation_id);
        if self.sockets.contains_key(&socket) {
            self.out.push(Output::Text { socket, text: error.to_text() });
        }
    }
}

/// True if it looks like the user part of a Contact of ours.
fn is_token(user: &str) -> bool {
    user.len() == 32 && user.bytes().all(|byte| byte.is_ascii_hexdigit())
}
