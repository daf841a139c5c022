//! Requests of our own outside of dialogs, for which an app waits: by the outbound proxy, with the
//! user's credentials where the network asks for them, until there is a final response.

use reveille_wire::sip::{Message, Method};

use super::Node;
use super::entry::{Promise, Purpose};
use super::subscriptions::Dialog;
use super::within::told_code;
use crate::digest::Ask;
use crate::record::SessionId;

/// Requests of one session that may be under way at once.
const MOST_ERRANDS: usize = 64;

/// Whom the final response concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// A `send` of the app.
    Send { subsession: Option<String>, correlation: Option<String> },
    /// A subscription, by its subsession.
    Subscribe(String),
}

/// One request, and what is needed to ask again with credentials.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    /// Without Via, CSeq and credentials, which each attempt has of its own.
    pub(super) request: Message,
    /// CSeq number of the latest attempt.
    pub(super) cseq: u32,
    pub(super) cause: Cause,
    /// The challenge that the next attempt answers, and how often its nonce was used.
    pub(super) ask: Option<Ask>,
    pub(super) nonce_count: u32,
    is_answered: bool,
}

impl Errand {
    pub(super) const fn new(request: Message, cseq: u32, cause: Cause) -> Self {
        Self { request, cseq, cause, ask: None, nonce_count: 0, is_answered: false }
    }

    /// Credentials that were just refused are not shown again, unless the nonce was merely old.
    fn may_answer(&self, ask: &Ask) -> bool {
        !self.is_answered || ask.stale
    }
}

impl Node {
    /// True if the session has as many requests under way as it may.
    pub(super) fn is_busy(&self, session: &SessionId) -> bool {
        self.entries.get(session).is_some_and(|entry| entry.errands.len() >= MOST_ERRANDS)
    }

    /// What every request of a user begins with.
    pub(super) fn request_for(
        &self,
        session: &SessionId,
        method: Method,
        target: &str,
        (call_id, from_tag, to): (&str, &str, &str),
    ) -> Option<Message> {
        let record = &self.entries.get(session)?.session.record;
        let request = Message::request(method, target)
            .with("Max-Forwards", "70")
            .with("From", format!("<sip:{}>;tag={from_tag}", record.aor))
            .with("To", to)
            .with("Call-ID", call_id);
        Some(request)
    }

    /// Sends the request once what this input changed is durable: after a crash nobody sends it
    /// again, because the number of the frame that asked for it is taken.
    pub(super) fn begin_errand(&mut self, session: &SessionId, errand: Errand) {
        self.last_errand += 1;
        let id = self.last_errand;
        let Some(entry) = self.entries.get_mut(session) else { return };
        entry.errands.insert(id, errand);
        self.promise(session, Promise::Errand(id));
    }

    /// One attempt.
    pub(super) fn send_errand(&mut self, session: &SessionId, id: u64) {
        if self.config.registrar.is_none() {
            return;
        }
        let flow = self.upstream.target(self.now.mono_us);
        let (branch, cnonce) = (format!("z9hG4bK{}", self.dice.hex(8)), self.dice.hex(8));
        let via = self.via(flow.transport, &branch);
        let routes = self.service_route(session).to_vec();
        let Some(entry) = self.entries.get_mut(session) else { return };
        let user = entry.session.record.user.clone();
        let Some(errand) = entry.errands.get_mut(&id) else { return };
        errand.nonce_count += 1;
        let method = errand.request.method().map_or("OPTIONS", Method::as_str).to_owned();
        let mut request = errand.request.clone().with("CSeq", format!("{} {method}", errand.cseq));
        request.prepend("Via", via);
        // Within a subscription's dialog the dialog's own routes stand (RFC 3608 section 6.1).
        let is_within = request.to().is_ok_and(|to| to.tag().is_some());
        for route in routes.into_iter().filter(|_| !is_within) {
            request.push("Route", route);
        }
        let uri = request.uri().unwrap_or_default().to_owned();
        let count = errand.nonce_count;
        if let Some(ask) = errand.ask.clone()
            && let Some((name, value)) =
                self.credentials(&user, &ask, (&method, &uri), (count, &cnonce))
        {
            request.push(name, value);
        }
        let purpose = Purpose::Errand(session.clone(), id);
        self.start_client(&branch, flow, request.to_bytes(), purpose);
    }

    /// A final response, or none within 64*T1 (then 408 without a message).
    pub(super) fn on_errand_answer(
        &mut self,
        session: &SessionId,
        id: u64,
        status: u16,
        response: Option<&Message>,
    ) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        let Some(errand) = entry.errands.get_mut(&id) else { return };
        let ask = response.filter(|_| matches!(status, 401 | 407)).and_then(super::upstream::ask);
        if let Some(ask) = ask.filter(|ask| errand.may_answer(ask)) {
            errand.is_answered = true;
            errand.ask = Some(ask);
            errand.nonce_count = 0;
            errand.cseq = match &errand.cause {
                Cause::Send { .. } => errand.cseq + 1,
                Cause::Subscribe(subsession) => {
                    let dialog = entry.subscriptions.get_mut(subsession);
                    dialog.map_or(errand.cseq + 1, Dialog::next_cseq)
                }
            };
            self.send_errand(session, id);
            return;
        }
        let Some(errand) = entry.errands.remove(&id) else { return };
        match errand.cause {
            Cause::Send { subsession, correlation } => {
                self.on_sent(session, subsession, correlation, status);
            }
            Cause::Subscribe(subsession) => {
                self.on_subscribe_answer(session, &subsession, status, response);
            }
        }
    }
}

/// A failure as the app is told it. Here it is not asked for credentials as for a call: what
/// 401 and 407 would make it ask its user, the gateway knows.
pub(super) fn failure_for_app(status: u16) -> (u16, String) {
    match status {
        401 | 407 => (403, "the network refuses the user's credentials".to_owned()),
        408 => (408, "no answer from the network within 64*T1".to_owned()),
        _ => (told_code(status), Message::reason_phrase(status).to_owned()),
    }
}
