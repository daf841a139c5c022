//! A notifier of waiting messages: it takes SUBSCRIBE and sends NOTIFY (RFC 6665, RFC 3842).

use std::time::Duration;

use super::leg::Repeated;
use super::{Caller, T2};
use crate::cast::scan::{Scanned, param, uri};
use crate::cast::sip::{Path, host_port, request, response_with};
use crate::cast::user;

/// The longest subscription granted, in seconds.
const LONGEST_S: u64 = 3_600;

/// What a subscriber is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The user that subscribed.
    pub subscriber: String,
    /// How many messages wait.
    pub messages: u16,
    /// The subscription ends with it.
    pub ends: bool,
}

/// A subscription of somebody's.
pub(super) struct Subscription {
    subscriber: String,
    call_id: String,
    /// Our side of the dialog, with its tag.
    from: String,
    to: String,
    target: String,
    routes: Vec<String>,
    cseq: u32,
    remote_cseq: u32,
    ended: bool,
    /// NOTIFYs that were not answered, each by its CSeq.
    sending: Vec<(u32, Repeated, Path)>,
}

impl Caller {
    /// SUBSCRIBE: the first of a dialog, a refresh, or the end.
    pub(super) async fn subscribed(&mut self, message: &Scanned, path: Path) {
        let event = message.header("event").unwrap_or_default();
        if event.split(';').next().map(str::trim) != Some("message-summary") {
            return self
                .reply(message, 489, &[("Allow-Events", "message-summary".to_owned())], path)
                .await;
        }
        let asked = message.header("expires").and_then(|text| text.trim().parse().ok());
        let life_s: u64 = asked.unwrap_or(LONGEST_S).min(LONGEST_S);
        let to = message.header("to").unwrap_or_default();
        let at = match param(to, "tag") {
            None => self.begin_subscription(message),
            Some(_) => {
                let of = |it: &Subscription| it.call_id == message.call_id() && !it.ended;
                let Some(at) = self.subscriptions.iter().position(of) else {
                    return self.reply(message, 481, &[], path).await;
                };
                at
            }
        };
        let subscription = &mut self.subscriptions[at];
        let number = message.cseq_number().unwrap_or_default();
        let is_new = number > subscription.remote_cseq;
        subscription.remote_cseq = subscription.remote_cseq.max(number);
        let tag = param(&subscription.from, "tag").unwrap_or_default();
        let contact = self.contact(user(uri(to)));
        let headers = [("Contact", contact), ("Expires", life_s.to_string())];
        self.sockets.send(response_with(message, 200, &tag, &headers, b""), path).await;
        if is_new {
            let ends = life_s == 0;
            self.tell(at, ends).await;
        }
    }

    /// The subscription that this begins; the same one if it came before.
    fn begin_subscription(&mut self, message: &Scanned) -> usize {
        let known = self.subscriptions.iter().position(|it| it.call_id == message.call_id());
        if let Some(at) = known {
            return at;
        }
        let from = message.header("from").unwrap_or_default();
        let to = message.header("to").unwrap_or_default();
        self.subscriptions.push(Subscription {
            subscriber: user(uri(from)).to_owned(),
            call_id: message.call_id().to_owned(),
            from: format!("{to};tag={}", self.tag()),
            to: from.to_owned(),
            target: uri(message.header("contact").unwrap_or_default()).to_owned(),
            routes: message.all("record-route").map(str::to_owned).collect(),
            cseq: 0,
            remote_cseq: 0,
            ended: false,
            sending: Vec::new(),
        });
        self.subscriptions.len() - 1
    }

    /// Tells the latest subscription of this user that stands; without one it waits for the next.
    pub(super) async fn notify(&mut self, notice: &Notice) {
        self.waiting.insert(notice.subscriber.clone(), notice.messages);
        let of = |it: &Subscription| it.subscriber == notice.subscriber && !it.ended;
        let Some(at) = self.subscriptions.iter().rposition(of) else {
            return self.say("", format!("{} has no subscription here", notice.subscriber));
        };
        self.tell(at, notice.ends).await;
    }

    async fn tell(&mut self, at: usize, ends: bool) {
        let via = self.via(&self.branch());
        let subscription = &mut self.subscriptions[at];
        subscription.cseq += 1;
        subscription.ended = ends;
        let cseq = subscription.cseq;
        let messages = self.waiting.get(&subscription.subscriber).copied().unwrap_or(0);
        let waiting = if messages > 0 { "yes" } else { "no" };
        let body = format!("Messages-Waiting: {waiting}\r\nVoice-Message: {messages}/0 (0/0)\r\n");
        let state = if ends { "terminated;reason=noresource" } else { "active;expires=3600" };
        let own = user(uri(&subscription.from)).to_owned();
        let mut headers = vec![
            ("Via", via),
            ("Max-Forwards", "70".to_owned()),
            ("From", subscription.from.clone()),
            ("To", subscription.to.clone()),
            ("Call-ID", subscription.call_id.clone()),
            ("CSeq", format!("{cseq} NOTIFY")),
            ("Event", "message-summary".to_owned()),
            ("Subscription-State", state.to_owned()),
            ("Content-Type", "application/simple-message-summary".to_owned()),
        ];
        headers.extend(subscription.routes.iter().map(|route| ("Route", route.clone())));
        let (target, routes) = (subscription.target.clone(), subscription.routes.first());
        let hop = host_port(routes.map_or(target.as_str(), |route| uri(route)));
        headers.push(("Contact", self.contact(&own)));
        let bytes = request("NOTIFY", &target, &headers, body.as_bytes());
        let path = match self.sockets.path_to(&hop, self.settings.transport).await {
            Ok(path) => path,
            Err(what) => return self.say(&self.subscriptions[at].call_id, what),
        };
        self.sockets.send(bytes.clone(), path).await;
        let sending = Repeated::new(bytes, self.now(), self.settings.transport, T2);
        self.subscriptions[at].sending.push((cseq, sending, path));
    }

    pub(super) fn notices_due(&self) -> impl Iterator<Item = Duration> {
        let sending = self.subscriptions.iter().flat_map(|it| &it.sending);
        sending.map(|(_, sending, _)| sending.deadline())
    }

    pub(super) async fn repeat_notices(&mut self, now: Duration) {
        let mut due = Vec::new();
        for subscription in &mut self.subscriptions {
            subscription.sending.retain(|(_, sending, _)| !sending.is_over(now));
            for (_, sending, path) in &mut subscription.sending {
                if sending.due(now) {
                    due.push((sending.bytes.clone(), *path));
                }
            }
        }
        for (bytes, path) in due {
            self.sockets.send(bytes, path).await;
        }
    }

    /// A refusal other than for now ends the subscription (RFC 6665 section 4.2.2).
    pub(super) fn notice_answered(&mut self, message: &Scanned) {
        let status = message.status().unwrap_or_default();
        let of = |it: &&mut Subscription| it.call_id == message.call_id();
        let Some(subscription) = self.subscriptions.iter_mut().find(of) else { return };
        if status < 200 {
            return;
        }
        let number = message.cseq_number().unwrap_or_default();
        subscription.sending.retain(|(cseq, ..)| *cseq != number);
        subscription.ended |= matches!(status, 404 | 405 | 410 | 416 | 480..=485 | 489 | 501 | 604);
    }
}
