use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use ::turmoil::net::UdpSocket;
use reveille_host::{BoxFuture, Udp};

use super::net::SimNet;
use super::seam::until;
use crate::fault::micros;

/// The longest datagram, in bytes (RFC 768 over IPv4).
const DATAGRAM: usize = 65_507;
/// What stands before each datagram, in bytes.
const LABEL: usize = 24;

/// What the network must know of a datagram: when it was sent, how much later than usual it comes,
/// and between which addresses, as others saw them then.
struct Label {
    sent: Duration,
    late: Duration,
    from: IpAddr,
    to: IpAddr,
}

impl Label {
    fn write(&self) -> Vec<u8> {
        let octets = |address| match address {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(_) => [0; 4],
        };
        let (sent, late) = (micros(self.sent).to_be_bytes(), micros(self.late).to_be_bytes());
        [&sent[..], &late, &octets(self.from), &octets(self.to)].concat()
    }

    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (sent, rest) = bytes.split_first_chunk::<8>()?;
        let (late, rest) = rest.split_first_chunk::<8>()?;
        let (from, rest) = rest.split_first_chunk::<4>()?;
        let (to, rest) = rest.split_first_chunk::<4>()?;
        let time = |bytes: &[u8; 8]| Duration::from_micros(u64::from_be_bytes(*bytes));
        let address = |octets: &[u8; 4]| IpAddr::V4(Ipv4Addr::from(*octets));
        let label =
            Self { sent: time(sent), late: time(late), from: address(from), to: address(to) };
        Some((label, rest))
    }
}

type Came = (Vec<u8>, SocketAddr);
/// By the time it comes, and the order in which it was seen; and how many were.
type Late = (u64, BTreeMap<(Duration, u64), Came>);

/// A socket for datagrams. What comes later than usual waits at its receiver.
pub(super) struct SimUdp {
    inner: UdpSocket,
    net: SimNet,
    late: Mutex<Late>,
}

impl SimUdp {
    pub(super) fn new(inner: UdpSocket, net: SimNet) -> Self {
        Self { inner, net, late: Mutex::default() }
    }

    fn late<T>(&self, act: impl FnOnce(&mut Late) -> T) -> T {
        act(&mut self.late.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one that is due now, or when the next one is.
    fn due(&self) -> Result<Came, Option<Duration>> {
        let now = self.net.world.now();
        self.late(|(_, late)| match late.first_entry() {
            Some(first) if first.key().0 <= now => Ok(first.remove()),
            first => Err(first.map(|first| first.key().0)),
        })
    }

    /// Sends as many copies as the weather lets through.
    async fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        let (links, own, now) = (&self.net.world.links, self.net.own, self.net.world.now());
        // Nobody is under this address any more.
        let Some(host) = links.behind(to.ip()) else { return Ok(()) };
        let is_near = host.is_loopback() || host == own;
        let port = self.inner.local_addr()?.port();
        let mut copies = [Some(Duration::ZERO), None];
        if !is_near {
            links.speaks(own, port, now);
            if self.net.world.loses(own, host, now) || links.loses(own, host, now, now) {
                return Ok(());
            }
            let passage = links.datagram((own, host), now, bytes.len());
            copies = [passage.first, passage.second];
        }
        for late in copies.into_iter().flatten() {
            let label = Label { sent: now, late, from: links.shown(own), to: to.ip() };
            let labelled = [&label.write()[..], bytes].concat();
            self.inner.send_to(&labelled, SocketAddr::new(host, to.port())).await?;
        }
        Ok(())
    }

    /// What turmoil brought, unless it did not come; what comes later is kept.
    fn sort(&self, labelled: &[u8], mut from: SocketAddr) -> Option<Came> {
        let (label, bytes) = Label::read(labelled)?;
        let (links, own, now) = (&self.net.world.links, self.net.own, self.net.world.now());
        if from.ip() != own && !from.ip().is_loopback() {
            let port = self.inner.local_addr().map_or(0, |local| local.port());
            if self.net.world.loses(from.ip(), own, label.sent)
                || links.loses(from.ip(), own, label.sent, now)
                || links.is_shut(own, port, label.sent, now)
            {
                return None;
            }
            if label.to != links.shown(own) {
                links.met_move(own, now);
                return None;
            }
            from.set_ip(label.from);
        }
        let came = (bytes.to_vec(), from);
        let due = label.sent + self.net.world.shortest + label.late;
        if label.late.is_zero() || due <= now {
            return Some(came);
        }
        self.late(|(count, late)| {
            *count += 1;
            late.insert((due, *count), came);
        });
        None
    }

    async fn next(&self) -> io::Result<Came> {
        let mut room = vec![0; LABEL + DATAGRAM];
        loop {
            let next = match self.due() {
                Ok(came) => return Ok(came),
                Err(next) => next,
            };
            let came = {
                let mut wakes = pin!(async {
                    match next {
                        Some(at) => until(&self.net.world, at).await,
                        None => pending().await,
                    }
                });
                let mut received = pin!(self.inner.recv_from(&mut room));
                poll_fn(|context| match received.as_mut().poll(context) {
                    Poll::Ready(received) => Poll::Ready(Some(received)),
                    Poll::Pending => wakes.as_mut().poll(context).map(|()| None),
                })
                .await
            };
            let got = came.transpose()?;
            if let Some((length, from)) = got
                && let Some(came) = self.sort(&room[..length], from)
            {
                return Ok(came);
            }
        }
    }
}

impl Udp for SimUdp {
    fn send_to<'a>(&'a self, bytes: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            if bytes.len() > DATAGRAM {
                let what = format!("{} bytes do not fit a datagram: {DATAGRAM} do", bytes.len());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            self.net.life.perform("udp.send", self.send(bytes, to)).await
        })
    }

    fn recv_from<'a>(
        &'a self,
        into: &'a mut [u8],
    ) -> BoxFuture<'a, io::Result<(usize, SocketAddr)>> {
        Box::pin(async move {
            let (bytes, from) = self.next().await?;
            let length = bytes.len().min(into.len());
            into[..length].copy_from_slice(&bytes[..length]);
            match self.net.life.operate("udp.recv", || ()) {
                Some(()) => Ok((length, from)),
                None => pending().await,
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}
