//! What one performance of the plain wake costs: gateway with redb, registrar, push service, caller
//! and phone, each on a host of a turmoil network, from the app's first connect to the BYE and the
//! quiet after it (about 12 simulated seconds at a tick of 10 ms).

#[path = "../tests/wake/play.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod play;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

fn bench(c: &mut Criterion) {
    let plan = play::Plan::plain(1);
    let played = play::play(&plan);
    assert_eq!(play::loss(&played), None, "the benchmark measures a call that is answered");
    c.bench_function("one plain wake in turmoil", |b| {
        b.iter(|| black_box(play::play(black_box(&plan)).outcome.is_ok()));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = bench
}
criterion_main!(benches);
