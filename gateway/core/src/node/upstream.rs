//! Towards the SIP network on the app's behalf: registrations, and requests of our own.

use reveille_wire::jsonrtc::{Frame, MessageState, close};
use reveille_wire::sip::{Message, Method};

use super::Node;
use super::challenge::ask;
use super::entry::{Dirty, Entry, Joining, Promise, Purpose};
use super::outgoing::authenticate;
use crate::config::Registrar;
use crate::io::{Change, Flow, Output, SocketId, Transport};
use crate::record::{Gruu, SessionId, SessionRecord, Standing, VERSION};
use crate::registration::{Answer, Next, Registration};
use crate::session::{Link, Session};
use crate::timer::{Name, Owner};
use crate::transaction::{Act, Client, ClientEvent};

/// Connects without the credentials that the registrar wants, on one socket (D-47).
const MOST_REFUSED: u32 = 3;

/// Deadlines of a call, which go with it to another session.
const MOVED: [Name; 6] = [
    Name::CallDeadline,
    Name::Provisional,
    Name::Repeat2xx,
    Name::NoAck,
    Name::Update,
    Name::SessionTimer,
];

impl Node {
    /// Makes a session that the registrar has yet to take.
    pub(super) fn begin_session(
        &mut self,
        socket: SocketId,
        user: &str,
        app: &str,
        first_in: u64,
    ) -> SessionId {
        let id = SessionId::from(self.dice.hex(16));
        let contact = self.dice.hex(16);
        let aor = self.config.user(user).map(|user| user.aor.clone()).unwrap_or_default();
        let record = SessionRecord {
            version: VERSION,
            id: id.clone(),
            owner: self.config.node.clone(),
            epoch: 1,
            user: user.to_owned(),
            aor: aor.clone(),
            app: app.to_owned(),
            contact: contact.clone(),
            instance: format!("urn:uuid:{}", self.dice.uuid()),
            standing: Standing::Awake,
            ttl_s: self.config.ttl_s.0,
            device: None,
            last_out: 0,
            last_in: first_in,
            unacknowledged: Vec::new(),
            last_arrival: 0,
            registered_until_wall_us: 0,
            supersedes: None,
            sending: Vec::new(),
            subscriptions: Vec::new(),
            gruu: Gruu::default(),
        };
        self.born += 1;
        self.census.add(&record);
        let session = Session::new(record, Link::Attached(socket));
        self.entries.insert(id.clone(), Entry::new(session, self.born));
        self.contacts.insert(contact, id.clone());
        self.addresses.insert((aor, id.clone()));
        id
    }

    /// Sends a REGISTER for the session, the first or the next.
    pub(super) fn register(&mut self, session: &SessionId) {
        let Some(registrar) = self.config.registrar.clone() else {
            self.on_registered(session, u32::MAX);
            return;
        };
        let (call_id, from_tag) = (self.dice.hex(16), self.dice.hex(8));
        let (branch, cnonce) = (format!("z9hG4bK{}", self.dice.hex(8)), self.dice.hex(8));
        let Some(entry) = self.entries.get_mut(session) else { return };
        let registration = entry
            .registration
            .get_or_insert_with(|| Registration::new(call_id, from_tag, registrar.expires_s));
        registration.cseq += 1;
        registration.nonce_count += 1;
        let flow = self.upstream.target_but(&registration.tried, self.now.mono_us);
        let by = flow.transport;
        let request = self.build_register(session, &registrar, by, (&branch, &cnonce));
        let purpose = Purpose::Register(session.clone());
        if let Some(request) = request {
            self.start_client(&branch, flow, request.to_bytes(), purpose);
        }
    }

