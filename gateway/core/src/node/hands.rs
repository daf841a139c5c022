//! A session changes hands: its records become machines here, or its machines go without a word.

use reveille_trace::{Draft, Kind};
use reveille_wire::jsonrtc::close;
use reveille_wire::sip::Message;

use super::entry::{Entry, Promise, Purpose};
use super::{Invite, Node};
use crate::io::{Flow, Records};
use crate::record::SessionId;
use crate::timer::Owner;

impl Node {
    /// Sessions that the fabric made ours: they go on as after a restart.
    pub(super) fn adopt(&mut self, mut records: Records) {
        records
            .sessions
            .retain(|record| self.epoch_of(&record.id).is_none_or(|known| known < record.epoch));
        let mut untold = Vec::new();
        for record in &records.sessions {
            untold.extend(self.let_go(&record.id));
            let draft = Draft::new(Kind::Note).with("text", "adopted");
            self.trace(draft.with("session", record.id.as_str()).with("epoch", record.epoch));
        }
        let ours: Vec<_> = records.sessions.iter().map(|record| record.id.clone()).collect();
        records.calls.retain(|record| ours.contains(&record.session));
        records.messages.retain(|record| ours.contains(&record.session));
        self.recover(records);
        for (flow, request) in untold {
            self.on_sip(flow, &request);
        }
    }

    fn epoch_of(&mut self, session: &SessionId) -> Option<u64> {
        self.unfold(session);
        self.entries.get(session).map(|entry| entry.session.record.epoch)
    }

    /// Another node owns the session now: this one must not say another word for it.
    pub(super) fn on_fenced(&mut self, session: &SessionId, epoch: u64) {
        if self.epoch_of(session).is_none_or(|ours| ours > epoch) {
            return;
        }
        let draft = Draft::new(Kind::StoreFailed).with("session", session.as_str());
        self.trace(draft.with("what", "fenced: another node owns the session"));
        let socket = self.entries.get(session).and_then(|entry| entry.session.socket());
        if let Some(socket) = socket {
            self.close(socket, close::NODE_STOPS, "another node has the session");
            self.forget_socket(socket);
        }
        for (flow, request) in self.let_go(session) {
            self.on_sip(flow, &request);
        }
    }

    /// Forgets a session and all its machines in silence. Returns the INVITEs that were told nothing
    /// so far, and the requests that wait for the app: they are for its new owner, who finds no record
    /// of them.
    fn let_go(&mut self, session: &SessionId) -> Vec<(Flow, Message)> {
        self.forget_address(session);
        let Some(mut entry) = self.entries.remove(session) else { return Vec::new() };
        self.census.remove(&entry.session.record);
        self.contacts.remove(&entry.session.record.contact);
        self.touched.remove(session);
        self.forget_deadlines(session, &entry);
        if let Some(wake) = &entry.wake {
            self.wakes.remove(&wake.id);
        }
        for message in entry.messages.values() {
            self.servers.remove(&message.key);
        }
        let mut untold = self.let_invites_go(session, &entry);
        for (key, knock) in &entry.knocks {
            let flow = self.servers.remove(key).map(|(_, flow)| flow);
            untold.extend(flow.map(|flow| (flow, knock.request.clone())));
        }
        // Whoever waits for an answer asks again, and reaches the new owner.
        for promise in entry.gate.take_waiting() {
            if let Promise::Reply { key, .. } = promise {
                self.servers.remove(&key);
            }
        }
        self.clients.retain(|_, (_, _, purpose)| purpose.session() != Some(session));
        self.calling.retain(|_, calling| calling.place.0 != *session);
        self.notified.retain(|_, (owner, _)| owner != session);
        self.dialogs.retain(|_, places| {
            places.retain(|(owner, _)| owner != session);
            !places.is_empty()
        });
        untold
    }

    fn let_invites_go(&mut self, session: &SessionId, entry: &Entry) -> Vec<(Flow, Message)> {
        let mut untold = Vec::new();
        let theirs = |invite: &Invite| invite.legs.iter().any(|(owner, _)| owner == session);
        let keys = self.invites.iter().filter(|(_, invite)| theirs(invite));
        let keys: Vec<_> = keys.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(invite) = self.invites.get_mut(&key) else { continue };
            let subsession = invite.legs.iter().find(|(owner, _)| owner == session);
            let call = subsession.and_then(|(_, subsession)| entry.calls.get(subsession));
            let told = invite.machine.last().is_some();
            let call = call.filter(|call| !told && call.key == key);
            invite.legs.retain(|(owner, _)| owner != session);
            if !invite.legs.is_empty() {
                continue;
            }
            untold.extend(call.map(|call| (invite.flow.clone(), call.invite.clone())));
            let identity = invite.identity.clone();
            self.invites.remove(&key);
            self.identities.remove(&identity);
            self.timers.forget(&Owner::InviteServer(key));
        }
        untold
    }

    fn forget_deadlines(&mut self, session: &SessionId, entry: &Entry) {
        self.timers.forget(&Owner::Session(session.clone()));
        for subsession in entry.calls.keys() {
            self.timers.forget(&Owner::call(session, subsession));
        }
        for subsession in entry.messages.keys() {
            self.timers.forget(&Owner::message(session, subsession));
        }
        for key in entry.knocks.keys() {
            let knock = Owner::Knock(Box::new((session.clone(), key.clone())));
            self.timers.forget(&knock);
        }
        for subsession in entry.subscriptions.keys() {
            self.timers.forget(&Owner::subscription(session, subsession));
        }
    }
}

impl Purpose {
    fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Register(session) | Self::Errand(session, _) => Some(session),
            Self::Within(within) => Some(&within.place.0),
            Self::Unheard => None,
        }
    }
}
