use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::turmoil::net::{TcpListener, TcpStream, UdpSocket};
use reveille_host::{BoxFuture, BoxStream, Listener, Net, Udp};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::world::World;
use crate::fault::{Life, Ticket, micros};

/// What one write takes at most, in bytes: turmoil counts segments, a kernel counts bytes.
const SEGMENT: usize = 16 * 1024;
/// The longest datagram, in bytes (RFC 768 over IPv4).
const DATAGRAM: usize = 65_507;
/// Before each datagram stands when it was sent, in microseconds, so that a cut can lose it.
const STAMP: usize = 8;

/// The sockets of a host that lost power: they must not close, for closing is a word to the peer.
#[derive(Default)]
pub(super) struct Graveyard(Mutex<(Vec<TcpStream>, Vec<TcpListener>)>);

impl Graveyard {
    fn with<T>(&self, act: impl FnOnce(&mut (Vec<TcpStream>, Vec<TcpListener>)) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets the streams. Called where no host runs, so that no FIN leaves; what peers send from
    /// now on is answered with RST.
    pub(super) fn forget_streams(&self) {
        let streams = self.with(|(streams, _)| std::mem::take(streams));
        drop(streams);
    }

    /// Frees the ports. Called on the host, which alone can.
    pub(super) fn free_ports(&self) {
        let listeners = self.with(|(_, listeners)| std::mem::take(listeners));
        drop(listeners);
    }
}

/// The network of one generation of a host.
#[derive(Clone)]
pub(super) struct SimNet {
    pub(super) world: Arc<World>,
    pub(super) life: Life,
    pub(super) graves: Arc<Graveyard>,
    pub(super) own: IpAddr,
}

impl SimNet {
    fn find(&self, name: &str) -> io::Result<SocketAddr> {
        let wrong = |why: &str| {
            let what = format!("{name}: {why}; write host:port, with a host that entered the play");
            io::Error::new(io::ErrorKind::NotFound, what)
        };
        let (host, port) = name.rsplit_once(':').ok_or_else(|| wrong("it has no port"))?;
        let port = port.parse().map_err(|_| wrong("its port is no number up to 65535"))?;
        let address = self.world.address(host).ok_or_else(|| wrong("no host has this name"))?;
        Ok(SocketAddr::new(address, port))
    }

    /// turmoil binds to every address of a host or to the loopback one.
    fn local(&self, on: &str) -> io::Result<SocketAddr> {
        let mut local = self.find(on)?;
        if local.ip() == self.own {
            local.set_ip(IpAddr::from([0, 0, 0, 0]));
        }
        Ok(local)
    }

    fn stream(&self, inner: TcpStream) -> BoxStream {
        let (life, graves) = (self.life.clone(), Arc::clone(&self.graves));
        Box::new(SimStream { inner: Some(inner), life, graves, writing: None, closing: None })
    }
}

impl Net for SimNet {
    fn dial<'a>(&'a self, to: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let dialled = self.life.perform("net.dial", async {
                let stream = TcpStream::connect(self.find(to)?).await?;
                // Wrapped at once: if the life is over now, its end decides how it closes.
                Ok(self.stream(stream))
            });
            dialled.await
        })
    }

    fn listen<'a>(&'a self, on: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            if self.life.is_over() {
                return pending().await;
            }
            let inner = Some(TcpListener::bind(self.local(on)?).await?);
            Ok(Box::new(SimListener { inner, net: self.clone() }) as Box<dyn Listener>)
        })
    }

    fn udp<'a>(&'a self, on: &'a str) -> BoxFuture<'a, io::Result<Arc<dyn Udp>>> {
        Box::pin(async move {
            if self.life.is_over() {
                return pending().await;
            }
            let inner = UdpSocket::bind(self.local(on)?).await?;
            Ok(Arc::new(SimUdp { inner, net: self.clone() }) as Arc<dyn Udp>)
        })
    }

    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<SocketAddr>> {
        Box::pin(async move { self.find(name) })
    }
}

