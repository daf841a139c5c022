//! The registrar as the way to everybody else: a stateless proxy (RFC 3261 16.11). It keeps nothing:
//! its branch is computed from the request, so that CANCEL and the ACK of a refusal take the way of
//! their INVITE, and its Via says where responses go.

use super::{Registrar, Route, Shown};
use crate::cast::scan::{Scanned, param, uri};
use crate::cast::sip::{Path, Transport, from_parts, host_port};

/// What begins the tag of a 407: its ACK is for us.
const OWN_TAG: &str = "proxy-";

/// The parameter of our Via that names the stream a request came by.
const STREAM: &str = "stream";

impl Registrar {
    /// True if a request is to be passed on rather than answered here.
    pub(super) fn is_for_others(&self, message: &Scanned) -> bool {
        !matches!(message.method(), Some("REGISTER") | None)
            && self.next(message).is_some_and(|hop| hop.host != Hop::HERE)
    }

    /// Passes a request on.
    pub(super) async fn pass(&mut self, message: &Scanned, path: Path) {
        let to_tag = message.header("to").and_then(|to| param(to, "tag")).unwrap_or_default();
        if message.method() == Some("ACK") && to_tag.starts_with(OWN_TAG) {
            return;
        }
        let hops = message.header("max-forwards").and_then(|n| n.trim().parse::<u32>().ok());
        let Some(left) = hops.unwrap_or(70).checked_sub(1) else {
            return self.answer(message, 483, &[], path).await;
        };
        let is_new = message.method() == Some("INVITE") && to_tag.is_empty();
        let shown = self.shown(message, "proxy-authorization");
        if is_new && self.settings.challenge_calls && shown != Shown::Right {
            let challenge = [("Proxy-Authenticate", self.challenge(shown == Shown::Stale))];
            return self.answer(message, 407, &challenge, path).await;
        }
        let Some(hop) = self.next(message).filter(|hop| !hop.host.is_empty()) else {
            return self.answer(message, 404, &[], path).await;
        };
        let bytes = self.forwarded(message, &hop, left, path);
        match self.way(&hop.host, hop.transport).await {
            Ok(way) => self.sockets.send(bytes, way).await,
            Err(what) => self.say(what),
        }
    }

