use std::net::SocketAddr;

use super::bounds::Bounds;
use super::challenge::Challenge;
use super::cursor::split_list;
use super::header::Header;
use super::malformed::{Malformed, VERSION_RULE, excerpt};
use super::method::{CSeq, Method};
use super::name_addr::{Contact, NameAddr};
use super::reason::phrase;
use super::via::Via;

/// The first line of a message (RFC 3261 sections 7.1 and 7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartLine {
    /// A request.
    Request {
        /// What is asked.
        method: Method,
        /// The Request-URI as written.
        uri: String,
    },
    /// A response.
    Response {
        /// 100 to 699.
        status: u16,
        /// The phrase as written.
        reason: String,
    },
}

/// A SIP message. Reading and writing it back gives the same bytes, without what stood before the
/// start line and beyond Content-Length.
#[derive(Debug, Clone)]
pub struct Message {
    /// The first line.
    pub start: StartLine,
    /// `SIP/2.0` as the peer spelled it.
    version: String,
    headers: Vec<Header>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl Message {
    /// Reads one datagram.
    ///
    /// # Errors
    /// [`Malformed`] names the rule and the offset: no start line, another protocol version, a line
    /// that is no header, a body shorter than Content-Length, or something beyond [`Bounds`].
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        let lead = datagram.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let bytes = &datagram[lead..];
        let (mut message, head_len) =
            Self::parse_head(bytes, Bounds::default()).map_err(|fault| fault.shifted(lead))?;
        let body = &bytes[head_len..];
        let length = message.content_length().map_err(|fault| fault.shifted(lead))?;
        let length = length.unwrap_or(body.len());
        if body.len() < length {
            let what = format!("the body has {} of {length} bytes; send all of it", body.len());
            return Err(Malformed::new("RFC 3261 18.3", lead + head_len, what));
        }
        message.body = body[..length].to_vec();
        Ok(message)
    }

    /// Reads start line and headers up to the empty line; returns how long they are.
    pub(super) fn parse_head(bytes: &[u8], bounds: Bounds) -> Result<(Self, usize), Malformed> {
        if bytes.len() > bounds.max_message {
            let what = format!("longer than {} bytes; send less", bounds.max_message);
            return Err(Malformed::new("RFC 3261 18.1.1", bounds.max_message, what));
        }
        let mut lines = Lines { bytes, at: 0 };
        let (_, first) = lines.next_line()?;
        let (start, version) = read_start(first)?;
        let mut headers = Vec::with_capacity(16);
        loop {
            let (from, line) = lines.next_field()?;
            if line == b"\r\n" {
                let message = Self { start, version, headers, body: Vec::new() };
                return Ok((message, lines.at));
            }
            if line.len() > bounds.max_header {
                let what = format!("a header longer than {} bytes; send less", bounds.max_header);
                return Err(Malformed::new("RFC 3261 7.3", from, what));
            }
            if headers.len() == bounds.max_headers {
                let what = format!("more than {} headers; send fewer", bounds.max_headers);
                return Err(Malformed::new("RFC 3261 7.3", from, what));
            }
            headers.push(Header::read(line, from)?);
        }
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let head: usize = self.headers.iter().map(|header| header.raw().len()).sum();
        let mut bytes = Vec::with_capacity(head + self.body.len() + 128);
        let (version, start) = (&self.version, &self.start);
        let line = match start {
            StartLine::Request { method, uri } => format!("{method} {uri} {version}\r\n"),
            StartLine::Response { status, reason } => format!("{version} {status} {reason}\r\n"),
        };
        bytes.extend_from_slice(line.as_bytes());
        for header in &self.headers {
            bytes.extend_from_slice(header.raw());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    const fn new(start: StartLine, version: String) -> Self {
        Self { start, version, headers: Vec::new(), body: Vec::new() }
    }

    /// A request without headers.
    #[must_use]
    pub fn request(method: Method, uri: impl Into<String>) -> Self {
        Self::new(StartLine::Request { method, uri: uri.into() }, "SIP/2.0".to_owned())
    }

    /// A response without headers.
    #[must_use]
    pub fn response(status: u16, reason: &str) -> Self {
        let reason = reason.to_owned();
        Self::new(StartLine::Response { status, reason }, "SIP/2.0".to_owned())
    }

    /// The standard phrase of a status.
    #[must_use]
    pub const fn reason_phrase(status: u16) -> &'static str {
        phrase(status)
    }

    /// The method of a request.
    #[must_use]
    pub const fn method(&self) -> Option<&Method> {
        match &self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// The Request-URI of a request.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        match &self.start {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Response { .. } => None,
        }
    }

