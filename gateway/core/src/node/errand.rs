//! Requests of our own outside of dialogs, for which an app waits: by the outbound proxy, with the
//! user's credentials where the network asks for them, until there is a final response.

use reveille_wire::sip::{Message, Method};

use super::Node;
use super::calling::branch_of;
use super::entry::{Promise, Purpose};
use super::within::told_code;
use crate::io::Flow;
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

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    /// As it left last, but for what depends on its way: the first attempt has yet to get its Via.
    pub(super) request: Message,
    pub(super) cause: Cause,
    /// How often the user's secret was shown.
    pub(super) shown: u8,
    /// Targets that did not take it.
    pub(super) tried: Vec<Flow>,
    /// Until when it may go to another, in monotonic microseconds.
    pub(super) until_us: u64,
}

impl Errand {
    pub(super) const fn new(request: Message, cause: Cause) -> Self {
        Self { request, cause, shown: 0, tried: Vec::new(), until_us: u64::MAX }
    }
}

impl Node {
    /// True if the session has as many requests under way as it may.
    pub(super) fn is_busy(&self, session: &SessionId) -> bool {
        self.entries.get(session).is_some_and(|entry| entry.errands.len() >= MOST_ERRANDS)
    }

    /// What every request of a user outside of dialogs begins with, in the order of its service
    /// route (RFC 3608 section 6.1).
    pub(super) fn request_for(
        &self,
        session: &SessionId,
        method: Method,
        target: &str,
        (call_id, from_tag, cseq): (&str, &str, u32),
    ) -> Option<Message> {
        let record = &self.entries.get(session)?.session.record;
        let number = format!("{cseq} {method}");
        let mut request = Message::request(method, target);
        for route in self.service_route(session) {
            request.push("Route", route);
        }
        let request = request
            .with("Max-Forwards", "70")
            .with("From", format!("<sip:{}>;tag={from_tag}", record.aor))
            .with("To", format!("<{target}>"))
            .with("Call-ID", call_id)
            .with("CSeq", number);
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

    /// One attempt. The target is chosen now: the one of a moment ago may have failed.
    pub(super) fn send_errand(&mut self, session: &SessionId, id: u64) {
        if self.config.registrar.is_none() {
            return;
        }
        let branch = format!("z9hG4bK{}", self.dice.hex(8));
        let over_us = self.now.mono_us + 64 * self.config.timers.t1_ms * 1_000;
        let entry = self.entries.get_mut(session);
        let Some(errand) = entry.and_then(|it| it.errands.get_mut(&id)) else { return };
        errand.until_us = errand.until_us.min(over_us);
        let flow = self.upstream.target_but(&errand.tried, self.now.mono_us);
        let mut request = errand.request.clone();
        self.address(session, &flow, &branch, &mut request);
        self.start_errand(session, id, flow, request);
    }

    fn start_errand(&mut self, session: &SessionId, id: u64, flow: Flow, request: Message) {
        let Some(branch) = branch_of(&request) else { return };
        let purpose = Purpose::Errand(session.clone(), id);
        self.start_client(&branch, flow, request.to_bytes(), purpose);
        let entry = self.entries.get_mut(session);
        if let Some(errand) = entry.and_then(|it| it.errands.get_mut(&id)) {
            errand.request = request;
        }
    }

    /// A final response and the way it came, or none within 64*T1 (then 408 without a message).
    pub(super) fn on_errand_answer(
        &mut self,
        session: &SessionId,
        id: u64,
        status: u16,
        answer: Option<(&Flow, &Message)>,
    ) {
        if let Some((flow, response)) = answer.filter(|_| matches!(status, 401 | 407))
            && self.answer_challenge(session, id, flow, response)
        {
            return;
        }
        let entry = self.entries.get_mut(session);
        let Some(errand) = entry.and_then(|it| it.errands.remove(&id)) else { return };
        match errand.cause {
            Cause::Send { subsession, correlation } => {
                self.on_sent(session, subsession, correlation, status);
            }
            Cause::Subscribe(subsession) => {
                let answer = answer.map(|(_, response)| (&errand.request, response));
                self.on_subscribe_answer(session, &subsession, status, answer);
            }
        }
    }

    /// The same request with the user's credentials, where it came to be asked for them.
    fn answer_challenge(
        &mut self,
        session: &SessionId,
        id: u64,
        flow: &Flow,
        response: &Message,
    ) -> bool {
        let Some(entry) = self.entries.get(session) else { return false };
        let Some(errand) = entry.errands.get(&id).cloned() else { return false };
        let user = entry.session.record.user.clone();
        let again = self.authorised(&user, flow, &errand.request, response, errand.shown);
        let Some(request) = again else { return false };
        let Some(entry) = self.entries.get_mut(session) else { return false };
        if let Some(errand) = entry.errands.get_mut(&id) {
            errand.shown += 1;
        }
        if let Cause::Subscribe(subsession) = &errand.cause
            && let Some(subscription) = entry.subscriptions.get_mut(subsession)
        {
            subscription.spend(request.cseq().map_or(0, |cseq| cseq.number));
        }
        self.start_errand(session, id, flow.clone(), request);
        true
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