struct SimListener {
    inner: Option<TcpListener>,
    net: SimNet,
}

impl SimListener {
    fn inner(&self) -> &TcpListener {
        self.inner.as_ref().expect("a listener gives up its socket only when it is dropped")
    }
}

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        Box::pin(async move {
            if self.net.life.is_over() {
                return pending().await;
            }
            let (stream, from) = self.inner().accept().await?;
            let stream = self.net.stream(stream);
            match self.net.life.operate("net.accept", || ()) {
                Some(()) => Ok((stream, from)),
                None => pending().await,
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner().local_addr()
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take()
            && self.net.life.is_silenced()
        {
            self.net.graves.with(|(_, listeners)| listeners.push(inner));
        }
    }
}

struct SimUdp {
    inner: UdpSocket,
    net: SimNet,
}

impl Udp for SimUdp {
    fn send_to<'a>(&'a self, bytes: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            if bytes.len() > DATAGRAM {
                let what = format!("{} bytes do not fit a datagram: {DATAGRAM} do", bytes.len());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            let now = self.net.world.now();
            let stamped = [&micros(now).to_be_bytes()[..], bytes].concat();
            let sent = self.net.life.perform("udp.send", async {
                if self.net.world.loses(self.net.own, to.ip(), now) {
                    return Ok(0);
                }
                self.inner.send_to(&stamped, to).await
            });
            sent.await.map(|_length| ())
        })
    }

    fn recv_from<'a>(
        &'a self,
        into: &'a mut [u8],
    ) -> BoxFuture<'a, io::Result<(usize, SocketAddr)>> {
        Box::pin(async move {
            let mut stamped = vec![0; STAMP + DATAGRAM];
            loop {
                let (length, from) = self.inner.recv_from(&mut stamped).await?;
                let Some((stamp, bytes)) = stamped[..length].split_first_chunk::<STAMP>() else {
                    continue;
                };
                let sent = Duration::from_micros(u64::from_be_bytes(*stamp));
                if self.net.world.loses(from.ip(), self.net.own, sent) {
                    continue;
                }
                let length = bytes.len().min(into.len());
                into[..length].copy_from_slice(&bytes[..length]);
                return match self.net.life.operate("udp.recv", || ()) {
                    Some(()) => Ok((length, from)),
                    None => pending().await,
                };
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A stream that neither speaks nor hears once its life is over.
struct SimStream {
    inner: Option<TcpStream>,
    life: Life,
    graves: Arc<Graveyard>,
    writing: Option<Ticket>,
    closing: Option<Ticket>,
}

impl SimStream {
    fn inner(&mut self) -> Pin<&mut TcpStream> {
        let inner = self.inner.as_mut();
        Pin::new(inner.expect("a stream gives up its socket only when it is dropped"))
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.life.is_over() {
            return Poll::Pending;
        }
        self.inner().poll_read(context, into)
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(ticket) = self.writing.take().or_else(|| self.life.begin("tcp.write")) else {
            return Poll::Pending;
        };
        let bytes = &bytes[..bytes.len().min(SEGMENT)];
        let Poll::Ready(written) = self.inner().poll_write(context, bytes) else {
            self.writing = Some(ticket);
            return Poll::Pending;
        };
        if self.life.end(ticket) { Poll::Ready(written) } else { Poll::Pending }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.life.is_over() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(ticket) = self.closing.take().or_else(|| self.life.begin("tcp.shutdown")) else {
            return Poll::Pending;
        };
        let shut = ready!(self.inner().poll_shutdown(context));
        if !self.life.end(ticket) {
            return Poll::Pending;
        }
        // The second close of one direction is no error in an operating system.
        Poll::Ready(shut.or_else(|error| match error.kind() {
            io::ErrorKind::NotConnected => Ok(()),
            _ => Err(error),
        }))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take()
            && self.life.is_silenced()
        {
            self.graves.with(|(streams, _)| streams.push(inner));
        }
    }
}
