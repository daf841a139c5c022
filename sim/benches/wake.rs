//! What one performance of the plain wake costs: gateway with redb, registrar, push service, caller
//! and phone, each on a host of a turmoil network, from the app's first connect to the BYE and the
//! quiet after it (about 12 simulated seconds at a tick of 10 ms), judged by every check.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use reveille_scenarios::{read, shipped};
use reveille_sim::suite::{Job, Piece, Seeds, jobs, play};
use reveille_trace::Observed;

fn plain_wake() -> Job {
    let (id, text) = shipped().iter().find(|(id, _)| *id == "wake/plain").expect("it is shipped");
    let scenario = read(id, text).expect("it reads");
    jobs(&Piece::new(scenario, text), Seeds::from(1)).swap_remove(0)
}

fn bench(c: &mut Criterion) {
    let job = plain_wake();
    let verdict = play(&job).case.verdict;
    assert_eq!(verdict.observed, Observed::Pass, "the benchmark measures a call that is answered");
    c.bench_function("one plain wake in turmoil", |b| {
        b.iter(|| black_box(play(black_box(&job)).case.verdict.observed));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = bench
}
criterion_main!(benches);
