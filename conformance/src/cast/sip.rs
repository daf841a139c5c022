//! Builds SIP with rsip, and tells by rsip what it cannot read; sockets for it on one host.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reveille_host::{BoxStream, Host, Udp, within};
use reveille_trace::{Draft, Kind, Scribe};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::scan::{Framer, MESSAGE_LIMIT, scan};

/// How long one write to a peer may take.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// How long connecting may take.
const DIAL_LIMIT: Duration = Duration::from_secs(5);

/// What SIP runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Datagrams.
    #[default]
    Udp,
    /// Streams.
    Tcp,
}

impl Transport {
    /// As Via spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

/// A request, built with rsip. Where rsip refuses the URI (IPv6, unknown schemes), the start line is
/// prepared here.
#[must_use]
pub fn request(method: &str, uri: &str, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let known = method.parse::<rsip::Method>();
    match (known, rsip::Uri::try_from(uri)) {
        (Ok(method), Ok(parsed)) if parsed.to_string() == uri => {
            let headers = rsip_headers(headers, body.len());
            let version = rsip::Version::V2;
            rsip::Request { method, uri: parsed, version, headers, body: body.to_vec() }.into()
        }
        _ => {
            let head =
                format!("{method} {uri} SIP/2.0\r\n{}\r\n", rsip_headers(headers, body.len()));
            [head.as_bytes(), body].concat()
        }
    }
}

/// A response to `to`, built with rsip: Via, From, To, Call-ID and CSeq are taken over; `tag` is
/// added to a To that has none.
#[must_use]
pub fn response(
    to: &super::scan::Scanned,
    status: u16,
    tag: &str,
    more: &[(&str, String)],
) -> Vec<u8> {
    response_with(to, status, tag, more, b"")
}

/// As [`response`], with a body; 100 gets no tag.
#[must_use]
pub fn response_with(
    to: &super::scan::Scanned,
    status: u16,
    tag: &str,
    more: &[(&str, String)],
    body: &[u8],
) -> Vec<u8> {
    let mut headers: Vec<(&str, String)> = Vec::new();
    for (name, value) in &to.headers {
        match name.as_str() {
            "via" => headers.push(("Via", value.clone())),
            "from" => headers.push(("From", value.clone())),
            "to" if status == 100 || super::scan::param(value, "tag").is_some() => {
                headers.push(("To", value.clone()));
            }
            "to" => headers.push(("To", format!("{value};tag={tag}"))),
            "call-id" => headers.push(("Call-ID", value.clone())),
            "cseq" => headers.push(("CSeq", value.clone())),
            _ => {}
        }
    }
    headers.extend(more.iter().map(|(name, value)| (*name, value.clone())));
    rsip::Response {
        status_code: rsip::StatusCode::from(status),
        version: rsip::Version::V2,
        headers: rsip_headers(&headers, body.len()),
        body: body.to_vec(),
    }
    .into()
}

/// A message from its start line, its headers by their full lower-case names, and its body.
#[must_use]
pub fn from_parts(start: &str, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{start}\r\n");
    for (name, value) in headers {
        head = format!("{head}{}: {value}\r\n", written(name));
    }
    head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A header's name as documents write it.
fn written(name: &str) -> String {
    match name {
        "call-id" => return "Call-ID".to_owned(),
        "cseq" => return "CSeq".to_owned(),
        "rseq" => return "RSeq".to_owned(),
        "rack" => return "RAck".to_owned(),
        _ => {}
    }
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_ascii_uppercase())
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// `host:port` of a SIP URI; 5060 where it names no port.
#[must_use]
pub fn host_port(uri: &str) -> String {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let place = place.split([';', '?', '>']).next().unwrap_or_default();
    let has_port = place.rsplit_once(':').is_some_and(|(host, _)| {
        // Within the brackets of IPv6 a colon is no port's.
        !host.starts_with('[') || host.ends_with(']')
    });
    if has_port { place.to_owned() } else { format!("{place}:5060") }
}

fn rsip_headers(headers: &[(&str, String)], length: usize) -> rsip::Headers {
    use rsip::headers::{CSeq, CallId, ContentLength, From, To, UntypedHeader as _, Via};
    let mut all = rsip::Headers::default();
    for (name, value) in headers {
        let value = value.clone();
        all.push(match *name {
            "Via" => Via::new(value).into(),
            "From" => From::new(value).into(),
            "To" => To::new(value).into(),
            "CSeq" => CSeq::new(value).into(),
            "Call-ID" => CallId::new(value).into(),
            _ => rsip::Header::Other((*name).to_owned(), value),
        });
    }
    all.push(ContentLength::new(length.to_string()).into());
    all
}

/// Which way a message came, and so where its answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Datagrams of this peer.
    Udp(SocketAddr),
    /// The stream of this number.
    Tcp(u64),
}

/// What happens at the sockets.
pub enum Arrival {
    /// A whole message.
    Message {
        /// Its bytes.
        bytes: Vec<u8>,
        /// The way back.
        path: Path,
        /// Who sent it.
        from: SocketAddr,
    },
    /// A peer connected to us.
    Opened(u64, WriteHalf<BoxStream>),
    /// A stream ended.
    Closed(u64),
}

/// The SIP sockets of one actor. It owns the writing side; what arrives goes to the inbox.
pub struct Sockets<I> {
    host: Host,
    scribe: Scribe,
    udp: Option<Arc<dyn Udp>>,
    streams: BTreeMap<u64, WriteHalf<BoxStream>>,
    dialled: u64,
    inbox: mpsc::Sender<I>,
    /// The port that peers reach us at.
    pub port: u16,
}

impl<I: From<Arrival> + Send + 'static> Sockets<I> {
    /// Opens `listen` (`address:port`) for datagrams, streams or both.
    ///
    /// # Errors
    /// Which address could not be opened, and why.
    pub async fn open(
        host: Host,
        scribe: Scribe,
        listen: &str,
        transports: &[Transport],
        inbox: mpsc::Sender<I>,
    ) -> Result<Self, String> {
        let failed = |error| format!("cannot open {listen} for SIP: {error}");
        let mut open =
            Self { host, scribe, udp: None, streams: BTreeMap::new(), dialled: 0, inbox, port: 0 };
        for transport in transports {
            let port = match transport {
                Transport::Udp => {
                    let socket = open.host.net.udp(listen).await.map_err(failed)?;
                    let port = socket.local_addr().map_err(failed)?.port();
                    open.host
                        .tasks
                        .spawn("sip-udp", Box::pin(read_udp(socket.clone(), open.inbox.clone())));
                    open.udp = Some(socket);
                    port
                }
                Transport::Tcp => {
                    let listener = open.host.net.listen(listen).await.map_err(failed)?;
                    let port = listener.local_addr().map_err(failed)?.port();
                    let accept = accept(listener, open.host.clone(), open.inbox.clone());
                    open.host.tasks.spawn("sip-accept", Box::pin(accept));
                    port
                }
            };
            open.port = port;
        }
        Ok(open)
    }

