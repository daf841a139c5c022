//! Verbs of messages, and of those who want to know how many wait for them.

use super::field::FOREVER;
use super::findings::Findings;
use super::names::Used;
use super::verbs::Verbs;
use crate::codes::Code;
use crate::message::{Content, Message};
use crate::problem::Problem;
use crate::scenario::Verb;
use crate::words::quoted;

/// The most messages that a notifier tells of.
pub(super) const WAITING_MAX: u16 = 999;

const CONTENTS: [(&str, Content); 3] =
    [("text", Content::Text), ("is-composing", Content::IsComposing), ("imdn", Content::Imdn)];

impl Verbs<'_, '_> {
    pub(super) fn message(&self, mark: &str, f: &mut Findings<'_>) -> Option<Verb> {
        let (from, to) = self.both_parties(&["content", "priority", "expires"], f);
        let content = match self.step.field("content") {
            Some(field) => field.word(&CONTENTS, f),
            None => Some(Content::default()),
        };
        let non_urgent = match self.step.field("priority") {
            Some(field) => field.word(&[("non-urgent", true)], f),
            None => Some(false),
        };
        let expires = match self.step.field("expires") {
            Some(field) => field.duration(("1s", FOREVER), f).map(Some),
            None => Some(None),
        };
        Some(Verb::Message(Message {
            mark: mark.to_owned(),
            from: from?,
            to: to?,
            content: content?,
            non_urgent: non_urgent?,
            expires: expires?,
        }))
    }

    pub(super) fn subscribe(&self, phone: &Used<'_>, f: &mut Findings<'_>) -> Option<Verb> {
        let phone = self.names.phone(phone, f);
        let to = self.named("to", "to = \"alice\"", f);
        let to = to.and_then(|to| self.names.caller(&to, f));
        Some(Verb::Subscribe { phone: phone?, to: to? })
    }

    pub(super) fn notify(&self, phone: &Used<'_>, f: &mut Findings<'_>) -> Option<Verb> {
        let phone = self.names.phone(phone, f);
        let by = self.named("by", "by = \"alice\"", f);
        let by = by.and_then(|by| self.names.caller(&by, f));
        let messages = self.step.needed("messages", "messages = 3", f);
        let messages = messages.and_then(|field| field.number(0..=u32::from(WAITING_MAX), f));
        let messages = messages.and_then(|number| u16::try_from(number).ok());
        let ends = match self.step.field("state") {
            Some(field) => field.word(&[("active", false), ("terminated", true)], f),
            None => Some(false),
        };
        Some(Verb::Notify { phone: phone?, by: by?, messages: messages?, ends: ends? })
    }

    /// A message can be sent again, and nothing else be done to it.
    pub(super) fn is_message(&self, verb: &str, used: &Used<'_>, f: &mut Findings<'_>) -> bool {
        let is_message = self.names.messages.contains(used.name) && verb != "retransmit";
        if is_message {
            let message = format!("{} is a message, and `{verb}` is for calls", quoted(used.name));
            let problem = Problem::new(Code::WrongTarget, used.span.clone(), message);
            f.push(
                problem.label("not a call").help("name a call; a message can be sent again only"),
            );
        }
        is_message
    }
}