    fn build_register(
        &self,
        session: &SessionId,
        registrar: &Registrar,
        transport: Transport,
        (branch, cnonce): (&str, &str),
    ) -> Option<Message> {
        let entry = self.entries.get(session)?;
        let (record, registration) = (&entry.session.record, entry.registration.as_ref()?);
        let expires_s = if registration.leaving { 0 } else { registration.expires_s };
        let uri = self.contact_uri(&record.contact, transport);
        let contact = format!(
            "<{uri};ob>;+sip.instance=\"<{}>\";reg-id=1;expires={expires_s}",
            record.instance
        );
        let mut request = Message::request(Method::REGISTER, registrar.uri.as_str())
            .with("Via", self.via(transport, branch))
            .with("Max-Forwards", "70")
            .with("From", format!("<sip:{}>;tag={}", record.aor, registration.from_tag))
            .with("To", format!("<sip:{}>", record.aor))
            .with("Call-ID", registration.call_id.as_str())
            .with("CSeq", format!("{} REGISTER", registration.cseq))
            .with("Contact", contact)
            .with("Expires", expires_s.to_string())
            .with("Supported", "path, outbound, gruu")
            .with("Content-Length", "0");
        let given = entry.joining.as_ref().and_then(|joining| joining.credentials.as_deref());
        if let Some(given) = given.filter(|_| registration.ask.is_none()) {
            request.push("Authorization", given);
            request.push("Proxy-Authorization", given);
        } else if let Some(ask) = &registration.ask {
            let count = (registration.nonce_count, cnonce);
            let asked = ("REGISTER", registrar.uri.as_str());
            let (name, value) = self.credentials(&record.user, ask, asked, count)?;
            request.push(name, value);
        }
        Some(request)
    }

    /// Removes the binding upstream, with nobody waiting for it.
    pub(super) fn unregister(&mut self, session: &SessionId) {
        self.timers.clear(Name::Register, &Owner::Session(session.clone()));
        let has_registrar = self.config.registrar.is_some();
        let Some(entry) = self.entries.get_mut(session) else { return };
        match &mut entry.registration {
            Some(registration) if has_registrar => {
                registration.leaving = true;
                self.register(session);
            }
            _ => entry.registration = None,
        }
    }

    fn on_register_answer(&mut self, session: &SessionId, answer: Answer) {
        let part = self.dice.between(50, 100);
        let Some(entry) = self.entries.get_mut(session) else { return };
        let until_us = entry.session.record.registered_until_wall_us;
        let left_ms = until_us.saturating_sub(self.now.wall_us) / 1_000;
        let Some(registration) = &mut entry.registration else { return };
        match registration.answer(answer, part, left_ms) {
            Next::Register => self.register(session),
            Next::Registered { expires_s, again_ms } => {
                let late_ms = u64::from(expires_s) * 1_100;
                let again_ms =
                    if planted!(self.config, RefreshesTooLate) { late_ms } else { again_ms };
                let again_ms = if whim!(self, EarlyRefresh) { again_ms / 2 } else { again_ms };
                self.arm(Name::Register, Owner::Session(session.clone()), again_ms);
                self.on_registered(session, expires_s);
            }
            Next::Later { status, again_ms } => {
                if let Some(joining) = entry.joining.clone() {
                    self.refuse_joining(session, &joining, status);
                } else {
                    self.arm(Name::Register, Owner::Session(session.clone()), again_ms);
                }
            }
            Next::Gone => {
                entry.registration = None;
                self.forget_if_gone(session);
            }
        }
    }

    /// The registrar took it: the session is stored, and only then named to the app.
    fn on_registered(&mut self, session: &SessionId, expires_s: u32) {
        let until_us = self.now.wall_us + u64::from(expires_s) * 1_000_000;
        let Some(entry) = self.entries.get_mut(session) else { return };
        entry.session.record.registered_until_wall_us = until_us;
        let Some(joining) = entry.joining.take() else {
            self.touch(session, Dirty::Lazy);
            return;
        };
        self.take_over(session);
        let Some(entry) = self.entries.get(session) else { return };
        let aor = entry.session.record.aor.clone();
        let mut answer = Frame::response("register", "connect", MessageState::Final);
        answer.control.correlation_id = joining.correlation;
        answer.header.initiator = Some(aor.clone());
        answer.header.target = Some(aor);
        answer.header.response_code = Some(200);
        let pending = entry.pending();
        answer.header.extra.insert("pending".to_owned(), pending.len().into());
        self.send(session, answer);
        self.arm_ask_sleep(session);
        self.trace_state(session, "connect");
        self.offer_in_order(session, &pending);
    }

