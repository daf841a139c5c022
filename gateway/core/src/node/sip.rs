//! SIP requests from the network. Responses to our own requests are in `upstream`.

use reveille_trace::{Draft, Kind};
use reveille_wire::sip::{Message, Method, Uri};

use super::entry::{Dirty, Entry, Promise};
use super::fork::{MOST_LEGS, Place};
use super::{Invite, Node};
use crate::io::{Flow, Transport};
use crate::message::ACCEPT;
use crate::record::{Phase, SessionId};
use crate::session_timer;
use crate::transaction::{InviteServer, Server, TransactionKey};

/// Methods whose requests are carried out, and may not require what is not supported.
const SERVED: [Method; 7] = [
    Method::BYE,
    Method::OPTIONS,
    Method::UPDATE,
    Method::INFO,
    Method::MESSAGE,
    Method::NOTIFY,
    Method::REFER,
];

/// Option tags that a request may require.
const SUPPORTED: [&str; 2] = ["timer", "gruu"];

/// Whom a Request-URI names.
pub(super) enum Target {
    /// The sessions of one user, the newest first.
    Sessions(Vec<SessionId>),
    /// A user of ours without a session.
    Absent,
    Unknown,
}

impl Node {
    pub(super) fn on_sip(&mut self, flow: Flow, message: &Message) {
        if message.status().is_some() {
            if !self.hand_back(message) {
                self.on_response(message);
            }
        } else if !self.ask_for_request(&flow, message) {
            self.on_any_request(flow, message);
        }
    }

    /// A request that this node sees to.
    pub(super) fn on_any_request(&mut self, flow: Flow, message: &Message) {
        let (Some(method), Some(key)) = (message.method(), TransactionKey::of(message)) else {
            return;
        };
        if *method == Method::ACK {
            self.on_ack(&key, message);
        } else if self.is_flooded(&key, message) {
            let draft = Draft::new(Kind::Note).with("text", "a limit is reached");
            self.trace(draft.with("limit", "transactions"));
            self.turn_away(&flow, message);
        } else if *method == Method::INVITE {
            self.on_invite(&key, flow, message);
        } else {
            self.on_request(&key, flow, message);
        }
    }

    /// True if a request would begin a transaction and too many are kept already: over UDP each is for 32
    /// s, whoever sent it. What belongs to a call on record has as much room again.
    fn is_flooded(&self, key: &TransactionKey, request: &Message) -> bool {
        let kept = self.invites.len() + self.servers.len();
        let most = self.config.most_transactions;
        let is_new = !self.invites.contains_key(key) && !self.servers.contains_key(key);
        kept >= most && is_new && (kept >= 2 * most || self.dialog_of(request).is_none())
    }

    fn on_invite(&mut self, key: &TransactionKey, flow: Flow, request: &Message) {
        if let Some(invite) = self.invites.get_mut(key) {
            // A retransmission may come by a newer connection, which then is the way back.
            invite.flow = flow;
            let act = invite.machine.again().filter(|_| !planted!(self.config, IgnoresCopies));
            self.act_invite(key, act.into_iter().collect());
            return;
        }
        let call_id = request.call_id().unwrap_or_default().to_owned();
        self.hop(3, "core/node", &call_id);
        let identity = merged_identity(request);
        let in_dialog = request.to().is_ok_and(|to| to.tag().is_some());
        let merged = !in_dialog && self.identities.contains_key(&identity);
        self.begin_invite(key, flow.clone(), identity);
        self.hop(4, "core/transaction", &call_id);
        if in_dialog {
            self.on_reinvite(key, flow, request);
        } else if merged {
            self.refuse(key, request, 482, &[]);
        } else if let Some(tags) = required(request) {
            self.refuse(key, request, 420, &[("Unsupported", tags)]);
        } else if session_timer::is_too_brief(request) {
            let least = session_timer::LEAST_S.to_string();
            self.refuse(key, request, 422, &[("Min-SE", least)]);
        } else if self.draining {
            self.refuse(key, request, 503, &[("Retry-After", "5".to_owned())]);
        } else {
            self.admit(key, &flow, request);
        }
    }

    fn begin_invite(&mut self, key: &TransactionKey, flow: Flow, identity: String) {
        let machine = InviteServer::new(flow.transport.is_reliable(), self.config.timers);
        self.identities.entry(identity.clone()).or_insert_with(|| key.clone());
        self.invites
            .insert(key.clone(), Invite { machine, flow, legs: Vec::new(), best: None, identity });
    }