    /// The status of a response.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self.start {
            StartLine::Response { status, .. } => Some(status),
            StartLine::Request { .. } => None,
        }
    }

    /// The reason phrase of a response, as the peer wrote it.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match &self.start {
            StartLine::Response { reason, .. } => Some(reason),
            StartLine::Request { .. } => None,
        }
    }

    /// True for a request.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        matches!(self.start, StartLine::Request { .. })
    }

    /// Appends a header.
    pub fn push(&mut self, name: &str, value: impl AsRef<str>) {
        self.headers.push(Header::new(name, value.as_ref()));
    }

    /// Appends a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.push(name, value);
        self
    }

    /// Puts a header before all others.
    pub fn prepend(&mut self, name: &str, value: impl AsRef<str>) {
        self.headers.insert(0, Header::new(name, value.as_ref()));
    }

    /// Gives a header this one value: the first keeps its place, further ones go.
    pub fn set(&mut self, name: &str, value: impl AsRef<str>) {
        let header = Header::new(name, value.as_ref());
        let Some(at) = self.headers.iter().position(|header| header.is(name)) else {
            self.headers.push(header);
            return;
        };
        self.headers[at] = header;
        let mut index = 0;
        self.headers.retain(|header| {
            index += 1;
            index <= at + 1 || !header.is(name)
        });
    }

    /// Removes every header of this name; returns how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.headers.len();
        self.headers.retain(|header| !header.is(name));
        before - self.headers.len()
    }

    /// Sets the body with its Content-Type and Content-Length.
    pub fn set_body(&mut self, content_type: &str, body: impl Into<Vec<u8>>) {
        self.body = body.into();
        self.set("Content-Type", content_type);
        let length = self.body.len().to_string();
        self.set("Content-Length", length);
    }

    pub(super) fn fields(&self) -> &[Header] {
        &self.headers
    }

    fn first(&self, name: &str) -> Option<&Header> {
        self.headers.iter().find(|header| header.is(name))
    }

    /// The value of the first header of this name (compact or long, any case), unfolded. Bytes
    /// that are no UTF-8 show as U+FFFD; [`to_bytes`](Self::to_bytes) still has them.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.first(name).map(Header::value)
    }

    /// The values of every header of this name, one for each line.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |header| header.is(name)).map(Header::value)
    }

    /// The values of every header of this name as one list: lines in order, each split at its
    /// commas (RFC 3261 section 7.3.1).
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        let all = self.headers.iter().filter(|header| header.is(name));
        all.flat_map(|header| split_list(header.value()).map(|(_, item)| item)).collect()
    }

    fn need(&self, name: &'static str, rule: &'static str) -> Result<&Header, Malformed> {
        self.first(name)
            .ok_or_else(|| Malformed::new(rule, 0, format!("{name} is missing; add it")))
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// Missing, or not as RFC 3261 section 20.42 says.
    pub fn via(&self) -> Result<Via, Malformed> {
        let header = self.need("Via", "RFC 3261 8.1.1.7")?;
        let (at, first) = split_list(header.value()).next().unwrap_or((0, ""));
        Via::parse(first).map_err(|fault| fault.shifted(header.value_offset() + at))
    }

    /// Every Via, topmost first.
    ///
    /// # Errors
    /// As for [`via`](Self::via).
    pub fn vias(&self) -> Result<Vec<Via>, Malformed> {
        self.each("Via", Via::parse)
    }

    fn each<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let mut all = Vec::new();
        for header in self.headers.iter().filter(|header| header.is(name)) {
            for (at, item) in split_list(header.value()) {
                let value = parse(item);
                all.push(value.map_err(|fault| fault.shifted(header.value_offset() + at))?);
            }
        }
        Ok(all)
    }

    fn address(&self, name: &'static str, rule: &'static str) -> Result<NameAddr, Malformed> {
        let header = self.need(name, rule)?;
        NameAddr::parse(header.value()).map_err(|fault| fault.shifted(header.value_offset()))
    }

    /// The From header.
    ///
    /// # Errors
    /// Missing, or not as RFC 3261 section 20.20 says.
    pub fn from(&self) -> Result<NameAddr, Malformed> {
        self.address("From", "RFC 3261 8.1.1.3")
    }

    /// The To header.
    ///
    /// # Errors
    /// Missing, or not as RFC 3261 section 20.39 says.
    pub fn to(&self) -> Result<NameAddr, Malformed> {
        self.address("To", "RFC 3261 8.1.1.2")
    }

    /// Every Contact.
    ///
    /// # Errors
    /// One is not as RFC 3261 section 20.10 says.
    pub fn contacts(&self) -> Result<Vec<Contact>, Malformed> {
        self.each("Contact", Contact::parse)
    }

    /// Every Route.
    ///
    /// # Errors
    /// One is not as RFC 3261 section 20.34 says.
    pub fn routes(&self) -> Result<Vec<NameAddr>, Malformed> {
        self.each("Route", NameAddr::parse)
    }

    /// Every Record-Route.
    ///
    /// # Errors
    /// One is not as RFC 3261 section 20.30 says.
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, Malformed> {
        self.each("Record-Route", NameAddr::parse)
    }

    /// The CSeq header.
    ///
    /// # Errors
    /// Missing, or not as RFC 3261 section 20.16 says.
    pub fn cseq(&self) -> Result<CSeq, Malformed> {
        let header = self.need("CSeq", "RFC 3261 8.1.1.5")?;
        CSeq::parse(header.value()).map_err(|fault| fault.shifted(header.value_offset()))
    }

    /// The Call-ID.
    ///
    /// # Errors
    /// Missing or empty (RFC 3261 section 20.8).
    pub fn call_id(&self) -> Result<&str, Malformed> {
        let header = self.need("Call-ID", "RFC 3261 8.1.1.4")?;
        let value = header.value();
        if value.is_empty() || value.contains([' ', '\t']) {
            let what = "Call-ID must be one word; write a unique word";
            return Err(Malformed::new("RFC 3261 20.8", header.value_offset(), what));
        }
        Ok(value)
    }

    fn number(&self, name: &str, rule: &'static str) -> Result<Option<u32>, Malformed> {
        let Some(header) = self.first(name) else { return Ok(None) };
        let value = header.value();
        match value.parse() {
            Ok(number) if value.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(number)),
            _ => {
                let what = format!("{name} is `{}`; write a number below 2^32", excerpt(value));
                Err(Malformed::new(rule, header.value_offset(), what))
            }
        }
    }

    /// Expires, in seconds.
    ///
    /// # Errors
    /// No number below 2^32 (RFC 3261 section 20.19).
    pub fn expires(&self) -> Result<Option<u32>, Malformed> {
        self.number("Expires", "RFC 3261 20.19")
    }

    /// Min-Expires, in seconds.
    ///
    /// # Errors
    /// No number below 2^32 (RFC 3261 section 20.23).
    pub fn min_expires(&self) -> Result<Option<u32>, Malformed> {
        self.number("Min-Expires", "RFC 3261 20.23")
    }

    /// Max-Forwards.
    ///
    /// # Errors
    /// No number from 0 to 255 (RFC 3261 section 20.22).
    pub fn max_forwards(&self) -> Result<Option<u32>, Malformed> {
        const RULE: &str = "RFC 3261 20.22";
        let number = self.number("Max-Forwards", RULE)?;
        if number.is_some_and(|number| number > 255) {
            let at = self.first("Max-Forwards").map_or(0, Header::value_offset);
            return Err(Malformed::new(RULE, at, "Max-Forwards above 255; write 70"));
        }
        Ok(number)
    }

    /// Content-Length, in bytes.
    ///
    /// # Errors
    /// No number (RFC 3261 section 20.14).
    pub fn content_length(&self) -> Result<Option<usize>, Malformed> {
        let number = self.number("Content-Length", "RFC 3261 20.14")?;
        Ok(number.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
    }

    /// The challenges of a 401 (WWW-Authenticate) and 407 (Proxy-Authenticate).
    ///
    /// # Errors
    /// One is not as RFC 3261 section 20.44 says.
    pub fn challenges(&self) -> Result<Vec<Challenge>, Malformed> {
        self.auth("WWW-Authenticate", "Proxy-Authenticate")
    }

    /// The credentials of a request (Authorization, Proxy-Authorization).
    ///
    /// # Errors
    /// One is not as RFC 3261 section 20.7 says.
    pub fn credentials(&self) -> Result<Vec<Challenge>, Malformed> {
        self.auth("Authorization", "Proxy-Authorization")
    }

    fn auth(&self, plain: &str, proxy: &str) -> Result<Vec<Challenge>, Malformed> {
        let mut all = Vec::new();
        for header in &self.headers {
            let by_proxy = header.is(proxy);
            if by_proxy || header.is(plain) {
                let value = Challenge::parse(header.value(), by_proxy);
                all.push(value.map_err(|fault| fault.shifted(header.value_offset()))?);
            }
        }
        Ok(all)
    }

    /// A response to this request (RFC 3261 section 8.2.6): every Via, From, To, Call-ID and CSeq
    /// as they came, Record-Route where a dialog may begin, no body. `to_tag` is added to a To
    /// without one.
    #[must_use]
    pub fn reply(&self, status: u16, reason: &str, to_tag: Option<&str>) -> Self {
        let mut response = Self::response(status, reason);
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"];
        let dialog = (101..300).contains(&status);
        for header in &self.headers {
            let wanted = copied.iter().any(|name| header.is(name))
                || (dialog && header.is("Record-Route"))
                || (status == 100 && header.is("Timestamp"));
            if wanted {
                response.headers.push(header.clone());
            }
        }
        if let Some(tag) = to_tag
            && self.to().is_ok_and(|to| to.tag().is_none())
        {
            let to = format!("{};tag={tag}", self.header("To").unwrap_or_default());
            response.set("To", to);
        }
        response.push("Content-Length", "0");
        response
    }

    /// Notes in the topmost Via where the request really came from (RFC 3261 section 18.2.1,
    /// RFC 3581 section 4).
    ///
    /// # Errors
    /// As for [`via`](Self::via).
    pub fn stamp_via(&mut self, source: SocketAddr) -> Result<(), Malformed> {
        let mut via = self.via()?;
        let before = via.clone();
        via.stamp(source);
        if via == before {
            return Ok(());
        }
        let at = self.headers.iter().position(|header| header.is("Via")).unwrap_or_default();
        let rest: Vec<_> =
            split_list(self.headers[at].value()).skip(1).map(|(_, item)| item.to_owned()).collect();
        let mut value = via.to_string();
        for item in rest {
            value.push_str(", ");
            value.push_str(&item);
        }
        self.headers[at] = Header::new("Via", &value);
        Ok(())
    }
}

