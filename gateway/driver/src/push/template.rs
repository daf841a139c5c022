//! Message formats: what an operator writes in place of a provider's own payload.
//!
//! A template is JSON whose texts hold variables. The gateway's own payloads are templates as well,
//! so that what is written by hand can give exactly what is sent without.

mod node;
mod rules;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use reveille_gateway_core::io::PushRequest;
use reveille_wire::push::WakePayload;
use serde_json::Value;

use self::node::Filled;
pub(super) use self::node::Node;
pub use self::rules::{Form, Written};
use self::text::Slot;
use self::text::Text;

/// What a template may hold: its name, and what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variable {
    SessionId,
    Event,
    CallId,
    SubsessionId,
    Initiator,
    Target,
    Ttl,
    Payload,
    Message,
    Platform,
    Application,
    Token,
    Credential,
}

/// Every variable. Where the message does not fit, it is left out first ([`WakePayload::fitted`], D-45).
const VARIABLES: &[(&str, Variable)] = &[
    ("session_id", Variable::SessionId),
    ("event", Variable::Event),
    ("call_id", Variable::CallId),
    ("subsession_id", Variable::SubsessionId),
    ("initiator", Variable::Initiator),
    ("target", Variable::Target),
    ("ttl", Variable::Ttl),
    ("payload", Variable::Payload),
    ("message", Variable::Message),
    ("platform", Variable::Platform),
    ("application", Variable::Application),
    ("token", Variable::Token),
    ("credential", Variable::Credential),
];

impl Variable {
    fn named(name: &str) -> Result<Self, String> {
        let found = VARIABLES.iter().find(|(known, _)| *known == name);
        found.map(|(_, variable)| *variable).ok_or_else(|| {
            let names: Vec<_> = VARIABLES.iter().map(|(known, _)| *known).collect();
            format!("there is no variable `{name}`; write one of: {}", names.join(", "))
        })
    }

    /// True of what is no text and no number.
    const fn is_object(self) -> bool {
        matches!(self, Self::Payload | Self::Message)
    }

    fn name(self) -> &'static str {
        VARIABLES.iter().find(|(_, own)| *own == self).map_or("", |(name, _)| name)
    }
}

/// What the variables stand for in one push.
pub(super) struct Values<'a> {
    wake: &'a WakePayload,
    platform: Option<&'a str>,
    application: &'a str,
    token: &'a str,
    /// Only for headers.
    credential: Option<&'a str>,
}

impl<'a> Values<'a> {
    fn new(request: &'a PushRequest, wake: &'a WakePayload) -> Self {
        let (application, token) = (request.application.as_str(), request.token.as_str());
        let platform = request.platform.as_deref();
        Self { wake, platform, application, token, credential: None }
    }

    fn has(&self, slot: &Slot) -> bool {
        slot.variable == Variable::Payload || self.of(slot).is_some()
    }

    fn of(&self, slot: &Slot) -> Option<Value> {
        let text = |text: &str| Some(Value::from(text));
        let wake = self.wake;
        let value = match slot.variable {
            Variable::SessionId => text(&wake.session_id),
            Variable::Event => text(&wake.event),
            Variable::CallId => wake.call_id.as_deref().map(Value::from),
            Variable::SubsessionId => wake.subsession_id.as_deref().map(Value::from),
            Variable::Initiator => wake.initiator.as_deref().map(Value::from),
            Variable::Target => wake.target.as_deref().map(Value::from),
            Variable::Ttl => wake.ttl_s.map(Value::from),
            Variable::Payload => serde_json::to_value(wake).ok(),
            Variable::Message => {
                wake.incoming.as_ref().and_then(|it| serde_json::to_value(it).ok())
            }
            Variable::Platform => self.platform.map(Value::from),
            Variable::Application => text(self.application),
            Variable::Token => text(self.token),
            Variable::Credential => self.credential.map(Value::from),
        };
        value.or_else(|| slot.instead.as_deref().map(Value::from))
    }
}

