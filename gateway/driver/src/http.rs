//! Who may upgrade to a WebSocket: path, origin, subprotocol, and HTTP Basic (RFC 7617) or a bearer
//! token (RFC 6750).

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reveille_gateway_core::tenancy::Tenancy;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};

use crate::bearer::{Bearer, MOST_TOKEN};
use crate::config::Settings;
use crate::credentials::Credentials;
use crate::pace::Over;
use crate::quota::{Reached, Seat};
use crate::world::World;

/// Begins the subprotocol that carries a token: a browser's WebSocket cannot set a header.
const TOKEN_PROTOCOL: &str = "bearer.";
/// The longest name of an application.
const MOST_APP: usize = 64;

/// What the upgrade asked for and proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) user: String,
    pub(crate) app: String,
}

/// Why an upgrade is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// What is wrong, by which rule, and what to send instead.
    pub(crate) what: Cow<'static, str>,
    /// Beside Basic, if tokens are taken: how to show one, and what is wrong with the one shown.
    challenge: Option<String>,
    /// When to come again, in seconds, where that is known.
    retry_after_s: Option<u64>,
}

impl Refusal {
    /// A path that nobody serves.
    pub(crate) const NO_PATH: Self = Self {
        status: 404,
        what: Cow::Borrowed(
            "no such path or application; ask for /ws/webrtc/{application} or /chat",
        ),
        challenge: None,
        retry_after_s: None,
    };

    pub(crate) fn new(status: u16, what: impl Into<Cow<'static, str>>) -> Self {
        Self { status, what: what.into(), challenge: None, retry_after_s: None }
    }

    /// Too many of them (RFC 6585 section 4).
    pub(crate) fn too_many(what: String, retry_after_s: u64) -> Self {
        Self { retry_after_s: Some(retry_after_s), ..Self::new(429, what) }
    }
}

/// Decides upgrades at one kind of port.
pub(crate) trait Judge {
    /// What an upgrade that is let in asked for and proved.
    type Admitted;
    /// Its place among the connections that may be open, kept as long as it is.
    type Seat;
    /// The one subprotocol that is spoken.
    const SUBPROTOCOL: &'static str;

    /// True if something is behind this target.
    fn is_served(&self, uri: &Uri) -> bool;
    /// Judges the head of an upgrade, at this time of the wall clock.
    fn judge(&self, request: &Request, now: Duration) -> Result<Self::Admitted, Refusal>;
    /// Asked before anything of a request is judged: whether this address may ask at all.
    fn knock(&self, _world: &World, _source: SocketAddr) -> Result<(), Refusal> {
        Ok(())
    }
    /// A place for one more connection.
    fn seat(&self, world: &World, admitted: &Self::Admitted) -> Result<Self::Seat, Refusal>;
}

/// Decides upgrades of apps.
pub(crate) struct Gate {
    pub(crate) default_app: String,
    /// Empty: any origin, and none.
    pub(crate) origins: Vec<String>,
    pub(crate) users: Credentials,
    pub(crate) bearer: Option<Bearer>,
    /// Applications that are served besides the default one, if any are configured.
    pub(crate) tenancy: Tenancy,
}

impl Gate {
    /// What the settings say.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            default_app: settings.default_app.clone(),
            origins: settings.origins.clone(),
            users: Credentials::new(&settings.core.users),
            bearer: settings.bearer.clone(),
            tenancy: settings.core.tenancy.clone(),
        }
    }
}

impl Judge for Gate {
    type Admitted = Admitted;
    type Seat = Seat;
    const SUBPROTOCOL: &'static str = "webrtc.oracle.com";

