//! Sleepers: what one costs while it sleeps, and whether all of them are there after a restart.

use super::Options;
use super::gateway::{Gateway, Ports};
use super::phone::{self, Phone};

/// The aim, in bytes of resident memory for each sleeper.
const AIM: f64 = 1_400.0;

pub(crate) async fn run(options: &Options) {
    let count = options.phones.unwrap_or(10_000);
    println!("\n{count} sleeping sessions on one node, fabric redb");
    let mut gateway = Gateway::start("redb", Ports::free(), count);
    // The first few pay for what every process has: buffers, caches, the allocator's own.
    let warm = (count / 10).clamp(1, 1_000);
    let web = gateway.ports.web.clone();
    let mut phones = phone::asleep(&web, 0, warm).await;
    let (before, sockets) = (gateway.resident(), gateway.sockets());
    phones.extend(phone::asleep(&web, warm, count).await);
    report("asleep", &gateway, before, sockets, count - warm);
    let file = gateway.file_bytes();
    let took = gateway.restart();
    let again = sleepers_that_answer(&mut phones).await;
    println!(
        "  killed and started again: {:.2} s until it takes connections ({:.1} MB on disk), {again} of \
         {} sampled sessions are still there",
        took.as_secs_f64(),
        megabytes(file),
        sampled(count)
    );
}

#[expect(clippy::cast_precision_loss, reason = "sizes of processes are far below 2^52")]
fn report(what: &str, gateway: &Gateway, before: u64, sockets: usize, count: usize) {
    let after = gateway.resident();
    let each = after.saturating_sub(before) as f64 / count as f64;
    let more = gateway.sockets().saturating_sub(sockets);
    println!(
        "  {what}: {each:.0} bytes of resident memory each (required under 2048, aim {AIM:.0}), {more} \
         sockets more for {count} sleepers; process {:.1} MB",
        megabytes(after)
    );
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files are far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn sampled(count: usize) -> usize {
    count.min(100)
}

/// Resumes a sample by session id: a session that was lost would come back under another id.
async fn sleepers_that_answer(phones: &mut [Phone]) -> usize {
    let step = (phones.len() / sampled(phones.len())).max(1);
    let mut found = 0;
    for phone in phones.iter_mut().step_by(step).take(100) {
        if phone.is_known().await.unwrap_or(false) {
            found += 1;
        }
    }
    found
}
