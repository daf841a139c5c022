//! Calls of an app that were answered: the ACK is its `complete`, and a 2xx never stays without one.

use reveille_wire::jsonrtc::{Frame, MessageState};
use reveille_wire::sip::{Message, Method};

use super::Node;
use super::entry::{Dirty, Promise, Purpose};
use super::within::put_sdp;
use crate::call::Call;
use crate::headers;
use crate::io::{Flow, Output};
use crate::record::{Dialog, Exchange, Phase, Raw, SessionId};
use crate::timer::{Name, Owner};

impl Node {
    /// The one called took the call.
    pub(super) fn on_success(
        &mut self,
        place: &(SessionId, String),
        invite: &Message,
        flow: &Flow,
        response: &Message,
    ) {
        let (session, subsession) = place;
        if self.is_exchange(session, subsession, invite) {
            self.on_exchange_success(session, subsession, response);
            return;
        }
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let dialog = Dialog::outgoing(invite, response);
        match call.map(|call| &call.record.phase) {
            Some(Phase::Placed { cancelled: false, .. }) => {
                self.take_answer(session, subsession, dialog, response);
            }
            Some(Phase::Placed { cancelled: true, .. }) => {
                // The answer and our CANCEL crossed (RFC 3261 section 9.1).
                self.hang_up_stray(invite, flow, dialog);
                self.fail_placed(session, subsession, 487, "Request Terminated", None);
            }
            Some(Phase::Answered { dialog: ours, .. }) if ours.remote_tag == dialog.remote_tag => {}
            Some(Phase::Confirmed { dialog: ours, .. }) if ours.remote_tag == dialog.remote_tag => {
                self.on_repeated_success(response);
            }
            // A second one took a forked call: it is hung up (RFC 3261 section 13.2.2.4).
            _ => self.hang_up_stray(invite, flow, dialog),
        }
    }

    fn take_answer(
        &mut self,
        session: &SessionId,
        subsession: &str,
        mut dialog: Dialog,
        response: &Message,
    ) {
        let deadline_wall_us = self.now.wall_us + self.config.complete_ms * 1_000;
        let Some(entry) = self.entries.get_mut(session) else { return };
        let (aor, app) = (entry.session.record.aor.clone(), entry.session.record.app.clone());
        let Some(call) = entry.calls.get_mut(subsession) else { return };
        let correlation = call.correlation().unwrap_or_default().to_owned();
        let early = call.early.iter().find(|e| e.dialog.remote_tag == dialog.remote_tag);
        if let Some(early) = early {
            dialog.local_cseq = dialog.local_cseq.max(early.dialog.local_cseq);
            dialog.remote_cseq = early.dialog.remote_cseq;
        }
        call.early.clear();
        call.record.deadline_wall_us = deadline_wall_us;
        call.record.phase =
            Phase::Answered { correlation: correlation.clone(), dialog: Box::new(dialog) };
        let mut frame = Frame::response("call", "start", MessageState::Final);
        frame = call.named(frame, &aor);
        frame.control.correlation_id = Some(correlation);
        frame.header.response_code = Some(200);
        put_sdp(&mut frame, response);
        headers::to_app(&self.config.headers, &app, response, &mut frame);
        self.agree(session, subsession, response, false);
        self.put_call(session, subsession, Dirty::Urgent);
        self.give(session, frame);
        self.arm_call(session, subsession, self.config.complete_ms);
        self.wake_if_away(session);
    }

    /// The app's `complete`: the ACK leaves when the dialog is on record.
    pub(crate) fn on_complete(&mut self, session: &SessionId, frame: &Frame) {
        let subsession = frame.control.subsession_id.clone().unwrap_or_default();
        self.complete(session, &subsession, frame.sdp());
    }

