use serde::de::DeserializeSeed;
use serde_json::{Map, Value};

use super::bounds::Strict;
use super::frame::{Control, Frame, FrameType, Header, MessageState};
use super::{MAX_DEPTH, MAX_TEXT};

/// What a text can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Inbound {
    /// The whole text is `ping`.
    Ping,
    /// The whole text is `pong`.
    Pong,
    /// A frame.
    Frame(Box<Frame>),
}

/// Whose rule was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadKind {
    /// It is no JSON object at all.
    NotJson,
    /// It is one, and yet no frame.
    Invalid,
}

/// Why a text is no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Whose rule was broken.
    pub kind: BadKind,
    /// Where: a path of members, or line and column of the text.
    pub at: String,
    /// What is wrong, and what to write instead.
    pub what: String,
    /// The rule, by section of the protocol's description.
    pub rule: &'static str,
    /// What the frame says of itself all the same.
    pub echo: Box<Echo>,
}

/// What of a frame that is none can still be read, so that its sender can be answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Echo {
    /// `control.package_type`
    pub package: Option<String>,
    /// `control.subsession_id`
    pub subsession_id: Option<String>,
    /// `control.correlation_id`
    pub correlation_id: Option<String>,
    /// `control.sequence`
    pub sequence: Option<u64>,
    /// `header.action`
    pub action: Option<String>,
}

impl Echo {
    fn of(object: &Map<String, Value>) -> Self {
        let member = |part: &str, name: &str| object.get(part)?.get(name);
        let text = |part, name| member(part, name)?.as_str().map(ToOwned::to_owned);
        Self {
            package: text("control", "package_type"),
            subsession_id: text("control", "subsession_id"),
            correlation_id: text("control", "correlation_id"),
            sequence: member("control", "sequence").and_then(Value::as_u64),
            action: text("header", "action"),
        }
    }
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.at, self.what, self.rule)
    }
}

impl std::error::Error for Bad {}

fn bad(at: &str, what: impl Into<String>, rule: &'static str) -> Bad {
    let (at, what, echo) = (at.to_owned(), what.into(), Box::default());
    Bad { kind: BadKind::Invalid, at, what, rule, echo }
}

/// Reads one text message.
///
/// # Errors
/// [`Bad`] says where and what: longer than 64 KiB, nested deeper than 32, a member twice, no JSON
/// object, or a member that is not what its name promises. Unknown members are ignored, `null` is
/// as good as absent.
pub fn read(text: &str) -> Result<Inbound, Bad> {
    match text {
        "ping" => return Ok(Inbound::Ping),
        "pong" => return Ok(Inbound::Pong),
        _ => {}
    }
    if text.len() > MAX_TEXT {
        let what = format!("{} bytes: send at most {MAX_TEXT}", text.len());
        return Err(bad("text", what, "JsonRTC 1.3"));
    }
    let value = decode(text).map_err(|error| Bad {
        kind: BadKind::NotJson,
        at: format!("line {} column {}", error.line(), error.column()),
        what: format!("{error}: send one JSON object"),
        rule: "JsonRTC 1.3",
        echo: Box::default(),
    })?;
    let Value::Object(object) = value else {
        return Err(Bad {
            kind: BadKind::NotJson,
            at: "text".to_owned(),
            what: "not an object: send {\"control\":{..},\"header\":{..}}".to_owned(),
            rule: "JsonRTC 1.3",
            echo: Box::default(),
        });
    };
    let echo = Echo::of(&object);
    let frame = read_frame(object).map_err(|bad| Bad { echo: Box::new(echo), ..bad })?;
    Ok(Inbound::Frame(Box::new(frame)))
}

fn read_frame(mut object: Map<String, Value>) -> Result<Frame, Bad> {
    let Some(control) = Members::take(&mut object, "control")? else {
        return Err(bad("control", "missing: every frame has one", "JsonRTC 1.3"));
    };
    let control = read_control(control)?;
    let header = Members::take(&mut object, "header")?;
    let header = read_header(header.unwrap_or(Members { at: "header", map: Map::new() }))?;
    let payload = Members::take(&mut object, "payload")?.map(|it| it.map).unwrap_or_default();
    Ok(Frame { control, header, payload })
}

