//! What people do: calls and what becomes of them, messages, sleeps.

use std::time::Duration;

use reveille_scenarios::{Content, Feature, Message, OnCall, Transport, Verb};

use super::{Caller, Phone, Play};

/// How a call comes to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is answered, and somebody hangs up.
    Answered,
    /// The app declines it.
    Declined,
    /// It rings until somebody gives up.
    RungOut,
    /// Its caller gives up sooner or later.
    Cancelled,
}

const fn time(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Play {
    /// A call to `phone` at this time, with any end. Returns its mark and when it should be over.
    pub(super) fn call(&mut self, at_ms: u64, caller: &Caller, phone: &Phone) -> (String, u64) {
        let mut ends = vec![End::Answered, End::Answered];
        let of = [
            (Feature::Decline, End::Declined),
            (Feature::Unanswered, End::RungOut),
            (Feature::Cancel, End::Cancelled),
        ];
        ends.extend(of.into_iter().filter(|(feature, _)| self.has(*feature)).map(|(_, end)| end));
        let end = self.lot.one(&ends).unwrap_or(End::Answered);
        self.call_that(at_ms, caller, phone, end)
    }

    /// A call to `phone` with this end.
    pub(super) fn call_that(
        &mut self,
        at_ms: u64,
        caller: &Caller,
        phone: &Phone,
        end: End,
    ) -> (String, u64) {
        let mark = self.score.call();
        let answers_ms = self.lot.number(0, 3_000);
        let on_call = match end {
            End::Answered | End::Cancelled => OnCall::Answer(time(answers_ms)),
            End::Declined => OnCall::Decline(self.lot.one(&[486, 603]).unwrap_or(603)),
            End::RungOut => OnCall::Ring,
        };
        self.score.at(at_ms, Verb::SetOnCall { who: phone.name.clone(), on_call });
        let talks_ms = self.lot.number(200, 5_000);
        let call = Verb::Call {
            mark: mark.clone(),
            from: caller.name.clone(),
            to: phone.name.clone(),
            hang_up_after: Some(time(talks_ms)),
            lost_answers: 0,
            late_offer: self.does(Feature::LateOffer, 3),
            to_request_uri: self.lot.is(1, 4),
        };
        self.score.at(at_ms, call);
        let held_ms = self.wake_budget_ms;
        let over_ms = match end {
            End::Answered => self.answered(at_ms, answers_ms, talks_ms, &mark, phone),
            End::Declined => at_ms + held_ms,
            End::RungOut => self.rung_out(at_ms, &mark),
            End::Cancelled => {
                let gives_up_ms = at_ms + self.lot.number(0, 6_000);
                self.score.at(gives_up_ms, Verb::Cancel { mark: mark.clone(), by: None });
                gives_up_ms + talks_ms + 1_000
            }
        };
        (mark, over_ms)
    }

    /// What happens in a call that is answered.
    fn answered(
        &mut self,
        at_ms: u64,
        answers_ms: u64,
        talks_ms: u64,
        mark: &str,
        phone: &Phone,
    ) -> u64 {
        let stands_ms = at_ms + answers_ms + 1_000;
        if self.does(Feature::Renegotiate, 2) {
            let by = self.lot.is(1, 2).then(|| phone.name.clone());
            let (mark, update) = (mark.to_owned(), self.lot.is(1, 3));
            let at_ms = stands_ms + self.lot.number(0, 2_000);
            self.score.at(at_ms, Verb::Renegotiate { mark, by, update, stale: false });
        }
        if self.lot.is(1, 4) {
            let (who, by) = (mark.to_owned(), Some(phone.name.clone()));
            self.score.at(stands_ms + self.lot.number(0, 4_000), Verb::HangUp { who, by });
        }
        stands_ms + talks_ms + 3_000
    }

    /// It rings until its caller gives up, or until the gateway's deadline.
    fn rung_out(&mut self, at_ms: u64, mark: &str) -> u64 {
        if self.lot.is(1, 2) {
            return at_ms + self.wake_budget_ms + self.ring_deadline_ms;
        }
        let gives_up_ms = at_ms + self.lot.number(1_000, 12_000);
        self.score.at(gives_up_ms, Verb::Cancel { mark: mark.to_owned(), by: None });
        gives_up_ms + 1_000
    }

    /// The app places a call.
    pub(super) fn placed(&mut self, at_ms: u64, phone: &Phone, caller: &Caller) -> u64 {
        let mark = self.score.call();
        let talks_ms = self.lot.number(200, 4_000);
        self.score.at(
            at_ms,
            Verb::Call {
                mark: mark.clone(),
                from: phone.name.clone(),
                to: caller.name.clone(),
                hang_up_after: Some(time(talks_ms)),
                lost_answers: 0,
                late_offer: false,
                to_request_uri: false,
            },
        );
        if self.does(Feature::Cancel, 3) {
            let gives_up_ms = at_ms + self.lot.number(100, 4_000);
            self.score.at(gives_up_ms, Verb::Cancel { mark, by: None });
        }
        at_ms + talks_ms + 5_000
    }

    /// A message, by whichever side may.
    pub(super) fn message(&mut self, at_ms: u64, caller: &Caller, phone: &Phone) {
        let both = [(Feature::Message, true), (Feature::Sent, false)];
        let on = both.into_iter().filter(|(feature, _)| self.has(*feature));
        let on: Vec<_> = on.collect();
        let Some((_, to_phone)) = self.lot.one(&on) else { return };
        let ends = (caller.name.clone(), phone.name.clone());
        let (from, to) = if to_phone { ends } else { (ends.1, ends.0) };
        let mark = self.score.message();
        let content = match self.lot.number(0, 5) {
            0 if to_phone => Content::IsComposing,
            1 if to_phone => Content::Imdn,
            _ => Content::Text,
        };
        let message = Message { mark, from, to, content, non_urgent: false, expires: None };
        self.score.at(at_ms, Verb::Message(message));
    }

    pub(super) fn sleep(&mut self, at_ms: u64, phone: &Phone) {
        let by_close = self.does(Feature::SleepByClose, 2);
        self.score.at(at_ms, Verb::Sleep { phone: phone.name.clone(), by_close });
    }

    /// A sleep that is asked for, and refused while a call is under way.
    pub(super) fn sleep_when_granted(&mut self, at_ms: u64, phone: &Phone) {
        self.score.at(at_ms, Verb::Sleep { phone: phone.name.clone(), by_close: false });
    }

    pub(super) fn open(&mut self, at_ms: u64, phone: &Phone) {
        self.score.at(at_ms, Verb::Resume { phone: phone.name.clone() });
    }

    /// A caller by datagrams, whose INVITE outlives every short silence.
    pub(super) fn patient_caller(&mut self) -> Option<Caller> {
        let by_udp = self.callers.iter().filter(|caller| caller.transport == Transport::Udp);
        let by_udp: Vec<_> = by_udp.cloned().collect();
        self.lot.one(&by_udp)
    }
}
