//! One call for a sleeping app, as its caller and its phone may see it. Times are milliseconds.
//!
//! `may` holds the outcomes that somebody has given a reason for, `must` the one that is owed: the
//! first reason counts. After a crash with commits under way nothing is owed but an answer in time,
//! since nobody outside can tell which reasons were on record.

use serde_json::Value;

use crate::sip::Heard;
use crate::transactions::T2;

pub(crate) const BUDGET_MS: u64 = 30_000;
pub(crate) const RING_MS: u64 = 120_000;
/// 64*T1: how long a 2xx waits for its ACK.
pub(crate) const NO_ACK_MS: u64 = 32_000;

#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    /// When the INVITE came first, and how many calls came before it.
    pub(crate) invited: Option<(u64, u64)>,
    /// Commits that were asked for when it came: one more, and its record may be durable. `None`:
    /// it was before this process.
    pub(crate) asked: Option<u64>,
    /// It came, and a crash may have taken it before anything was promised.
    pub(crate) limbo: bool,
    /// A crash may have taken what was decided, or when.
    pub(crate) unsure: bool,
    pub(crate) may: Vec<u16>,
    pub(crate) must: Option<u16>,
    /// When that was decided, 480 might have been, and waited for the disk.
    either: bool,
    /// 480 is owed from the later instant on, and allowed from the earlier.
    pub(crate) deadline: (u64, u64),
    pub(crate) cancelled: bool,
    pub(crate) cancel_heard: bool,
    /// The app said that it rings, and the caller is to hear it.
    pub(crate) rings: bool,
    pub(crate) heard: Vec<u16>,
    pub(crate) final_at: Option<(u16, u64)>,
    last: Option<Heard>,
    heard_at: u64,
    tag: Option<String>,
    pub(crate) acknowledged: bool,
    /// The subsession of the call, once somebody named it.
    pub(crate) subsession: Option<String>,
    /// The latest `start` that the app was given it by.
    pub(crate) start: Option<Value>,
    /// Times that the app was given it, and may be.
    pub(crate) starts: u32,
    pub(crate) starts_allowed: u32,
    pub(crate) shutdowns: u32,
    pub(crate) completes: u32,
    /// A `start` may have its number already and wait for the disk. It cannot be withdrawn without a
    /// hole, so that a `shutdown` follows it.
    pub(crate) underway: bool,
    /// It was so when the node died or the app left: the record may have the number.
    pub(crate) numbered: bool,
    /// The app has given its final answer.
    pub(crate) decided_by_app: bool,
}

impl Held {
    pub(crate) fn arrive(&mut self, now: u64, order: u64, asked: u64) {
        if self.invited.is_none() {
            *self = Self {
                invited: Some((now, order)),
                asked: Some(asked),
                deadline: (now + BUDGET_MS, now + BUDGET_MS),
                starts_allowed: 1,
                ..Self::default()
            };
        }
    }

    /// It waits for an outcome.
    pub(crate) fn is_open(&self) -> bool {
        self.invited.is_some() && self.final_at.is_none() && self.must.is_none()
    }

    /// Of the commits since it came, at least one is durable.
    pub(crate) fn is_durable(&self, durable: u64) -> bool {
        self.asked.is_none_or(|asked| asked < durable)
    }

    /// The app is there and commits wait, or not.
    pub(crate) fn may_be_underway(&mut self, underway: bool) {
        let before = self.is_open() || self.underway;
        self.underway = underway && before || self.numbered;
    }

    /// Somebody gives a reason for this outcome.
    pub(crate) fn decide(&mut self, status: u16) {
        if self.is_open() {
            self.either = self.may.contains(&480);
            self.must = Some(status);
            self.may.push(status);
        }
    }

    pub(crate) fn allow(&mut self, status: u16) {
        if self.invited.is_some() && self.final_at.is_none() && !self.may.contains(&status) {
            self.may.push(status);
        }
    }

    pub(crate) fn ring(&mut self, now: u64) {
        if self.is_open() {
            if !self.rings {
                let early = if self.unsure { self.deadline.0 } else { now + RING_MS };
                self.deadline = (early, self.deadline.1.max(now + RING_MS));
            }
            self.rings = true;
            self.may.push(180);
        }
    }

    /// The node died. `sure`: everything that it had asked to store was durable.
    pub(crate) fn crash(&mut self, sure: bool, now: u64) {
        self.asked = None;
        self.numbered |= self.underway;
        // The sender repeats it; the transaction was not on record.
        self.cancelled &= self.cancel_heard;
        if sure || self.invited.is_none() {
            return;
        }
        self.unsure = true;
        if self.heard.is_empty() && self.final_at.is_none() {
            self.limbo = true;
        }
        if self.final_at.is_none() {
            self.must = None;
            if self.rings && !self.heard.contains(&180) {
                self.rings = false;
            }
            let first = self.invited.map_or(now, |it| it.0 + BUDGET_MS);
            self.deadline = (self.deadline.0.min(first), self.deadline.1.max(first));
        }
    }

