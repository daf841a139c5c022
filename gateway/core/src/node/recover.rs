//! Coming back after a crash: every record becomes a machine again, and what was promised is kept.

use std::collections::BTreeMap;

use reveille_trace::{Draft, Kind};
use reveille_wire::sip::Message;

use super::entry::{Dirty, Entry, Promise};
use super::{Invite, Node};
use crate::call::Call;
use crate::io::{Flow, Records};
use crate::message::InstantMessage;
use crate::record::{
    CallRecord, Exchange, MessageRecord, Phase, SessionId, SessionRecord, Standing,
};
use crate::session::{Link, Session};
use crate::timer::{Name, Owner};
use crate::transaction::{InviteServer, TransactionKey};

/// Registrations after a restart are spread over this long, so that a thousand sleepers do not
/// register in one instant.
const SPREAD_MS: u64 = 10_000;

impl Node {
    pub(super) fn recover(&mut self, records: Records) {
        let Records { sessions, calls, messages } = records;
        let ids: Vec<_> = sessions.iter().map(|record| record.id.clone()).collect();
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
        self.stirred.extend(ids.iter().cloned());
        self.recover_legs();
        for record in messages {
            if !superseded.contains(&record.session) {
                self.recover_message(record);
            }
        }
        for old in superseded {
            self.end_session(&old);
        }
        let now_us = self.now.mono_us;
        for session in ids {
            if self.entries.get(&session).is_some_and(|entry| entry.wants_wake(now_us)) {
                self.arm_wake(&session);
            }
        }
    }

    fn recover_session(&mut self, record: SessionRecord, is_old: bool) {
        let id = record.id.clone();
        let standing = record.standing.clone();
        let registered_until_wall_us = record.registered_until_wall_us;
        let most_ms = self.config.ttl_s.2 * 1_000;
        self.born += 1;
        self.contacts.insert(record.contact.clone(), id.clone());
        self.addresses.insert((record.aor.clone(), id.clone()));
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
        let wait_us = self.dice.between(0, SPREAD_MS) * 1_000;
        // A binding that is about to lapse goes first.
        let left_us = registered_until_wall_us.saturating_sub(self.now.wall_us) / 2;
        let at_us = self.now.mono_us + wait_us.min(left_us);
        self.timers.set(Name::Register, Owner::Session(id.clone()), at_us);
        self.trace_state(&id, "recovered");
        self.recover_sending(&id);
        self.recover_subscriptions(&id, SPREAD_MS);
    }

    fn recover_call(&mut self, mut record: CallRecord) {
        if planted!(self.config, ForgetsToTag) {
            record.local_tag = self.dice.hex(8);
        }
        if planted!(self.config, ForgetsSubsession) {
            record.subsession = self.dice.uuid();
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
        if let Some(bye) = &call.record.bye {
            self.recover_bye(&session, &subsession, call.way(), bye);
            return;
        }
        let phase = call.record.phase.clone();
        let Some(entry) = self.entries.get_mut(&session) else { return };
        entry.calls.insert(subsession.clone(), call);
        let waits_here =
            matches!(phase, Phase::Held | Phase::Offered { .. } | Phase::Decided { .. });
        if waits_here {
            let machine = InviteServer::new(flow.transport.is_reliable(), self.config.timers);
            let identity = format!("recovered {session} {subsession}");
            // The legs of one INVITE meet in one transaction again.
            self.invites.entry(key.clone()).or_insert_with(|| Invite {
                machine,
                flow,
                legs: Vec::new(),
                best: None,
                identity,
            });
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
            Phase::Placed { .. } => self.recover_placed(&session, &subsession),
            Phase::Answered { .. } => {
                self.recover_deadline(&session, &subsession);
                self.arm_refresh(&session, &subsession);
            }
            Phase::Confirmed { exchange, .. } => {
                self.arm_refresh(&session, &subsession);
                self.recover_exchange(&session, &subsession, exchange.as_deref());
            }
        }
    }

    fn recover_deadline(&mut self, session: &SessionId, subsession: &str) {
        let most_ms = self.config.complete_ms.max(self.config.wake_budget_ms);
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(subsession));
        let Some(call) = call else { return };
        let at_us = self.mono_of_wall(call.record.deadline_wall_us, most_ms);
        let owner = Owner::call(session, subsession);
        self.timers.set(Name::CallDeadline, owner, at_us);
    }

