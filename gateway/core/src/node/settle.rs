//! The gate: after each input, what changed is committed, and what was promised waits for it.

use reveille_trace::{Draft, Kind};

use super::entry::{Dirty, Promise};
use super::{Node, Purpose};
use crate::io::{Change, Commit, Output};
use crate::record::SessionId;
use crate::timer::{Name, Owner};
use crate::transaction::Stage;

impl Node {
    /// Promises something that rests on the record as it will be after this input.
    pub(super) fn promise(&mut self, session: &SessionId, promise: Promise) {
        self.touched.insert(session.clone());
        self.promises.push((session.clone(), true, promise));
    }

    /// Repeats a promise that was kept before, or makes one that rests on nothing new; it still
    /// does not overtake those before it.
    pub(super) fn repeat(&mut self, session: &SessionId, promise: Promise) {
        self.touched.insert(session.clone());
        self.promises.push((session.clone(), false, promise));
    }

    pub(super) fn touch(&mut self, session: &SessionId, dirty: Dirty) {
        if let Some(entry) = self.entries.get_mut(session) {
            entry.mark(dirty);
            self.touched.insert(session.clone());
        }
    }

    /// Commits what this input changed and lets out what may leave.
    pub(super) fn settle(&mut self) {
        while let Some(session) = self.touched.pop_first() {
            self.commit(&session);
            self.stirred.insert(session);
        }
        for (session, rests, promise) in std::mem::take(&mut self.promises) {
            let Some(entry) = self.entries.get_mut(&session) else {
                self.keep(&session, promise);
                continue;
            };
            let mut hasty = planted!(self.config, DeliversBeforeStored);
            if planted!(self.config, PushesBeforeStored) {
                hasty |= matches!(promise, Promise::Push { .. });
            }
            if hasty {
                self.keep(&session, promise);
            } else if let Some(promise) = entry.gate.pass(promise, rests) {
                self.keep(&session, promise);
            }
        }
        if !self.touched.is_empty() {
            self.settle();
        }
    }

    fn commit(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get(session) else { return };
        let flushes = entry.dirty == Dirty::Lazy && whim!(self, EarlyFlush);
        let Some(entry) = self.entries.get(session) else { return };
        // A frame whose work is stored at once is confirmed in time as well (D-15).
        let waits = entry.dirty == Dirty::Lazy && !flushes;
        if waits || entry.dirty != Dirty::Clean && entry.session.untold > 0 {
            let owner = Owner::Session(session.clone());
            if !self.timers.is_set(Name::Acknowledge, &owner) {
                self.arm(Name::Acknowledge, owner, self.config.acknowledge_after.1);
            }
        }
        let Some(entry) = self.entries.get_mut(session) else { return };
        let urgent = match entry.dirty {
            Dirty::Clean => return,
            Dirty::Lazy if waits => return,
            Dirty::Lazy | Dirty::Soon => false,
            Dirty::Urgent => true,
        };
        entry.dirty = Dirty::Clean;
        let mut changes = std::mem::take(&mut entry.changes);
        if planted!(self.config, DropsStore) {
            changes.retain(|change| !matches!(change, Change::PutCall(_)));
        }
        if !changes.contains(&Change::DropSession) {
            changes.insert(0, Change::PutSession(Box::new(entry.session.record.clone())));
        }
        let token = entry.gate.issue(entry.session.record.last_in);
        let epoch = entry.session.record.epoch;
        self.trace_commit(Kind::StoreAsked, session, token);
        let session = session.clone();
        self.out.push(Output::Store(Commit { session, token, epoch, changes, urgent }));
    }

    fn trace_commit(&mut self, kind: Kind, session: &SessionId, token: u64) {
        if self.heard {
            self.trace(Draft::new(kind).with("session", session.as_str()).with("token", token));
        }
    }

    pub(super) fn on_stored(&mut self, session: &SessionId, token: u64) {
        self.stirred.insert(session.clone());
        let Some(entry) = self.entries.get_mut(session) else { return };
        entry.gate.stored(token);
        self.trace_commit(Kind::Stored, session, token);
        while let Some(promise) =
            self.entries.get_mut(session).and_then(|entry| entry.gate.release())
        {
            self.keep(session, promise);
        }
        if self.entries.get(session).is_some_and(|entry| entry.over && entry.gate.is_settled()) {
            self.forget_if_gone(session);
        }
    }

    /// Keeps a promise whose record is durable, unless it is no longer owed.
    fn keep(&mut self, session: &SessionId, promise: Promise) {
        match promise {
            Promise::Respond { key, status, bytes, subsession } => {
                self.keep_response(session, &subsession, &key, status, &bytes);
            }
            Promise::Reply { key, bytes } => {
                let mut acts = Vec::new();
                if let Some((server, _)) = self.servers.get_mut(&key) {
                    server.respond(&bytes, &mut acts);
                }
                self.act_server(&key, acts);
            }
            Promise::Text { socket, text, hop } => {
                // A socket that went away meanwhile: the frame is replayed at the next one.
                if self.sockets.contains_key(&socket) {
                    self.out.push(Output::Text { socket, text });
                    if let Some(call_id) = hop {
                        self.hop(9, "core/session", &call_id);
                    }
                }
            }
            Promise::Close { socket, code, reason } => self.close(socket, code, reason),
            Promise::Push { wake, attempt } => self.keep_push(session, wake, attempt),
            Promise::Invite { subsession } => self.keep_invite(session, &subsession),
            Promise::Errand(id) => self.send_errand(session, id),
            Promise::Ask { flow, within } => {
                let branch = super::calling::branch_of(&within.request).unwrap_or_default();
                let bytes = within.request.to_bytes();
                self.start_client(&branch, flow, bytes, Purpose::Within(within));
            }
            Promise::Sip { flow, bytes } => self.out.push(Output::Sip { flow, bytes }),
            Promise::DropSuperseded(old) => self.drop_superseded(&old),
        }
    }

    fn keep_response(
        &mut self,
        session: &SessionId,
        subsession: &str,
        key: &crate::transaction::TransactionKey,
        status: u16,
        bytes: &[u8],
    ) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        if status < 200 && !call.is_some_and(|call| call.owes(key)) {
            return;
        }
        let call_id = call.map(|call| call.call_id.clone());
        let mut acts = Vec::new();
        let is_said = self.is_said(key, status);
        let Some(invite) = self.invites.get_mut(key) else { return };
        if invite.machine.stage() != Stage::Proceeding || is_said {
            return;
        }
        invite.machine.respond(status, bytes, &mut acts);
        self.act_invite(key, acts);
        let call_id = call_id.unwrap_or_default();
        match status {
            100 => self.hop(6, "driver/fabric", &call_id),
            200.. => self.hop(10, "core/transaction", &call_id),
            _ => {}
        }
        if (200..300).contains(&status) {
            self.begin_repeating(session, subsession);
        }
    }
}
