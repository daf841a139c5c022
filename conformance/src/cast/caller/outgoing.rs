//! Calls that the user agent places, and how it ends any call.

use std::collections::BTreeMap;
use std::time::Duration;

use reveille_trace::{Draft, Kind};

use super::leg::{Leg, Phase, Repeated};
use super::{Call, Caller, GIVE_UP, InDialog, LOST, T2, sdp};
use crate::cast::scan::{Scanned, param, uri};
use crate::cast::sip::{now_us, request};

impl Caller {
    pub(super) async fn place(&mut self, call: Call) {
        let call_id = self.host.random_hex();
        let hop = self.settings.gateway.clone();
        let path = match self.sockets.path_to(&hop, self.settings.transport).await {
            Ok(path) => path,
            Err(what) => return self.say(&call_id, what),
        };
        let tag = self.tag();
        let branch = self.branch();
        let from = format!("<sip:{}@{}>;tag={tag}", call.mark, self.settings.domain);
        let to = format!("<{}>", call.to);
        let contact = self.contact(&call.mark);
        let mut headers = vec![
            ("Via", self.via(&branch)),
            ("Max-Forwards", "70".to_owned()),
            ("From", from.clone()),
            ("To", to.clone()),
            ("Call-ID", call_id.clone()),
            ("CSeq", "1 INVITE".to_owned()),
            ("Contact", contact.clone()),
            ("Allow", super::incoming::ALLOW.to_owned()),
        ];
        let offer = if call.late_offer { String::new() } else { sdp(&call.mark, 1) };
        if !offer.is_empty() {
            headers.push(("Content-Type", "application/sdp".to_owned()));
        }
        let invite = request("INVITE", &call.to, &headers, offer.as_bytes());
        self.sockets.send(invite.clone(), path).await;
        let transport = self.settings.transport;
        let sending = Repeated::new(invite.clone(), self.now(), transport, GIVE_UP);
        self.legs.push(Leg {
            remote: call.to.clone(),
            call,
            is_placed: true,
            call_id,
            from,
            to,
            contact,
            branch,
            invite,
            hop,
            path: Some(path),
            phase: Phase::Calling,
            sending: Some(sending),
            other: None,
            cancel_wanted: false,
            cancelled: false,
            routes: Vec::new(),
            acks: BTreeMap::new(),
            hang_up_at: None,
            cseq: 1,
            remote_cseq: 0,
            version: 1,
            change: None,
            asked: None,
        });
    }

    /// Whatever is still to be said goes to another server.
    pub(super) fn turn(&mut self, gateway: &str) {
        gateway.clone_into(&mut self.settings.gateway);
        for leg in self.legs.iter_mut().filter(|leg| leg.is_placed) {
            gateway.clone_into(&mut leg.hop);
            leg.path = None;
        }
    }

    /// A request within the call, or a CANCEL or ACK of one.
    pub(super) fn in_call(
        &self,
        at: usize,
        (method, target): (&str, &str),
        branch: &str,
        cseq: u32,
        more: &[(&str, String)],
        body: &str,
    ) -> Vec<u8> {
        let leg = &self.legs[at];
        let mut headers = vec![
            ("Via", self.via(branch)),
            ("Max-Forwards", "70".to_owned()),
            ("From", leg.from.clone()),
            ("To", leg.to.clone()),
            ("Call-ID", leg.call_id.clone()),
            ("CSeq", format!("{cseq} {method}")),
        ];
        headers.extend(leg.routes.iter().map(|route| ("Route", route.clone())));
        headers.extend(more.iter().map(|(name, value)| (*name, value.clone())));
        request(method, target, &headers, body.as_bytes())
    }

    pub(super) async fn cancel(&mut self, at: usize) {
        if self.legs[at].change.is_some() {
            self.cancel_change(at).await;
        } else {
            self.legs[at].cancel_wanted = true;
            self.cancel_if_due(at).await;
        }
    }

    async fn cancel_if_due(&mut self, at: usize) {
        let leg = &self.legs[at];
        if !leg.cancel_wanted || leg.cancelled || leg.phase != Phase::Proceeding {
            return;
        }
        let to = format!("<{}>", leg.call.to);
        let (target, branch) = (leg.call.to.clone(), leg.branch.clone());
        // CANCEL repeats the INVITE's To, without the tag of a provisional (RFC 3261 9.1).
        let kept = std::mem::replace(&mut self.legs[at].to, to);
        let cancel = self.in_call(at, ("CANCEL", &target), &branch, 1, &[], "");
        self.legs[at].to = kept;
        self.legs[at].cancelled = true;
        self.repeat(at, cancel).await;
    }

