//! What a user agent knows of one call, and the clockwork of what it repeats.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Call, GIVE_UP, T1};
use crate::cast::scan::{Scanned, scan};
use crate::cast::sip::{Path, Transport};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// INVITE sent, nothing came.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// The peer's INVITE is not answered yet.
    Asked,
    /// 2xx came, or left.
    Answered,
    /// Over: final response, BYE or silence.
    Ended,
}

/// A message that is repeated until it is answered (timers A/B, E/F, G/H).
pub(super) struct Repeated {
    pub(super) bytes: Vec<u8>,
    next: Option<Duration>,
    gap: Duration,
    ceiling: Duration,
    give_up: Duration,
}

impl Repeated {
    /// Of a request: streams need no repetition (RFC 3261 17.1.1.2).
    pub(super) fn new(
        bytes: Vec<u8>,
        now: Duration,
        transport: Transport,
        ceiling: Duration,
    ) -> Self {
        let next = (transport == Transport::Udp).then_some(now + T1);
        Self { bytes, next, gap: T1, ceiling, give_up: now + GIVE_UP }
    }

    /// Of a 2xx or a reliable provisional, which go again over every transport.
    pub(super) fn on_any(bytes: Vec<u8>, now: Duration, ceiling: Duration) -> Self {
        Self { bytes, next: Some(now + T1), gap: T1, ceiling, give_up: now + GIVE_UP }
    }

    /// True if it is due; the next time is set.
    pub(super) fn due(&mut self, now: Duration) -> bool {
        let due = self.next.is_some_and(|next| next <= now);
        if due {
            self.gap = (self.gap * 2).min(self.ceiling);
            self.next = Some(now + self.gap);
        }
        due
    }

    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.give_up <= now
    }

    pub(super) fn deadline(&self) -> Duration {
        self.next.map_or(self.give_up, |next| next.min(self.give_up))
    }
}

/// A change that we want: a re-INVITE or an UPDATE under way.
pub(super) struct Change {
    pub(super) is_update: bool,
    pub(super) branch: String,
    pub(super) cseq: u32,
    pub(super) sending: Option<Repeated>,
    pub(super) proceeds: bool,
    pub(super) cancel_wanted: bool,
    pub(super) cancelled: bool,
}

impl Change {
    pub(super) const fn method(&self) -> &'static str {
        if self.is_update { "UPDATE" } else { "INVITE" }
    }

    /// True for a response to it. CANCEL has the branch of its INVITE, and its own method.
    pub(super) fn is_of(&self, response: &Scanned) -> bool {
        response.branch().as_deref() == Some(self.branch.as_str())
            && response.cseq_method() == Some(self.method())
    }
}

/// An INVITE of the peer: the one that began the call, or a later one.
pub(super) struct Asked {
    pub(super) request: Scanned,
    /// The way its responses go.
    pub(super) path: Path,
    pub(super) is_first: bool,
    pub(super) last: Option<Vec<u8>>,
    /// The status of the final response, once it left.
    pub(super) status: Option<u16>,
    pub(super) repeating: Option<Repeated>,
    /// RSeq of the reliable provisional that has no PRACK yet.
    pub(super) unpracked: Option<u32>,
    pub(super) answer_at: Option<Duration>,
    /// It would be answered, but for the PRACK.
    pub(super) is_wanted: bool,
    /// Hung up before its ACK came.
    pub(super) bye_wanted: bool,
}

pub(super) struct Leg {
    pub(super) call: Call,
    pub(super) is_placed: bool,
    pub(super) call_id: String,
    /// Our side of the dialog as From of our requests, with its tag.
    pub(super) from: String,
    /// The other side as To of our requests.
    pub(super) to: String,
    pub(super) contact: String,
    /// Of the INVITE that we placed.
    pub(super) branch: String,
    pub(super) invite: Vec<u8>,
    /// Where our requests go, and the way there.
    pub(super) hop: String,
    pub(super) path: Option<Path>,
    pub(super) phase: Phase,
    pub(super) sending: Option<Repeated>,
    /// CANCEL, BYE or INFO under way.
    pub(super) other: Option<Repeated>,
    pub(super) cancel_wanted: bool,
    pub(super) cancelled: bool,
    pub(super) remote: String,
    pub(super) routes: Vec<String>,
    /// ACKs of 2xx, by CSeq.
    pub(super) acks: BTreeMap<u32, Vec<u8>>,
    pub(super) hang_up_at: Option<Duration>,
    pub(super) cseq: u32,
    pub(super) remote_cseq: u32,
    /// Of our SDP.
    pub(super) version: u32,
    pub(super) change: Option<Change>,
    pub(super) asked: Option<Asked>,
}

impl Leg {
    pub(super) fn is_busy(&self) -> bool {
        self.phase != Phase::Ended || self.other.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let change = self.change.as_ref().and_then(|change| change.sending.as_ref());
        let asked = self.asked.as_ref();
        let repeated = [&self.sending, &self.other].into_iter().flatten().chain(change);
        let repeated = repeated.chain(asked.and_then(|asked| asked.repeating.as_ref()));
        let at = asked.and_then(|asked| asked.answer_at);
        repeated.map(Repeated::deadline).chain(self.hang_up_at).chain(at).min()
    }

    /// What of our requests is to be sent again, and the methods that met silence.
    pub(super) fn due(&mut self, now: Duration) -> (Vec<Vec<u8>>, Vec<String>) {
        let (mut due, mut silent) = (Vec::new(), Vec::new());
        let change = self.change.as_mut().map(|change| &mut change.sending);
        for slot in [&mut self.sending, &mut self.other].into_iter().chain(change) {
            let Some(repeated) = slot else { continue };
            if repeated.is_over(now) {
                silent.extend(scan(&repeated.bytes).and_then(|m| m.method().map(str::to_owned)));
                *slot = None;
            } else if repeated.due(now) {
                due.push(repeated.bytes.clone());
            }
        }
        if self.phase == Phase::Calling && silent.iter().any(|method| method == "INVITE") {
            self.phase = Phase::Ended;
        }
        if self.change.as_ref().is_some_and(|c| c.sending.is_none() && !c.proceeds) {
            self.change = None;
        }
        (due, silent)
    }

    /// True if an INVITE of the peer waits for its final response.
    pub(super) fn owes_answer(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.status.is_none())
    }
}
