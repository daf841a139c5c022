//! The provider `webhook`: JSON by POST to a URL, with a bearer token if there is one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Uri};
use reveille_gateway_core::io::{PushOutcome, PushRequest};
use reveille_host::{BoxFuture, Host};
use reveille_wire::push::{self as wire, WakePayload};

use super::answer::Answer;
use super::http2::{Post, Room, Silence, authorization};
use super::{Application, Lack, Push, PushSettings, Roster, lack_of_ca, lack_of_url};

/// Makes the provider.
pub(super) fn make(host: &Host, settings: &PushSettings) -> Arc<dyn Push> {
    let room = |app: &Application| Room::new(host, settings.connect_limit, app.ca.as_deref());
    let roster = Roster::new(settings, "webhook", room);
    Arc::new(Webhook { limit: settings.request_limit, roster })
}

/// What an application lacks.
pub(super) fn lacks(app: &Application) -> Vec<Lack> {
    let none = app.url.is_empty().then(|| {
        let what = "webhook needs it; write one like \"https://push.example.com/wake\"";
        ("url", what.to_owned())
    });
    none.into_iter().chain(lack_of_url(app)).chain(lack_of_ca(app)).collect()
}

struct Webhook {
    limit: Duration,
    roster: Roster<Room>,
}

impl Push for Webhook {
    fn body(&self, request: &PushRequest) -> Vec<u8> {
        // The payload's own writer bounds what a caller can make long.
        let bounded = WakePayload::from_json(request.payload.to_json().as_bytes());
        let body = wire::PushRequest {
            session_id: request.session.to_string(),
            application: request.application.clone(),
            token: request.token.clone(),
            payload: bounded.unwrap_or_else(|_| request.payload.clone()),
        };
        serde_json::to_vec(&body).expect("a request is plain data with text keys")
    }

    fn send<'a>(&'a self, request: &'a PushRequest, body: Vec<u8>) -> BoxFuture<'a, PushOutcome> {
        Box::pin(async move {
            let sent = async {
                let (app, room) = self.roster.find(&request.application)?;
                let post = post(app, body).map_err(|why| PushOutcome::Failed { why })?;
                Ok::<_, PushOutcome>(room.send(post, self.limit).await)
            };
            match sent.await {
                Ok(Ok(answer)) => classify(&answer),
                Ok(Err(Silence::Hopeless(why))) => PushOutcome::Failed { why },
                Ok(Err(Silence::Passing(why))) => {
                    PushOutcome::Transient { why, retry_after_ms: None }
                }
                Err(outcome) => outcome,
            }
        })
    }
}

fn post(app: &Application, body: Vec<u8>) -> Result<Post, String> {
    let url = &app.url;
    let uri: Uri = url.parse().map_err(|error| format!("`{url}` is no URL: {error}"))?;
    let mut post =
        Request::builder().method(Method::POST).uri(uri).header("content-type", "application/json");
    if let Some(credential) = &app.credential {
        let bearer = authorization(&format!("Bearer {}", credential.0));
        post = post.header("authorization", bearer.ok_or("the credential is no header value")?);
    }
    post.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())
}

/// What an answer means for the device.
fn classify(answer: &Answer) -> PushOutcome {
    let why = answer.shown();
    match answer.status {
        200..300 => PushOutcome::Accepted,
        408 | 425 | 429 | 500.. => {
            PushOutcome::Transient { why, retry_after_ms: answer.retry_after_ms() }
        }
        _ => PushOutcome::refused(why),
    }
}
