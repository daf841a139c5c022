//! A phone with no more in it than the wake needs: a socket, a session id and two counters.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SDP: &str = "v=0\\r\\no=u 1 1 IN IP4 127.0.0.1\\r\\ns=-\\r\\nc=IN IP4 127.0.0.1\\r\\nt=0 0\\r\\nm=audio 9 RTP/AVP 0\\r\\n";

/// The moments of one wake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    /// The resume was written.
    pub(crate) resumed: Instant,
    /// The `start` was read.
    pub(crate) started: Instant,
}

#[derive(Debug)]
pub(crate) struct Phone {
    pub(crate) user: String,
    pub(crate) token: String,
    web: String,
    session: String,
    last_in: u64,
    last_out: u64,
    socket: Option<TcpStream>,
    heard: Vec<u8>,
}

/// How many phones enrol at once.
const AT_ONCE: usize = 64;

/// Phones `from..until`, enrolled and asleep.
/// They belong to this many users.
pub(crate) async fn asleep(web: &str, from: usize, until: usize, users: usize) -> Vec<Phone> {
    let mut phones = Vec::with_capacity(until.saturating_sub(from));
    let mut under_way = tokio::task::JoinSet::new();
    let mut numbers = from..until;
    loop {
        while under_way.len() < AT_ONCE {
            let Some(number) = numbers.next() else { break };
            let user = format!("u{}", number % users);
            // As long as a token of FCM.
            let token = format!("{number:0>142}");
            let mut phone = Phone::new(user, token, web.to_owned());
            under_way.spawn_local(async move {
                phone.enrol().await.expect("the phone enrols");
                phone
            });
        }
        let Some(phone) = under_way.join_next().await else { return phones };
        phones.push(phone.expect("the phone enrols"));
    }
}

impl Phone {
    pub(crate) fn new(user: String, token: String, web: String) -> Self {
        let (session, socket, heard) = (String::new(), None, Vec::new());
        Self { user, token, web, session, last_in: 0, last_out: 0, socket, heard }
    }

    /// Connects for the first time, gives its token, and sleeps.
    pub(crate) async fn enrol(&mut self) -> std::io::Result<()> {
        self.open().await?;
        let (user, token) = (self.user.clone(), self.token.clone());
        self.last_out = 1;
        let text = format!(
            "{{\"control\":{{\"type\":\"request\",\"package_type\":\"register\",\"sequence\":1,\
             \"version\":\"1.0\"}},\"header\":{{\"action\":\"connect\",\"initiator\":\
             \"{user}@example.com\",\"target\":\"{user}@example.com\"}},\"payload\":\
             {{\"deviceToken\":\"{token}\",\"capability\":{{\"platform\":\"android\",\
             \"push_provider\":\"webhook\",\"app_id\":\"bench\"}}}}}}"
        );
        self.write(&[text]).await?;
        let answer = self.frame().await?;
        self.session = word(&answer, "\"session_id\":\"").unwrap_or_default().to_owned();
        self.sleep().await
    }

    /// Comes back after a push, takes one call, and sleeps again when it is over.
    pub(crate) async fn take_call(&mut self) -> std::io::Result<Moments> {
        self.open().await?;
        let resume = self.resume();
        self.write(&[resume]).await?;
        let resumed = Instant::now();
        let start = self.until("\"action\":\"start\"").await?;
        let started = Instant::now();
        let call = word(&start, "\"subsession_id\":\"").unwrap_or_default().to_owned();
        let correlation = word(&start, "\"correlation_id\":\"").unwrap_or_default().to_owned();
        let ringing = self.call_frame(&call, &correlation, "subsequent", "{}");
        let answer =
            self.call_frame(&call, &correlation, "final", &format!("{{\"sdp\":\"{SDP}\"}}"));
        self.write(&[ringing, answer]).await?;
        self.until("\"action\":\"shutdown\"").await?;
        self.sleep().await?;
        Ok(Moments { resumed, started })
    }

    /// True if the gateway still has the session.
    pub(crate) async fn is_known(&mut self) -> std::io::Result<bool> {
        self.open().await?;
        self.write(&[self.resume()]).await?;
        let answer = self.frame().await?;
        self.socket = None;
        Ok(word(&answer, "\"session_id\":\"") == Some(self.session.as_str()))
    }

    fn resume(&self) -> String {
        format!(
            "{{\"control\":{{\"type\":\"request\",\"package_type\":\"register\",\"session_id\":\
             \"{}\",\"version\":\"1.0\"}},\"header\":{{\"action\":\"connect\",\"cslr\":{},\
             \"subsessions\":[]}}}}",
            self.session, self.last_in
        )
    }

