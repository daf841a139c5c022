//! The provider `apns`: Apple's push service, by provider token (JWT of ES256).
//!
//! What Apple asks for is cited by name from "Sending notification requests to APNs" and
//! "Establishing a token-based connection to APNs".

mod answer;
#[cfg(test)]
mod tests;
mod token;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Uri};
use reveille_gateway_core::io::{PushOutcome, PushRequest};
use reveille_host::{BoxFuture, Host};

use self::answer::{Verdict, judge};
use self::token::Team;
use super::http2::{Post, Room, Silence, authorization};
use super::template::{self, Form, Node};
use super::{Application, Class, Lack, Push, PushSettings, PushType, Roster};
use super::{lack_of_ca, lack_of_url, left_of, mark_of};

/// Where an application is pushed to if it says nothing else.
const SERVICE: &str = "https://api.push.apple.com";
/// Longest body: of a VoIP push, and of all others.
const MOST_VOIP: usize = 5_120;
const MOST_OTHER: usize = 4_096;
/// What templates may be.
pub(super) const FORM: Form =
    Form { most: MOST_OTHER, is_request: false, is_of_many: false, fault: fault_of_payload };
/// Apple says not to rely on a length; nobody has seen a third of this.
const MOST_TOKEN: usize = 200;

/// Makes the provider.
pub(super) fn make(host: &Host, settings: &PushSettings) -> Arc<dyn Push> {
    let mut teams: BTreeMap<[&str; 2], Result<Arc<Team>, String>> = BTreeMap::new();
    for app in settings.applications.iter().filter(|app| app.provider == "apns") {
        // Apple counts the tokens of a key, not those of an application.
        let key = [app.apple.team_id.as_str(), app.apple.key_id.as_str()];
        teams.entry(key).or_insert_with(|| Team::of(app).map(Arc::new));
    }
    let roster = Roster::new(settings, "apns", |app| {
        let team = teams[&[app.apple.team_id.as_str(), app.apple.key_id.as_str()]].clone()?;
        let room = Room::new(host, settings.connect_limit, app)?;
        Ok(Line { team, room })
    });
    let own = OWN.map(template::own);
    Arc::new(Apns { host: host.clone(), limit: settings.request_limit, roster, own })
}

/// What is Apple's, and every member of the payload.
macro_rules! payload {
    ($aps:literal) => {
        concat!(
            "{\"aps\": ",
            $aps,
            r#", "session_id": "${session_id}", "event": "${event}", "call_id": "${call_id}",
            "subsession_id": "${subsession_id}", "initiator": "${initiator}",
            "target": "${target}", "ttl_s": "${ttl}", "incoming": "${message}"}"#
        )
    };
}

/// What is sent if no template says otherwise: what rings, an alert of a call and of anything else,
/// and what shows nothing.
const OWN: [&str; 4] = [
    payload!("{}"),
    payload!(
        r#"{"alert": {"body": "${initiator|Unknown}", "title": "Incoming call"},
        "sound": "default"}"#
    ),
    payload!(
        r#"{"alert": {"body": "${initiator|Unknown}", "title": "New message"},
        "sound": "default"}"#
    ),
    payload!(r#"{"content-available": 1}"#),
];

/// The place of the gateway's own template.
fn own_of(kind: PushType, event: &str) -> usize {
    match kind {
        PushType::Voip => 0,
        PushType::Alert => 1 + usize::from(event != "call"),
        PushType::Background => 3,
    }
}

/// Apple refuses a payload without `aps`.
fn fault_of_payload(node: &Node) -> Option<String> {
    let is_there = node.member("aps").is_some_and(Node::is_object);
    let what = "there is no object `aps`; write a member \"aps\": {\"content-available\": 1}";
    (!is_there).then(|| what.to_owned())
}

/// What an application lacks.
pub(super) fn lacks(app: &Application) -> Vec<Lack> {
    let mut lacks: Vec<Lack> = lack_of_url(app).into_iter().chain(lack_of_ca(app)).collect();
    let word = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
    };
    if !word(&app.id) {
        lacks.push(("id", "no bundle id; write one like \"com.example.phone\"".to_owned()));
    }
    for (key, value) in [("team-id", &app.apple.team_id), ("key-id", &app.apple.key_id)] {
        if !word(value) {
            let what = "apns needs it; write the ten characters that Apple shows for it";
            lacks.push((key, what.to_owned()));
        }
    }
    if let Err(what) = Team::of(app) {
        lacks.push(("credential", what));
    }
    lacks
}

/// An application's connections, and whose they are.
struct Line {
    team: Arc<Team>,
    room: Room,
}

struct Apns {
    host: Host,
    limit: Duration,
    roster: Roster<Line>,
    own: [Node; 4],
}

/// A VoIP push must ring: only a call is one. What shows nothing must not claim to.
fn push_type(app: Option<&Application>, event: &str) -> PushType {
    match event {
        "call" => app.map_or(PushType::Voip, |app| app.apple.push_type),
        "message" => PushType::Alert,
        _ => PushType::Background,
    }
}

