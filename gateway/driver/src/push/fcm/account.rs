//! The service account, and the bearer tokens that Google gives for it (RFC 7523).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Uri};
use reveille_gateway_core::config::Secret;
use reveille_gateway_core::io::PushOutcome;
use reveille_host::{Host, within};
use serde::{Deserialize, Serialize};

use super::super::Application;
use super::super::Class;
use super::super::http2::{Post, Room};
use super::super::keys::Key;
use super::{Answer, Verdict, of_silence};

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// `urn:ietf:params:oauth:grant-type:jwt-bearer`, as a form has it.
const GRANT: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
/// How long an assertion holds, in seconds: the most that Google takes.
const ASSERTION_S: u64 = 3_600;
/// A token is renewed so long before its end, and a renewal that failed is tried again so late.
const EARLY: Duration = Duration::from_secs(300);
const AGAIN: Duration = Duration::from_secs(60);

/// The members that are used of the file that Google hands out.
#[derive(Deserialize)]
struct File {
    project_id: String,
    private_key_id: String,
    private_key: String,
    client_email: String,
    token_uri: String,
}

/// Who asks for tokens.
pub(super) struct Account {
    pub(super) project: String,
    email: String,
    key_id: String,
    key: Key,
    token_uri: Uri,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: String,
    iat: u64,
    exp: u64,
}

impl Account {
    /// The account of an application.
    pub(super) fn of(app: &Application) -> Result<Self, String> {
        let lack = "fcm needs a service account; write credential-file, the path of its JSON file";
        let text = &app.credential.as_ref().ok_or(lack)?.0;
        // The parser's own words would show a piece of the file.
        let file: File = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!(
                "no service account (line {line}, column {column} of its JSON); it needs \
                 project_id, private_key_id, private_key, client_email and token_uri"
            )
        })?;
        let word = |c: char| c.is_ascii_alphanumeric() || "-.:_".contains(c);
        if file.project_id.is_empty() || !file.project_id.chars().all(word) {
            return Err("the service account's project_id is none; take the file as it is".into());
        }
        let token_uri = file.token_uri.parse().map_err(|error| {
            format!("the service account's token_uri is no URL ({error}); take the file as it is")
        })?;
        Ok(Self {
            project: file.project_id,
            email: file.client_email,
            key_id: file.private_key_id,
            key: Key::rs256(&Secret(file.private_key))?,
            token_uri,
        })
    }

    /// Asks for a token.
    fn post(&self, wall: Duration) -> Result<Post, String> {
        let iat = wall.as_secs();
        let claims = Claims {
            iss: &self.email,
            scope: SCOPE,
            aud: self.token_uri.to_string(),
            iat,
            exp: iat + ASSERTION_S,
        };
        let header = Header { alg: "RS256", typ: "JWT", kid: &self.key_id };
        let form = format!("grant_type={GRANT}&assertion={}", self.key.token(&header, &claims));
        Request::builder()
            .method(Method::POST)
            .uri(self.token_uri.clone())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form)))
            .map_err(|error| error.to_string())
    }
}

/// A bearer token.
#[derive(Clone)]
pub(super) struct Bearer {
    pub(super) text: String,
    /// Numbers the tokens of a purse.
    pub(super) number: u64,
}

/// A token and its times on the monotonic clock.
struct Held {
    bearer: Bearer,
    renew_at: Duration,
    ends_at: Duration,
}

#[derive(Deserialize)]
struct Grant {
    access_token: String,
    expires_in: u64,
}

/// Keeps the token of an account. One renewal is under way at most.
pub(super) struct Purse {
    account: Account,
    held: Mutex<Option<Held>>,
    renewal: tokio::sync::Mutex<()>,
}

impl Purse {
    pub(super) fn new(account: Account) -> Self {
        Self { account, held: Mutex::default(), renewal: tokio::sync::Mutex::default() }
    }

    fn held<T>(&self, act: impl FnOnce(&mut Option<Held>) -> T) -> T {
        act(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A token that holds, and is not the one that was refused.
    pub(super) async fn token(
        &self,
        host: &Host,
        room: &Room,
        limit: Duration,
        refused: Option<u64>,
    ) -> Result<Bearer, Verdict> {
        let usable = |now: Duration| {
            self.held(|held| {
                let held = held
                    .as_ref()
                    .filter(|held| held.ends_at > now && Some(held.bearer.number) != refused)?;
                Some((held.bearer.clone(), held.renew_at > now))
            })
        };
        let found = usable(host.clock.now().mono);
        let work = async {
            let _alone = match found {
                Some((bearer, true)) => return Ok(bearer),
                // It still holds: somebody else renews it, or this one does.
                Some((bearer, false)) => match self.renewal.try_lock() {
                    Ok(alone) => alone,
                    Err(_) => return Ok(bearer),
                },
                None => self.renewal.lock().await,
            };
            if let Some((bearer, true)) = usable(host.clock.now().mono) {
                return Ok(bearer);
            }
            match self.renew(host, room, limit).await {
                Ok(bearer) => Ok(bearer),
                Err(verdict) => {
                    usable(host.clock.now().mono).map_or(Err(verdict), |(bearer, _)| {
                        let later = host.clock.now().mono + AGAIN;
                        self.held(|held| held.iter_mut().for_each(|held| held.renew_at = later));
                        Ok(bearer)
                    })
                }
            }
        };
        let late = || Verdict::BackOff("the token service gave no token in time".to_owned());
        within(&*host.clock, limit, work).await.unwrap_or_else(|| Err(late()))
    }

    async fn renew(&self, host: &Host, room: &Room, limit: Duration) -> Result<Bearer, Verdict> {
        let failed = |why: String| Verdict::Outcome(PushOutcome::Failed { why });
        let asked = host.clock.now();
        let post = self.account.post(asked.wall).map_err(failed)?;
        // Calls may wait for it.
        let answer = room.send(Class::Call, post, limit).await.map_err(of_silence)?;
        let grant = grant(&answer)?;
        let life = Duration::from_secs(grant.expires_in.min(86_400));
        let bearer = self.held(|held| {
            let number = held.as_ref().map_or(0, |held| held.bearer.number) + 1;
            let bearer = Bearer { text: grant.access_token, number };
            let renew_at = asked.mono + life - EARLY.min(life / 2);
            *held = Some(Held { bearer: bearer.clone(), renew_at, ends_at: asked.mono + life });
            bearer
        });
        tracing::info!(project = self.account.project, life_s = life.as_secs(), "fcm: new bearer");
        Ok(bearer)
    }
}

/// Reads the answer of the token service (RFC 6749 section 5). Of a grant nothing is ever shown.
fn grant(answer: &Answer) -> Result<Grant, Verdict> {
    let failed = |why: String| Verdict::Outcome(PushOutcome::Failed { why });
    match answer.status {
        200 => serde_json::from_str(&answer.body)
            .map_err(|_| failed("the token service's answer has no access_token".to_owned())),
        429 | 500.. => {
            let why = format!("the token service: {}", answer.shown());
            Err(match answer.retry_after_ms() {
                Some(ms) => {
                    Verdict::Outcome(PushOutcome::Transient { why, retry_after_ms: Some(ms) })
                }
                None => Verdict::BackOff(why),
            })
        }
        _ => Err(failed(format!("the token service refuses the account: {}", answer.shown()))),
    }
}
