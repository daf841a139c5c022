//! What a phone does with calls: those that come, those that its user places, and changes of both.

use std::time::Duration;

use reveille_trace::{Draft, Kind};

use super::{AppCommand, Conduct, Outgoing, Phone, Process};
use crate::cast::mark;

/// The answer of every phone.
const ANSWER: &str = "v=0\r\no=- 2 2 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n\
m=audio 49172 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

/// An offer that names the call.
fn offer(mark: &str) -> String {
    ANSWER.replace("s=-", &format!("s={mark}"))
}

/// The text of a UUID of version 4 from 32 random hexadecimal digits (RFC 4122 4.4).
pub(super) fn uuid(hex: &str) -> String {
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

impl Phone {
    /// Places a call; the app is opened for it.
    pub(super) async fn place(&mut self, outgoing: Outgoing) {
        self.open();
        let sdp = offer(&outgoing.mark);
        let call = match &self.process {
            Process::Sdk(app) => app.call(&outgoing.to, &sdp),
            Process::Plain(_) | Process::None => {
                let call = uuid(&self.host.random_hex());
                self.order(AppCommand::Place(call.clone(), outgoing.to.clone(), sdp)).await;
                call
            }
        };
        self.calls.insert(call.clone(), outgoing.mark.clone());
        self.placed.insert(call, outgoing);
    }

    fn named(&self, mark: &str) -> Option<String> {
        let call = self.calls.iter().find(|(_, of)| *of == mark).map(|(call, _)| call.clone());
        if call.is_none() {
            self.note(Draft::new(Kind::Note).with("text", format!("no call is marked {mark}")));
        }
        call
    }

    pub(super) async fn hang_up(&mut self, mark: &str) {
        let Some(call) = self.named(mark) else { return };
        self.end(call).await;
    }

    async fn end(&mut self, call: String) {
        self.calls.remove(&call);
        self.placed.remove(&call);
        self.answers.retain(|(_, waiting)| *waiting != call);
        self.hang_ups.retain(|(_, waiting)| *waiting != call);
        self.order(AppCommand::HangUp(call)).await;
        self.sleep_again().await;
    }

    pub(super) async fn change(&mut self, mark: &str, update: bool) {
        let Some(call) = self.named(mark) else { return };
        self.order(AppCommand::Change(call, offer(mark), update)).await;
    }

    pub(super) async fn alert(&mut self, call: String, initiator: &str, sdp: &str) {
        let mark = mark(initiator, sdp);
        let alerted = Draft::new(Kind::AppAlerted).with("call", mark.as_str());
        self.calls.insert(call.clone(), mark);
        self.note(alerted.with("subsession", call.as_str()));
        self.order(AppCommand::Ring(call.clone())).await;
        if let Conduct::Decline { status } = self.settings.conduct {
            self.calls.remove(&call);
            self.order(AppCommand::Decline(call, status)).await;
            self.sleep_again().await;
        } else {
            self.answer_later(call).await;
        }
    }

    /// The other side wants a call changed: it is treated as a call is.
    pub(super) async fn asked(&mut self, call: String) {
        match self.settings.conduct {
            Conduct::Decline { status } => self.order(AppCommand::Decline(call, status)).await,
            Conduct::Answer { .. } | Conduct::Ring => self.answer_later(call).await,
        }
    }

    async fn answer_later(&mut self, call: String) {
        let Conduct::Answer { after_ms } = self.settings.conduct else { return };
        let at = self.host.clock.now().mono + Duration::from_millis(after_ms);
        self.answers.push((at, call));
        self.answer_due().await;
    }

    pub(super) async fn answer_due(&mut self) {
        for call in self.due(|phone| &mut phone.answers) {
            self.order(AppCommand::Answer(call, ANSWER.to_owned())).await;
        }
    }

    /// The other side took a call that was placed.
    pub(super) async fn answered(&mut self, call: String) {
        let after_ms = self.placed.remove(&call).and_then(|outgoing| outgoing.hang_up_after_ms);
        let Some(after_ms) = after_ms else { return };
        let at = self.host.clock.now().mono + Duration::from_millis(after_ms);
        self.hang_ups.push((at, call));
        self.hang_up_due().await;
    }

    pub(super) async fn hang_up_due(&mut self) {
        for call in self.due(|phone| &mut phone.hang_ups) {
            self.end(call).await;
        }
    }

    fn due(&mut self, of: fn(&mut Self) -> &mut Vec<(Duration, String)>) -> Vec<String> {
        let now = self.host.clock.now().mono;
        let waiting = std::mem::take(of(self));
        let (due, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(at, _)| *at <= now);
        *of(self) = later;
        due.into_iter().map(|(_, call)| call).collect()
    }

    pub(super) fn forget(&mut self, call: &str, why: String) {
        let mark = self.calls.remove(call).unwrap_or_default();
        self.placed.remove(call);
        self.answers.retain(|(_, waiting)| waiting != call);
        self.hang_ups.retain(|(_, waiting)| waiting != call);
        let ended = Draft::new(Kind::AppCallEnded).with("subsession", call);
        self.note(ended.with("call", mark).with("why", why));
    }
}
