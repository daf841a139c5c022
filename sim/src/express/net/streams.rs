//! Connections: handshake, windows, repetition, end.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::task::Waker;

use super::{BACKLOG, Net, Packet, Port};
use crate::express::agenda::Event;

/// Bytes that are on their way or unread before a writer has to wait.
pub(in crate::express) const WINDOW: usize = 256 * 1024;
/// The first time after which a segment is sent again; of a SYN 1 s (RFC 6298 2.1 and 5.5; Linux).
const AGAIN_US: u64 = 200_000;
const SYN_AGAIN_US: u64 = 1_000_000;
/// The longest time between two repetitions.
const AGAIN_MOST_US: u64 = 120_000_000;
/// How often a segment is sent again (`tcp_retries2`), and a SYN (`tcp_syn_retries`).
const TRIES: u32 = 15;
const SYN_TRIES: u32 = 6;
/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::express) enum Side {
    Dialler,
    Listener,
}

impl Side {
    pub(in crate::express) const fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Listener,
            Self::Listener => Self::Dialler,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Dialler => 0,
            Self::Listener => 1,
        }
    }
}

/// What a segment says.
pub(in crate::express) enum Segment {
    Syn,
    SynAck,
    Data(Vec<u8>),
    Fin,
    Reset,
}

/// How an end stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// A program holds it.
    Open,
    /// Its program let go of it: what still comes for it is answered by a reset.
    Closed,
    /// Nothing that is sent to it ever arrives, and nothing of it leaves: its machine lost power, or
    /// its address is another's now.
    Silent,
}

pub(super) struct End {
    pub(super) machine: usize,
    pub(super) address: SocketAddr,
    pub(super) stand: Stand,
    pub(super) established: bool,
    /// What came, in order, and is not read yet; of the first piece so much is read.
    pub(super) came: VecDeque<Vec<u8>>,
    pub(super) read: usize,
    pub(super) ended: bool,
    pub(super) error: Option<io::ErrorKind>,
    /// What came before its turn.
    pub(super) early: BTreeMap<u64, Segment>,
    pub(super) expected: u64,
    /// The number of the next segment it sends.
    pub(super) next: u64,
    /// Bytes it sent that the other end has not read.
    pub(super) outstanding: usize,
    pub(super) finished: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl End {
    fn new(machine: usize, address: SocketAddr) -> Self {
        Self {
            machine,
            address,
            stand: Stand::Open,
            established: false,
            came: VecDeque::new(),
            read: 0,
            ended: false,
            error: None,
            early: BTreeMap::new(),
            expected: 0,
            next: 0,
            outstanding: 0,
            finished: false,
            reader: None,
            writer: None,
        }
    }

    pub(super) fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    pub(super) fn fail(&mut self, error: io::ErrorKind) {
        self.error.get_or_insert(error);
        self.wake();
    }
}

pub(super) struct Conn {
    pub(super) ends: [End; 2],
    /// When a packet last passed, for whoever translates addresses.
    pub(super) passed: u64,
    /// The address translation forgot it: what comes from outside is lost, what leaves meets a reset.
    pub(super) forgotten: bool,
}

impl Net {
    pub(in crate::express) fn listen(
        &mut self,
        machine: usize,
        on: &str,
    ) -> io::Result<SocketAddr> {
        let local = self.local(machine, on, true)?;
        self.machines[machine].ports.insert(local.port(), Port::default());
        Ok(local)
    }

    /// The next connection of a port, or who waits for it.
    pub(in crate::express) fn accept(
        &mut self,
        machine: usize,
        port: u16,
        waker: &Waker,
    ) -> Option<(u64, SocketAddr)> {
        let of = self.machines[machine].ports.get_mut(&port)?;
        let Some(conn) = of.arrived.pop_front() else {
            of.waker = Some(waker.clone());
            return None;
        };
        let peer = self.conns.get(&conn)?.ends[Side::Dialler.index()].address;
        Some((conn, peer))
    }

    /// Nobody listens there any more; who was not accepted meets a reset.
    pub(in crate::express) fn unlisten(
        &mut self,
        machine: usize,
        port: u16,
        now: u64,
        speaks: bool,
    ) {
        let Some(of) = self.machines[machine].ports.remove(&port) else { return };
        for conn in of.arrived {
            self.close(conn, Side::Listener, now, speaks);
        }
    }

    pub(in crate::express) fn dial(
        &mut self,
        machine: usize,
        to: &str,
        now: u64,
    ) -> io::Result<u64> {
        let to = self.find(machine, to)?;
        let own = SocketAddr::new(self.machines[machine].address, self.free_port(machine)?);
        let conn = self.next_conn;
        self.next_conn += 1;
        // Until the SYN arrives nobody knows whose the other end is; packets go by the address.
        let peer = self.addresses.get(&to.ip()).copied().unwrap_or(usize::MAX);
        let ends = [End::new(machine, own), End::new(peer, to)];
        self.conns.insert(conn, Conn { ends, passed: now, forgotten: false });
        self.send(conn, Side::Dialler, Segment::Syn, now);
        Ok(conn)
    }

