//! One effort to bring one session back: push, retries, budget, outcome. At most one per session,
//! however many calls wait for it.

use crate::io::PushOutcome;

/// What a wake asks of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WakeAct {
    /// Ask the push service now; the number counts from 1.
    Push(u32),
    /// Come back at this monotonic time.
    Arm(u64),
    /// Nothing that is left to try can wake the device inside the budget.
    GiveUp(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The next attempt is due at its time.
    Waiting,
    /// An attempt is with the push service.
    Asked,
    /// The push service took it: the device may come, and the budget runs.
    Accepted,
    /// Given up.
    Failed,
}

/// A wake. The schedule names the earliest times of the attempts, in milliseconds from its start.
#[derive(Debug, Clone)]
pub(crate) struct Wake {
    /// Numbers the wake within the process.
    pub(crate) id: u64,
    stage: Stage,
    attempt: u32,
    started_us: u64,
    deadline_us: u64,
    schedule_ms: Vec<u64>,
    accepted_us: u64,
    /// It follows one that is spent, for the sake of the call that arrived last.
    pub(crate) again: bool,
    /// A call waits for it, so that its push is one for a call.
    pub(crate) for_call: bool,
}

/// A device that has not come so long after its push was accepted may not have got it.
const COMING_US: u64 = 5_000_000;

impl Wake {
    /// A wake whose first attempt may leave at `from_us` and whose last one before `deadline_us`.
    pub(crate) fn new(id: u64, from_us: u64, deadline_us: u64, schedule_ms: Vec<u64>) -> Self {
        let (stage, started_us) = (Stage::Waiting, from_us);
        Self {
            id,
            stage,
            attempt: 0,
            started_us,
            deadline_us,
            schedule_ms,
            accepted_us: 0,
            again: false,
            for_call: false,
        }
    }

    /// A further call or message waits for this wake.
    pub(crate) fn join(&mut self, deadline_us: u64, for_call: bool) {
        self.deadline_us = self.deadline_us.max(deadline_us);
        self.for_call |= for_call;
    }

    /// True while this attempt is the one that should leave.
    pub(crate) fn owes(&self, attempt: u32) -> bool {
        self.stage == Stage::Asked && self.attempt == attempt
    }

    /// True if a call that arrives now has nothing to hope for from this wake: it failed, or its
    /// push was accepted so long ago that it looks lost.
    pub(crate) fn is_spent(&self, now_us: u64) -> bool {
        match self.stage {
            Stage::Failed => true,
            Stage::Accepted => now_us.saturating_sub(self.accepted_us) >= COMING_US,
            Stage::Waiting | Stage::Asked => false,
        }
    }

    /// True if the device may still come on account of this wake.
    pub(crate) fn is_coming(&self, now_us: u64) -> bool {
        self.stage != Stage::Failed && now_us < self.deadline_us
    }

    /// True if who joins now is served by the push of this wake: one that speaks of a message wakes
    /// nobody for a call once it has left.
    pub(crate) fn serves(&self, for_call: bool) -> bool {
        !for_call || self.for_call || self.stage == Stage::Waiting
    }

    pub(crate) const fn deadline_us(&self) -> u64 {
        self.deadline_us
    }

    /// Time passed, or the wake has just begun.
    pub(crate) fn step(&mut self, now_us: u64) -> Option<WakeAct> {
        if self.stage != Stage::Waiting {
            return None;
        }
        let due_us = self.due_us(now_us, 0)?;
        if due_us > now_us {
            return Some(WakeAct::Arm(due_us));
        }
        self.attempt += 1;
        self.stage = Stage::Asked;
        Some(WakeAct::Push(self.attempt))
    }

    /// The push service, or the way to it, answered.
    pub(crate) fn outcome(
        &mut self,
        now_us: u64,
        attempt: u32,
        outcome: &PushOutcome,
    ) -> Option<WakeAct> {
        if !self.owes(attempt) {
            return None;
        }
        match outcome {
            PushOutcome::Accepted => {
                self.stage = Stage::Accepted;
                self.accepted_us = now_us;
                None
            }
            PushOutcome::Refused { .. } => self.fail("push refused"),
            PushOutcome::Failed { .. } => self.fail("push cannot be sent"),
            PushOutcome::Transient { retry_after_ms, .. } => {
                let due_us = self.due_us(now_us, retry_after_ms.unwrap_or(0));
                match due_us.filter(|due_us| *due_us < self.deadline_us) {
                    Some(due_us) => {
                        self.stage = Stage::Waiting;
                        self.started_us = self.started_us.max(self.moved_start(due_us));
                        Some(WakeAct::Arm(due_us.max(now_us)))
                    }
                    None => self.fail("push service unavailable"),
                }
            }
        }
    }

