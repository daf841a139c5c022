//! The push services: requests over HTTP/2 on one side (with prior knowledge, and by TLS on a port of
//! its own), phones on a plain channel of lines on the other. Requests are told apart by their path:
//! `/3/device/<token>` is APNs, `/v1/projects/<id>/messages:send` is FCM and `/token` its token
//! endpoint, `/webpush/<token>` is Web Push; each of them has a judge that holds the provider's
//! documents against a request. Anything else is a plain webhook. What passes its judge meets a
//! script: accepted, refused, left unanswered, dropped, doubled, delayed or reordered.

mod answer;
mod apns;
mod asked;
mod connection;
mod fcm;
#[cfg(test)]
mod forge;
mod jwt;
mod manner;
mod oauth;
mod phones;
mod played;
mod script;
mod sealed;
mod sent;
mod tls;
mod webhook;
mod webpush;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use reveille_host::Host;
use reveille_trace::{Draft, Kind, Scribe};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use answer::{Answer, DOCUMENTED, Documented, Provider, Reason};
pub use apns::Settings as Apns;
pub use fcm::Settings as Fcm;
pub use manner::{Manner, PushKind, read_labelled};
pub use script::place;
pub use tls::Tls;
pub use webpush::{Settings as WebPush, Subscription};

use super::sip::now_us;
use asked::{Asked, Granted, Parcel, Refusal};
use connection::{Connection, accept};
use script::Script;
use sent::{Sent, whole};

/// The most bytes of one request's body.
const BODY_LIMIT: usize = 64 * 1024;

/// How a push service is set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// `address:port` for push requests without TLS.
    #[serde(default = "default_listen")]
    pub listen: String,
    /// `address:port` for phones.
    #[serde(default = "default_devices")]
    pub devices: String,
    /// What becomes of the first requests; all later ones are accepted.
    #[serde(default, rename = "answer")]
    pub answers: Vec<Answer>,
    /// Push requests by TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Apple's service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apns: Option<Apns>,
    /// Google's service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fcm: Option<Fcm>,
    /// A browser's service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webpush: Option<WebPush>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: default_listen(),
            devices: default_devices(),
            answers: Vec::new(),
            tls: None,
            apns: None,
            fcm: None,
            webpush: None,
        }
    }
}

fn default_listen() -> String {
    "0.0.0.0:9090".to_owned()
}
fn default_devices() -> String {
    "0.0.0.0:9091".to_owned()
}

/// What a push service can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// What becomes of the next requests to one service, after those already scripted.
    Script {
        /// Which.
        service: Provider,
        /// In order.
        answers: Vec<Answer>,
    },
}

#[derive(Default)]
struct State {
    script: Script,
    /// How many senders came.
    connections: u64,
    phones: phones::Phones,
}

#[derive(Default)]
struct Judges {
    apns: Option<apns::Apns>,
    fcm: Option<fcm::Fcm>,
    webpush: Option<webpush::WebPush>,
}

impl Judges {
    fn new(settings: &Settings) -> Result<Self, String> {
        Ok(Self {
            apns: settings.apns.clone().map(apns::Apns::new).transpose()?,
            fcm: settings.fcm.clone().map(fcm::Fcm::new).transpose()?,
            webpush: settings.webpush.clone().map(webpush::WebPush::new).transpose()?,
        })
    }
}

struct Service {
    host: Host,
    scribe: Scribe,
    judges: Judges,
    state: Mutex<State>,
}

/// Runs for ever.
///
/// # Errors
/// The settings name a key that is none, or an address cannot be opened.
pub async fn run(
    host: Host,
    scribe: Scribe,
    settings: Settings,
    commands: mpsc::Receiver<Command>,
) -> Result<(), String> {
    let failed = |on: &str, error| format!("cannot open {on}: {error}");
    let judges = Judges::new(&settings)?;
    let requests = host.net.listen(&settings.listen).await;
    let requests = requests.map_err(|error| failed(&settings.listen, error))?;
    let phones = host.net.listen(&settings.devices).await;
    let phones = phones.map_err(|error| failed(&settings.devices, error))?;
    let state = State { script: Script::of_any(settings.answers), ..State::default() };
    let service =
        Arc::new(Service { host: host.clone(), scribe, judges, state: Mutex::new(state) });
    host.tasks.spawn("push-commands", Box::pin(obey(service.clone(), commands)));
    host.tasks.spawn("push-phones", Box::pin(phones::accept(service.clone(), phones)));
    if let Some(tls) = settings.tls {
        let acceptor = tls::acceptor(&tls, &host)?;
        let requests = host.net.listen(&tls.listen).await;
        let requests = requests.map_err(|error| failed(&tls.listen, error))?;
        let own = service.clone();
        let accept = async move {
            if let Err(error) = accept(own.clone(), requests, Some(acceptor)).await {
                own.say(format!("the TLS port ended: {error}"));
            }
        };
        host.tasks.spawn("push-tls", Box::pin(accept));
    }
    accept(service, requests, None).await
}

