//! The provider `fcm`: Google's Firebase Cloud Messaging, HTTP v1, by a service account.

mod account;
mod answer;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Uri};
use reveille_gateway_core::io::{PushOutcome, PushRequest};
use reveille_host::{BoxFuture, Host};
use reveille_wire::push::WakePayload;
use serde_json::{Value, json};

use self::account::{Account, Purse};
use self::answer::{Verdict, judge};
use super::answer::Answer;
use super::http2::{Post, Room, Silence, authorization};
use super::template::{self, Form, Node};
use super::{Application, Class, Lack, Push, PushSettings, Roster};
use super::{lack_of_ca, lack_of_url, left_of};

/// Where an application is pushed to if it says nothing else.
const SERVICE: &str = "https://fcm.googleapis.com";
/// Longest message. Google counts its payload; here the request around it counts as well.
const MOST_BODY: usize = 4_096;
/// What templates may be: the message but for whom it is for. The token needs the rest.
pub(super) const FORM: Form =
    Form { most: 3_584, is_request: false, is_of_many: true, fault: fault_of_message };
/// Longest registration token that is taken of a client: the longest seen are a tenth of it.
const MOST_TOKEN: usize = 2_048;
/// Longest life of a message, in seconds.
const MOST_TTL_S: u64 = 2_419_200;
/// Google wants no request given up, and no retry made, before this.
const LEAST_WAIT: Duration = Duration::from_secs(10);

/// Makes the provider.
pub(super) fn make(host: &Host, settings: &PushSettings) -> Arc<dyn Push> {
    let roster = Roster::new(settings, "fcm", |app| {
        let account = Account::of(app)?;
        let base = if app.url.is_empty() { SERVICE } else { app.url.trim_end_matches('/') };
        let uri = format!("{base}/v1/projects/{}/messages:send", account.project);
        let uri: Uri = uri.parse().map_err(|error| format!("`{uri}` is no URL: {error}"))?;
        let room = Room::new(host, settings.connect_limit, app)?;
        Ok(Line { uri, room, purse: Purse::new(account) })
    });
    let (limit, own) = (settings.request_limit.max(LEAST_WAIT), template::own(OWN));
    Arc::new(Fcm { host: host.clone(), limit, roster, own })
}

/// A message of data only, so that the app and not the system handles it.
const OWN: &str = r#"{"data": "${payload}"}"#;

/// The gateway says to whom a message goes.
fn fault_of_message(node: &Node) -> Option<String> {
    if !node.is_object() {
        return Some("no message; write an object like {\"data\": \"${payload}\"}".to_owned());
    }
    let own = ["token", "topic", "condition", "message"];
    let name = own.into_iter().find(|name| node.member(name).is_some())?;
    Some(format!("the gateway writes `{name}` around it; leave it out"))
}

/// What an application lacks.
pub(super) fn lacks(app: &Application) -> Vec<Lack> {
    let account = Account::of(app).err().map(|what| ("credential", what));
    account.into_iter().chain(lack_of_url(app)).chain(lack_of_ca(app)).collect()
}

/// An application's connections, and what it shows.
struct Line {
    uri: Uri,
    room: Room,
    purse: Purse,
}

struct Fcm {
    host: Host,
    limit: Duration,
    roster: Roster<Line>,
    own: Node,
}

impl Fcm {
    async fn deliver(
        &self,
        request: &PushRequest,
        body: Vec<u8>,
    ) -> Result<PushOutcome, PushOutcome> {
        let (_, line) = self.roster.find(&request.application)?;
        if request.token.len() > MOST_TOKEN {
            let why = "the device token is too long for a registration token".to_owned();
            return Err(PushOutcome::refused(why));
        }
        let body = Bytes::from(body);
        let mut refused = None;
        loop {
            let limit = self.limit.min(left_of(&self.host, request));
            let token = line.purse.token(&self.host, &line.room, limit, refused).await;
            let token = token.map_err(|fault| self.outcome(request, fault))?;
            let post = post(&line.uri, &token.text, body.clone())
                .map_err(|why| PushOutcome::Failed { why })?;
            let limit = self.limit.min(left_of(&self.host, request));
            let answer = line.room.send(Class::of(&request.payload.event), post, limit).await;
            match answer.map_or_else(of_silence, |answer| judge(&answer)) {
                // Once: a second bearer that is refused is no stale one.
                Verdict::Stale(_) if refused.is_none() => refused = Some(token.number),
                verdict => return Ok(self.outcome(request, verdict)),
            }
        }
    }