    fn admit(&mut self, key: &TransactionKey, flow: &Flow, request: &Message) {
        match self.target(request) {
            Target::Unknown => self.refuse(key, request, 404, &[]),
            Target::Absent => self.refuse(key, request, 480, &[]),
            Target::Sessions(_) if self.refuses_late_offer(key, request) => {}
            Target::Sessions(mut sessions) => {
                sessions.retain(|session| self.is_reachable(session));
                if sessions.is_empty() {
                    self.refuse(key, request, 480, &[]);
                    return;
                }
                let most = self.config.most_pending;
                let most =
                    if planted!(self.config, QueuesWithoutBound) { usize::MAX } else { most };
                sessions.retain(|session| self.entries[session].pending().len() < most);
                if sessions.is_empty() {
                    self.refuse(key, request, 503, &[("Retry-After", "10".to_owned())]);
                    return;
                }
                let to_tag = self.dice.hex(8);
                for session in sessions.into_iter().take(MOST_LEGS) {
                    self.accept(&session, flow.clone(), request, to_tag.clone());
                }
            }
        }
    }

    /// True if a call for this session can come to something.
    pub(super) fn is_reachable(&self, session: &SessionId) -> bool {
        let entry = &self.entries[session];
        !entry.session.is_asleep() || entry.session.device_usable()
    }

    /// The leg of an INVITE that is decided, or the first that is open.
    fn leg_of(&self, invite: &Invite) -> Option<Place> {
        let is_there = |(session, subsession): &&Place| {
            self.entries.get(session).is_some_and(|entry| entry.calls.contains_key(subsession))
        };
        invite.legs.iter().find(is_there).or(invite.legs.first()).cloned()
    }

    /// A token of ours in the user part names one session, as does a GRUU; an address of record of a
    /// served domain, or of our own address, names the user: all of the user's sessions.
    pub(super) fn target(&mut self, request: &Message) -> Target {
        let Some(uri) = request.uri().and_then(|uri| Uri::parse(uri).ok()) else {
            return Target::Unknown;
        };
        let user = uri.user.clone().unwrap_or_default();
        if let Some(session) = self.contacts.get(&user).cloned() {
            self.unfold(&session);
            let live = self.entries.get(&session).is_some_and(Entry::is_live);
            return if live { Target::Sessions(vec![session.clone()]) } else { Target::Absent };
        }
        let host = uri.host.to_ascii_lowercase();
        let ours = self.config.domains.contains(&host) || self.is_own_address(&host, uri.port);
        if !ours {
            return Target::Unknown;
        }
        let aors = self.config.domains.iter().map(|domain| format!("{user}@{domain}"));
        let aors: Vec<_> = aors.collect();
        for aor in &aors {
            self.unfold_address(aor);
        }
        let found = aors.iter().flat_map(|aor| self.sessions_of(aor));
        let gr = uri.param("gr");
        let is_meant =
            |entry: &&Entry| entry.is_live() && gr.is_none_or(|gr| entry.is_named_by(gr));
        let mut live: Vec<_> =
            found.filter_map(|session| self.entries.get(session).filter(is_meant)).collect();
        live.sort_by_key(|entry| std::cmp::Reverse(entry.born));
        if !live.is_empty() {
            let ids = live.into_iter().map(|entry| entry.session.record.id.clone());
            return Target::Sessions(ids.collect());
        }
        if self.config.users.is_called(&user) { Target::Absent } else { Target::Unknown }
    }

    pub(super) fn is_own_address(&self, host: &str, port: Option<u16>) -> bool {
        let is = |own: &str, default: u16| {
            let (own_host, own_port) = own.rsplit_once(':').unwrap_or((own, "5060"));
            own_host.eq_ignore_ascii_case(host) && own_port == port.unwrap_or(default).to_string()
        };
        is(&self.config.advertised, 5060)
            || self.config.advertised_by.iter().any(|(by, own)| is(own, by.default_port()))
    }

    /// A final response to an INVITE that is not taken: nothing is promised, so nothing is stored.
    pub(super) fn refuse(
        &mut self,
        key: &TransactionKey,
        request: &Message,
        status: u16,
        headers: &[(&str, String)],
    ) {
        let (bytes, mut acts) = (self.refusal(request, status, headers), Vec::new());
        if let Some(invite) = self.invites.get_mut(key) {
            invite.machine.respond(status, &bytes, &mut acts);
        }
        self.act_invite(key, acts);
    }

    fn refusal(&mut self, request: &Message, status: u16, headers: &[(&str, String)]) -> Vec<u8> {
        let tag = self.dice.hex(8);
        let mut response = request.reply(status, Message::reason_phrase(status), Some(&tag));
        for (name, value) in headers {
            response.push(name, value);
        }
        response.to_bytes()
    }

    fn on_ack(&mut self, key: &TransactionKey, ack: &Message) {
        let mut acts = Vec::new();
        if let Some(invite) = self.invites.get_mut(key) {
            invite.machine.ack(&mut acts);
        }
        if !acts.is_empty() {
            // The caller has its failure: the record has done its duty.
            let legs = self.invites.get(key).map(|invite| invite.legs.clone()).unwrap_or_default();
            self.act_invite(key, acts);
            for (session, subsession) in legs {
                self.on_transaction_over(&session, &subsession);
            }
        } else if let Some((session, subsession)) = self.dialog_of(ack) {
            self.confirm(&session, &subsession, ack);
        }
    }

