//! The INVITE client transactions of a node, and the call that each belongs to.

use reveille_wire::sip::Message;

use super::Node;
use super::entry::Purpose;
use super::large::leave_udp;
use crate::call::Call;
use crate::io::Flow;
use crate::record::{Exchange, Phase, SessionId};
use crate::timer::{Name, Owner};
use crate::transaction::{Act, InviteClient, InviteEvent};

/// An INVITE client transaction and the call that it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Calling {
    pub(super) machine: InviteClient,
    pub(super) flow: Flow,
    pub(super) place: (SessionId, String),
    /// What left UDP for its size only: the way it would have gone, and how it read.
    before: Option<(Flow, Message)>,
}

impl Node {
    /// The call, or its re-INVITE, is on record: the INVITE leaves, unless the app thought better.
    pub(super) fn keep_invite(&mut self, session: &SessionId, subsession: &str) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let Some(call) = call else { return };
        let invite = match (&call.record.phase, call.exchange()) {
            (Phase::Placed { cancelled: true, .. }, _) => {
                self.fail_placed(session, subsession, 487, "Request Terminated", None);
                return;
            }
            (Phase::Placed { .. }, _) => call.invite.clone(),
            (_, Some(Exchange::App { invite, answered: false, .. })) => {
                let Ok(invite) = Message::parse(&invite.0) else { return };
                invite
            }
            _ => return,
        };
        let flow = call.way();
        self.begin_calling((session.clone(), subsession.to_owned()), flow, invite);
    }

    pub(super) fn begin_calling(
        &mut self,
        place: (SessionId, String),
        flow: Flow,
        invite: Message,
    ) {
        let (mut diverted, before) = (invite.clone(), (flow.clone(), invite.clone()));
        match leave_udp(&flow, &mut diverted) {
            Some(by_tcp) => self.start_calling(place, by_tcp, diverted, Some(before)),
            None => self.start_calling(place, flow, invite, None),
        }
    }

    fn start_calling(
        &mut self,
        place: (SessionId, String),
        flow: Flow,
        invite: Message,
        before: Option<(Flow, Message)>,
    ) {
        let Some(branch) = branch_of(&invite) else { return };
        let mut acts = Vec::new();
        let reliable = flow.transport.is_reliable();
        let machine = InviteClient::start(invite, reliable, self.config.timers, &mut acts);
        self.calling.insert(branch.clone(), Calling { machine, flow, place, before });
        self.act_calling(&branch, acts);
    }

    fn act_calling(&mut self, branch: &str, acts: Vec<Act>) {
        let Some(flow) = self.calling.get(branch).map(|calling| calling.flow.clone()) else {
            return;
        };
        if self.act(&flow, &Owner::Client(branch.into()), acts) {
            self.drop_calling(branch);
        }
    }

    pub(super) fn drop_calling(&mut self, branch: &str) {
        let owner = Owner::Client(branch.into());
        for name in [Name::A, Name::B, Name::D, Name::M] {
            self.timers.clear(name, &owner);
        }
        self.calling.remove(branch);
    }

    /// A response to an INVITE of ours.
    pub(super) fn on_invite_response(&mut self, branch: &str, response: &Message) {
        let Some(calling) = self.calling.get_mut(branch) else {
            self.on_repeated_success(response);
            return;
        };
        let (mut acts, place) = (Vec::new(), calling.place.clone());
        let event = calling.machine.response(response, &mut acts);
        let (invite, flow) = (calling.machine.invite().clone(), calling.flow.clone());
        self.act_calling(branch, acts);
        match event {
            Some(InviteEvent::Provisional { cancel }) => {
                if let Some(cancel) = cancel {
                    self.start_client(branch, flow, cancel.to_bytes(), Purpose::Unheard);
                }
                self.on_provisional(&place, &invite, response);
            }
            Some(InviteEvent::Success) => self.on_success(&place, &invite, &flow, response),
            Some(InviteEvent::Failure) => self.on_failure(&place, &invite, &flow, response),
            Some(InviteEvent::Timeout | InviteEvent::Unsent) | None => {}
        }
    }

    pub(super) fn on_calling_timer(&mut self, name: Name, branch: &str) {
        let Some(calling) = self.calling.get_mut(branch) else { return };
        let (mut acts, place) = (Vec::new(), calling.place.clone());
        let event = calling.machine.timer(name, &mut acts);
        let (invite, flow) = (calling.machine.invite().clone(), calling.flow.clone());
        self.act_calling(branch, acts);
        if event.is_some() {
            self.on_silent(&flow);
            self.on_unanswered(&place, &flow, &invite, (408, "Request Timeout"));
        }
    }

    /// The INVITEs that were to go this way did not.
    pub(super) fn on_calling_unsent(&mut self, flow: &Flow) {
        let hit = self.calling.iter().filter(|(_, calling)| calling.flow == *flow);
        let hit: Vec<_> = hit.map(|(branch, _)| branch.clone()).collect();
        for branch in hit {
            let Some(calling) = self.calling.get_mut(&branch) else { continue };
            let (mut acts, place) = (Vec::new(), calling.place.clone());
            let event = calling.machine.unsent(&mut acts);
            let invite = calling.machine.invite().clone();
            let (before, by) = (calling.before.take(), calling.flow.clone());
            self.act_calling(&branch, acts);
            if event != Some(InviteEvent::Unsent) {
                continue;
            }
            if let Some((flow, invite)) = before {
                // Nobody takes TCP there: it goes by UDP, however large.
                self.start_calling(place.clone(), flow, invite, None);
                self.keep_wish(&place, &branch);
            } else {
                self.on_silent(&by);
                self.on_unanswered(&place, &by, &invite, (503, "no way to the network"));
            }
        }
    }

    /// Nothing came back for this INVITE. One that another has taken the place of is nobody's
    /// business any more.
    fn on_unanswered(
        &mut self,
        place: &(SessionId, String),
        flow: &Flow,
        invite: &Message,
        (code, reason): (u16, &str),
    ) {
        let (session, subsession) = place;
        if self.is_exchange(session, subsession, invite) {
            self.fail_exchange(session, subsession, code, reason);
        } else if self.is_latest(place, invite) && !self.call_elsewhere(place, flow, invite) {
            self.fail_placed(session, subsession, code, reason, None);
        }
    }

    fn is_latest(&self, (session, subsession): &(SessionId, String), invite: &Message) -> bool {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        call.is_some_and(|call| branch_of(&call.invite) == branch_of(invite))
    }

    /// True if `invite` is the re-INVITE under way in this call.
    pub(super) fn is_exchange(
        &self,
        session: &SessionId,
        subsession: &str,
        invite: &Message,
    ) -> bool {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        match call.and_then(Call::exchange) {
            Some(Exchange::App { invite: sent, .. }) => {
                Message::parse(&sent.0).is_ok_and(|sent| branch_of(&sent) == branch_of(invite))
            }
            _ => false,
        }
    }

    /// A placed call goes on after a restart: its INVITE goes again, under the same branch.
    pub(super) fn recover_placed(&mut self, session: &SessionId, subsession: &str) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let Some(call) = call else { return };
        let (place, flow, invite) = (
            (session.clone(), subsession.to_owned()),
            call.record.flow.clone(),
            call.invite.clone(),
        );
        let at_us = self.mono_of_wall(call.record.deadline_wall_us, self.config.no_answer_ms);
        let owner = Owner::call(session, subsession);
        self.timers.set(Name::CallDeadline, owner, at_us);
        let branch = branch_of(&invite).unwrap_or_default();
        self.begin_calling(place.clone(), flow, invite);
        self.keep_wish(&place, &branch);
    }

    /// The INVITE of a call that the app hung up went again, since it may have arrived before: it
    /// is to be cancelled all the same.
    fn keep_wish(&mut self, (session, subsession): &(SessionId, String), branch: &str) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let is_over = call
            .is_some_and(|call| matches!(call.record.phase, Phase::Placed { cancelled: true, .. }));
        if is_over && let Some(calling) = self.calling.get_mut(branch) {
            // Before a provisional it is a wish, kept by the transaction.
            let _early = calling.machine.cancel();
        }
    }
}

/// The branch of a message's topmost Via.
pub(super) fn branch_of(message: &Message) -> Option<String> {
    message.via().ok()?.branch
}
