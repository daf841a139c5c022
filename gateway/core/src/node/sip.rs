//! SIP requests from the network. Responses to our own requests are in `upstream`.

use reveille_wire::sip::{Message, Method, Uri};

use super::entry::{Dirty, Promise};
use super::{Invite, Node};
use crate::call::ALLOW;
use crate::io::{Flow, Transport};
use crate::record::{Phase, SessionId};
use crate::transaction::{InviteServer, Server, TransactionKey};

/// Whom a Request-URI names.
enum Target {
    Session(SessionId),
    /// A user of ours without a session.
    Absent,
    Unknown,
}

impl Node {
    pub(super) fn on_sip(&mut self, flow: Flow, message: &Message) {
        if message.status().is_some() {
            self.on_response(message);
            return;
        }
        let (Some(method), Some(key)) = (message.method(), TransactionKey::of(message)) else {
            return;
        };
        if *method == Method::ACK {
            self.on_ack(&key, message);
        } else if *method == Method::INVITE {
            self.on_invite(&key, flow, message);
        } else {
            self.on_request(&key, flow, message);
        }
    }

    fn on_invite(&mut self, key: &TransactionKey, flow: Flow, request: &Message) {
        if let Some(invite) = self.invites.get_mut(key) {
            // A retransmission may come by a newer connection, which then is the way back.
            invite.flow = flow;
            let act = invite.machine.again();
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
            self.on_reinvite(key, request);
        } else if merged {
            self.refuse(key, request, 482, &[]);
        } else if let Some(tags) = required(request) {
            self.refuse(key, request, 420, &[("Unsupported", tags)]);
        } else if self.draining {
            self.refuse(key, request, 503, &[("Retry-After", "5".to_owned())]);
        } else {
            self.admit(key, flow, request);
        }
    }

    fn begin_invite(&mut self, key: &TransactionKey, flow: Flow, identity: String) {
        let machine = InviteServer::new(flow.transport.is_reliable(), self.config.timers);
        self.identities.entry(identity.clone()).or_insert_with(|| key.clone());
        self.invites.insert(key.clone(), Invite { machine, flow, call: None, identity });
    }

    fn admit(&mut self, key: &TransactionKey, flow: Flow, request: &Message) {
        match self.target(request) {
            Target::Unknown => self.refuse(key, request, 404, &[]),
            Target::Absent => self.refuse(key, request, 480, &[]),
            Target::Session(session) => {
                let most = self.config.most_pending;
                let entry = &self.entries[&session];
                if entry.pending().len() >= most {
                    self.refuse(key, request, 503, &[("Retry-After", "10".to_owned())]);
                } else if entry.session.is_asleep() && !entry.session.device_usable() {
                    self.refuse(key, request, 480, &[]);
                } else {
                    self.accept(&session, flow, request);
                }
            }
        }
    }

    /// A token of ours in the user part names one session; an address of record of a served domain,
    /// or of our own address, names the user: the newest of the user's sessions.
    fn target(&self, request: &Message) -> Target {
        let Some(uri) = request.uri().and_then(|uri| Uri::parse(uri).ok()) else {
            return Target::Unknown;
        };
        let user = uri.user.clone().unwrap_or_default();
        if let Some(session) = self.contacts.get(&user) {
            let live = self.entries.get(session).is_some_and(super::entry::Entry::is_live);
            return if live { Target::Session(session.clone()) } else { Target::Absent };
        }
        let host = uri.host.to_ascii_lowercase();
        let ours = self.config.domains.contains(&host) || self.is_own_address(&host, uri.port);
        let known =
            self.config.users.iter().find(|known| {
                ours && known.aor.split_once('@').is_some_and(|(name, _)| name == user)
            });
        let Some(known) = known else { return Target::Unknown };
        let newest = self
            .entries
            .values()
            .filter(|entry| entry.is_live() && entry.session.record.aor == known.aor)
            .max_by_key(|entry| entry.born);
        newest.map_or(Target::Absent, |e| Target::Session(e.session.record.id.clone()))
    }

    fn is_own_address(&self, host: &str, port: Option<u16>) -> bool {
        let is = |own: &str, default: u16| {
            let (own_host, own_port) = own.rsplit_once(':').unwrap_or((own, "5060"));
            own_host.eq_ignore_ascii_case(host) && own_port == port.unwrap_or(default).to_string()
        };
        is(&self.config.advertised, 5060)
            || self.config.advertised_by.iter().any(|(by, own)| is(own, by.default_port()))
    }

    /// A final response to an INVITE that is not taken: nothing is promised, so nothing is stored.
    fn refuse(
        &mut self,
        key: &TransactionKey,
        request: &Message,
        status: u16,
        headers: &[(&str, String)],
    ) {
        let tag = self.dice.hex(8);
        let mut response = request.reply(status, Message::reason_phrase(status), Some(&tag));
        for (name, value) in headers {
            response.push(name, value.clone());
        }
        let mut acts = Vec::new();
        if let Some(invite) = self.invites.get_mut(key) {
            invite.machine.respond(status, &response.to_bytes(), &mut acts);
        }
        self.act_invite(key, acts);
    }

    /// A re-INVITE: this gateway does not renegotiate yet, and the dialog stays as it is.
    fn on_reinvite(&mut self, key: &TransactionKey, request: &Message) {
        let status = match self.dialog_of(request) {
            None => 481,
            Some(place) if self.is_old_cseq(&place, request) => 500,
            Some(_) => match required(request) {
                Some(tags) => return self.refuse(key, request, 420, &[("Unsupported", tags)]),
                None => 488,
            },
        };
        self.refuse(key, request, status, &[]);
    }

