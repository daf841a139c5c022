//! The liveness phase: no fault strikes any more, what is pending comes to its end, and whoever is then
//! called rings.

use std::time::Duration;

use reveille_scenarios::{Expect, OnCall, Sight, Verb, Wanted, What};

use super::calls::End;
use super::score::sight;
use super::{Phone, Play};

/// How soon a phone must ring.
const RINGS_MS: u64 = 15_000;
/// How soon its caller must hear the answer.
const ANSWERS_MS: u64 = 20_000;

impl Play {
    /// Draws what happens once faults have stopped; what was drawn before should be over at `over_ms`.
    pub(super) fn liveness(&mut self, over_ms: u64) -> Vec<Expect> {
        let text = "no fault strikes from here on".to_owned();
        self.score.at(over_ms, Verb::Note { text });
        // What waits for an app waits no longer than this, whatever became of the app.
        let settled_ms = over_ms + self.wake_budget_ms + self.ring_deadline_ms + 5_000;
        self.hang_up_all(settled_ms);
        let phones = self.phones.clone();
        let healthy_ms = self.last_fates(settled_ms, &phones);
        self.hang_up_all(healthy_ms);
        let mut expects = Vec::new();
        for phone in &phones {
            let name = phone.name.clone();
            let on_call = OnCall::Answer(Duration::from_millis(self.lot.number(0, 2_000)));
            self.score.at(healthy_ms, Verb::SetOnCall { who: name, on_call });
            self.open(healthy_ms, phone);
            // A device whose token is dead rings as long as its app is open.
            if self.refused != Some(phone.push) && self.lot.is(2, 3) {
                self.sleep_when_granted(healthy_ms + 6_000, phone);
            }
            let call_ms = healthy_ms + self.lot.number(10_000, 12_000);
            expects.extend(self.must_ring(call_ms, phone));
        }
        self.hang_up_all(healthy_ms + 12_000 + ANSWERS_MS);
        expects
    }

    /// A fate that no push has met yet, because something else woke the phone, would strike in health:
    /// a call to each sleeping phone draws it out. Returns when that is over.
    fn last_fates(&mut self, at_ms: u64, phones: &[Phone]) -> u64 {
        let mut over_ms = at_ms;
        for phone in phones {
            if !self.fated.contains(&phone.push) {
                continue;
            }
            let caller = self.caller();
            self.open(at_ms, phone);
            self.sleep_when_granted(at_ms + 6_000, phone);
            let call_ms = at_ms + self.lot.number(9_000, 10_000);
            self.call_that(call_ms, &caller, phone, End::Answered);
            over_ms = call_ms + self.wake_budget_ms + 8_000;
        }
        over_ms
    }

    fn hang_up_all(&mut self, at_ms: u64) {
        let callers = self.callers.iter().map(|caller| caller.name.clone());
        let names: Vec<_> = callers.chain(self.phones.iter().map(|p| p.name.clone())).collect();
        for who in names {
            self.score.at(at_ms, Verb::HangUp { who, by: None });
        }
    }

    fn must_ring(&mut self, at_ms: u64, phone: &Phone) -> [Expect; 2] {
        let caller = self.caller();
        let mark = self.score.call();
        self.score.at(
            at_ms,
            Verb::Call {
                mark: mark.clone(),
                from: caller.name.clone(),
                to: phone.name.clone(),
                hang_up_after: Some(Duration::from_secs(1)),
                lost_answers: 0,
                late_offer: false,
                to_request_uri: false,
            },
        );
        let heard =
            Sight { numbers: Some((200, 699)), ..sight(&caller.name, What::Received, &mark) };
        let answered = (format!("{heard} == 200"), Wanted::FirstIn(heard, vec![200]), ANSWERS_MS);
        let rings = sight(&phone.name, What::Alerted, &mark);
        let rings = (rings.to_string(), Wanted::Seen(rings), RINGS_MS);
        [rings, answered].map(|(text, wanted, within_ms)| Expect {
            level: "MUST".to_owned(),
            text: format!("{text} within {}s", within_ms / 1_000),
            wanted,
            after: None,
            within: Some(Duration::from_millis(within_ms)),
            why: Some("no fault strikes any more".to_owned()),
            line: 1,
        })
    }
}
