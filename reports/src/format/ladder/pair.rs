//! Which event of one actor is the other end of which event of another.

use std::collections::{BTreeMap, VecDeque};

use reveille_trace::{Event, Kind};

use super::lanes::{Lanes, Role};

/// A message under way: from whom, to whom, and the events of its two ends.
#[derive(Debug, Clone)]
pub(super) struct Message<'a> {
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) sent: Option<&'a Event>,
    pub(super) received: Option<&'a Event>,
    /// Arrived once more than it was sent.
    pub(super) again: bool,
    /// Sent, and nobody who would have written it down saw it arrive.
    pub(super) lost: bool,
}

impl<'a> Message<'a> {
    /// The event that has its bytes and its time.
    pub(super) fn event(&self) -> Option<&'a Event> {
        self.sent.or(self.received)
    }
}

/// SIP, JsonRTC and push messages never meet.
type Key<'a> = (u8, &'a [u8]);

struct Pairing<'a> {
    lanes: &'a Lanes,
    messages: Vec<Message<'a>>,
    under_way: BTreeMap<Key<'a>, VecDeque<usize>>,
    /// How much more often each was sent than received.
    losses: BTreeMap<Key<'a>, i64>,
    senders: BTreeMap<Key<'a>, String>,
    sockets: BTreeMap<i64, String>,
}

/// Every message of the trace, in the order in which each was first seen.
pub(super) fn messages<'a>(events: &'a [Event], lanes: &'a Lanes) -> Vec<Message<'a>> {
    let mut pairing = Pairing {
        lanes,
        messages: Vec::new(),
        under_way: BTreeMap::new(),
        losses: losses(events),
        senders: BTreeMap::new(),
        sockets: BTreeMap::new(),
    };
    for event in events {
        match event.kind {
            Kind::SipSent | Kind::RtcSent | Kind::PushSent => pairing.sent(event),
            Kind::SipReceived | Kind::RtcReceived | Kind::PushReceived => pairing.received(event),
            _ => {}
        }
    }
    pairing.settle(events)
}

fn key(event: &Event) -> Key<'_> {
    let family = match event.kind {
        Kind::SipSent | Kind::SipReceived => 0,
        Kind::RtcSent | Kind::RtcReceived => 1,
        _ => 2,
    };
    (family, event.bytes())
}

fn losses(events: &[Event]) -> BTreeMap<Key<'_>, i64> {
    let mut losses = BTreeMap::new();
    for event in events {
        let change = match event.kind {
            Kind::SipSent | Kind::RtcSent | Kind::PushSent => 1,
            Kind::SipReceived | Kind::RtcReceived | Kind::PushReceived => -1,
            _ => continue,
        };
        *losses.entry(key(event)).or_default() += change;
    }
    losses
}

impl<'a> Pairing<'a> {
    fn sent(&mut self, event: &'a Event) {
        let from = Some(event.actor.clone());
        self.under_way.entry(key(event)).or_default().push_back(self.messages.len());
        self.senders.insert(key(event), event.actor.clone());
        let (sent, received, to) = (Some(event), None, None);
        self.messages.push(Message { from, to, sent, received, again: false, lost: true });
    }

    fn received(&mut self, event: &'a Event) {
        let waiting = self.under_way.get_mut(&key(event));
        let messages = &self.messages;
        let other = |&index: &usize| messages[index].from.as_ref() != Some(&event.actor);
        // Where some were lost, what arrives was most likely sent last; else each waits its turn.
        let some_lost = self.losses.get(&key(event)).is_some_and(|losses| *losses > 0);
        let place = waiting.and_then(|waiting| {
            let mut order = waiting.iter();
            let at = if some_lost { order.rposition(other) } else { order.position(other) };
            at.and_then(|at| waiting.remove(at))
        });
        let Some(index) = place.or_else(|| self.handed_on(event)) else {
            return self.unsent(event);
        };
        let message = &mut self.messages[index];
        (message.to, message.received, message.lost) =
            (Some(event.actor.clone()), Some(event), false);
        if let Some(sent) = message.sent
            && sent.kind == Kind::RtcSent
        {
            let ends = [(sent, event), (event, sent)];
            for (gateway, app) in ends {
                if let Some(socket) = self.socket_of_gateway(gateway) {
                    self.sockets.insert(socket, app.actor.clone());
                }
            }
        }
    }

    /// All nodes of a gateway are one actor: what it has from itself, one node handed to another.
    fn handed_on(&mut self, event: &'a Event) -> Option<usize> {
        let gateway = self.lanes.role(&event.actor) == Some(Role::Gateway);
        let of_nodes = gateway && event.kind == Kind::SipReceived;
        self.under_way.get_mut(&key(event)).filter(|_| of_nodes)?.pop_front()
    }

    fn socket_of_gateway(&self, event: &Event) -> Option<i64> {
        let gateway = self.lanes.role(&event.actor) == Some(Role::Gateway);
        event.int("socket").filter(|_| gateway)
    }

    /// Received, but not (or not once more) sent by anyone who writes down what it sends.
    fn unsent(&mut self, event: &'a Event) {
        let known = self.senders.get(&key(event)).filter(|sender| **sender != event.actor);
        let again = known.is_some();
        let is_gateway = self.lanes.role(&event.actor) == Some(Role::Gateway);
        let gateway = || self.lanes.first(Role::Gateway).map(str::to_owned);
        let from = known.cloned().or_else(|| if is_gateway { None } else { gateway() });
        let (to, received, sent) = (Some(event.actor.clone()), Some(event), None);
        self.messages.push(Message { from, to, sent, received, again, lost: false });
    }

    /// Finds where the messages were bound that nobody received.
    fn settle(mut self, events: &'a [Event]) -> Vec<Message<'a>> {
        let heard = |event: &Event| {
            matches!(event.kind, Kind::SipReceived | Kind::RtcReceived)
                && self.lanes.role(&event.actor) == Some(Role::Gateway)
        };
        let black_box = !events.iter().any(heard);
        let peers = peers(events, self.lanes);
        for message in &mut self.messages {
            let (Some(sent), None) = (message.sent, &message.to) else { continue };
            if self.lanes.role(&sent.actor) != Some(Role::Gateway) {
                message.to = self.lanes.first(Role::Gateway).map(str::to_owned);
                message.lost = !black_box;
                continue;
            }
            message.to = match sent.kind {
                Kind::PushSent => self.lanes.first(Role::Push).map(str::to_owned),
                Kind::RtcSent => sent.int("socket").and_then(|s| self.sockets.get(&s).cloned()),
                _ => sent.corr.as_ref().and_then(|corr| peers.get(corr.as_str()).cloned()),
            };
            if sent.kind == Kind::RtcSent && message.to.is_none() {
                message.to = self.lanes.only(Role::Phone).map(str::to_owned);
            }
        }
        self.messages
    }
}

/// Whom a gateway speaks with in each SIP dialog, by Call-ID.
fn peers(events: &[Event], lanes: &Lanes) -> BTreeMap<String, String> {
    let mut peers = BTreeMap::new();
    for event in events {
        let sip = matches!(event.kind, Kind::SipSent | Kind::SipReceived);
        let outside = lanes.role(&event.actor) != Some(Role::Gateway);
        if let (true, true, Some(corr)) = (sip, outside, &event.corr) {
            peers.entry(corr.clone()).or_insert_with(|| event.actor.clone());
        }
    }
    peers
}
