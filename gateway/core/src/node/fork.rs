//! One INVITE for several devices of a user, some awake and some asleep: a leg for each. The caller
//! sees one dialog; the first device that answers has the call.

use reveille_wire::sip::Message;

use super::Node;
use super::entry::Dirty;
use crate::record::{Phase, SessionId};
use crate::transaction::TransactionKey;

/// Devices of one user that are called at once; of more, the newest.
pub(super) const MOST_LEGS: usize = 8;

/// A session, and a call in it.
pub(super) type Place = (SessionId, String);

impl Node {
    /// The undecided legs of the same INVITE, without this one.
    pub(super) fn other_legs(
        &self,
        key: &TransactionKey,
        (session, subsession): &Place,
    ) -> Vec<Place> {
        let legs = self.invites.get(key).map(|invite| invite.legs.as_slice()).unwrap_or_default();
        let is_open = |(of, id): &&Place| {
            let call = self.entries.get(of).and_then(|entry| entry.calls.get(id));
            let is_this = of == session && id == subsession;
            !is_this && call.is_some_and(|call| call.key == *key && call.is_undecided())
        };
        legs.iter().filter(is_open).cloned().collect()
    }

    /// A leg came to this final response. Returns what the caller is to hear: nothing while another
    /// leg may still do better; else the best of all (RFC 3261 section 16.7 step 6).
    pub(super) fn settle_leg(
        &mut self,
        key: &TransactionKey,
        place: &Place,
        response: &Message,
    ) -> Option<Message> {
        let status = response.status()?;
        let others = self.other_legs(key, place);
        if !(300..600).contains(&status) || status == 487 {
            let reason = match status {
                487 => "cancelled",
                ..300 => "answered elsewhere",
                _ => "declined elsewhere",
            };
            for (session, subsession) in others {
                self.drop_leg(&session, &subsession, reason);
            }
            return Some(response.clone());
        }
        let best = self.invites.get(key).and_then(|invite| invite.best);
        let best = best.filter(|best| rank(*best) < rank(status)).unwrap_or(status);
        if let Some(invite) = self.invites.get_mut(key) {
            invite.best = Some(best);
        }
        if !others.is_empty() {
            self.drop_leg(&place.0, &place.1, "");
            return None;
        }
        let call = self.entries.get(&place.0)?.calls.get(&place.1)?;
        let is_best = best == status;
        Some(if is_best {
            response.clone()
        } else {
            call.response(best, Message::reason_phrase(best), ("", ""))
        })
    }

    /// Ends one leg without a word to the caller. An app that has its `start` is told why, unless it
    /// ended the leg itself.
    fn drop_leg(&mut self, session: &SessionId, subsession: &str, reason: &str) {
        if !reason.is_empty() {
            self.tell_ended(session, subsession, reason);
        }
        self.end_call(session, subsession, Dirty::Urgent);
        self.end_wake_if_idle(session);
    }

    /// Tells an app that has its `start` that another device took the call.
    pub(super) fn tell_elsewhere(&mut self, session: &SessionId, subsession: &str) {
        self.tell_ended(session, subsession, "answered elsewhere");
    }

    fn tell_ended(&mut self, session: &SessionId, subsession: &str, reason: &str) {
        let Some(entry) = self.entries.get(session) else { return };
        let call = entry.calls.get(subsession);
        let offered = call.filter(|call| matches!(call.record.phase, Phase::Offered { .. }));
        if let Some(call) = offered {
            let mut frame = call.message("shutdown", &entry.session.record.aor);
            frame.header.reason = Some(reason.to_owned());
            self.give(session, frame);
        }
    }

    /// After a crash: a leg that is decided leaves no other open.
    pub(super) fn recover_legs(&mut self) {
        let decided = |node: &Self, (session, subsession): &Place| {
            let call = node.entries.get(session).and_then(|entry| entry.calls.get(subsession));
            call.is_some_and(|call| call.decided().is_some())
        };
        let mut lost = Vec::new();
        for (key, invite) in self.invites.iter().filter(|(_, invite)| invite.legs.len() > 1) {
            if let Some(leg) = invite.legs.iter().find(|leg| decided(self, leg)) {
                lost.extend(self.other_legs(key, leg));
            }
        }
        for (session, subsession) in lost {
            self.drop_leg(&session, &subsession, "answered elsewhere");
        }
    }

    /// True if the caller has heard as much already: with several legs, a hold after ringing says
    /// nothing, nor does a second ringing.
    pub(super) fn is_said(&self, key: &TransactionKey, status: u16) -> bool {
        let Some(invite) = self.invites.get(key).filter(|invite| invite.legs.len() > 1) else {
            return false;
        };
        let said = invite.machine.last().and_then(|bytes| Message::parse(bytes).ok()?.status());
        matches!(
            (said, status),
            (Some(_), 100) | (Some(180 | 182 | 183), 182 | 183) | (Some(180), 180)
        )
    }
}

/// The lower the better: what a caller can act on goes before what says only that somebody was not
/// there, and a device that says busy before one that did not come.
const fn rank(status: u16) -> u16 {
    match status {
        401 | 407 | 415 | 420 | 484 => 0,
        408 | 480 | 503 | 504 => 2,
        300..=499 => 1,
        _ => 3,
    }
}
