use std::fmt::{self, Display, Formatter};

/// What can be waited for and expected of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// `alice.sent(c1)`: the call was placed by an INVITE or a `start` (each retransmission counts).
    Sent,
    /// `alice.received(c1, 180)`, `alice.final(c1)`: who placed the call heard of it; the number is the
    /// status, from 200 for `final`.
    Received,
    /// `bob.delivered(c1)`: an app was given the call, or the message; a SIP user agent the message.
    Delivered,
    /// `bob.alerted(c1)`: an app shows the call, or a SIP user agent received its INVITE.
    Alerted,
    /// `bob.confirmed(c1)`: the answer of the call was confirmed, by ACK or `complete`.
    Confirmed,
    /// `bob.renegotiated(c1)`: it was asked to change the call.
    Renegotiated,
    /// `bob.withdrawn(c1)`: an app was told that the wish to change the call was taken back.
    Withdrawn,
    /// `alice.changed(c1, 491)`: it heard what became of the change that it wanted; the number is the
    /// status.
    Changed,
    /// `bob.ended(c1)`: it was told that the call is over.
    Ended,
    /// `alice.subscribed(bob)`: a notifier has a fresh subscription. `bob.subscribed(alice)`: the app was
    /// told that it stands.
    Subscribed,
    /// `bob.notified(alice, 3)`: an app was told how many messages wait; the number says it.
    Notified,
    /// `bob.state(hibernated)`: an app changed its state; the text is the state.
    State,
    /// `push.sent(bob)`: the push service received a request for this phone.
    PushSent,
    /// `push.answered(bob, 503)`: the push service answered; the number is the status.
    PushAnswered,
    /// `push.dropped(bob)`: the push service dropped an accepted push.
    PushDropped,
    /// `push.arrived(bob)`: a push reached the phone.
    PushArrived,
    /// `push.held(bob)`: the phone's operating system kept a push from the app, for a while or for good.
    PushHeld,
    /// `registrar.registered(200)`: the registrar sent a response to REGISTER; the number is the
    /// status.
    Registered,
}

/// What to look for. An absent part matches all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Who saw it.
    pub actor: Option<String>,
    /// What it is.
    pub what: What,
    /// The mark of the call; of a push the phone.
    pub about: Option<String>,
    /// The lowest and the highest status.
    pub numbers: Option<(u16, u16)>,
    /// The state.
    pub text: Option<String>,
}

/// As a scenario would write it.
impl Display for Sight {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_final = self.what == What::Received && self.numbers == Some((200, 699));
        let word = match self.what {
            What::Sent | What::PushSent => "sent",
            What::Received if is_final => "final",
            What::Received => "received",
            What::Delivered => "delivered",
            What::Alerted => "alerted",
            What::Confirmed => "confirmed",
            What::Renegotiated => "renegotiated",
            What::Withdrawn => "withdrawn",
            What::Changed => "changed",
            What::Ended => "ended",
            What::Subscribed => "subscribed",
            What::Notified => "notified",
            What::State => "state",
            What::PushAnswered => "answered",
            What::PushDropped => "dropped",
            What::PushArrived => "arrived",
            What::PushHeld => "held",
            What::Registered => "registered",
        };
        let number = self.numbers.filter(|_| !is_final).map(|(low, _)| low.to_string());
        let arguments: Vec<_> = [&self.about, &number, &self.text].into_iter().flatten().collect();
        let arguments = arguments.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(", ");
        // The push service tells of a push that arrives, and the phone sees it.
        let actor = match self.what {
            What::PushArrived | What::PushHeld => "push",
            _ => self.actor.as_deref().unwrap_or("*"),
        };
        write!(f, "{actor}.{word}({arguments})")
    }
}
