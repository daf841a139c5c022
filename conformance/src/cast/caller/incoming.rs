//! INVITEs of peers: those that call, and those that want a call changed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::leg::{Asked, Leg, Phase, Repeated};
use super::{Call, Caller, GIVE_UP, InDialog, T2, sdp};
use crate::cast::mark;
use crate::cast::phone::Conduct;
use crate::cast::scan::{Scanned, uri};
use crate::cast::sip::{Path, host_port, response, response_with};

/// What a user agent of the cast takes.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO";

impl Caller {
    /// An INVITE without a tag of ours: somebody calls.
    pub(super) async fn called(&mut self, message: &Scanned, path: Path) {
        let from = message.header("from").unwrap_or_default();
        let initiator = uri(from).trim_start_matches("sip:").to_owned();
        let offer = String::from_utf8_lossy(&message.body).into_owned();
        let target = message.start.split(' ').nth(1).unwrap_or_default().to_owned();
        let remote = uri(message.header("contact").unwrap_or_default()).to_owned();
        let routes: Vec<_> = message.all("record-route").map(str::to_owned).collect();
        let hop = host_port(routes.first().map_or(remote.as_str(), |route| uri(route)));
        let user = target.trim_start_matches("sip:").split('@').next().unwrap_or_default();
        let to = message.header("to").unwrap_or_default();
        self.legs.push(Leg {
            call: Call {
                mark: mark(&initiator, &offer),
                to: target.clone(),
                hang_up_after_ms: None,
                in_dialog: InDialog::Contact,
                lost_answers: 0,
                late_offer: false,
            },
            is_placed: false,
            call_id: message.call_id().to_owned(),
            from: format!("{to};tag={}", self.tag()),
            to: from.to_owned(),
            contact: self.contact(user),
            branch: String::new(),
            invite: Vec::new(),
            hop,
            path: None,
            phase: Phase::Asked,
            sending: None,
            other: None,
            cancel_wanted: false,
            cancelled: false,
            remote,
            routes,
            acks: BTreeMap::new(),
            hang_up_at: None,
            cseq: 0,
            remote_cseq: message.cseq_number().unwrap_or_default(),
            version: 1,
            change: None,
            asked: None,
        });
        let at = self.legs.len() - 1;
        self.take(at, message, path, true);
        self.say_early(at).await;
        self.conduct_due(at).await;
    }

    /// An INVITE within a call: sent again, or a wish to change it.
    pub(super) async fn invited(&mut self, at: usize, message: &Scanned, path: Path) {
        let leg = &mut self.legs[at];
        if let Some(asked) = leg.asked.as_mut().filter(|a| a.request.branch() == message.branch()) {
            asked.path = path;
            if let Some(last) = asked.last.clone() {
                self.sockets.send(last, path).await;
            }
            return;
        }
        let number = message.cseq_number().unwrap_or_default();
        let is_old = number <= leg.remote_cseq;
        let unacknowledged = leg.asked.as_ref().is_some_and(|a| a.repeating.is_some());
        if leg.phase != Phase::Answered {
            return self.reply(message, 481, &[], path).await;
        } else if is_old || leg.owes_answer() || unacknowledged {
            let after = [("Retry-After", "1".to_owned())];
            return self.reply(message, 500, if is_old { &[] } else { &after }, path).await;
        } else if leg.change.is_some() {
            return self.reply(message, 491, &[], path).await;
        }
        leg.remote_cseq = number;
        if let Some(contact) = message.header("contact") {
            leg.remote = uri(contact).to_owned();
        }
        self.take(at, message, path, false);
        let trying = response(message, 100, "", &[]);
        self.respond(at, trying).await;
        self.conduct_due(at).await;
    }

    fn take(&mut self, at: usize, message: &Scanned, path: Path, is_first: bool) {
        let after = match self.settings.conduct {
            Conduct::Answer { after_ms } => Some(Duration::from_millis(after_ms)),
            Conduct::Decline { .. } => Some(Duration::ZERO),
            Conduct::Ring => None,
        };
        self.legs[at].asked = Some(Asked {
            request: message.clone(),
            path,
            is_first,
            last: None,
            status: None,
            repeating: None,
            unpracked: None,
            answer_at: after.map(|after| self.now() + after),
            is_wanted: false,
            bye_wanted: false,
        });
    }

    /// What is said before the answer; reliably only to a peer that supports it (RFC 3262 3).
    async fn say_early(&mut self, at: usize) {
        let early = self.settings.early;
        let Some(status) = early.status() else { return };
        let Some(asked) = &self.legs[at].asked else { return };
        let tags = asked.request.all("supported").chain(asked.request.all("require"));
        let supports = tags.flat_map(|tags| tags.split(',')).any(|tag| tag.trim() == "100rel");
        let is_reliable = early.is_reliable() && supports;
        let rseq = 1;
        let mut more = Vec::new();
        if is_reliable {
            more.extend([("Require", "100rel".to_owned()), ("RSeq", rseq.to_string())]);
        }
        let body = if status == 183 { self.answer_of(at) } else { String::new() };
        let bytes = self.response_of(at, status, &more, &body);
        let now = self.now();
        if let Some(asked) = self.legs[at].asked.as_mut().filter(|_| is_reliable) {
            asked.unpracked = Some(rseq);
            asked.repeating = Some(Repeated::on_any(bytes.clone(), now, GIVE_UP));
        }
        self.respond(at, bytes).await;
    }

    fn answer_of(&self, at: usize) -> String {
        sdp(&self.legs[at].call.mark, self.legs[at].version)
    }

