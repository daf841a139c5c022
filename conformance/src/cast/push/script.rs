//! What becomes of the next requests: answers in their order, each for one service or for whichever
//! asks first.

use std::collections::VecDeque;

use super::answer::{Answer, Provider};

/// Where a fault of this service strikes, as scenarios name it.
#[must_use]
pub const fn place(service: Provider) -> &'static str {
    match service {
        Provider::Webhook => "push.webhook",
        Provider::Apns => "push.apns",
        Provider::Fcm => "push.fcm",
        Provider::OAuth => "push.oauth",
        Provider::WebPush => "push.webpush",
    }
}

/// The answers that are still to be given.
#[derive(Default)]
pub(super) struct Script(VecDeque<(Option<Provider>, Answer)>);

impl Script {
    /// For whichever service asks first, of those that can answer so.
    pub(super) fn of_any(answers: Vec<Answer>) -> Self {
        Self(answers.into_iter().map(|answer| (None, answer)).collect())
    }

    /// Adds answers of one service.
    pub(super) fn add(&mut self, service: Provider, answers: Vec<Answer>) {
        self.0.extend(answers.into_iter().map(|answer| (Some(service), answer)));
    }

    /// Takes the first one that is this service's.
    pub(super) fn next(&mut self, service: Provider) -> Option<Answer> {
        let is_its = |(of, answer): &(Option<Provider>, Answer)| match of {
            Some(of) => *of == service,
            None => answer.fits(service),
        };
        let at = self.0.iter().position(is_its)?;
        self.0.remove(at).map(|(_, answer)| answer)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_one_service_waits_for_its_request() {
        let mut script = Script::of_any(vec![Answer::Drop]);
        script.add(Provider::Fcm, vec![Answer::Duplicate]);
        assert_eq!(script.next(Provider::OAuth), None, "a bearer is not delivered");
        assert_eq!(script.next(Provider::Apns), Some(Answer::Drop));
        assert_eq!(script.next(Provider::Apns), None);
        assert_eq!(script.next(Provider::Fcm), Some(Answer::Duplicate));
        assert!(script.is_empty());
    }
}
