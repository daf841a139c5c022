use std::time::Duration;

/// An instant message, as `message = "m1", from = "alice", to = "bob"` sends it: from a SIP user agent to
/// a phone, or the other way. It is accepted and refused as its receiver treats calls; who lets calls ring
/// does not answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its mark, which no call has.
    pub mark: String,
    /// Who sends it.
    pub from: String,
    /// Who is to read it.
    pub to: String,
    /// What it carries.
    pub content: Content,
    /// `priority = "non-urgent"`: nobody is to be woken for it.
    pub non_urgent: bool,
    /// `expires = "30s"`: afterwards nobody is to be given it.
    pub expires: Option<Duration>,
}

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Content {
    /// Words: `content = "text"`.
    #[default]
    Text,
    /// That its sender is typing (RFC 3994): `content = "is-composing"`.
    IsComposing,
    /// That an earlier message was read (RFC 5438): `content = "imdn"`.
    Imdn,
}
