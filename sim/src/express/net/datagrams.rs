use std::io;
use std::net::SocketAddr;
use std::task::Waker;

use super::{BACKLOG, Mailbox, Net, Packet};
use crate::express::agenda::Event;
use crate::express::links::Fate;

impl Net {
    pub(in crate::express) fn bind(&mut self, machine: usize, on: &str) -> io::Result<SocketAddr> {
        let local = self.local(machine, on, false)?;
        self.machines[machine].mailboxes.insert(local.port(), Mailbox::default());
        Ok(local)
    }

    pub(in crate::express) fn unbind(&mut self, machine: usize, port: u16) {
        self.machines[machine].mailboxes.remove(&port);
    }

    pub(in crate::express) fn post(
        &mut self,
        machine: usize,
        port: u16,
        bytes: &[u8],
        to: SocketAddr,
        now: u64,
    ) {
        let own = self.machines[machine].address;
        let to = if to.ip().is_loopback() { SocketAddr::new(own, to.port()) } else { to };
        let Some(target) = self.addresses.get(&to.ip()).copied() else { return };
        let from = SocketAddr::new(own, port);
        let Fate { copies } = self.links.fate(machine, target, bytes.len() + 28, now);
        for takes in copies {
            let packet =
                Packet::Datagram { from, by: machine, to, bytes: bytes.to_vec(), sent: now };
            self.agenda.plan(now + takes, Event::Packet(packet));
        }
    }

    pub(in crate::express) fn take(
        &mut self,
        machine: usize,
        port: u16,
        waker: &Waker,
    ) -> Option<(Vec<u8>, SocketAddr)> {
        let mailbox = self.machines[machine].mailboxes.get_mut(&port)?;
        let arrived = mailbox.arrived.pop_front();
        if arrived.is_none() && !mailbox.wakers.iter().any(|known| known.will_wake(waker)) {
            mailbox.wakers.push(waker.clone());
        }
        arrived
    }

    /// A packet's time has come.
    pub(in crate::express) fn pass(&mut self, packet: Packet, now: u64) {
        let Packet::Datagram { from, by, to, bytes, sent } = packet else {
            return self.arrive(packet, now);
        };
        let Some(target) = self.addresses.get(&to.ip()).copied() else { return };
        if self.links.cuts(by, target, sent, now) || !self.machines[target].has_power {
            return;
        }
        let Some(mailbox) = self.machines[target].mailboxes.get_mut(&to.port()) else { return };
        if mailbox.arrived.len() < BACKLOG {
            mailbox.arrived.push_back((bytes, from));
        }
        mailbox.wakers.drain(..).for_each(Waker::wake);
    }
}
