//! What is still to happen, in the order of its time; of one instant in the order it was planned.

use std::collections::BTreeMap;
use std::task::Waker;

use super::net::Packet;

/// Something that happens at an instant.
pub(super) enum Event {
    /// Whoever waits goes on.
    Wake(Waker),
    /// A packet arrives, or is found to be lost.
    Packet(Packet),
    /// The host of this number starts for the first time.
    Begin(usize),
    /// The host of this number starts again.
    Start(usize),
}

/// An entry's place: its instant in microseconds, and a number.
pub(super) type Place = (u64, u64);

#[derive(Default)]
pub(super) struct Agenda {
    events: BTreeMap<Place, Event>,
    next: u64,
}

impl Agenda {
    pub(super) fn plan(&mut self, at_us: u64, event: Event) -> Place {
        let place = (at_us, self.next);
        self.next += 1;
        self.events.insert(place, event);
        place
    }

    /// Replaces who is woken there; false if that has happened.
    pub(super) fn rewake(&mut self, place: Place, waker: &Waker) -> bool {
        match self.events.get_mut(&place) {
            Some(Event::Wake(old)) => {
                old.clone_from(waker);
                true
            }
            _ => false,
        }
    }

    pub(super) fn cancel(&mut self, place: Place) {
        self.events.remove(&place);
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Event)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}
