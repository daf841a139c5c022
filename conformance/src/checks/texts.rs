//! Messages and notices, as a view has them.

use std::collections::BTreeMap;

use super::view::{Framed, Said, View};
use crate::cast::scan::uri;
use crate::cast::{message_mark, user};

/// What is no reason to wake anybody (RFC 3994, RFC 5438).
const QUIET: [&str; 2] = ["im-iscomposing", "imdn"];

/// A MESSAGE that a SIP user agent sent or was sent, and what it said and heard of it.
pub struct Text {
    /// Its mark.
    pub mark: String,
    /// The Call-ID.
    pub id: String,
    /// Whom it is for, as `user@domain`.
    pub to: String,
    /// Nobody is to be woken for it.
    pub is_quiet: bool,
    /// For how long it is of use, in microseconds.
    pub life_us: Option<u64>,
    /// In order; the first is the MESSAGE.
    pub said: Vec<Said>,
}

impl Text {
    fn of(said: Vec<Said>) -> Option<Self> {
        let first = said.first().filter(|first| first.message.method() == Some("MESSAGE"))?;
        let header = |name: &str| first.message.header(name).unwrap_or_default();
        let from = uri(header("from"));
        let kind = header("content-type");
        let life_s: Option<u64> = header("expires").trim().parse().ok();
        Some(Self {
            mark: message_mark(from, &String::from_utf8_lossy(&first.message.body)),
            id: first.message.call_id().to_owned(),
            to: uri(header("to")).trim_start_matches("sip:").to_owned(),
            is_quiet: header("priority").trim().eq_ignore_ascii_case("non-urgent")
                || QUIET.iter().any(|quiet| kind.contains(quiet)),
            life_us: life_s.map(|life| life.saturating_mul(1_000_000)),
            said,
        })
    }

    /// The first final response, and its status.
    #[must_use]
    pub fn answer(&self) -> Option<(&Said, u16)> {
        let all = self.said.iter().filter_map(|said| Some((said, said.answer_to("MESSAGE")?)));
        all.into_iter().find(|(_, status)| *status >= 200)
    }

    /// Each `send` that gave an app this message.
    pub fn given<'v>(&'v self, view: &'v View<'_>) -> impl Iterator<Item = &'v Framed> {
        view.frames.iter().filter(|frame| frame.is_send() && frame.message_mark() == self.mark)
    }
}

/// A NOTIFY that a SIP user agent sent.
pub struct Notice {
    /// Who.
    pub by: String,
    /// Whose app it is for: the subscriber's address.
    pub to: String,
    /// The Call-ID.
    pub id: String,
    /// The event.
    pub seq: u64,
    /// When, in microseconds.
    pub t_us: u64,
    /// How many messages wait.
    pub waiting: u64,
    /// The final response.
    pub answer: Option<(u64, u16)>,
}

/// Messages that SIP user agents sent, those that reached them, and notices, from what they said and
/// heard by actor and Call-ID.
pub(super) fn texts(
    said: &mut BTreeMap<(&str, String), Vec<Said>>,
) -> (Vec<Text>, Vec<Text>, Vec<Notice>) {
    let (mut texts, mut notices) = (Vec::new(), Vec::new());
    let is_text = |all: &Vec<Said>| all.first().is_some_and(|said| said.is_of("MESSAGE"));
    let keys: Vec<_> =
        said.iter().filter(|(_, all)| is_text(all)).map(|(key, _)| key.clone()).collect();
    for key in keys {
        texts.extend(said.remove(&key).and_then(Text::of));
    }
    for ((actor, _), all) in said.iter() {
        notices
            .extend(all.iter().filter(|one| one.asks("NOTIFY")).map(|one| notice(actor, one, all)));
    }
    texts.sort_by_key(|text: &Text| text.said.first().map(|said| said.seq));
    notices.sort_by_key(|notice| notice.seq);
    let is_ours = |text: &Text| text.said.first().is_some_and(|first| first.sent);
    let (texts, written) = texts.into_iter().partition(is_ours);
    (texts, written, notices)
}

fn notice(actor: &str, one: &Said, all: &[Said]) -> Notice {
    let number = one.message.cseq_number();
    let answer = all.iter().find_map(|said| {
        let status = said.answer_to("NOTIFY").filter(|status| *status >= 200)?;
        (said.message.cseq_number() == number).then_some((said.seq, status))
    });
    let body = String::from_utf8_lossy(&one.message.body);
    let counts = body.lines().find_map(|line| line.strip_prefix("Voice-Message:"));
    let new = counts.and_then(|counts| counts.trim().split('/').next()?.parse().ok());
    let to = uri(one.message.header("to").unwrap_or_default());
    Notice {
        by: actor.to_owned(),
        to: to.trim_start_matches("sip:").to_owned(),
        id: one.message.call_id().to_owned(),
        seq: one.seq,
        t_us: one.t_us,
        waiting: new.unwrap_or(0),
        answer,
    }
}

impl Framed {
    /// True for a frame of a subscription, whose actions have the names of a call's.
    #[must_use]
    pub fn is_of_subscription(&self) -> bool {
        self.text("control", "package_type") == "message_notification"
    }

    /// True for a `send` that gives an app a message.
    #[must_use]
    pub fn is_send(&self) -> bool {
        !self.sent && self.is("send", "request")
    }

    /// The mark of the message that a `send` gives.
    #[must_use]
    pub fn message_mark(&self) -> String {
        let content = self.json["payload"]["content"].as_str().unwrap_or_default();
        message_mark(self.text("header", "initiator"), content)
    }

    /// True for a notice that this notifier has so many messages.
    #[must_use]
    pub fn is_notice_of(&self, notifier: &str) -> bool {
        let is_notice = self.is_of_subscription() && self.text("header", "action") == "notify";
        !self.sent && is_notice && user(self.text("header", "initiator")) == notifier
    }

    /// How many messages a notice says that wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let counts = self.json["payload"]["voice_message"].as_str().unwrap_or_default();
        counts.split('/').next().and_then(|new| new.parse().ok()).unwrap_or(0)
    }

    /// True for the answer that an app gave to this `send`.
    #[must_use]
    pub fn answers_send(&self, send: &Self) -> bool {
        let is_answer = self.is("send", "response") || self.is("send", "error");
        self.sent && self.actor == send.actor && is_answer && self.subsession() == send.subsession()
    }
}
