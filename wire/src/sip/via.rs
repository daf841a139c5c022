//! Via: the way a response goes back (RFC 3261 20.42, RFC 3581).

use super::cursor::Cursor;
use super::malformed::Malformed;
use super::params::{self, Params};
use super::uri::host_port;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

const RULE: &str = "RFC 3261 20.42";

/// One Via value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// Upper case: `UDP`, `TCP`, `TLS`, `WS`, `WSS` or another token.
    pub transport: String,
    /// Host of sent-by as spelled, IPv6 in its brackets.
    pub host: String,
    /// Port of sent-by, where one is written.
    pub port: Option<u16>,
    /// Transaction id (RFC 3261 8.1.1.7).
    pub branch: Option<String>,
    /// Source address the server saw (RFC 3261 18.2.1).
    pub received: Option<String>,
    /// `Some(None)` asks for the source port, `Some(Some(_))` tells it (RFC 3581).
    pub rport: Option<Option<u16>>,
    /// All other parameters.
    pub params: Params,
}

impl Via {
    /// A Via with sent-by and branch and nothing else.
    #[must_use]
    pub fn new(
        transport: &str,
        host: impl Into<String>,
        port: Option<u16>,
        branch: impl Into<String>,
    ) -> Self {
        Self {
            transport: transport.to_ascii_uppercase(),
            host: host.into(),
            port,
            branch: Some(branch.into()),
            received: None,
            rport: None,
            params: Params::new(),
        }
    }

    /// Reads one Via value.
    ///
    /// # Errors
    /// RFC 3261 20.42 and 25.1; RFC 3581 3 for rport.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(text, RULE);
        let transport = sent_protocol(&mut cursor)?.to_ascii_uppercase();
        if !cursor.skip_blank() {
            return Err(cursor.fault("write a space between the transport and the host"));
        }
        let at = cursor.at();
        let spelled = cursor.take_while(|byte| byte != b';').trim_end();
        let compact = spelled
            .contains([' ', '\t'])
            .then(|| spelled.split_ascii_whitespace().collect::<String>());
        let sent_by = match &compact {
            // LWS may stand around the colon and nowhere else.
            Some(joined) if spelled.split(':').all(|part| !part.trim().contains([' ', '\t'])) => {
                joined
            }
            _ => spelled,
        };
        let (host, port) = host_port(sent_by).map_err(|fault| fault.shifted(at))?;
        let host = host.to_owned();
        let mut params = params::parse(&mut cursor)?;
        if let Some(name) = params.repeated() {
            let what = format!("Via parameter {name} stands twice; write it once");
            return Err(Malformed::new("RFC 3261 7.3.1", at, what));
        }
        let rport = params.remove("rport").map(|value| read_rport(&value, at)).transpose()?;
        let (branch, received) = (params.remove("branch"), params.remove("received"));
        for (name, value) in [("branch", &branch), ("received", &received)] {
            if value.as_deref().is_some_and(|value| !is_bare(value)) {
                let what = format!("{name} is no token (RFC 3261 25.1); write one without quotes");
                return Err(Malformed::new(RULE, at, what));
            }
        }
        Ok(Self { transport, host, port, branch, received, rport, params })
    }

    /// Lower-case `host` or `host:port` as written: with the branch it names a server transaction
    /// (RFC 3261 17.2.3). A default port is not filled in.
    #[must_use]
    pub fn sent_by(&self) -> String {
        let mut key = self.host.to_ascii_lowercase();
        if let Some(port) = self.port {
            key.push_str(&format!(":{port}"));
        }
        key
    }

    /// Whether the branch is unique by RFC 3261 8.1.1.7, not one of RFC 2543.
    #[must_use]
    pub fn has_magic_cookie(&self) -> bool {
        let branch = self.branch.as_deref().and_then(|branch| branch.get(..7));
        branch.is_some_and(|start| start.eq_ignore_ascii_case("z9hG4bK"))
    }

    /// Notes where the request came from: `received` if sent-by does not say it (RFC 3261 18.2.1),
    /// both if the client asked by `rport` (RFC 3581 4). A `received` of the peer's own is dropped.
    pub fn stamp(&mut self, source: SocketAddr) {
        let ip = source.ip().to_canonical();
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        let named = bare.parse::<IpAddr>().is_ok_and(|host| host.to_canonical() == ip);
        self.received = (self.rport.is_some() || !named).then(|| ip.to_string());
        self.rport = self.rport.map(|_| Some(source.port()));
    }
}

/// True for what reads the same when it is written without quotes.
fn is_bare(value: &str) -> bool {
    let splits = |c: char| c.is_whitespace() || c.is_control() || "\";,<>\\".contains(c);
    !value.is_empty() && !value.contains(splits)
}

fn sent_protocol<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    const WHAT: &str = "Via must begin with SIP/2.0/ and a transport, e.g. SIP/2.0/UDP";
    cursor.skip_blank();
    let name = cursor.token();
    if !name.eq_ignore_ascii_case("SIP") || !slash(cursor) {
        return Err(Malformed::new(RULE, 0, WHAT));
    }
    let version = cursor.token();
    if version != "2.0" || !slash(cursor) {
        return Err(Malformed::new(RULE, 0, WHAT));
    }
    let transport = cursor.token();
    if transport.is_empty() { Err(cursor.fault(WHAT)) } else { Ok(transport) }
}

fn slash(cursor: &mut Cursor<'_>) -> bool {
    cursor.skip_blank();
    let found = cursor.eat(b'/');
    cursor.skip_blank();
    found
}

fn read_rport(value: &str, at: usize) -> Result<Option<u16>, Malformed> {
    if value.is_empty() {
        return Ok(None);
    }
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(port) if digits => Ok(Some(port)),
        _ => Err(Malformed::new(
            "RFC 3581 3",
            at,
            "rport is no port number; write `rport` or `rport=5060`",
        )),
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if let Some(branch) = &self.branch {
            write!(f, ";branch={branch}")?;
        }
        match self.rport {
            Some(Some(port)) => write!(f, ";rport={port}")?,
            Some(None) => f.write_str(";rport")?,
            None => {}
        }
        if let Some(received) = &self.received {
            write!(f, ";received={received}")?;
        }
        self.params.fmt(f)
    }
}