    /// A device that connects afresh was reinstalled or lost its state: the session that it had
    /// before is superseded, and its calls come along.
    fn take_over(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get(session) else { return };
        let record = &entry.session.record;
        let Some(token) = record.device.as_ref().map(|device| device.token.clone()) else { return };
        let aor = record.aor.clone();
        self.unfold_address(&aor);
        let Some(entry) = self.entries.get(session) else { return };
        let record = &entry.session.record;
        let same_device = |old: &&Entry| {
            old.is_live()
                && old.session.record.id != *session
                && old.session.record.user == record.user
                && old.session.record.device.as_ref().is_some_and(|d| d.token == token)
        };
        let old = self.entries.values().filter(same_device).max_by_key(|old| old.born);
        let Some(old) = old.map(|old| old.session.record.id.clone()) else { return };
        let calls = self.entries.get_mut(&old).map(|old| std::mem::take(&mut old.calls));
        let Some(entry) = self.entries.get_mut(session) else { return };
        entry.session.record.supersedes = Some(old.clone());
        for (subsession, mut call) in calls.unwrap_or_default() {
            call.record.session = session.clone();
            let place = (session.clone(), subsession.clone());
            let places = self.dialogs.entry(call.call_id.clone()).or_default();
            places.remove(&(old.clone(), subsession.clone()));
            places.insert(place.clone());
            if let Some(invite) = self.invites.get_mut(&call.key) {
                for leg in &mut invite.legs {
                    if *leg == (old.clone(), subsession.clone()) {
                        *leg = place.clone();
                    }
                }
            }
            for calling in self.calling.values_mut() {
                if calling.place == (old.clone(), subsession.clone()) {
                    calling.place = place.clone();
                }
            }
            for name in MOVED {
                self.timers.rename(
                    name,
                    &Owner::call(&old, &subsession),
                    Owner::call(session, &subsession),
                );
            }
            entry.session.record.last_arrival =
                entry.session.record.last_arrival.max(call.record.arrival);
            entry.changes.push(Change::PutCall(Box::new(call.record.clone())));
            entry.calls.insert(subsession, call);
        }
        self.take_messages_over(&old, session);
        if let Some(socket) = self.entries.get(&old).and_then(|old| old.session.socket()) {
            self.close(socket, close::HANDOVER, "superseded");
            self.forget_socket(socket);
        }
        self.end_wake(&old);
        self.promise(session, Promise::DropSuperseded(old));
    }

    /// The new session is durable: the old one goes.
    pub(super) fn drop_superseded(&mut self, old: &SessionId) {
        self.unfold(old);
        self.end_session(old);
    }

    /// The registrar does not take the session. An app that is asked for credentials may try again
    /// on its socket, twice.
    fn refuse_joining(&mut self, session: &SessionId, joining: &Joining, status: u16) {
        let code = if (400..500).contains(&status) && status != 408 { status } else { 480 };
        let reason = format!("the registrar answered {status}");
        let mut error = Frame::error("register", "connect", code, &reason);
        error.control.correlation_id.clone_from(&joining.correlation);
        let is_challenge = matches!(status, 401 | 407);
        let registration = self.entries.get(session).and_then(|entry| entry.registration.as_ref());
        if let Some(challenge) = registration.and_then(|it| it.challenge.clone()) {
            error.header.authenticate = Some(challenge).filter(|_| is_challenge);
        }
        self.out.push(Output::Text { socket: joining.socket, text: error.to_text() });
        if let Some(socket) = self.sockets.get_mut(&joining.socket) {
            socket.session = None;
            socket.refused += u32::from(is_challenge);
            if socket.refused >= MOST_REFUSED {
                self.close(joining.socket, close::CHALLENGES, "no credentials after three rounds");
                self.forget_socket(joining.socket);
            }
        }
        if let Some(entry) = self.entries.get_mut(session) {
            entry.registration = None;
        }
        self.end_session(session);
    }