    async fn answer(
        &mut self,
        message: &Scanned,
        status: u16,
        more: &[(&'static str, String)],
        path: Path,
    ) {
        if message.method() == Some("ACK") {
            return;
        }
        let tag = format!("{OWN_TAG}{}", &branch_of(message)[7..15]);
        let bytes = crate::cast::sip::response(message, status, &tag, more);
        self.sockets.send(bytes, path).await;
    }

    /// Where a request goes: by its Route beyond ours, else by its Request-URI, which is a user of
    /// our domain or names a host.
    fn next(&self, message: &Scanned) -> Option<Hop> {
        let target = message.start.split(' ').nth(1)?;
        let routes: Vec<_> = routes(message).skip_while(|route| self.is_here(route)).collect();
        let at = routes.first().map_or(target, |route| route);
        let place = host_port(at);
        let user = at.trim_start_matches("sip:").split('@').next().unwrap_or_default();
        if self.is_here(at) && at.contains('@') {
            let known = self.settings.routes.iter().find(|route| route.user == user);
            let Some(Route { to, transport, .. }) = known else { return Some(Hop::default()) };
            return Some(Hop { host: to.clone(), transport: *transport });
        }
        if self.is_here(at) {
            return Some(Hop { host: Hop::HERE.to_owned(), ..Hop::default() });
        }
        let is_tcp = at.to_ascii_lowercase().contains("transport=tcp");
        let transport = if is_tcp { Transport::Tcp } else { Transport::Udp };
        Some(Hop { host: place, transport })
    }

    /// True for a URI of our domain, or of this host.
    fn is_here(&self, uri: &str) -> bool {
        let place = host_port(uri);
        let host = place.rsplit_once(':').map_or(place.as_str(), |(host, _)| host);
        let own = format!("{}:{}", self.settings.advertise, self.sockets.port);
        host == self.settings.domain || place == own
    }

    fn forwarded(&self, message: &Scanned, hop: &Hop, left: u32, path: Path) -> Vec<u8> {
        let port = self.sockets.port;
        let stream = match path {
            Path::Udp(_) => String::new(),
            Path::Tcp(id) => format!(";{STREAM}={id}"),
        };
        let (here, branch) = (&self.settings.advertise, branch_of(message));
        let name = hop.transport.name();
        let via = format!("SIP/2.0/{name} {here}:{port};branch={branch}{stream}");
        let mut headers = vec![("via".to_owned(), via)];
        let makes_dialog = message.method() == Some("INVITE");
        if self.settings.record_routes && makes_dialog {
            headers.push(("record-route".to_owned(), format!("<sip:{here}:{port};lr>")));
        }
        let mut ours = true;
        let mut first_via = true;
        for (name, value) in &message.headers {
            match name.as_str() {
                "max-forwards" => headers.push((name.clone(), left.to_string())),
                "route" => {
                    ours = ours && self.is_here(uri(value));
                    if !ours {
                        headers.push((name.clone(), value.clone()));
                    }
                }
                "via" => {
                    let seen = std::mem::take(&mut first_via);
                    headers.push((
                        name.clone(),
                        if seen { stamped(value, path) } else { value.clone() },
                    ));
                }
                "content-length" => {}
                _ => headers.push((name.clone(), value.clone())),
            }
        }
        from_parts(&message.start, &headers, &message.body)
    }

    /// Passes a response back to whom the Via below ours names. One that is not for us is dropped.
    pub(super) async fn pass_back(&mut self, message: &Scanned) {
        let mut below = message.all("via").skip(1);
        let Some(ours) = message.header("via") else { return };
        let Some(next) = below.next() else { return };
        if !self.is_here(&format!("sip:{}", sent_by(ours))) {
            return;
        }
        let stream = param(ours, STREAM).and_then(|id| id.parse().ok()).map(Path::Tcp);
        let mut headers = message.headers.clone();
        if let Some(at) = headers.iter().position(|(name, _)| name == "via") {
            headers.remove(at);
        }
        headers.retain(|(name, _)| name != "content-length");
        let bytes = from_parts(&message.start, &headers, &message.body);
        if let Some(path) = stream.filter(|path| self.sockets.is_open(*path)) {
            return self.sockets.send(bytes, path).await;
        }
        let sent_by = host_port(&format!("sip:{}", sent_by(next)));
        let host = param(next, "received");
        let port = param(next, "rport").filter(|port| !port.is_empty());
        let (own_host, own_port) = sent_by.rsplit_once(':').unwrap_or((&sent_by, "5060"));
        let to = format!(
            "{}:{}",
            host.as_deref().unwrap_or(own_host),
            port.as_deref().unwrap_or(own_port)
        );
        let is_tcp = next.to_ascii_uppercase().contains("/TCP");
        let transport = if is_tcp { Transport::Tcp } else { Transport::Udp };
        match self.way(&to, transport).await {
            Ok(way) => self.sockets.send(bytes, way).await,
            Err(what) => self.say(what),
        }
    }

    /// A way to a peer; a stream that stands is used again.
    async fn way(&mut self, to: &str, transport: Transport) -> Result<Path, String> {
        let known = self.ways.get(to).copied().filter(|path| self.sockets.is_open(*path));
        if let Some(path) = known.filter(|_| transport == Transport::Tcp) {
            return Ok(path);
        }
        let path = self.sockets.path_to(to, transport).await?;
        if transport == Transport::Tcp {
            self.ways.insert(to.to_owned(), path);
        }
        Ok(path)
    }
}

/// Where a request goes.
#[derive(Default)]
struct Hop {
    /// `host:port`; empty: nobody.
    host: String,
    transport: Transport,
}

impl Hop {
    /// The registrar itself.
    const HERE: &str = ".";
}

fn routes(message: &Scanned) -> impl Iterator<Item = &str> {
    message.all("route").map(uri)
}

/// The host and port of a Via.
fn sent_by(via: &str) -> &str {
    via.split_whitespace().nth(1).unwrap_or_default().split(';').next().unwrap_or_default()
}

/// The Via of who sent it, with where it came from (RFC 3581 4).
fn stamped(via: &str, path: Path) -> String {
    let Path::Udp(from) = path else { return via.to_owned() };
    let via = via.replacen(";rport", "", 1);
    format!("{via};received={};rport={}", from.ip(), from.port())
}

/// RFC 3261 16.11: the same for every copy of a request, its CANCEL and the ACK of its refusal.
fn branch_of(message: &Scanned) -> String {
    let top = message.header("via").unwrap_or_default();
    let of = format!("{}{}", sent_by(top), message.branch().unwrap_or_default());
    format!("z9hG4bK{}", super::md5_hex(&of))
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
