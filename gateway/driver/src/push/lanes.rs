//! What waits to be pushed by one provider: a lane for each class, and in each lane the pushes of an
//! application and event, which may leave together.
//!
//! A call is always served first, and some places are kept for calls: whatever waits or is under way
//! besides does not delay it.

use std::collections::{BTreeMap, VecDeque};

use reveille_gateway_core::io::PushRequest;

/// How urgent a push is. The order is that of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Call,
    Message,
    /// Whatever nobody waits for, such as refreshes.
    Other,
}

impl Class {
    pub(crate) const ALL: [Self; 3] = [Self::Call, Self::Message, Self::Other];

    pub(crate) fn of(event: &str) -> Self {
        match event {
            "call" => Self::Call,
            "message" => Self::Message,
            _ => Self::Other,
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Message => "message",
            Self::Other => "other",
        }
    }

    /// How many of it may wait for one provider.
    const fn most(self) -> usize {
        match self {
            Self::Call => 1_024,
            Self::Message => 4_096,
            Self::Other => 16_384,
        }
    }
}

/// A call does not wait longer than this for others to leave with it, in microseconds.
const CALL_LINGER_US: u64 = 50_000;

/// How many pushes of an application leave as one request, and how long the first waits for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// At most so many; 1: each by itself.
    pub size: usize,
    /// At most so long, in microseconds.
    pub linger_us: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Self { size: 1, linger_us: 0 }
    }
}

/// An application of the provider, as far as its pushes wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    pub(super) app: String,
    pub(super) id: String,
    pub(super) batch: Batch,
}

/// Whose pushes leave together: the account's place in the list (none: nobody's), the event, and what
/// the devices run. A request may go elsewhere for each.
type Group = (Option<usize>, String, Option<String>);

struct Waiting {
    number: u64,
    since_us: u64,
    request: PushRequest,
}

#[derive(Default)]
struct Lane {
    length: usize,
    groups: BTreeMap<Group, VecDeque<Waiting>>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Push these, all of one account and event, and give back the place.
    Push(Class, Vec<PushRequest>),
    /// Look again at this time, or when something changes.
    At(u64),
    /// Look again when something changes.
    Later,
    /// Nothing waits, and nothing more will come.
    End,
}

/// The lanes of one provider.
pub(super) struct Lanes {
    lanes: [Lane; 3],
    accounts: Vec<Account>,
    places: usize,
    /// Places that are not kept for calls.
    low_places: usize,
    under_way: usize,
    low_under_way: usize,
    next_number: u64,
    closed: bool,
}

impl Lanes {
    /// Empty lanes with so many places, two at least: a quarter of them, and one at least, is kept
    /// for calls.
    pub(super) fn new(places: usize, accounts: Vec<Account>) -> Self {
        let places = places.max(2);
        let low_places = places - (places / 4).max(1);
        Self {
            lanes: Default::default(),
            accounts,
            places,
            low_places,
            under_way: 0,
            low_under_way: 0,
            next_number: 0,
            closed: false,
        }
    }

    /// The account that a request names by its id or its name.
    pub(super) fn account(&self, request: &PushRequest) -> Option<usize> {
        let named = &request.application;
        let by_id = self.accounts.iter().position(|account| account.id == *named);
        by_id.or_else(|| self.accounts.iter().position(|account| account.app == *named))
    }

    /// The name of the application that a request is for; empty if it is nobody's.
    pub(super) fn app(&self, request: &PushRequest) -> String {
        self.account(request).map(|at| self.accounts[at].app.clone()).unwrap_or_default()
    }

    /// Takes a request in.
    ///
    /// # Errors
    /// The lane of its class is full.
    pub(super) fn put(&mut self, request: PushRequest, now_us: u64) -> Result<(), ()> {
        let class = Class::of(&request.payload.event);
        let event = request.payload.event.clone();
        let group = (self.account(&request), event, request.platform.clone());
        let lane = &mut self.lanes[class as usize];
        if lane.length >= class.most() {
            return Err(());
        }
        lane.length += 1;
        let waiting = Waiting { number: self.next_number, since_us: now_us, request };
        lane.groups.entry(group).or_default().push_back(waiting);
        self.next_number += 1;
        Ok(())
    }

