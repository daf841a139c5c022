//! Looks at the node from outside: read-only, and bounded in what one look passes.

use std::borrow::Cow;
use std::ops::Bound;

use reveille_wire::jsonrtc::close;
use sha2::{Digest as _, Sha256};

use super::Node;
use super::entry::{Entry, Promise};
use crate::call::Call;
use crate::record::{Device, Phase, SessionId, Standing};
use crate::session::Link;
use crate::survey::{
    CallState, CallView, DeviceView, Filter, MOST_LOOKED, Page, SessionView, State, Tally,
};

impl Node {
    /// Sessions by id, behind `after`; at most `limit` of them, and no more than one look finds.
    #[must_use]
    pub fn sessions(
        &self,
        after: Option<&str>,
        limit: usize,
        filter: &Filter,
    ) -> Page<SessionView> {
        let mut page = Page { items: Vec::new(), next: None };
        for (looked, (id, entry)) in self.entries_after(after).enumerate() {
            if looked == MOST_LOOKED || page.items.len() >= limit {
                return page;
            }
            page.next = Some(id.to_string());
            if entry.matches(filter) {
                page.items.push(view_of(&entry));
            }
        }
        page.next = None;
        page
    }

    /// One session and its calls, in the order of their arrival.
    #[must_use]
    pub fn session(&self, id: &str) -> Option<(SessionView, Vec<CallView>)> {
        let id = SessionId::from(id.to_owned());
        let folded = || self.sleepers.get(&id).map(|bytes| Cow::Owned(self.look_at(&id, bytes)));
        let entry = self.entries.get(&id).map(Cow::Borrowed).or_else(folded)?;
        let mut calls: Vec<_> = entry.calls.values().collect();
        calls.sort_by_key(|call| call.record.arrival);
        Some((view_of(&entry), calls.into_iter().map(call_view).collect()))
    }

    /// Undecided calls, whole sessions at a time: `limit` is passed by those of the last one.
    #[must_use]
    pub fn pending_calls(&self, after: Option<&str>, limit: usize) -> Page<CallView> {
        let mut page = Page { items: Vec::new(), next: None };
        for (looked, (id, entry)) in self.entries_after(after).enumerate() {
            if looked == MOST_LOOKED || page.items.len() >= limit {
                return page;
            }
            page.next = Some(id.to_string());
            let pending = entry.pending();
            let calls = pending.iter().filter_map(|subsession| entry.calls.get(subsession));
            page.items.extend(calls.map(call_view));
        }
        page.next = None;
        page
    }

    /// Counts sessions and calls behind `after`.
    #[must_use]
    pub fn tally(&self, after: Option<&str>) -> Tally {
        let mut tally = Tally::default();
        for (looked, (id, entry)) in self.entries_after(after).enumerate() {
            if looked == MOST_LOOKED {
                return tally;
            }
            tally.next = Some(id.to_string());
            let key = (entry.session.record.app.clone(), entry.state());
            *tally.sessions.entry(key).or_default() += 1;
            let pending = entry.calls.values().filter(|call| call.is_undecided()).count();
            tally.pending_calls += u64::try_from(pending).unwrap_or(u64::MAX);
        }
        tally.next = None;
        tally
    }

    /// Sessions behind `after` by id, folded or not; of a folded one a copy is looked at.
    fn entries_after(
        &self,
        after: Option<&str>,
    ) -> impl Iterator<Item = (&SessionId, Cow<'_, Entry>)> {
        let from = match after {
            Some(id) => Bound::Excluded(SessionId::from(id.to_owned())),
            None => Bound::Unbounded,
        };
        let mut here = self.entries.range((from.clone(), Bound::Unbounded)).peekable();
        let mut folded = self.sleepers.range((from, Bound::Unbounded)).peekable();
        std::iter::from_fn(move || {
            let is_folded = match (here.peek(), folded.peek()) {
                (Some((here, _)), Some((folded, _))) => folded < here,
                (here, folded) => here.is_none() && folded.is_some(),
            };
            if is_folded {
                let (id, bytes) = folded.next()?;
                return Some((id, Cow::Owned(self.look_at(id, bytes))));
            }
            here.next().map(|(id, entry)| (id, Cow::Borrowed(entry)))
        })
    }

    /// The operator ends a session: like its app would, and the app is told.
    pub(super) fn on_end_session(&mut self, session: &SessionId) {
        self.unfold(session);
        let Some(entry) = self.entries.get(session).filter(|entry| !entry.over) else { return };
        let socket = entry.session.socket();
        self.trace_state(session, "operator");
        self.end_session(session);
        if let Some(socket) = socket {
            let reason = "ended by the operator";
            self.promise(session, Promise::Close { socket, code: close::NORMAL, reason });
        }
    }
}

impl Entry {
    fn state(&self) -> State {
        match (self.session.link, self.session.is_asleep()) {
            _ if self.over => State::Ending,
            _ if self.joining.is_some() => State::Joining,
            (Link::Attached(_), _) => State::Active,
            (Link::Closing(_), _) => State::Hibernating,
            (Link::None, true) => State::Hibernated,
            (Link::None, false) => State::Disconnected,
        }
    }

    fn matches(&self, filter: &Filter) -> bool {
        let record = &self.session.record;
        filter.user.as_ref().is_none_or(|user| *user == record.user)
            && filter.app.as_ref().is_none_or(|app| *app == record.app)
            && filter.state.is_none_or(|state| state == self.state())
    }
}

const fn seconds(wall_us: u64) -> u64 {
    wall_us / 1_000_000
}

fn view_of(entry: &Entry) -> SessionView {
    let record = &entry.session.record;
    let asleep_until_unix_s = match record.standing {
        Standing::Asleep { until_wall_us, .. } => Some(seconds(until_wall_us)),
        Standing::Awake => None,
    };
    let registered = entry.registration.is_some().then_some(record.registered_until_wall_us);
    SessionView {
        id: record.id.to_string(),
        user: record.user.clone(),
        aor: record.aor.clone(),
        app: record.app.clone(),
        state: entry.state(),
        asleep_until_unix_s,
        registered_until_unix_s: registered.filter(|until| *until > 0).map(seconds),
        device: record.device.as_ref().map(device_view),
        waking: entry.wake.is_some(),
        pending_calls: entry.calls.values().filter(|call| call.is_undecided()).count(),
        unacknowledged_frames: record.unacknowledged.len(),
        last_out: record.last_out,
        last_in: record.last_in,
    }
}

fn device_view(device: &Device) -> DeviceView {
    let digest = Sha256::digest(device.token.as_bytes());
    DeviceView {
        provider: device.provider.clone(),
        application: device.application.clone(),
        token_sha256: digest[..6].iter().map(|byte| format!("{byte:02x}")).collect(),
        usable: device.usable,
    }
}

fn call_view(call: &Call) -> CallView {
    let state = match call.record.phase {
        Phase::Placed { .. } => CallState::Placed,
        Phase::Held => CallState::Held,
        Phase::Offered { .. } if call.is_rung() => CallState::Ringing,
        Phase::Offered { .. } => CallState::Offered,
        Phase::Decided { .. } | Phase::Answered { .. } => CallState::Decided,
        Phase::Confirmed { .. } => CallState::Confirmed,
    };
    CallView {
        session: call.record.session.to_string(),
        subsession: call.record.subsession.clone(),
        call_id: call.call_id.clone(),
        state,
        accepted_unix_s: seconds(call.record.accepted_wall_us),
        deadline_unix_s: seconds(call.record.deadline_wall_us),
        peer: call.record.flow.peer.clone(),
    }
}