    fn on_ack(&mut self, key: &TransactionKey, ack: &Message) {
        let mut acts = Vec::new();
        if let Some(invite) = self.invites.get_mut(key) {
            invite.machine.ack(&mut acts);
        }
        if !acts.is_empty() {
            // The caller has its failure: the record has done its duty.
            let call = self.invites.get(key).and_then(|invite| invite.call.clone());
            self.act_invite(key, acts);
            if let Some((session, subsession)) = call {
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
        let server = Server::new(flow.transport.is_reliable(), self.config.timers);
        self.servers.insert(key.clone(), (server, flow));
        let method = request.method().cloned().unwrap_or(Method::OPTIONS);
        let is_served = [Method::BYE, Method::OPTIONS].contains(&method);
        if method == Method::CANCEL {
            self.on_cancel(key, request);
        } else if let Some(tags) = required(request).filter(|_| is_served) {
            self.reply(key, request, 420, &[("Unsupported", tags)]);
        } else if method == Method::BYE {
            self.on_bye(key, request);
        } else if method == Method::OPTIONS {
            self.on_options(key, request);
        } else if request.to().is_ok_and(|to| to.tag().is_some()) {
            self.on_mid_dialog(key, request);
        } else {
            let known = is_known(&method);
            self.reply(key, request, if known { 405 } else { 501 }, &[("Allow", ALLOW.to_owned())]);
        }
    }

    /// A request within a dialog that this gateway does not carry: the dialog stays.
    fn on_mid_dialog(&mut self, key: &TransactionKey, request: &Message) {
        match self.dialog_of(request) {
            None => self.reply(key, request, 481, &[]),
            Some(place) if self.is_old_cseq(&place, request) => self.reply(key, request, 500, &[]),
            Some(_) => {
                let known = request.method().is_some_and(is_known);
                let allow = [("Allow", ALLOW.to_owned())];
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
            Target::Session(_) => 200,
            Target::Absent => 480,
            Target::Unknown => 404,
        };
        let headers = [("Allow", ALLOW.to_owned()), ("Accept", "application/sdp".to_owned())];
        self.reply(key, request, status, if status == 200 { &headers } else { &[] });
    }

    fn on_cancel(&mut self, key: &TransactionKey, request: &Message) {
        // A CANCEL has the branch of its INVITE, so their keys are one (RFC 3261 section 9.1).
        let Some(invite) = self.invites.get(key) else {
            self.reply(key, request, 481, &[]);
            return;
        };
        let Some((session, subsession)) = invite.call.clone() else {
            self.reply(key, request, 200, &[]);
            return;
        };
        // The 200 to the CANCEL promises that the call is over, so it waits for that record.
        let tag = self
            .entries
            .get(&session)
            .and_then(|entry| entry.calls.get(&subsession).map(|call| call.record.to_tag.clone()));
        self.refuse_call(&session, &subsession, 487, "Request Terminated", true);
        let reply = request.reply(200, "OK", tag.as_deref()).to_bytes();
        self.promise(&session, Promise::Reply { key: key.clone(), bytes: reply });
    }

    fn on_bye(&mut self, key: &TransactionKey, request: &Message) {
        let Some(place) = self.dialog_of(request) else {
            self.reply(key, request, 481, &[]);
            return;
        };
        if self.is_old_cseq(&place, request) {
            self.reply(key, request, 500, &[]);
            return;
        }
        let (session, subsession) = place;
        let undecided = self.entries[&session].calls[&subsession].is_undecided();
        let reply = request.reply(200, "OK", None).to_bytes();
        if undecided {
            // RFC 3261 section 15.1.2: a BYE for an early dialog ends the INVITE with 487.
            self.refuse_call(&session, &subsession, 487, "Request Terminated", true);
        } else {
            self.tell_app(&session, &subsession, "shutdown", None);
            self.end_call(&session, &subsession, Dirty::Urgent);
        }
        self.promise(&session, Promise::Reply { key: key.clone(), bytes: reply });
    }

    /// Answers a non-INVITE request about which nothing is stored.
    fn reply(
        &mut self,
        key: &TransactionKey,
        request: &Message,
        status: u16,
        headers: &[(&str, String)],
    ) {
        let tag = self.dice.hex(8);
        let mut response = request.reply(status, Message::reason_phrase(status), Some(&tag));
        for (name, value) in headers {
            response.push(name, value.clone());
        }
        let mut acts = Vec::new();
        if let Some((server, _)) = self.servers.get_mut(key) {
            server.respond(&response.to_bytes(), &mut acts);
        }
        self.act_server(key, acts);
    }

    fn dialog_of(&self, request: &Message) -> Option<(SessionId, String)> {
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
            Some(Phase::Confirmed { remote_cseq, .. }) => *remote_cseq,
            _ => return false,
        };
        request.cseq().is_ok_and(|cseq| cseq.number < seen)
    }

    /// The Contact URI of a session, as the network sees it.
    pub(super) fn contact_uri(&self, token: &str, transport: Transport) -> String {
        let own = self.config.advertised(transport);
        format!("sip:{token}@{own}{}", transport.uri_param())
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

/// Option tags that the request requires (RFC 3261 section 8.2.2.3). None is supported, so all of
/// them are refused; in an ACK or a CANCEL they say nothing.
fn required(request: &Message) -> Option<String> {
    let mut tags = request.values("Require");
    tags.retain(|tag| !tag.is_empty());
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