    /// A response to the peer's INVITE, with what makes or refreshes a dialog.
    fn response_of(&self, at: usize, status: u16, more: &[(&str, String)], body: &str) -> Vec<u8> {
        let leg = &self.legs[at];
        let Some(asked) = &leg.asked else { return Vec::new() };
        let mut headers: Vec<_> =
            asked.request.all("record-route").map(|r| ("Record-Route", r.to_owned())).collect();
        if status < 300 {
            headers.extend([("Contact", leg.contact.clone()), ("Allow", ALLOW.to_owned())]);
        }
        headers.extend(more.iter().map(|(name, value)| (*name, value.clone())));
        if !body.is_empty() {
            headers.push(("Content-Type", "application/sdp".to_owned()));
        }
        let tag = crate::cast::scan::param(&leg.from, "tag").unwrap_or_default();
        response_with(&asked.request, status, &tag, &headers, body.as_bytes())
    }

    async fn respond(&mut self, at: usize, bytes: Vec<u8>) {
        let Some(asked) = &mut self.legs[at].asked else { return };
        asked.last = Some(bytes.clone());
        let path = asked.path;
        self.sockets.send(bytes, path).await;
    }

    /// Gives the peer's INVITE its final response. A 2xx waits for the PRACK (RFC 3262 3).
    pub(super) async fn decide(&mut self, at: usize, status: u16) {
        let Some(asked) = &mut self.legs[at].asked else { return };
        asked.answer_at = None;
        if asked.status.is_some() {
            return;
        }
        if status < 300 && asked.unpracked.is_some() {
            asked.is_wanted = true;
            return;
        }
        let is_first = asked.is_first;
        asked.status = Some(status);
        asked.unpracked = None;
        let body = if status < 300 { self.answer_of(at) } else { String::new() };
        let bytes = self.response_of(at, status, &[], &body);
        let now = self.now();
        let phase = if status < 300 { Phase::Answered } else { Phase::Ended };
        let leg = &mut self.legs[at];
        if is_first {
            leg.phase = phase;
        }
        if let Some(asked) = &mut leg.asked {
            asked.repeating = Some(Repeated::on_any(bytes.clone(), now, T2));
        }
        self.respond(at, bytes).await;
    }

    pub(super) async fn conduct_due(&mut self, at: usize) {
        let due = self.legs[at].asked.as_ref().and_then(|asked| asked.answer_at);
        if due.is_some_and(|due| due <= self.now()) {
            let status = match self.settings.conduct {
                Conduct::Decline { status } => status,
                Conduct::Answer { .. } | Conduct::Ring => 200,
            };
            self.decide(at, status).await;
        }
    }

    pub(super) async fn tick_asked(&mut self, at: usize, now: Duration) {
        let Some(asked) = &mut self.legs[at].asked else { return };
        let path = asked.path;
        let over = asked.repeating.as_ref().is_some_and(|repeated| repeated.is_over(now));
        let repeated = asked.repeating.as_mut().filter(|_| !over);
        let due = repeated.and_then(|repeated| repeated.due(now).then(|| repeated.bytes.clone()));
        if let Some(bytes) = due {
            self.sockets.send(bytes, path).await;
        }
        if over {
            self.unheard(at).await;
        }
        self.conduct_due(at).await;
    }

    /// Neither PRACK nor ACK came: a call that was answered is ended by BYE (RFC 3261 13.3.1.4).
    async fn unheard(&mut self, at: usize) {
        let Some(asked) = &mut self.legs[at].asked else { return };
        asked.repeating = None;
        match asked.status {
            None => {
                asked.unpracked = None;
                self.decide(at, 504).await;
            }
            Some(200..=299) => {
                self.say(&self.legs[at].call_id, "no ACK to 200 within 32 s".to_owned());
                self.bye(at).await;
            }
            Some(_) => {}
        }
    }

    pub(super) async fn acknowledged(&mut self, at: usize, message: &Scanned) {
        let Some(asked) = &mut self.legs[at].asked else { return };
        if asked.request.cseq_number() != message.cseq_number() || asked.status.is_none() {
            return;
        }
        asked.repeating = None;
        if std::mem::take(&mut asked.bye_wanted) {
            self.bye(at).await;
        }
    }

    pub(super) async fn pracked(&mut self, at: usize, message: &Scanned, path: Path) {
        let wanted = self.legs[at].asked.as_ref().and_then(|asked| {
            let number = asked.request.cseq_number()?;
            Some(format!("{} {number} INVITE", asked.unpracked?))
        });
        if wanted.is_none() || message.header("rack") != wanted.as_deref() {
            return self.reply(message, 481, &[], path).await;
        }
        if let Some(asked) = &mut self.legs[at].asked {
            asked.unpracked = None;
            asked.repeating = None;
        }
        self.reply(message, 200, &[], path).await;
        if self.legs[at].asked.as_ref().is_some_and(|asked| asked.is_wanted) {
            self.decide(at, 200).await;
        }
    }

    /// CANCEL: 200, and 487 to its INVITE unless that has its final response.
    pub(super) async fn cancelled(&mut self, at: Option<usize>, message: &Scanned, path: Path) {
        let of = |leg: &Leg| {
            leg.asked.as_ref().is_some_and(|asked| asked.request.branch() == message.branch())
        };
        let Some(at) = at.filter(|at| of(&self.legs[*at])) else {
            return self.reply(message, 481, &[], path).await;
        };
        self.reply(message, 200, &[], path).await;
        self.decide(at, 487).await;
    }
}