    pub(super) fn begin_client(
        &mut self,
        branch: &str,
        flow: Flow,
        bytes: Vec<u8>,
        purpose: Purpose,
    ) {
        let mut acts = Vec::new();
        let reliable = flow.transport.is_reliable();
        let client = Client::start(bytes, reliable, self.config.timers, &mut acts);
        self.clients.insert(branch.to_owned(), (client, flow, purpose));
        self.act_client(branch, acts);
    }

    fn act_client(&mut self, branch: &str, acts: Vec<Act>) {
        let Some(flow) = self.clients.get(branch).map(|(_, flow, _)| flow.clone()) else { return };
        if self.act(&flow, &Owner::Client(branch.into()), acts) {
            self.drop_client(branch);
        }
    }

    /// A response belongs to the client transaction whose branch is in the top Via, if the CSeq
    /// method agrees (RFC 3261 section 17.1.3).
    pub(super) fn on_response(&mut self, response: &Message) {
        let branch = response.via().ok().and_then(|via| via.branch);
        let (Some(branch), Some(status)) = (branch, response.status()) else { return };
        if response.cseq().is_ok_and(|cseq| cseq.method == Method::INVITE) {
            self.on_invite_response(&branch, response);
            return;
        }
        let mut acts = Vec::new();
        let Some((client, flow, purpose)) = self.clients.get_mut(&branch) else { return };
        let event = client.response(status, &mut acts);
        let (purpose, flow) = (purpose.clone(), flow.clone());
        self.unfold_for(&purpose);
        self.act_client(&branch, acts);
        match (event, purpose) {
            (Some(ClientEvent::Final), Purpose::Register(session)) => {
                let answer = self.read_register_answer(&session, status, response);
                // Kept only while an app waits for it: a sleeper's is nobody's business.
                let joining = self.entries.get_mut(&session).filter(|e| e.joining.is_some());
                if let Some(registration) = joining.and_then(|entry| entry.registration.as_mut()) {
                    registration.challenge = authenticate(response);
                }
                if (200..300).contains(&status) {
                    self.on_granted(&session, flow.clone(), response);
                }
                if status == 503 && self.register_elsewhere(&session, &flow) {
                    return;
                }
                self.on_register_answer(&session, answer);
            }
            (Some(ClientEvent::Final), Purpose::Within(within)) => {
                self.on_within(&flow, *within, response);
            }
            (Some(ClientEvent::Final), Purpose::Errand(session, id)) => {
                if status == 503 && self.errand_elsewhere(&session, id, &flow) {
                    return;
                }
                self.on_errand_answer(&session, id, status, Some((&flow, response)));
            }
            _ => {}
        }
    }

    fn unfold_for(&mut self, purpose: &Purpose) {
        match purpose {
            Purpose::Register(session) | Purpose::Errand(session, _) => self.unfold(session),
            Purpose::Within(within) => self.unfold(&within.place.0),
            Purpose::Unheard => {}
        }
    }

    fn read_register_answer(&self, session: &SessionId, status: u16, response: &Message) -> Answer {
        let retry_after_ms = || {
            let value = response.header("Retry-After")?;
            let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok().map(|seconds| u64::from(seconds) * 1_000)
        };
        match status {
            200..=299 => Answer::Accepted(self.granted_s(session, response)),
            401 | 407 => match ask(response) {
                Some(ask) => Answer::Challenged(ask),
                None => Answer::Failed(status, None),
            },
            423 => match response.min_expires() {
                Ok(Some(least_s)) => Answer::TooBrief(least_s),
                _ => Answer::Failed(status, None),
            },
            _ => Answer::Failed(status, retry_after_ms()),
        }
    }

