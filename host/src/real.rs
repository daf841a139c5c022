//! The real world: tokio's sockets and timers, the operating system's clock, randomness and files.
//!
//! This is the one place of the house that may call them.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the real implementation of the seam is where these calls belong"
)]

use std::any::Any;
use std::fs::{File, OpenOptions, TryLockError};
use std::future::poll_fn;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::seam::{
    BoxFuture, BoxStream, Clock, Disk, DiskFile, Entropy, Host, Listener, Net, Reading, Tasks, Udp,
};

/// This machine. Use it inside a tokio runtime with IO and time enabled.
#[must_use]
pub fn host() -> Host {
    Host {
        net: Arc::new(RealNet),
        clock: Arc::new(RealClock { origin: Instant::now() }),
        entropy: Arc::new(RealEntropy),
        tasks: Arc::new(RealTasks),
        disk: Arc::new(RealDisk),
    }
}

struct RealNet;

impl Net for RealNet {
    fn dial<'a>(&'a self, to: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(to).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        })
    }

    fn listen<'a>(&'a self, on: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(on).await?;
            Ok(Box::new(RealListener(listener)) as Box<dyn Listener>)
        })
    }

    fn udp<'a>(&'a self, on: &'a str) -> BoxFuture<'a, io::Result<Arc<dyn Udp>>> {
        Box::pin(async move {
            let socket = UdpSocket::bind(on).await?;
            Ok(Arc::new(RealUdp(socket)) as Arc<dyn Udp>)
        })
    }

    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<SocketAddr>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host(name).await?.next();
            found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address of that name"))
        })
    }
}

struct RealListener(TcpListener);

impl Listener for RealListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as BoxStream, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

struct RealUdp(UdpSocket);

impl Udp for RealUdp {
    fn send_to<'a>(&'a self, bytes: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { self.0.send_to(bytes, to).await.map(|_| ()) })
    }

    fn recv_from<'a>(
        &'a self,
        into: &'a mut [u8],
    ) -> BoxFuture<'a, io::Result<(usize, SocketAddr)>> {
        Box::pin(self.0.recv_from(into))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Longer than any program waits, and short enough never to overflow an instant.
const FOR_EVER: Duration = Duration::from_secs(86_400 * 365 * 30);

struct RealClock {
    origin: Instant,
}

impl Clock for RealClock {
    fn now(&self) -> Reading {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Reading { mono: self.origin.elapsed(), wall: wall.unwrap_or_default() }
    }

    fn sleep_until(&self, mono: Duration) -> BoxFuture<'static, ()> {
        let until = self.origin.checked_add(mono.min(FOR_EVER)).unwrap_or(self.origin);
        Box::pin(tokio::time::sleep_until(until.into()))
    }
}

struct RealEntropy;

impl Entropy for RealEntropy {
    fn fill(&self, into: &mut [u8]) {
        let drawn = File::open("/dev/urandom").and_then(|mut file| file.read_exact(into));
        drawn.expect("/dev/urandom gives bytes: without randomness no id may be made");
    }
}

/// Panics kept for [`panicked`]; the panic hook tells of later ones all the same.
const KEPT: usize = 64;

static PANICKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The panics of tasks in this process so far, each as `task: message`, at most the first 64.
#[must_use]
pub fn panicked() -> Vec<String> {
    PANICKED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn keep_panic(name: &str, panic: &(dyn Any + Send)) {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let mut kept = PANICKED.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() < KEPT {
        kept.push(format!("{name}: {}", said.unwrap_or("a panic without a text")));
    }
}

struct RealTasks;

impl Tasks for RealTasks {
    fn spawn(&self, name: &'static str, mut task: BoxFuture<'static, ()>) {
        tokio::spawn(poll_fn(move |context| {
            catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context))).unwrap_or_else(|panic| {
                keep_panic(name, panic.as_ref());
                Poll::Ready(())
            })
        }));
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let handle = tokio::task::spawn_blocking(work);
        Box::pin(async move {
            if let Err(failed) = handle.await
                && failed.is_panic()
            {
                std::panic::resume_unwind(failed.into_panic());
            }
        })
    }
}

struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        // What is stored is nobody else's business: the owner reads and writes.
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        // A power loss that forgets the file's name would take every record with it.
        let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        match file.try_lock() {
            Ok(()) => Ok(Arc::new(RealFile(Mutex::new(file)))),
            Err(TryLockError::WouldBlock) => {
                let what = format!("{path} is in use by another process");
                Err(io::Error::new(io::ErrorKind::ResourceBusy, what))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[derive(Debug)]
struct RealFile(Mutex<File>);

impl RealFile {
    fn with<T>(&self, act: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        act(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|file| file.metadata().map(|metadata| metadata.len()))
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.with(|file| file.read_exact_at(into, offset))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|file| file.write_all_at(bytes, offset))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|file| file.set_len(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(File::sync_data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::within;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn streams_and_datagrams_carry_bytes() {
        run(async {
            let host = host();
            let mut listener = host.net.listen("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let (dialled, accepted) = tokio::join!(host.net.dial(&address), listener.accept());
            dialled.unwrap().write_all(b"over").await.unwrap();
            let mut text = String::new();
            accepted.unwrap().0.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "over");
            let (one, two) = (
                host.net.udp("127.0.0.1:0").await.unwrap(),
                host.net.udp("127.0.0.1:0").await.unwrap(),
            );
            one.send_to(b"hi", two.local_addr().unwrap()).await.unwrap();
            let mut bytes = [0; 8];
            let (length, from) = two.recv_from(&mut bytes).await.unwrap();
            assert_eq!((&bytes[..length], from), (&b"hi"[..], one.local_addr().unwrap()));
        });
    }

    #[test]
    fn a_file_keeps_what_was_written_and_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file").to_string_lossy().into_owned();
        let host = host();
        let file = host.disk.open(&path).unwrap();
        file.write(3, b"abc").unwrap();
        file.sync().unwrap();
        assert_eq!(file.len().unwrap(), 6);
        let mut bytes = [0; 3];
        file.read(3, &mut bytes).unwrap();
        assert_eq!(&bytes, b"abc");
        assert!(file.read(5, &mut bytes).is_err());
        assert_eq!(host.disk.open(&path).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(file);
        assert!(host.disk.open(&path).is_ok());
    }

    #[test]
    fn a_panic_is_kept_under_the_name_of_its_task() {
        run(async {
            let host = host();
            let (alive, gone) = tokio::sync::oneshot::channel::<()>();
            let blocking = host.tasks.blocking(Box::new(|| panic!("on purpose {}", 7)));
            let task = async move {
                let _alive = alive;
                blocking.await;
            };
            host.tasks.spawn("doomed", Box::pin(task));
            assert!(gone.await.is_err());
            assert_eq!(panicked(), ["doomed: on purpose 7"]);
        });
    }

    #[test]
    fn a_sleep_without_end_does_not_overflow() {
        run(async {
            let clock = host().clock;
            let limit = Duration::from_millis(1);
            assert_eq!(within(&*clock, limit, clock.sleep_until(Duration::MAX)).await, None);
        });
    }

    #[test]
    fn a_limit_ends_what_never_ends_and_nothing_else() {
        run(async {
            let host = host();
            let limit = Duration::from_millis(5);
            let never = within(&*host.clock, limit, std::future::pending::<()>()).await;
            assert_eq!(never, None);
            let soon = within(&*host.clock, Duration::from_secs(60), async { 7 }).await;
            assert_eq!(soon, Some(7));
        });
    }
}