/// The JSON of a text within the bounds of depth and of members given once.
pub(super) fn decode(text: &str) -> Result<Value, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Strict { depth_left: MAX_DEPTH }.deserialize(&mut json)?;
    json.end().map(|()| value)
}

fn read_control(mut it: Members) -> Result<Control, Bad> {
    let kind = it.text("type")?.unwrap_or_default();
    let kind = FrameType::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(|| {
        let what = format!("\"{kind}\": use request, response, message, acknowledgement or error");
        bad("control.type", what, "JsonRTC 1.4")
    })?;
    let version = match it.text("version")? {
        Some(version) => Some(version),
        None => it.text("wsc_version")?,
    };
    if let Some(version) =
        version.as_deref().filter(|version| version.split('.').next() != Some("1"))
    {
        let what = format!("\"{version}\": this side speaks 1.0");
        return Err(bad("control.version", what, "JsonRTC 1.4"));
    }
    let message_state = match it.text("message_state")?.as_deref() {
        None => None,
        Some("final") => Some(MessageState::Final),
        Some("subsequent" | "initial") => Some(MessageState::Subsequent),
        Some(other) => {
            let what = format!("\"{other}\": use subsequent or final");
            return Err(bad("control.message_state", what, "JsonRTC 1.4"));
        }
    };
    Ok(Control {
        kind,
        package: it.text("package_type")?.unwrap_or_else(|| "register".to_owned()),
        session_id: it.key("session_id")?,
        subsession_id: it.key("subsession_id")?,
        sequence: it.number("sequence")?,
        ack_sequence: it.number("ack_sequence")?,
        correlation_id: it.id("correlation_id")?,
        message_state,
        version,
    })
}

fn read_header(mut it: Members) -> Result<Header, Bad> {
    Ok(Header {
        action: it.text("action")?,
        initiator: it.text("initiator")?,
        target: it.text("target")?,
        cslr: it.number("cslr")?,
        cslw: it.number("cslw")?,
        csuw: it.number("csuw")?,
        sslr: it.number("sslr")?,
        response_code: it.code("response_code")?,
        error_code: it.code("error_code")?,
        reason: it.text("reason")?,
        authenticate: it.value("authenticate"),
        authorization: it.value("authorization"),
        expiry: it.number("expiry")?,
        ttl: it.number("ttl")?,
        reliable: it.flag("reliable")?,
        sip_method: it.text("sip_method")?,
        extra: it.map,
    })
}

/// The members of one object, taken by name and by what they should be.
struct Members {
    at: &'static str,
    map: Map<String, Value>,
}

impl Members {
    fn take(object: &mut Map<String, Value>, at: &'static str) -> Result<Option<Self>, Bad> {
        match object.remove(at) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { at, map })),
            Some(_) => Err(bad(at, "not an object: write {..}, or leave it out", "JsonRTC 1.3")),
        }
    }

    fn value(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn wrong<T>(&self, name: &str, want: &str) -> Result<T, Bad> {
        Err(bad(
            &format!("{}.{name}", self.at),
            format!("not {want}: write one, or leave it out"),
            "JsonRTC 1.4, 1.5",
        ))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Bad> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => self.wrong(name, "a string"),
        }
    }

    /// An id that things are kept by, also in databases, some of which take no control characters.
    fn key(&mut self, name: &str) -> Result<Option<String>, Bad> {
        match self.id(name)? {
            Some(id) if id.contains(char::is_control) => {
                self.wrong(name, "an id without control characters")
            }
            id => Ok(id),
        }
    }

    /// A string, or a number by its decimal text (D-05).
    fn id(&mut self, name: &str) -> Result<Option<String>, Bad> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => self.wrong(name, "a string or a number"),
        }
    }

    fn number(&mut self, name: &str) -> Result<Option<u64>, Bad> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => self.wrong(name, "a whole number from 0"),
            },
        }
    }

    fn code(&mut self, name: &str) -> Result<Option<u16>, Bad> {
        match self.number(name)? {
            None => Ok(None),
            Some(number) => match u16::try_from(number).ok().filter(|n| (100..1000).contains(n)) {
                Some(code) => Ok(Some(code)),
                None => self.wrong(name, "a status from 100 to 999"),
            },
        }
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, Bad> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => self.wrong(name, "true or false"),
        }
    }
}
