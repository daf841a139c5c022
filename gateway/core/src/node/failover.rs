//! What a target of the network did not take goes to the next one, in a transaction of its own: a
//! 503, no way to it, or no response at all (RFC 3263 section 4.3). No target meets a request twice.

use reveille_wire::sip::Message;

use super::Node;
use super::calling::branch_of;
use super::entry::Purpose;
use super::sending;
use crate::headers;
use crate::io::Flow;
use crate::record::{Phase, SessionId};
use crate::timer::{Name, Owner};

/// Credentials, which are for the one who asked for them.
const CREDENTIALS: [&str; 2] = ["Authorization", "Proxy-Authorization"];

impl Node {
    /// A REGISTER. All sessions leave its target together: a registrar that says 503 says so to all.
    pub(super) fn register_elsewhere(&mut self, session: &SessionId, way: &Flow) -> bool {
        self.upstream.fail(way, self.now.mono_us);
        let entry = self.entries.get_mut(session);
        let Some(registration) = entry.and_then(|it| it.registration.as_mut()) else {
            return false;
        };
        registration.turn(way);
        if registration.leaving || self.upstream.other(&registration.tried).is_none() {
            registration.tried.clear();
            return false;
        }
        self.register(session);
        true
    }

    /// A request outside of calls. Its app waits, so that none begins anew once its first
    /// transaction is over.
    pub(super) fn errand_elsewhere(&mut self, session: &SessionId, id: u64, way: &Flow) -> bool {
        let entry = self.entries.get_mut(session);
        let Some(errand) = entry.and_then(|it| it.errands.get_mut(&id)) else { return false };
        errand.tried.push(way.clone());
        let other = loop {
            match self.upstream.other(&errand.tried) {
                Some(flow) if sending::fits(&flow, &errand.request) => break Some(flow),
                Some(flow) => errand.tried.push(flow),
                None => break None,
            }
        };
        if other.is_none() || self.now.mono_us > errand.until_us {
            return false;
        }
        errand.shown = 0;
        forget_credentials(&mut errand.request);
        self.send_errand(session, id);
        true
    }

    /// The INVITE of a call that an app placed, until somebody rang or the call is over. It is on
    /// record again before it leaves.
    pub(super) fn call_elsewhere(
        &mut self,
        (session, subsession): &(SessionId, String),
        way: &Flow,
        invite: &Message,
    ) -> bool {
        let branch = format!("z9hG4bK{}", self.dice.hex(8));
        let call = self.entries.get_mut(session).and_then(|entry| entry.calls.get_mut(subsession));
        let Some(call) = call else { return false };
        let is_wanted = matches!(call.record.phase, Phase::Placed { cancelled: false, .. });
        let is_latest = branch_of(invite) == branch_of(&call.invite);
        if !is_wanted || !is_latest || !call.early.is_empty() {
            return false;
        }
        call.tried.push(way.clone());
        let Some(flow) = self.upstream.other(&call.tried) else { return false };
        let mut again = call.invite.clone();
        if !call.has_own_credentials {
            forget_credentials(&mut again);
            call.authorised = false;
        }
        call.record.flow = flow.clone();
        self.address(session, &flow, &branch, &mut again);
        self.place_again(session, subsession, again);
        true
    }

    /// A connection ended. What it carried and nobody said a word to goes elsewhere at once, if
    /// there is an elsewhere: it may have arrived, or not.
    pub(super) fn leave_flow(&mut self, flow: &Flow) {
        let of_calls = self.calling.iter().filter(|(_, it)| it.flow == *flow);
        let calls = of_calls.filter(|(_, it)| it.machine.is_unheard());
        let calls = calls
            .map(|(branch, it)| (branch.clone(), it.place.clone(), it.machine.invite().clone()));
        for (branch, place, invite) in calls.collect::<Vec<_>>() {
            if self.call_elsewhere(&place, flow, &invite) {
                self.drop_calling(&branch);
            }
        }
        let unheard =
            self.clients.iter().filter(|(_, (it, way, _))| way == flow && it.is_unheard());
        let errands = unheard.filter_map(|(branch, (_, _, purpose))| match purpose {
            Purpose::Errand(session, id) => Some((branch.clone(), session.clone(), *id)),
            _ => None,
        });
        for (branch, session, id) in errands.collect::<Vec<_>>() {
            self.unfold(&session);
            if self.errand_elsewhere(&session, id, flow) {
                self.drop_client(&branch);
            }
        }
    }

    /// No response at all came from there: whoever asks next begins with another target.
    pub(super) fn on_silent(&mut self, way: &Flow) {
        self.upstream.fail(way, self.now.mono_us);
    }

    /// Says in a request how its answers, and what follows from them, come back by this flow.
    pub(super) fn address(
        &self,
        session: &SessionId,
        flow: &Flow,
        branch: &str,
        request: &mut Message,
    ) {
        let via = self.via(flow.transport, branch);
        match request.header("Via") {
            Some(_) => request.set("Via", via),
            None => request.prepend("Via", via),
        }
        if request.header("Contact").is_some() {
            request.set(
                "Contact",
                format!(
                    "<{}>",
                    self.contact_of(session, flow.transport, headers::is_private(request))
                ),
            );
        }
    }

    /// Ends a non-INVITE client transaction without a word.
    pub(super) fn drop_client(&mut self, branch: &str) {
        for name in [Name::E, Name::F, Name::K] {
            self.timers.clear(name, &Owner::Client(branch.into()));
        }
        self.clients.remove(branch);
        self.diverted.remove(branch);
    }
}

fn forget_credentials(request: &mut Message) {
    for name in CREDENTIALS {
        request.remove(name);
    }
}
