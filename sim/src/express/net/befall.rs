//! What befalls machines: power, addresses, translations.

use std::io;

use super::streams::{Conn, Stand};
use super::{Net, address};

impl Net {
    /// A machine loses its power, or has it again.
    pub(in crate::express) fn power(&mut self, machine: usize, has_power: bool) {
        self.machines[machine].has_power = has_power;
        if has_power {
            // It knows nothing of its connections: whoever still speaks to them meets a reset.
            for of in self.conns.values_mut() {
                for end in of.ends.iter_mut().filter(|end| end.machine == machine) {
                    end.stand = Stand::Closed;
                }
            }
        } else {
            self.machines[machine].ports.clear();
            self.machines[machine].mailboxes.clear();
        }
        let over = |conn: &Conn| conn.ends.iter().all(|end| end.stand != Stand::Open);
        self.conns.retain(|_, conn| !over(conn));
    }

    /// The machine has another address; how many connections that cost.
    pub(in crate::express) fn move_on(&mut self, machine: usize) -> usize {
        let of = &mut self.machines[machine];
        of.moves += 1;
        let nth = machine + 1 + 0x400 * usize::try_from(of.moves).unwrap_or(usize::MAX >> 12);
        self.addresses.remove(&of.address);
        of.address = address([10, 64], nth);
        self.addresses.insert(of.address, machine);
        let mut lost = 0;
        for conn in self.conns.values_mut() {
            for end in conn.ends.iter_mut().filter(|end| end.machine == machine) {
                if end.stand == Stand::Open {
                    lost += 1;
                }
                end.fail(io::ErrorKind::ConnectionAborted);
                end.stand = Stand::Silent;
            }
        }
        lost
    }

    /// The address translation before the machine forgets; how many connections that concerns.
    pub(in crate::express) fn rebind(&mut self, machine: usize) -> usize {
        self.machines[machine].nat_us.get_or_insert(u64::MAX);
        let of = |conn: &&mut Conn| conn.ends.iter().any(|end| end.machine == machine);
        self.conns.values_mut().filter(of).map(|conn| conn.forgotten = true).count()
    }
}
