use std::time::Duration;

use reveille_scenarios::{Head, Sight, Step, Verb, What};

/// Steps on their way to a script: each is due at a time, in milliseconds, or follows another one.
#[derive(Default)]
pub(super) struct Score {
    bars: Vec<(u64, Vec<(Head, Verb)>)>,
    calls: u64,
    messages: u64,
}

impl Score {
    /// The mark of the next call.
    pub(super) fn call(&mut self) -> String {
        self.calls += 1;
        format!("c{}", self.calls)
    }

    /// The mark of the next message.
    pub(super) fn message(&mut self) -> String {
        self.messages += 1;
        format!("m{}", self.messages)
    }

    pub(super) const fn calls(&self) -> u64 {
        self.calls
    }

    /// `verb` is due at this time.
    pub(super) fn at(&mut self, at_ms: u64, verb: Verb) {
        self.bars.push((at_ms, vec![(Head::At(Duration::from_millis(at_ms)), verb)]));
    }

    /// `verb` is due that long after what is due at this time has let this be seen.
    pub(super) fn seen(&mut self, at_ms: u64, sight: Sight, later_ms: u64, verb: Verb) {
        let text = "seen".to_owned();
        let later = Head::Wait(Duration::from_millis(later_ms));
        self.bars.push((at_ms, vec![(Head::When(sight), Verb::Note { text }), (later, verb)]));
    }

    /// The call that was drawn last loses so many of its answers.
    pub(super) fn lose_answers(&mut self, lost: u32) {
        let mark = format!("c{}", self.calls);
        let verbs = self.bars.iter_mut().flat_map(|(_, steps)| steps).map(|(_, verb)| verb);
        for verb in verbs {
            if let Verb::Call { mark: of, lost_answers, .. } = verb
                && *of == mark
            {
                *lost_answers = lost;
            }
        }
    }

    /// All steps in the order of their times; those of one time in the order in which they came.
    pub(super) fn steps(mut self) -> Vec<Step> {
        self.bars.sort_by_key(|(at_ms, _)| *at_ms);
        let steps = self.bars.into_iter().flat_map(|(_, steps)| steps);
        (1..).zip(steps).map(|(line, (head, verb))| Step { head, verb, line }).collect()
    }
}

pub(super) fn sight(actor: &str, what: What, about: &str) -> Sight {
    let (actor, about) = (Some(actor.to_owned()), Some(about.to_owned()));
    Sight { actor, what, about, numbers: None, text: None }
}