    /// A renegotiation goes on where it stood.
    fn recover_exchange(
        &mut self,
        session: &SessionId,
        subsession: &str,
        exchange: Option<&Exchange>,
    ) {
        match exchange {
            Some(Exchange::Peer { invite, flow, decided, .. }) => {
                let Ok(invite) = Message::parse(&invite.0) else { return };
                let Some(key) = TransactionKey::of(&invite) else { return };
                let machine = InviteServer::new(flow.transport.is_reliable(), self.config.timers);
                let legs = vec![(session.clone(), subsession.to_owned())];
                let identity = format!("recovered again {session} {subsession}");
                let flow = Flow { connection: None, ..flow.clone() };
                self.invites
                    .insert(key.clone(), Invite { machine, flow, legs, best: None, identity });
                let (status, bytes) = match decided {
                    Some(decided) => (200, decided.response.0.clone()),
                    None => (100, invite.reply(100, "Trying", None).to_bytes()),
                };
                let subsession = subsession.to_owned();
                if decided.is_none() {
                    self.recover_deadline(session, &subsession);
                }
                self.repeat(session, Promise::Respond { key, status, bytes, subsession });
            }
            Some(Exchange::App { answered: true, .. }) => {
                self.recover_deadline(session, subsession);
            }
            Some(Exchange::App { .. }) => {
                let subsession = subsession.to_owned();
                self.repeat(session, Promise::Invite { subsession });
            }
            None => {}
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
        let owner = Owner::call(session, subsession);
        let at_us = self.mono_of_wall(deadline_wall_us, most_ms);
        if !planted!(self.config, ForgetsDeadlineAtRestart) {
            self.timers.set(Name::CallDeadline, owner, at_us);
        }
        // The caller may have missed the 100 that the crash swallowed; hearing it twice is harmless.
        self.provisional(session, subsession, 100, false);
        if is_rung {
            self.tell_ringing(session, subsession);
        } else {
            self.hold(session, subsession, false);
        }
        self.touch(session, Dirty::Lazy);
    }

    /// A message goes on where it stood. Its sender may have missed the answer that the crash
    /// swallowed, and hears it again.
    fn recover_message(&mut self, record: MessageRecord) {
        let (session, subsession) = (record.session.clone(), record.subsession.clone());
        let (budget_ms, accepted_us) = (self.config.wake_budget_ms, record.accepted_wall_us);
        let wake_until_us = self.mono_of_wall(accepted_us + budget_ms * 1_000, budget_ms);
        let Some(mut message) = InstantMessage::new(record, wake_until_us) else {
            let text = format!("message {subsession} of {session}: the record holds no MESSAGE");
            self.trace(Draft::new(Kind::StoreFailed).with("what", text));
            return;
        };
        message.record.flow = message.return_flow();
        let (key, request) = (message.key.clone(), message.request.clone());
        let (flow, answer) = (message.record.flow.clone(), message.record.answer.clone());
        let end_us = self.end_of(&message);
        let Some(entry) = self.entries.get_mut(&session) else { return };
        entry.messages.insert(subsession.clone(), message);
        let owner = Owner::message(&session, &subsession);
        self.timers.set(Name::MessageEnd, owner.clone(), end_us);
        self.begin_server_while_repeated(&key, flow, &request, accepted_us);
        match answer {
            Some(answer) if self.servers.contains_key(&key) => {
                self.repeat(&session, Promise::Reply { key, bytes: answer.response.0 });
            }
            Some(_) => {}
            None => {
                let wait_ms = self.config.message_wait_ms;
                let wait_us = self.mono_of_wall(accepted_us + wait_ms * 1_000, wait_ms);
                self.timers.set(Name::MessageWait, owner, wait_us);
            }
        }
        self.remember(&session, &subsession);
    }

    /// The transaction of a request that its sender may still repeat (64*T1).
    fn begin_server_while_repeated(
        &mut self,
        key: &TransactionKey,
        flow: Flow,
        request: &Message,
        accepted_wall_us: u64,
    ) {
        let limit_us = 64 * self.config.timers.t1_ms * 1_000;
        if self.now.wall_us < accepted_wall_us + limit_us {
            self.begin_server(key, flow, request);
        }
    }
}
