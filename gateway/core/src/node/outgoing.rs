//! Calls that an app places, until they are answered or fail.

use reveille_wire::jsonrtc::{Frame, MessageState};
use reveille_wire::sip::{Message, Method, Uri};
use serde_json::{Map, Value};

use super::Node;
use super::calling::branch_of;
use super::entry::{Dirty, Promise, Purpose};
use super::target;
use super::within::{put_sdp, told_code};
use crate::call::Call;
use crate::dialog::TRICKLE;
use crate::headers;
use crate::io::Flow;
use crate::record::{CallRecord, Exchange, Phase, Raw, SessionId, Side, VERSION};
use crate::session_timer;

/// Longest subsession id that an app may choose, in bytes.
pub(super) const MOST_SUBSESSION: usize = 128;

impl Node {
    /// The app's `start`: a new call, or a renegotiation of one that stands.
    pub(super) fn on_start_request(&mut self, session: &SessionId, frame: &Frame) {
        let subsession = frame.control.subsession_id.clone().unwrap_or_default();
        if subsession.is_empty() || subsession.len() > MOST_SUBSESSION {
            let what = "start needs control.subsession_id, 1 to 128 bytes: a UUID of yours";
            self.refuse_frame(session, frame, 400, what);
            return;
        }
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(&subsession));
        match call.map(|call| &call.record.phase) {
            None => self.place(session, &subsession, frame),
            Some(Phase::Confirmed { .. }) => self.renegotiate(session, &subsession, frame),
            Some(_) => self.refuse_frame(session, frame, 491, "Glare: this call is not up yet"),
        }
    }

    fn place(&mut self, session: &SessionId, subsession: &str, frame: &Frame) {
        let Some((flow, target)) = self.way_out(session, frame) else { return };
        let Some(entry) = self.entries.get(session) else { return };
        let record = &entry.session.record;
        let (aor, app) = (record.aor.clone(), record.app.clone());
        let local_tag = self.dice.hex(8);
        let branch = format!("z9hG4bK{}", self.dice.hex(8));
        let call_id = self.dice.hex(16);
        let mut invite = Message::request(Method::INVITE, target.to_string())
            .with("Via", self.via(flow.transport, &branch));
        for route in self.service_route(session) {
            invite.push("Route", route);
        }
        let mut invite = invite
            .with("Max-Forwards", "70")
            .with("From", format!("<sip:{aor}>;tag={local_tag}"))
            .with("To", format!("<{target}>"))
            .with("Call-ID", call_id.as_str())
            .with("CSeq", "1 INVITE")
            .with("Allow", self.config.allow())
            .with("Supported", "100rel, timer, gruu")
            .with("Session-Expires", format!("{};refresher=uas", self.config.session_timer_s))
            .with("Min-SE", session_timer::LEAST_S.to_string())
            .with("Recv-Info", TRICKLE);
        if let Some(credentials) = frame.header.authorization.as_ref().and_then(app_credentials) {
            invite.push("Authorization", &credentials);
            invite.push("Proxy-Authorization", &credentials);
        }
        headers::to_sip(&self.config.headers, &app, frame, &mut invite);
        let is_private = headers::is_private(&invite);
        let contact = self.contact_of(session, flow.transport, is_private);
        invite.push("Contact", format!("<{contact}>"));
        invite.set_body("application/sdp", frame.sdp().unwrap_or_default().as_bytes());
        let now_wall_us = self.now.wall_us;
        let correlation = frame.control.correlation_id.clone().unwrap_or_default();
        let Some(entry) = self.entries.get_mut(session) else { return };
        entry.session.record.last_arrival += 1;
        let record = CallRecord {
            version: VERSION,
            session: session.clone(),
            subsession: subsession.to_owned(),
            arrival: entry.session.record.last_arrival,
            side: Side::Outgoing,
            invite: Raw(invite.to_bytes()),
            flow,
            local_tag,
            hold_code: None,
            deadline_wall_us: now_wall_us + self.config.no_answer_ms * 1_000,
            accepted_wall_us: now_wall_us,
            phase: Phase::Placed { correlation, cancelled: false },
            bye: None,
        };
        let Some(mut call) = Call::new(record) else { return };
        call.authorised = frame.header.authorization.is_some();
        call.has_own_credentials = call.authorised;
        let key = call.key.clone();
        entry.calls.insert(subsession.to_owned(), call);
        self.index(session, subsession, &call_id, &key);
        self.arm_call(session, subsession, self.config.no_answer_ms);
        self.put_call(session, subsession, Dirty::Urgent);
        self.promise(session, Promise::Invite { subsession: subsession.to_owned() });
    }

    /// Where a call may go; an app that cannot place it is told why.
    fn way_out(&mut self, session: &SessionId, frame: &Frame) -> Option<(Flow, Uri)> {
        let calls = self.entries.get(session)?.calls.len();
        let target = target::read(frame.header.target.as_deref(), &self.config.domains);
        let has_sdp = frame.sdp().is_some_and(|sdp| !sdp.is_empty());
        let now_us = self.now.mono_us;
        let has_way = self.config.registrar.is_some();
        let flow = has_way.then(|| self.upstream.target(now_us));
        let refusal = match (target, flow) {
            (Err(what), _) => (400, what),
            (Ok(_), _) if !has_sdp => (400, "start needs payload.sdp, your offer".to_owned()),
            (Ok(_), None) => (480, "this gateway has no way out: no registrar is set".to_owned()),
            (Ok(_), _) if self.draining => (480, "this node stops: connect again".to_owned()),
            (Ok(_), _) if calls >= self.config.most_pending => {
                (480, format!("{calls} calls are under way: end one first"))
            }
            (Ok(target), Some(flow)) => return Some((flow, target)),
        };
        self.refuse_frame(session, frame, refusal.0, &refusal.1);
        None
    }

    /// A provisional response: what an app can use of it is told, once.
    pub(super) fn on_provisional(
        &mut self,
        (session, subsession): &(SessionId, String),
        invite: &Message,
        response: &Message,
    ) {
        let Some(status) = response.status().filter(|status| *status > 100) else { return };
        let no_answer_ms = self.config.no_answer_ms;
        let now_wall_us = self.now.wall_us;
        let Some(entry) = self.entries.get_mut(session) else { return };
        let attached = entry.session.attached().is_some();
        let aor = entry.session.record.aor.clone();
        let Some(call) = entry.calls.get_mut(subsession) else { return };
        let Phase::Placed { correlation, cancelled: false } = &call.record.phase else { return };
        let correlation = correlation.clone();
        // Timer C of RFC 3261 section 16.8: the one called shows that it lives.
        call.record.deadline_wall_us = now_wall_us + no_answer_ms * 1_000;
        let Some(taken) = call.hear(invite, response) else { return };
        let mut frame = Frame::response("call", "start", MessageState::Subsequent);
        frame = call.named(frame, &aor);
        frame.control.correlation_id = Some(correlation);
        self.arm_call(session, subsession, no_answer_ms);
        let told = if status == 180 { 180 } else { 183 };
        if taken.is_news && (status == 180 || status == 183 || !response.body.is_empty()) {
            frame.header.response_code = Some(told);
            if taken.is_reliable && told == 183 && attached {
                frame.header.reliable = Some(true);
            }
            put_sdp(&mut frame, response);
            if !planted!(self.config, KeepsProgressFromApp) {
                self.give(session, frame);
            }
        }
        if taken.is_reliable && !(told == 183 && attached && taken.is_news) {
            // The deployed app answers 183 only: the rest is acknowledged for it.
            self.prack(session, subsession, None, None);
        }
    }

    pub(super) fn on_failure(
        &mut self,
        place: &(SessionId, String),
        invite: &Message,
        flow: &Flow,
        response: &Message,
    ) {
        let (session, subsession) = place;
        let status = response.status().unwrap_or(480);
        if status == 503 && self.call_elsewhere(place, flow, invite) {
            return;
        }
        let reason: String = response.reason().unwrap_or_default().chars().take(120).collect();
        let is_exchange = self.is_exchange(session, subsession, invite);
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let wanted = call.is_some_and(|call| {
            let wanted = !matches!(call.record.phase, Phase::Placed { cancelled: true, .. });
            wanted && !std::mem::replace(&mut call.authorised, true)
        });
        if status == 422 && wanted && self.call_slower(place, invite, response) {
            return;
        }
        if matches!(status, 401 | 407) && wanted && self.call_again(place, invite, response) {
            return;
        }
        if is_exchange {
            self.fail_exchange(session, subsession, status, &reason);
        } else {
            self.fail_placed(session, subsession, status, &reason, authenticate(response));
        }
    }

    /// The same INVITE with the user's credentials (RFC 3261 section 22.3). False if there are none.
    fn call_again(
        &mut self,
        (session, subsession): &(SessionId, String),
        invite: &Message,
        response: &Message,
    ) -> bool {
        let Some(entry) = self.entries.get(session) else { return false };
        let (user, flow) =
            (entry.session.record.user.clone(), entry.calls[subsession].record.flow.clone());
        let Some(again) = self.authorised(&user, &flow, invite, response, 0) else { return false };
        self.place_again(session, subsession, again);
        true
    }

    /// The session timer was too brief for somebody on the way (RFC 4028 section 7.3).
    fn call_slower(
        &mut self,
        (session, subsession): &(SessionId, String),
        invite: &Message,
        response: &Message,
    ) -> bool {
        let least_s = response.header("Min-SE").and_then(|value| value.trim().parse::<u32>().ok());
        let Some(least_s) = least_s else { return false };
        let branch = format!("z9hG4bK{}", self.dice.hex(8));
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return false };
        // Credentials may still be wanted.
        call.authorised = false;
        if std::mem::replace(&mut call.slowed, true) {
            return false;
        }
        let transport = call.record.flow.transport;
        let number = invite.cseq().map_or(1, |cseq| cseq.number) + 1;
        let mut again = invite.clone();
        again.set("Via", self.via(transport, &branch));
        again.set("CSeq", format!("{number} INVITE"));
        again.set("Min-SE", least_s.to_string());
        again.set("Session-Expires", format!("{least_s};refresher=uas"));
        self.place_again(session, subsession, again);
        true
    }

    /// An INVITE takes the place of one that was refused, in the same call.
    pub(super) fn place_again(&mut self, session: &SessionId, subsession: &str, again: Message) {
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return };
        let number = again.cseq().map_or(0, |cseq| cseq.number);
        let raw = Raw(again.to_bytes());
        match &mut call.record.phase {
            Phase::Confirmed { dialog, exchange: Some(exchange), .. } => {
                dialog.local_cseq = dialog.local_cseq.max(number);
                if let Exchange::App { invite, .. } = &mut **exchange {
                    *invite = raw;
                }
            }
            _ => {
                call.record.invite = raw;
                call.invite = again;
                call.early.clear();
            }
        }
        self.put_call(session, subsession, Dirty::Urgent);
        self.promise(session, Promise::Invite { subsession: subsession.to_owned() });
    }

    /// A placed call came to nothing: the app is told, and the record goes.
    pub(super) fn fail_placed(
        &mut self,
        session: &SessionId,
        subsession: &str,
        status: u16,
        reason: &str,
        authenticate: Option<Value>,
    ) {
        let Some(entry) = self.entries.get(session) else { return };
        let Some(call) = entry.calls.get(subsession) else { return };
        let Phase::Placed { correlation, .. } = &call.record.phase else { return };
        let mut frame = Frame::error("call", "start", told_code(status), reason);
        frame = call.named(frame, &entry.session.record.aor);
        frame.control.correlation_id = Some(correlation.clone());
        frame.header.authenticate = authenticate;
        self.end_call(session, subsession, Dirty::Urgent);
        self.give(session, frame);
    }

    /// The app hung up before its call was answered: CANCEL, as soon as one may go.
    pub(super) fn cancel_placed(&mut self, session: &SessionId, subsession: &str) {
        let wait_ms = 64 * self.config.timers.t1_ms;
        let deadline_wall_us = self.now.wall_us + wait_ms * 1_000;
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return };
        let Phase::Placed { cancelled, .. } = &mut call.record.phase else { return };
        if std::mem::replace(cancelled, true) {
            return;
        }
        call.record.deadline_wall_us = deadline_wall_us;
        let branch = branch_of(&call.invite).unwrap_or_default();
        self.put_call(session, subsession, Dirty::Soon);
        self.arm_call(session, subsession, wait_ms);
        let Some(calling) = self.calling.get_mut(&branch) else { return };
        let (cancel, flow) = (calling.machine.cancel(), calling.flow.clone());
        if let Some(cancel) = cancel {
            self.start_client(&branch, flow, cancel.to_bytes(), Purpose::Unheard);
        }
    }

    /// Nobody answered a placed call (Timer C of RFC 3261 section 16.8), or its CANCEL.
    pub(super) fn on_no_answer_deadline(&mut self, session: &SessionId, subsession: &str) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let Some(call) = call else { return };
        if matches!(call.record.phase, Phase::Placed { cancelled: false, .. }) {
            self.cancel_placed(session, subsession);
            return;
        }
        let branch = branch_of(&call.invite).unwrap_or_default();
        self.fail_placed(session, subsession, 487, "Request Terminated", None);
        self.drop_calling(&branch);
    }
}