/// Value of `apns-push-type`, value of `apns-priority`, and what follows the bundle id in the topic.
const fn words(kind: PushType) -> (&'static str, &'static str, &'static str) {
    match kind {
        PushType::Voip => ("voip", "10", ".voip"),
        PushType::Alert => ("alert", "10", ""),
        PushType::Background => ("background", "5", ""),
    }
}

/// A random UUID (RFC 9562 section 5.4), in the one form that Apple takes.
fn uuid(host: &Host) -> String {
    let mut bytes = [0; 16];
    host.entropy.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The end of a call in whole seconds, rounded up: the second that has begun may have passed when
/// Apple reads it, and a time that has passed is refused.
fn expiration(ends: Duration) -> u64 {
    ends.as_secs() + u64::from(ends.subsec_nanos() > 0)
}

impl Apns {
    /// The request, but for the provider token.
    fn post(
        &self,
        app: &Application,
        request: &PushRequest,
        body: Vec<u8>,
    ) -> Result<Post, String> {
        let base = if app.url.is_empty() { SERVICE } else { app.url.trim_end_matches('/') };
        let uri = format!("{base}/3/device/{}", request.token);
        let uri: Uri = uri.parse().map_err(|error| format!("`{base}` is no URL: {error}"))?;
        let (kind, priority, suffix) = words(push_type(Some(app), &request.payload.event));
        let ends_s = expiration(self.host.clock.now().wall + left_of(&self.host, request));
        let id = uuid(&self.host);
        tracing::debug!(wake = request.id.wake, attempt = request.id.attempt, apns_id = id, "apns");
        Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header("apns-topic", format!("{}{suffix}", app.id))
            .header("apns-push-type", kind)
            .header("apns-priority", priority)
            .header("apns-expiration", ends_s)
            .header("apns-collapse-id", mark_of(request))
            .header("apns-id", id)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())
    }

    async fn deliver(
        &self,
        request: &PushRequest,
        body: Vec<u8>,
    ) -> Result<PushOutcome, PushOutcome> {
        let (app, line) = self.roster.find(&request.application)?;
        let token = &request.token;
        let sound = (1..=MOST_TOKEN).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !sound {
            let why = "the device token is not hexadecimal".to_owned();
            return Err(PushOutcome::refused(why));
        }
        let post = self.post(app, request, body).map_err(|why| PushOutcome::Failed { why })?;
        let class = Class::of(&request.payload.event);
        let mut shown = line.team.token(self.host.clock.now());
        for last in [false, true] {
            let mut signed = post.clone();
            let value = authorization(&format!("bearer {}", shown.text));
            let value = value.expect("a token is base64url and full stops");
            signed.headers_mut().insert("authorization", value);
            let limit = self.limit.min(left_of(&self.host, request));
            let answer =
                line.room.send(class, signed, limit).await.map_err(|silence| match silence {
                    Silence::Hopeless(why) | Silence::Barred(why) => PushOutcome::Failed { why },
                    Silence::Passing(why) => PushOutcome::Transient { why, retry_after_ms: None },
                })?;
            match judge(&answer) {
                Verdict::Outcome(outcome) => return Ok(outcome),
                Verdict::Closing(outcome) => {
                    line.room.renew(class, post.uri()).await;
                    return Ok(outcome);
                }
                Verdict::NewConnection(why) => {
                    line.room.renew(class, post.uri()).await;
                    if last {
                        return Ok(PushOutcome::Transient { why, retry_after_ms: None });
                    }
                }
                Verdict::NewToken(why) => {
                    let newer = line.team.renewed(self.host.clock.now(), &shown);
                    match newer.filter(|_| !last) {
                        Some(newer) => shown = newer,
                        None => {
                            let why = format!("{why}: even of a new token; set this host's clock");
                            return Ok(PushOutcome::Failed { why });
                        }
                    }
                }
            }
        }
        unreachable!("the last round returns")
    }
}

impl Push for Apns {
    fn body(&self, request: &PushRequest) -> Vec<u8> {
        let app = self.roster.find(&request.application).ok().map(|(app, _)| app);
        let kind = push_type(app, &request.payload.event);
        let event = &request.payload.event;
        let (node, most) = match self.roster.template(request) {
            Some(written) => (written, FORM.most),
            None if kind == PushType::Voip => (&self.own[own_of(kind, event)], MOST_VOIP),
            None => (&self.own[own_of(kind, event)], MOST_OTHER),
        };
        template::body(node, request, |_, length| length <= most)
    }

    fn carries(&self, request: &PushRequest) -> bool {
        self.roster.carries(request)
    }

    fn send<'a>(&'a self, request: &'a PushRequest, body: Vec<u8>) -> BoxFuture<'a, PushOutcome> {
        Box::pin(async move { self.deliver(request, body).await.unwrap_or_else(|outcome| outcome) })
    }
}
