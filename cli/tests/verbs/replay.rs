//! `reveille replay`.

use crate::play::{folder, record};
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
fn a_token_names_its_world() {
    let place = tempfile::tempdir().expect("a folder");
    assert_eq!(reveille(place.path(), &["run", "wake/plain", "--world", "express"]).code, 0);
    let words = words(place.path());
    assert!(words[1].ends_with("-1-express"), "{words:?}");
    let again = said(place.path(), &words, &[]);
    assert_eq!(again.code, 0, "{}{}", again.out, again.err);
    assert!(again.out.contains("It went as it did in out"), "{}", again.out);
    let elsewhere = words[1].replace("-express", "");
    let other = reveille(place.path(), &["replay", &elsewhere]);
    assert_eq!(other.code, 7, "{}", other.err);
    assert!(other.err.contains("this has changed: the world"), "{}", other.err);
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

#[test]
fn every_fact_is_told_with_its_time_until_the_one_that_was_asked_for() {
    let place = tempfile::tempdir().expect("a folder");
    assert_eq!(reveille(place.path(), &["run", "wake/plain"]).code, 0);
    let words = words(place.path());
    let whole = said(place.path(), &words, &[]);
    assert_eq!(whole.code, 0, "{}{}", whole.out, whole.err);
    let lines = |out: &str| {
        let is_told = |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
        let told = out.lines().take_while(|line| !line.is_empty()).filter(is_told);
        told.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let all = lines(&whole.out);
    for fact in ["bob.state(hibernated)", "push.sent(bob)", "push.arrived(bob)", "bob.alerted(c1)"]
    {
        assert!(all.iter().any(|line| line.ends_with(fact)), "{fact} is missing:\n{}", whole.out);
    }
    assert!(whole.out.contains("step 2: call c1 alice"), "{}", whole.out);
    assert!(whole.out.contains("It went as it did in out"), "{}", whole.out);
    let until = said(place.path(), &words, &["--until", "bob.alerted(c1)"]);
    let told = lines(&until.out);
    assert!(told.last().expect("lines").ends_with("bob.alerted(c1)"), "{}", until.out);
    assert_eq!(told, all[..told.len()]);
    let number = told[3].split_whitespace().next().expect("a number").to_owned();
    let until = said(place.path(), &words, &["--until", &number]);
    assert_eq!(lines(&until.out), all[..4]);
    let never = said(place.path(), &words, &["--until", "bob.alerted(c9)"]);
    assert!(never.out.contains("what --until names did not happen"), "{}", never.out);
    assert_eq!(said(place.path(), &words, &["--until", "bob"]).code, 2);
}

#[test]
fn a_play_that_goes_another_way_is_told_with_the_first_event_that_differs() {
    let place = tempfile::tempdir().expect("a folder");
    assert_eq!(reveille(place.path(), &["run", "wake/plain"]).code, 0);
    let (words, run) = (words(place.path()), record(place.path()));
    let events = folder(place.path()).join(run.cases[0].events.as_deref().expect("it is kept"));
    let text = std::fs::read_to_string(events).expect("the trace");
    let other = text.replacen("SIP/2.0 180 Ringing", "SIP/2.0 180 Singing", 1);
    assert_ne!(text, other, "the trace has a 180");
    write(place.path(), "other.ndjson", &other);
    let said = said(place.path(), &words, &["--against", "other.ndjson"]);
    assert_eq!(said.code, 7, "{}{}", said.out, said.err);
    assert!(said.out.contains("DIVERGED from other.ndjson"), "{}", said.out);
    let line = |head: &str| said.out.lines().find(|line| line.trim_start().starts_with(head));
    let (then, now) = (line("recorded  {"), line("now       {"));
    assert!(then.is_some_and(|line| line.contains("Singing")), "{}", said.out);
    assert!(now.is_some_and(|line| line.contains("Ringing")), "{}", said.out);
    // A trace that breaks off differs where it ends.
    let whole: Vec<_> = text.lines().collect();
    write(place.path(), "short.ndjson", &(whole[..whole.len() - 1].join("\n") + "\n"));
    let short = self::said(place.path(), &words, &["--against", "short.ndjson"]);
    assert!(short.out.contains("recorded  nothing more"), "{}", short.out);
    let missing = self::said(place.path(), &words, &["--against", "missing.ndjson"]);
    assert_eq!(missing.code, 2, "{}", missing.err);
}
