//! Requests of peers that are no INVITE.

use super::leg::Phase;
use super::{Caller, sdp};
use crate::cast::phone::Conduct;
use crate::cast::scan::{Scanned, param, uri};
use crate::cast::sip::{Path, response_with};

impl Caller {
    pub(super) async fn asked(&mut self, at: Option<usize>, message: &Scanned, path: Path) {
        let has_tag = message.header("to").is_some_and(|to| param(to, "tag").is_some());
        match (message.method(), at) {
            (None, _) | (Some("ACK"), None) => {}
            (Some("ACK"), Some(at)) => self.acknowledged(at, message).await,
            (Some("INVITE"), None) if !has_tag => self.called(message, path).await,
            (Some("INVITE"), Some(at)) => self.invited(at, message, path).await,
            (Some("CANCEL"), at) => self.cancelled(at, message, path).await,
            (Some("BYE"), Some(at)) => self.ended(at, message, path).await,
            (Some("PRACK"), Some(at)) => self.pracked(at, message, path).await,
            (Some("UPDATE"), Some(at)) => self.updated(at, message, path).await,
            (Some("INFO"), Some(_)) | (Some("OPTIONS"), _) => {
                self.reply(message, 200, &[], path).await;
            }
            (Some("MESSAGE"), _) => self.read(message, path).await,
            (Some("SUBSCRIBE"), _) => self.subscribed(message, path).await,
            (Some("INVITE" | "BYE" | "PRACK" | "UPDATE" | "INFO"), None) => {
                self.reply(message, 481, &[], path).await;
            }
            (Some(_), _) => self.reply(message, 501, &[], path).await,
        }
    }

    /// BYE ends the call, and what of the peer still waits in it (RFC 3261 15.1.2).
    async fn ended(&mut self, at: usize, message: &Scanned, path: Path) {
        let leg = &mut self.legs[at];
        leg.hang_up_at = None;
        self.reply(message, 200, &[], path).await;
        if self.legs[at].owes_answer() {
            self.decide(at, 487).await;
        } else if let Some(asked) = &mut self.legs[at].asked {
            asked.repeating = None;
        }
        self.legs[at].phase = Phase::Ended;
    }

    /// UPDATE wants its answer at once (RFC 3311 5.2).
    async fn updated(&mut self, at: usize, message: &Scanned, path: Path) {
        let leg = &mut self.legs[at];
        let number = message.cseq_number().unwrap_or_default();
        let status = match self.settings.conduct {
            _ if leg.phase == Phase::Ended => 481,
            _ if number < leg.remote_cseq => 500,
            _ if leg.change.is_some() => 491,
            Conduct::Decline { status } => status,
            Conduct::Answer { .. } | Conduct::Ring => 200,
        };
        leg.remote_cseq = leg.remote_cseq.max(number);
        if status != 200 {
            return self.reply(message, status, &[], path).await;
        }
        if let Some(contact) = message.header("contact") {
            leg.remote = uri(contact).to_owned();
        }
        let mut headers = vec![("Contact", leg.contact.clone())];
        let body = match message.body.is_empty() {
            true => String::new(),
            false => sdp(&leg.call.mark, leg.version),
        };
        if !body.is_empty() {
            headers.push(("Content-Type", "application/sdp".to_owned()));
        }
        let bytes = response_with(message, 200, "", &headers, body.as_bytes());
        self.sockets.send(bytes, path).await;
    }
}
