//! The same seed gives the same bytes, in this process and in another.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use reveille_sim::suite::play;

use crate::scenes;

/// What the child process prints before a digest.
const MARK: &str = "digest of a case: ";
/// Tells the test below that it is the child.
const CHILD: &str = "REVEILLE_TEST_DIGESTS";
/// What is played, and with how many seeds.
const CASES: [(&str, u64); 7] = [
    ("wake/plain", 50),
    ("crash/before-the-wake", 5),
    ("crash/power-lost-while-held", 5),
    // What is signed and sealed differs with each run, and stands in no trace.
    ("push/apns-wakes", 10),
    ("push/fcm-wakes", 10),
    ("push/webpush-wakes", 10),
    ("message/several-and-a-call", 5),
];

fn digests() -> impl Iterator<Item = (String, String)> {
    let cases = CASES.into_iter().flat_map(|(id, seeds)| (0..seeds).map(move |seed| (id, seed)));
    cases.map(|(id, seed)| {
        let trace = scenes::trace_of(play(&scenes::job(id, seed)));
        (format!("{id} with seed {seed}"), trace.digest())
    })
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the parent process speaks through it")]
fn prints_the_digests_that_another_process_asks_for() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    for (case, digest) in digests() {
        println!("{MARK}{case}: {digest}");
    }
}

#[test]
fn fifty_seeds_give_the_same_trace_in_two_processes() {
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "seeds::prints_the_digests_that_another_process_asks_for", "--nocapture"])
        .env(CHILD, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let ours: Vec<_> = digests().collect();
    let out = child.wait_with_output().expect("the child runs").stdout;
    let out = String::from_utf8_lossy(&out).into_owned();
    let theirs: Vec<_> = out.lines().filter_map(|line| Some(line.split_once(MARK)?.1)).collect();
    assert_eq!(theirs.len(), ours.len(), "{out}");
    for ((case, digest), theirs) in ours.iter().zip(theirs) {
        assert_eq!(theirs, format!("{case}: {digest}"), "{case} plays differently");
    }
    let different: BTreeSet<_> = ours.iter().map(|(_, digest)| digest).collect();
    assert_eq!(different.len(), ours.len(), "seeds differ from each other");
}
