//! The push providers against a small HTTP/2 server over real sockets: what is asked, over what
//! connections, and what each turn of the service's leads to.

mod apns;
mod batches;
mod connection;
mod fcm;
mod proxy;
mod server;
mod templates;
mod webpush;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reveille_gateway_core::io::{PushId, PushOutcome, PushRequest};
use reveille_gateway_core::record::SessionId;
use reveille_gateway_driver::push::{Application, PROVIDERS, Push, PushSettings};
use reveille_host::{BoxFuture, Clock, Host, Reading};
use reveille_wire::push::WakePayload;

const P256: &str = include_str!("../keys/p256.pem");
const RSA: &str = include_str!("../keys/rsa.pem");

/// A clock that runs as the machine's does, and can be set forward.
struct Forward {
    real: Arc<dyn Clock>,
    by: Mutex<Duration>,
}

impl Forward {
    fn set(&self, by: Duration) {
        *self.by.lock().expect("no panic") = by;
    }
}

impl Clock for Forward {
    fn now(&self) -> Reading {
        let (real, by) = (self.real.now(), *self.by.lock().expect("no panic"));
        Reading { mono: real.mono + by, wall: real.wall + by }
    }

    fn sleep_until(&self, mono: Duration) -> BoxFuture<'static, ()> {
        self.real.sleep_until(mono.saturating_sub(*self.by.lock().expect("no panic")))
    }
}

/// This machine, with a clock that can be set.
fn host() -> (Host, Arc<Forward>) {
    let host = reveille_host::real::host();
    let clock = Arc::new(Forward { real: Arc::clone(&host.clock), by: Mutex::default() });
    (Host { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..host }, clock)
}

fn plugin(host: &Host, application: Application) -> Arc<dyn Push> {
    let name = application.provider.clone();
    let (_, provider) = PROVIDERS.iter().find(|(known, _)| *known == name).expect("an entry");
    assert_eq!((provider.lacks)(&application), []);
    let settings = PushSettings {
        request_limit: Duration::from_secs(2),
        applications: vec![application],
        ..PushSettings::default()
    };
    (provider.make)(host, &settings)
}

/// A push for a call that waits thirty seconds more.
fn request(host: &Host, token: &str) -> PushRequest {
    let ends = host.clock.now().mono + Duration::from_secs(30);
    PushRequest {
        id: PushId { wake: 1, attempt: 1 },
        provider: String::new(),
        session: SessionId::from("s1"),
        application: "com.example.phone".to_owned(),
        token: token.to_owned(),
        platform: None,
        payload: WakePayload {
            session_id: "s1".to_owned(),
            event: "call".to_owned(),
            call_id: Some("c1".to_owned()),
            subsession_id: Some("u1".to_owned()),
            initiator: Some("alice@example.com".to_owned()),
            target: None,
            ttl_s: Some(30),
            incoming: None,
        },
        ttl_ms: 30_000,
        deadline_us: u64::try_from(ends.as_micros()).expect("a time"),
    }
}

async fn send(plugin: &dyn Push, request: &PushRequest) -> PushOutcome {
    plugin.send(request, plugin.body(request)).await
}

/// What an outcome is, without its words.
fn word(outcome: &PushOutcome) -> String {
    match outcome {
        PushOutcome::Accepted => "accepted".to_owned(),
        PushOutcome::Refused { .. } => "refused".to_owned(),
        PushOutcome::Failed { .. } => "failed".to_owned(),
        PushOutcome::Transient { retry_after_ms: None, .. } => "transient".to_owned(),
        PushOutcome::Transient { retry_after_ms: Some(ms), .. } => format!("transient {ms}"),
    }
}