    /// What is to be done now. Whoever pushes has a place until [`done`](Self::done).
    pub(super) fn next(&mut self, now_us: u64) -> Next {
        let mut soonest_us: Option<u64> = None;
        for class in Class::ALL {
            if !self.has_place(class) {
                continue;
            }
            match self.ripe(class, now_us) {
                Ok(group) => {
                    let batch = self.take(class, &group);
                    self.under_way += 1;
                    self.low_under_way += usize::from(class != Class::Call);
                    return Next::Push(class, batch);
                }
                Err(at_us) => soonest_us = at_us.into_iter().chain(soonest_us).min(),
            }
        }
        let is_empty = self.lanes.iter().all(|lane| lane.length == 0);
        match soonest_us {
            _ if is_empty && self.closed => Next::End,
            Some(at_us) => Next::At(at_us),
            None => Next::Later,
        }
    }

    /// A place is free again.
    pub(super) fn done(&mut self, class: Class) {
        self.under_way -= 1;
        self.low_under_way -= usize::from(class != Class::Call);
    }

    /// Nothing more will come.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    fn has_place(&self, class: Class) -> bool {
        self.under_way < self.places
            && (class == Class::Call || self.low_under_way < self.low_places)
    }

    fn batch_of(&self, class: Class, group: &Group) -> Batch {
        let batch = group.0.map(|at| self.accounts[at].batch).unwrap_or_default();
        match class {
            Class::Call => Batch { linger_us: batch.linger_us.min(CALL_LINGER_US), ..batch },
            Class::Message | Class::Other => batch,
        }
    }

    /// The group whose turn it is; else when the first of one has waited long enough.
    fn ripe(&self, class: Class, now_us: u64) -> Result<Group, Option<u64>> {
        let (mut oldest, mut soonest_us): (Option<(u64, &Group)>, Option<u64>) = (None, None);
        for (group, waiting) in &self.lanes[class as usize].groups {
            let Some(first) = waiting.front() else { continue };
            let batch = self.batch_of(class, group);
            let due_us = first.since_us.saturating_add(batch.linger_us);
            if waiting.len() >= batch.size || due_us <= now_us || self.closed {
                let this = (first.number, group);
                oldest = Some(oldest.map_or(this, |before| before.min(this)));
            } else {
                soonest_us = Some(soonest_us.map_or(due_us, |before| before.min(due_us)));
            }
        }
        oldest.map(|(_, group)| group.clone()).ok_or(soonest_us)
    }

    fn take(&mut self, class: Class, group: &Group) -> Vec<PushRequest> {
        let size = self.batch_of(class, group).size.max(1);
        let lane = &mut self.lanes[class as usize];
        let Some(waiting) = lane.groups.get_mut(group) else { return Vec::new() };
        let taken: Vec<_> = waiting.drain(..size.min(waiting.len())).collect();
        if waiting.is_empty() {
            lane.groups.remove(group);
        }
        lane.length -= taken.len();
        taken.into_iter().map(|waiting| waiting.request).collect()
    }
}

#[cfg(test)]
mod tests {
    use reveille_gateway_core::io::PushId;

    use super::super::tests::request;
    use super::*;

    fn push(wake: u64, application: &str, event: &str) -> PushRequest {
        let mut push = request("s", None);
        push.id = PushId { wake, attempt: 1 };
        push.application = application.to_owned();
        push.payload.event = event.to_owned();
        push
    }

    fn lanes(places: usize, batch: Batch) -> Lanes {
        let account = |name: &str, batch| Account {
            app: name.to_owned(),
            id: format!("com.example.{name}"),
            batch,
        };
        Lanes::new(places, vec![account("phone", batch), account("pad", Batch::default())])
    }

    /// The wakes that leave now, request by request.
    fn leave(lanes: &mut Lanes, now_us: u64) -> Vec<Vec<u64>> {
        let mut all = Vec::new();
        while let Next::Push(_, batch) = lanes.next(now_us) {
            all.push(batch.iter().map(|push| push.id.wake).collect());
        }
        all
    }

