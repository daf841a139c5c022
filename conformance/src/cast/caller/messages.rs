//! SIP MESSAGE both ways (RFC 3428). The mark of one that is sent stands in the From user, and is what
//! it says if it says words.

use std::time::Duration;

use super::leg::Repeated;
use super::{Caller, T2};
use crate::cast::phone::Conduct;
use crate::cast::scan::Scanned;
use crate::cast::sip::{Path, request};

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its mark; unique at this caller.
    pub mark: String,
    /// The URI to send it to.
    pub to: String,
    /// What it carries.
    pub content: Content,
    /// Of priority `non-urgent`.
    pub non_urgent: bool,
    /// For how many seconds it is of use.
    pub expires_s: Option<u64>,
}

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Its mark.
    Text,
    /// That somebody is typing (RFC 3994).
    IsComposing,
    /// That a message was read (RFC 5438).
    Imdn,
}

impl Content {
    fn body(self, mark: &str) -> (&'static str, String) {
        match self {
            Self::Text => ("text/plain", mark.to_owned()),
            Self::IsComposing => (
                "application/im-iscomposing+xml",
                "<?xml version=\"1.0\"?><isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\">\
                 <state>active</state></isComposing>"
                    .to_owned(),
            ),
            Self::Imdn => (
                "message/imdn+xml",
                "<?xml version=\"1.0\"?><imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\
                 <message-id>1</message-id></imdn>"
                    .to_owned(),
            ),
        }
    }
}

/// A message that was sent.
pub(super) struct Text {
    mark: String,
    call_id: String,
    path: Path,
    /// Repeated until its final response (timers E and F).
    sending: Repeated,
    answered: bool,
}

impl Text {
    pub(super) const fn is_busy(&self) -> bool {
        !self.answered
    }
}

impl Caller {
    pub(super) async fn write(&mut self, message: Message) {
        let call_id = self.host.random_hex();
        let hop = self.settings.gateway.clone();
        let path = match self.sockets.path_to(&hop, self.settings.transport).await {
            Ok(path) => path,
            Err(what) => return self.say(&call_id, what),
        };
        let (kind, body) = message.content.body(&message.mark);
        let (mark, domain) = (&message.mark, &self.settings.domain);
        let mut headers = vec![
            ("Via", self.via(&self.branch())),
            ("Max-Forwards", "70".to_owned()),
            ("From", format!("<sip:{mark}@{domain}>;tag={}", self.tag())),
            ("To", format!("<{}>", message.to)),
            ("Call-ID", call_id.clone()),
            ("CSeq", "1 MESSAGE".to_owned()),
            ("Content-Type", kind.to_owned()),
        ];
        if message.non_urgent {
            headers.push(("Priority", "non-urgent".to_owned()));
        }
        headers.extend(message.expires_s.map(|life| ("Expires", life.to_string())));
        let bytes = request("MESSAGE", &message.to, &headers, body.as_bytes());
        self.sockets.send(bytes.clone(), path).await;
        let sending = Repeated::new(bytes, self.now(), self.settings.transport, T2);
        self.texts.push(Text { mark: message.mark, call_id, path, sending, answered: false });
    }

    pub(super) fn is_text(&self, mark: &str) -> bool {
        self.texts.iter().any(|text| text.mark == mark)
    }

    pub(super) async fn write_again(&mut self, mark: &str) {
        let known = self.texts.iter().find(|text| text.mark == mark);
        let Some((bytes, path)) = known.map(|text| (text.sending.bytes.clone(), text.path)) else {
            return;
        };
        self.sockets.send(bytes, path).await;
    }

    /// When something is to be sent again.
    pub(super) fn repetitions(&self) -> impl Iterator<Item = Duration> {
        let texts = self.texts.iter().filter(|text| text.is_busy());
        let texts = texts.map(|text| text.sending.deadline());
        texts.chain(self.notices_due())
    }

    pub(super) async fn repeat_texts(&mut self, now: Duration) {
        for at in 0..self.texts.len() {
            let text = &mut self.texts[at];
            if text.answered {
                continue;
            }
            if text.sending.is_over(now) {
                text.answered = true;
                let call_id = text.call_id.clone();
                self.say(&call_id, "no answer to MESSAGE within 32 s".to_owned());
            } else if text.sending.due(now) {
                let (bytes, path) = (text.sending.bytes.clone(), text.path);
                self.sockets.send(bytes, path).await;
            }
        }
    }

    /// A response to a MESSAGE or NOTIFY of ours.
    pub(super) fn settle(&mut self, message: &Scanned) -> bool {
        let is_final = message.status().is_some_and(|status| status >= 200);
        match message.cseq_method().filter(|_| message.status().is_some()) {
            Some("MESSAGE") => {
                let of = |text: &&mut Text| text.call_id == message.call_id();
                if let Some(text) = self.texts.iter_mut().find(of).filter(|_| is_final) {
                    text.answered = true;
                }
                true
            }
            Some("NOTIFY") => {
                self.notice_answered(message);
                true
            }
            _ => false,
        }
    }

    /// A message of somebody's: who lets calls ring does not answer it.
    pub(super) async fn read(&mut self, message: &Scanned, path: Path) {
        let status = match self.settings.conduct {
            Conduct::Answer { .. } => 200,
            Conduct::Decline { status } => status,
            Conduct::Ring => return,
        };
        self.reply(message, status, &[], path).await;
    }
}
