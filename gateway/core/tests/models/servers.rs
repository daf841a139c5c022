//! The non-INVITE server transaction of RFC 3261 17.2.2 as RFC 4320 4 mends it. Times are
//! milliseconds.

use crate::transactions::{T1, Told};

/// Timer E of the sender reaches T2 after T1 + 2*T1 + 4*T1: before that a 100 must not leave, and
/// then it must (RFC 4320 4.2).
const TRYING_MS: u64 = 7 * T1;

#[derive(Debug, Clone)]
pub(crate) struct Server {
    of: usize,
    method: &'static str,
    udp: bool,
    /// Since when it is there.
    began: Option<u64>,
    last: u16,
    trying: Option<u64>,
    /// Timer J.
    absorb: Option<u64>,
    /// It was here and is gone.
    pub(crate) was: bool,
}

impl Server {
    pub(crate) const fn new(of: usize, method: &'static str, udp: bool) -> Self {
        Self { of, method, udp, began: None, last: 0, trying: None, absorb: None, was: false }
    }

    pub(crate) const fn undecided(&self) -> bool {
        self.began.is_some() && self.last < 200
    }

    fn tell(&self, now: u64, told: &mut Vec<Told>) {
        told.push((now, self.of, self.method, self.last));
    }

    /// True if the request is new.
    pub(crate) fn request(&mut self, now: u64, told: &mut Vec<Told>) -> bool {
        if self.began.is_some() {
            if self.last > 0 {
                self.tell(now, told);
            }
            return false;
        }
        *self = Self {
            began: Some(now),
            trying: Some(now + TRYING_MS),
            ..Self::new(self.of, self.method, self.udp)
        };
        true
    }

    pub(crate) fn respond(&mut self, status: u16, now: u64, told: &mut Vec<Told>) {
        assert!(self.undecided(), "the model answers once");
        self.last = status;
        self.trying = None;
        self.tell(now, told);
        self.absorb = Some(if self.udp { now + 64 * T1 } else { now });
        if !self.udp {
            self.fire(now, told);
        }
    }

    pub(crate) fn due(&self) -> Option<u64> {
        [self.trying, self.absorb].into_iter().flatten().min()
    }

    pub(crate) fn fire(&mut self, now: u64, told: &mut Vec<Told>) {
        if self.trying == Some(now) {
            (self.trying, self.last) = (None, 100);
            self.tell(now, told);
        }
        if self.absorb == Some(now) {
            (self.absorb, self.began, self.was) = (None, None, true);
        }
    }
}
