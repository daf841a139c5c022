//! `reveille shrink`.

use std::fs;
use std::path::Path;

use crate::play::record;
use crate::{reveille, scenario, write};

const STEP: &str =
    "{ note = \"nothing of it matters\" }, { wait = \"1300ms\", note = \"nor this\" },";

/// The token of the only case of a run of this file.
fn token(of: &Path, file: &str) -> String {
    reveille(of, &["run", file, "--seed", "7", "--world", "express"]);
    let command = record(of).cases[0].replay.clone();
    command.strip_prefix("reveille replay ").expect("a token").to_owned()
}

#[test]
fn a_failure_is_written_as_a_small_file_that_fails_the_same_way() {
    let place = tempfile::tempdir().expect("a folder");
    let expect =
        "{ must = \"alice.final(c1) == 486\" }, { must = \"count(bob.alerted(c1)) == 1\" },";
    write(place.path(), "mine.toml", &scenario(STEP, expect));
    let token = token(place.path(), "mine.toml");
    let said = reveille(place.path(), &["shrink", &token]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let file = place.path().join("scenarios/regressions/mine.toml");
    let text = fs::read_to_string(&file).expect("it is written");
    let head =
        format!("# What is left of {token}: `alice.final(c1) == 486` fails.\n# 1 step of 4, ");
    assert!(text.starts_with(&head), "{text}");
    assert!(text.contains("must = \"alice.final(c1) == 486\""), "{text}");
    assert!(!text.contains("note") && !text.contains("alerted"), "{text}");
    assert!(said.out.contains("nothing smaller was found"), "{}", said.out);
    // Both ways to play it, as they are told.
    let run = text.lines().find_map(|line| line.split_once("reveille ")).expect("a command").1;
    let run: Vec<_> = run.split(' ').map(|word| word.trim_matches('\'')).collect();
    let played = reveille(place.path(), &run);
    assert_eq!(played.code, 1, "{run:?}: {}{}", played.out, played.err);
    let replay = said.out.lines().find_map(|line| line.strip_prefix("reproduce with: reveille "));
    let replay: Vec<_> = replay.expect("a command").split(' ').collect();
    let played = reveille(place.path(), &replay);
    assert_eq!(played.code, 1, "{replay:?}: {}{}", played.out, played.err);
    assert!(played.out.contains("expected  alice.final(c1) == 486"), "{}", played.out);
    // And never over what is there.
    let refused = reveille(place.path(), &["shrink", &token]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{}", refused.err);
    assert!(refused.err.contains("is not written over"), "{}", refused.err);
    assert_eq!(fs::read_to_string(&file).expect("it is there"), text);
}

#[test]
fn a_budget_ends_the_search_and_what_was_found_is_written() {
    let place = tempfile::tempdir().expect("a folder");
    let expect = "{ must = \"alice.final(c1) == 486\" },";
    write(place.path(), "mine.toml", &scenario(STEP, expect));
    let token = token(place.path(), "mine.toml");
    let said = reveille(place.path(), &["shrink", &token, "--budget", "0s", "--write", "a.toml"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("ended by its budget"), "{}", said.out);
    let text = fs::read_to_string(place.path().join("a.toml")).expect("it is written");
    assert!(text.contains("# 4 steps of 4, found in 1 plays."), "{text}");
}

#[test]
fn what_cannot_shrink_says_why_and_writes_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    write(place.path(), "well.toml", &scenario("", "{ must = \"alice.final(c1) == 200\" },"));
    let well = token(place.path(), "well.toml");
    let said = reveille(place.path(), &["shrink", &well, "--write", "small.toml"]);
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);
    assert!(said.err.contains("its verdict is pass"), "{}", said.err);
    write(place.path(), "bad.toml", &scenario("", "{ must = \"alice.final(c1) == 486\" },"));
    let bad = token(place.path(), "bad.toml");
    let other =
        ["shrink", &bad, "--check", "sip.hold.trying-within-200ms", "--write", "small.toml"];
    let said = reveille(place.path(), &other);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.err.contains("`alice.final(c1) == 486`"), "{}", said.err);
    assert_eq!(reveille(place.path(), &["shrink", "wake/plain"]).code, 2);
    assert!(!place.path().join("small.toml").exists());
}
