//! What a template may be: judged when the configuration is read, with what to write instead.

use std::collections::BTreeMap;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use reveille_gateway_core::config::Secret;
use reveille_gateway_core::io::{PushId, PushRequest};
use reveille_gateway_core::record::{PLATFORMS, SessionId};
use reveille_wire::push::WakePayload;

use super::super::{Application, Lack};
use super::{EVENTS, Node, Template, Text, Variable, body};

/// What a provider asks of templates.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// Longest body in bytes, without the device token where `is_request`.
    pub(in crate::push) most: usize,
    /// The template is the whole request, and may say where it goes.
    pub(in crate::push) is_request: bool,
    /// Devices of several platforms get it.
    pub(in crate::push) is_of_many: bool,
    /// What is wrong with a body otherwise.
    pub(in crate::push) fault: fn(&Node) -> Option<String>,
}

/// A template as the configuration holds it.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// `ios`, `android` or `web`; `None`: every platform that has no template of its own.
    pub platform: Option<String>,
    /// `call` or `message`; `None`: every event that has no template of its own.
    pub event: Option<String>,
    /// JSON.
    pub body: Option<String>,
    /// Where it goes; only for the webhook.
    pub url: Option<String>,
    /// With which headers; only for the webhook.
    pub headers: BTreeMap<String, String>,
}

/// Headers that belong to the connection or to the length of the body.
const OWN_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "content-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
];
const MOST_HEADERS: usize = 32;
/// Longest URL or header as it is written, in bytes: values have room beside it.
const MOST_TEXT: usize = 2_048;

impl Template {
    /// Reads a template of this application.
    ///
    /// # Errors
    /// Everything that is wrong with it: the key, and what to write instead.
    pub(crate) fn read(
        written: &Written,
        form: &Form,
        app: &Application,
    ) -> Result<Self, Vec<Lack>> {
        let mut lacks = Vec::new();
        let mut note = |fault: Lack| lacks.push(fault);
        let read = Self {
            platform: written.platform.clone(),
            event: written.event.clone(),
            body: written.body.as_deref().and_then(|text| node(text).map_err(&mut note).ok()),
            url: written.url.as_deref().and_then(|text| url(text).map_err(&mut note).ok()),
            headers: headers(written, app, &mut note),
        };
        if let Some(odd) = written.event.as_deref().filter(|event| !EVENTS.contains(event)) {
            let what = format!("there is no event `{odd}`; write one of: ");
            note(("event", what + &EVENTS.join(", ")));
        }
        if let Some(platform) = written.platform.as_deref() {
            if !PLATFORMS.contains(&platform) {
                let what = format!("there is no platform `{platform}`; write one of: ");
                note(("platform", what + &PLATFORMS.join(", ")));
            } else if !form.is_of_many {
                let what = format!("{} serves one platform; leave it out", app.provider);
                note(("platform", what));
            }
        }
        if !form.is_request && (written.url.is_some() || !written.headers.is_empty()) {
            let key = if written.url.is_some() { "url" } else { "headers" };
            let what = format!("only webhook has it, not {}; leave it out", app.provider);
            note((key, what));
        }
        let empty = written.url.is_none() && written.headers.is_empty();
        if written.body.is_none() && (empty || !form.is_request) {
            let what =
                "the template says nothing; write body = '{\"session_id\": \"${session_id}\"}'";
            note(("body", what.to_owned()));
        }
        if app.batch.size > 1 && lacks.is_empty() && !read.is_shared() {
            let what = "pushes that leave together share URL and headers; write what varies into \
                the body, or batch-size = 1";
            let key = if read.url.is_some() { "url" } else { "headers" };
            lacks.push((key, what.to_owned()));
        }
        if lacks.is_empty() {
            lacks.extend(read.fault_of_body(form, app));
            lacks.extend(read.lack(form));
        }
        if lacks.is_empty() { Ok(read) } else { Err(lacks) }
    }

    /// What a push cannot do without: the session, and where nobody else adds them the application
    /// and the token (D-29).
    fn lack(&self, form: &Form) -> Option<Lack> {
        let body = self.body.as_ref()?;
        let outside = self.url.iter().chain(self.headers.values()).flat_map(Text::variables);
        let all: Vec<_> = outside.chain(body.variables()).collect();
        let needs = [Variable::SessionId, Variable::Application, Variable::Token];
        let needs = if form.is_request { &needs[..] } else { &needs[..1] };
        let is_there = |needed: Variable| {
            let names_session = needed == Variable::SessionId && all.contains(&Variable::Payload);
            all.contains(&needed) || names_session
        };
        let missing = needs.iter().find(|needed| !is_there(**needed))?;
        let name = missing.name();
        let what =
            format!("nothing in it is ${{{name}}}; write a member \"{name}\": \"${{{name}}}\"");
        Some(("body", what))
    }

    fn fault_of_body(&self, form: &Form, app: &Application) -> Option<Lack> {
        let node = self.body.as_ref()?;
        if node.variables().contains(&Variable::Credential) {
            let what = "the credential is not for phones; write it into headers, or leave it out";
            return Some(("body", what.to_owned()));
        }
        if let Some(what) = (form.fault)(node) {
            return Some(("body", what));
        }
        let least = body(node, &sample(app), |_, _| false).len();
        (least > form.most).then(|| {
            let what =
                format!("{least} bytes before any name is in it; write at most {}", form.most);
            ("body", what)
        })
    }
}

