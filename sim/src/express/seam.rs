//! What one generation of a host sees of the world.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use reveille_host::{
    BoxFuture, BoxStream, Clock, Entropy, Listener, Net as HostNet, Reading, Tasks, Udp,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::agenda::{Event, Place};
use super::executor::Fresh;
use super::net::Side;
use super::world::{WallClock, World};
use crate::EPOCH;
use crate::fault::{Draws, Life, Ticket};

/// What one write takes at most, in bytes.
const SEGMENT: usize = 16 * 1024;
/// The longest datagram, in bytes (RFC 768 over IPv4).
const DATAGRAM: usize = 65_507;
/// Longer than any run.
const FOR_EVER_US: u64 = 86_400 * 365 * 1_000_000;

/// One generation of a host.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) world: Arc<World>,
    pub(super) life: Life,
    /// The number of the host, and of its machine.
    pub(super) actor: usize,
}

/// Its clocks.
pub(super) struct ExpressClock {
    pub(super) site: Site,
    pub(super) dial: Arc<WallClock>,
}

impl Clock for ExpressClock {
    fn now(&self) -> Reading {
        let Site { world, actor, .. } = &self.site;
        if self.dial.was_stepped() {
            world.ask(|asks| asks.stepped.push(*actor));
        }
        let mono = Duration::from_micros(world.now());
        Reading { mono, wall: self.dial.shows(EPOCH + mono) }
    }

    fn sleep_until(&self, mono: Duration) -> BoxFuture<'static, ()> {
        let at_us = u64::try_from(mono.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
        let world = Arc::clone(&self.site.world);
        Box::pin(Sleep { world, at_us: at_us.min(FOR_EVER_US), place: None })
    }
}

struct Sleep {
    world: Arc<World>,
    at_us: u64,
    place: Option<Place>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.at_us <= self.world.now() {
            if let Some(place) = self.place.take() {
                self.world.net(|net| net.agenda.cancel(place));
            }
            return Poll::Ready(());
        }
        let (at_us, old) = (self.at_us, self.place);
        let place = self.world.net(|net| match old {
            Some(place) if net.agenda.rewake(place, context.waker()) => place,
            _ => net.agenda.plan(at_us, Event::Wake(context.waker().clone())),
        });
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.world.net(|net| net.agenda.cancel(place));
        }
    }
}

/// Its randomness.
pub(super) struct ExpressEntropy(pub(super) Mutex<Draws>);

impl Entropy for ExpressEntropy {
    fn fill(&self, into: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(into);
    }
}

/// Its tasks.
pub(super) struct ExpressTasks {
    pub(super) site: Site,
    /// How long the disk takes for each piece of blocking work.
    pub(super) disk_time: Mutex<Draws>,
}

impl Tasks for ExpressTasks {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        let Site { world, life, actor } = &self.site;
        let fresh = Fresh { actor: *actor, name, life: life.clone(), future: task };
        // Whoever spawns goes on in any case, and has no effect if the life is over.
        let _alive = life.operate("tasks.spawn", || world.ask(|asks| asks.fresh.push(fresh)));
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let (world, life) = (Arc::clone(&self.site.world), self.site.life.clone());
        let takes_us = {
            let mut draws = self.disk_time.lock().unwrap_or_else(PoisonError::into_inner);
            1_000 + draws.below(3_000)
        };
        let sleep = move |world: &Arc<World>, us: u64| {
            let (world, at_us) = (Arc::clone(world), world.now() + us);
            Sleep { world, at_us, place: None }
        };
        Box::pin(async move {
            // Others run before the work as well as after: whatever left too early is seen to.
            life.perform("tasks.blocking", async {
                sleep(&world, 1_000).await;
                work();
                sleep(&world, takes_us).await;
            })
            .await;
        })
    }
}

/// Its network.
pub(super) struct ExpressNet(pub(super) Site);

impl ExpressNet {
    fn stream(&self, conn: u64, side: Side) -> Stream {
        Stream { site: self.0.clone(), conn, side, writing: None, closing: None }
    }
}