/// The app's answer to a challenge, member by member, as a Digest.
pub(super) fn app_credentials(value: &Value) -> Option<String> {
    const NAMES: [&str; 9] =
        ["username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "opaque", "qop"];
    let map = value.as_object()?;
    let text =
        |name: &str| map.get(name)?.as_str().filter(|v| !v.contains(['"', '\r', '\n', '\\']));
    let mut parts: Vec<String> = NAMES
        .iter()
        .filter_map(|name| {
            let bare = matches!(*name, "algorithm" | "qop");
            let value = text(name)?;
            Some(if bare { format!("{name}={value}") } else { format!("{name}=\"{value}\"") })
        })
        .collect();
    parts.extend(text("nc").map(|count| format!("nc={count}")));
    (parts.len() >= 5).then(|| format!("Digest {}", parts.join(", ")))
}

/// The challenge that the app is asked to answer.
pub(super) fn authenticate(response: &Message) -> Option<Value> {
    let challenges = response.challenges().ok()?;
    let challenge = challenges.first()?;
    let mut map = Map::new();
    map.insert("scheme".to_owned(), challenge.scheme.as_str().into());
    for (name, value) in challenge.params.iter() {
        map.insert(name.to_ascii_lowercase(), value.unwrap_or_default().into());
    }
    Some(Value::Object(map))
}
