//! The same seed gives the same bytes, in this process and in another.

use std::process::Command;

use crate::play::{Plan, loss, play};

/// What the child process prints before a digest.
const MARK: &str = "digest of the seed: ";
/// Tells the test below that it is the child, and which seeds to play.
const SEEDS: &str = "REVEILLE_TEST_SEEDS";
const MANY: u64 = 50;

#[test]
#[expect(clippy::disallowed_methods, reason = "the parent process speaks through it")]
fn prints_the_digests_that_another_process_asks_for() {
    let Ok(seeds) = std::env::var(SEEDS) else { return };
    for seed in 0..seeds.parse().expect("a number of seeds") {
        println!("{MARK}{seed} {}", play(&Plan::plain(seed)).trace.digest());
    }
}

#[test]
fn fifty_seeds_give_the_same_trace_in_two_processes() {
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "seeds::prints_the_digests_that_another_process_asks_for", "--nocapture"])
        .env(SEEDS, MANY.to_string())
        .output()
        .expect("the child runs");
    let out = String::from_utf8_lossy(&child.stdout).into_owned();
    let theirs: Vec<_> = out.lines().filter_map(|line| line.split_once(MARK)).collect();
    assert_eq!(theirs.len() as u64, MANY, "{out}");
    let mut digests = Vec::new();
    for (seed, (_, line)) in (0..MANY).zip(theirs) {
        let played = play(&Plan::plain(seed));
        assert_eq!(loss(&played), None, "seed {seed}");
        let digest = played.trace.digest();
        assert_eq!(line, format!("{seed} {digest}"), "seed {seed} plays differently");
        digests.push(digest);
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len() as u64, MANY, "seeds differ from each other");
}