    fn judge(&self, request: &Request, now: Duration) -> Result<Admitted, Refusal> {
        let app = self.app(request.uri()).ok_or(Refusal::NO_PATH)?;
        if !is_origin_allowed(&self.origins, request) {
            return Err(Refusal::new(403, "this Origin is not among websocket.origins"));
        }
        if !offers(request, Self::SUBPROTOCOL) {
            let what = "Sec-WebSocket-Protocol must offer webrtc.oracle.com";
            return Err(Refusal::new(400, what));
        }
        let offered = texts(request, "Sec-WebSocket-Protocol");
        let offered = offered.iter().flat_map(|line| line.split(',')).map(str::trim);
        let tokens: Vec<_> =
            offered.filter_map(|offer| offer.strip_prefix(TOKEN_PROTOCOL)).collect();
        let user = self.user(&texts(request, "Authorization"), &tokens, now)?;
        if !self.tenancy.may_use(&user, &app) {
            let what = "this user belongs to another tenant than the application";
            return Err(Refusal::new(403, what));
        }
        Ok(Admitted { user, app })
    }

    fn knock(&self, world: &World, source: SocketAddr) -> Result<(), Refusal> {
        let taken = world.paces.address(source.ip(), world.now().mono_us);
        taken.map_err(|over| too_often(world, "", &over))
    }

    fn seat(&self, world: &World, admitted: &Admitted) -> Result<Seat, Refusal> {
        let taken = world.paces.user(&admitted.user, world.now().mono_us);
        taken.map_err(|over| too_often(world, &admitted.app, &over))?;
        world.quota.enter(&admitted.app, world.now().mono_us).map_err(
            |Reached { limit, holder, .. }| {
                world.metrics.limit_reached(&admitted.app, limit);
                let what = format!("{holder} has reached its limit of {limit}; come back later");
                Refusal::new(503, what)
            },
        )
    }

    fn is_served(&self, uri: &Uri) -> bool {
        self.app(uri).is_some()
    }
}

impl Gate {
    fn app(&self, uri: &Uri) -> Option<String> {
        let app = match uri.path() {
            "/chat" => &self.default_app,
            path => path.strip_prefix("/ws/webrtc/")?,
        };
        let apps = &self.tenancy.apps;
        let is_known = apps.is_empty() || apps.contains_key(app) || *app == self.default_app;
        (is_app(app) && is_known).then(|| app.to_owned())
    }

    /// Whoever proves to be a user, by the header or by a token among the subprotocols.
    fn user(&self, shown: &[&str], offered: &[&str], now: Duration) -> Result<String, Refusal> {
        let Some(bearer) = &self.bearer else {
            let what = "Authorization must be Basic with a user's name and secret";
            return self.proved(shown).ok_or_else(|| Refusal::new(401, what));
        };
        let token = match (shown, offered) {
            ([one], []) => token_of(one).map(Cow::Borrowed),
            ([], [one]) => Some(unwrapped(one)),
            ([], []) => None,
            _ => {
                let what = "name and secret, or one token, may be shown once; show one of them";
                return Err(unauthorized(what, Some("invalid_request")));
            }
        };
        match token {
            Some(token) => {
                let subject = bearer.subject(&token, now);
                let user = subject.and_then(|subject| {
                    let user = self.users.named(&subject).map(str::to_owned);
                    user.ok_or("the token names no user of this gateway (sub)")
                });
                user.map_err(|what| unauthorized(what, Some("invalid_token")))
            }
            None => self.proved(shown).ok_or_else(|| {
                let what =
                    "Authorization must be Basic with name and secret, or Bearer with a token";
                unauthorized(what, None)
            }),
        }
    }

    /// The user whose name and secret are shown.
    fn proved(&self, shown: &[&str]) -> Option<String> {
        let [shown] = shown else { return None };
        let (scheme, code) = shown.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Basic") {
            return None;
        }
        let pair = STANDARD.decode(code.trim()).ok()?;
        let at = pair.iter().position(|byte| *byte == b':')?;
        self.users.proved(&pair[..at], &pair[at + 1..]).map(str::to_owned)
    }
}

