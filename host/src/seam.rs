use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

/// A future on the heap, which is what lets the traits be objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A byte stream to a peer: TCP, or whatever a world puts in its place.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A stream on the heap.
pub type BoxStream = Box<dyn Stream>;

/// Opens connections and ports.
pub trait Net: Send + Sync {
    /// Connects to `host:port`. Bounded by the caller: put it under [`within`].
    fn dial<'a>(&'a self, to: &'a str) -> BoxFuture<'a, io::Result<BoxStream>>;
    /// Listens for streams on `address:port` (`0.0.0.0:0` for any port).
    fn listen<'a>(&'a self, on: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;
    /// Opens a datagram socket on `address:port`.
    fn udp<'a>(&'a self, on: &'a str) -> BoxFuture<'a, io::Result<Arc<dyn Udp>>>;
    /// The address of a `host:port`, without connecting.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<SocketAddr>>;
}

/// Accepts streams.
pub trait Listener: Send {
    /// The next stream and who opened it.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>>;
    /// Where it listens.
    ///
    /// # Errors
    /// Whatever the operating system reports.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Sends and receives datagrams.
pub trait Udp: Send + Sync {
    /// Sends one datagram.
    fn send_to<'a>(&'a self, bytes: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>>;
    /// Receives one datagram into `into`; returns its length and sender.
    fn recv_from<'a>(
        &'a self,
        into: &'a mut [u8],
    ) -> BoxFuture<'a, io::Result<(usize, SocketAddr)>>;
    /// Where it is bound.
    ///
    /// # Errors
    /// Whatever the operating system reports.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// One instant on both clocks of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reading {
    /// Since an origin fixed for the process; in simulation, since the start of the run.
    pub mono: Duration,
    /// Since 1970-01-01T00:00:00Z, as far as this host's clock knows.
    pub wall: Duration,
}

/// Tells the time and waits.
pub trait Clock: Send + Sync {
    /// Both clocks, read together. Measure with `mono`, persist `wall`.
    fn now(&self) -> Reading;
    /// Returns once `mono` has been reached.
    fn sleep_until(&self, mono: Duration) -> BoxFuture<'static, ()>;
}

/// Draws random bytes.
pub trait Entropy: Send + Sync {
    /// Fills `into` with random bytes, fit for secrets in the real world.
    fn fill(&self, into: &mut [u8]);
}

/// Runs tasks that end with their host.
pub trait Tasks: Send + Sync {
    /// Runs `task` beside the caller. A panic in it is recorded against `name`.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);
    /// Runs `work`, which may block, and returns when it has ended: on a thread of its own in the
    /// real world; in simulation inline, followed by a sleep as the disk model says.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()>;
}

/// Opens files.
pub trait Disk: Send + Sync {
    /// Opens the file at `path` for reading and writing, creating it empty.
    ///
    /// # Errors
    /// Whatever the operating system reports.
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;
}

/// A file as a database wants it. Every call may block.
pub trait DiskFile: Send + Sync + std::fmt::Debug {
    /// Its length in bytes.
    ///
    /// # Errors
    /// Whatever the operating system reports.
    fn len(&self) -> io::Result<u64>;
    /// True if nothing is in it.
    ///
    /// # Errors
    /// Whatever the operating system reports.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }
    /// Fills `into` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` beyond the end; else whatever the operating system reports.
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes `bytes` at `offset`. Durable only after [`sync`](Self::sync).
    ///
    /// # Errors
    /// Whatever the operating system reports.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts or extends the file.
    ///
    /// # Errors
    /// Whatever the operating system reports.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Returns once everything written is durable.
    ///
    /// # Errors
    /// Whatever the operating system reports.
    fn sync(&self) -> io::Result<()>;
}

/// Everything a program needs of the machine it runs on.
#[derive(Clone)]
pub struct Host {
    /// The network.
    pub net: Arc<dyn Net>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Tasks.
    pub tasks: Arc<dyn Tasks>,
    /// Files.
    pub disk: Arc<dyn Disk>,
}

impl Host {
    /// Waits for `time` on the monotonic clock.
    pub async fn sleep(&self, time: Duration) {
        self.clock.sleep_until(self.clock.now().mono + time).await;
    }

    /// 16 random bytes as 32 hexadecimal digits.
    #[must_use]
    pub fn random_hex(&self) -> String {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Runs `work` for at most `limit`; `None` if the time ran out first. `work` wins a tie.
pub async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut alarm = clock.sleep_until(clock.now().mono + limit);
    std::future::poll_fn(move |context| {
        if let Poll::Ready(value) = work.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        alarm.as_mut().poll(context).map(|()| None)
    })
    .await
}
