//! Push plugins: what wakes a device. A provider is one file and one entry in [`PROVIDERS`].

mod answer;
mod apns;
mod application;
mod carried;
mod circuit;
mod dispatch;
mod fcm;
mod http2;
mod keys;
mod lanes;
mod proxy;
mod public;
mod template;
#[cfg(test)]
pub(crate) mod test_keys;
mod tls;
mod webhook;
mod webpush;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reveille_gateway_core::io::{PushOutcome, PushRequest};
use reveille_host::{BoxFuture, Host};

pub use application::{Apple, Application, Lack, PushType, Web};
use application::{Roster, lack_of_ca, lack_of_url};
pub use circuit::CircuitRule;
use lanes::Account;
pub use lanes::Batch;
pub use proxy::Proxy;
pub use template::{Form, Template, Templates, Written};

pub(crate) use circuit::{Circuits, State, Way};
pub(crate) use dispatch::Queue;
pub(crate) use lanes::Class;
pub(crate) use tls::host_time;

use crate::world::World;

/// How pushes are sent.
#[derive(Debug, Clone)]
pub struct PushSettings {
    /// How long connecting may take.
    pub connect_limit: Duration,
    /// How long a request may take.
    pub request_limit: Duration,
    /// Requests under way at once, for each provider.
    pub most_in_flight: usize,
    /// When a service that fails is left alone.
    pub circuit: CircuitRule,
    /// Every application.
    pub applications: Vec<Application>,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self {
            connect_limit: Duration::from_secs(3),
            request_limit: Duration::from_secs(5),
            most_in_flight: 64,
            circuit: CircuitRule::default(),
            applications: Vec::new(),
        }
    }
}

/// Reaches one push service.
pub trait Push: Send + Sync {
    /// The body that asks for this wake.
    fn body(&self, request: &PushRequest) -> Vec<u8>;
    /// Sends it, within the limits of the settings, and says what came of it.
    fn send<'a>(&'a self, request: &'a PushRequest, body: Vec<u8>) -> BoxFuture<'a, PushOutcome>;

    /// Sends several of one application and event; an outcome for each, in their order.
    fn send_all<'a>(
        &'a self,
        requests: &'a [PushRequest],
        bodies: Vec<Vec<u8>>,
    ) -> BoxFuture<'a, Vec<PushOutcome>> {
        Box::pin(async move {
            let mut outcomes = Vec::new();
            for (request, body) in requests.iter().zip(bodies) {
                outcomes.push(self.send(request, body).await);
            }
            outcomes
        })
    }

    /// True if the body is to carry the call or message itself, where the request has it.
    fn carries(&self, _: &PushRequest) -> bool {
        true
    }

    /// Which service it goes to, where an application has several.
    fn service(&self, _: &PushRequest) -> String {
        String::new()
    }
}

/// What the table knows of a provider.
#[derive(Debug, Clone, Copy)]
pub struct Provider {
    /// Makes it. An application with a lack is refused each push, and says why.
    pub make: fn(&Host, &PushSettings) -> Arc<dyn Push>,
    /// Everything that an application lacks to be woken by it.
    pub lacks: fn(&Application) -> Vec<Lack>,
    /// What its templates may be.
    pub form: Form,
}

/// Every provider.
pub const PROVIDERS: &[(&str, Provider)] = &[
    ("apns", Provider { make: apns::make, lacks: apns::lacks, form: apns::FORM }),
    ("fcm", Provider { make: fcm::make, lacks: fcm::lacks, form: fcm::FORM }),
    ("webhook", Provider { make: webhook::make, lacks: webhook::lacks, form: webhook::FORM }),
    ("webpush", Provider { make: webpush::make, lacks: webpush::lacks, form: webpush::FORM }),
];

/// Starts every provider that an application uses; the ways to them, by name.
pub(crate) fn start(world: &World, settings: &PushSettings) -> BTreeMap<String, Queue> {
    world.circuits.learn(settings.circuit);
    let mut queues = BTreeMap::new();
    for (name, provider) in PROVIDERS {
        let own = settings.applications.iter().filter(|app| app.provider == *name);
        let account = |app: &Application| {
            let (app, id, batch) = (app.app.clone(), app.id.clone(), app.batch);
            Account { app, id, batch }
        };
        let accounts: Vec<_> = own.map(account).collect();
        if accounts.is_empty() {
            continue;
        }
        let plugin = (provider.make)(&world.host, settings);
        let queue = Queue::start(world, name, plugin, (settings.most_in_flight, accounts));
        queues.insert((*name).to_owned(), queue);
    }
    queues
}

/// Names the call, or the session and what happened if it is none, in 32 characters of base64url
/// that tell a push service nothing: later pushes of one call, and of any message of a session,
/// replace earlier ones, and no two calls share it.
fn mark_of(request: &PushRequest) -> String {
    let payload = &request.payload;
    let call = payload.subsession_id.as_ref().or(payload.call_id.as_ref());
    let call = call.filter(|_| payload.event == "call");
    let named = [request.session.as_str(), call.unwrap_or(&payload.event)];
    let text = named.map(|part| format!("{}:{part}", part.len())).concat();
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..24])
}

/// What is left of a request's time.
fn left_of(host: &Host, request: &PushRequest) -> Duration {
    Duration::from_micros(request.deadline_us).saturating_sub(host.clock.now().mono)
}

#[cfg(test)]
mod tests {
    use reveille_gateway_core::io::PushId;
    use reveille_gateway_core::record::SessionId;
    use reveille_wire::push::WakePayload;

    use super::*;

    pub(super) fn request(session: &str, subsession: Option<&str>) -> PushRequest {
        PushRequest {
            id: PushId { wake: 1, attempt: 1 },
            provider: "taking".to_owned(),
            session: SessionId::from(session.to_owned()),
            application: String::new(),
            token: String::new(),
            platform: None,
            payload: WakePayload {
                session_id: session.to_owned(),
                event: "call".to_owned(),
                call_id: None,
                subsession_id: subsession.map(ToOwned::to_owned),
                initiator: None,
                target: None,
                ttl_s: None,
                incoming: None,
            },
            ttl_ms: 1,
            deadline_us: 0,
        }
    }

    #[test]
    fn a_mark_names_one_call_of_one_session() {
        let marks = [
            mark_of(&request("s", Some("u"))),
            mark_of(&request("s", Some("v"))),
            mark_of(&request("su", None)),
            mark_of(&request("s", None)),
            mark_of(&request("s", Some("ucall"))),
        ];
        for (at, mark) in marks.iter().enumerate() {
            assert_eq!(mark.len(), 32);
            assert!(!marks[..at].contains(mark), "{marks:?}");
        }
        assert_eq!(marks[0], mark_of(&request("s", Some("u"))));
        let of_message = |subsession| {
            let mut request = request("s", Some(subsession));
            request.payload.event = "message".to_owned();
            mark_of(&request)
        };
        assert_eq!(of_message("u"), of_message("v"), "a burst of messages is one notice");
        assert!(!marks.contains(&of_message("u")));
    }
}