    fn call_frame(&mut self, call: &str, correlation: &str, state: &str, payload: &str) -> String {
        self.last_out += 1;
        format!(
            "{{\"control\":{{\"type\":\"response\",\"package_type\":\"call\",\"session_id\":\"{}\",\
             \"subsession_id\":\"{call}\",\"sequence\":{},\"ack_sequence\":{},\"correlation_id\":\
             \"{correlation}\",\"message_state\":\"{state}\",\"version\":\"1.0\"}},\"header\":\
             {{\"action\":\"start\"}},\"payload\":{payload}}}",
            self.session, self.last_out, self.last_in
        )
    }

    async fn sleep(&mut self) -> std::io::Result<()> {
        self.last_out += 1;
        let text = format!(
            "{{\"control\":{{\"type\":\"request\",\"package_type\":\"register\",\"session_id\":\"{}\",\
             \"sequence\":{},\"ack_sequence\":{},\"correlation_id\":\"c{}\",\"version\":\"1.0\"}},\
             \"header\":{{\"action\":\"hibernate\",\"ttl\":86400}},\"payload\":{{}}}}",
            self.session, self.last_out, self.last_in, self.last_out
        );
        self.write(&[text]).await?;
        self.until("\"action\":\"hibernate\"").await?;
        if let Some(mut socket) = self.socket.take() {
            // Close 4001, masked with a key of zeroes.
            socket.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa1]).await?;
        }
        self.heard.clear();
        Ok(())
    }

    async fn open(&mut self) -> std::io::Result<()> {
        let socket = TcpStream::connect(&self.web).await?;
        socket.set_nodelay(true)?;
        let basic = STANDARD.encode(format!("{}:s", self.user));
        let head = format!(
            "GET /ws/webrtc/phone HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: webrtc.oracle.com\r\n\
             Authorization: Basic {basic}\r\n\r\n",
            self.web
        );
        let socket = self.socket.insert(socket);
        socket.write_all(head.as_bytes()).await?;
        self.heard.clear();
        loop {
            if let Some(end) = self.heard.windows(4).position(|four| four == b"\r\n\r\n") {
                let is_open = self.heard.starts_with(b"HTTP/1.1 101");
                self.heard.drain(..end + 4);
                return if is_open { Ok(()) } else { Err(broken("no upgrade")) };
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> std::io::Result<()> {
        let socket = self.socket.as_mut().ok_or_else(|| broken("no socket"))?;
        if socket.read_buf(&mut self.heard).await? == 0 {
            return Err(broken("the gateway closed"));
        }
        Ok(())
    }

    async fn write(&mut self, texts: &[String]) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        for text in texts {
            bytes.push(0x81);
            match u8::try_from(text.len()) {
                Ok(short) if short < 126 => bytes.push(0x80 | short),
                _ => {
                    bytes.push(0xfe);
                    bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
                }
            }
            bytes.extend([0; 4]);
            bytes.extend(text.as_bytes());
        }
        let socket = self.socket.as_mut().ok_or_else(|| broken("no socket"))?;
        socket.write_all(&bytes).await
    }

    /// Frames up to the one that holds `what`.
    async fn until(&mut self, what: &str) -> std::io::Result<String> {
        loop {
            let text = self.frame().await?;
            if text.contains(what) {
                return Ok(text);
            }
        }
    }

    async fn frame(&mut self) -> std::io::Result<String> {
        loop {
            if let Some((opcode, text)) = take_frame(&mut self.heard) {
                if opcode == 8 {
                    let code =
                        text.bytes().take(2).fold(0_u32, |code, byte| code << 8 | u32::from(byte));
                    return Err(broken(&format!("a close frame, {code}, {text:?}")));
                }
                if let Some(sequence) = number(&text, "\"sequence\":") {
                    self.last_in = self.last_in.max(sequence);
                }
                return Ok(text);
            }
            self.read().await?;
        }
    }
}

/// One whole frame of a server, if it is there.
fn take_frame(heard: &mut Vec<u8>) -> Option<(u8, String)> {
    let opcode = heard.first()? & 0x0f;
    let (head, length) = match *heard.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes([*heard.get(2)?, *heard.get(3)?]))),
        short => (2, usize::from(short)),
    };
    if heard.len() < head + length {
        return None;
    }
    let text = String::from_utf8_lossy(&heard[head..head + length]).into_owned();
    heard.drain(..head + length);
    Some((opcode, text))
}

fn word<'t>(text: &'t str, before: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    rest.split('"').next()
}

fn number(text: &str, before: &str) -> Option<u64> {
    // `ack_sequence` ends with the same letters, hence the quote in `before`.
    let (_, rest) = text.split_once(before)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

fn broken(what: &str) -> std::io::Error {
    std::io::Error::other(what.to_owned())
}
