//! Doze: the phone lies still, and lets its apps use the network in maintenance windows only.

use std::time::Duration;

/// How long it is idle and how long a window is; both are doubled each time, up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rhythm {
    pub(super) idle_ms: u64,
    pub(super) idle_max_ms: u64,
    pub(super) window_ms: u64,
    pub(super) window_max_ms: u64,
}

/// A phone that dozes.
#[derive(Debug, Clone)]
pub(super) struct Doze {
    pub(super) deep: bool,
    rhythm: Rhythm,
    window: bool,
    /// When it becomes idle, or a window opens.
    turns_at: Duration,
    /// When it ends of itself.
    ends_at: Duration,
}

impl Doze {
    pub(super) fn new(now: Duration, deep: bool, rhythm: Rhythm, lasts: Duration) -> Self {
        let turns_at = now + Duration::from_millis(rhythm.idle_ms);
        Self { deep, rhythm, window: false, turns_at, ends_at: now + lasts }
    }

    /// Its name in traces.
    pub(super) const fn name(&self) -> &'static str {
        match (self.window, self.deep) {
            (true, _) => "window",
            (false, true) => "deep",
            (false, false) => "light",
        }
    }

    /// True outside of maintenance windows.
    pub(super) const fn is_idle(&self) -> bool {
        !self.window
    }

    /// When it changes next.
    pub(super) fn due(&self) -> Duration {
        self.turns_at.min(self.ends_at)
    }

    /// True once it is over.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        now >= self.ends_at
    }

    /// Becomes idle, or opens a window, if it is time.
    pub(super) fn turn(&mut self, now: Duration) -> bool {
        if now < self.turns_at {
            return false;
        }
        let rhythm = &mut self.rhythm;
        let next_ms = match self.window {
            true => {
                rhythm.window_ms = rhythm.window_max_ms.min(rhythm.window_ms.saturating_mul(2));
                rhythm.idle_ms
            }
            false => {
                rhythm.idle_ms = rhythm.idle_max_ms.min(rhythm.idle_ms.saturating_mul(2));
                rhythm.window_ms
            }
        };
        self.window = !self.window;
        self.turns_at += Duration::from_millis(next_ms);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::android;
    use super::*;

    /// When it turns, in minutes, up to so many.
    fn turns(rhythm: Rhythm, minutes: u64) -> Vec<u64> {
        let mut doze = Doze::new(Duration::ZERO, true, rhythm, Duration::from_secs(60 * minutes));
        let mut turns = Vec::new();
        while !doze.is_over(doze.due()) {
            let at = doze.due();
            assert!(doze.turn(at));
            turns.push(at.as_secs() / 60);
        }
        turns
    }

    #[test]
    fn idle_times_and_windows_double_up_to_their_bounds() {
        // Idle for 60, 120, 240, 360, 360 minutes; windows of 5, 10, 10, 10.
        let deep = [60, 65, 185, 195, 435, 445, 805, 815, 1_175];
        assert_eq!(turns(android::DEEP, 1_180), deep);
        // Idle for 5, 10, 15, 15; windows of 1, 2, 4, 5.
        assert_eq!(turns(android::LIGHT, 60), [5, 6, 16, 18, 33, 37, 52, 57]);
    }

    #[test]
    fn it_ends_when_it_was_to_end_whatever_it_was_about_to_do() {
        let lasts = Duration::from_secs(90);
        let mut doze = Doze::new(Duration::ZERO, false, android::LIGHT, lasts);
        assert_eq!(doze.due(), lasts);
        assert!(!doze.turn(lasts));
        assert!(doze.is_over(lasts) && !doze.is_over(lasts - Duration::from_millis(1)));
    }
}
