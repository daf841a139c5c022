//! HTTP proxies: where nothing outside is reached directly, a tunnel through one that may (CONNECT, RFC
//! 9110 section 9.3.6). What is inside stays between the gateway and the push service.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reveille_gateway_core::config::Secret;
use reveille_host::BoxStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Lack;
use super::http2::Silence;

/// Longest answer of a proxy to CONNECT, up to the empty line.
const MOST_HEAD: usize = 8_192;

/// The way out.
#[derive(Debug, Clone, Default)]
pub struct Proxy {
    /// `host:port`.
    pub at: String,
    /// `user:password`, shown by the scheme Basic (RFC 7617).
    pub credential: Option<Secret>,
}

impl Proxy {
    /// What is wrong with it: the key `proxy` or `proxy-credential`, and what to write instead.
    pub(crate) fn lack(&self) -> Option<Lack> {
        let sound = self.at.rsplit_once(':').is_some_and(|(host, port)| {
            let is_host = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
            let port = port.parse::<u16>();
            !host.is_empty() && host.chars().all(is_host) && port.is_ok_and(|port| port > 0)
        });
        if !sound {
            let what = format!("`{}` is no host:port; write one like \"proxy:3128\"", self.at);
            return Some(("proxy", what));
        }
        let Secret(text) = self.credential.as_ref()?;
        let sound = text.contains(':') && !text.chars().any(char::is_control);
        let what = "no user:password; write both with a colon between them, in one line";
        (!sound).then(|| ("proxy-credential", what.to_owned()))
    }
}

/// Makes a connection to the proxy into one to this `host:port`.
pub(super) async fn tunnel(
    mut stream: BoxStream,
    proxy: &Proxy,
    authority: &str,
) -> Result<BoxStream, Silence> {
    let broken = |error: std::io::Error| Silence::Passing(format!("the proxy: {error}"));
    let shown = proxy
        .credential
        .as_ref()
        .map(|Secret(text)| format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(text)));
    let shown = shown.unwrap_or_default();
    let asked = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{shown}\r\n");
    stream.write_all(asked.as_bytes()).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    // Byte by byte: what follows the empty line is the service's.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MOST_HEAD {
            let what = format!("the proxy's answer is longer than {MOST_HEAD} bytes");
            return Err(Silence::Passing(what));
        }
        head.push(stream.read_u8().await.map_err(broken)?);
    }
    judge(&head).map(|()| stream)
}

/// What the proxy says (RFC 9110 sections 9.3.6, 15.4 and 15.5).
fn judge(head: &[u8]) -> Result<(), Silence> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line: String = String::from_utf8_lossy(line).chars().take(100).collect();
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    match status.and_then(|status| status.parse::<u16>().ok()) {
        Some(200..300) => Ok(()),
        Some(407) => {
            let what = format!("the proxy: {line}: mend proxy-credential-file");
            Err(Silence::Barred(what))
        }
        Some(400..500) => {
            let what = format!("the proxy: {line}: it must allow CONNECT to the push service");
            Err(Silence::Barred(what))
        }
        Some(_) => Err(Silence::Passing(format!("the proxy: {line}"))),
        None => Err(Silence::Passing("the proxy speaks no HTTP/1".to_owned())),
    }
}
