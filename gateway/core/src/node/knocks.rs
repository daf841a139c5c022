//! Requests other than INVITE and MESSAGE that want the app: one that is away is woken, and hears of
//! them once it is here. They live in this process only, since nothing is promised by them. Each is
//! answered while its sender still listens (RFC 4320 section 4.2), and never by 408.

use reveille_wire::sip::{Message, Method};

use super::Node;
use super::entry::Entry;
use super::fork::Place;
use super::reinvite::NOT_NOW;
use crate::record::SessionId;
use crate::timer::{Name, Owner};
use crate::transaction::TransactionKey;

/// Requests that may wait for one app at once.
const MOST_KNOCKS: usize = 16;
/// When a request is answered at the latest, in T1: three quarters of its sender's 64*T1, so that
/// the answer arrives in time over a slow path too.
const PATIENCE_T1: u64 = 48;

/// A request that waits for the app.
#[derive(Debug, Clone)]
pub(super) struct Knock {
    pub(super) request: Message,
    /// The call that it is within.
    pub(super) call: Option<String>,
    /// When it is answered at the latest, in monotonic microseconds.
    until_us: u64,
    /// The correlation id under which the app was given it.
    pub(super) given: Option<String>,
}

impl Node {
    /// Lets a request wait for the app, which is woken if it is away. False: too many wait, and
    /// this one is answered.
    pub(super) fn knock(
        &mut self,
        session: &SessionId,
        call: Option<&str>,
        key: &TransactionKey,
        request: &Message,
    ) -> bool {
        let patience_ms = PATIENCE_T1 * self.config.timers.t1_ms;
        let Some(entry) = self.entries.get_mut(session) else { return false };
        let knock = Knock {
            request: request.clone(),
            call: call.map(ToOwned::to_owned),
            until_us: self.now.mono_us + patience_ms * 1_000,
            given: None,
        };
        if entry.knocks.len() >= MOST_KNOCKS {
            self.reply(key, request, knock.refusal(), &[]);
            return false;
        }
        let is_away = entry.session.attached().is_none();
        entry.knocks.insert(key.clone(), knock);
        self.stirred.insert(session.clone());
        self.arm(Name::Knock, Owner::Knock(Box::new((session.clone(), key.clone()))), patience_ms);
        match call {
            _ if !is_away => {}
            Some(_) => self.arm_wake(session),
            None => self.wake_gently(session),
        }
        true
    }

    /// Takes a request off the list: it is answered now.
    pub(super) fn take_knock(
        &mut self,
        session: &SessionId,
        key: &TransactionKey,
    ) -> Option<Knock> {
        self.timers.clear(Name::Knock, &Owner::Knock(Box::new((session.clone(), key.clone()))));
        self.stirred.insert(session.clone());
        self.entries.get_mut(session)?.knocks.remove(key)
    }

    /// The app is here: it is given what waited, in the order of arrival.
    pub(super) fn open_to_knocks(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get(session) else { return };
        let waiting = entry.knocks.iter().filter(|(_, knock)| knock.given.is_none());
        let mut waiting: Vec<_> =
            waiting.map(|(key, knock)| (knock.until_us, key.clone())).collect();
        waiting.sort();
        for (until_us, key) in waiting {
            let Some(entry) = self.entries.get(session) else { return };
            let Some(knock) = entry.knocks.get(&key).cloned() else { continue };
            let left_ms = until_us.saturating_sub(self.now.mono_us) / 1_000;
            let request = &knock.request;
            match knock.call {
                Some(call) if request.method() != Some(&Method::REFER) => {
                    self.take_knock(session, &key);
                    let place = (session.clone(), call);
                    if request.method() == Some(&Method::UPDATE) {
                        self.give_update(&key, &place, request, left_ms);
                    } else {
                        self.give_candidates(&key, &place, request);
                    }
                }
                _ => self.give_refer(session, &key),
            }
        }
    }

    pub(super) fn on_knock_deadline(&mut self, session: &SessionId, key: &TransactionKey) {
        self.unfold(session);
        let Some(knock) = self.take_knock(session, key) else { return };
        self.reply(key, &knock.request, knock.refusal(), &[]);
        self.withdraw(session, &knock);
        self.end_wake_if_idle(session);
    }

    /// Nothing can bring the app, or the session is over: whoever waits for it hears so.
    pub(super) fn refuse_knocks(&mut self, session: &SessionId) {
        self.refuse_knocks_of(session, |_| true, None);
    }

    /// A dialog ends while requests wait in it: they are answered, not dropped (RFC 3261 section
    /// 15.1.2).
    pub(super) fn end_knocks(&mut self, (session, subsession): &Place) {
        let is_within = |knock: &Knock| knock.call.as_ref() == Some(subsession);
        self.refuse_knocks_of(session, is_within, Some(487));
    }

    fn refuse_knocks_of(
        &mut self,
        session: &SessionId,
        is_meant: impl Fn(&Knock) -> bool,
        status: Option<u16>,
    ) {
        let Some(entry) = self.entries.get(session) else { return };
        let meant = entry.knocks.iter().filter(|(_, knock)| is_meant(knock));
        let keys: Vec<_> = meant.map(|(key, _)| key.clone()).collect();
        for key in keys {
            if let Some(knock) = self.take_knock(session, &key) {
                let status = status.unwrap_or(knock.refusal());
                self.reply(&key, &knock.request, status, &[]);
                self.withdraw(session, &knock);
            }
        }
    }
}

impl Knock {
    /// What its sender hears if the app does not come. Within a dialog it is a code that ends the
    /// transaction only (RFC 5057 section 5.1).
    const fn refusal(&self) -> u16 {
        if self.call.is_some() { NOT_NOW } else { 480 }
    }
}

impl Entry {
    /// Until when requests that wait want the app, in monotonic microseconds.
    pub(super) fn knocking_until_us(&self) -> Option<u64> {
        self.knocks.values().map(|knock| knock.until_us).max()
    }

    /// True if an UPDATE of this call waits for the app.
    pub(super) fn is_updated(&self, subsession: &str) -> bool {
        let is_update = |knock: &Knock| knock.request.method() == Some(&Method::UPDATE);
        let of_call = |knock: &&Knock| knock.call.as_deref() == Some(subsession);
        self.knocks.values().filter(of_call).any(is_update)
    }

    /// True if a request within this call waits for the app.
    pub(super) fn is_knocked_at(&self, subsession: &str) -> bool {
        self.knocks.values().any(|knock| knock.call.as_deref() == Some(subsession))
    }
}
