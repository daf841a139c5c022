//! Reads raw SIP text line by line, where rsip refuses: compact names, folded lines, IPv6, Contact
//! with `+sip.instance`. It judges nothing; a reader wants values, the judge has its own eyes.

/// The most bytes of one SIP message that the cast keeps.
pub const MESSAGE_LIMIT: usize = 64 * 1024;

/// A SIP message cut into lines and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// The first line.
    pub start: String,
    /// Names as written (compact ones in full, lower case) and unfolded values, in order.
    pub headers: Vec<(String, String)>,
    /// What follows the empty line.
    pub body: Vec<u8>,
}

/// Cuts `bytes`. `None` if there is no empty line, no start line, or a line without a colon.
#[must_use]
pub fn scan(bytes: &[u8]) -> Option<Scanned> {
    let end = head_length(bytes)?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let start = lines.next().filter(|line| !line.is_empty())?.to_owned();
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            let (_, value) = headers.last_mut()?;
            value.push(' ');
            value.push_str(line.trim());
            continue;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((full_name(name.trim()), value.trim().to_owned()));
    }
    Some(Scanned { start, headers, body: bytes[end..].to_vec() })
}

fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn full_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let full = match lower.as_str() {
        "v" => "via",
        "f" => "from",
        "t" => "to",
        "i" => "call-id",
        "m" => "contact",
        "l" => "content-length",
        "c" => "content-type",
        "s" => "subject",
        "k" => "supported",
        "e" => "content-encoding",
        _ => return lower,
    };
    full.to_owned()
}

impl Scanned {
    /// The first header of that name (lower case, in full), as it stands.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The values of all headers of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The status code, if it is a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
    }

    /// The method, if it is a request.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        let (method, rest) = self.start.split_once(' ')?;
        rest.ends_with(" SIP/2.0").then_some(method)
    }

    /// The method named by CSeq.
    #[must_use]
    pub fn cseq_method(&self) -> Option<&str> {
        self.header("cseq")?.split_whitespace().nth(1)
    }

    /// The number in CSeq.
    #[must_use]
    pub fn cseq_number(&self) -> Option<u32> {
        self.header("cseq")?.split_whitespace().next()?.parse().ok()
    }

    /// The branch of the topmost Via.
    #[must_use]
    pub fn branch(&self) -> Option<String> {
        param(self.header("via")?.split(',').next()?, "branch")
    }

    /// The Call-ID, or the empty text.
    #[must_use]
    pub fn call_id(&self) -> &str {
        self.header("call-id").unwrap_or_default()
    }
}

/// The URI of a name-addr or addr-spec value: what stands between angle brackets, or all up to the
/// first parameter.
#[must_use]
pub fn uri(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => value.split([';', ',']).next().unwrap_or_default().trim(),
    }
}

/// A parameter of the header value (after the angle brackets, if it has any), without quotes.
#[must_use]
pub fn param(value: &str, name: &str) -> Option<String> {
    let params = value.rsplit_once('>').map_or(value, |(_, after)| after);
    params.split(';').skip(1).find_map(|one| {
        let (have, content) = one.split_once('=').unwrap_or((one, ""));
        have.trim().eq_ignore_ascii_case(name).then(|| content.trim().trim_matches('"').to_owned())
    })
}

/// `+sip.instance="<urn:uuid:...>"` holds angle brackets of its own, so its value is taken from the
/// whole header.
#[must_use]
pub fn instance(contact: &str) -> Option<String> {
    let (_, after) = contact.split_once("+sip.instance=\"")?;
    after.split('"').next().map(str::to_owned)
}

/// Cuts a TCP stream into SIP messages by Content-Length (RFC 3261 18.3).
#[derive(Debug, Default)]
pub struct Framer(Vec<u8>);

impl Framer {
    /// Adds what was read. False if the peer's message is beyond [`MESSAGE_LIMIT`]: hang up.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        self.0.extend_from_slice(bytes);
        self.0.len() <= MESSAGE_LIMIT * 2
    }

    /// The next whole message. Keep-alive line ends between messages are skipped.
    pub fn next_message(&mut self) -> Option<Vec<u8>> {
        let skip = self.0.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.0.drain(..skip);
        let head = head_length(&self.0)?;
        let length = scan(&self.0[..head])
            .and_then(|head| head.header("content-length")?.parse::<usize>().ok())
            .unwrap_or(0);
        let whole = head.checked_add(length)?;
        (self.0.len() >= whole).then(|| self.0.drain(..whole).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGE: &[u8] =
        b"SIP/2.0 200 OK\r\nv: SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1\r\n\
t: <sip:bob@example.com>;\r\n tag=x\r\ni: c1\r\nCSeq: 7 INVITE\r\n\
m: <sip:tok@[2001:db8::2]:5060;ob>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\r\nl: 3\r\n\r\nabc";

    #[test]
    fn compact_folded_and_ipv6_are_read() {
        let message = scan(STRANGE).unwrap();
        assert_eq!(message.status(), Some(200));
        assert_eq!(message.branch().as_deref(), Some("z9hG4bK1"));
        assert_eq!(param(message.header("to").unwrap(), "tag").as_deref(), Some("x"));
        let contact = message.header("contact").unwrap();
        assert_eq!(uri(contact), "sip:tok@[2001:db8::2]:5060;ob");
        assert_eq!(instance(contact).as_deref(), Some("<urn:uuid:1>"));
        assert_eq!((message.cseq_number(), message.cseq_method()), (Some(7), Some("INVITE")));
        assert_eq!(message.body, b"abc");
    }

    #[test]
    fn a_stream_is_cut_wherever_it_was_split() {
        let mut stream = b"\r\n\r\n".to_vec();
        stream.extend_from_slice(STRANGE);
        stream.extend_from_slice(STRANGE);
        for cut in 0..stream.len() {
            let mut framer = Framer::default();
            let mut got = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                assert!(framer.push(part));
                got.extend(std::iter::from_fn(|| framer.next_message()));
            }
            assert_eq!(got, [STRANGE, STRANGE], "cut at {cut}");
        }
    }
}