/// The refusal of whoever connects too often, which is counted as well.
fn too_often(world: &World, app: &str, over: &Over) -> Refusal {
    let Over { limit, rate, whose, wait_s } = over;
    world.metrics.limit_reached(app, limit);
    let what = format!(
        "more than {rate} connects in a second {whose}: websocket.{limit} (RFC 6585 4); come back \
         in {wait_s} s"
    );
    Refusal::too_many(what, *wait_s)
}

/// True if the Origin is one of these, or these are none.
pub(crate) fn is_origin_allowed(origins: &[String], request: &Request) -> bool {
    let known = |one: &str| origins.iter().any(|origin| origin.eq_ignore_ascii_case(one));
    origins.is_empty() || matches!(texts(request, "Origin")[..], [one] if known(one))
}

/// True if the upgrade offers this subprotocol, exactly (RFC 6455 section 4.2.2).
pub(crate) fn offers(request: &Request, subprotocol: &str) -> bool {
    let lines = texts(request, "Sec-WebSocket-Protocol");
    lines.iter().flat_map(|line| line.split(',')).any(|offer| offer.trim() == subprotocol)
}

/// A refusal where tokens are taken; `what` may stand in a header.
fn unauthorized(what: &'static str, error: Option<&str>) -> Refusal {
    let said = error.map(|error| format!(", error=\"{error}\", error_description=\"{what}\""));
    let challenge = Some(format!("Bearer realm=\"reveille\"{}", said.unwrap_or_default()));
    Refusal { challenge, ..Refusal::new(401, what) }
}

/// The token in an Authorization header, if it is a bearer's.
fn token_of(shown: &str) -> Option<&str> {
    let (scheme, token) = shown.split_once(' ').unwrap_or((shown, ""));
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// A token as a subprotocol: as it is, or once more in base64url.
fn unwrapped(offered: &str) -> Cow<'_, str> {
    if offered.contains('.') || offered.len() > 2 * MOST_TOKEN {
        return Cow::Borrowed(offered);
    }
    let inside =
        URL_SAFE_NO_PAD.decode(offered).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    inside.map_or(Cow::Borrowed(offered), Cow::Owned)
}

/// True for the name of an application: the last segment of a path.
pub(crate) fn is_app(app: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !app.is_empty() && app.len() <= MOST_APP && app.chars().all(sound)
}

fn texts<'a>(request: &'a Request, name: &str) -> Vec<&'a str> {
    request.headers().get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
}

/// Compares in a time that depends on the lengths only.
pub(crate) fn is_same(shown: &[u8], kept: &[u8]) -> bool {
    let mut differ = shown.len() ^ kept.len();
    for at in 0..shown.len().max(kept.len()) {
        let pair = (shown.get(at).unwrap_or(&0), kept.get(at).unwrap_or(&0));
        differ |= usize::from(pair.0 ^ pair.1);
    }
    differ == 0
}

/// The answer to an upgrade that is let in.
pub(crate) fn accept(mut response: Response, subprotocol: &'static str) -> Response {
    let name = HeaderValue::from_static(subprotocol);
    response.headers_mut().insert("Sec-WebSocket-Protocol", name);
    response
}

/// The answer to an upgrade that is refused, and its body.
pub(crate) fn refuse(refusal: &Refusal) -> (Response, String) {
    let mut response = Response::new(());
    let status = refusal.status.try_into();
    *response.status_mut() = status.expect("a refusal names a status of HTTP");
    let body = format!("{}\n", refusal.what);
    let headers = response.headers_mut();
    let mut put = |name: &'static str, value| headers.insert(name, HeaderValue::from_static(value));
    put("Content-Type", "text/plain; charset=utf-8");
    put("Connection", "close");
    match refusal.status {
        401 => put("WWW-Authenticate", "Basic realm=\"reveille\", charset=\"UTF-8\""),
        405 => put("Allow", "GET"),
        // RFC 9110 section 7.8: a hop names Upgrade in Connection as well.
        426 => {
            put("Connection", "Upgrade, close");
            put("Upgrade", "websocket");
            put("Sec-WebSocket-Version", "13")
        }
        503 => put("Retry-After", "5"),
        _ => None,
    };
    if let Some(seconds) = refusal.retry_after_s {
        headers.insert("Retry-After", HeaderValue::from(seconds));
    }
    if let Some(challenge) = &refusal.challenge {
        let challenge = HeaderValue::try_from(challenge.as_str());
        headers.append("WWW-Authenticate", challenge.expect("what is wrong is said in ASCII"));
    }
    headers.insert("Content-Length", HeaderValue::from(body.len()));
    (response, body)
}

