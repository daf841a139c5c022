use std::net::SocketAddr;
use std::time::Duration;

use reveille_host::{BoxFuture, Host, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::message::{Unusable, answer, query};
use super::{Kind, Record, Resolve};

/// How long an answer may take, how often it is asked for, and how long all of it may take over TCP.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
const MOST_TRIES: usize = 3;
const TCP_LIMIT: Duration = Duration::from_secs(3);
/// RFC 1035 section 4.2.1, with room for servers that say more.
const MOST_DATAGRAM: usize = 4_096;

/// Asks one server that resolves for others, over UDP, and over TCP what is too long for that. Each
/// query has a random number and a port of its own, so that nobody beside the way answers it.
#[derive(Clone)]
pub struct Stub {
    host: Host,
    server: SocketAddr,
}

impl std::fmt::Debug for Stub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stub").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Stub {
    /// A stub that asks this server.
    #[must_use]
    pub const fn new(host: Host, server: SocketAddr) -> Self {
        Self { host, server }
    }

    async fn ask(&self, name: &str, kind: Kind) -> Result<Vec<Record>, String> {
        for _ in 0..MOST_TRIES {
            let mut id = [0; 2];
            self.host.entropy.fill(&mut id);
            let query = query(u16::from_be_bytes(id), name, kind)
                .ok_or_else(|| format!("`{name}` is no name of DNS"))?;
            let heard = within(&*self.host.clock, ANSWER_LIMIT, self.by_udp(&query, kind)).await;
            match heard {
                Some(Ok(records)) => return Ok(records),
                Some(Err(Unusable::Truncated)) => {
                    let work = self.by_tcp(&query, kind);
                    let heard = within(&*self.host.clock, TCP_LIMIT, work).await;
                    return heard.unwrap_or_else(|| Err(self.silent(name)));
                }
                Some(Err(Unusable::Failed(why))) => return Err(format!("{name}: {why}")),
                Some(Err(Unusable::Foreign)) | None => {}
            }
        }
        Err(self.silent(name))
    }

    fn silent(&self, name: &str) -> String {
        format!("{name}: the DNS server {} does not answer", self.server)
    }

    async fn by_udp(&self, query: &[u8], kind: Kind) -> Result<Vec<Record>, Unusable> {
        let failed = |error: std::io::Error| Unusable::Failed(error.to_string());
        let own = if self.server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = self.host.net.udp(own).await.map_err(failed)?;
        socket.send_to(query, self.server).await.map_err(failed)?;
        let mut buffer = [0; MOST_DATAGRAM];
        loop {
            let (length, source) = socket.recv_from(&mut buffer).await.map_err(failed)?;
            let heard = answer(&buffer[..length], query, kind);
            if source == self.server && heard != Err(Unusable::Foreign) {
                return heard;
            }
        }
    }

    async fn by_tcp(&self, query: &[u8], kind: Kind) -> Result<Vec<Record>, String> {
        let failed = |error: std::io::Error| format!("DNS over TCP: {error}");
        let mut stream = self.host.net.dial(&self.server.to_string()).await.map_err(failed)?;
        let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes(), query].concat()).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        let length = stream.read_u16().await.map_err(failed)?;
        let mut raw = vec![0; usize::from(length)];
        stream.read_exact(&mut raw).await.map_err(failed)?;
        answer(&raw, query, kind).map_err(|why| match why {
            Unusable::Failed(why) => why,
            _ => "DNS over TCP: no answer to what was asked".to_owned(),
        })
    }
}

impl Resolve for Stub {
    fn lookup<'a>(
        &'a self,
        name: &'a str,
        kind: Kind,
    ) -> BoxFuture<'a, Result<Vec<Record>, String>> {
        Box::pin(self.ask(name, kind))
    }
}
