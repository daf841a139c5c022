//! Session timers of the calls that stand, kept for the app: awake, away or asleep.

use reveille_wire::sip::{Message, Method};

use super::Node;
use super::entry::{Asked, Dirty};
use crate::record::SessionId;
use crate::session_timer;
use crate::timer::{Name, Owner};

impl Node {
    /// Keeps what a 2xx agreed on, and comes back in time.
    pub(super) fn agree(
        &mut self,
        session: &SessionId,
        subsession: &str,
        response: &Message,
        we_answered: bool,
    ) {
        let now_wall_us = self.now.wall_us;
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(dialog) = call.and_then(|call| call.stands()) else { return };
        let agreed = session_timer::agreed(response, we_answered, now_wall_us);
        // A 2xx without it ends the agreement (RFC 4028 section 7.2).
        dialog.refresh = agreed;
        self.arm_refresh(session, subsession);
    }

    pub(super) fn arm_refresh(&mut self, session: &SessionId, subsession: &str) {
        let owner = Owner::call(session, subsession);
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let refresh = call.and_then(|call| call.stands()).and_then(|dialog| dialog.refresh.clone());
        match refresh {
            Some(refresh) => {
                let most_ms = u64::from(refresh.interval_s) * 1_000;
                let at_us = self.mono_of_wall(refresh.due_wall_us(), most_ms);
                self.timers.set(Name::SessionTimer, owner, at_us);
            }
            None => self.timers.clear(Name::SessionTimer, &owner),
        }
    }

    /// A refresh of ours is due, or one of theirs did not come.
    pub(super) fn on_session_timer(&mut self, session: &SessionId, subsession: &str) {
        let most_s = self.config.session_timer_s;
        let branch = format!("z9hG4bK{}", self.dice.hex(8));
        let Some(entry) = self.entries.get(session) else { return };
        let Some(call) = entry.calls.get(subsession) else { return };
        let flow = call.way();
        let contact = self.contact_in(session, call);
        let via = self.via(flow.transport, &branch);
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return };
        let call_id = call.call_id.clone();
        let Some(dialog) = call.stands() else { return };
        let by_us = dialog.refresh.as_ref().is_some_and(|refresh| refresh.by_us);
        if !by_us || !dialog.allows("UPDATE") {
            self.tell_app(session, subsession, "shutdown", None);
            self.hang_up(session, subsession);
            return;
        }
        let headers = dialog.refreshing(most_s);
        let mut update =
            dialog.request(Method::UPDATE, &call_id, &via).with("Contact", format!("<{contact}>"));
        for (name, value) in headers {
            update.push(name, value);
        }
        self.put_call(session, subsession, Dirty::Soon);
        self.ask_within(session, subsession, flow, update, Asked::Refresh);
    }

    /// What our refresh led to: no answer and 481 end the dialog (RFC 4028 section 10).
    pub(super) fn on_refreshed(
        &mut self,
        session: &SessionId,
        subsession: &str,
        answer: Result<&Message, u16>,
    ) {
        match answer {
            Ok(response) if response.status().is_some_and(|status| status < 300) => {
                self.agree(session, subsession, response, false);
                self.put_call(session, subsession, Dirty::Soon);
            }
            Ok(response) if !matches!(response.status(), Some(408 | 481)) => {
                // Refused for now: the session ends if nothing refreshes it before its time.
                let call =
                    self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
                let refresh = call.and_then(|call| call.stands()?.refresh.as_mut());
                if let Some(refresh) = refresh {
                    refresh.by_us = false;
                    self.arm_refresh(session, subsession);
                }
            }
            Ok(_) | Err(_) => {
                self.tell_app(session, subsession, "shutdown", None);
                self.hang_up(session, subsession);
            }
        }
    }

    /// A 2xx of ours within a dialog: where we are, what we take, and the session's timer.
    pub(super) fn accepting(
        &self,
        session: &SessionId,
        subsession: &str,
        request: &Message,
        sdp: Option<&str>,
    ) -> Option<Message> {
        let entry = self.entries.get(session)?;
        let call = entry.calls.get(subsession)?;
        let contact = self.contact_in(session, call);
        let mut response = request
            .reply(200, "OK", None)
            .with("Contact", format!("<{contact}>"))
            .with("Allow", self.config.allow());
        for (name, value) in session_timer::answer(request, self.config.session_timer_s) {
            response.push(name, value);
        }
        if let Some(sdp) = sdp {
            response.set_body("application/sdp", sdp.as_bytes());
        }
        Some(response)
    }
}
