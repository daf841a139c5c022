//! The loop: one inbox, one core, and queues that never make it wait.

use std::time::Duration;

use reveille_gateway_core::io::Input;
use reveille_gateway_core::node::Node;
use reveille_host::within;
use tokio::sync::mpsc;

use crate::ports::Ports;
use crate::world::{Event, World};

/// How long an orderly end may take, once asked for.
const DRAIN_LIMIT_US: u64 = 3_000_000;

/// Runs the node until it is stopped or cannot go on.
pub(crate) async fn run(
    world: World,
    mut node: Node,
    mut inbox: mpsc::Receiver<Event>,
    mut ports: Ports,
    started: Input,
) -> Result<(), String> {
    let mut end_us = None;
    let mut event = Event::Input(started);
    loop {
        if world.health.lease_left_us(world.now().mono_us) == Some(0) {
            // Stopped for too long, or cut off: not a word more for what may be another's.
            return Err("the lease ran out; restart to recover what is still ours".to_owned());
        }
        match event {
            Event::Failed(why) => return Err(why),
            Event::Stop => {
                end_us = end_us.or(Some(world.now().mono_us + DRAIN_LIMIT_US));
                world.health.drain();
                feed(&world, &mut node, &mut ports, Input::Drain);
            }
            Event::Ask(ask) => {
                if let Some(input) = ask.answer(&world, &node, &mut ports) {
                    feed(&world, &mut node, &mut ports, input);
                }
            }
            event => {
                for input in ports.admit(event) {
                    feed(&world, &mut node, &mut ports, input);
                }
            }
        }
        if let Some(why) = ports.fault() {
            return Err(why);
        }
        let over = end_us.is_some_and(|end| world.now().mono_us >= end || ports.is_idle());
        if over {
            return Ok(());
        }
        event = next(&world, &mut inbox, node.next_deadline_us(), end_us).await;
    }
}

/// The next event, or a tick at the earlier of the core's deadline and the end.
async fn next(
    world: &World,
    inbox: &mut mpsc::Receiver<Event>,
    deadline_us: Option<u64>,
    end_us: Option<u64>,
) -> Event {
    let came = match deadline_us.into_iter().chain(end_us).min() {
        None => inbox.recv().await,
        Some(due_us) => {
            let left = Duration::from_micros(due_us.saturating_sub(world.now().mono_us));
            let came = within(&*world.host.clock, left, inbox.recv()).await;
            came.unwrap_or(Some(Event::Input(Input::Tick)))
        }
    };
    came.unwrap_or(Event::Stop)
}

/// One input, and whatever full queues answer to its outputs.
fn feed(world: &World, node: &mut Node, ports: &mut Ports, input: Input) {
    let mut input = Some(input);
    while let Some(one) = input {
        node.handle(world.now(), one, ports);
        input = ports.next_feedback();
    }
}
