use serde_json::{Map, Value, json};

/// What a frame is: `control.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameType {
    /// Opens a transaction.
    Request,
    /// Answers one, provisionally or finally.
    Response,
    /// Stands alone.
    Message,
    /// Confirms frames; consumes no number.
    Acknowledgement,
    /// Ends a transaction badly.
    Error,
}

impl FrameType {
    pub(super) const ALL: [Self; 5] =
        [Self::Request, Self::Response, Self::Message, Self::Acknowledgement, Self::Error];

    /// The word on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::Message => "message",
            Self::Acknowledgement => "acknowledgement",
            Self::Error => "error",
        }
    }
}

/// How final a response is: `control.message_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// Provisional; `initial` is read as this too.
    Subsequent,
    /// Final.
    Final,
}

impl MessageState {
    /// The word on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subsequent => "subsequent",
            Self::Final => "final",
        }
    }
}

/// The members of `control`.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// `type`
    pub kind: FrameType,
    /// `package_type`; a frame without one belongs to `register`.
    pub package: String,
    /// Assigned by the server, echoed by the client.
    pub session_id: Option<String>,
    /// Chosen by whoever opens the subsession.
    pub subsession_id: Option<String>,
    /// From 1, one more for each frame, in each direction.
    pub sequence: Option<u64>,
    /// Cumulative: every frame of the peer up to this number is confirmed.
    pub ack_sequence: Option<u64>,
    /// `c` or `s` and a number; echoed by everything that answers.
    pub correlation_id: Option<String>,
    /// On responses.
    pub message_state: Option<MessageState>,
    /// Protocol version as the peer wrote it.
    pub version: Option<String>,
}

/// The members of `header`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Header {
    /// The verb.
    pub action: Option<String>,
    /// User id of the caller.
    pub initiator: Option<String>,
    /// User id of the callee.
    pub target: Option<String>,
    /// Client's last sequence received.
    pub cslr: Option<u64>,
    /// Client's lowest own number still unacknowledged: a hint.
    pub cslw: Option<u64>,
    /// Client's highest own number: a hint.
    pub csuw: Option<u64>,
    /// Server's last sequence received.
    pub sslr: Option<u64>,
    /// Status of a server's response.
    pub response_code: Option<u16>,
    /// Status of an error.
    pub error_code: Option<u16>,
    /// Words to an error or response.
    pub reason: Option<String>,
    /// A challenge.
    pub authenticate: Option<Value>,
    /// Credentials.
    pub authorization: Option<Value>,
    /// Granted duration of a subscription, seconds.
    pub expiry: Option<u64>,
    /// Duration of sleep, seconds.
    pub ttl: Option<u64>,
    /// A provisional that wants a prack.
    pub reliable: Option<bool>,
    /// `UPDATE` on a start that carries one.
    pub sip_method: Option<String>,
    /// Extension headers.
    pub extra: Map<String, Value>,
}

/// One JsonRTC frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Who, which and in what order.
    pub control: Control,
    /// What.
    pub header: Header,
    /// With what.
    pub payload: Map<String, Value>,
}

impl Frame {
    fn new(kind: FrameType, package: &str) -> Self {
        let control = Control {
            kind,
            package: package.to_owned(),
            session_id: None,
            subsession_id: None,
            sequence: None,
            ack_sequence: None,
            correlation_id: None,
            message_state: None,
            version: None,
        };
        Self { control, header: Header::default(), payload: Map::new() }
    }

    fn acting(kind: FrameType, package: &str, action: &str) -> Self {
        let mut frame = Self::new(kind, package);
        frame.header.action = Some(action.to_owned());
        frame
    }

    /// A request of `package`.
    #[must_use]
    pub fn request(package: &str, action: &str) -> Self {
        Self::acting(FrameType::Request, package, action)
    }

    /// A response, provisional or final.
    #[must_use]
    pub fn response(package: &str, action: &str, state: MessageState) -> Self {
        let mut frame = Self::acting(FrameType::Response, package, action);
        frame.control.message_state = Some(state);
        frame
    }

    /// A message.
    #[must_use]
    pub fn message(package: &str, action: &str) -> Self {
        Self::acting(FrameType::Message, package, action)
    }

    /// An error with a SIP status.
    #[must_use]
    pub fn error(package: &str, action: &str, code: u16, reason: &str) -> Self {
        let mut frame = Self::acting(FrameType::Error, package, action);
        frame.header.error_code = Some(code);
        frame.header.reason = Some(reason.to_owned());
        frame
    }

    /// Confirms every frame of the peer up to `ack_sequence`. It never carries a number of its own:
    /// deployed apps would take it for the gateway's (D-15).
    #[must_use]
    pub fn acknowledgement(ack_sequence: u64) -> Self {
        let mut frame = Self::new(FrameType::Acknowledgement, "register");
        frame.control.ack_sequence = Some(ack_sequence);
        frame
    }

    /// True for what ends a transaction. A response that does not say is final if it brings an SDP
    /// (D-06).
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self.control.message_state {
            Some(state) => state == MessageState::Final,
            None => self.sdp().is_some(),
        }
    }

    /// `payload.sdp`
    #[must_use]
    pub fn sdp(&self) -> Option<&str> {
        self.payload.get("sdp").and_then(Value::as_str)
    }

    /// The device token, under any of its names: `deviceToken` or `device_token`, in payload or
    /// header (D-09).
    #[must_use]
    pub fn device_token(&self) -> Option<&str> {
        let of = |map: &Map<String, Value>, name: &str| map.get(name).is_some_and(Value::is_string);
        let names = ["deviceToken", "device_token"];
        let map = [&self.payload, &self.header.extra]
            .into_iter()
            .find(|map| names.iter().any(|name| of(map, name)))?;
        names.iter().find_map(|name| map.get(*name)?.as_str()).filter(|token| !token.is_empty())
    }

    /// The extension header `subsessions`: what the app still holds (D-48).
    #[must_use]
    pub fn subsessions(&self) -> Option<Vec<String>> {
        let list = self.header.extra.get("subsessions")?.as_array()?;
        Some(list.iter().filter_map(|id| id.as_str().map(ToOwned::to_owned)).collect())
    }

    pub(crate) fn header_json(&self) -> Map<String, Value> {
        let header = &self.header;
        let mut json = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                json.insert(name.to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
        put("action", text(&header.action));
        put("initiator", text(&header.initiator));
        put("target", text(&header.target));
        put("cslr", header.cslr.map(|n| json!(n)));
        put("cslw", header.cslw.map(|n| json!(n)));
        put("csuw", header.csuw.map(|n| json!(n)));
        put("sslr", header.sslr.map(|n| json!(n)));
        put("response_code", header.response_code.map(|n| json!(n)));
        put("error_code", header.error_code.map(|n| json!(n)));
        put("reason", text(&header.reason));
        put("authenticate", header.authenticate.clone());
        put("authorization", header.authorization.clone());
        put("expiry", header.expiry.map(|n| json!(n)));
        put("ttl", header.ttl.map(|n| json!(n)));
        put("reliable", header.reliable.map(|flag| json!(flag)));
        put("sip_method", text(&header.sip_method));
        for (name, value) in &header.extra {
            json.entry(name.clone()).or_insert_with(|| value.clone());
        }
        json
    }
}