    /// The lifetime of our own binding among those the 200 lists (RFC 3261 section 10.2.4).
    fn granted_s(&self, session: &SessionId, response: &Message) -> u32 {
        let record = self.entries.get(session).map(|entry| &entry.session.record);
        let ours = |user: Option<&str>| record.is_some_and(|r| user == Some(r.contact.as_str()));
        let by_contact = response.contacts().unwrap_or_default().into_iter().find_map(|contact| {
            let contact = contact.addr()?.clone();
            let is_ours = ours(contact.uri.user.as_deref());
            is_ours.then(|| contact.param("expires")?.parse::<u32>().ok()).flatten()
        });
        let asked = self.config.registrar.as_ref().map_or(3_600, |registrar| registrar.expires_s);
        by_contact.or_else(|| response.expires().ok().flatten()).unwrap_or(asked).max(1)
    }

    pub(super) fn on_client_timer(&mut self, name: Name, branch: &str) {
        let mut acts = Vec::new();
        let Some((client, way, purpose)) = self.clients.get_mut(branch) else { return };
        let unheard = client.is_unheard().then(|| way.clone());
        let event = client.timer(name, &mut acts);
        let purpose = purpose.clone();
        self.act_client(branch, acts);
        self.on_no_answer(event, purpose, unheard.as_ref());
    }

    /// `unheard`: the way by which no response at all came.
    fn on_no_answer(
        &mut self,
        event: Option<ClientEvent>,
        purpose: Purpose,
        unheard: Option<&Flow>,
    ) {
        self.unfold_for(&purpose);
        match (event, purpose) {
            (Some(ClientEvent::NoAnswer), Purpose::Register(session)) => {
                if unheard.is_some_and(|way| self.register_elsewhere(&session, way)) {
                    return;
                }
                self.on_register_answer(&session, Answer::Failed(408, None));
            }
            (Some(ClientEvent::NoAnswer), Purpose::Within(within)) => {
                let (session, subsession) = within.place;
                self.on_within_final(&session, &subsession, within.asked, Err(408));
            }
            (Some(ClientEvent::NoAnswer), Purpose::Errand(session, id)) => {
                unheard.into_iter().for_each(|way| self.on_silent(way));
                if !unheard.is_some_and(|way| self.errand_elsewhere(&session, id, way)) {
                    self.on_errand_answer(&session, id, 408, None);
                }
            }
            _ => {}
        }
    }

    /// A message could not leave. Requests fail; responses to a stream that is gone are tried once
    /// more at the address in the Via (RFC 3261 section 18.2.2).
    pub(super) fn on_unsent(&mut self, flow: &Flow) {
        let hit: Vec<_> = self
            .clients
            .iter()
            .filter(|(_, (_, way, _))| way == flow)
            .map(|(branch, _)| branch.clone())
            .collect();
        for branch in hit {
            if self.fall_back(&branch) {
                continue;
            }
            let mut acts = Vec::new();
            let Some((client, _, purpose)) = self.clients.get_mut(&branch) else { continue };
            let unheard = client.is_unheard().then_some(flow);
            let event = client.unsent(&mut acts);
            let purpose = purpose.clone();
            self.act_client(&branch, acts);
            self.on_no_answer(event, purpose, unheard);
        }
        self.on_calling_unsent(flow);
        if flow.connection.is_some() {
            self.move_calls(flow);
            self.move_messages(flow);
        }
    }

    /// The calls that came by a connection which is gone go on by a new one.
    fn move_calls(&mut self, flow: &Flow) {
        let mut resend = Vec::new();
        for entry in self.entries.values_mut() {
            for call in entry.calls.values_mut().filter(|call| call.record.flow == *flow) {
                call.record.flow = call.return_flow();
                resend.push((call.key.clone(), call.record.flow.clone()));
            }
        }
        for (key, way) in resend {
            if let Some(invite) = self.invites.get_mut(&key) {
                invite.flow = way.clone();
                if let Some(bytes) = invite.machine.last().map(<[u8]>::to_vec) {
                    self.out.push(Output::Sip { flow: way, bytes });
                }
            }
        }
    }
}