    fn outcome(&self, request: &PushRequest, verdict: Verdict) -> PushOutcome {
        match verdict {
            Verdict::Outcome(outcome) => outcome,
            Verdict::Stale(why) => {
                let why = format!("{why}: even of a new bearer; check the account's rights");
                PushOutcome::Failed { why }
            }
            Verdict::BackOff(why) => {
                let retry_after_ms = Some(self.back_off_ms(request.id.attempt));
                PushOutcome::Transient { why, retry_after_ms }
            }
        }
    }

    /// Ten seconds, doubled with each attempt, and up to a tenth more by chance.
    fn back_off_ms(&self, attempt: u32) -> u64 {
        let mut chance = [0; 2];
        self.host.entropy.fill(&mut chance);
        let base_ms = 10_000_u64 << attempt.saturating_sub(1).min(6);
        base_ms + base_ms * u64::from(u16::from_be_bytes(chance)) / 655_360
    }
}

fn of_silence(silence: Silence) -> Verdict {
    match silence {
        Silence::Hopeless(why) | Silence::Barred(why) => {
            Verdict::Outcome(PushOutcome::Failed { why })
        }
        Silence::Passing(why) => Verdict::BackOff(why),
    }
}

fn post(uri: &Uri, bearer: &str, body: Bytes) -> Result<Post, String> {
    let bearer = authorization(&format!("Bearer {bearer}"))
        .ok_or("the bearer that the token service gave is no header value")?;
    Request::builder()
        .method(Method::POST)
        .uri(uri.clone())
        .header("content-type", "application/json")
        .header("authorization", bearer)
        .body(Full::new(body))
        .map_err(|error| error.to_string())
}

/// What Google takes: values of `data` are text; the token, the priority of what wakes and its life
/// are there.
fn message(mut message: Value, token: &str, ttl_s: u64) -> Value {
    if let Some(data) = message.get_mut("data").and_then(Value::as_object_mut) {
        data.retain(|_, value| !value.is_null());
        for value in data.values_mut().filter(|value| !value.is_string()) {
            *value = Value::String(value.to_string());
        }
    }
    message["token"] = Value::from(token);
    if !message["android"].is_object() {
        message["android"] = json!({});
    }
    let android = &mut message["android"];
    android["ttl"] = Value::from(format!("{ttl_s}s"));
    if android["priority"].is_null() {
        android["priority"] = Value::from("HIGH");
    }
    json!({"message": message})
}

impl Push for Fcm {
    fn body(&self, request: &PushRequest) -> Vec<u8> {
        let ttl_s = left_of(&self.host, request).as_secs().min(MOST_TTL_S);
        let written = self.roster.template(request);
        let node = written.unwrap_or(&self.own);
        let write = |wake: &WakePayload| {
            let filled = template::value(node, request, wake);
            let body = message(filled, &request.token, ttl_s);
            serde_json::to_vec(&body).expect("a body is plain data with text keys")
        };
        write(&request.payload.fitted(|wake| write(wake).len() <= MOST_BODY))
    }

    fn carries(&self, request: &PushRequest) -> bool {
        self.roster.carries(request)
    }

    fn send<'a>(&'a self, request: &'a PushRequest, body: Vec<u8>) -> BoxFuture<'a, PushOutcome> {
        Box::pin(async move { self.deliver(request, body).await.unwrap_or_else(|outcome| outcome) })
    }
}
