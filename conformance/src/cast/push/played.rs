//! A request that keeps every rule meets the script: what it is answered, and what becomes of its
//! parcel.

use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use reveille_trace::{Draft, Kind, Value};

use super::answer::{self, Answer, Provider, Reason};
use super::asked::{Granted, Parcel};
use super::connection::Connection;
use super::script::place;
use super::sent::{Sent, endless, page, whole};
use super::{Service, answered, apns, reply};

impl Service {
    /// Takes the first scripted answer for this provider.
    pub(super) fn next(&self, provider: Provider) -> Option<Answer> {
        let taken = self.state().script.next(provider);
        if let Some(fault) = taken.and_then(|answer| answer.fault()) {
            let struck = Draft::new(Kind::FaultStruck).with("fault", fault);
            self.note(struck.with("on", place(provider)));
        }
        taken
    }

    /// Answers a request that keeps every rule, as the script says.
    pub(super) async fn play(
        self: &Arc<Self>,
        provider: Provider,
        granted: Granted,
        connection: &Connection,
    ) -> Result<Response<Sent>, h2::Error> {
        let Granted { parcel, response } = granted;
        let answer = self.next(provider).unwrap_or(Answer::Accept);
        let mut told = Vec::new();
        let response = match answer {
            Answer::Hang => {
                // The requester gives up first; hyper then drops this future with the stream.
                std::future::pending::<()>().await;
                whole(response)
            }
            Answer::RefuseStream => return Err(h2::Reason::REFUSED_STREAM.into()),
            Answer::Refuse { status, retry_after_s } => {
                told.extend(retry_after_s.map(|s| ("retry_after_s", s.into())));
                whole(answer::with_retry_after(reply(status, String::new()), retry_after_s))
            }
            Answer::Reason { name, age_s, retry_after_s } => {
                told = self.told(name, age_s, retry_after_s);
                let since = self.host.clock.now().wall.saturating_sub(Duration::from_secs(age_s));
                let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
                let response = name.response("as scripted", since);
                whole(answer::with_retry_after(response, retry_after_s))
            }
            Answer::Page | Answer::Endless => {
                told.push(("broken", true.into()));
                if answer == Answer::Page { whole(page()) } else { endless() }
            }
            _ => whole(response),
        };
        let answered = answered(provider, response.status().as_u16());
        let answered = answered.with("token", parcel.token.as_str());
        self.note(told.into_iter().fold(answered, |draft, (name, value)| draft.with(name, value)));
        if answer == Answer::GoAway {
            connection.goes.notify_one();
        }
        self.deliver(answer, parcel);
        Ok(response)
    }

    /// What the trace shows of a documented answer.
    fn told(
        &self,
        name: Reason,
        age_s: u64,
        retry_after_s: Option<u64>,
    ) -> Vec<(&'static str, Value)> {
        let documented = name.documented();
        let mut told = vec![("reason", documented.name.into())];
        if documented.provider == Provider::Apns && documented.status == 410 {
            told.push(("age_s", age_s.into()));
        }
        told.extend(retry_after_s.map(|s| ("retry_after_s", s.into())));
        if documented.name == "ExpiredProviderToken" {
            // Who is told that a token is stale must make another, however young it is.
            self.judges.apns.iter().for_each(apns::Apns::forget);
        }
        told
    }

    fn deliver(self: &Arc<Self>, answer: Answer, parcel: Parcel) {
        match answer {
            Answer::Accept | Answer::GoAway => self.state().phones.deliver(parcel),
            Answer::Duplicate => {
                let phones = &mut self.state().phones;
                phones.deliver(parcel.clone());
                phones.deliver(parcel);
            }
            Answer::Delay { delay_ms } => {
                let service = self.clone();
                let later = async move {
                    service.host.sleep(Duration::from_millis(delay_ms)).await;
                    service.state().phones.deliver(parcel);
                };
                self.host.tasks.spawn("push-later", Box::pin(later));
            }
            Answer::Reorder => self.state().phones.hold(parcel),
            Answer::Drop => self.note(Draft::new(Kind::PushDropped).with("token", parcel.token)),
            Answer::Hang
            | Answer::Refuse { .. }
            | Answer::Reason { .. }
            | Answer::RefuseStream
            | Answer::Page
            | Answer::Endless => {}
        }
    }
}