impl HostNet for ExpressNet {
    fn dial<'a>(&'a self, to: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        let Site { world, life, actor } = &self.0;
        Box::pin(life.perform("net.dial", async move {
            let conn = world.timed(|net, now| net.dial(*actor, to, now))?;
            // Wrapped at once: whoever stops dialling lets go of it.
            let stream = self.stream(conn, Side::Dialler);
            poll_fn(|context| {
                let established = world.net(|net| net.established(conn, context.waker()));
                established.map_or(Poll::Pending, Poll::Ready)
            })
            .await?;
            Ok(Box::new(stream) as BoxStream)
        }))
    }

    fn listen<'a>(&'a self, on: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let local = self.0.world.net(|net| net.listen(self.0.actor, on))?;
            let net = Self(self.0.clone());
            Ok(Box::new(Port { net, local }) as Box<dyn Listener>)
        })
    }

    fn udp<'a>(&'a self, on: &'a str) -> BoxFuture<'a, io::Result<Arc<dyn Udp>>> {
        Box::pin(async move {
            let local = self.0.world.net(|net| net.bind(self.0.actor, on))?;
            Ok(Arc::new(Datagrams { site: self.0.clone(), local }) as Arc<dyn Udp>)
        })
    }

    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<SocketAddr>> {
        Box::pin(async move { self.0.world.net(|net| net.find(self.0.actor, name)) })
    }
}

struct Port {
    net: ExpressNet,
    local: SocketAddr,
}

impl Listener for Port {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        let (net, port) = (&self.net, self.local.port());
        Box::pin(async move {
            let Site { world, life, actor } = &net.0;
            let (conn, peer) = poll_fn(|context| {
                let came = world.net(|net| net.accept(*actor, port, context.waker()));
                came.map_or(Poll::Pending, Poll::Ready)
            })
            .await;
            let stream = net.stream(conn, Side::Listener);
            match life.operate("net.accept", || ()) {
                Some(()) => Ok((Box::new(stream) as BoxStream, peer)),
                None => std::future::pending().await,
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let Site { world, life, actor } = &self.net.0;
        let speaks = !life.is_silenced();
        world.timed(|net, now| net.unlisten(*actor, self.local.port(), now, speaks));
    }
}

struct Datagrams {
    site: Site,
    local: SocketAddr,
}

impl Udp for Datagrams {
    fn send_to<'a>(&'a self, bytes: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            if bytes.len() > DATAGRAM {
                let what = format!("{} bytes do not fit a datagram: {DATAGRAM} do", bytes.len());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            let Site { world, life, actor } = &self.site;
            life.perform("udp.send", async {
                world.timed(|net, now| net.post(*actor, self.local.port(), bytes, to, now));
            })
            .await;
            Ok(())
        })
    }

    fn recv_from<'a>(
        &'a self,
        into: &'a mut [u8],
    ) -> BoxFuture<'a, io::Result<(usize, SocketAddr)>> {
        let Site { world, life, actor } = &self.site;
        Box::pin(async move {
            let (bytes, from) = poll_fn(|context| {
                let taken = world.net(|net| net.take(*actor, self.local.port(), context.waker()));
                taken.map_or(Poll::Pending, Poll::Ready)
            })
            .await;
            let length = bytes.len().min(into.len());
            into[..length].copy_from_slice(&bytes[..length]);
            match life.operate("udp.recv", || ()) {
                Some(()) => Ok((length, from)),
                None => std::future::pending().await,
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.site.world.net(|net| net.unbind(self.site.actor, self.local.port()));
    }
}

/// One end of a connection, which neither speaks nor hears once its life is over.
struct Stream {
    site: Site,
    conn: u64,
    side: Side,
    writing: Option<Ticket>,
    closing: Option<Ticket>,
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { site, conn, side, .. } = &*self;
        if site.life.is_over() {
            return Poll::Pending;
        }
        let read = site.world.timed(|net, now| net.read(*conn, *side, into, now, context.waker()));
        read.map_or(Poll::Pending, Poll::Ready)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let life = self.site.life.clone();
        let Some(ticket) = self.writing.take().or_else(|| life.begin("tcp.write")) else {
            return Poll::Pending;
        };
        let (conn, side) = (self.conn, self.side);
        let bytes = &bytes[..bytes.len().min(SEGMENT)];
        let world = &self.site.world;
        let written = world.timed(|net, now| net.write(conn, side, bytes, now, context.waker()));
        let Some(written) = written else {
            self.writing = Some(ticket);
            return Poll::Pending;
        };
        if life.end(ticket) { Poll::Ready(written) } else { Poll::Pending }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.site.life.is_over() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let life = self.site.life.clone();
        let Some(ticket) = self.closing.take().or_else(|| life.begin("tcp.shutdown")) else {
            return Poll::Pending;
        };
        let (conn, side) = (self.conn, self.side);
        self.site.world.timed(|net, now| net.finish(conn, side, now));
        if life.end(ticket) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let speaks = !self.site.life.is_silenced();
        let (conn, side) = (self.conn, self.side);
        self.site.world.timed(|net, now| net.close(conn, side, now, speaks));
    }
}