    /// `None`: not yet.
    pub(in crate::express) fn established(
        &mut self,
        conn: u64,
        waker: &Waker,
    ) -> Option<io::Result<()>> {
        let end = &mut self.conns.get_mut(&conn)?.ends[0];
        if let Some(error) = end.error {
            return Some(Err(error.into()));
        }
        if end.established {
            return Some(Ok(()));
        }
        end.writer = Some(waker.clone());
        None
    }

    /// Reads into `into`; `None`: nothing is there yet.
    pub(in crate::express) fn read(
        &mut self,
        conn: u64,
        side: Side,
        into: &mut tokio::io::ReadBuf<'_>,
        now: u64,
        waker: &Waker,
    ) -> Option<io::Result<()>> {
        let Some(of) = self.conns.get_mut(&conn) else { return Some(Ok(())) };
        let end = &mut of.ends[side.index()];
        let before = into.filled().len();
        while into.remaining() > 0
            && let Some(piece) = end.came.front()
        {
            let rest = &piece[end.read..];
            let taken = rest.len().min(into.remaining());
            into.put_slice(&rest[..taken]);
            end.read += taken;
            if end.read == piece.len() {
                end.came.pop_front();
                end.read = 0;
            }
        }
        let taken = into.filled().len() - before;
        if taken == 0 && into.remaining() > 0 {
            if let Some(error) = end.error {
                return Some(Err(error.into()));
            }
            if !end.ended {
                end.reader = Some(waker.clone());
                return None;
            }
            return Some(Ok(()));
        }
        self.credit(conn, side, taken, now);
        Some(Ok(()))
    }

    /// The other end may write so much more, once it learns of it.
    fn credit(&mut self, conn: u64, side: Side, taken: usize, now: u64) {
        let Some(of) = self.conns.get_mut(&conn) else { return };
        let machines = (of.ends[side.index()].machine, of.ends[side.other().index()].machine);
        let other = &mut of.ends[side.other().index()];
        other.outstanding = other.outstanding.saturating_sub(taken);
        if let Some(writer) = other.writer.take() {
            let at = now + self.links.latency_us(machines.0, machines.1);
            self.agenda.plan(at, Event::Wake(writer));
        }
    }

    /// Writes at most `most` of `bytes`; `None`: the window is full.
    pub(in crate::express) fn write(
        &mut self,
        conn: u64,
        side: Side,
        bytes: &[u8],
        now: u64,
        waker: &Waker,
    ) -> Option<io::Result<usize>> {
        let gone = || Some(Err(io::ErrorKind::BrokenPipe.into()));
        let Some(of) = self.conns.get_mut(&conn) else { return gone() };
        let end = &mut of.ends[side.index()];
        if let Some(error) = end.error {
            return Some(Err(error.into()));
        }
        if end.finished {
            return gone();
        }
        let room = WINDOW.saturating_sub(end.outstanding);
        if room == 0 && !bytes.is_empty() {
            end.writer = Some(waker.clone());
            return None;
        }
        let taken = bytes.len().min(room);
        if taken > 0 {
            end.outstanding += taken;
            self.send(conn, side, Segment::Data(bytes[..taken].to_vec()), now);
        }
        Some(Ok(taken))
    }

    /// No more will be written there.
    pub(in crate::express) fn finish(&mut self, conn: u64, side: Side, now: u64) {
        let Some(of) = self.conns.get_mut(&conn) else { return };
        let end = &mut of.ends[side.index()];
        if end.established && !std::mem::replace(&mut end.finished, true) && end.error.is_none() {
            self.send(conn, side, Segment::Fin, now);
        }
    }

    /// The program lets go of an end. `speaks`: its kernel tells the other one.
    pub(in crate::express) fn close(&mut self, conn: u64, side: Side, now: u64, speaks: bool) {
        let Some(of) = self.conns.get_mut(&conn) else { return };
        let end = &mut of.ends[side.index()];
        if end.stand == Stand::Silent || !speaks {
            end.stand = Stand::Silent;
        } else {
            end.stand = Stand::Closed;
            let unread = !end.came.is_empty();
            let finished = std::mem::replace(&mut end.finished, true);
            let broken = end.error.is_some() || !end.established;
            if !broken && unread {
                self.send(conn, side, Segment::Reset, now);
            } else if !broken && !finished {
                self.send(conn, side, Segment::Fin, now);
            }
        }
        self.forget_if_over(conn);
    }

    pub(super) fn forget_if_over(&mut self, conn: u64) {
        let over = |conn: &Conn| conn.ends.iter().all(|end| end.stand != Stand::Open);
        if self.conns.get(&conn).is_some_and(over) {
            self.conns.remove(&conn);
        }
    }

    fn send(&mut self, conn: u64, by: Side, what: Segment, now: u64) {
        let Some(of) = self.conns.get_mut(&conn) else { return };
        let end = &mut of.ends[by.index()];
        let number = end.next;
        end.next += 1;
        let to = by.other();
        self.launch(conn, to, number, what, now, 0);
    }

