//! `reveille replay`.

use crate::play::record;
use crate::{reveille, scenario, write};

/// The words of the command that plays the only case of the newest run again.
fn words(of: &std::path::Path) -> Vec<String> {
    let command = record(of).cases[0].replay.clone();
    command.split(' ').skip(1).map(ToOwned::to_owned).collect()
}

fn said(of: &std::path::Path, words: &[String], more: &[&str]) -> crate::Said {
    let words = words.iter().map(String::as_str).chain(more.iter().copied());
    reveille(of, &words.collect::<Vec<_>>())
}

#[test]
fn a_cell_of_a_sweep_is_played_again_alone() {
    let place = tempfile::tempdir().expect("a folder");
    let cell = "crash/sweep-of-the-plain-wake/at=30/**";
    assert_eq!(reveille(place.path(), &["run", cell, "--seed", "3"]).code, 0);
    let words = words(place.path());
    let again = said(place.path(), &words, &[]);
    assert_eq!(again.code, 0, "{}{}", again.out, again.err);
    assert!(again.out.contains("1 scenario, 1 case: 1 passed"), "{}", again.out);
    let gone = words[1].replacen("at=30", "at=99999", 1);
    let again = reveille(place.path(), &["replay", &gone]);
    assert_eq!(again.code, 7, "{}", again.err);
    assert!(again.err.contains("its sweep goes over other operations now"), "{}", again.err);
}

#[test]
fn a_token_of_another_text_is_played_only_by_force() {
    let place = tempfile::tempdir().expect("a folder");
    let text = scenario("", "{ must = \"alice.final(c1) == 200\" },");
    write(place.path(), "mine.toml", &text);
    assert_eq!(reveille(place.path(), &["run", "mine.toml"]).code, 0);
    let words = words(place.path());
    write(place.path(), "mine.toml", &format!("{text}# another\n"));
    let refused = said(place.path(), &words, &[]);
    assert_eq!((refused.code, refused.out.as_str()), (7, ""), "{}", refused.err);
    for part in ["this has changed: the scenario's text", "`--force`", "mine.toml@"] {
        assert!(refused.err.contains(part), "{part} is missing: {}", refused.err);
    }
    let forced = said(place.path(), &words, &["--force"]);
    assert_eq!(forced.code, 0, "{}", forced.err);
    assert!(forced.out.contains("changed: the scenario's text"), "{}", forced.out);
}

#[test]
fn what_is_no_token_is_a_bad_command_line() {
    let place = tempfile::tempdir().expect("a folder");
    let code = |token: &str| reveille(place.path(), &["replay", token]).code;
    assert_eq!(code("wake/plain"), 2);
    assert_eq!(code("wake/plain@00000000-1-moon"), 2);
    assert_eq!(code("missing.toml@00000000-1"), 2);
    assert_eq!(code("wake/none@00000000-1"), 4);
    assert_eq!(code("wake/plain@00000000-1"), 7);
}