#[cfg(test)]
mod tests {
    use reveille_gateway_core::config::{Secret, User};

    use super::*;

    fn gate(origins: &[&str]) -> Gate {
        let user = User {
            aor: "bob@example.com".to_owned(),
            username: "bob".to_owned(),
            secret: Secret("sesame".to_owned()),
        };
        let origins = origins.iter().map(|&o| o.to_owned()).collect();
        let (default_app, tenancy) = ("phone".to_owned(), Tenancy::default());
        Gate { default_app, origins, users: Credentials::new(&[user]), bearer: None, tenancy }
    }

    fn ask(gate: &Gate, path: &str, headers: &[(&str, &str)]) -> Result<Admitted, u16> {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        gate.judge(&request, Duration::ZERO).map_err(|refusal| refusal.status)
    }

    const PROTOCOL: (&str, &str) = ("Sec-WebSocket-Protocol", "chat, webrtc.oracle.com");
    // bob:sesame
    const BASIC: (&str, &str) = ("Authorization", "Basic Ym9iOnNlc2FtZQ==");

    #[test]
    fn upgrades_are_admitted_or_refused_by_name() {
        let open = gate(&[]);
        let bob = |app: &str| Ok(Admitted { user: "bob".to_owned(), app: app.to_owned() });
        assert_eq!(ask(&open, "/ws/webrtc/demo", &[PROTOCOL, BASIC]), bob("demo"));
        assert_eq!(ask(&open, "/chat", &[PROTOCOL, BASIC]), bob("phone"));
        for path in ["/", "/ws/webrtc/", "/ws/webrtc/a/b", "/ws/webrtc/a%20b", "/chat/"] {
            assert_eq!(ask(&open, path, &[PROTOCOL, BASIC]), Err(404), "{path}");
        }
        assert_eq!(ask(&open, "/chat", &[BASIC]), Err(400));
        let longer = ("Sec-WebSocket-Protocol", "webrtc.oracle.com.x");
        assert_eq!(ask(&open, "/chat", &[longer, BASIC]), Err(400));
        assert_eq!(ask(&open, "/chat", &[PROTOCOL]), Err(401));
        // bob:sesamf, bob:sesame and one more, eve:sesame, no colon, another scheme
        for shown in [
            "Basic Ym9iOnNlc2FtZg==",
            "Basic Ym9iOnNlc2FtZTE=",
            "Basic ZXZlOnNlc2FtZQ==",
            "Basic Ym9i",
            "Bearer Ym9iOnNlc2FtZQ==",
            "Basic",
            "Basic !",
        ] {
            assert_eq!(
                ask(&open, "/chat", &[PROTOCOL, ("Authorization", shown)]),
                Err(401),
                "{shown}"
            );
        }
    }

    #[test]
    fn an_origin_list_refuses_the_others() {
        let strict = gate(&["https://app.example.com"]);
        let at = |origin| ask(&strict, "/chat", &[PROTOCOL, BASIC, ("Origin", origin)]).err();
        assert_eq!(at("https://app.example.com"), None);
        assert_eq!(at("https://evil.example.com"), Some(403));
        assert_eq!(ask(&strict, "/chat", &[PROTOCOL, BASIC]), Err(403), "no Origin at all");
    }
}