    /// A way to `peer` (`host:port`).
    ///
    /// # Errors
    /// The name is unknown or nobody accepts.
    pub async fn path_to(&mut self, peer: &str, transport: Transport) -> Result<Path, String> {
        let failed = |error| format!("cannot reach {peer}: {error}");
        match transport {
            Transport::Udp => self.host.net.resolve(peer).await.map(Path::Udp).map_err(failed),
            Transport::Tcp => {
                let dial = within(&*self.host.clock, DIAL_LIMIT, self.host.net.dial(peer)).await;
                let stream =
                    dial.ok_or_else(|| format!("{peer} did not accept"))?.map_err(failed)?;
                let from = self.host.net.resolve(peer).await.map_err(failed)?;
                let (read, write) = tokio::io::split(stream);
                // Odd numbers are ours, even ones the listener's.
                self.dialled += 2;
                let id = self.dialled - 1;
                self.streams.insert(id, write);
                let task = read_tcp(read, id, from, self.inbox.clone());
                self.host.tasks.spawn("sip-tcp", Box::pin(task));
                Ok(Path::Tcp(id))
            }
        }
    }

    /// True while messages can be written to `path`.
    #[must_use]
    pub fn is_open(&self, path: Path) -> bool {
        match path {
            Path::Udp(_) => true,
            Path::Tcp(id) => self.streams.contains_key(&id),
        }
    }