    fn fail(&mut self, why: &'static str) -> Option<WakeAct> {
        self.stage = Stage::Failed;
        Some(WakeAct::GiveUp(why))
    }

    /// When the next attempt may leave; `None` if the schedule is used up.
    fn due_us(&self, now_us: u64, wait_ms: u64) -> Option<u64> {
        let earliest_ms = self.schedule_ms.get(self.attempt as usize)?;
        let asked_us = if wait_ms == 0 { 0 } else { now_us + wait_ms * 1_000 };
        Some((self.started_us + earliest_ms * 1_000).max(asked_us))
    }

    /// A Retry-After moves the rest of the schedule with it.
    fn moved_start(&self, due_us: u64) -> u64 {
        let earliest_ms = self.schedule_ms.get(self.attempt as usize).copied().unwrap_or(0);
        due_us.saturating_sub(earliest_ms * 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transient(retry_after_ms: Option<u64>) -> PushOutcome {
        PushOutcome::Transient { why: "503".to_owned(), retry_after_ms }
    }

    #[test]
    fn three_transient_failures_use_up_the_schedule() {
        let mut wake = Wake::new(1, 0, 30_000_000, vec![0, 1_000, 3_000]);
        assert_eq!(wake.step(0), Some(WakeAct::Push(1)));
        assert_eq!(wake.outcome(10, 1, &transient(None)), Some(WakeAct::Arm(1_000_000)));
        assert_eq!(wake.step(1_000_000), Some(WakeAct::Push(2)));
        // An attempt that ends after the next time of the schedule is followed at once.
        assert_eq!(wake.outcome(6_000_000, 2, &transient(None)), Some(WakeAct::Arm(6_000_000)));
        assert_eq!(wake.step(6_000_000), Some(WakeAct::Push(3)));
        let last = wake.outcome(7_000_000, 3, &transient(None));
        assert_eq!(last, Some(WakeAct::GiveUp("push service unavailable")));
    }

    #[test]
    fn a_retry_after_is_kept_and_one_beyond_the_budget_ends_it() {
        let mut wake = Wake::new(1, 0, 30_000_000, vec![0, 1_000, 3_000]);
        wake.step(0);
        assert_eq!(wake.outcome(0, 1, &transient(Some(8_000))), Some(WakeAct::Arm(8_000_000)));
        assert_eq!(wake.step(7_999_999), Some(WakeAct::Arm(8_000_000)));
        assert_eq!(wake.step(8_000_000), Some(WakeAct::Push(2)));
        let beyond = wake.outcome(8_000_000, 2, &transient(Some(60_000)));
        assert_eq!(beyond, Some(WakeAct::GiveUp("push service unavailable")));
    }

    #[test]
    fn a_fault_of_the_sender_ends_the_wake_at_once() {
        let mut wake = Wake::new(1, 0, 30_000_000, vec![0, 1_000]);
        wake.step(0);
        let failed = PushOutcome::Failed { why: "403 InvalidProviderToken".to_owned() };
        let act = wake.outcome(5, 1, &failed);
        assert_eq!(act, Some(WakeAct::GiveUp("push cannot be sent")));
    }

    #[test]
    fn a_wake_whose_push_was_accepted_long_ago_helps_no_further_call() {
        let mut wake = Wake::new(1, 0, 30_000_000, vec![0]);
        wake.step(0);
        assert!(!wake.is_spent(20_000_000), "its push is under way");
        wake.outcome(1_000_000, 1, &PushOutcome::Accepted);
        assert!(!wake.is_spent(5_999_999));
        assert!(wake.is_spent(6_000_000));
    }

    #[test]
    fn an_answer_to_another_attempt_changes_nothing() {
        let mut wake = Wake::new(1, 0, 30_000_000, vec![0, 1_000]);
        wake.step(0);
        assert_eq!(wake.outcome(5, 2, &PushOutcome::Accepted), None);
        assert_eq!(wake.outcome(5, 1, &PushOutcome::Accepted), None);
        let refused = PushOutcome::refused("410".to_owned());
        assert_eq!(wake.outcome(6, 1, &refused), None);
    }
}
