//! Sleepers: what one costs while it sleeps, and whether all of them are there after a restart.

use super::Options;
use super::gateway::{Gateway, Ports};
use super::phone::{self, Phone};

/// The aim, in bytes of resident memory for each sleeper.
const AIM: f64 = 1_400.0;

/// Before the count begins so many fill the cache of redb, which has a fixed size (16 MiB).
const FILLERS: usize = 10_000;
/// Sleepers of one user: few users leave no large configuration in the heap.
const OF_ONE_USER: usize = 100;

pub(crate) async fn run(options: &Options) {
    let count = options.phones.unwrap_or(10_000);
    let (all, users) = (FILLERS + count, (FILLERS + count) / OF_ONE_USER);
    let ports = Ports::free();
    let registrar = ports.registrar.clone().unwrap_or_default();
    tokio::task::spawn_local(super::registrar::serve(registrar));
    let mut gateway = Gateway::start("redb", ports, users);
    let web = gateway.ports.web.clone();
    println!(
        "\n{count} sleeping sessions on one node, registered upstream, tokens of 142 bytes, fabric redb \
         with a cache of 16 MiB that {FILLERS} others have filled"
    );
    let empty = gateway.resident();
    let mut phones = phone::asleep(&web, 0, FILLERS, users).await;
    settled().await;
    let (before, sockets) = (gateway.resident(), gateway.sockets());
    phones.extend(phone::asleep(&web, FILLERS, all, users).await);
    settled().await;
    report("asleep", &gateway, before, sockets, count);
    println!(
        "  the whole process with {all} sleepers: {:.1} MB; with none, {:.1} MB",
        megabytes(gateway.resident()),
        megabytes(empty)
    );
    let file = gateway.file_bytes();
    let took = gateway.restart();
    let again = sleepers_that_answer(&mut phones).await;
    println!(
        "  killed and started again: {:.2} s until it takes connections ({:.1} MB on disk), {again} of \
         {} sampled sessions are still there",
        took.as_secs_f64(),
        megabytes(file),
        sampled(all)
    );
}

#[expect(clippy::cast_precision_loss, reason = "sizes of processes are far below 2^52")]
fn report(what: &str, gateway: &Gateway, before: u64, sockets: usize, count: usize) {
    let after = gateway.resident();
    let each = after.saturating_sub(before) as f64 / count as f64;
    let more = gateway.sockets().saturating_sub(sockets);
    println!(
        "  {what}: {each:.0} bytes of resident memory each (required under 2048, aim {AIM:.0}), {more} \
         sockets more for {count} sleepers"
    );
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files are far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Until the transactions that registered the last of them are over (Timer K, 5 s over UDP).
async fn settled() {
    tokio::time::sleep(std::time::Duration::from_secs(7)).await;
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
