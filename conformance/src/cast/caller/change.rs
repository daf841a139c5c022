//! What the user agent wants changed in a call that stands: re-INVITE and UPDATE.

use super::leg::{Change, Phase, Repeated};
use super::{Caller, GIVE_UP, T2, sdp};
use crate::cast::scan::{Scanned, uri};

impl Caller {
    pub(super) async fn change(&mut self, at: usize, is_update: bool, stale: bool) {
        if self.legs[at].phase != Phase::Answered || self.legs[at].change.is_some() {
            let what = format!("{} cannot be changed now", self.legs[at].call.mark);
            return self.say(&self.legs[at].call_id, what);
        }
        let branch = self.branch();
        let leg = &mut self.legs[at];
        leg.cseq += u32::from(!stale);
        leg.version += 1;
        let (cseq, target, offer) = (
            leg.cseq.saturating_sub(u32::from(stale)),
            leg.remote.clone(),
            sdp(&leg.call.mark, leg.version),
        );
        let more = [
            ("Contact", leg.contact.clone()),
            ("Allow", super::incoming::ALLOW.to_owned()),
            ("Content-Type", "application/sdp".to_owned()),
        ];
        let mut change = Change {
            is_update,
            branch: branch.clone(),
            cseq,
            sending: None,
            proceeds: false,
            cancel_wanted: false,
            cancelled: false,
        };
        let bytes = self.in_call(at, (change.method(), &target), &branch, cseq, &more, &offer);
        let ceiling = if is_update { T2 } else { GIVE_UP };
        let transport = self.settings.transport;
        change.sending = Some(Repeated::new(bytes.clone(), self.now(), transport, ceiling));
        self.legs[at].change = Some(change);
        self.send(at, bytes).await;
    }

    pub(super) async fn cancel_change(&mut self, at: usize) {
        let Some(change) = &mut self.legs[at].change else { return };
        change.cancel_wanted = true;
        if change.cancelled || !change.proceeds || change.is_update {
            return;
        }
        change.cancelled = true;
        let (branch, cseq) = (change.branch.clone(), change.cseq);
        let target = self.legs[at].remote.clone();
        let cancel = self.in_call(at, ("CANCEL", &target), &branch, cseq, &[], "");
        self.repeat(at, cancel).await;
    }

    pub(super) async fn change_answered(&mut self, at: usize, status: u16, message: &Scanned) {
        let Some(change) = &mut self.legs[at].change else { return };
        change.sending = None;
        if status < 200 {
            change.proceeds = true;
            if change.cancel_wanted {
                self.cancel_change(at).await;
            }
            return;
        }
        let (cseq, branch, is_update) = (change.cseq, change.branch.clone(), change.is_update);
        self.legs[at].change = None;
        let contact = message.header("contact").map(|value| uri(value).to_owned());
        let target = self.legs[at].remote.clone();
        match (status, is_update) {
            (200..=299, _) => {
                if let Some(contact) = contact {
                    self.legs[at].remote = contact;
                }
                if !is_update {
                    let ack = self.acknowledgement(at, cseq);
                    self.send(at, ack).await;
                }
            }
            (_, false) => {
                let ack = self.in_call(at, ("ACK", &target), &branch, cseq, &[], "");
                self.send(at, ack).await;
            }
            (_, true) => {}
        }
        // RFC 3261 12.2.1.2: these say that the dialog is gone.
        if matches!(status, 408 | 481) {
            self.legs[at].phase = Phase::Ended;
        }
    }
}
