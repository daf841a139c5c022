//! What can be seen, by whom, and what of it can be said between the brackets.

use std::ops::RangeInclusive;

use crate::sight::What;

/// Who sees something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seer {
    Caller,
    Phone,
    Push,
    Registrar,
}

impl Seer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Caller => "a sip-ua",
            Self::Phone => "a phone",
            Self::Push => "the push service",
            Self::Registrar => "the registrar",
        }
    }
}

/// What can stand between the brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    Call,
    Phone,
    Agent,
    Waiting,
    State,
    Status(RangeInclusive<u16>),
}

impl Argument {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Call => "a call",
            Self::Phone => "a phone",
            Self::Agent => "a sip-ua",
            Self::Waiting => "a number",
            Self::State => "a state",
            Self::Status(_) => "a status",
        }
    }
}

/// A word of sights.
pub(super) struct Seen {
    pub(super) by: Seer,
    pub(super) word: &'static str,
    pub(super) what: What,
    pub(super) arguments: &'static [Argument],
}

const fn seen(by: Seer, word: &'static str, what: What, arguments: &'static [Argument]) -> Seen {
    Seen { by, word, what, arguments }
}

/// All that can be seen.
pub(super) const SEEN: [Seen; 29] = {
    use Argument::{Agent, Call, Phone, State, Status, Waiting};
    [
        seen(Seer::Caller, "sent", What::Sent, &[Call]),
        seen(Seer::Caller, "received", What::Received, &[Call, Status(100..=699)]),
        seen(Seer::Caller, "final", What::Received, &[Call, Status(200..=699)]),
        seen(Seer::Caller, "alerted", What::Alerted, &[Call]),
        seen(Seer::Caller, "confirmed", What::Confirmed, &[Call]),
        seen(Seer::Caller, "renegotiated", What::Renegotiated, &[Call]),
        seen(Seer::Caller, "changed", What::Changed, &[Call, Status(100..=699)]),
        seen(Seer::Caller, "ended", What::Ended, &[Call]),
        seen(Seer::Caller, "delivered", What::Delivered, &[Call]),
        seen(Seer::Caller, "subscribed", What::Subscribed, &[Phone]),
        seen(Seer::Phone, "sent", What::Sent, &[Call]),
        seen(Seer::Phone, "received", What::Received, &[Call, Status(100..=699)]),
        seen(Seer::Phone, "final", What::Received, &[Call, Status(200..=699)]),
        seen(Seer::Phone, "confirmed", What::Confirmed, &[Call]),
        seen(Seer::Phone, "renegotiated", What::Renegotiated, &[Call]),
        seen(Seer::Phone, "withdrawn", What::Withdrawn, &[Call]),
        seen(Seer::Phone, "changed", What::Changed, &[Call, Status(100..=699)]),
        seen(Seer::Phone, "delivered", What::Delivered, &[Call]),
        seen(Seer::Phone, "alerted", What::Alerted, &[Call]),
        seen(Seer::Phone, "ended", What::Ended, &[Call]),
        seen(Seer::Phone, "subscribed", What::Subscribed, &[Agent]),
        seen(Seer::Phone, "notified", What::Notified, &[Agent, Waiting]),
        seen(Seer::Phone, "state", What::State, &[State]),
        seen(Seer::Push, "sent", What::PushSent, &[Phone]),
        seen(Seer::Push, "answered", What::PushAnswered, &[Phone, Status(100..=599)]),
        seen(Seer::Push, "dropped", What::PushDropped, &[Phone]),
        seen(Seer::Push, "arrived", What::PushArrived, &[Phone]),
        seen(Seer::Push, "held", What::PushHeld, &[Phone]),
        seen(Seer::Registrar, "registered", What::Registered, &[Status(100..=699)]),
    ]
};
