use std::collections::BTreeMap;

use reveille_gateway_core::io::{Change, Commit, Input};
use reveille_gateway_core::record::{CallRecord, MessageRecord, SessionId, SessionRecord};

type Place = (SessionId, String);

/// What is durable. Everything goes through its encoding, as on a real disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) sessions: BTreeMap<SessionId, SessionRecord>,
    pub(crate) calls: BTreeMap<Place, CallRecord>,
    pub(crate) messages: BTreeMap<Place, MessageRecord>,
}

impl Disk {
    pub(crate) fn apply(&mut self, commit: &Commit) {
        let owner = &commit.session;
        let place = |subsession: &str| (owner.clone(), subsession.to_owned());
        for change in &commit.changes {
            match change {
                Change::PutSession(record) => {
                    let copy = SessionRecord::decode(&record.encode()).expect("reads back");
                    self.sessions.insert(owner.clone(), copy);
                }
                Change::DropSession => {
                    self.sessions.remove(owner);
                    self.calls.retain(|(session, _), _| session != owner);
                    self.messages.retain(|(session, _), _| session != owner);
                }
                Change::PutCall(record) => {
                    let copy = CallRecord::decode(&record.encode()).expect("reads back");
                    self.calls.insert(place(&record.subsession), copy);
                }
                Change::DropCall { subsession } => {
                    self.calls.remove(&place(subsession));
                }
                Change::PutMessage(record) => {
                    let copy = MessageRecord::decode(&record.encode()).expect("reads back");
                    self.messages.insert(place(&record.subsession), copy);
                }
                Change::DropMessage { subsession } => {
                    self.messages.remove(&place(subsession));
                }
            }
        }
    }

    /// What a process that starts is told.
    pub(crate) fn started(&self) -> Input {
        let mut calls: Vec<_> = self.calls.values().cloned().collect();
        calls.sort_by_key(|call| call.arrival);
        let mut messages: Vec<_> = self.messages.values().cloned().collect();
        messages.sort_by_key(|message| message.arrival);
        Input::Started { sessions: self.sessions.values().cloned().collect(), calls, messages }
    }
}
