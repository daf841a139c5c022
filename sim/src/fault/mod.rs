//! Where a simulated crash strikes: at the seam, between two effects of the host.
//!
//! Every seam object of a host carries its *life*: the host's gate and the generation it was made
//! for. Operations are counted at the gate, from 1, over all generations of the host. What counts:
//!
//! | name | when it is counted | `after` means |
//! |---|---|---|
//! | `net.dial` | when dialling begins | the connection stands, the dialler never learns |
//! | `net.accept` | when a connection has come | accepted, and lost with the process |
//! | `tcp.write` | before the bytes leave | the bytes have left |
//! | `tcp.shutdown` | before the FIN leaves | the FIN has left |
//! | `udp.send` | before the datagram leaves | the datagram has left |
//! | `udp.recv` | when a datagram has come | taken from the socket, never seen |
//! | `disk.write`, `disk.set_len` | before the bytes reach the page cache | they have reached it |
//! | `disk.sync` | before anything becomes durable | all of it is durable |
//! | `tasks.spawn` | before the task exists | the task exists and has not run |
//! | `tasks.blocking` | before the work runs | the work is done, its caller never learns |
//!
//! Reads of a stream or a disk, clocks and entropy have no effect a stranger could see and do not
//! count.

mod draws;
mod gate;
mod weather;

pub use draws::Draws;
pub use gate::{Gate, Life, Operation, Ticket, Trap};
pub(crate) use gate::{micros, said};
pub use weather::{Bite, Gale, Passage};
