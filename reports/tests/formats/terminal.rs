use reveille_reports::format::terminal::{Look, full, summary};
use reveille_trace::Observed;

use crate::sample::{HOSTILE, case, finding, of, run, sure, traces};

#[test]
fn a_run_is_told_on_a_screen() {
    insta::assert_snapshot!("screen", full(&run(), &Look::of_a_screen(100, false, &traces)));
    insta::assert_snapshot!("narrow", summary(&run(), 60, false));
}

#[test]
fn no_line_is_wider_than_the_screen() {
    for width in 40..130 {
        let text = full(&run(), &Look::of_a_screen(width, false, &traces));
        let wide = text.lines().find(|line| line.chars().count() > width);
        assert_eq!(wide, None, "at {width}");
    }
}

#[test]
fn only_verdicts_are_coloured_and_nothing_else_gets_through() {
    let plain = full(&run(), &Look::of_a_screen(100, false, &traces));
    assert!(plain.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)), "{plain}");
    let coloured = full(&run(), &Look::of_a_screen(100, true, &traces));
    let codes = ["\u{1b}[32m", "\u{1b}[1;31m", "\u{1b}[33m", "\u{1b}[1;35m", "\u{1b}[0m"];
    for code in codes {
        assert!(coloured.contains(code));
    }
    let bare = codes.iter().fold(coloured, |text, code| text.replace(code, ""));
    assert_eq!(bare, plain);
}

#[test]
fn the_last_sentence_says_what_the_exit_code_says() {
    let last = |cases| {
        let text = summary(&of(cases), 200, false);
        text.lines().last().unwrap_or_default().to_owned()
    };
    let with = |observed| case("a/b", &[], vec![finding("expect", "MUST", observed)]);
    let good = || case("a/a", &[], vec![sure()]);
    assert_eq!(
        last(vec![good(), good()]),
        "1 scenario, 2 cases: 2 passed. Every MUST that could be decided was met. Exit 0."
    );
    assert_eq!(
        last(vec![good(), with(Observed::Fail)]),
        "2 scenarios, 2 cases: 1 passed, 1 failed. A MUST was not met. Exit 1."
    );
    assert!(last(vec![good(), with(Observed::Inconclusive)]).ends_with("either way. Exit 3."));
    let both = last(vec![with(Observed::Fail), with(Observed::Error)]);
    assert!(both.ends_with("A MUST was not met, and the harness itself broke. Exit 70."), "{both}");
    assert!(last(vec![with(Observed::Error)]).ends_with("nothing about the gateway. Exit 70."));
    assert_eq!(last(vec![]), "0 scenarios, 0 cases: none played. Nothing was selected. Exit 4.");
}

#[test]
fn blocks_beyond_the_tenth_are_counted() {
    let bad = |n: usize| {
        let findings = vec![finding("expect", "MUST", Observed::Fail)];
        case("a/b", &[("at", n.to_string().as_str())], findings)
    };
    let text = summary(&of((0..47).map(bad).collect()), 100, false);
    assert_eq!(text.matches("reproduce with:").count(), 10);
    assert!(text.contains("\nand 37 more in summary.txt\n"), "{text}");
}

#[test]
fn a_long_command_stays_one_command() {
    for argument in ["a/b ".repeat(40), "x".repeat(200), format!("a {} b", "y".repeat(99))] {
        let mut bad = case("a/b", &[], vec![finding("expect", "MUST", Observed::Fail)]);
        bad.replay = format!("reveille run {}", argument.trim_end());
        let want = bad.replay.clone();
        let text = summary(&of(vec![bad]), 60, false);
        let rest = text.split("reproduce with:\n").nth(1).unwrap();
        // As a shell reads it: a backslash and the line break after it are nothing.
        let command = rest.split("\n\n").next().unwrap().replace("\\\n", "");
        assert_eq!(command.split_whitespace().collect::<Vec<_>>().join(" "), want);
    }
}

#[test]
fn every_verdict_but_pass_has_its_block() {
    let mut cases = run().cases;
    cases[0].title = HOSTILE.to_owned();
    let text = summary(&of(cases), 100, false);
    for title in ["FAIL crash/store/at=2  seed 1", "INCONCLUSIVE push/refused  seed 1"] {
        assert!(text.lines().any(|line| line == title), "{title}\n{text}");
    }
    assert!(text.lines().any(|line| line.starts_with("ERROR sip/hostile/from=\\u{1b}")), "{text}");
    assert_eq!(text.matches("reproduce with:").count(), 3);
}