    /// A response of the INVITE was seen.
    pub(crate) fn hear(&mut self, at: u64, heard: Heard) -> Result<(), String> {
        let status = heard.status;
        self.invited.ok_or_else(|| format!("{status} for a call that nobody made"))?;
        self.heard_at = at;
        if let Some((earlier, _)) = self.final_at {
            let same = self.last.as_ref().is_some_and(|it| it.bytes == heard.bytes);
            return if same {
                Ok(())
            } else {
                Err(format!("{status} after {earlier}, and not the same: {heard:?}"))
            };
        }
        if status > 100 {
            match &self.tag {
                Some(tag) if *tag != heard.to_tag => {
                    return Err(format!("{status} with another To tag"));
                }
                _ => self.tag = Some(heard.to_tag.clone()),
            }
        }
        let due = status == 480 && at >= self.deadline.0;
        let allowed = match status {
            100 => true,
            183 => self.heard.contains(&100),
            _ => due || self.may.contains(&status),
        };
        if !allowed {
            return Err(format!("{status} at {at} for no reason: {self:?}"));
        }
        if status >= 200 {
            let either = self.either && status == 480;
            if let Some(must) = self.must.filter(|must| *must != status && !either) {
                return Err(format!("{status}, though {must} was decided before"));
            }
            self.final_at = Some((status, at));
        }
        self.heard.push(status);
        self.last = Some(heard);
        Ok(())
    }

    pub(crate) fn final_tag(&self) -> Option<(u16, String)> {
        let last = self.last.as_ref().filter(|_| self.final_at.is_some())?;
        Some((last.status, last.to_tag.clone()))
    }

    /// Nothing is under way any more: what is owed to the caller was paid.
    pub(crate) fn settled(&self, now: u64, asleep: bool) -> Result<(), String> {
        if self.invited.is_none() || (self.limbo && self.heard.is_empty()) {
            return Ok(());
        }
        let lacks = |what: &str| Err(format!("at {now} {what}: {self:?}"));
        if self.heard.is_empty() {
            return lacks("the caller heard nothing");
        }
        if self.cancelled && !self.cancel_heard && !self.limbo {
            return lacks("the CANCEL was not answered");
        }
        if let Some((status, since)) = self.final_at {
            // RFC 3261 13.3.1.4: again, at the latest after T2, until the ACK; after a restart too.
            let repeats = status == 200 && !self.acknowledged && now < since + NO_ACK_MS;
            if repeats && now > self.heard_at + T2 {
                return lacks("the 200 is not repeated");
            }
            return Ok(());
        }
        if let Some(must) = self.must {
            return lacks(&format!("the caller did not hear {must}"));
        }
        if now >= self.deadline.1 {
            return lacks("the caller is kept beyond the deadline");
        }
        if self.rings && !self.heard.contains(&180) {
            return lacks("the caller did not hear that it rings");
        }
        if asleep && !self.limbo && !self.heard.iter().any(|it| *it > 100) {
            return lacks("the caller of a sleeper heard no 183");
        }
        Ok(())
    }

    /// The app comes back with what it shows, and with everything up to `cslr`: a `start` that it
    /// had and shows no more may be given once more (D-48).
    pub(crate) fn attached(&mut self, cslr: u64, holds: &[String]) {
        let number = self.start.as_ref().and_then(|it| it["control"]["sequence"].as_u64());
        let had = number.is_some_and(|it| it <= cslr);
        let shows = self.subsession.as_ref().is_some_and(|it| holds.contains(it));
        if had && !shows && !self.decided_by_app {
            self.starts_allowed = self.starts + 1;
        }
    }

    /// A `start` with a new number was sent.
    pub(crate) fn start(&mut self, frame: &Value) -> Result<(), String> {
        let subsession = frame["control"]["subsession_id"].as_str().map(str::to_owned);
        self.starts += 1;
        if self.starts > self.starts_allowed {
            return Err(format!("given once more: {frame}"));
        }
        if self.subsession.is_some() && self.subsession != subsession {
            return Err(format!("under another subsession: {frame}"));
        }
        let ended = self.must.or(self.final_at.map(|it| it.0));
        if let Some(must) = ended.filter(|_| !self.underway) {
            return Err(format!("given to the app, though it ended with {must}: {frame}"));
        }
        self.numbered = false;
        (self.subsession, self.start) = (subsession, Some(frame.clone()));
        Ok(())
    }

    /// A message about it with a new number was sent to the app.
    pub(crate) fn told(&mut self, action: &str, now: u64) -> Result<(), String> {
        match action {
            "shutdown" => {
                self.shutdowns += 1;
                let ended = self.must.or(self.final_at.map(|it| it.0)).filter(|it| *it != 603);
                let unacknowledged =
                    self.final_at.is_none_or(|it| it.0 != 200 || now >= it.1 + NO_ACK_MS);
                if self.shutdowns > 1 || ended.is_none() && !self.unsure || !unacknowledged {
                    return Err(format!("a shutdown too many: {self:?}"));
                }
            }
            "complete" => {
                self.completes += 1;
                if self.completes > 1 || !self.acknowledged {
                    return Err(format!("a complete too many: {self:?}"));
                }
            }
            _ => return Err(format!("{action} of a call")),
        }
        Ok(())
    }

    /// Nothing is under way, and the app is there: what is owed to it was paid.
    pub(crate) fn settled_app(&self, holds: bool) -> Result<(), String> {
        if self.is_open() && !self.limbo && !self.decided_by_app && !holds {
            return Err(format!("the app was not given the call: {self:?}"));
        }
        let ended = self.final_at.is_some_and(|it| it.0 != 200 && it.0 != 603);
        if ended && holds {
            return Err(format!("the app shows a call that is no more: {self:?}"));
        }
        if self.acknowledged
            && self.completes == 0
            && holds
            && self.final_at.is_some_and(|it| it.0 == 200)
        {
            return Err(format!("the app was not told of the ACK: {self:?}"));
        }
        Ok(())
    }
}