    /// Sends a segment, for the first time or again.
    fn launch(&mut self, conn: u64, to: Side, number: u64, what: Segment, sent: u64, tries: u32) {
        let Some(of) = self.conns.get_mut(&conn) else { return };
        let from = of.ends[to.other().index()].machine;
        let target = of.ends[to.index()].machine;
        let size = match &what {
            Segment::Data(bytes) => bytes.len() + 40,
            _ => 40,
        };
        let takes = self.links.takes_us(from, target, size, sent);
        let packet = Packet::Segment { conn, to, number, what, sent, tries };
        self.agenda.plan(sent + takes, Event::Packet(packet));
    }

    /// A segment is where it was sent to, or was lost on the way.
    pub(super) fn arrive(&mut self, packet: Packet, now: u64) {
        let Packet::Segment { conn, to, number, what, sent, tries } = packet else { return };
        let Some(of) = self.conns.get_mut(&conn) else { return };
        let (from, target) = (of.ends[to.other().index()].machine, of.ends[to.index()].machine);
        let by_silent = of.ends[to.other().index()].stand == Stand::Silent;
        let powerless = self.machines.get(target).is_none_or(|machine| !machine.has_power);
        let lost = self.links.loses(from, target, sent, now)
            || powerless
            || self.strays(conn, to, now, matches!(what, Segment::Reset));
        if !lost {
            return self.deliver(conn, to, number, what, now);
        }
        if by_silent || matches!(what, Segment::Reset) {
            return;
        }
        let (first, most) = match what {
            Segment::Syn | Segment::SynAck => (SYN_AGAIN_US, SYN_TRIES),
            _ => (AGAIN_US, TRIES),
        };
        if tries >= most {
            return self.give_up(conn, to.other());
        }
        let again = sent + (first << tries).min(AGAIN_MOST_US);
        // What was found to be lost late is sent again at once.
        self.launch(conn, to, number, what, again.max(now), tries + 1);
    }

    fn give_up(&mut self, conn: u64, side: Side) {
        let Some(of) = self.conns.get_mut(&conn) else { return };
        of.ends[side.index()].fail(io::ErrorKind::TimedOut);
    }

    /// Whether a packet to this end is lost at an address translation, or at an address that is
    /// nobody's any more.
    fn strays(&mut self, conn: u64, to: Side, now: u64, is_reset: bool) -> bool {
        let Some(of) = self.conns.get_mut(&conn) else { return true };
        let behind = |side: Side| self.machines.get(of.ends[side.index()].machine)?.nat_us;
        if let Some(patience) = behind(to).or_else(|| behind(to.other()))
            && !of.forgotten
            && now.saturating_sub(of.passed) > patience
        {
            of.forgotten = true;
            let side = if behind(to).is_some() { to } else { to.other() };
            let name = self.machines[of.ends[side.index()].machine].name.clone();
            self.links.bites.push(("nat", name));
        }
        of.passed = now;
        of.ends[to.index()].stand == Stand::Silent
            || (of.forgotten && !is_reset && behind(to).is_some())
    }

    fn deliver(&mut self, conn: u64, to: Side, number: u64, what: Segment, now: u64) {
        let Some(of) = self.conns.get_mut(&conn) else { return };
        if of.forgotten && !matches!(what, Segment::Reset) {
            // A stranger's segment: the other side knows no such connection.
            return self.reset(conn, to, now);
        }
        if matches!(what, Segment::Syn) {
            return self.meet(conn, now);
        }
        let end = &mut of.ends[to.index()];
        if end.stand == Stand::Closed && !matches!(what, Segment::Reset | Segment::Fin) {
            return self.reset(conn, to, now);
        }
        if matches!(what, Segment::Reset) {
            // A refusal is no reset of what stood.
            let kind = match end.established {
                true => io::ErrorKind::ConnectionReset,
                false => io::ErrorKind::ConnectionRefused,
            };
            return end.fail(kind);
        }
        end.early.insert(number, what);
        while let Some(what) = end.early.remove(&end.expected) {
            end.expected += 1;
            match what {
                Segment::SynAck => end.established = true,
                Segment::Data(bytes) => end.came.push_back(bytes),
                Segment::Fin => end.ended = true,
                Segment::Syn | Segment::Reset => {}
            }
        }
        end.wake();
    }

    /// A SYN meets a port, or none.
    fn meet(&mut self, conn: u64, now: u64) {
        let Some(of) = self.conns.get_mut(&conn) else { return };
        let end = &mut of.ends[Side::Listener.index()];
        let Some(machine) = self.machines.get_mut(end.machine) else { return };
        let port = machine.ports.get_mut(&end.address.port());
        match port.filter(|port| port.arrived.len() < BACKLOG) {
            Some(port) => {
                port.arrived.push_back(conn);
                port.waker.take().into_iter().for_each(Waker::wake);
                end.established = true;
                end.expected = 1;
                self.send(conn, Side::Listener, Segment::SynAck, now);
            }
            None => {
                end.stand = Stand::Closed;
                self.reset(conn, Side::Listener, now);
            }
        }
    }

    /// The machine of `by` answers with a reset.
    fn reset(&mut self, conn: u64, by: Side, now: u64) {
        self.launch(conn, by.other(), 0, Segment::Reset, now, 0);
    }
}