    /// Takes note of a stream; records a message, and returns it.
    pub fn took(&mut self, arrival: Arrival) -> Option<(Vec<u8>, Path, SocketAddr)> {
        match arrival {
            Arrival::Opened(id, write) => {
                self.streams.insert(id, write);
                None
            }
            Arrival::Closed(id) => {
                self.streams.remove(&id);
                None
            }
            Arrival::Message { bytes, path, from } => {
                let call_id = scan(&bytes).map(|m| m.call_id().to_owned()).unwrap_or_default();
                let draft = Draft::new(Kind::SipReceived)
                    .corr(call_id.clone())
                    .raw(bytes.clone())
                    .with("transport", transport_of(path).name())
                    .with("from", from.to_string());
                self.note(draft);
                if let Err(error) = rsip::SipMessage::try_from(bytes.as_slice()) {
                    let text = format!("rsip cannot read it: {error}");
                    self.note(Draft::new(Kind::Note).corr(call_id).with("text", text));
                }
                Some((bytes, path, from))
            }
        }
    }

    /// Sends and records. A stream that fails is dropped; the peer's silence shows.
    pub async fn send(&mut self, bytes: Vec<u8>, path: Path) {
        let to = match path {
            Path::Udp(to) => to.to_string(),
            Path::Tcp(id) => format!("stream {id}"),
        };
        let call_id = scan(&bytes).map(|m| m.call_id().to_owned()).unwrap_or_default();
        let draft = Draft::new(Kind::SipSent)
            .corr(call_id)
            .raw(bytes.clone())
            .with("transport", transport_of(path).name())
            .with("to", to);
        self.note(draft);
        match (path, &self.udp) {
            (Path::Udp(to), Some(udp)) => {
                if let Err(error) = udp.send_to(&bytes, to).await {
                    let text = format!("datagram not sent: {error}");
                    self.note(Draft::new(Kind::Note).with("text", text));
                }
            }
            (Path::Udp(_), None) => {
                let text = "datagram not sent: no UDP socket is open";
                self.note(Draft::new(Kind::Note).with("text", text));
            }
            (Path::Tcp(id), _) => self.write(id, &bytes).await,
        }
    }

    async fn write(&mut self, id: u64, bytes: &[u8]) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let written = within(&*self.host.clock, WRITE_LIMIT, stream.write_all(bytes)).await;
        if !matches!(written, Some(Ok(()))) {
            self.streams.remove(&id);
        }
    }

    fn note(&self, draft: Draft) {
        self.scribe.note(now_us(&self.host), draft);
    }
}

/// Microseconds on the host's monotonic clock.
#[must_use]
pub fn now_us(host: &Host) -> u64 {
    u64::try_from(host.clock.now().mono.as_micros()).unwrap_or(u64::MAX)
}

const fn transport_of(path: Path) -> Transport {
    match path {
        Path::Udp(_) => Transport::Udp,
        Path::Tcp(_) => Transport::Tcp,
    }
}

async fn read_udp<I: From<Arrival>>(socket: Arc<dyn Udp>, inbox: mpsc::Sender<I>) {
    let mut buffer = vec![0; MESSAGE_LIMIT];
    loop {
        // An ICMP error of an earlier send surfaces here; the socket lives on.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            if inbox.is_closed() {
                return;
            }
            tokio::task::yield_now().await;
            continue;
        };
        let bytes = buffer[..length].to_vec();
        let arrival = Arrival::Message { bytes, path: Path::Udp(from), from };
        if inbox.send(arrival.into()).await.is_err() {
            return;
        }
    }
}

async fn accept<I: From<Arrival> + Send + 'static>(
    mut listener: Box<dyn reveille_host::Listener>,
    host: Host,
    inbox: mpsc::Sender<I>,
) {
    let mut id = 0;
    while let Ok((stream, from)) = listener.accept().await {
        id += 2;
        let (read, write) = tokio::io::split(stream);
        if inbox.send(Arrival::Opened(id, write).into()).await.is_err() {
            return;
        }
        host.tasks.spawn("sip-tcp", Box::pin(read_tcp(read, id, from, inbox.clone())));
    }
}

async fn read_tcp<I: From<Arrival>>(
    mut stream: ReadHalf<BoxStream>,
    id: u64,
    from: SocketAddr,
    inbox: mpsc::Sender<I>,
) {
    let mut framer = Framer::default();
    let mut buffer = vec![0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        if !framer.push(&buffer[..length]) {
            break;
        }
        while let Some(bytes) = framer.next_message() {
            let arrival = Arrival::Message { bytes, path: Path::Tcp(id), from };
            if inbox.send(arrival.into()).await.is_err() {
                return;
            }
        }
    }
    // A full inbox that closes is the end of the actor: nobody is left to be told.
    drop(inbox.send(Arrival::Closed(id).into()).await);
}
