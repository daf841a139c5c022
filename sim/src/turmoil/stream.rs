use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::turmoil::net::TcpStream;
use reveille_host::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::links::{Born, Lost};
use super::net::{Graveyard, SimNet};
use super::seam::until;
use super::world::World;
use crate::fault::{Life, Ticket, micros};

/// What one write takes at most, in bytes: turmoil counts segments, a kernel counts bytes.
const SEGMENT: usize = 16 * 1024;
/// Before each segment stands when it was sent and how much later than usual it comes, in
/// microseconds. turmoil hands out one write with one read, if there is room for it.
const LABEL: usize = 16;
/// So long after a stream without a binding spoke it hears that nobody knows it.
const RESET_AFTER: Duration = Duration::from_millis(40);

/// What has come and waits until it is due.
enum Coming {
    Bytes { sent: Duration, late: Duration, from: usize, to: usize },
    End,
    Broken(io::Error),
}

/// A stream that neither speaks nor hears once its life is over.
pub(super) struct SimStream {
    inner: Option<TcpStream>,
    world: Arc<World>,
    life: Life,
    graves: Arc<Graveyard>,
    own: IpAddr,
    peer: IpAddr,
    number: u64,
    born: Born,
    /// When something passed last.
    passed: Duration,
    /// Nothing passes, since then.
    lost: Option<Lost>,
    /// When its host learns of that.
    reset: Option<Duration>,
    room: Vec<u8>,
    coming: Option<Coming>,
    is_ended: bool,
    alarm: Option<BoxFuture<'static, ()>>,
    /// How late the segment is that waits to be written: the weather is asked once.
    late: Option<Duration>,
    writing: Option<Ticket>,
    closing: Option<Ticket>,
}

impl SimStream {
    pub(super) fn new(inner: TcpStream, net: &SimNet, peer: IpAddr) -> Self {
        Self {
            inner: Some(inner),
            world: Arc::clone(&net.world),
            life: net.life.clone(),
            graves: Arc::clone(&net.graves),
            own: net.own,
            peer,
            number: net.world.links.number(),
            born: net.world.links.born(net.own),
            passed: net.world.now(),
            lost: None,
            reset: None,
            room: Vec::new(),
            coming: None,
            is_ended: false,
            alarm: None,
            late: None,
            writing: None,
            closing: None,
        }
    }

    /// As one that was dialled when its host stood so.
    pub(super) fn made(mut self, born: Born) -> Self {
        self.born = born;
        self
    }

    fn inner(&mut self) -> Pin<&mut TcpStream> {
        let inner = self.inner.as_mut();
        Pin::new(inner.expect("a stream gives up its socket only when it is dropped"))
    }

    /// Whether it stays within its host: nothing of the network befalls it.
    fn is_near(&self) -> bool {
        self.peer.is_loopback() || self.peer == self.own
    }

    /// Whether nothing passes any more; at `at` something wants to.
    fn is_lost(&mut self, at: Duration) -> Option<Lost> {
        if self.lost != Some(Lost::Moved) && !self.is_near() {
            let found = self.world.links.lost(self.own, self.born, self.passed, at);
            self.lost = found.filter(|lost| *lost == Lost::Moved).or(self.lost).or(found);
        }
        self.lost
    }

    /// What its host is told of a stream that is lost; nothing: that it waits.
    fn told(&self, lost: Lost) -> Option<io::Error> {
        let now = self.world.now();
        match lost {
            Lost::Moved => {
                self.world.links.met(self.own, lost, now);
                Some(io::ErrorKind::ConnectionAborted.into())
            }
            Lost::Rebound | Lost::Silent => {
                let is_over = self.reset.is_some_and(|at| at <= now);
                is_over.then(|| io::ErrorKind::ConnectionReset.into())
            }
        }
    }

    /// Its host speaks although nothing passes: what lies between answers for the peer.
    fn spoke(&mut self, lost: Lost) {
        let now = self.world.now();
        self.world.links.met(self.own, lost, now);
        self.reset.get_or_insert(now + RESET_AFTER);
    }

    /// Waits until then; true if that is over.
    fn is_past(&mut self, at: Duration, context: &mut Context<'_>) -> bool {
        if at <= self.world.now() {
            self.alarm = None;
            return true;
        }
        let world = Arc::clone(&self.world);
        let alarm = Box::pin(async move { until(&world, at).await });
        let alarm = self.alarm.insert(alarm);
        alarm.as_mut().poll(context).is_ready()
    }

