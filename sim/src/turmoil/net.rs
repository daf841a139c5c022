use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use ::turmoil::net::{TcpListener, TcpStream, UdpSocket};
use reveille_host::{BoxFuture, BoxStream, Listener, Net, Udp};

use super::datagrams::SimUdp;
use super::seam::until;
use super::stream::SimStream;
use super::world::World;
use crate::fault::Life;

/// What a segment without content brings, in bytes: that of a handshake.
const BARE: usize = 0;

/// The sockets of a host that lost power: they must not close, for closing is a word to the peer.
#[derive(Default)]
pub(super) struct Graveyard(Mutex<(Vec<TcpStream>, Vec<TcpListener>)>);

impl Graveyard {
    pub(super) fn bury(&self, stream: TcpStream) {
        self.with(|(streams, _)| streams.push(stream));
    }

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
        Ok(SocketAddr::new(self.world.links.shown(address), port))
    }

    /// As turmoil knows the host of this name; none, if nobody is under this address any more.
    fn target(&self, name: &str) -> io::Result<Option<SocketAddr>> {
        let shown = self.find(name)?;
        Ok(self.world.links.behind(shown.ip()).map(|host| SocketAddr::new(host, shown.port())))
    }

    /// A handshake takes a packet each way: it waits for cuts of both, and storms keep it up.
    async fn shake_hands(&self, peer: IpAddr) {
        if peer.is_loopback() || peer == self.own {
            return;
        }
        let links = &self.world.links;
        links.met_move(self.own, self.world.now());
        for way in [(self.own, peer), (peer, self.own)] {
            let late = links.segment(way, self.world.now(), BARE);
            until(&self.world, self.world.now() + late).await;
            while let Some(healed) = links.cut_until(way.0, way.1, self.world.now()) {
                until(&self.world, healed).await;
            }
        }
    }

    /// turmoil binds to every address of a host or to the loopback one.
    fn local(&self, on: &str) -> io::Result<SocketAddr> {
        let mut local = self.find(on)?;
        if self.world.links.behind(local.ip()) == Some(self.own) {
            local.set_ip(IpAddr::from([0, 0, 0, 0]));
        }
        Ok(local)
    }

    fn stream(&self, inner: TcpStream, peer: IpAddr) -> BoxStream {
        Box::new(SimStream::new(inner, self, peer))
    }
}

impl Net for SimNet {
    fn dial<'a>(&'a self, to: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let dialled = self.life.perform("net.dial", async {
                let Some(target) = self.target(to)? else { return pending().await };
                let born = self.world.links.born(self.own);
                self.shake_hands(target.ip()).await;
                let stream = TcpStream::connect(target).await?;
                // Wrapped at once: if the life is over now, its end decides how it closes.
                let stream = SimStream::new(stream, self, target.ip()).made(born);
                Ok(Box::new(stream) as BoxStream)
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
            Ok(Arc::new(SimUdp::new(inner, self.clone())) as Arc<dyn Udp>)
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
            let (stream, mut from) = self.inner().accept().await?;
            let stream = self.net.stream(stream, from.ip());
            from.set_ip(self.net.world.links.shown(from.ip()));
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