    pub(super) fn complete(&mut self, session: &SessionId, subsession: &str, sdp: Option<&str>) {
        let branch = format!("z9hG4bK{}", self.dice.hex(8));
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let Some(flow) = call.map(Call::way) else { return };
        let via = self.via(flow.transport, &branch);
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return };
        let (dialog, invite) = match &call.record.phase {
            Phase::Answered { dialog, .. } => (dialog.clone(), call.invite.clone()),
            Phase::Confirmed { dialog, exchange: Some(exchange), .. } => match &**exchange {
                Exchange::App { invite, answered: true, .. } => {
                    let Ok(invite) = Message::parse(&invite.0) else { return };
                    (dialog.clone(), invite)
                }
                Exchange::App { .. } | Exchange::Peer { .. } => return,
            },
            _ => return,
        };
        let mut ack = dialog.ack(&invite, &via);
        if let Some(sdp) = sdp.filter(|sdp| !sdp.is_empty()) {
            ack.set_body("application/sdp", sdp.as_bytes());
        }
        let bytes = ack.to_bytes();
        call.record.phase =
            Phase::Confirmed { dialog, ack: Some(Raw(bytes.clone())), exchange: None };
        let owner = Owner::call(session, subsession);
        self.timers.clear(Name::CallDeadline, &owner);
        self.put_call(session, subsession, Dirty::Urgent);
        if !planted!(self.config, NeverAcknowledges) {
            self.promise(session, Promise::Sip { flow, bytes });
        }
    }

    /// A 2xx that was acknowledged came again, perhaps after a restart: so does its ACK.
    pub(super) fn on_repeated_success(&mut self, response: &Message) {
        if !response.status().is_some_and(|status| (200..300).contains(&status)) {
            return;
        }
        let places = response.call_id().ok().and_then(|call_id| self.dialogs.get(call_id));
        let tag = |side: Option<&str>| side.unwrap_or_default().to_owned();
        let to = response.to().map(|to| tag(to.tag())).unwrap_or_default();
        let from = response.from().map(|from| tag(from.tag())).unwrap_or_default();
        let number = response.cseq().map_or(0, |cseq| cseq.number);
        let ack = places.into_iter().flatten().find_map(|(session, subsession)| {
            let call = self.entries.get(session)?.calls.get(subsession)?;
            let Phase::Confirmed { dialog, ack: Some(ack), .. } = &call.record.phase else {
                return None;
            };
            let of = Message::parse(&ack.0).ok()?.cseq().ok()?.number;
            let ours = dialog.is_of(&from, &to) && of == number;
            ours.then(|| (call.way(), ack.0.clone()))
        });
        if let Some((flow, bytes)) = ack {
            self.out.push(Output::Sip { flow, bytes });
        }
    }

    /// A dialog that nobody wants: acknowledged and ended at once.
    fn hang_up_stray(&mut self, invite: &Message, flow: &Flow, mut dialog: Dialog) {
        let branches = [self.dice.hex(8), self.dice.hex(8)].map(|hex| format!("z9hG4bK{hex}"));
        let [ack_via, bye_via] = branches.each_ref().map(|b| self.via(flow.transport, b));
        let ack = dialog.ack(invite, &ack_via).to_bytes();
        let call_id = invite.call_id().unwrap_or_default();
        let bye = dialog.request(Method::BYE, call_id, &bye_via).to_bytes();
        self.out.push(Output::Sip { flow: flow.clone(), bytes: ack });
        self.start_client(&branches[1], flow.clone(), bye, Purpose::Unheard);
    }

    /// The app never completed a call that was answered: it is acknowledged and ended.
    pub(super) fn on_no_complete(&mut self, session: &SessionId, subsession: &str) {
        self.tell_app(session, subsession, "shutdown", None);
        self.hang_up_answered(session, subsession);
    }

    /// Ends an answered call whose `complete` is missing: a 2xx is always acknowledged
    /// (RFC 3261 section 13.2.2.4).
    pub(super) fn hang_up_answered(&mut self, session: &SessionId, subsession: &str) {
        self.complete(session, subsession, None);
        self.hang_up(session, subsession);
    }
}
