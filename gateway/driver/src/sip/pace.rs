//! How often bytes that are no SIP request are answered: whoever forges a sender shall not make a louder
//! noise through us.

const SECOND_US: u64 = 1_000_000;

/// Counts the answers of one socket.
#[derive(Debug)]
pub(super) struct Pace {
    /// Answers in one second.
    most: u32,
    since_us: u64,
    answers: u32,
}

impl Pace {
    pub(super) const fn new(most: u32) -> Self {
        Self { most, since_us: 0, answers: 0 }
    }

    /// True if one more may leave now.
    pub(super) const fn allows(&mut self, now_us: u64) -> bool {
        if now_us.saturating_sub(self.since_us) >= SECOND_US {
            *self = Self { since_us: now_us, answers: 0, most: self.most };
        }
        self.answers = self.answers.saturating_add(1);
        self.answers <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_answers_and_the_next_has_them_again() {
        let mut pace = Pace::new(200);
        let allowed = |pace: &mut Pace, at| (0..1_000).filter(|_| pace.allows(at)).count();
        assert_eq!(allowed(&mut pace, 5 * SECOND_US), 200);
        assert_eq!(allowed(&mut pace, 6 * SECOND_US - 1), 0);
        assert_eq!(allowed(&mut pace, 6 * SECOND_US), 200);
    }
}
