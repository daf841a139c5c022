//! The head of an HTTP request on the WebSocket port (RFC 9112, RFC 6455 section 4.2.1): bytes to a
//! request that asks for an upgrade, or the answer that says what to send instead.

use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response, create_response};
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::{Error, error::CapacityError};

use crate::http::Refusal;

/// The longest head, and the most fields in it.
const MOST_HEAD: usize = 16 * 1_024;
const MOST_FIELDS: usize = 100;

/// Where the head ends, if it does yet. Says early what can never become a head.
pub(crate) fn end(heard: &[u8]) -> Result<Option<usize>, Refusal> {
    let refuse = |status, what: String| Err(Refusal::new(status, what));
    match heard.first() {
        Some(0x16) => {
            let what = "offset 0: this is TLS, and the port speaks plain HTTP; write ws:// for \
                wss://, or set the certificate-file and key-file of the port";
            return refuse(400, what.to_owned());
        }
        Some(byte) if !is_token_byte(*byte) => {
            return refuse(400, format!("offset 0: no method (RFC 9112 3); {}", request_line()));
        }
        _ => {}
    }
    let feed = heard.iter().position(|byte| *byte == b'\n');
    if let Some(feed) = feed.filter(|at| !heard[..*at].ends_with(b"\r")) {
        let what = "a line ends in LF alone (RFC 9112 2.2); end lines with CRLF";
        return refuse(400, format!("offset {feed}: {what}"));
    }
    let found = heard.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    if found.unwrap_or(heard.len()) > MOST_HEAD {
        let what = format!("a head longer than {MOST_HEAD} bytes (RFC 6585 5); send less");
        return refuse(431, what);
    }
    Ok(found)
}

/// Judges the head of an HTTP request on the WebSocket port: the status that refuses it and what to
/// send instead (RFC 9112, RFC 6455 section 4.2.1). `None`: it would be let in to be authenticated, or
/// more of it is to come.
#[must_use]
pub fn judge_head(bytes: &[u8]) -> Option<(u16, String)> {
    let judged = end(bytes).and_then(|end| match end {
        Some(length) => read(&bytes[..length], |_| true).map(drop),
        None => Ok(()),
    });
    judged.err().map(|refusal| (refusal.status, refusal.what.into_owned()))
}

/// Reads a whole head; `is_served` knows the paths. Returns the request, and the answer that lets it
/// in if nobody objects.
pub(crate) fn read(
    head: &[u8],
    is_served: impl Fn(&Uri) -> bool,
) -> Result<(Request, Response), Refusal> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    check_request_line(lines.next().unwrap_or_default(), is_served)?;
    check_fields(lines)?;
    let parsed = Request::try_parse(head).map_err(|error| unread(&error))?;
    let Some((_, request)) = parsed else {
        return Err(Refusal::new(
            400,
            "the head never ends (RFC 9112 2.1); close it with CRLF CRLF",
        ));
    };
    if request.headers().get_all("Host").iter().count() != 1 {
        return Err(Refusal::new(400, "Host is not there once (RFC 9112 3.2); write `Host: name`"));
    }
    let response = create_response(&request).map_err(|error| no_upgrade(&error))?;
    Ok((request, response))
}

fn request_line() -> String {
    "write `GET /ws/webrtc/{application} HTTP/1.1`; for SIP any path will do".to_owned()
}

fn check_request_line(line: &str, is_served: impl Fn(&Uri) -> bool) -> Result<(), Refusal> {
    let parts: Vec<_> = line.split(' ').collect();
    let [method, target, version] = parts[..] else {
        let what = format!("line 1: not three words (RFC 9112 3); {}", request_line());
        return Err(Refusal::new(400, what));
    };
    if version != "HTTP/1.1" {
        let status = if version.starts_with("HTTP/") { 505 } else { 400 };
        let what = format!("line 1: no HTTP/1.1 (RFC 9112 2.3); {}", request_line());
        return Err(Refusal::new(status, what));
    }
    let Ok(target) = target.parse::<Uri>() else {
        let what = format!("line 1: no request target (RFC 9112 3.2); {}", request_line());
        return Err(Refusal::new(400, what));
    };
    if !is_served(&target) {
        return Err(Refusal::NO_PATH);
    }
    if method != "GET" {
        let what = format!("line 1: not GET (RFC 6455 4.2.1); {}", request_line());
        return Err(Refusal::new(405, what));
    }
    Ok(())
}

fn check_fields<'a>(lines: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    for (line, number) in lines.zip(2..) {
        if number > MOST_FIELDS + 1 {
            let what = format!("more than {MOST_FIELDS} fields (RFC 6585 5); send fewer");
            return Err(Refusal::new(431, what));
        }
        let name = line.split_once(':').map_or("", |(name, _)| name);
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            let what = "no field (RFC 9112 5); write `Name: value` in one line";
            return Err(Refusal::new(400, format!("line {number}: {what}")));
        }
        if line.chars().any(|c| c.is_ascii_control() && c != '\t') {
            let what = "a control character (RFC 9110 5.5); write visible characters";
            return Err(Refusal::new(400, format!("line {number}: {what}")));
        }
    }
    Ok(())
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// What the library says of a head that passed the checks above.
fn unread(error: &Error) -> Refusal {
    match error {
        Error::Capacity(CapacityError::TooManyHeaders) => {
            Refusal::new(431, "too many fields (RFC 6585 5); send fewer")
        }
        error => Refusal::new(400, format!("no HTTP/1.1 request (RFC 9112): {error}")),
    }
}

