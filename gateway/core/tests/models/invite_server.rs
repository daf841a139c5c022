//! The INVITE server transaction of RFC 3261 17.2.1 as RFC 6026 7.1 mends it, and above it what a
//! UAS owes for a 2xx (RFC 3261 13.3.1.4). Times are milliseconds.

use crate::transactions::{T1, T2, T4, Told};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody knows it, or nobody does any more.
    None,
    Proceeding,
    /// A failure waits for its ACK.
    Completed,
    /// Its ACK came.
    Confirmed,
    /// A 2xx was sent; repeated INVITEs are taken in silence.
    Accepted,
    /// A call came of it. What the same INVITE would mean now is not for this model to say.
    Answered,
}

#[derive(Debug, Clone)]
pub(crate) struct InviteServer {
    of: usize,
    udp: bool,
    state: State,
    last: u16,
    /// Timer G, or the repetition of a 2xx: instant and interval.
    repeat: Option<(u64, u64)>,
    /// Timer H or L.
    limit: Option<u64>,
    /// Timer I.
    absorb: Option<u64>,
    acknowledged: bool,
}

impl InviteServer {
    pub(crate) const fn new(of: usize, udp: bool) -> Self {
        let state = State::None;
        Self {
            of,
            udp,
            state,
            last: 0,
            repeat: None,
            limit: None,
            absorb: None,
            acknowledged: false,
        }
    }

    pub(crate) fn exists(&self) -> bool {
        !matches!(self.state, State::None | State::Answered)
    }

    pub(crate) fn undecided(&self) -> bool {
        self.state == State::Proceeding
    }

    /// What an INVITE sent now means is known.
    pub(crate) fn may_be_called(&self) -> bool {
        self.state != State::Answered
    }

    pub(crate) fn has_final(&self) -> bool {
        self.last >= 200
    }

    /// True if the INVITE is new: the user of the transaction is to say something.
    pub(crate) fn invite(&mut self, now: u64, told: &mut Vec<Told>) -> bool {
        match self.state {
            State::None => {
                *self = Self { state: State::Proceeding, ..Self::new(self.of, self.udp) };
                return true;
            }
            State::Proceeding if self.last > 0 => self.tell(now, told),
            State::Completed => self.tell(now, told),
            State::Proceeding | State::Confirmed | State::Accepted | State::Answered => {}
        }
        false
    }

    fn tell(&self, now: u64, told: &mut Vec<Told>) {
        told.push((now, self.of, "INVITE", self.last));
    }

    /// The user of the transaction answers.
    pub(crate) fn respond(&mut self, status: u16, now: u64, told: &mut Vec<Told>) {
        assert!(self.undecided(), "the model answers once");
        self.last = status;
        self.tell(now, told);
        if status >= 200 {
            let repeats = self.udp || status < 300;
            self.repeat = repeats.then_some((now + T1, T1));
            self.limit = Some(now + 64 * T1);
            self.state = if status < 300 { State::Accepted } else { State::Completed };
        }
    }

    pub(crate) fn ack(&mut self, now: u64) {
        match self.state {
            State::Completed => {
                (self.repeat, self.limit) = (None, None);
                self.state = if self.udp { State::Confirmed } else { State::None };
                self.absorb = self.udp.then_some(now + T4);
            }
            State::Accepted | State::Answered => {
                self.repeat = None;
                self.acknowledged = true;
            }
            State::None | State::Proceeding | State::Confirmed => {}
        }
    }

    pub(crate) fn due(&self) -> Option<u64> {
        [self.repeat.map(|it| it.0), self.limit, self.absorb].into_iter().flatten().min()
    }

    pub(crate) fn fire(&mut self, now: u64, told: &mut Vec<Told>) {
        if self.absorb == Some(now) {
            (self.absorb, self.state) = (None, State::None);
        }
        if self.limit == Some(now) {
            (self.limit, self.repeat) = (None, None);
            if self.state == State::Accepted {
                self.state = State::Answered;
                if !self.acknowledged {
                    told.push((now, self.of, "BYE", 0));
                }
            } else {
                self.state = State::None;
            }
        }
        if let Some((at, interval)) = self.repeat.filter(|it| it.0 == now) {
            self.tell(now, told);
            let interval = (2 * interval).min(T2);
            self.repeat = Some((at + interval, interval));
        }
    }
}