    /// Ends a call: BYE, or before its answer the refusal of one that was not placed here.
    pub(super) async fn hang_up(&mut self, at: usize) {
        match self.legs[at].phase {
            Phase::Asked => self.decide(at, 603).await,
            Phase::Answered => self.bye(at).await,
            Phase::Calling | Phase::Proceeding | Phase::Ended => {}
        }
    }

    pub(super) async fn bye(&mut self, at: usize) {
        self.legs[at].hang_up_at = None;
        if self.legs[at].phase != Phase::Answered {
            return;
        }
        // Who was called must not send BYE before the ACK (RFC 3261 15).
        if let Some(asked) = self.legs[at].asked.as_mut().filter(|a| a.repeating.is_some()) {
            asked.bye_wanted = true;
            return;
        }
        if self.legs[at].owes_answer() {
            self.decide(at, 487).await;
        }
        self.legs[at].phase = Phase::Ended;
        self.within(at, "BYE").await;
    }

    pub(super) async fn info(&mut self, at: usize) {
        if self.legs[at].phase == Phase::Answered {
            self.within(at, "INFO").await;
        }
    }

    async fn within(&mut self, at: usize, method: &str) {
        self.legs[at].cseq += 1;
        let (target, cseq) = (self.legs[at].remote.clone(), self.legs[at].cseq);
        let bytes = self.in_call(at, (method, &target), &self.branch(), cseq, &[], "");
        self.repeat(at, bytes).await;
    }

    pub(super) async fn repeat(&mut self, at: usize, bytes: Vec<u8>) {
        let repeated = Repeated::new(bytes.clone(), self.now(), self.settings.transport, T2);
        self.legs[at].other = Some(repeated);
        self.send(at, bytes).await;
    }

    /// A response to the INVITE that we placed.
    pub(super) async fn call_answered(&mut self, at: usize, status: u16, message: &Scanned) {
        let now = self.now();
        let leg = &mut self.legs[at];
        if let Some(to) = message.header("to").filter(|to| param(to, "tag").is_some()) {
            leg.to = to.to_owned();
        }
        leg.sending = None;
        match status {
            100..=199 => {
                if leg.phase == Phase::Calling {
                    leg.phase = Phase::Proceeding;
                }
                self.cancel_if_due(at).await;
            }
            200..=299 if leg.call.lost_answers > 0 => {
                leg.call.lost_answers -= 1;
                let struck = Draft::new(Kind::FaultStruck).with("fault", LOST);
                let struck = struck.with("on", leg.call.mark.as_str());
                self.scribe.note(now_us(&self.host), struck);
            }
            200..=299 => {
                if leg.phase != Phase::Ended {
                    leg.phase = Phase::Answered;
                    let after = leg.call.hang_up_after_ms.map(Duration::from_millis);
                    leg.hang_up_at = leg.hang_up_at.or(after.map(|after| now + after));
                }
                self.acknowledge_answer(at, message).await;
            }
            _ => {
                leg.phase = Phase::Ended;
                // The ACK of a refusal belongs to the INVITE's transaction (RFC 3261 17.1.1.3).
                let (target, branch) = (leg.call.to.clone(), leg.branch.clone());
                let ack = self.in_call(at, ("ACK", &target), &branch, 1, &[], "");
                self.send(at, ack).await;
            }
        }
    }

    async fn acknowledge_answer(&mut self, at: usize, message: &Scanned) {
        let contact = message.header("contact").map(|value| uri(value).to_owned());
        let leg = &mut self.legs[at];
        if leg.call.in_dialog == InDialog::Contact
            && let Some(contact) = contact.filter(|uri| !uri.is_empty())
        {
            leg.remote = contact;
        }
        let ack = match leg.acks.get(&1) {
            Some(ack) => ack.clone(),
            None => self.acknowledgement(at, 1),
        };
        self.send(at, ack).await;
        // Hung up before this 2xx crossed a CANCEL: a call nobody wants any more ends with BYE.
        if self.legs[at].cancel_wanted {
            self.bye(at).await;
        }
    }

    /// The ACK of a 2xx, kept for its copies (RFC 3261 13.2.2.4).
    pub(super) fn acknowledgement(&mut self, at: usize, cseq: u32) -> Vec<u8> {
        let leg = &self.legs[at];
        let target = leg.remote.clone();
        let is_late = leg.is_placed && leg.call.late_offer && cseq == 1;
        let answer = if is_late { sdp(&leg.call.mark, 1) } else { String::new() };
        let kind = is_late.then(|| ("Content-Type", "application/sdp".to_owned()));
        let more: Vec<_> = kind.into_iter().collect();
        let ack = self.in_call(at, ("ACK", &target), &self.branch(), cseq, &more, &answer);
        self.legs[at].acks.insert(cseq, ack.clone());
        ack
    }
}