/// Why a sound request asks for no upgrade to WebSocket 13.
fn no_upgrade(error: &Error) -> Refusal {
    let Error::Protocol(error) = error else { return unread(error) };
    let (status, what) = match error {
        ProtocolError::MissingConnectionUpgradeHeader => {
            (426, "no upgrade (RFC 6455 4.2.1); write `Connection: Upgrade`")
        }
        ProtocolError::MissingUpgradeWebSocketHeader => {
            (426, "no upgrade (RFC 6455 4.2.1); write `Upgrade: websocket`")
        }
        ProtocolError::MissingSecWebSocketVersionHeader => {
            (426, "another version (RFC 6455 4.4); write `Sec-WebSocket-Version: 13`")
        }
        ProtocolError::MissingSecWebSocketKey | ProtocolError::InvalidSecWebSocketKey => {
            (400, "Sec-WebSocket-Key must be 16 bytes in base64 (RFC 6455 4.2.1)")
        }
        _ => (400, "no opening handshake (RFC 6455 4.2.1)"),
    };
    Refusal::new(status, what)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "GET /chat HTTP/1.1\r\nHost: gw\r\nConnection: keep-alive, Upgrade\r\n\
        Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn judge(head: &[u8]) -> Result<(Request, Response), Refusal> {
        match end(head)? {
            Some(length) => read(&head[..length], |uri| uri.path() == "/chat"),
            None => Err(Refusal::new(408, "more is to come")),
        }
    }

    #[test]
    fn a_sound_upgrade_is_answered_as_rfc_6455_shows() {
        let (request, response) = judge(GOOD.as_bytes()).expect("sound");
        assert_eq!(request.uri().path(), "/chat");
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["Sec-WebSocket-Accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn each_fault_has_its_status_and_says_where_by_which_rule_and_what_instead() {
        let long = format!("X: {}\r\nHost: gw", "x".repeat(MOST_HEAD));
        let many = format!("{}Host: gw", "X: y\r\n".repeat(MOST_FIELDS));
        for (from, to, status, begin) in [
            ("GET", "\u{16}\u{3}", 400, "offset 0: this is TLS"),
            ("GET", "\u{1}", 400, "offset 0: no method (RFC 9112 3); write `GET /ws"),
            ("\r\nHost", "\nHost", 400, "offset 18: a line ends in LF alone (RFC 9112 2.2)"),
            ("GET /chat HTTP/1.1", "GET /chat", 400, "line 1: not three words (RFC 9112 3)"),
            ("GET /chat", "GET  /chat", 400, "line 1: not three words (RFC 9112 3)"),
            ("HTTP/1.1", "HTTP/1.0", 505, "line 1: no HTTP/1.1 (RFC 9112 2.3); write"),
            ("GET /chat HTTP/1.1", "OPTIONS sip:a SIP/2.0", 400, "line 1: no HTTP/1.1"),
            ("/chat", "/a\u{7f}", 400, "line 1: no request target (RFC 9112 3.2)"),
            ("/chat", "/other", 404, "no such path or application; ask for /ws/webrtc/"),
            ("GET", "POST", 405, "line 1: not GET (RFC 6455 4.2.1); write `GET"),
            ("Host: gw", "Host gw", 400, "line 2: no field (RFC 9112 5); write `Name: value`"),
            ("Host: gw", "Host: gw\r\n folded: x", 400, "line 3: no field (RFC 9112 5)"),
            ("Host: gw", "Host: g\u{0}w", 400, "line 2: a control character (RFC 9110 5.5)"),
            ("Host: gw", "Host: gw\nX: y", 400, "line 2: a control character (RFC 9110 5.5)"),
            ("Host: gw", long.as_str(), 431, "a head longer than 16384 bytes (RFC 6585 5)"),
            ("Host: gw", many.as_str(), 431, "more than 100 fields (RFC 6585 5); send fewer"),
            ("Host: gw\r\n", "", 400, "Host is not there once (RFC 9112 3.2)"),
            ("Host: gw", "Host: gw\r\nHost: x", 400, "Host is not there once (RFC 9112 3.2)"),
            (", Upgrade", "", 426, "no upgrade (RFC 6455 4.2.1); write `Connection: Upgrade`"),
            ("WebSocket\r", "h2c\r", 426, "no upgrade (RFC 6455 4.2.1); write `Upgrade: "),
            ("13", "8", 426, "another version (RFC 6455 4.4); write `Sec-WebSocket-Version: 13`"),
            ("NhbXBs", "", 400, "Sec-WebSocket-Key must be 16 bytes in base64"),
        ] {
            let head = GOOD.replacen(from, to, 1);
            let refusal = judge(head.as_bytes()).expect_err(to);
            assert_eq!(
                (refusal.status, refusal.what.starts_with(begin)),
                (status, true),
                "{refusal:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_head_panics(
            edits in vec((0..GOOD.len(), any::<u8>(), 0..4_u8), 0..12),
            junk in vec(any::<u8>(), 0..300),
        ) {
            let mut head = GOOD.as_bytes().to_vec();
            for (at, byte, how) in edits {
                let at = at.min(head.len() - 1);
                match how {
                    0 => head[at] = byte,
                    1 => head.insert(at, byte),
                    2 if head.len() > 1 => drop(head.remove(at)),
                    _ => head.extend_from_within(at..),
                }
            }
            for heard in [&head[..], &junk[..]] {
                if let Err(refusal) = judge(heard) {
                    prop_assert!((400..600).contains(&refusal.status));
                    prop_assert!(!refusal.what.is_empty());
                }
            }
        }
    }
}
