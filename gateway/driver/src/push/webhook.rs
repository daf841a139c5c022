//! The provider `webhook`: JSON by POST to a URL, with a bearer token if there is one; or whatever
//! the application's templates make of URL, headers and JSON.

mod batch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderValue;
use hyper::{Method, Request, Uri};
use reveille_gateway_core::config::Secret;
use reveille_gateway_core::io::{PushOutcome, PushRequest};
use reveille_host::{BoxFuture, Host};
use reveille_wire::push::{MAX_PAYLOAD, WakePayload};

use super::answer::Answer;
use super::http2::{Post, Room, Silence, authorization};
use super::template::{self, Form, Node};
use super::{Application, Class, Lack, Push, PushSettings, Roster, lack_of_ca, lack_of_url};

/// What is sent if no template says otherwise.
const OWN: &str = r#"{"session_id": "${session_id}", "application": "${application}",
    "token": "${token}", "payload": "${payload}"}"#;
/// What templates may be. The device token, which may be long, does not count.
pub(super) const FORM: Form =
    Form { most: MAX_PAYLOAD, is_request: true, is_of_many: true, fault: |_| None };
/// Longest URL, and value of a header, that a template may come to.
const MOST_TEXT: usize = 8_192;

/// Makes the provider.
pub(super) fn make(host: &Host, settings: &PushSettings) -> Arc<dyn Push> {
    let room = |app: &Application| Room::new(host, settings.connect_limit, app);
    let roster = Roster::new(settings, "webhook", room);
    Arc::new(Webhook { limit: settings.request_limit, roster, own: template::own(OWN) })
}

/// What an application lacks.
pub(super) fn lacks(app: &Application) -> Vec<Lack> {
    let none = app.url.is_empty().then(|| {
        let what = "webhook needs it; write one like \"https://push.example.com/wake\"";
        ("url", what.to_owned())
    });
    let own = none.into_iter().chain(lack_of_url(app)).chain(lack_of_ca(app));
    own.chain(batch::lack(app)).collect()
}

struct Webhook {
    limit: Duration,
    roster: Roster<Room>,
    own: Node,
}

impl Push for Webhook {
    fn body(&self, request: &PushRequest) -> Vec<u8> {
        match self.roster.template(request) {
            Some(node) => {
                let bare = PushRequest { token: String::new(), ..request.clone() };
                let fits =
                    |wake: &WakePayload, _| template::written(node, &bare, wake).len() <= FORM.most;
                template::body(node, request, fits)
            }
            None => template::body(&self.own, request, |wake, _| is_short(wake)),
        }
    }

    fn carries(&self, request: &PushRequest) -> bool {
        self.roster.carries(request)
    }

    fn send<'a>(&'a self, request: &'a PushRequest, body: Vec<u8>) -> BoxFuture<'a, PushOutcome> {
        Box::pin(async move {
            let answer = self.post(request, body).await;
            answer.map_or_else(|outcome| outcome, |answer| classify(&answer))
        })
    }

    fn send_all<'a>(
        &'a self,
        requests: &'a [PushRequest],
        bodies: Vec<Vec<u8>>,
    ) -> BoxFuture<'a, Vec<PushOutcome>> {
        Box::pin(async move {
            let answer = match requests {
                [] | [_] => None,
                [first, ..] => Some(self.post(first, batch::list(&bodies)).await),
            };
            match answer.map(|answer| batch::outcomes(answer, requests.len())) {
                Some(Some(outcomes)) => outcomes,
                // Alone, or what is wrong with one of them must not be said of the others.
                Some(None) | None => {
                    let each = requests.iter().zip(bodies);
                    batch::each(each.map(|(request, body)| self.send(request, body)).collect())
                        .await
                }
            }
        })
    }
}

impl Webhook {
    /// Asks, and returns the answer; else what to tell of every push in it.
    async fn post(&self, request: &PushRequest, body: Vec<u8>) -> Result<Answer, PushOutcome> {
        let (app, room) = self.roster.find(&request.application)?;
        let post = post(app, request, body)?;
        let class = Class::of(&request.payload.event);
        room.send(class, post, self.limit).await.map_err(|silence| match silence {
            Silence::Hopeless(why) | Silence::Barred(why) => PushOutcome::Failed { why },
            Silence::Passing(why) => PushOutcome::Transient { why, retry_after_ms: None },
        })
    }
}

/// True of a payload that the gateway's own form has room for.
fn is_short(wake: &WakePayload) -> bool {
    serde_json::to_vec(wake).is_ok_and(|text| text.len() <= MAX_PAYLOAD)
}

fn post(app: &Application, request: &PushRequest, body: Vec<u8>) -> Result<Post, PushOutcome> {
    let template = app.templates.of(request);
    let url = template.and_then(|template| template.url(request));
    let url = url.unwrap_or_else(|| app.url.clone());
    let credential = app.credential.as_ref().map(|Secret(text)| text.as_str());
    let headers = template.map(|it| it.headers(request, credential)).unwrap_or_default();
    let most = MOST_TEXT + credential.map_or(0, str::len);
    let is_long = |(_, text, _): &(&str, String, bool)| text.len() > most;
    if url.len() > MOST_TEXT || headers.iter().any(is_long) {
        let why = "the device token is too long for the template's URL or a header".to_owned();
        return Err(PushOutcome::refused(why));
    }
    built(&url, &headers, credential, body).map_err(|why| PushOutcome::Failed { why })
}

fn built(
    url: &str,
    headers: &[(&str, String, bool)],
    credential: Option<&str>,
    body: Vec<u8>,
) -> Result<Post, String> {
    let uri: Uri = url.parse().map_err(|error| format!("`{url}` is no URL: {error}"))?;
    let mut post = Request::builder().method(Method::POST).uri(uri);
    for (name, text, is_secret) in headers {
        let what = || format!("the template's header `{name}` has no value that can be sent");
        let mut value = HeaderValue::try_from(text).map_err(|_| what())?;
        value.set_sensitive(*is_secret);
        post = post.header(*name, value);
    }
    let written = |name: &str| headers.iter().any(|(known, ..)| *known == name);
    if !written("content-type") {
        post = post.header("content-type", "application/json");
    }
    // A credential that the template shows in its own way is not shown in this one.
    let shown = headers.iter().any(|(.., is_secret)| *is_secret);
    if let Some(credential) = credential.filter(|_| !shown) {
        let bearer = authorization(&format!("Bearer {credential}"));
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