    #[test]
    fn ten_thousand_refreshes_do_not_delay_a_call() {
        let mut lanes = lanes(64, Batch::default());
        for wake in 0..10_000 {
            assert_eq!(lanes.put(push(wake, "phone", "refresh"), 0), Ok(()));
        }
        assert_eq!(leave(&mut lanes, 0).len(), 48, "the rest is kept for calls");
        lanes.put(push(10_000, "phone", "message"), 0).expect("room");
        lanes.put(push(10_001, "phone", "call"), 0).expect("room");
        assert_eq!(leave(&mut lanes, 0), [[10_001]], "at once, though no other has ended");
        lanes.done(Class::Other);
        assert_eq!(leave(&mut lanes, 0), [[10_000]], "a message comes next");
        lanes.done(Class::Message);
        assert_eq!(leave(&mut lanes, 0), [[48]], "and then the oldest");
    }

    #[test]
    fn of_two_places_one_is_kept_for_calls() {
        for places in [0, 1, 2] {
            let mut lanes = lanes(places, Batch::default());
            for wake in 0..3 {
                lanes.put(push(wake, "phone", "message"), 0).expect("room");
            }
            assert_eq!(leave(&mut lanes, 0), [[0]]);
            lanes.put(push(9, "phone", "call"), 0).expect("room");
            lanes.put(push(10, "phone", "call"), 0).expect("room");
            assert_eq!(leave(&mut lanes, 0), [[9]]);
            lanes.done(Class::Message);
            assert_eq!(leave(&mut lanes, 0), [[10]], "calls may take every place");
        }
    }

    #[test]
    fn a_full_lane_refuses_its_own_class_only() {
        let mut lanes = lanes(64, Batch::default());
        for event in ["refresh", "message", "call"] {
            let most = Class::of(event).most();
            for wake in 0..most {
                let wake = u64::try_from(wake).expect("a number");
                assert_eq!(lanes.put(push(wake, "phone", event), 0), Ok(()), "{event} {wake}");
            }
            assert_eq!(lanes.put(push(0, "phone", event), 0), Err(()));
        }
        assert_eq!(leave(&mut lanes, 0)[..2], [[0], [1]], "calls first");
        assert_eq!(lanes.put(push(0, "phone", "call"), 0), Ok(()), "there is room again");
    }

    #[test]
    fn what_comes_together_leaves_together_and_never_with_anothers() {
        let mut lanes = lanes(64, Batch { size: 3, linger_us: 20_000 });
        for (wake, application) in
            [(0, "phone"), (1, "pad"), (2, "com.example.phone"), (3, "stranger"), (4, "phone")]
        {
            lanes.put(push(wake, application, "call"), 1_000).expect("room");
        }
        lanes.put(push(5, "phone", "call"), 2_000).expect("room");
        lanes.put(push(6, "phone", "message"), 2_000).expect("room");
        let ios = Some("ios".to_owned());
        let other = PushRequest { platform: ios, ..push(7, "phone", "message") };
        lanes.put(other, 2_000).expect("room");
        assert_eq!(leave(&mut lanes, 2_000), [vec![0, 2, 4], vec![1], vec![3]]);
        assert_eq!(lanes.next(2_000), Next::At(22_000), "one waits for others");
        assert_eq!(leave(&mut lanes, 21_999), [[0; 0]; 0]);
        assert_eq!(
            leave(&mut lanes, 22_000),
            [[5], [6], [7]],
            "and not for ever; these do not mix"
        );
        assert_eq!(lanes.next(22_000), Next::Later);
    }

    #[test]
    fn a_call_waits_for_others_no_longer_than_declared() {
        let mut lanes = lanes(64, Batch { size: 9, linger_us: 1_000_000 });
        lanes.put(push(0, "phone", "message"), 0).expect("room");
        lanes.put(push(1, "phone", "call"), 0).expect("room");
        assert_eq!(lanes.next(0), Next::At(50_000));
        assert_eq!(leave(&mut lanes, 50_000), [[1]]);
        assert_eq!(lanes.next(50_000), Next::At(1_000_000));
    }

    #[test]
    fn lanes_that_are_closed_end_when_they_are_empty() {
        let mut lanes = lanes(64, Batch { size: 9, linger_us: 1_000_000 });
        lanes.put(push(0, "phone", "call"), 0).expect("room");
        lanes.close();
        assert_eq!(leave(&mut lanes, 0), [[0]], "nobody else will come");
        assert_eq!(lanes.next(0), Next::End);
    }
}