/// Walks over the lines of a head.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// One line with its CRLF, and where it began.
    fn next_line(&mut self) -> Result<(usize, &'a [u8]), Malformed> {
        let from = self.at;
        let tail = &self.bytes[from..];
        let Some(feed) = tail.iter().position(|byte| *byte == b'\n') else {
            let what = "the head never ends; close it with an empty line (CRLF CRLF)";
            return Err(Malformed::new("RFC 3261 7", self.bytes.len(), what));
        };
        if feed == 0 || tail[feed - 1] != b'\r' {
            let what = "a line ends in LF alone; end lines with CRLF";
            return Err(Malformed::new("RFC 3261 7", from + feed, what));
        }
        self.at = from + feed + 1;
        Ok((from, &tail[..=feed]))
    }

    /// One field with the lines that continue it.
    fn next_field(&mut self) -> Result<(usize, &'a [u8]), Malformed> {
        let (from, first) = self.next_line()?;
        if first != b"\r\n" {
            while matches!(self.bytes.get(self.at), Some(b' ' | b'\t')) {
                self.next_line()?;
            }
        }
        Ok((from, &self.bytes[from..self.at]))
    }
}

fn read_start(line: &[u8]) -> Result<(StartLine, String), Malformed> {
    const RULE: &str = "RFC 3261 7";
    let text = std::str::from_utf8(line).map_err(|error| {
        Malformed::new(RULE, error.valid_up_to(), "no UTF-8; write the start line in UTF-8")
    })?;
    let text = text.trim_end_matches(['\r', '\n']);
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    if first.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("SIP/")) {
        check_version(first, 0)?;
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let status = code.parse().ok().filter(|status| (100..700).contains(status));
        let Some(status) = status.filter(|_| code.len() == 3) else {
            let what = format!("status `{}`; write a number from 100 to 699", excerpt(code));
            return Err(Malformed::new("RFC 3261 7.2", first.len() + 1, what));
        };
        let start = StartLine::Response { status, reason: reason.to_owned() };
        return Ok((start, first.to_owned()));
    }
    let (uri, version) = rest.split_once(' ').unwrap_or((rest, ""));
    if version.is_empty() || uri.is_empty() || version.contains(' ') {
        let what = "no start line; write `METHOD uri SIP/2.0` with single spaces";
        return Err(Malformed::new("RFC 3261 7.1", 0, what));
    }
    check_version(version, text.len() - version.len())?;
    let start = StartLine::Request { method: Method::parse(first)?, uri: uri.to_owned() };
    Ok((start, version.to_owned()))
}

fn check_version(version: &str, at: usize) -> Result<(), Malformed> {
    if version.eq_ignore_ascii_case("SIP/2.0") {
        return Ok(());
    }
    let what = format!("version `{}`; write SIP/2.0", excerpt(version));
    Err(Malformed::new(VERSION_RULE, at, what))
}