    /// Takes what has come, if nothing waits already.
    fn take(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.coming.is_some() {
            return Poll::Ready(());
        }
        let mut room = std::mem::take(&mut self.room);
        room.resize(LABEL + SEGMENT, 0);
        let mut buffer = ReadBuf::new(&mut room);
        let polled = self.inner().poll_read(context, &mut buffer);
        let length = buffer.filled().len();
        self.room = room;
        let Poll::Ready(read) = polled else {
            self.world.links.wait(self.number, self.own, context.waker());
            return Poll::Pending;
        };
        let time = |at: usize| {
            let bytes = self.room[at..at + 8].try_into().unwrap_or_default();
            Duration::from_micros(u64::from_be_bytes(bytes))
        };
        self.coming = Some(match read {
            Ok(()) if length < LABEL => Coming::End,
            Ok(()) => Coming::Bytes { sent: time(0), late: time(8), from: LABEL, to: length },
            Err(error) => Coming::Broken(error),
        });
        Poll::Ready(())
    }

    /// Waits until what has come is due.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = self.world.now();
        let mut at = match &self.coming {
            Some(Coming::Bytes { sent, late, .. }) if !late.is_zero() => {
                *sent + self.world.shortest + *late
            }
            _ => now,
        };
        if !self.is_near() {
            at = at.max(self.world.links.cut_until(self.peer, self.own, now).unwrap_or(at));
        }
        if self.is_past(at, context) {
            return Poll::Ready(());
        }
        self.world.links.wait(self.number, self.own, context.waker());
        Poll::Pending
    }

    /// Swallows what comes to a stream that is lost.
    fn swallow(&mut self, lost: Lost, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(error) = self.told(lost) {
                return Poll::Ready(Err(error));
            }
            if let Some(at) = self.reset
                && self.is_past(at, context)
            {
                continue;
            }
            if matches!(self.coming, Some(Coming::End | Coming::Broken(_))) {
                self.world.links.wait(self.number, self.own, context.waker());
                return Poll::Pending;
            }
            self.coming = None;
            ready!(self.take(context));
            self.world.links.met(self.own, lost, self.world.now());
        }
    }

    /// Hands out what is due.
    fn hand_out(&mut self, into: &mut ReadBuf<'_>) -> io::Result<()> {
        match self.coming.take() {
            Some(Coming::Bytes { sent, late, from, to }) => {
                let length = into.remaining().min(to - from);
                into.put_slice(&self.room[from..from + length]);
                let from = from + length;
                self.coming = (from < to).then_some(Coming::Bytes { sent, late, from, to });
                self.passed = self.world.now();
                Ok(())
            }
            Some(Coming::Broken(error)) => Err(error),
            Some(Coming::End) | None => {
                self.is_ended = true;
                Ok(())
            }
        }
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
        if self.is_ended || into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let passed = self.passed;
        if let Some(lost) = self.is_lost(passed) {
            return self.swallow(lost, context);
        }
        ready!(self.take(context));
        let sent = match &self.coming {
            Some(Coming::Bytes { sent, .. }) => *sent,
            _ => self.world.now(),
        };
        if let Some(lost) = self.is_lost(sent) {
            self.world.links.met(self.own, lost, self.world.now());
            return self.swallow(lost, context);
        }
        ready!(self.wait(context));
        Poll::Ready(self.hand_out(into))
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
        let now = self.world.now();
        let written = if let Some(lost) = self.is_lost(now) {
            match self.told(lost) {
                Some(error) => Err(error),
                None => {
                    self.spoke(lost);
                    Ok(bytes.len())
                }
            }
        } else {
            let way = (self.own, self.peer);
            let late = match self.late {
                Some(late) => late,
                None if self.is_near() => Duration::ZERO,
                None => self.world.links.segment(way, now, bytes.len()),
            };
            let label = [micros(now).to_be_bytes(), micros(late).to_be_bytes()].concat();
            let Poll::Ready(written) =
                self.inner().poll_write(context, &[&label[..], bytes].concat())
            else {
                self.late = Some(late);
                self.writing = Some(ticket);
                return Poll::Pending;
            };
            self.late = None;
            self.passed = now;
            written.map(|_labelled| bytes.len())
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
        let now = self.world.now();
        let shut = match self.is_lost(now) {
            Some(lost) => {
                self.spoke(lost);
                Ok(())
            }
            None => ready!(self.inner().poll_shutdown(context)),
        };
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
        self.world.links.forget(self.number);
        let now = self.world.now();
        if let Some(inner) = self.inner.take()
            && (self.life.is_silenced() || self.is_lost(now).is_some())
        {
            self.graves.bury(inner);
        }
    }
}