async fn obey(service: Arc<Service>, mut commands: mpsc::Receiver<Command>) {
    while let Some(Command::Script { service: of, answers }) = commands.recv().await {
        service.state().script.add(of, answers);
    }
}

fn reply(status: u16, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// What the trace has of every answer.
fn answered(provider: Provider, status: u16) -> Draft {
    Draft::new(Kind::PushAnswered).with("provider", provider.name()).with("status", status)
}

/// How many milliseconds a push may wait for its phone, as far as its sender says.
fn life_of(provider: Provider, asked: &Asked) -> Option<u64> {
    match provider {
        Provider::Apns => apns::Apns::life(asked),
        Provider::Fcm => fcm::Fcm::life(asked),
        Provider::WebPush => {
            asked.header("ttl").and_then(asked::number).map(|ttl| ttl.saturating_mul(1_000))
        }
        Provider::Webhook | Provider::OAuth => None,
    }
}

/// Whose request it is.
fn provider(path: &str) -> Provider {
    let fcm = path.starts_with("/v1/projects/") && path.ends_with("messages:send");
    match path {
        "/token" => Provider::OAuth,
        _ if path.starts_with("/3/") => Provider::Apns,
        _ if path.starts_with("/webpush/") => Provider::WebPush,
        _ if fcm => Provider::Fcm,
        _ => Provider::Webhook,
    }
}

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, draft: Draft) {
        self.scribe.note(now_us(&self.host), draft);
    }

    fn say(&self, text: String) {
        self.note(Draft::new(Kind::Note).with("text", text));
    }

    async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> Result<Response<Sent>, h2::Error> {
        let provider = provider(request.uri().path());
        if provider == Provider::Webhook && request.method() != Method::POST {
            return Ok(whole(reply(405, "only POST is served here\n".to_owned())));
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
            let what = format!("the body is above {BODY_LIMIT} bytes or broke off\n");
            return Ok(whole(reply(413, what)));
        };
        let now = self.host.clock.now();
        let asked = Asked {
            method: head.method,
            path: head.uri.path().to_owned(),
            headers: head.headers,
            body: body.to_bytes(),
            wall: now.wall,
            mono: now.mono,
        };
        match provider {
            Provider::Webhook => self.webhook(asked, connection).await,
            Provider::OAuth => Ok(whole(self.token(asked))),
            Provider::Apns | Provider::Fcm | Provider::WebPush => {
                self.push(provider, asked, connection).await
            }
        }
    }

    async fn webhook(
        self: &Arc<Self>,
        asked: Asked,
        connection: &Connection,
    ) -> Result<Response<Sent>, h2::Error> {
        let wanted = webhook::read(&asked.body);
        let mut received = Draft::new(Kind::PushReceived).raw(asked.body);
        received = received.with("provider", Provider::Webhook.name());
        if let Ok(webhook::Wanted { token, session, .. }) = &wanted {
            received = received.with("token", token.as_str()).with("session", session.as_str());
        }
        self.note(received);
        match wanted {
            Ok(webhook::Wanted { token, payload, .. }) => {
                let parcel = Parcel {
                    token,
                    payload,
                    until: None,
                    replaces: None,
                    manner: Manner::data(true),
                };
                let granted = Granted { parcel, response: reply(200, String::new()) };
                self.play(Provider::Webhook, granted, connection).await
            }
            Err(what) => {
                self.note(answered(Provider::Webhook, 400).with("what", what.trim_end()));
                Ok(whole(reply(400, what)))
            }
        }
    }

    async fn push(
        self: &Arc<Self>,
        provider: Provider,
        asked: Asked,
        connection: &Connection,
    ) -> Result<Response<Sent>, h2::Error> {
        let (token, raw, shown) = self.seen(provider, &asked);
        let text = asked::line(&raw);
        let mut received = Draft::new(Kind::PushReceived).raw(raw).with("token", token.as_str());
        received = received.with("provider", provider.name());
        received = received.with("connection", connection.number);
        if let Some(life_ms) = life_of(provider, &asked) {
            received = received.with("life_ms", life_ms);
        }
        let session = if provider == Provider::Fcm { fcm::Fcm::session(&asked) } else { None };
        if let Some(session) = session.or_else(|| asked::session(&text)) {
            received = received.with("session", session);
        }
        for (name, value) in shown {
            received = received.with(name, value);
        }
        self.note(received);
        let (judges, entropy) = (&self.judges, &*self.host.entropy);
        let judged = match provider {
            Provider::Apns => {
                judges.apns.as_ref().map(|apns| apns.judge(asked, &connection.seen, entropy))
            }
            Provider::Fcm => judges.fcm.as_ref().map(|fcm| fcm.judge(asked, entropy)),
            _ => judges.webpush.as_ref().map(|webpush| webpush.judge(asked, entropy)),
        };
        match judged {
            Some(Ok(granted)) => self.play(provider, granted, connection).await,
            Some(Err(refusal)) => Ok(whole(self.refused(provider, &refusal, &token))),
            None => Ok(whole(self.unserved(provider, &token))),
        }
    }

    /// The device token, what the trace keeps as bytes, and what it shows of the headers.
    fn seen(
        &self,
        provider: Provider,
        asked: &Asked,
    ) -> (String, Vec<u8>, Vec<(&'static str, String)>) {
        let body = || asked.body.to_vec();
        match provider {
            Provider::Fcm => {
                (fcm::Fcm::token(asked).unwrap_or_default(), body(), fcm::Fcm::shown(asked))
            }
            Provider::WebPush => {
                let webpush = self.judges.webpush.as_ref();
                let opened = webpush.and_then(|webpush| webpush.open(asked).ok());
                let token = webpush.map(|webpush| webpush.token(&asked.path));
                // What cannot be opened is noise, and another with each run.
                let raw = opened.unwrap_or_default();
                (token.unwrap_or_default(), raw, webpush::WebPush::shown(asked))
            }
            _ => (apns::Apns::token(&asked.path).to_owned(), body(), apns::Apns::shown(asked)),
        }
    }

    fn unserved(&self, provider: Provider, token: &str) -> Response<Full<Bytes>> {
        self.note(answered(provider, 404).with("token", token));
        let name = provider.name();
        reply(404, format!("{name} is not served here; give the push service settings for it\n"))
    }

    /// Answers a request that breaks a rule.
    fn refused(&self, provider: Provider, refusal: &Refusal, token: &str) -> Response<Full<Bytes>> {
        let Refusal { rule, answer, what } = refusal;
        let documented = answer.documented();
        let answered = answered(provider, documented.status).with("token", token);
        let answered = answered.with("reason", documented.name);
        self.note(answered.with("rule", *rule).with("what", what.as_str()));
        answer.response(what, 0)
    }

    /// Answers a request for a bearer. None of its secrets stands in the trace.
    fn token(&self, asked: Asked) -> Response<Full<Bytes>> {
        let Some(fcm) = &self.judges.fcm else {
            return reply(404, "fcm is not served here; give the push service [fcm]\n".to_owned());
        };
        let now = asked.mono;
        let bearer = |status: u16| Draft::new(Kind::PushBearer).with("status", status);
        if let Err(Refusal { rule, answer, what }) = fcm.oauth.judge(asked) {
            let documented = answer.documented();
            let refused = bearer(documented.status).with("reason", documented.name);
            self.note(refused.with("rule", rule).with("what", what.as_str()));
            return answer.response(&what, 0);
        }
        match self.next(Provider::OAuth) {
            Some(Answer::Reason { name, retry_after_s, .. }) => {
                let documented = name.documented();
                self.note(bearer(documented.status).with("reason", documented.name));
                answer::with_retry_after(name.response("as scripted", 0), retry_after_s)
            }
            Some(Answer::Refuse { status, retry_after_s }) => {
                self.note(bearer(status));
                answer::with_retry_after(reply(status, String::new()), retry_after_s)
            }
            _ => {
                self.note(bearer(200));
                fcm.oauth.give(now, &*self.host.entropy)
            }
        }
    }
}

/// Every rule that is held, with the service that holds it.
#[cfg(test)]
pub(crate) fn rules() -> Vec<(&'static str, &'static str)> {
    let all = [
        ("apns", apns::tests::names()),
        ("fcm", fcm::tests::names()),
        ("oauth", oauth::tests::names()),
        ("webpush", webpush::tests::names()),
    ];
    let flat =
        all.into_iter().flat_map(|(of, names)| names.into_iter().map(move |name| (of, name)));
    flat.collect()
}

#[cfg(test)]
mod tests;