/// One message format, as it is written: a body, and for the webhook where it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// The platform and the event that it is for; `None`: all that have no template of their own.
    platform: Option<String>,
    event: Option<String>,
    body: Option<Node>,
    url: Option<Text>,
    /// Names in lower case.
    headers: BTreeMap<String, Text>,
}

/// The events that the core wakes for.
const EVENTS: &[&str] = &["call", "message", "notify"];

impl Template {
    pub(super) fn body(&self) -> Option<&Node> {
        self.body.as_ref()
    }

    /// Where it goes, if the template says so. Values are percent-encoded (RFC 3986 section 2.1).
    pub(super) fn url(&self, request: &PushRequest) -> Option<String> {
        let wake = request.payload.fitted(|_| true);
        let url = self.url.as_ref()?;
        Some(url.filled(&Values::new(request, &wake), rules::percent_encoded))
    }

    /// Names and values of headers, and whether the credential stands in a value.
    pub(super) fn headers<'a>(
        &'a self,
        request: &PushRequest,
        credential: Option<&str>,
    ) -> Vec<(&'a str, String, bool)> {
        let wake = request.payload.fitted(|_| true);
        let values = Values { credential, ..Values::new(request, &wake) };
        let one = |(name, text): (&'a String, &Text)| {
            let is_secret = text.variables().any(|it| it == Variable::Credential);
            (name.as_str(), text.filled(&values, rules::header_safe), is_secret)
        };
        self.headers.iter().map(one).collect()
    }

    /// True if it holds `${message}`.
    pub(crate) fn names_message(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.variables().contains(&Variable::Message))
    }

    /// True if every request of an event goes to the same place with the same headers.
    fn is_shared(&self) -> bool {
        let varies = |text: &Text| {
            use Variable::{Application, Credential, Event, Platform};
            text.variables().any(|it| !matches!(it, Application | Credential | Event | Platform))
        };
        !self.url.iter().chain(self.headers.values()).any(varies)
    }
}

/// The templates of an application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Templates(Vec<Template>);

impl Templates {
    /// Takes one more; false if there is one for the same platform and event.
    pub(crate) fn add(&mut self, template: Template) -> bool {
        let of = |template: &Template| (template.platform.clone(), template.event.clone());
        let is_new = self.0.iter().all(|other| of(other) != of(&template));
        self.0.push(template);
        is_new
    }

    /// The template of this push: that of its platform and event, else of its platform, else of its
    /// event, else of all. A platform comes first, since it decides what can be read.
    pub(super) fn of(&self, request: &PushRequest) -> Option<&Template> {
        let (platform, event) = (request.platform.as_deref(), Some(&*request.payload.event));
        let find = |platform: Option<&str>, event: Option<&str>| {
            self.0
                .iter()
                .find(|it| it.platform.as_deref() == platform && it.event.as_deref() == event)
        };
        let own = find(platform, event).or_else(|| find(platform, None));
        own.or_else(|| find(None, event)).or_else(|| find(None, None))
    }

    /// The body that is written for this push.
    pub(super) fn body_of(&self, request: &PushRequest) -> Option<&Node> {
        self.of(request).and_then(Template::body)
    }
}

/// The gateway's own template.
pub(super) fn own(text: &str) -> Node {
    serde_json::from_str(text).expect("the gateway's own templates are sound")
}

/// The body of this push, with whatever of the payload does not fit left out.
pub(super) fn body(
    node: &Node,
    request: &PushRequest,
    fits: impl Fn(&WakePayload, usize) -> bool,
) -> Vec<u8> {
    let write = |wake: &WakePayload| written(node, request, wake);
    write(&request.payload.fitted(|wake| fits(wake, write(wake).len())))
}

/// The template with this payload in it.
pub(super) fn written(node: &Node, request: &PushRequest, wake: &WakePayload) -> Vec<u8> {
    let values = Values::new(request, wake);
    serde_json::to_vec(&Filled(node, &values)).expect("plain data with text keys")
}

/// The same as a value that can be worked on.
pub(super) fn value(node: &Node, request: &PushRequest, wake: &WakePayload) -> Value {
    let values = Values::new(request, wake);
    serde_json::to_value(Filled(node, &values)).expect("plain data with text keys")
}
