//! `reveille run`.

use std::fs;
use std::path::Path;

use reveille_reports::format::json;
use reveille_trace::{Observed, Run, Trace};

use crate::{reveille, scenario, write};

/// The only result folder below `out`.
pub(crate) fn folder(of: &Path) -> std::path::PathBuf {
    let out = of.join("out");
    let latest = fs::read_to_string(out.join("latest")).expect("the newest result is named");
    out.join(latest.trim())
}

pub(crate) fn record(of: &Path) -> Run {
    let text = fs::read_to_string(folder(of).join("run.json")).expect("run.json");
    json::read(&text).expect("it reads back")
}

#[test]
fn a_call_is_played_and_everything_is_written() {
    let place = tempfile::tempdir().expect("a folder");
    let said = reveille(place.path(), &["run", "wake/plain", "--junit", "junit.xml"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("PASS wake/plain"), "{}", said.out);
    assert!(said.out.contains("1 scenario, 1 case: 1 passed."), "{}", said.out);
    let run = record(place.path());
    assert_eq!((run.seed, run.world.as_str(), run.cases.len()), (1, "turmoil", 1));
    let case = &run.cases[0];
    let events = folder(place.path()).join(case.events.as_deref().expect("its trace is kept"));
    let file = fs::File::open(events).expect("the trace");
    let trace = Trace::read(std::io::BufReader::new(file)).expect("it reads back");
    assert_eq!(trace.digest(), case.verdict.trace_digest);
    let replay = &trace.manifest.replay;
    assert!(
        replay.starts_with("reveille replay wake/plain@") && replay.ends_with("-1"),
        "{replay}"
    );
    let junit = fs::read_to_string(place.path().join("junit.xml")).expect("the JUnit file");
    assert!(junit.contains("tests=\"1\" skipped=\"0\" failures=\"0\""), "{junit}");
}

#[test]
fn a_seed_decides_everything() {
    let digest = |seed: &str| {
        let place = tempfile::tempdir().expect("a folder");
        let said = reveille(place.path(), &["run", "wake/plain", "--seed", seed]);
        assert_eq!(said.code, 0, "{}", said.out);
        record(place.path()).cases[0].verdict.trace_digest.clone()
    };
    let seventh = digest("7");
    assert_eq!(seventh, digest("7"));
    assert_ne!(seventh, digest("8"));
}

#[test]
fn a_failure_is_code_1_with_its_ladder_and_the_way_to_repeat_it() {
    let place = tempfile::tempdir().expect("a folder");
    write(place.path(), "mine.toml", &scenario("", "{ must = \"alice.final(c1) == 486\" },"));
    let said = reveille(place.path(), &["run", "mine.toml"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    for part in
        ["FAIL mine", "expected  alice.final(c1) == 486", "actual    it was 200", "|-", "INVITE"]
    {
        assert!(said.out.contains(part), "{part} is missing:\n{}", said.out);
    }
    let again = record(place.path()).cases[0].replay.clone();
    let words: Vec<_> = again.split(' ').skip(1).collect();
    assert_eq!(reveille(place.path(), &words).code, 1, "`{again}` plays it again");
}

#[test]
fn a_fault_that_never_bites_is_code_3() {
    let place = tempfile::tempdir().expect("a folder");
    let step = "{ refuse = \"push.webhook\", status = 410, times = 3 },";
    write(place.path(), "void.toml", &scenario(step, "{ must = \"alice.final(c1) == 480\" },"));
    let said = reveille(place.path(), &["run", "void.toml"]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    assert!(said.out.contains("refuse on push.webhook struck 1 of 3 times"), "{}", said.out);
    let case = &record(place.path()).cases[0];
    assert_eq!(case.verdict.observed, Observed::Inconclusive);
    assert_eq!((case.faults[0].on.as_str(), case.faults[0].struck), ("push.webhook", 1));
}

#[test]
fn a_step_that_never_becomes_due_is_code_3() {
    let place = tempfile::tempdir().expect("a folder");
    let late = "{ must = \"alice.final(c1) == 200\" },";
    let text = scenario("", late).replace(
        "]\nexpect",
        "  { when = \"alice.received(c1, 182)\", cancel = \"c1\" },\n]\nexpect",
    );
    write(place.path(), "undue.toml", &text);
    let said = reveille(place.path(), &["run", "undue.toml"]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    assert!(said.out.contains("alice.received(c1, 182) was not seen"), "{}", said.out);
}

#[test]
fn a_missed_should_is_advice() {
    let place = tempfile::tempdir().expect("a folder");
    let expect = "{ must = \"alice.final(c1) == 200\" }, { should = \"never push.sent(bob)\" },";
    write(place.path(), "mine.toml", &scenario("", expect));
    let said = reveille(place.path(), &["run", "mine.toml"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("never push.sent(bob)"), "{}", said.out);
}

#[test]
fn what_cannot_be_run_is_told_before_anything_runs() {
    let place = tempfile::tempdir().expect("a folder");
    write(place.path(), "bad.toml", &scenario("{ slep = \"bob\" },", ""));
    let code = |arguments: &[&str]| reveille(place.path(), arguments).code;
    assert_eq!(code(&["run", "bad.toml"]), 2);
    assert_eq!(code(&["run", "missing.toml"]), 2);
    assert_eq!(code(&["run", "--sed", "1"]), 2);
    assert_eq!(code(&["run", "nothing/of-this-name"]), 4);
    let said = reveille(place.path(), &["run", "wake/plian"]);
    assert!(said.err.contains("wake/plain"), "{}", said.err);
    assert!(!place.path().join("out").exists(), "nothing is written");
}

#[test]
fn one_cell_of_a_sweep_is_played_alone_with_its_ladder() {
    let place = tempfile::tempdir().expect("a folder");
    let cell = "crash/sweep-of-the-plain-wake/at=30/**";
    let said = reveille(place.path(), &["run", cell, "--ladder", "--jobs", "1"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let run = record(place.path());
    let sides: Vec<_> = run.cases.iter().map(|case| case.cell["side"].as_str()).collect();
    assert_eq!(sides, ["after", "before"]);
    assert!(run.cases.iter().all(|case| case.faults[0].struck == 1));
}

#[test]
fn results_that_cannot_be_written_are_told_before_anything_is_played() {
    let place = tempfile::tempdir().expect("a folder");
    write(place.path(), "file", "no folder");
    let said = reveille(place.path(), &["run", "wake/plain", "--junit", "missing/junit.xml"]);
    assert_eq!((said.code, said.out.as_str()), (6, ""), "{}", said.err);
    assert!(said.err.contains("missing/junit.xml"), "{}", said.err);
    assert!(!place.path().join("out/latest").exists(), "nothing was played");
    let said = reveille(place.path(), &["run", "wake/plain", "--out", "file"]);
    assert_eq!((said.code, said.out.as_str()), (6, ""), "{}", said.err);
}

#[test]
fn a_caller_whose_call_is_not_answered_ends_with_code_1() {
    let place = tempfile::tempdir().expect("a folder");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = closed.local_addr().expect("it is bound").port();
    drop(closed);
    let config = format!(
        "listen = \"127.0.0.1:0\"\nadvertise = \"127.0.0.1\"\ngateway = \"127.0.0.1:{port}\"\n\
         transport = \"tcp\"\n[[call]]\nmark = \"c1\"\nto = \"sip:bob@example.com\"\n"
    );
    write(place.path(), "caller.toml", &config);
    let said = reveille(place.path(), &["serve", "caller", "--config", "caller.toml"]);
    assert_eq!(said.code, 1, "{}", said.err);
}
