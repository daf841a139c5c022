//! How many cases, and which.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestCaseError, TestRng, TestRunner};

#[expect(clippy::disallowed_methods, reason = "a test, which has no configuration file")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs `check` on lists of at most `longest` operations; the shortest list that fails is shown.
///
/// # Errors
/// What proptest says of that list.
pub(crate) fn outcome<Op: Debug + Clone>(
    cases: u32,
    longest: usize,
    op: impl Strategy<Value = Op>,
    check: impl Fn(&[Op]) -> Result<(), String>,
) -> Result<(), String> {
    let cases = asked("PROPTEST_CASES").and_then(|it| it.try_into().ok()).unwrap_or(cases);
    let seed = asked("PROPTEST_RNG_SEED").unwrap_or(0);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        rng_algorithm: RngAlgorithm::XorShift,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let chance = TestRng::from_seed(RngAlgorithm::XorShift, &bytes);
    let mut runner = TestRunner::new_with_rng(config, chance);
    let lists = vec(op, 1..=longest);
    runner
        .run(&lists, |ops| check(&ops).map_err(TestCaseError::fail))
        .map_err(|wrong| wrong.to_string())
}

/// Takes each operation in its turn; what is wrong says at which.
pub(crate) fn each<Op: Debug + Copy>(
    ops: &[Op],
    mut step: impl FnMut(Op) -> Result<(), String>,
) -> Result<(), String> {
    for (place, op) in ops.iter().enumerate() {
        step(*op).map_err(|wrong| format!("operation {place}, {op:?}: {wrong}"))?;
    }
    Ok(())
}

/// As [`outcome`], for a test.
pub(crate) fn hold<Op: Debug + Clone>(
    cases: u32,
    longest: usize,
    op: impl Strategy<Value = Op>,
    check: impl Fn(&[Op]) -> Result<(), String>,
) {
    if let Err(wrong) = outcome(cases, longest, op, check) {
        panic!("{wrong}");
    }
}