    fn on_request(&mut self, key: &TransactionKey, flow: Flow, request: &Message) {
        if let Some((server, way)) = self.servers.get_mut(key) {
            *way = flow;
            let act = server.again();
            self.act_server(key, act.into_iter().collect());
            return;
        }
        self.begin_server(key, flow, request);
        let method = request.method().cloned().unwrap_or(Method::OPTIONS);
        let is_served = SERVED.contains(&method);
        if method == Method::CANCEL {
            self.on_cancel(key, request);
        } else if let Some(tags) = required(request).filter(|_| is_served) {
            self.reply(key, request, 420, &[("Unsupported", tags)]);
        } else if method == Method::BYE {
            self.on_bye(key, request);
        } else if method == Method::OPTIONS {
            self.on_options(key, request);
        } else if method == Method::UPDATE {
            self.on_update(key, request);
        } else if method == Method::INFO {
            self.on_info(key, request);
        } else if method == Method::MESSAGE {
            self.on_message(key, request);
        } else if method == Method::NOTIFY {
            self.on_notify(key, request);
        } else if method == Method::REFER {
            self.on_refer(key, request);
        } else if method == Method::PRACK {
            // No provisional of ours asks for one, so that it matches none (RFC 3262 section 3).
            self.reply(key, request, 481, &[]);
        } else if request.to().is_ok_and(|to| to.tag().is_some()) {
            self.on_mid_dialog(key, request);
        } else {
            let known = is_known(&method);
            self.reply(
                key,
                request,
                if known { 405 } else { 501 },
                &[("Allow", self.config.allow().to_owned())],
            );
        }
    }

    /// A server transaction, which says 100 if nothing else was said by then.
    pub(super) fn begin_server(&mut self, key: &TransactionKey, flow: Flow, request: &Message) {
        let trying = request.reply(100, Message::reason_phrase(100), None).to_bytes();
        let reliable = flow.transport.is_reliable();
        let mut acts = Vec::new();
        let server = Server::begin(reliable, self.config.timers, trying, &mut acts);
        self.servers.insert(key.clone(), (server, flow));
        self.act_server(key, acts);
    }

    /// A request within a dialog that this gateway does not carry: the dialog stays.
    fn on_mid_dialog(&mut self, key: &TransactionKey, request: &Message) {
        match self.in_order(request) {
            Err(status) => self.reply(key, request, status, &[]),
            Ok(place) => {
                self.note_peer(&place, request);
                let known = request.method().is_some_and(is_known);
                let allow = [("Allow", self.config.allow().to_owned())];
                self.reply(key, request, if known { 405 } else { 501 }, &allow);
            }
        }
    }

    /// OPTIONS is answered for a sleeper without waking it, with the code an INVITE would meet
    /// (RFC 3261 section 11.2).
    fn on_options(&mut self, key: &TransactionKey, request: &Message) {
        let own = request.uri().and_then(|uri| Uri::parse(uri).ok()).is_some_and(|uri| {
            uri.user.is_none()
                && (self.config.domains.contains(&uri.host.to_ascii_lowercase())
                    || self.is_own_address(&uri.host.to_ascii_lowercase(), uri.port))
        });
        let status = match self.target(request) {
            _ if own => 200,
            Target::Sessions(_) => 200,
            Target::Absent => 480,
            Target::Unknown => 404,
        };
        let headers = [
            ("Allow", self.config.allow().to_owned()),
            ("Accept", format!("application/sdp, {ACCEPT}")),
        ];
        self.reply(key, request, status, if status == 200 { &headers } else { &[] });
    }

    fn on_cancel(&mut self, key: &TransactionKey, request: &Message) {
        // A CANCEL has the branch of its INVITE, so their keys are one (RFC 3261 section 9.1).
        let Some(invite) = self.invites.get(key) else {
            self.reply(key, request, 481, &[]);
            return;
        };
        let Some((session, subsession)) = self.leg_of(invite) else {
            self.reply(key, request, 200, &[]);
            return;
        };
        if self.cancel_reinvite(&session, &subsession, key) {
            let reply = request.reply(200, "OK", None).to_bytes();
            self.promise(&session, Promise::Reply { key: key.clone(), bytes: reply });
            return;
        }
        // The 200 to the CANCEL promises that the call is over, so it waits for that record.
        let tag = self.entries.get(&session).and_then(|entry| {
            entry.calls.get(&subsession).map(|call| call.record.local_tag.clone())
        });
        // RFC 3326: another device took the call.
        let elsewhere = request.values("Reason").iter().any(|reason| reason.contains("cause=200"));
        if elsewhere {
            self.tell_elsewhere(&session, &subsession);
        }
        if !planted!(self.config, CancelLeavesInvite) {
            self.refuse_call(&session, &subsession, 487, "Request Terminated", !elsewhere);
        }
        let reply = request.reply(200, "OK", tag.as_deref()).to_bytes();
        self.promise(&session, Promise::Reply { key: key.clone(), bytes: reply });
    }

