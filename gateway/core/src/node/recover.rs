//! Coming back after a crash: every record becomes a machine again, and what was promised is kept.

use std::collections::BTreeMap;

use reveille_trace::{Draft, Kind};

use super::entry::{Dirty, Entry, Promise};
use super::{Invite, Node};
use crate::call::Call;
use crate::record::{CallRecord, Phase, SessionId, SessionRecord, Standing};
use crate::session::{Link, Session};
use crate::timer::{Name, Owner};
use crate::transaction::InviteServer;

/// Registrations after a restart are spread over this long, so that a thousand sleepers do not
/// register in one instant.
const SPREAD_MS: u64 = 10_000;

impl Node {
    pub(super) fn recover(&mut self, sessions: Vec<SessionRecord>, calls: Vec<CallRecord>) {
        let superseded: Vec<_> =
            sessions.iter().filter_map(|record| record.supersedes.clone()).collect();
        for record in sessions {
            let is_old = superseded.contains(&record.id);
            self.recover_session(record, is_old);
        }
        let mut by_arrival: BTreeMap<(SessionId, u64), CallRecord> = BTreeMap::new();
        for record in calls {
            by_arrival.insert((record.session.clone(), record.arrival), record);
        }
        for record in by_arrival.into_values() {
            if !superseded.contains(&record.session) {
                self.recover_call(record);
            }
        }
        for old in superseded {
            self.end_session(&old);
        }
        let waiting: Vec<_> = self.entries.keys().cloned().collect();
        for session in waiting {
            if self.entries.get(&session).is_some_and(Entry::has_pending) {
                self.arm_wake(&session);
            }
        }
    }

    fn recover_session(&mut self, record: SessionRecord, is_old: bool) {
        let id = record.id.clone();
        let standing = record.standing.clone();
        let most_ms = self.config.ttl_s.2 * 1_000;
        self.born += 1;
        self.contacts.insert(record.contact.clone(), id.clone());
        self.census.add(&record);
        self.entries.insert(id.clone(), Entry::new(Session::new(record, Link::None), self.born));
        if is_old {
            return;
        }
        let owner = Owner::Session(id.clone());
        match standing {
            // Lost at the restart: whoever was connected has the grace period to come back.
            Standing::Awake => self.arm(Name::Grace, owner, self.config.grace_ms),
            Standing::Asleep { until_wall_us, .. } => {
                let at_us = self.mono_of_wall(until_wall_us, most_ms);
                self.timers.set(Name::SleepEnd, owner, at_us);
            }
        }
        let wait_ms = self.dice.between(0, SPREAD_MS);
        self.arm(Name::Register, Owner::Session(id.clone()), wait_ms);
        self.trace_state(&id, "recovered");
    }

    fn recover_call(&mut self, mut record: CallRecord) {
        if planted!(self.config, ForgetsToTag) {
            record.to_tag = self.dice.hex(8);
        }
        let (session, subsession) = (record.session.clone(), record.subsession.clone());
        let Some(mut call) = Call::new(record) else {
            let text = format!("call {subsession} of {session}: the record holds no INVITE");
            self.trace(Draft::new(Kind::StoreFailed).with("what", text));
            return;
        };
        call.record.flow = call.return_flow();
        let (call_id, key) = (call.call_id.clone(), call.key.clone());
        let flow = call.record.flow.clone();
        let phase = call.record.phase.clone();
        let Some(entry) = self.entries.get_mut(&session) else { return };
        entry.calls.insert(subsession.clone(), call);
        if !matches!(phase, Phase::Confirmed { .. }) {
            let machine = InviteServer::new(flow.transport.is_reliable(), self.config.timers);
            let identity = format!("recovered {session} {subsession}");
            let invite = Invite { machine, flow, call: None, identity };
            self.invites.insert(key.clone(), invite);
        }
        self.index(&session, &subsession, &call_id, &key);
        match phase {
            Phase::Held | Phase::Offered { .. } => self.recover_pending(&session, &subsession),
            Phase::Decided { status, response, at_wall_us, .. } => {
                let limit_us = 64 * self.config.timers.t1_ms * 1_000;
                let bytes = response.0;
                let subsession = subsession.clone();
                if status < 300 && self.now.wall_us >= at_wall_us + limit_us {
                    self.on_no_ack(&session, &subsession);
                } else {
                    let promise = Promise::Respond { key, status, bytes, subsession };
                    self.repeat(&session, promise);
                }
            }
            Phase::Confirmed { .. } => {}
        }
    }

    /// An undecided call goes on where it stood, inside what is left of its time.
    fn recover_pending(&mut self, session: &SessionId, subsession: &str) {
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let Some(call) = call else { return };
        let most_ms =
            if call.is_rung() { self.config.ring_deadline_ms } else { self.config.wake_budget_ms };
        let (deadline_wall_us, is_rung) = (call.record.deadline_wall_us, call.is_rung());
        if deadline_wall_us <= self.now.wall_us {
            self.on_call_deadline(session, subsession);
            return;
        }
        let owner = Owner::Call(session.clone(), subsession.to_owned());
        let at_us = self.mono_of_wall(deadline_wall_us, most_ms);
        self.timers.set(Name::CallDeadline, owner, at_us);
        // The caller may have missed the 100 that the crash swallowed; hearing it twice is harmless.
        self.provisional(session, subsession, 100, false);
        if is_rung {
            self.tell_ringing(session, subsession);
        } else {
            self.hold(session, subsession, false);
        }
        self.touch(session, Dirty::Lazy);
    }
}