/// A push whose ids are as long as they get, and which names nobody.
fn sample(app: &Application) -> PushRequest {
    let id = "0".repeat(64);
    PushRequest {
        id: PushId { wake: 1, attempt: 1 },
        provider: app.provider.clone(),
        session: SessionId::from(id.as_str()),
        application: app.id.clone(),
        token: String::new(),
        platform: None,
        payload: WakePayload {
            session_id: id.clone(),
            event: "message".to_owned(),
            call_id: None,
            subsession_id: Some(id),
            initiator: None,
            target: None,
            ttl_s: Some(1_000_000_000),
            incoming: None,
        },
        ttl_ms: 1,
        deadline_us: 0,
    }
}

fn node(text: &str) -> Result<Node, Lack> {
    let node: Node = serde_json::from_str(text).map_err(|error| {
        let what = match error.is_data() {
            true => error.to_string(),
            false => {
                format!("no JSON: {error}; write like '{{\"session_id\": \"${{session_id}}\"}}'")
            }
        };
        ("body", what)
    })?;
    match node.fault() {
        Some(what) => Err(("body", what)),
        None => Ok(node),
    }
}

/// Scheme and authority never vary: a name or a token cannot lead elsewhere.
fn url(text: &str) -> Result<Text, Lack> {
    if text.len() > MOST_TEXT {
        return Err(("url", format!("{} bytes; write at most {MOST_TEXT}", text.len())));
    }
    let read = Text::parse(text).map_err(|what| ("url", what))?;
    let begin = read.begin();
    let after = ["http://", "https://"].iter().find_map(|scheme| begin.strip_prefix(scheme));
    let fixed = after.and_then(|rest| rest.find(['/', '?']).map(|end| &rest[..end]));
    let whole: Result<Uri, _> = text.replace(['{', '}', '$', '|'], "x").parse();
    if fixed.is_none_or(str::is_empty) || whole.is_err() {
        let what = "no URL whose scheme and host are fixed; write one like \
            \"https://push.example.com/wake/${token}\"";
        return Err(("url", what.to_owned()));
    }
    outside("url", &read)?;
    if read.variables().any(|it| it == Variable::Credential) {
        let what = "URLs are logged on their way; write the credential into headers";
        return Err(("url", what.to_owned()));
    }
    Ok(read)
}

/// An object fits into JSON only.
fn outside(key: &'static str, text: &Text) -> Result<(), Lack> {
    let Some(object) = text.variables().find(|it| it.is_object()) else { return Ok(()) };
    let name = object.name();
    let what = format!("${{{name}}} is an object; write it into the body, alone in its quotes");
    Err((key, what))
}

fn headers(
    written: &Written,
    app: &Application,
    note: &mut impl FnMut(Lack),
) -> BTreeMap<String, Text> {
    if written.headers.len() > MOST_HEADERS {
        note(("headers", format!("more than {MOST_HEADERS}; write those that are needed")));
    }
    let mut read = BTreeMap::new();
    for (name, text) in written.headers.iter().take(MOST_HEADERS) {
        match header(name, text, app) {
            Ok((name, text)) => drop(read.insert(name, text)),
            Err(what) => note(("headers", format!("`{name}`: {what}"))),
        }
    }
    read
}

fn header(name: &str, text: &str, app: &Application) -> Result<(String, Text), String> {
    let known = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| "no name of a header; write letters, digits and -".to_owned())?;
    if OWN_HEADERS.contains(&known.as_str()) {
        return Err("the gateway writes it; leave it out".to_owned());
    }
    if text.len() > MOST_TEXT {
        return Err(format!("{} bytes; write at most {MOST_TEXT}", text.len()));
    }
    let read = Text::parse(text)?;
    outside("headers", &read).map_err(|(_, what)| what)?;
    if HeaderValue::from_str(text).is_err() || !text.is_ascii() {
        return Err("no value of a header; write visible ASCII and variables".to_owned());
    }
    let shows = read.variables().any(|it| it == Variable::Credential);
    if known == "authorization" && !shows {
        let what = "no secret belongs into a template; write ${credential} and credential-file";
        return Err(what.to_owned());
    }
    let credential = app.credential.as_ref().map(|Secret(text)| text.as_str());
    if shows && credential.is_none() {
        return Err("there is no credential; write credential-file as well".to_owned());
    }
    if shows && credential.is_some_and(|text| header_safe(text) != text) {
        return Err("no header can show the credential; write visible ASCII into it".to_owned());
    }
    Ok((known.as_str().to_owned(), read))
}

/// Everything but unreserved characters (RFC 3986 section 2.3), so that no value ends its part of a
/// URL.
pub(super) fn percent_encoded(text: &str) -> String {
    let keeps = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    encoded(text, keeps)
}

/// What no header can carry is percent-encoded; all else stands as it is.
pub(super) fn header_safe(text: &str) -> String {
    encoded(text, |byte| byte == b' ' || byte.is_ascii_graphic())
}

fn encoded(text: &str, keeps: impl Fn(u8) -> bool) -> String {
    let one = |byte: u8| match keeps(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