    fn on_bye(&mut self, key: &TransactionKey, request: &Message) {
        let (session, subsession) = match self.in_order(request) {
            Ok(place) => place,
            Err(status) => return self.reply(key, request, status, &[]),
        };
        let undecided = self.entries[&session].calls[&subsession].is_undecided();
        let reply = request.reply(200, "OK", None).to_bytes();
        if undecided {
            // RFC 3261 section 15.1.2: a BYE for an early dialog ends the INVITE with 487.
            self.refuse_call(&session, &subsession, 487, "Request Terminated", true);
        } else {
            if !planted!(self.config, KeepsByeFromApp) {
                self.tell_app(&session, &subsession, "shutdown", None);
            }
            self.end_call(&session, &subsession, Dirty::Urgent);
        }
        self.promise(&session, Promise::Reply { key: key.clone(), bytes: reply });
    }

    /// Answers a non-INVITE request about which nothing is stored.
    pub(super) fn reply(
        &mut self,
        key: &TransactionKey,
        request: &Message,
        status: u16,
        headers: &[(&str, String)],
    ) {
        let (bytes, mut acts) = (self.refusal(request, status, headers), Vec::new());
        if let Some((server, _)) = self.servers.get_mut(key) {
            server.respond(&bytes, &mut acts);
        }
        self.act_server(key, acts);
    }

    /// The call that a request is within.
    ///
    /// # Errors
    /// The status that refuses it: there is no such dialog, or it comes out of order.
    pub(super) fn in_order(&self, request: &Message) -> Result<Place, u16> {
        let place = self.dialog_of(request).ok_or(481_u16)?;
        if self.is_old_cseq(&place, request) { Err(500) } else { Ok(place) }
    }

    pub(super) fn dialog_of(&self, request: &Message) -> Option<(SessionId, String)> {
        let places = self.dialogs.get(request.call_id().ok()?)?;
        let owns = |(session, subsession): &&(SessionId, String)| {
            let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
            call.is_some_and(|call| call.owns(request))
        };
        places.iter().find(owns).cloned()
    }

    /// RFC 3261 section 12.2.2: a CSeq below one already seen is out of order.
    fn is_old_cseq(&self, (session, subsession): &(SessionId, String), request: &Message) -> bool {
        let Some(entry) = self.entries.get(session) else { return false };
        let seen = match entry.calls.get(subsession).map(|call| &call.record.phase) {
            Some(Phase::Answered { dialog, .. } | Phase::Confirmed { dialog, .. }) => {
                dialog.remote_cseq
            }
            _ => return false,
        };
        let takes_any = planted!(self.config, TakesOldCseq);
        request.cseq().is_ok_and(|cseq| cseq.number < seen) && !takes_any
    }

    /// Our Via of a request.
    pub(super) fn via(&self, transport: Transport, branch: &str) -> String {
        let (name, own) = (transport.via_name(), self.config.advertised(transport));
        format!("SIP/2.0/{name} {own};rport;branch={branch}")
    }
}

/// The same request by another path: From tag, Call-ID, CSeq and Request-URI. A fork to two
/// devices of one user differs in the Request-URI, and is two legs.
fn merged_identity(request: &Message) -> String {
    let from_tag = request.from().map(|from| from.tag().unwrap_or_default().to_owned());
    let cseq = request.cseq().map(|cseq| cseq.number).unwrap_or_default();
    let (call_id, uri) = (request.call_id().unwrap_or_default(), request.uri().unwrap_or_default());
    format!("{} {call_id} {cseq} {uri}", from_tag.unwrap_or_default())
}

/// Option tags that the request requires and that are not supported (RFC 3261 section 8.2.2.3): all
/// but `timer` and `gruu`. In an ACK or a CANCEL they say nothing.
pub(super) fn required(request: &Message) -> Option<String> {
    let mut tags = request.values("Require");
    tags.retain(|tag| !tag.is_empty() && !SUPPORTED.iter().any(|it| tag.eq_ignore_ascii_case(it)));
    (!tags.is_empty()).then(|| tags.join(", "))
}

fn is_known(method: &Method) -> bool {
    [
        Method::MESSAGE,
        Method::NOTIFY,
        Method::SUBSCRIBE,
        Method::REFER,
        Method::INFO,
        Method::UPDATE,
        Method::PRACK,
        Method::PUBLISH,
        Method::REGISTER,
    ]
    .contains(method)
}
