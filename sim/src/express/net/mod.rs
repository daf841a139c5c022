//! The network: machines, links, connections, and what becomes of each packet.
//!
//! A stream's segments are numbered. One that is lost, or meets a cut, a machine without power or a
//! storm, is sent again after 200 ms and then after twice the time before, as kernels do; what came
//! early waits for it. Nothing here is told to the two ends but by packets.

mod befall;
mod datagrams;
mod streams;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::Waker;

use self::streams::Conn;
pub(super) use self::streams::{Segment, Side};
use super::agenda::Agenda;
use super::chance::Chance;
use super::links::Links;

/// Connections that wait to be accepted, and datagrams that wait to be read.
const BACKLOG: usize = 4096;
const FIRST_PORT: u16 = 49_152;

/// Something on its way.
pub(super) enum Packet {
    /// To an end of a connection.
    Segment { conn: u64, to: Side, number: u64, what: Segment, sent: u64, tries: u32 },
    /// To a port.
    Datagram { from: SocketAddr, by: usize, to: SocketAddr, bytes: Vec<u8>, sent: u64 },
}

#[derive(Default)]
struct Port {
    arrived: VecDeque<u64>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Mailbox {
    arrived: VecDeque<(Vec<u8>, SocketAddr)>,
    wakers: Vec<Waker>,
}

struct Machine {
    name: String,
    address: IpAddr,
    has_power: bool,
    /// It stands behind an address translation that forgets after this silence, in microseconds.
    nat_us: Option<u64>,
    ports: BTreeMap<u16, Port>,
    mailboxes: BTreeMap<u16, Mailbox>,
    next_port: u16,
    moves: u32,
}

/// Everything that is on the way or at an end of it.
pub(super) struct Net {
    machines: Vec<Machine>,
    names: BTreeMap<String, usize>,
    addresses: BTreeMap<IpAddr, usize>,
    conns: BTreeMap<u64, Conn>,
    next_conn: u64,
    pub(super) links: Links,
    pub(super) agenda: Agenda,
}

/// The `nth` address of the network of this number, from 1.
fn address(network: [u8; 2], nth: usize) -> IpAddr {
    let first = u32::from(Ipv4Addr::new(network[0], network[1], 0, 0));
    IpAddr::V4(Ipv4Addr::from(first + u32::try_from(nth).unwrap_or(u32::MAX >> 1)))
}

fn refused(why: &str, name: &str) -> io::Error {
    let what = format!("{name}: {why}; write host:port, with a host that entered the play");
    io::Error::new(io::ErrorKind::NotFound, what)
}

impl Net {
    pub(super) fn new(latency_us: (u64, u64), chance: Chance) -> Self {
        Self {
            machines: Vec::new(),
            names: BTreeMap::new(),
            addresses: BTreeMap::new(),
            conns: BTreeMap::new(),
            next_conn: 0,
            links: Links::new(latency_us, chance),
            agenda: Agenda::default(),
        }
    }

    /// A machine of this name; its number.
    pub(super) fn add(&mut self, name: &str, nat_us: Option<u64>) -> usize {
        let number = self.machines.len();
        let address = address([192, 168], number + 1);
        self.machines.push(Machine {
            name: name.to_owned(),
            address,
            has_power: true,
            nat_us,
            ports: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            next_port: FIRST_PORT,
            moves: 0,
        });
        self.names.insert(name.to_owned(), number);
        self.addresses.insert(address, number);
        number
    }

    pub(super) fn machine(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    pub(super) fn name(&self, machine: usize) -> &str {
        &self.machines[machine].name
    }

    /// Where `host:port` is, as `machine` sees it.
    pub(super) fn find(&self, machine: usize, name: &str) -> io::Result<SocketAddr> {
        let (host, port) = name.rsplit_once(':').ok_or_else(|| refused("it has no port", name))?;
        let port = port.parse().map_err(|_| refused("its port is no number up to 65535", name))?;
        let own = self.machines[machine].address;
        let host = host.trim_matches(['[', ']']);
        let ip = match host {
            "localhost" => own,
            _ => match (host.parse::<IpAddr>(), self.names.get(host)) {
                (Ok(ip), _) if ip.is_loopback() || ip.is_unspecified() => own,
                (Ok(ip), _) => ip,
                (Err(_), Some(known)) => self.machines[*known].address,
                (Err(_), None) => return Err(refused("no host has this name", name)),
            },
        };
        Ok(SocketAddr::new(ip, port))
    }

    fn free_port(&mut self, machine: usize) -> io::Result<u16> {
        let of = &mut self.machines[machine];
        for _ in FIRST_PORT..=u16::MAX {
            let port = of.next_port;
            of.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            if !of.ports.contains_key(&port) && !of.mailboxes.contains_key(&port) {
                return Ok(port);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "the machine has no free port"))
    }

    fn local(&mut self, machine: usize, on: &str, of_streams: bool) -> io::Result<SocketAddr> {
        let mut local = self.find(machine, on)?;
        if local.ip() != self.machines[machine].address {
            let what = format!("{on} is no address of {}", self.name(machine));
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, what));
        }
        if local.port() == 0 {
            local.set_port(self.free_port(machine)?);
        }
        let of = &self.machines[machine];
        let taken = match of_streams {
            true => of.ports.contains_key(&local.port()),
            false => of.mailboxes.contains_key(&local.port()),
        };
        if taken {
            let what = format!("port {} is in use", local.port());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
        }
        Ok(local)
    }
}
